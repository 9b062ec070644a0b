"""Plans of kernels: the work of each step, its order, and the places of values, as plain data.

A plan is a list of phases. A phase begins with products (each for all rows of a thread at once)
and goes on row by row with levels: a level computes single numbers, then loops over vectors. A
level needs what earlier levels reduced, a phase what earlier phases multiplied. There are three
plans for a cell: `infer`, `train` (which keeps what the backward pass needs) and `backward`.

Everything a plan says about sizes is an entry of one table, so that the same cell in other sizes
is the same program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from elman.kernels.derive import Gradients, derive
from elman.kernels.graph import REDUCTIONS, TRANSCENDENTAL, Matrix, Node, ordered
from elman.kernels.trace import Traced

Kind = Literal["infer", "train", "backward"]


@dataclass(frozen=True)
class Place:
    """The place of a value's rows: `array[row * stride + offset + j]`.

    Attributes:
        array: the name of an array.
        stride: the name of the size that leads to the next row.
        offset: the name of the size at which the value begins in a row, or "0".
    """

    array: str
    stride: str
    offset: str = "0"

    def __str__(self) -> str:
        return self.array + ("" if self.offset == "0" else f"[{self.offset}:]")


@dataclass(frozen=True)
class Product:
    """`out = bias + source @ matrix`, or `out += source @ matrix`, for all rows of a thread.

    Attributes:
        out: where it goes, of this width.
        width: the name of the size of a row of `out`.
        source, depth: what is multiplied, and how long its rows are.
        matrix: by what.
        biases: vectors added; only in the first product of an `out`.
        adds: whether `out` holds something already.
    """

    out: Place
    width: str
    source: Place
    depth: str
    matrix: Matrix
    biases: tuple[int, ...]
    adds: bool


@dataclass
class Loop:
    """A loop over the numbers of vectors of one width, for one row.

    Attributes:
        width: the name of the size.
        nodes: computed, in order.
        stores: what is written where.
        sums: reductions of what is computed.
        uniforms: what is added up over all rows, and into which accumulator.
    """

    width: str
    nodes: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, Place]] = field(default_factory=list)
    sums: list[Node] = field(default_factory=list)
    uniforms: list[tuple[Node, Place]] = field(default_factory=list)


@dataclass
class Level:
    """Single numbers of a row, then loops.

    Attributes:
        numbers: computed, in order.
        number_stores: numbers that later phases need, and where.
        number_uniforms: numbers added up over all rows.
        loops: by width.
    """

    numbers: list[Node] = field(default_factory=list)
    number_stores: list[tuple[Node, Place]] = field(default_factory=list)
    number_uniforms: list[tuple[Node, Place]] = field(default_factory=list)
    loops: dict[str, Loop] = field(default_factory=dict)


@dataclass
class Phase:
    """Products, then levels row by row.

    Attributes:
        meets: whether threads that share out units wait for one another after it.
    """

    products: list[Product] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    meets: bool = False


@dataclass
class Plan:
    """A kernel; see the module.

    Attributes:
        kind: which of a cell's three.
        phases: what a step does.
        arrays: what the caller provides, in the order of the kernel's table of pointers.
        scratch: what each thread has for itself: name → size of a row ("1" for a number).
        of_a_row: which of that is used up before the next row, and so is there once.
        places: where a node lies that is not computed where it is used.
        matrices: which are multiplied by, in the order of the kernel's table of panels.
        groups: for each array of a product: how wide the parts are that are read of it, if threads
            can share out units; None if they cannot.
    """

    kind: Kind
    phases: list[Phase]
    arrays: list[str]
    scratch: dict[str, str]
    of_a_row: set[str]
    places: dict[Node, Place]
    matrices: list[Matrix]
    groups: dict[str, str] | None

    def group(self, product: Product) -> str:
        """The size of the parts in which the columns of a product go to threads."""
        return (self.groups or {}).get(product.out.array, product.width)


@dataclass
class Plans:
    """All that is known of a cell before its sizes and tensors.

    Attributes:
        traced, gradients: its step and the backward pass of it.
        sizes: name → value of every size, in the order of the kernels' table. Writing the source
            may still add some.
        plans: the three plans; `backward` and `train` go together.
        state_is_output: the state that is the output, or None.
        saved: forward nodes kept for the backward pass.
        operands: computed nodes that matrices multiply, each kept in an array of its own.
        flows: gradients that matrices and inputs are computed from after the loop, likewise.
        sums: gradients of parameters' vectors and numbers, added up over all rows.
    """

    traced: Traced
    gradients: Gradients
    sizes: Sizes
    plans: dict[Kind, Plan]
    state_is_output: int | None
    saved: list[Node]
    operands: list[Node]
    flows: list[Node]
    sums: list[Node]

    @property
    def kept_widths(self) -> tuple[int, int]:
        """Numbers a row of a step that the backward pass needs kept, and those of the states."""
        states = [s.width for s in self.traced.states]
        own = [w for i, w in enumerate(states) if i != self.state_is_output]
        return sum(n.width or 1 for n in (*self.saved, *self.operands)) + sum(own), sum(states)


class Sizes:
    """Names for widths: the same for nodes that are computed together, whatever the numbers."""

    def __init__(self, nodes: Iterable[Node], traced: Traced) -> None:
        self.values: dict[str, int] = {}
        self._up: dict[object, object] = {}
        self._widths: dict[object, int] = {}
        self._names: dict[object, str] = {}
        nodes = list(nodes)
        for node in nodes:
            if node.width == 0:
                continue
            self._widths[self._key(node)] = node.width
            if node.is_pointwise:
                for arg in node.args:
                    if arg.width:
                        self._join(self._key(node), self._key(arg))
            elif node.op == "affine":
                for v, matrix in zip(node.args, node.value[0], strict=True):
                    self._join(self._key(v), ("matrix", matrix.index, matrix.transposed))
                    self._join(self._key(node), ("matrix", matrix.index, not matrix.transposed))
                for bias in node.value[1]:
                    self._join(self._key(node), ("vector", bias))
        self._join(self._key(traced.output), ("grad_output", 0))
        for i, state in enumerate(traced.states):
            for other in (("state", i), ("grad_state", i), ("mask", i)):
                self._join(self._key(state), other)
        for node in nodes:
            if node.width:
                self._widths[self._find(self._key(node))] = node.width

    def of(self, node: Node) -> str:
        """The name of a node's width; "1" of a number."""
        return "1" if node.width == 0 else self._name(self._find(self._key(node)), "n")

    def of_leaf(self, op: str, index: int, width: int) -> str:
        """The name of a leaf's width that may be in no graph."""
        key = self._find((op, index))
        self._widths.setdefault(key, width)
        return self._name(key, "n")

    def number(self, label: str, value: int) -> str:
        """A name for a size that is no width, such as an offset."""
        if value == 0:
            return "0"
        key = ("number", label)
        self._widths[key] = value
        return self._name(key, "o")

    def _name(self, key: object, letter: str) -> str:
        if key not in self._names:
            name = f"{letter}{len(self._names)}"
            self._names[key] = name
            self.values[name] = self._widths[key]
        return self._names[key]

    @staticmethod
    def _key(node: Node) -> object:
        if node.op == "x":
            return ("x", 0)
        if node.op in ("state", "mask", "grad_output", "grad_state", "vector"):
            return (node.op, node.value)
        return node

    def _find(self, key: object) -> object:
        while (up := self._up.get(key)) is not None:
            key = up
        return key

    def _join(self, a: object, b: object) -> None:
        a, b = self._find(a), self._find(b)
        if a != b:
            self._up[b] = a
            if b in self._widths:
                self._widths[a] = self._widths[b]


