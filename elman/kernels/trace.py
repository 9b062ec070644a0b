"""From a cell to the graph of its step: `forward` is run once on tensors without values.

torch's tracer writes down the aten operations; here each is turned into nodes of
`elman.kernels.graph`. What depends on parameters alone (a transposed weight, a gate's bound, the
complex diagonal of an LRU) is no part of a step: it is kept as a small torch program, run once a
call under autograd, and its results are what kernels know as matrices, vectors and numbers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.func import functional_call

from elman.cells.base import Cell
from elman.kernels.graph import Graph, Matrix, Node

Holds = tuple[str | float | None, ...]
"""For each state how it is held: "mask", a probability, or None."""


class Untraceable(Exception):
    """A cell does something that a kernel cannot; the message says what and on which line."""


@dataclass(frozen=True)
class Traced:
    """A cell's step.

    Attributes:
        graph: where its nodes lie.
        input_size: how wide its input is.
        output, states: what it gives.
        names: the parameters and buffers that `prepare` takes, in order.
        prepare: those to the matrices, vectors and numbers of the graph.
        step: the same step as a torch program `(prepared, x, states, masks)`, for a second
            derivative.
    """

    graph: Graph
    input_size: int
    output: Node
    states: tuple[Node, ...]
    names: tuple[str, ...]
    prepare: Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
    step: Callable[..., Any]


def trace(cell: Cell, holds: Holds | None = None) -> Traced:
    """The step of `cell`, with zoneout if `holds` says how each state is held.

    Raises:
        Untraceable: with the reason and the line of the cell.
    """
    batch = _batch_for(cell)
    named = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    names = tuple(n for n, t in named.items() if t.is_floating_point())
    dtype = next((named[n].dtype for n in names), torch.float32)
    kept = tuple(holds or (None,) * len(cell.state_sizes))

    def step(parameters: list[Tensor], x: Tensor, state: Any, masks: Any) -> Any:
        output, new = functional_call(cell, dict(zip(names, parameters, strict=True)), (x, state))
        return held(kept, masks, state, output, tuple(new))

    program = _program(step, cell, [named[n] for n in names], batch, dtype, kept)
    return _Reader(cell, program, batch, names, kept).read()


def held(
    holds: Holds, masks: Sequence[Tensor | None], old: Any, output: Tensor, new: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Zoneout of one step; an output that is one of the new states follows it."""
    kept: list[Tensor] = []
    for how, mask, before, after in zip(holds, masks, old, new, strict=True):
        if how == "mask":
            assert mask is not None
            kept.append(torch.where(mask != 0, before, after))
        elif how:
            assert isinstance(how, float)
            kept.append(how * before + (1 - how) * after)
        else:
            kept.append(after)
    for after, now in zip(new, kept, strict=True):
        if output is after:
            return now, tuple(kept)
    return output, tuple(kept)


def _batch_for(cell: Cell) -> int:
    """Rows to trace with: a number that is no size of the cell, so that rows are known by it."""
    sizes = {cell.input_size, cell.output_size, *cell.state_sizes}
    sizes |= {n for t in (*cell.parameters(), *cell.buffers()) for n in t.shape}
    batch = 7
    while batch in sizes or any(batch % n == 0 or n % batch == 0 for n in sizes if n > 1):
        batch += 4
        if batch > 10_000:
            return 9_973
    return batch


def _program(
    step: Callable[..., Any],
    cell: Cell,
    parameters: list[Tensor],
    batch: int,
    dtype: torch.dtype,
    holds: Holds,
) -> fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.zeros(batch, cell.input_size, dtype=dtype)
    state = tuple(torch.zeros(batch, n, dtype=dtype) for n in cell.state_sizes)
    masks = [
        torch.zeros_like(s) if how == "mask" else None for how, s in zip(holds, state, strict=True)
    ]
    own = [torch.empty_like(p, device="cpu", requires_grad=False) for p in parameters]
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return make_fx(
                step,
                decomposition_table=_decompositions(),
                tracing_mode="fake",
                _allow_non_fake_inputs=True,
                record_stack_traces=True,
            )(own, x, state, masks)
    except Exception as error:
        # Whatever a user's forward raises on tensors without values: the reference can run it.
        line = _line_of_error(error, cell)
        if "DataDependent" in type(error).__name__:
            raise Untraceable(f"what is done depends on a tensor's value{line}") from error
        told = str(error).strip().splitlines()
        raise Untraceable(f"{told[0] if told else type(error).__name__}{line}") from error


