"""Rules that turn aten's operations in a step into nodes, one rule for each operation.

A rule takes the reader (which knows what the arguments have become), the traced call and its
arguments, and gives a node, or a list of them where the operation has several results. It keeps
to autograd's gradients where a kink leaves a choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch

from elman.kernels.graph import Graph, Matrix, Node
from elman.kernels.recording import Operation


class Reader(Protocol):
    """The questions that a rule may ask.

    Attributes:
        graph: where nodes are made.
        batch: the number of rows traced with, by which rows are known.
    """

    graph: Graph
    batch: int

    def row(self, value: Any) -> Node:
        """A value of each row: computed, a constant, or a parameter."""

    def matrix(self, value: Any) -> tuple[Matrix, tuple[int, int]]:
        """A parameter that multiplies rows, and its shape."""

    def shape(self, node: Any) -> tuple[int, ...]:
        """The traced shape of a value."""

    def by_columns(self, node: Operation, axis: int) -> None:
        """Refuse what reaches across rows."""


class Unsupported(Exception):
    """An operation is outside the rules; the message says why."""


Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            RULES[name] = rule
        return rule

    return register


def _pointwise(name: str, make: Callable[..., Node]) -> None:
    """A rule for an operation that takes row values only."""

    def rule(reader: Reader, node: Operation, *args: Any) -> Node:
        rows = [reader.row(a) for a in args]
        result = make(reader.graph, *rows)
        shape = reader.shape(node)
        if not shape and result.is_uniform:
            return result
        if len(shape) != 2 and not (len(shape) == 1 and shape[0] == reader.batch):
            raise Unsupported(f"a value of shape {shape} is no row")
        return result

    RULES[name] = rule


def _plain(op: str) -> Callable[..., Node]:
    return lambda G, *args: G.pointwise(op, *args)


for _op in (
    *("neg", "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sqrt", "reciprocal", "abs"),
    *(
        "sin",
        "cos",
        "atan",
        "erf",
        "floor",
        "ceil",
        "round",
        "maximum",
        "minimum",
        "eq",
        "lt",
        "le",
    ),
):
    _pointwise(_op, _plain(_op))


def _c(G: Graph, value: float) -> Node:
    return G.const(value)


def _log_add_exp(G: Graph, a: Node, b: Node) -> Node:
    """By how far apart they are, of which the exponential cannot overflow; two infinities are 0."""
    apart = G.pointwise("where", G.pointwise("eq", a, b), _c(G, 0.0), G.pointwise("sub", a, b))
    less = G.pointwise("neg", G.pointwise("abs", apart))
    return G.pointwise("add", G.pointwise("maximum", a, b), G.pointwise("softplus", less))


def _lerp(G: Graph, a: Node, b: Node, weight: Node) -> Node:
    """From the nearer end, as torch does, so that both ends are exact."""
    near = G.pointwise("lt", G.pointwise("abs", weight), _c(G, 0.5))
    share = G.pointwise("where", near, weight, G.pointwise("sub", weight, _c(G, 1.0)))
    end = (a if near.value else b) if near.op == "const" else G.pointwise("where", near, a, b)
    return G.add(end, G.mul(share, G.pointwise("sub", b, a)))


def _at_least(G: Graph, a: Node, bound: Node) -> Node:
    """A clamp, whose bound itself still passes the gradient on; a maximum would halve it."""
    return G.pointwise("where", G.pointwise("lt", a, bound), bound, a)


def _at_most(G: Graph, a: Node, bound: Node) -> Node:
    return G.pointwise("where", G.pointwise("lt", bound, a), bound, a)


_MADE: dict[str, Callable[..., Node]] = {
    "sign": lambda G, a: G.pointwise("sign", a),
    "sgn": lambda G, a: G.pointwise("sign", a),
    "relu": lambda G, a: G.pointwise("relu", a),
    "rsqrt": lambda G, a: G.pointwise("reciprocal", G.pointwise("sqrt", a)),
    "square": lambda G, a: G.mul(a, a),
    "exp2": lambda G, a: G.pointwise("exp", G.mul(a, _c(G, 0.6931471805599453))),
    "log2": lambda G, a: G.mul(G.pointwise("log", a), _c(G, 1.4426950408889634)),
    "log10": lambda G, a: G.mul(G.pointwise("log", a), _c(G, 0.4342944819032518)),
    "tan": lambda G, a: G.pointwise("div", G.pointwise("sin", a), G.pointwise("cos", a)),
    "erfc": lambda G, a: G.pointwise("sub", _c(G, 1.0), G.pointwise("erf", a)),
    "pow": lambda G, a, b: G.pointwise("pow", a, b),
    "mul": lambda G, a, b: G.mul(a, b),
    "gt": lambda G, a, b: G.pointwise("lt", b, a),
    "ge": lambda G, a, b: G.pointwise("le", b, a),
    "ne": lambda G, a, b: G.pointwise("not", G.pointwise("eq", a, b)),
    "logical_not": lambda G, a: G.pointwise("not", a),
    "bitwise_not": lambda G, a: G.pointwise("not", a),
    "logical_and": lambda G, a, b: G.pointwise("and", a, b),
    "bitwise_and": lambda G, a, b: G.pointwise("and", a, b),
    "logical_or": lambda G, a, b: G.pointwise("or", a, b),
    "bitwise_or": lambda G, a, b: G.pointwise("or", a, b),
    "logaddexp": _log_add_exp,
    "lerp": _lerp,
    "where": lambda G, c, a, b: G.pointwise("where", c, a, b),
    "clamp_min": lambda G, a, b: _at_least(G, a, b),
    "clamp_max": lambda G, a, b: _at_most(G, a, b),
    "masked_fill": lambda G, a, c, b: G.pointwise("where", c, b, a),
    "_prelu_kernel": lambda G, a, b: G.pointwise(
        "where", G.pointwise("lt", _c(G, 0.0), a), a, G.mul(b, a)
    ),
    "silu": lambda G, a: G.mul(a, G.pointwise("sigmoid", a)),
    "mish": lambda G, a: G.mul(a, G.pointwise("tanh", G.pointwise("softplus", a))),
    "threshold": lambda G, a, bound, below: G.pointwise(
        "where", G.pointwise("le", a, bound), below, a
    ),
    "log_sigmoid": lambda G, a: G.pointwise("neg", G.pointwise("softplus", G.pointwise("neg", a))),
}
for _op, _make in _MADE.items():
    _pointwise(_op, _make)


@_rule("add")
def _add(reader: Reader, node: Operation, a: Any, b: Any, *, alpha: float = 1) -> Node:
    first, second = reader.row(a), reader.row(b)
    G = reader.graph
    if alpha == 1 and first.op == second.op == "affine" and len(a.users) == len(b.users) == 1:
        return G.merge(first, second)
    return G.add(first, second if alpha == 1 else G.mul(second, G.const(alpha)))


@_rule("sub")
def _sub(reader: Reader, node: Operation, a: Any, b: Any, *, alpha: float = 1) -> Node:
    G, second = reader.graph, reader.row(b)
    return G.pointwise(
        "sub", reader.row(a), second if alpha == 1 else G.mul(second, G.const(alpha))
    )


@_rule("rsub")
def _rsub(reader: Reader, node: Operation, a: Any, b: Any, alpha: float = 1) -> Node:
    found: Node = _sub(reader, node, b, a, alpha=alpha)
    return found


@_rule("div")
def _div(reader: Reader, node: Operation, a: Any, b: Any, *, rounding_mode: Any = None) -> Node:
    if rounding_mode is not None:
        # Not the rounded quotient: torch goes by the remainder.
        raise Unsupported(f"rounding_mode={rounding_mode!r}")
    return reader.graph.pointwise("div", reader.row(a), reader.row(b))


@_rule("addcmul", "addcdiv")
def _add_scaled(
    reader: Reader, node: Operation, a: Any, b: Any, c: Any, *, value: float = 1
) -> Node:
    G = reader.graph
    scaled = G.mul(G.const(value), reader.row(b))
    op = "mul" if node.name == "addcmul" else "div"
    return G.add(reader.row(a), G.pointwise(op, scaled, reader.row(c)))


@_rule("gelu")
def _gelu(reader: Reader, node: Operation, a: Any, *, approximate: str = "none") -> Node:
    G, value = reader.graph, reader.row(a)
    if approximate == "tanh":
        cube = G.mul(G.mul(value, value), value)
        bent = G.add(value, G.mul(cube, G.const(0.044715)))
        share = G.pointwise("tanh", G.mul(bent, G.const(math.sqrt(2 / math.pi))))
    else:
        share = G.pointwise("erf", G.mul(value, G.const(math.sqrt(0.5))))
    return G.mul(G.mul(value, G.const(0.5)), G.add(share, G.const(1.0)))


@_rule("glu")
def _glu(reader: Reader, node: Operation, a: Any, dim: int = -1) -> Node:
    reader.by_columns(node, dim)
    G, value = reader.graph, reader.row(a)
    half = value.width // 2
    return G.mul(G.slice(value, 0, half), G.pointwise("sigmoid", G.slice(value, half, half)))


@_rule("clamp")
def _clamp(reader: Reader, node: Operation, a: Any, low: Any = None, high: Any = None) -> Node:
    value = reader.row(a)
    if low is not None:
        value = _at_least(reader.graph, value, reader.row(low))
    if high is not None:
        value = _at_most(reader.graph, value, reader.row(high))
    return value


def _between(G: Graph, a: Node, low: float, high: float) -> Node:
    """Bounds that pass no gradient on."""
    below = G.pointwise("where", G.pointwise("le", _c(G, high), a), _c(G, high), a)
    return G.pointwise("where", G.pointwise("le", a, _c(G, low)), _c(G, low), below)


@_rule("hardtanh")
def _hardtanh(reader: Reader, node: Operation, a: Any, low: float = -1, high: float = 1) -> Node:
    return _between(reader.graph, reader.row(a), low, high)


@_rule("hardsigmoid")
def _hardsigmoid(reader: Reader, node: Operation, a: Any) -> Node:
    G = reader.graph
    within = _between(G, G.pointwise("add", reader.row(a), _c(G, 3.0)), 0, 6)
    return G.pointwise("div", within, _c(G, 6.0))


@_rule("hardswish")
def _hardswish(reader: Reader, node: Operation, a: Any) -> Node:
    G, value = reader.graph, reader.row(a)
    bent = G.mul(value, G.pointwise("add", G.pointwise("div", value, _c(G, 6.0)), _c(G, 0.5)))
    below = G.pointwise("where", G.pointwise("le", value, _c(G, -3.0)), _c(G, 0.0), bent)
    return G.pointwise("where", G.pointwise("le", _c(G, 3.0), value), value, below)


@_rule("softplus")
def _softplus(
    reader: Reader, node: Operation, a: Any, beta: float = 1, threshold: float = 20
) -> Node:
    G = reader.graph
    if beta == 1:
        return G.pointwise("softplus", reader.row(a))
    scaled = G.pointwise("softplus", G.mul(reader.row(a), G.const(beta)))
    return G.pointwise("div", scaled, G.const(beta))


@_rule("log_sigmoid_forward")
def _log_sigmoid_forward(reader: Reader, node: Operation, a: Any) -> list[Node | None]:
    G = reader.graph
    softplus = G.pointwise("softplus", G.pointwise("neg", reader.row(a)))
    return [G.pointwise("neg", softplus), None]


@_rule("elu", "celu")
def _elu(
    reader: Reader, node: Operation, a: Any, alpha: float = 1, scale: float = 1, inside: float = 1
) -> Node:
    G, value = reader.graph, reader.row(a)
    if node.name == "celu":
        inside = 1 / alpha
    # The branch not taken is kept finite, so that its gradient is 0 and not 0 · ∞.
    below = _at_most(G, value, G.const(0.0))
    below = G.mul(G.pointwise("expm1", G.mul(below, G.const(inside))), G.const(alpha * scale))
    positive = G.pointwise("lt", G.const(0.0), value)
    return G.pointwise("where", positive, G.mul(value, G.const(scale)), below)


@_rule("leaky_relu")
def _leaky_relu(reader: Reader, node: Operation, a: Any, slope: float = 0.01) -> Node:
    G, value = reader.graph, reader.row(a)
    positive = G.pointwise("lt", G.const(0.0), value)
    return G.pointwise("where", positive, value, G.mul(value, G.const(slope)))


@_rule("mm", "matmul")
def _mm(reader: Reader, node: Operation, a: Any, b: Any) -> Node:
    matrix, (_, columns) = reader.matrix(b)
    return reader.graph.affine([(reader.row(a), matrix)], columns)


@_rule("addmm")
def _addmm(
    reader: Reader, node: Operation, bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1
) -> Node:
    product: Node = _mm(reader, node, a, b)
    added = reader.row(bias)
    G = reader.graph
    if beta == alpha == 1 and added.op == "vector":
        return G.affine(
            zip(product.args, product.value[0], strict=True), product.width, [added.value]
        )
    return G.add(G.mul(added, G.const(beta)), G.mul(product, G.const(alpha)))


@_rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes")
def _split(reader: Reader, node: Operation, a: Any, sizes: Any, dim: int = 0) -> list[Node]:
    reader.by_columns(node, dim)
    value, parts, at = reader.row(a), [], 0
    if isinstance(sizes, int):
        sizes = [min(sizes, value.width - k) for k in range(0, value.width, sizes)]
    for size in sizes:
        parts.append(reader.graph.slice(value, at, size))
        at += size
    return parts


@_rule("slice")
def _slice(
    reader: Reader,
    node: Operation,
    a: Any,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Node:
    value = reader.row(a)
    if dim == 0 and len(reader.shape(node)) == 2 and reader.shape(node) == reader.shape(a):
        return value
    reader.by_columns(node, dim)
    begin, stop, stride = slice(start, end, step).indices(value.width)
    if stride != 1:
        raise Unsupported("a slice with a step")
    return reader.graph.slice(value, begin, stop - begin)


@_rule("select")
def _select(reader: Reader, node: Operation, a: Any, dim: int, index: int) -> Node:
    reader.by_columns(node, dim)
    value = reader.row(a)
    return reader.graph.number_of(reader.graph.slice(value, index % value.width, 1))


@_rule("cat")
def _cat(reader: Reader, node: Operation, parts: Any, dim: int = 0) -> Node:
    if dim % 2 != 1 or len(reader.shape(node)) != 2:
        raise Unsupported("it reaches across rows")
    G = reader.graph
    rows = [G.vector_of(reader.row(p), width) for p in parts if (width := reader.shape(p)[1])]
    return G.cat(rows)


@_rule("unsqueeze", "squeeze", "expand", "view", "reshape", "_unsafe_view", "expand_as")
def _reshaped(reader: Reader, node: Operation, a: Any, *_: Any, **__: Any) -> Node:
    """Only what leaves a row a row: the same numbers, or a single one spread out."""
    value, shape, rows = reader.row(a), reader.shape(node), reader.batch
    if shape in ((rows,), (rows, 1)) and value.width in (0, 1):
        return value if value.width == 0 else reader.graph.number_of(value)
    if len(shape) == 2 and shape[0] in (rows, 1):
        if value.width == shape[1]:
            return value
        if value.width in (0, 1):
            number = value if value.width == 0 else reader.graph.number_of(value)
            return reader.graph.vector_of(number, shape[1])
    raise Unsupported(f"a value of shape {shape} is no row")


@_rule("clone", "alias", "contiguous", "lift_fresh_copy", "_to_copy", "to")
def _same(reader: Reader, node: Operation, a: Any, *_: Any, **options: Any) -> Node:
    wanted: torch.dtype | None = options.get("dtype")
    if wanted is not None and not wanted.is_floating_point:
        raise Unsupported(f"a cast to {wanted}")
    if wanted in (torch.float16, torch.bfloat16):
        raise Unsupported(f"a cast to {wanted}")
    return reader.row(a)


@_rule("detach")
def _detach(reader: Reader, node: Operation, a: Any) -> Node:
    return reader.graph.pointwise("detach", reader.row(a))


@_rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(reader: Reader, node: Operation, a: Any, *args: Any, **_: Any) -> Node:
    shape = reader.shape(node)
    if shape and (len(shape) != 2 or shape[0] not in (reader.batch, 1)):
        raise Unsupported(f"a value of shape {shape} is no row")
    name = node.name
    value = reader.graph.const(float(args[-1]) if "full" in name else float("ones" in name))
    return reader.graph.vector_of(value, shape[1]) if shape else value


def _over(reader: Reader, node: Operation, dims: Any) -> None:
    """Refuse a reduction that is not over the numbers of a row."""
    if dims is None:
        raise Unsupported("it reaches across rows")
    for dim in [dims] if isinstance(dims, int) else dims or [0]:
        reader.by_columns(node, dim)


@_rule("sum")
def _sum(
    reader: Reader, node: Operation, a: Any, dims: Any = None, keep: bool = False, **_: Any
) -> Node:
    _over(reader, node, dims)
    return reader.graph.reduce("sum", reader.row(a))


def mean_of(G: Graph, value: Node) -> Node:
    """The mean of a row's numbers."""
    return G.pointwise("div", G.reduce("sum", value), G.width_of(value))


