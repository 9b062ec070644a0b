"""From plans to C: one function a plan, readable, the same for all sizes of a cell.

A function runs the rows of one thread through all steps. Rows are sorted by length, so those that
still run are the first `n`; `at` is the row of a sequence array at which this thread's part of a
step begins, `before` that of the step before. Vectors, their functions and the products of
packed matrices are written by hand, in `elman/kernels/c`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from itertools import chain

from elman.kernels.graph import REDUCTIONS, Node
from elman.kernels.plan import Level, Loop, Phase, Place, Plan, Plans, Product, place_of


@dataclass(frozen=True)
class Target:
    """An instruction set.

    Attributes:
        name: as people call it.
        vector: bytes of a register.
        rows, panel: the tile of a product, in rows and in registers of columns. Its sums, one row
            of the panel and one number fit into the registers: 32 of AVX-512 and NEON, 16 of
            AVX2 and SSE.
        flags: what the compiler is told.
        machine: as `platform.machine()` calls processors that may have it.
    """

    name: str
    vector: int
    rows: int
    panel: int
    flags: tuple[str, ...]
    machine: str = "x86_64"


_AVX512 = "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512"
TARGETS = {
    "avx512": Target("avx512", 64, 8, 3, tuple(_AVX512.split())),
    "avx2": Target("avx2", 32, 6, 2, ("-mavx2", "-mfma")),
    "sse": Target("sse", 16, 6, 2, ("-msse4.1",)),
    "neon": Target("neon", 16, 6, 4, (), "aarch64"),
}
"""Best first for each kind of processor."""


def prelude(target: Target, double: bool) -> str:
    """Return the beginning of every source: the type of numbers and the size of a register."""
    size = 8 if double else 4
    return (
        f"typedef {'double' if double else 'float'} T;\n"
        f"typedef {'long long' if double else 'int'} I;\n"
        f"#define DOUBLE {int(double)}\n"
        f"#define V {target.vector // size}\n"
        f"#define R {target.rows}\n"
        f"#define W {target.panel}\n"
        f"{_shapes(target)}"
    ) + _text("vectors.h")


def _shapes(target: Target) -> str:
    """Return `SHAPES(f)`, f(r, w) for each shape of a tile, and `TABLE(f)`, the functions f_r_w."""
    rows, vectors = range(1, target.rows + 1), range(1, target.panel + 1)
    shapes = [" ".join(f"f({r}, {w})" for w in vectors) for r in rows]
    named = ["{" + ", ".join(f"f##_{r}_{w}" for w in vectors) + "}" for r in rows]
    line, row = " \\\n    ", ", \\\n     "
    return (
        f"#define SHAPES(f){line}{line.join(shapes)}\n#define TABLE(f){line}{{{row.join(named)}}}\n"
    )


def products_sources(target: Target, double: bool) -> tuple[str, str]:
    """The sources of packing and products, and of sums over rows, which all cells share."""
    lanes = target.vector // (8 if double else 4)
    shared = [prelude(target, double), _transposition(lanes), _text("tiles.h")]
    products, sums = ("\n".join([*shared, _text(name)]) for name in ("products.c", "sums.c"))
    return products, sums


def _transposition(lanes: int) -> str:
    """`turn`, which transposes a square of registers: pieces of half their size change places,
    then pieces of a quarter, and so on."""
    lines = ["/* The square whose rows are r, transposed. */", "INLINE void turn(vec r[V]) {"]
    apart = lanes // 2
    while apart:
        own = [n if not n & apart else n - apart + lanes for n in range(lanes)]
        other = [n + apart if not n & apart else n + lanes for n in range(lanes)]
        for i in (n for n in range(lanes) if not n & apart):
            k = i + apart
            lines.append("    {")
            lines.append(f"        const vec a = r[{i}], b = r[{k}];")
            lines.append(f"        r[{i}] = SHUFFLE(a, b, {', '.join(map(str, own))});")
            lines.append(f"        r[{k}] = SHUFFLE(a, b, {', '.join(map(str, other))});")
            lines.append("    }")
        apart //= 2
    return "\n".join([*lines, "}", ""])


def halves_source(target: Target) -> str:
    """The source of packing and products where matrices are bfloat16."""
    return prelude(target, double=False) + _text("halves.c")


def cell_source(plans: Plans, target: Target, double: bool) -> str:
    """The source of a cell's three functions."""
    functions = [_Function(plans, plan).text() for plan in plans.plans.values()]
    return "\n".join([prelude(target, double), _text("step.h"), *functions])