def _decompositions() -> Any:
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    return get_decompositions(
        [
            aten.addcdiv,
            aten.addcmul,
            aten.gelu,
            aten.glu,
            aten.lerp,
            aten.logaddexp,
            aten.mish,
            aten.silu,
            aten.threshold,
        ]
    )


class _Reader:
    """Turns a traced program into nodes, one call of aten after another."""

    def __init__(
        self, cell: Cell, program: fx.GraphModule, batch: int, names: tuple[str, ...], holds: Holds
    ) -> None:
        self.cell, self.program, self.batch = cell, program, batch
        self.names, self.holds = names, holds
        self.graph = Graph()
        self.values: dict[fx.Node, Any] = {}
        self.prepared: dict[fx.Node, int] = {}
        self.placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
        self.unused: set[fx.Node] = set()

    def read(self) -> Traced:
        """The whole program."""
        self._read_placeholders()
        for node in self.program.graph.nodes:
            if _is_random(node):
                raise Untraceable(f"{_name(node)} draws random numbers{_at(node)}")
            if _changes_in_place(node):
                self._check_in_place(node)
            if node.op == "call_function" and self._of_rows(node) and _used(node):
                self.graph.line = _line(node)
                self.values[node] = self._call(node)
        (results,) = next(n for n in self.program.graph.nodes if n.op == "output").args
        output, *states = (self._row(n) for n in results)
        self._check(output, states)
        return Traced(
            self.graph,
            self.cell.input_size,
            output,
            tuple(states),
            self.names,
            _preparation(self.program, self.prepared, len(self.names)),
            _row_program(self.program, self.prepared, len(self.names), self.unused),
        )

    def _read_placeholders(self) -> None:
        rows = iter(self.placeholders[len(self.names) :])
        self.values[next(rows)] = self.graph.leaf("x", 0, self.cell.input_size)
        for i, size in enumerate(self.cell.state_sizes):
            self.values[next(rows)] = self.graph.leaf("state", i, size)
        for i, (size, how) in enumerate(zip(self.cell.state_sizes, self.holds, strict=True)):
            mask = next(rows, None)
            if how == "mask" and mask is not None:
                self.values[mask] = self.graph.leaf("mask", i, size)
            elif mask is not None:
                self.unused.add(mask)

    def _check(self, output: Node, states: list[Node]) -> None:
        sizes = (self.cell.output_size, *self.cell.state_sizes)
        for node, size in zip((output, *states), sizes, strict=True):
            if node.width not in (0, size):
                raise Untraceable(f"an output or state is {node.width} wide and not {size}")

    def _check_in_place(self, node: fx.Node) -> None:
        """Only a value of the step's own may be changed, and only if nothing else is a view of it.

        The tracer puts the result in the place of what was changed, but not in that of its views.
        """
        changed = node.args[0]
        assert isinstance(changed, fx.Node)
        own = changed in self.values and changed.op == "call_function"
        if not own or _is_view(changed) or any(_is_view(user) for user in changed.users):
            raise Untraceable(f"{_name(node)} changes a tensor in place{_at(node)}")

    def _of_rows(self, node: fx.Node) -> bool:
        """Whether a value differs from row to row."""
        return any(a in self.values for a in node.all_input_nodes)

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            whole, index = node.args
            assert isinstance(whole, fx.Node)
            assert isinstance(index, int)
            parts = self.values[whole]
            if not isinstance(parts, list) or index >= len(parts) or parts[index] is None:
                raise Untraceable(f"a result of {_name(whole)} has no kernel{_at(whole)}")
            return parts[index]
        name = _name(node)
        rule = _RULES.get(name[:-1] if _changes_in_place(node) else name)
        if rule is None:
            raise Untraceable(f"{_name(node)} has no kernel{_at(node)}")
        try:
            return rule(self, node, *node.args, **node.kwargs)
        except _Unsupported as error:
            raise Untraceable(f"{_name(node)}: {error}{_at(node)}") from None
        except (TypeError, AssertionError) as error:
            raise Untraceable(
                f"{_name(node)} is called in a way without a kernel{_at(node)}"
            ) from error

    def _row(self, value: Any) -> Node:
        """A value of each row: computed, a constant, or a parameter."""
        if isinstance(value, bool | int | float):
            return self.graph.const(float(value))
        assert isinstance(value, fx.Node), value
        if value in self.values:
            found = self.values[value]
            assert isinstance(found, Node)
            return found
        return self._parameter(value)

    def _parameter(self, value: fx.Node) -> Node:
        if value.target is torch.ops.aten.expand.default and self.batch in self.shape(value):
            return self._expanded(value)
        meta = (
            value.meta["val"] if "val" in value.meta else getattr(self.program, str(value.target))
        )
        if value.target in (torch.ops.aten.full.default, torch.ops.aten.scalar_tensor.default):
            return self.graph.const(float(value.args[-1]))  # type: ignore[arg-type]
        if value.target in (torch.ops.aten.zeros.default, torch.ops.aten.ones.default):
            return self.graph.const(float(value.target is torch.ops.aten.ones.default))
        if not meta.is_floating_point() and meta.dim() == 0 and value.op == "get_attr":
            return self.graph.const(float(getattr(self.program, str(value.target))))
        shape = list(meta.shape)
        if not meta.is_floating_point():
            raise _Unsupported(f"a parameter of {meta.dtype}")
        if self.batch in shape:
            raise _Unsupported("a constant with one entry for each row")
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        index = self.prepared.setdefault(value, len(self.prepared))
        if not shape:
            return self.graph.leaf("number", index, 0)
        if len(shape) == 1:
            return self.graph.leaf("vector", index, shape[0])
        raise _Unsupported(f"a parameter of shape {tuple(meta.shape)} goes with a row")

    def _expanded(self, value: fx.Node) -> Node:
        """A parameter spread out over rows is that parameter."""
        found, shape = self._row(value.args[0]), self.shape(value)
        if len(shape) != 2 or shape[0] != self.batch:
            raise _Unsupported(f"a parameter of shape {shape} goes with a row")
        return (
            found
            if found.width == shape[1] or not found.width
            else self.graph.vector_of(self.graph.number_of(found), shape[1])
        )

    def matrix(self, value: Any) -> tuple[Matrix, tuple[int, int]]:
        """A parameter that multiplies rows; a transposed one is known by what it transposes."""
        if not isinstance(value, fx.Node) or value in self.values:
            raise _Unsupported("a product of two things that differ from row to row")
        transposed = False
        rows, columns = value.meta["val"].shape
        while value.target in (torch.ops.aten.t.default, torch.ops.aten.numpy_T.default):
            value, transposed = value.args[0], not transposed
            assert isinstance(value, fx.Node)
        index = self.prepared.setdefault(value, len(self.prepared))
        return Matrix(index, transposed), (rows, columns)

    def shape(self, node: Any) -> tuple[int, ...]:
        """The traced shape of a value."""
        if isinstance(node, fx.Node):
            meta = node.meta["val"]
            return tuple(meta.shape) if isinstance(meta, Tensor) else ()
        return ()

    def by_columns(self, node: fx.Node, axis: int) -> None:
        """Refuse what reaches across rows."""
        dims = len(self.shape(node.args[0]))
        if dims != 2 or axis % dims != 1:
            raise _Unsupported("it reaches across rows")