def make_plans(traced: Traced, state_sizes: tuple[int, ...]) -> Plans:
    """Everything but tensors: the backward pass, what it needs kept, and the three plans."""
    gradients = derive(traced.graph, traced.output, traced.states, state_sizes)
    forward = ordered((traced.output, *traced.states))
    backward_roots = _roots(gradients)
    everything = ordered((*forward, *backward_roots))
    sizes = Sizes(everything, traced)
    same = next((i for i, s in enumerate(traced.states) if s is traced.output), None)

    operands = _unique(
        v
        for _, v, _ in gradients.matrices
        if not v.is_leaf and v not in traced.states and v is not traced.output
    )
    flows = _unique(
        g
        for g in (*(g for _, _, g in gradients.matrices), *(g for g, _ in gradients.x_products))
        if g.op != "grad_output"
    )
    sums = _unique(g for _, _, g in gradients.uniforms)
    history = {traced.output, *traced.states}
    saved = _kept(forward, backward_roots, history | set(operands))
    plans = Plans(traced, gradients, sizes, {}, same, saved, operands, flows, sums)
    plans.plans["infer"] = _forward_plan("infer", plans, sizes)
    plans.plans["train"] = _forward_plan("train", plans, sizes)
    plans.plans["backward"] = _backward_plan(plans, sizes)
    return plans


