"""One step of a recurrence as data: what is computed for one row of a batch.

A node is a value that every row has: a vector as wide as a layer, or one number. Time, batches
and memory do not occur here. Three kinds of nodes matter to a kernel:

- **products**: `affine` nodes, sums of (row vector times matrix) and biases;
- **reductions**: a vector of a row to one number: `sum`, `amax`;
- **pointwise** operations, everything else that computes.

A `Graph` makes nodes and simplifies while it does: equal nodes are one node, constants are
folded, a sum of products is one product of several terms, and a slice of a pointwise value
becomes the pointwise value of slices, so that slices are only taken of what lies in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

UNIFORM = ("vector", "number", "const", "width")
"""Nodes with one value for all rows: a parameter's vector or number, a constant, a node's width."""
LEAVES = ("x", "state", "mask", "grad_output", "grad_state", *UNIFORM)
"""Nodes that are given and not computed."""
REDUCTIONS = ("sum", "amax")

UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda a: -a,
    "relu": lambda a: max(a, 0.0),
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "softplus": lambda a: math.log1p(math.exp(a)),
    "sqrt": math.sqrt,
    "reciprocal": lambda a: 1 / a,
    "abs": abs,
    "sign": lambda a: math.copysign(1.0, a) if a else 0.0,
    "sin": math.sin,
    "cos": math.cos,
    "atan": math.atan,
    "erf": math.erf,
    "floor": lambda a: float(math.floor(a)),
    "ceil": lambda a: float(math.ceil(a)),
    "round": lambda a: float(round(a)),
    "not": lambda a: float(not a),
    "detach": lambda a: a,
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "maximum": max,
    "minimum": min,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "and": lambda a, b: float(bool(a) and bool(b)),
    "or": lambda a, b: float(bool(a) or bool(b)),
}
POINTWISE = frozenset({*UNARY, *BINARY, "where"})
TRANSCENDENTAL = frozenset(
    {"exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "sqrt", "sin", "cos"}
    | {"atan", "erf", "pow", "div", "reciprocal"}
)
"""Worth keeping for the backward pass rather than computing twice."""


@dataclass(frozen=True)
class Matrix:
    """A parameter `(K, N)` that multiplies row vectors from the right, or its transpose.

    Attributes:
        index: which prepared parameter.
        transposed: whether `parameter.T` is meant.
    """

    index: int
    transposed: bool

    @property
    def T(self) -> Matrix:
        """The other way round."""
        return Matrix(self.index, not self.transposed)


@dataclass(frozen=True, eq=False)
class Node:
    """A value of one row.

    Attributes:
        op: what makes it; see the module.
        args: the nodes it is made of.
        width: how many numbers; 0 for a single one that goes with vectors of any width.
        value: index of a leaf, value of a constant, `(start,)` of a slice, matrices and biases
            (indices of vectors) of an `affine`.
        line: the line of the cell it comes from, for messages and for comments in the source.
    """

    op: str
    args: tuple[Node, ...]
    width: int
    value: Any = None
    line: str = ""

    @property
    def is_pointwise(self) -> bool:
        """Return whether the node is computed number by number."""
        return self.op in POINTWISE

    @property
    def is_leaf(self) -> bool:
        """Return whether the node is given rather than computed."""
        return self.op in LEAVES or (self.op == "slice" and self.args[0].is_leaf)

    @property
    def is_uniform(self) -> bool:
        """Return whether the node has one value for all rows."""
        root = self.args[0] if self.op == "slice" else self
        return root.op in UNIFORM


@dataclass
class Graph:
    """Makes nodes; see the module.

    Attributes:
        line: put into every node that is made, until it is set anew.
    """

    line: str = ""
    _made: dict[Any, Node] = field(default_factory=dict)

    def const(self, value: float) -> Node:
        """A constant."""
        return self._node("const", (), 0, float(value))

    def leaf(self, op: str, index: int, width: int) -> Node:
        """Return a value that the step is given: `x`, a `state`, a parameter's `vector`, ..."""
        assert op in LEAVES
        return self._node(op, (), width, index)

    def width_of(self, node: Node) -> Node:
        """Return the width of `node`, as a number that goes with every row."""
        return self._node("width", (node,), 0)

    def pointwise(self, op: str, *given: Node) -> Node:
        """`op` number by number; single numbers go with vectors."""
        args = given
        assert op in POINTWISE
        if any(a.op == "spread" for a in args):
            args = tuple(a.args[0] if a.op == "spread" else a for a in args)
            width = max(a.width for a in given)
            return self.vector_of(self.pointwise(op, *args), width)
        if all(a.op == "const" for a in args):
            folded = _fold(op, *(a.value for a in args))
            if folded is not None:
                return self.const(folded)
        simple = self._simpler(op, args)
        if simple is not None:
            return simple
        width = max(a.width for a in args)
        if any(a.width == 1 for a in args) and width > 1:
            args = tuple(self.number_of(a) if a.width == 1 else a for a in args)
        if any(a.width not in (0, width) for a in args):
            raise ValueError(f"{op} of vectors of {[a.width for a in args]} numbers")
        return self._node(op, tuple(args), width)

    def add(self, *nodes: Node) -> Node:
        """The sum of one node or more."""
        total = nodes[0]
        for node in nodes[1:]:
            total = self.pointwise("add", total, node)
        return total

    def mul(self, a: Node, b: Node) -> Node:
        """The product, number by number."""
        return self.pointwise("mul", a, b)

    def reduce(self, op: str, node: Node) -> Node:
        """`sum` or `amax` over a vector; a single number is its own."""
        assert op in REDUCTIONS
        return node if node.width == 0 else self._node(op, (node,), 0)

    def number_of(self, node: Node) -> Node:
        """A vector of one as a single number."""
        if node.width != 1:
            raise ValueError(f"a vector of {node.width} is no single number")
        return self._node("number_of", (node,), 0)

    def vector_of(self, node: Node, width: int) -> Node:
        """A single number in every place of a vector."""
        return node if node.width else self._node("spread", (node,), width, width)

    def slice(self, node: Node, start: int, width: int) -> Node:
        """`width` numbers of a vector from `start` on."""
        if not 0 <= start <= start + width <= node.width:
            raise ValueError(f"{width} numbers from {start} of a vector of {node.width}")
        if width == node.width:
            return node
        if node.op == "slice":
            return self.slice(node.args[0], node.value[0] + start, width)
        if node.op == "spread":
            return self.vector_of(node.args[0], width)
        if node.op == "cat":
            return self._slice_of_cat(node, start, width)
        if node.is_pointwise:
            parts = [self.slice(a, start, width) if a.width else a for a in node.args]
            return self.pointwise(node.op, *parts)
        return self._node("slice", (node,), width, (start,))

    def cat(self, nodes: Iterable[Node]) -> Node:
        """Vectors end to end."""
        parts: list[Node] = []
        for node in nodes:
            for part in node.args if node.op == "cat" else (node,):
                last = parts[-1] if parts else None
                if last is not None and _continues(last, part):
                    whole, start = last.args[0], last.value[0]
                    parts[-1] = self.slice(whole, start, last.width + part.width)
                else:
                    parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return self._node("cat", tuple(parts), sum(p.width for p in parts))

    def affine(
        self,
        terms: Iterable[tuple[Node, Matrix]],
        width: int,
        biases: Iterable[int] = (),
    ) -> Node:
        """Σ v P + Σ b, for row vectors v, matrices P `(v.width, width)` and vectors b."""
        terms = tuple(terms)
        value = (tuple(matrix for _, matrix in terms), tuple(biases))
        return self._node("affine", tuple(v for v, _ in terms), width, value)

    def merge(self, a: Node, b: Node) -> Node:
        """The sum of two `affine` nodes that nobody else reads, as one."""
        assert a.op == b.op == "affine"
        terms = [*zip(a.args, a.value[0], strict=True), *zip(b.args, b.value[0], strict=True)]
        return self.affine(terms, a.width, (*a.value[1], *b.value[1]))

    def _slice_of_cat(self, node: Node, start: int, width: int) -> Node:
        parts, at = [], 0
        for part in node.args:
            low, high = max(start, at), min(start + width, at + part.width)
            if low < high:
                parts.append(self.slice(part, low - at, high - low))
            at += part.width
        return self.cat(parts)

    def _simpler(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Return the node that equals `op` of `args` without computing, for every finite value."""
        first = args[0]
        if op == "neg" and first.op == "neg":
            return first.args[0]
        if len(args) != 2:
            return None
        width = max(a.width for a in args)
        for a, b in (args, args[::-1]):
            if b.op != "const" or a.width != width:
                continue
            right = b is args[1]
            if (op, b.value) in (("add", 0.0), ("mul", 1.0)):
                return a
            if right and (op, b.value) in (("sub", 0.0), ("div", 1.0), ("pow", 1.0)):
                return a
            if (op, b.value) == ("mul", -1.0):
                return self.pointwise("neg", a)
            if not right and (op, b.value) == ("sub", 0.0):
                return self.pointwise("neg", a)
            if right and (op, b.value) == ("pow", 2.0):
                return self.mul(a, a)
        if op == "add" and args[1].op == "neg":
            return self.pointwise("sub", first, args[1].args[0])
        if op == "sub" and args[1].op == "neg":
            return self.pointwise("add", first, args[1].args[0])
        return None

    def _node(self, op: str, args: tuple[Node, ...], width: int, value: Any = None) -> Node:
        key = (op, tuple(id(a) for a in args), width, value)
        if key not in self._made:
            self._made[key] = Node(op, args, width, value, self.line)
        return self._made[key]


def ordered(outputs: Iterable[Node]) -> list[Node]:
    """Every node that `outputs` need, each after those it is made of."""
    order: dict[Node, None] = {}
    pending = [(node, False) for node in reversed(list(outputs))]
    while pending:
        node, ready = pending.pop()
        if ready:
            order.setdefault(node)
        elif node not in order:
            pending.append((node, True))
            pending += [(a, False) for a in reversed(node.args) if a not in order]
    return list(order)


def _continues(a: Node, b: Node) -> bool:
    """Return whether `b` is the slice that follows `a` in the same vector."""
    return (
        a.op == b.op == "slice"
        and a.args[0] is b.args[0]
        and a.value[0] + a.width == b.value[0]
        and not a.args[0].is_pointwise
    )


def _fold(op: str, *values: float) -> float | None:
    if op == "where":
        return values[1] if values[0] else values[2]
    try:
        return UNARY[op](*values) if op in UNARY else BINARY[op](*values)
    except (ArithmeticError, ValueError):
        return None