@_rule("mean")
def _mean(
    reader: Reader, node: Operation, a: Any, dims: Any = None, keep: bool = False, **_: Any
) -> Node:
    _over(reader, node, dims)
    return mean_of(reader.graph, reader.row(a))


@_rule("amax", "amin")
def _amax(reader: Reader, node: Operation, a: Any, dims: Any = (), keep: bool = False) -> Node:
    _over(reader, node, dims)
    G, value = reader.graph, reader.row(a)
    if node.name == "amax":
        return G.reduce("amax", value)
    return G.pointwise("neg", G.reduce("amax", G.pointwise("neg", value)))


def _root(G: Graph, value: Node) -> Node:
    """A square root whose gradient at 0 is 0, as that of a norm and of a deviation."""
    zero = G.pointwise("eq", value, G.const(0.0))
    root = G.pointwise("sqrt", G.pointwise("where", zero, G.const(1.0), value))
    return G.pointwise("where", zero, G.const(0.0), root)


@_rule("var", "var_mean", "std", "std_mean")
def _var(
    reader: Reader,
    node: Operation,
    a: Any,
    dims: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
) -> Any:
    _over(reader, node, dims)
    G, value = reader.graph, reader.row(a)
    mean = mean_of(G, value)
    apart = G.pointwise("sub", value, mean)
    count = G.pointwise(
        "sub", G.width_of(value), G.const(1.0 if correction is None else correction)
    )
    variance = G.pointwise("div", G.reduce("sum", G.mul(apart, apart)), count)
    name = node.name
    spread = _root(G, variance) if name.startswith("std") else variance
    return [spread, mean] if name.endswith("mean") else spread