def _roots(gradients: Gradients) -> list[Node]:
    """Return the nodes that the backward pass computes."""
    roots = [g for g in gradients.states if g is not None]
    roots += [g for _, _, g in gradients.matrices] + [g for g, _ in gradients.x_products]
    roots += [g for _, _, g in gradients.uniforms]
    return _unique([*roots, *([gradients.x] if gradients.x is not None else [])])


def _unique(nodes: Iterable[Node]) -> list[Node]:
    return list(dict.fromkeys(nodes))


def _kept(forward: list[Node], roots: list[Node], there: set[Node]) -> list[Node]:
    """Forward nodes to keep: what the backward pass reads and cannot cheaply compute anew.

    Results of costly functions are kept. For a value that is cheap to compute, either it is kept or
    the products it is made of, whichever are fewer numbers.
    """
    known = set(forward)
    read = _unique(
        a
        for node in ordered(roots)
        if node not in known
        for a in node.args
        if a in known and not a.is_leaf
    )
    read = _unique([*read, *(r for r in roots if r in known and not r.is_leaf)])
    read = _unique(p for node in read for p in (node.args if node.op == "cat" else (node,)))
    kept = {n: None for n in read if n.op in TRANSCENDENTAL and n not in there}
    made_of = {n: _sources(n, there | set(kept)) for n in read if n not in kept and n not in there}
    shared: dict[Node, int] = {}
    for node, sources in made_of.items():
        for source in sources or ():
            shared[source] = shared.get(source, 0) + max(node.width, 1)
    for node, sources in made_of.items():
        if sources is None or any(shared[s] <= max(s.width, 1) for s in sources):
            kept[node] = None
        else:
            kept |= {n: None for n in forward if n in sources}
    return list(kept)


def _sources(node: Node, there: set[Node], depth: int = 0) -> set[Node] | None:
    """Return the nodes to keep so that `node` takes a few cheap steps; None if it is costly."""
    if node in there or node.is_leaf:
        return set()
    if node.op == "slice":
        return {node.args[0]}
    if node.op in ("affine", *REDUCTIONS):
        return {node}
    if depth == 4 or not node.is_pointwise or node.op in TRANSCENDENTAL - {"div"}:
        return None
    found: set[Node] = set()
    for arg in node.args:
        more = _sources(arg, there, depth + 1)
        if more is None:
            return None
        found |= more
    return found


def _forward_plan(kind: Kind, plans: Plans, sizes: Sizes) -> Plan:
    traced = plans.traced
    places = _leaf_places(plans, sizes)
    stores: list[tuple[Node, Place]] = [(traced.output, Place("y", sizes.of(traced.output)))]
    for i, state in enumerate(traced.states):
        if i != plans.state_is_output:
            stores.append((state, Place(f"new{i}", sizes.of_leaf("state", i, state.width))))
    arrays = _common_arrays(plans)
    if kind == "train":
        stores += _kept_places(plans, sizes)
        arrays += [f"operand{k}" for k in range(len(plans.operands))]
        arrays += ["saved"] if plans.saved else []
    return _Planner(kind, sizes, places, arrays).plan(stores, [])


def _backward_plan(plans: Plans, sizes: Sizes) -> Plan:
    traced, gradients = plans.traced, plans.gradients
    places = _leaf_places(plans, sizes)
    for i, state in enumerate(traced.states):
        if not state.is_leaf and state.op != "const":
            places.setdefault(state, Place(f"new{i}", sizes.of_leaf("state", i, state.width)))
    if not traced.output.is_leaf:
        places[traced.output] = Place("y", sizes.of(traced.output))
    for node, place in _kept_places(plans, sizes):
        places.setdefault(node, place)
    stores = []
    for i, g in enumerate(gradients.states):
        if g is not None:
            stores.append((g, Place(f"back{i}", sizes.of_leaf("state", i, g.width))))
    stores += [(g, Place(f"flow{k}", sizes.of(g))) for k, g in enumerate(plans.flows)]
    if gradients.x is not None:
        stores.append((gradients.x, Place("gx", sizes.of_leaf("x", 0, gradients.x.width))))
    uniforms = [(g, Place(f"sum{k}", sizes.of(g))) for k, g in enumerate(plans.sums)]
    arrays = _common_arrays(plans)
    arrays += [f"operand{k}" for k in range(len(plans.operands))]
    arrays += ["saved"] if plans.saved else []
    arrays += ["gy", *(f"gfinal{i}" for i in range(len(traced.states)))]
    arrays += [f"ghistory{i}" for i in range(len(traced.states))]
    arrays += [f"gafter{i}" for i in range(len(traced.states))]
    arrays += [f"gstate{i}" for i in range(len(traced.states))]
    arrays += [f"gfresh{i}" for i in range(len(traced.states))]
    arrays += [f"flow{k}" for k in range(len(plans.flows))] + ["gx"]
    arrays += [f"sum{k}" for k in range(len(plans.sums))]
    return _Planner("backward", sizes, places, arrays).plan(stores, uniforms)