def _text(name: str) -> str:
    return (resources.files("elman.kernels") / "c" / name).read_text(encoding="utf-8")


class _Function:
    """Writes the function of one plan."""

    def __init__(self, plans: Plans, plan: Plan) -> None:
        self.plans, self.plan, self.sizes = plans, plan, plans.sizes
        self.backward = plan.kind == "backward"
        self.states = range(len(plans.traced.states))
        self.names: dict[Node, str] = {}
        self.lines: list[str] = []
        self.depth = 1

    def text(self) -> str:
        """The function and the one that says how much scratch memory it takes."""
        body = self._collect(self._body)
        declarations = self._collect(self._declare)
        kind = self.plan.kind
        return "\n".join(
            [
                f"static void {kind}_rows(const Args *a, MAYBE const long me,",
                f"{'':{len(kind) + 18}}MAYBE const long team, MAYBE Gate *gate)",
                "{",
                *_without_idle([*declarations, *body]),
                "}",
                "",
                f"long {kind}_room(const long *d, const long rows)",
                "{",
                *_without_idle(self._collect(self._room)),
                "}",
                "",
                f"void {kind}(const Args *a) {{ in_threads(a, {kind}_rows); }}",
                "",
            ]
        )

    def _collect(self, write: Callable[[], None]) -> list[str]:
        kept, self.lines = self.lines, []
        write()
        written, self.lines = self.lines, kept
        return written

    def _say(self, line: str = "") -> None:
        self.lines.append("    " * self.depth + line if line else "")

    # --- declarations -----------------------------------------------------------------------

    def _declare(self) -> None:
        self._say("const long lo = a->by_units ? 0 : a->split[me];")
        self._say("const long hi = a->by_units ? a->batch : a->split[me + 1], rows = hi - lo;")
        self._say("if (rows <= 0) return;")
        self._say("MAYBE const long mine = team > 1 ? me : 0; /* share of the units */")
        self._say("const long *const d = a->d;")
        self._declare_sizes()
        for name in self.sizes.values:
            if name.startswith("n"):
                self._say(
                    f"MAYBE const long from_{name} = share_of({name}, me * (team > 1), team);"
                )
                end = f"share_of({name}, me * (team > 1) + 1, team)"
                self._say(f"MAYBE const long to_{name} = {end};")
        for k, name in enumerate(self.plan.arrays):
            self._say(f"MAYBE T *const {name}_ = a->table[{k}];")
        panels = len(self.plan.arrays)
        for k in range(len(self.plan.matrices)):
            self._say(f"MAYBE const T *const panel{k} = a->table[{panels + k}];")
        early = panels + len(self.plan.matrices)
        for k in range(len(self.plan.matrices)):
            self._say(f"MAYBE const T *const early{k} = a->table[{early + k}];")
        vectors = early + len(self.plan.matrices)
        self._say(f"MAYBE T *const *const vectors = a->table + {vectors};")
        self._say("T *room = a->scratch + (a->by_units ? 0 : me * a->room);")
        for name, size in self.plan.scratch.items():
            # Products of the input alone may lie elsewhere; each step looks for them.
            kind, own = ("long", "own_") if name in self._from_input() else ("const long", "")
            self._say(f"{kind} ld_{name} = spread({size});")
            rows = "" if name in self.plan.of_a_row else "rows * "
            self._say(f"T *const {own}{name} = take(&room, {rows}ld_{name});")
        biases = self._biases()
        for name in biases:
            self._say(f"T *const bias_{name} = take(&room, padded({self.plan.scratch[name]}));")
        if biases:
            self._say("if (mine == 0) {")
            for name, indices in biases.items():
                terms = " + ".join(f"vectors[{b}][j]" for b in indices)
                size = self.plan.scratch[name]
                self._say(f"    for (long j = 0; j < {size}; j++) bias_{name}[j] = {terms};")
            self._say("}")
            self._say("meet(gate);")
        for i in self.states:
            width = self._width(i)
            self._say(f"T *const begun{i} = take(&room, rows * {width});")
            names = ("carry", "back") if self.backward else ("even", "odd")
            for name in names:
                const = "" if self.backward else "const "
                self._say(f"MAYBE T *{const}{name}{i} = take(&room, rows * {width});")

    def _declare_sizes(self) -> None:
        for k, name in enumerate(self.sizes.values):
            self._say(f"MAYBE const long {name} = d[{k}];")

    def _room(self) -> None:
        self._declare_sizes()
        terms = [
            f"taken({'' if name in self.plan.of_a_row else 'rows * '}spread({size}))"
            for name, size in self.plan.scratch.items()
        ]
        terms += [f"taken(padded({self.plan.scratch[name]}))" for name in self._biases()]
        terms += [f"3 * taken(rows * {self._width(i)})" for i in self.states]
        self._say(f"return {' + '.join(terms) or 0};")

    def _biases(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for phase in self.plan.phases:
            for product in phase.products:
                if product.biases:
                    found[product.out.array] = product.biases
        return found

    def _from_input(self) -> set[str]:
        """Arrays of products of the input alone: read where they were made before the loop."""
        products = [p for phase in self.plan.phases for p in phase.products]
        names = {p.out.array for p in products}
        return names - {p.out.array for p in products if p.source.array != "x" or p.adds}

    def _width(self, i: int) -> str:
        return self.sizes.of_leaf("state", i, self.plans.traced.states[i].width)

    # --- the loop over time -----------------------------------------------------------------

    def _body(self) -> None:
        if self.backward:
            self._backward_body()
        else:
            self._forward_body()

    def _forward_body(self) -> None:
        for i in self.states:
            self._say(f"never_ran(a, lo, hi, state{i}_, final{i}_, {self._range(i)});")
        self._say("for (long s = a->begin; s < a->end; s++) {")
        self.depth += 1
        self._step_head()
        self._say("if (n == 0) break;")
        self._old_states()
        for i in self.states:
            width, odd = self._width(i), f"(s & 1 ? odd{i} : even{i})"
            if i == self.plans.state_is_output:
                continue
            self._say(f"T *const new{i} = history{i}_ ? history{i}_ + at * {width} : {odd};")
        self._say(f"T *const y = y_ + at * {self._output_width()};")
        self._sequence_pointers()
        for phase in self.plan.phases:
            self._phase(phase)
        for i in self.states:
            new = "y" if i == self.plans.state_is_output else f"new{i}"
            self._say(f"ended(a, s, lo, n, {new}, final{i}_, {self._range(i)});")
        self.depth -= 1
        self._say("}")

    def _backward_body(self) -> None:
        self._say("for (long s = a->end - 1; s >= a->begin; s--) {")
        self.depth += 1
        self._step_head()
        self._say("if (n == 0) continue;")
        self._old_states()
        for i in self.states:
            width = self._width(i)
            if i != self.plans.state_is_output:
                self._say(f"MAYBE const T *const new{i} = history{i}_ + at * {width};")
            self._say(f"enters(a, s, lo, n, gfinal{i}_, carry{i}, {self._range(i)});")
            given = f"ghistory{i}_ + at * {width}, carry{i}"
            self._say(f"if (ghistory{i}_) plus(n, {self._range(i)}, {given});")
            seen = f"carry{i}, gafter{i}_ + at * {width}"
            self._say(f"if (gafter{i}_) copy(n, {self._range(i)}, {seen});")
        self._say(f"MAYBE const T *const y = y_ + at * {self._output_width()};")
        self._sequence_pointers()
        for phase in self.plan.phases:
            self._phase(phase)
        for i, gradient in enumerate(self.plans.gradients.states):
            width = self._width(i)
            if gradient is None:
                self._say(f"clear(n, {self._range(i)}, back{i});")
            self._say(f"if (a->reset) to_fresh(a, at, lo, n, back{i}, gfresh{i}_, {width});")
            self._say(f"swap(&carry{i}, &back{i});")
        self.depth -= 1
        self._say("}")
        for i in self.states:
            pointers = f"carry{i}, gfinal{i}_, gstate{i}_"
            self._say(f"to_start(a, lo, hi, {pointers}, {self._range(i)});")

    def _step_head(self) -> None:
        self._say("const long n = running(a, s, lo, hi);")
        self._say("const long at = a->first[s] + lo;")
        self._say("MAYBE const long before = s > a->begin ? a->first[s - 1] + lo : 0;")

    def _old_states(self) -> None:
        for i in self.states:
            width = self._width(i)
            if i == self.plans.state_is_output:
                past = f"y_ + before * {width}"
            elif self.backward:
                past = f"history{i}_ + before * {width}"
            else:
                kept = f"(s & 1 ? even{i} : odd{i})"
                past = f"(history{i}_ ? history{i}_ + before * {width} : {kept})"
            start = f"state{i}_ + lo * {width}"
            self._say(f"MAYBE const T *old{i} = s > a->begin ? {past} : {start};")
            anew = f"begin_anew(a, at, lo, n, old{i}, fresh{i}_, begun{i}, {width})"
            self._say(f"if (a->reset) old{i} = {anew};")

    def _sequence_pointers(self) -> None:
        """This step's rows of every array that has rows for each step."""
        plans = self.plans
        x = self.sizes.of_leaf("x", 0, plans.traced.input_size)
        wanted: list[tuple[str, str]] = [("x", x)]
        wanted += [(f"mask{i}", self._width(i)) for i in self.states]
        if self.plan.kind != "infer":
            wanted += [(f"operand{k}", self.sizes.of(n)) for k, n in enumerate(plans.operands)]
            stride = sum(max(n.width, 1) for n in plans.saved)
            wanted += [("saved", self.sizes.number("saved", stride))] if plans.saved else []
        if self.backward:
            wanted += [("gy", self._output_width()), ("gx", x)]
            wanted += [(f"flow{k}", self.sizes.of(n)) for k, n in enumerate(plans.flows)]
        for name, width in wanted:
            self._say(f"MAYBE T *const {name} = {name}_ + at * {width};")

    def _range(self, i: int) -> str:
        """Return the width of a state, and the range of its units that is the thread's own."""
        width = self._width(i)
        return f"{width}, from_{width}, to_{width}"

    def _output_width(self) -> str:
        return self.sizes.of(self.plans.traced.output)

    # --- one step ---------------------------------------------------------------------------

    def _phase(self, phase: Phase) -> None:
        for product in phase.products:
            self._product(product)
        if any(v.numbers or v.loops or v.number_stores or v.number_uniforms for v in phase.levels):
            self._say("for (long r = 0; r < n; r++) {")
            self.depth += 1
            self.names = {}
            for level in phase.levels:
                self._level(level)
            self.depth -= 1
            self._say("}")
        if phase.meets:
            self._say("meet(gate);")

    def _product(self, p: Product) -> None:
        panel, name = self.plan.matrices.index(p.matrix), p.out.array
        of_input = p.source.array == "x" and p.source.offset == "0"
        bias = f"bias_{name}" if p.biases else "0"
        if name in self._from_input():
            before = f"(T *)early{panel} + at * {p.width}"
            self._say(f"T *const {name} = early{panel} ? {before} : own_{name};")
            self._say(f"ld_{name} = early{panel} ? {p.width} : spread({p.width});")
            self._say(f"if (!early{panel})")
            self._say(f"    {self._multiply(p, panel, bias, '0')}")
        elif of_input and not p.adds:
            self._say(f"const T *init_{name} = early{panel} + at * {p.width};")
            self._say(f"long ldi_{name} = {p.width};")
            self._say(f"if (!early{panel}) {{")
            self._say(f"    {self._multiply(p, panel, bias, '0')}")
            self._say(f"    init_{name} = {name}, ldi_{name} = ld_{name};")
            self._say("}")
        elif p.adds and self._second(p):
            self._say(self._multiply(p, panel, f"init_{name}", f"ldi_{name}"))
        else:
            init, ldi = (name, f"ld_{name}") if p.adds else (bias, "0")
            self._say(self._multiply(p, panel, init, ldi))

    def _second(self, p: Product) -> bool:
        """Return whether a product adds to one of the input, maybe made before the loop."""
        of_it = [q for h in self.plan.phases for q in h.products if q.out.array == p.out.array]
        first = of_it[0].source
        return of_it[1] is p and first.array == "x" and first.offset == "0"

    def _multiply(self, p: Product, panel: int, init: str, ldi: str) -> str:
        source = p.source.array + ("" if p.source.offset == "0" else f" + {p.source.offset}")
        name = p.out.array
        group = self.plan.group(p)
        return (
            f"multiply(a, n, {p.depth}, {p.width}, {group}, mine, team, {source}, "
            f"{p.source.stride}, panel{panel}, {init}, {ldi}, {name}, ld_{name});"
        )

    def _level(self, level: Level) -> None:
        for node in level.numbers:
            self._compute(node)
        for loop in level.loops.values():
            self._loop(loop)
        for node, place in level.number_stores:
            self._say(f"{self._address(place)}[0] = {self._value(node)}[0];")
        for node, place in level.number_uniforms:
            self._say(f"{place.array}_[me] += {self._value(node)}[0];")

    def _loop(self, loop: Loop) -> None:
        outside = dict(self.names)
        for node in loop.sums:
            self._say(f"vec {self._name(node)} = splat({_start(node)});")
        self._say(f"for (long j = from_{loop.width}; j < to_{loop.width}; j += V) {{")
        self.depth += 1
        self._say(f"const long k = {loop.width} - j;")
        for node in loop.nodes:
            self._compute(node)
        for node, place in loop.stores:
            self._say(f"store({self._address(place)} + j, k, {self._value(node)});")
        for node, place in loop.uniforms:
            where = f"{place.array}_ + me * {place.stride}"
            where += "" if place.offset == "0" else f" + {place.offset}"
            self._say(f"store({where} + j, k, load({where} + j, k) + {self._value(node)});")
        for node in loop.sums:
            name, value = self._name(node), self._value(node.args[0])
            kept = f"first({value}, k, {_start(node)})"
            if node.op == "sum":
                self._say(f"{name} = {name} + {kept};")
            else:
                self._say(f"{name} = v_maximum({name}, {kept});")
        self.depth -= 1
        self._say("}")
        sums = {node: self._name(node) for node in loop.sums}
        for node, name in sums.items():
            self._say(f"{name} = {'total' if node.op == 'sum' else 'largest'}({name});")
        self.names = outside | sums

    def _compute(self, node: Node) -> None:
        if node.op == "number_of":
            expression = f"splat({self._first_of(node.args[0])})"
        else:
            args = ", ".join(self._value(a) for a in node.args)
            expression = f"v_{node.op}({args})"
        self._say(f"const vec {self._name(node)} = {expression};")

    def _value(self, node: Node) -> str:
        """The C name of a node's value, loaded where it is not there yet."""
        if node in self.names:
            return self.names[node]
        if node.op == "const":
            return f"splat({_literal(node.value)})"
        if node.op == "width":
            return f"splat((T){self.sizes.of(node.args[0])})"
        if node.op == "number":
            return f"splat(vectors[{node.value}][0])"
        if node.op == "spread":
            return self._value(node.args[0])
        name = self._name(node)
        if node.is_uniform:
            root = node.args[0] if node.op == "slice" else node
            start = node.value[0] if node.op == "slice" else 0
            offset = self.sizes.number(f"vector {root.value} from {start}", start)
            begin = "" if offset == "0" else f" + {offset}"
            self._say(f"const vec {name} = load(vectors[{root.value}]{begin} + j, k);")
            return name
        place = place_of(node, self.plan.places, self.sizes)
        address = self._address(place)
        if node.width == 0:
            self._say(f"const vec {name} = splat({address}[0]);")
        else:
            if self.backward and _of_steps(place.array):
                self._say(f"SOON({address} + j + (before - at) * {place.stride});")
            self._say(f"const vec {name} = load({address} + j, k);")
        return name

    def _first_of(self, node: Node) -> str:
        """The number in memory where a vector begins."""
        if not node.is_uniform:
            return self._address(place_of(node, self.plan.places, self.sizes)) + "[0]"
        root = node.args[0] if node.op == "slice" else node
        start = node.value[0] if node.op == "slice" else 0
        offset = self.sizes.number(f"vector {root.value} from {start}", start)
        return f"vectors[{root.value}][{offset}]"

    def _name(self, node: Node) -> str:
        if node not in self.names:
            letter = {"state": "s", "affine": "a", "slice": "p"}.get(node.op, "v")
            self.names[node] = f"{letter}{len(self.names)}_{node.op}"
        return self.names[node]

    def _address(self, place: Place) -> str:
        offset = "" if place.offset == "0" else f" + {place.offset}"
        row = "" if place.stride == "0" else f" + r * {place.stride}"
        return f"({place.array}{row}{offset})"


def _without_idle(lines: list[str]) -> list[str]:
    """The lines without declarations of what no other line reads."""
    words = [set(_WORD.findall(line)) for line in lines]
    readers = Counter(chain.from_iterable(words))
    matches = ((number, _MAYBE.match(line)) for number, line in enumerate(lines))
    declared = {number: match["name"] for number, match in matches if match}
    idle: set[int] = set()
    while found := [number for number, name in declared.items() if readers[name] <= 1]:
        for number in found:
            readers.subtract(words[number])
            del declared[number]
        idle.update(found)
    return [line.replace("MAYBE ", "") for n, line in enumerate(lines) if n not in idle]


def _of_steps(array: str) -> bool:
    """Return whether an array was written by the forward pass, long ago and step by step."""
    return array == "saved" or array.startswith(("operand", "old", "new", "gy"))


_WORD = re.compile(r"\w+")
_MAYBE = re.compile(r"\s*MAYBE .*?(?P<name>\w+) = ")


def _start(node: Node) -> str:
    assert node.op in REDUCTIONS
    return "0" if node.op == "sum" else "-INFINITY"


def _literal(value: float) -> str:
    if value != value:
        return "NAN"
    if value in (float("inf"), float("-inf")):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"(T){value!r}"