@_rule("linalg_vector_norm")
def _norm(
    reader: Reader,
    node: Operation,
    a: Any,
    order: float = 2,
    dims: Any = None,
    keep: bool = False,
    **_: Any,
) -> Node:
    _over(reader, node, dims)
    G, value = reader.graph, reader.row(a)
    if order == 1:
        return G.reduce("sum", G.pointwise("abs", value))
    if order == 2:
        return _root(G, G.reduce("sum", G.mul(value, value)))
    raise Unsupported(f"a norm of order {order}")


@_rule("_softmax", "_log_softmax", "logsumexp")
def _softmax(reader: Reader, node: Operation, a: Any, dim: Any, *_: Any) -> Node:
    _over(reader, node, dim)
    G, value = reader.graph, reader.row(a)
    # The subtracted maximum cancels, in the gradient too.
    top = G.pointwise("detach", G.reduce("amax", value))
    apart = G.pointwise("sub", value, top)
    e = G.pointwise("exp", apart)
    total = G.reduce("sum", e)
    if node.name == "_softmax":
        return G.pointwise("div", e, total)
    log = G.pointwise("log", total)
    return G.pointwise("sub", apart, log) if node.name == "_log_softmax" else G.add(log, top)


@_rule("native_layer_norm", "_fused_rms_norm")
def _layer_norm(
    reader: Reader, node: Operation, a: Any, shape: Any, weight: Any = None, *rest: Any
) -> list[Node | None]:
    G, value = reader.graph, reader.row(a)
    if list(shape) != [value.width]:
        raise Unsupported("it normalises more than a row")
    bias, eps = rest if len(rest) == 2 else (None, rest[0])
    if node.name == "native_layer_norm":
        value = G.pointwise("sub", value, mean_of(G, value))
    if eps is None:
        eps = torch.finfo(a.dtype).eps
    spread = mean_of(G, G.mul(value, value))
    scale = G.pointwise("reciprocal", G.pointwise("sqrt", G.pointwise("add", spread, G.const(eps))))
    value = G.mul(value, scale)
    if weight is not None:
        value = G.mul(value, reader.row(weight))
    if bias is not None:
        value = G.add(value, reader.row(bias))
    return [value, None, None]