def _common_arrays(plans: Plans) -> list[str]:
    states = range(len(plans.traced.states))
    return [
        "x",
        "y",
        *(f"{name}{i}" for name in ("state", "fresh", "final", "history", "mask") for i in states),
    ]


def _leaf_places(plans: Plans, sizes: Sizes) -> dict[Node, Place]:
    places: dict[Node, Place] = {}
    found = (plans.traced.output, *plans.traced.states, *_roots(plans.gradients))
    for node in ordered(found):
        match node.op:
            case "x":
                places[node] = Place("x", sizes.of(node))
            case "state":
                places[node] = Place(f"old{node.value}", sizes.of(node))
            case "mask":
                places[node] = Place(f"mask{node.value}", sizes.of(node))
            case "grad_output":
                places[node] = Place("gy", sizes.of(node))
            case "grad_state":
                places[node] = Place(f"carry{node.value}", sizes.of(node))
    return places


def _kept_places(plans: Plans, sizes: Sizes) -> list[tuple[Node, Place]]:
    """Return the places of forward values that wait for the backward pass."""
    found = [(node, Place(f"operand{k}", sizes.of(node))) for k, node in enumerate(plans.operands)]
    stride = sizes.number("saved", sum(max(n.width, 1) for n in plans.saved))
    at = 0
    for k, node in enumerate(plans.saved):
        found.append((node, Place("saved", stride, sizes.number(f"saved{k}", at))))
        at += max(node.width, 1)
    return found


def place_of(node: Node, places: dict[Node, Place], sizes: Sizes) -> Place:
    """Return the place of a node; that of a slice without its own is within the whole vector."""
    if node in places or node.op != "slice":
        return places[node]
    whole = places[node.args[0]]
    start = node.value[0] + (sizes.values[whole.offset] if whole.offset != "0" else 0)
    return Place(whole.array, whole.stride, sizes.number(f"{whole} from {start}", start))