class _Unsupported(Exception):
    """An argument that a rule does not take."""


def _name(node: fx.Node) -> str:
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._overloadpacket._qualified_op_name.partition("::")[2]
    return str(getattr(target, "__name__", target))


def _changes_in_place(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _is_random(node: fx.Node) -> bool:
    """Whether it would have to be drawn anew in each step, also where it depends on no row."""
    return (
        isinstance(node.target, torch._ops.OpOverload)
        and torch.Tag.nondeterministic_seeded in node.target.tags
    )


def _is_view(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and any(
        a.alias_info is not None and not a.alias_info.is_write
        for a in node.target._schema.arguments
    )


def _used(node: fx.Node) -> bool:
    return bool(node.users)


_FRAME = re.compile(
    r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<where>\S+)\n\s*(?P<code>.*)'
)


def _line(node: fx.Node) -> str:
    """The line of source that a traced call comes from, as `file:line: code`."""
    frames = list(_FRAME.finditer(node.meta.get("stack_trace") or ""))
    own = [f for f in frames if "/torch/" not in f["file"]]
    return "" if not own else _said(own[-1])


def _said(frame: re.Match[str]) -> str:
    file = frame["file"].rpartition("/")[2]
    return f"{file}:{frame['line']}: {frame['code'].strip()}"


def _at(node: fx.Node) -> str:
    line = _line(node)
    return f" ({line})" if line else ""


def _line_of_error(error: BaseException, cell: Cell) -> str:
    """Where in the cell's own file an error arose."""
    import inspect
    import linecache

    file = inspect.getsourcefile(type(cell).forward)
    found, trace_ = "", error.__traceback__
    while trace_ is not None:
        frame = trace_.tb_frame
        if frame.f_code.co_filename == file and frame.f_code.co_name == "forward":
            code = linecache.getline(str(file), trace_.tb_lineno).strip()
            found = f" ({str(file).rpartition('/')[2]}:{trace_.tb_lineno}: {code})"
        trace_ = trace_.tb_next
    return found


def _preparation(
    program: fx.GraphModule, prepared: dict[fx.Node, int], names: int
) -> Callable[[Sequence[Tensor]], tuple[Tensor, ...]]:
    """What makes the kernel's parameters from the cell's: usually, nothing but choosing them."""
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"][:names]
    if all(node in placeholders for node in prepared):
        chosen = [placeholders.index(node) for node in prepared]
        return lambda parameters: tuple(parameters[i] for i in chosen)
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    wanted = _ancestors(prepared)
    for node in program.graph.nodes:
        if node in placeholders or node in wanted:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    graph.output(tuple(copies[node] for node in prepared))
    module = fx.GraphModule(program, graph)
    return lambda parameters: module(*parameters)


def _row_program(
    program: fx.GraphModule, prepared: dict[fx.Node, int], names: int, unused: set[fx.Node]
) -> Callable[..., Any]:
    """The step in torch operations, of what the kernel takes; without the unused masks."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(f"prepared_{k}") for node, k in prepared.items()}
    parameters = [n for n in program.graph.nodes if n.op == "placeholder"][:names]
    for node in program.graph.nodes:
        known = node in copies or node in parameters or node in unused
        if not known and all(a in copies for a in node.all_input_nodes):
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    module = fx.GraphModule(program, graph)

    def step(parameters: Sequence[Tensor], x: Tensor, state: Sequence[Tensor], masks: Any) -> Any:
        return module(*parameters, x, *state, *masks)

    return step


def _ancestors(nodes: Any) -> set[fx.Node]:
    found: set[fx.Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += node.all_input_nodes
    return found


# --- aten, operation by operation ----------------------------------------------------------

Rule = Callable[..., Any]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            _RULES[name] = rule
        return rule

    return register


def _pointwise(name: str, make: Callable[..., Node]) -> None:
    """A rule for an operation that takes row values only."""

    def rule(reader: _Reader, node: fx.Node, *args: Any) -> Node:
        rows = [reader._row(a) for a in args]
        result = make(reader.graph, *rows)
        shape = reader.shape(node)
        if not shape and result.is_uniform:
            return result
        if len(shape) != 2 and not (len(shape) == 1 and shape[0] == reader.batch):
            raise _Unsupported(f"a value of shape {shape} is no row")
        return result

    _RULES[name] = rule


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
    "where": lambda G, c, a, b: G.pointwise("where", c, a, b),
    "clamp_min": lambda G, a, b: _at_least(G, a, b),
    "clamp_max": lambda G, a, b: _at_most(G, a, b),
    "masked_fill": lambda G, a, c, b: G.pointwise("where", c, b, a),
    "_prelu_kernel": lambda G, a, b: G.pointwise(
        "where", G.pointwise("lt", _c(G, 0.0), a), a, G.mul(b, a)
    ),
    "log_sigmoid": lambda G, a: G.pointwise("neg", G.pointwise("softplus", G.pointwise("neg", a))),
}
for _op, _make in _MADE.items():
    _pointwise(_op, _make)


@_rule("add")
def _add(reader: _Reader, node: fx.Node, a: Any, b: Any, *, alpha: float = 1) -> Node:
    first, second = reader._row(a), reader._row(b)
    G = reader.graph
    if alpha == 1 and first.op == second.op == "affine" and len(a.users) == len(b.users) == 1:
        return G.merge(first, second)
    return G.add(first, second if alpha == 1 else G.mul(second, G.const(alpha)))


@_rule("sub")
def _sub(reader: _Reader, node: fx.Node, a: Any, b: Any, *, alpha: float = 1) -> Node:
    G, second = reader.graph, reader._row(b)
    return G.pointwise(
        "sub", reader._row(a), second if alpha == 1 else G.mul(second, G.const(alpha))
    )


@_rule("rsub")
def _rsub(reader: _Reader, node: fx.Node, a: Any, b: Any, alpha: float = 1) -> Node:
    found: Node = _sub(reader, node, b, a, alpha=alpha)
    return found


@_rule("div")
def _div(reader: _Reader, node: fx.Node, a: Any, b: Any, *, rounding_mode: Any = None) -> Node:
    if rounding_mode is not None:
        # Not the rounded quotient: torch goes by the remainder.
        raise _Unsupported(f"rounding_mode={rounding_mode!r}")
    return reader.graph.pointwise("div", reader._row(a), reader._row(b))


@_rule("clamp")
def _clamp(reader: _Reader, node: fx.Node, a: Any, low: Any = None, high: Any = None) -> Node:
    value = reader._row(a)
    if low is not None:
        value = _at_least(reader.graph, value, reader._row(low))
    if high is not None:
        value = _at_most(reader.graph, value, reader._row(high))
    return value


def _between(G: Graph, a: Node, low: float, high: float) -> Node:
    """Bounds that pass no gradient on."""
    below = G.pointwise("where", G.pointwise("le", _c(G, high), a), _c(G, high), a)
    return G.pointwise("where", G.pointwise("le", a, _c(G, low)), _c(G, low), below)


@_rule("hardtanh")
def _hardtanh(reader: _Reader, node: fx.Node, a: Any, low: float = -1, high: float = 1) -> Node:
    return _between(reader.graph, reader._row(a), low, high)


@_rule("hardsigmoid")
def _hardsigmoid(reader: _Reader, node: fx.Node, a: Any) -> Node:
    G = reader.graph
    within = _between(G, G.pointwise("add", reader._row(a), _c(G, 3.0)), 0, 6)
    return G.pointwise("div", within, _c(G, 6.0))


@_rule("hardswish")
def _hardswish(reader: _Reader, node: fx.Node, a: Any) -> Node:
    G, value = reader.graph, reader._row(a)
    bent = G.mul(value, G.pointwise("add", G.pointwise("div", value, _c(G, 6.0)), _c(G, 0.5)))
    below = G.pointwise("where", G.pointwise("le", value, _c(G, -3.0)), _c(G, 0.0), bent)
    return G.pointwise("where", G.pointwise("le", _c(G, 3.0), value), value, below)


@_rule("softplus")
def _softplus(
    reader: _Reader, node: fx.Node, a: Any, beta: float = 1, threshold: float = 20
) -> Node:
    G = reader.graph
    if beta == 1:
        return G.pointwise("softplus", reader._row(a))
    scaled = G.pointwise("softplus", G.mul(reader._row(a), G.const(beta)))
    return G.pointwise("div", scaled, G.const(beta))


@_rule("log_sigmoid_forward")
def _log_sigmoid_forward(reader: _Reader, node: fx.Node, a: Any) -> list[Node | None]:
    G = reader.graph
    softplus = G.pointwise("softplus", G.pointwise("neg", reader._row(a)))
    return [G.pointwise("neg", softplus), None]


@_rule("elu", "celu")
def _elu(
    reader: _Reader, node: fx.Node, a: Any, alpha: float = 1, scale: float = 1, inside: float = 1
) -> Node:
    G, value = reader.graph, reader._row(a)
    if _name(node) == "celu":
        inside = 1 / alpha
    # The branch not taken is kept finite, so that its gradient is 0 and not 0 · ∞.
    below = _at_most(G, value, G.const(0.0))
    below = G.mul(G.pointwise("expm1", G.mul(below, G.const(inside))), G.const(alpha * scale))
    positive = G.pointwise("lt", G.const(0.0), value)
    return G.pointwise("where", positive, G.mul(value, G.const(scale)), below)


@_rule("leaky_relu")
def _leaky_relu(reader: _Reader, node: fx.Node, a: Any, slope: float = 0.01) -> Node:
    G, value = reader.graph, reader._row(a)
    positive = G.pointwise("lt", G.const(0.0), value)
    return G.pointwise("where", positive, value, G.mul(value, G.const(slope)))


@_rule("mm", "matmul")
def _mm(reader: _Reader, node: fx.Node, a: Any, b: Any) -> Node:
    matrix, (_, columns) = reader.matrix(b)
    return reader.graph.affine([(reader._row(a), matrix)], columns)


@_rule("addmm")
def _addmm(
    reader: _Reader, node: fx.Node, bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1
) -> Node:
    product: Node = _mm(reader, node, a, b)
    added = reader._row(bias)
    G = reader.graph
    if beta == alpha == 1 and added.op == "vector":
        return G.affine(
            zip(product.args, product.value[0], strict=True), product.width, [added.value]
        )
    return G.add(G.mul(added, G.const(beta)), G.mul(product, G.const(alpha)))


@_rule("split", "split_with_sizes")
def _split(reader: _Reader, node: fx.Node, a: Any, sizes: Any, dim: int = 0) -> list[Node]:
    reader.by_columns(node, dim)
    value, parts, at = reader._row(a), [], 0
    if isinstance(sizes, int):
        sizes = [min(sizes, value.width - k) for k in range(0, value.width, sizes)]
    for size in sizes:
        parts.append(reader.graph.slice(value, at, size))
        at += size
    return parts


@_rule("slice")
def _slice(
    reader: _Reader,
    node: fx.Node,
    a: Any,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Node:
    value = reader._row(a)
    if dim == 0 and len(reader.shape(node)) == 2 and reader.shape(node) == reader.shape(a):
        return value
    reader.by_columns(node, dim)
    begin, stop, stride = slice(start, end, step).indices(value.width)
    if stride != 1:
        raise _Unsupported("a slice with a step")
    return reader.graph.slice(value, begin, stop - begin)


@_rule("select")
def _select(reader: _Reader, node: fx.Node, a: Any, dim: int, index: int) -> Node:
    reader.by_columns(node, dim)
    value = reader._row(a)
    return reader.graph.number_of(reader.graph.slice(value, index % value.width, 1))


@_rule("cat")
def _cat(reader: _Reader, node: fx.Node, parts: Any, dim: int = 0) -> Node:
    if dim % 2 != 1 or len(reader.shape(node)) != 2:
        raise _Unsupported("it reaches across rows")
    G = reader.graph
    rows = [G.vector_of(reader._row(p), width) for p in parts if (width := reader.shape(p)[1])]
    return G.cat(rows)


@_rule("unsqueeze", "squeeze", "expand", "view", "reshape", "_unsafe_view", "expand_as")
def _reshaped(reader: _Reader, node: fx.Node, a: Any, *_: Any, **__: Any) -> Node:
    """Only what leaves a row a row: the same numbers, or a single one spread out."""
    value, shape, rows = reader._row(a), reader.shape(node), reader.batch
    if shape in ((rows,), (rows, 1)) and value.width in (0, 1):
        return value if value.width == 0 else reader.graph.number_of(value)
    if len(shape) == 2 and shape[0] in (rows, 1):
        if value.width == shape[1]:
            return value
        if value.width in (0, 1):
            number = value if value.width == 0 else reader.graph.number_of(value)
            return reader.graph.vector_of(number, shape[1])
    raise _Unsupported(f"a value of shape {shape} is no row")


@_rule("clone", "alias", "contiguous", "lift_fresh_copy", "_to_copy", "to")
def _same(reader: _Reader, node: fx.Node, a: Any, *_: Any, **options: Any) -> Node:
    wanted: torch.dtype | None = options.get("dtype")
    if wanted is not None and not wanted.is_floating_point:
        raise _Unsupported(f"a cast to {wanted}")
    if wanted in (torch.float16, torch.bfloat16):
        raise _Unsupported(f"a cast to {wanted}")
    return reader._row(a)


@_rule("detach")
def _detach(reader: _Reader, node: fx.Node, a: Any) -> Node:
    return reader.graph.pointwise("detach", reader._row(a))


@_rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(reader: _Reader, node: fx.Node, a: Any, *args: Any, **_: Any) -> Node:
    shape = reader.shape(node)
    if shape and (len(shape) != 2 or shape[0] not in (reader.batch, 1)):
        raise _Unsupported(f"a value of shape {shape} is no row")
    name = _name(node)
    value = reader.graph.const(float(args[-1]) if "full" in name else float("ones" in name))
    return reader.graph.vector_of(value, shape[1]) if shape else value


def _over(reader: _Reader, node: fx.Node, dims: Any) -> None:
    """Refuse a reduction that is not over the numbers of a row."""
    if dims is None:
        raise _Unsupported("it reaches across rows")
    for dim in [dims] if isinstance(dims, int) else dims or [0]:
        reader.by_columns(node, dim)


@_rule("sum")
def _sum(
    reader: _Reader, node: fx.Node, a: Any, dims: Any = None, keep: bool = False, **_: Any
) -> Node:
    _over(reader, node, dims)
    return reader.graph.reduce("sum", reader._row(a))


def mean_of(G: Graph, value: Node) -> Node:
    """The mean of a row's numbers."""
    return G.pointwise("div", G.reduce("sum", value), G.width_of(value))


@_rule("mean")
def _mean(
    reader: _Reader, node: fx.Node, a: Any, dims: Any = None, keep: bool = False, **_: Any
) -> Node:
    _over(reader, node, dims)
    return mean_of(reader.graph, reader._row(a))


@_rule("amax", "amin")
def _amax(reader: _Reader, node: fx.Node, a: Any, dims: Any = (), keep: bool = False) -> Node:
    _over(reader, node, dims)
    G, value = reader.graph, reader._row(a)
    if _name(node) == "amax":
        return G.reduce("amax", value)
    return G.pointwise("neg", G.reduce("amax", G.pointwise("neg", value)))


def _root(G: Graph, value: Node) -> Node:
    """A square root whose gradient at 0 is 0, as that of a norm and of a deviation."""
    zero = G.pointwise("eq", value, G.const(0.0))
    root = G.pointwise("sqrt", G.pointwise("where", zero, G.const(1.0), value))
    return G.pointwise("where", zero, G.const(0.0), root)


@_rule("var", "var_mean", "std", "std_mean")
def _var(
    reader: _Reader,
    node: fx.Node,
    a: Any,
    dims: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
) -> Any:
    _over(reader, node, dims)
    G, value = reader.graph, reader._row(a)
    mean = mean_of(G, value)
    apart = G.pointwise("sub", value, mean)
    count = G.pointwise(
        "sub", G.width_of(value), G.const(1.0 if correction is None else correction)
    )
    variance = G.pointwise("div", G.reduce("sum", G.mul(apart, apart)), count)
    name = _name(node)
    spread = _root(G, variance) if name.startswith("std") else variance
    return [spread, mean] if name.endswith("mean") else spread


@_rule("linalg_vector_norm")
def _norm(
    reader: _Reader,
    node: fx.Node,
    a: Any,
    order: float = 2,
    dims: Any = None,
    keep: bool = False,
    **_: Any,
) -> Node:
    _over(reader, node, dims)
    G, value = reader.graph, reader._row(a)
    if order == 1:
        return G.reduce("sum", G.pointwise("abs", value))
    if order == 2:
        return _root(G, G.reduce("sum", G.mul(value, value)))
    raise _Unsupported(f"a norm of order {order}")


@_rule("_softmax", "_log_softmax", "logsumexp")
def _softmax(reader: _Reader, node: fx.Node, a: Any, dim: Any, *_: Any) -> Node:
    _over(reader, node, dim)
    G, value = reader.graph, reader._row(a)
    # What is subtracted cancels, in the gradient too.
    top = G.pointwise("detach", G.reduce("amax", value))
    apart = G.pointwise("sub", value, top)
    e = G.pointwise("exp", apart)
    total = G.reduce("sum", e)
    if _name(node) == "_softmax":
        return G.pointwise("div", e, total)
    log = G.pointwise("log", total)
    return G.pointwise("sub", apart, log) if _name(node) == "_log_softmax" else G.add(log, top)


@_rule("native_layer_norm", "_fused_rms_norm")
def _layer_norm(
    reader: _Reader, node: fx.Node, a: Any, shape: Any, weight: Any = None, *rest: Any
) -> list[Node | None]:
    G, value = reader.graph, reader._row(a)
    if list(shape) != [value.width]:
        raise _Unsupported("it normalises more than a row")
    bias, eps = rest if len(rest) == 2 else (None, rest[0])
    if _name(node) == "native_layer_norm":
        value = G.pointwise("sub", value, mean_of(G, value))
    if eps is None:
        eps = torch.finfo(node.meta["val"][0].dtype).eps
    spread = mean_of(G, G.mul(value, value))
    scale = G.pointwise("reciprocal", G.pointwise("sqrt", G.pointwise("add", spread, G.const(eps))))
    value = G.mul(value, scale)
    if weight is not None:
        value = G.mul(value, reader._row(weight))
    if bias is not None:
        value = G.add(value, reader._row(bias))
    return [value, None, None]