class _Planner:
    """Puts nodes into levels and levels into phases.

    A node is *given* if it lies in memory before the step begins. Slices and what is put
    together are not computed: the one is read in its whole, the other written part by part.
    """

    def __init__(
        self, kind: Kind, sizes: Sizes, places: dict[Node, Place], arrays: list[str]
    ) -> None:
        self.kind, self.sizes, self.places, self.arrays = kind, sizes, places, arrays
        self.given = set(places)
        self.scratch: dict[str, str] = {}
        self.of_a_row: set[str] = set()
        self.crossing: set[Node] = set()
        self.again: dict[Node, set[int]] = {}
        self.matrices: dict[Matrix, None] = {}
        self.level: dict[Node, int] = {}
        self.breaks: set[int] = set()
        self.stores: dict[Node, list[Place]] = {}

    def plan(self, stores: list[tuple[Node, Place]], uniforms: list[tuple[Node, Place]]) -> Plan:
        """The plan that leaves these nodes where they are wanted."""
        order = self._needed([*(n for n, _ in stores), *(n for n, _ in uniforms)])
        for node in order:
            self.level[node] = self._level_of(node)
        for node, place in stores:
            self._store(node, place)
        self.crossing = {arg for node in order for arg in node.args if self._crosses(node, arg)}
        for node in order:
            for arg in node.args:
                self._keep_for(node, arg)

        summed = {part for node, place in uniforms for part, _ in self._parts(node, place)}
        idle = self._idle(order, summed)
        levels = [Level() for _ in range(max([0, *self.level.values()]) + 1)]
        products: dict[int, list[Product]] = {}
        for node in order:
            if node.op == "affine":
                products.setdefault(self.level[node], []).extend(self._products(node))
            elif node.op in REDUCTIONS:
                self._loop(levels, node.args[0], self.level[node]).sums.append(node)
            elif node.op in ("cat", "spread", "slice"):
                continue
            elif node.width == 0:
                levels[self.level[node]].numbers.append(node)
            else:
                own = () if node in idle else (self.level[node],)
                for level in (*own, *self.again.get(node, ())):
                    self._loop(levels, node, level).nodes.append(node)
        for node, targets in self.stores.items():
            for place in targets:
                if node.width == 0:
                    levels[self._at(node)].number_stores.append((node, place))
                else:
                    self._loop(levels, node, self._at(node)).stores.append((node, place))
        for node, place in uniforms:
            for part, where in self._parts(node, place):
                if part.width == 0:
                    levels[self._at(part)].number_uniforms.append((part, where))
                else:
                    self._loop(levels, part, self._at(part)).uniforms.append((part, where))
        phases: list[Phase] = []
        for number, level in enumerate(levels):
            if number == 0 or number in self.breaks:
                phases.append(Phase(products.get(number, [])))
            phases[-1].levels.append(level)
        for phase, following in zip(phases, [*phases[1:], phases[0]], strict=True):
            phase.meets = self._waits_for_others(phase, following)
        groups = self._groups(phases)
        matrices = list(self.matrices)
        return Plan(
            self.kind,
            phases,
            self.arrays,
            self.scratch,
            self.of_a_row,
            self.places,
            matrices,
            groups,
        )

    def _waits_for_others(self, phase: Phase, following: Phase) -> bool:
        """A product reads what all threads have written, and what is read may be written anew."""
        reads = any(p.source.array != "x" for p in following.products)
        return reads or any(p.source.array in self.scratch for p in phase.products)

    def _groups(self, phases: list[Phase]) -> dict[str, str] | None:
        """Return the widths by which threads can share out units, or None if they cannot.

        Nothing may be summed over units, each thread must read only results of its own, and
        those of a product in parts of one width that follow each other.
        """
        read: dict[str, dict[tuple[int, str], None]] = {}
        whole: dict[str, int] = {}
        for phase in phases:
            (level, *more) = phase.levels
            if more or level.numbers or level.number_stores or level.number_uniforms:
                return None
            for loop in level.loops.values():
                if loop.sums:
                    return None
                values = [a for node in loop.nodes for a in node.args]
                values += [node for node, _ in (*loop.stores, *loop.uniforms)]
                for value in values:
                    within = value.op == "slice" and value not in self.places
                    root = value.args[0] if within else value
                    if value.op == "slice" and root.op == "grad_state":
                        return None
                    if root.op == "affine" and self.places[root].array in self.scratch:
                        array = self.places[root].array
                        whole[array] = root.width
                        start = value.value[0] if value.op == "slice" else 0
                        read.setdefault(array, {})[start, self.sizes.of(value)] = None
        groups = {}
        for array, parts in read.items():
            ((width, *others),) = [list(dict.fromkeys(w for _, w in parts))]
            size = self.sizes.values[width]
            if others or whole[array] % size or any(start % size for start, _ in parts):
                return None
            groups[array] = width
        return groups

    def _needed(self, wanted: list[Node]) -> list[Node]:
        """Nodes to compute, each after its arguments: stops at what is given."""
        order: dict[Node, None] = {}
        pending = [(node, False) for node in reversed(wanted)]
        while pending:
            node, ready = pending.pop()
            if ready:
                order.setdefault(node)
            elif node not in order and not self._is_given(node):
                pending.append((node, True))
                pending += [(a, False) for a in reversed(node.args)]
        return list(order)

    def _is_given(self, node: Node) -> bool:
        root = node.args[0] if node.op == "slice" else node
        return root.is_leaf or root in self.given or node in self.given

    def _at(self, node: Node) -> int:
        """The level a node is there from; 0 of what is given."""
        return self.level.get(node, 0)

    def _level_of(self, node: Node) -> int:
        if node.op == "affine":
            computed = [self.level[a] for a in node.args if not self._is_given(a)]
            level = 1 + max(computed) if computed else 0
            if computed:
                self.breaks.add(level)
            return level
        waits = 0
        for arg in node.args:
            if node.op == "width" or self._is_given(arg):
                continue
            reduced = arg.op in (*REDUCTIONS, "cat") and node.op != "slice"
            looked_into = node.op == "number_of" and arg.op not in ("affine", "slice")
            waits = max(waits, self.level[arg] + (reduced or looked_into))
        return waits

    def _keep_for(self, node: Node, arg: Node) -> None:
        """Put `arg` into memory if `node` cannot have it from a register."""
        if self._is_given(arg) or arg.op in ("affine", "slice") or arg in self.places:
            return
        here, there = self.level[arg], self._at(node)
        if arg.width == 0:
            wanted = self._crosses(node, arg)
        else:
            wanted = node.op == "affine" or arg.op == "cat" or there > here
        if not wanted or (arg.op == "cat" and node.op == "slice"):
            return
        if arg not in self.crossing and (made_of := self._made_again(arg)):
            for part in made_of:
                self.again.setdefault(part, set()).add(there)
            return
        if not self.stores.get(arg):
            room = self._room("t", arg)
            if arg not in self.crossing and arg.op != "cat":
                self.of_a_row.add(room.array)
                room = Place(room.array, "0")
            self._store(arg, room)
        if arg.op != "cat":
            self.places.setdefault(arg, self.stores[arg][0])

    def _crosses(self, node: Node, arg: Node) -> bool:
        """Return whether products lie between a value and its use."""
        if self._is_given(arg):
            return False
        return any(self.level[arg] < b <= self._at(node) for b in self.breaks)

    def _made_again(self, node: Node) -> list[Node]:
        """Return the nodes to compute again for a value, if that takes one load and a few
        operations, no more than storing it would; an empty list if it takes more."""
        found, sources, pending = [], set(), [node]
        while pending:
            part = pending.pop()
            if part.width == 0:
                continue
            if part.is_uniform or part.op in ("affine", "slice") or self._is_given(part):
                sources.add(part)
            elif part.is_pointwise and part.op not in TRANSCENDENTAL:
                found.append(part)
                pending += part.args
            else:
                return []
        return found if len(sources) <= 1 and len(found) <= 3 else []

    def _idle(self, order: list[Node], summed: set[Node]) -> set[Node]:
        """Return the nodes that every user computes again, so that their first place is idle."""
        users: dict[Node, list[Node]] = {}
        for node in order:
            for arg in node.args:
                users.setdefault(arg, []).append(node)
        idle: set[Node] = set()
        for node in reversed(order):
            if node not in self.again or node in self.stores or node in summed:
                continue
            own = self.level[node]
            if not any(
                (self._at(user) == own and user not in idle) or own in self.again.get(user, ())
                for user in users.get(node, ())
            ):
                idle.add(node)
        return idle

    def _store(self, node: Node, place: Place) -> None:
        if node.op == "cat" and not self._is_given(node):
            self.places.setdefault(node, place)
        for part, where in self._parts(node, place):
            self.stores.setdefault(part, []).append(where)

    def _parts(self, node: Node, place: Place) -> Iterator[tuple[Node, Place]]:
        """A value and where it goes; of one put together, each part."""
        if node.op != "cat" or self._is_given(node):
            yield node, place
            return
        assert place.offset == "0"
        at = 0
        for k, part in enumerate(node.args):
            offset = self.sizes.number(f"{self.kind} {place.array} part {k}", at)
            yield part, Place(place.array, place.stride, offset)
            at += part.width

    def _products(self, node: Node) -> Iterator[Product]:
        place = self.places[node] = self._room("a", node)
        matrices, biases = node.value
        # Products of the input alone come first: they may have been computed before the loop.
        terms = sorted(zip(node.args, matrices, strict=True), key=lambda t: t[0].op != "x")
        for k, (source, matrix) in enumerate(terms):
            self.matrices.setdefault(matrix)
            yield Product(
                place,
                self.sizes.of(node),
                self._place_of(source),
                self.sizes.of(source),
                matrix,
                biases if k == 0 else (),
                adds=k > 0,
            )

    def _place_of(self, node: Node) -> Place:
        return place_of(node, self.places, self.sizes)

    def _loop(self, levels: list[Level], node: Node, level: int) -> Loop:
        width = self.sizes.of(node)
        return levels[level].loops.setdefault(width, Loop(width))

    def _room(self, letter: str, node: Node) -> Place:
        name = f"{letter}{len(self.scratch)}"
        self.scratch[name] = self.sizes.of(node)
        return Place(name, f"ld_{name}")
