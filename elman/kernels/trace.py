"""From a cell to the graph of its step: `forward` is run once on tensors without values.

torch's tracer writes down the aten operations; each is turned into nodes of
`elman.kernels.graph` by a rule of `elman.kernels.aten`. What depends on parameters alone (a
transposed weight, a gate's bound, the complex diagonal of an LRU) is no part of a step: it is kept
as a small torch program, run once a call under autograd, and its results are what kernels know as
matrices, vectors and numbers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.func import functional_call

from elman.cells.base import Cell
from elman.kernels.aten import RULES, Unsupported, name_of
from elman.kernels.graph import Graph, Matrix, Node
from elman.kernels.reference import held
from elman.kernels.sequence import Hold

Holds = tuple[Literal["mask"] | float | None, ...]
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
    named = _tensors(cell)
    names = tuple(n for n, t in named.items() if t.is_floating_point())
    dtype = next((named[n].dtype for n in names), torch.float32)
    kept = tuple(holds or (None,) * len(cell.state_sizes))

    def step(parameters: list[Tensor], x: Tensor, state: Any, masks: Any) -> Any:
        given = dict(zip(names, parameters, strict=True))
        output, new = functional_call(cell, given, (x, state), tie_weights=False)
        hold: Hold = tuple(
            mask != 0 if how == "mask" else how for how, mask in zip(kept, masks, strict=True)
        )
        return held(hold, state, output, tuple(new))

    program = _program(step, cell, [named[n] for n in names], batch, dtype, kept)
    return _Reader(cell, program, batch, names, kept).read()


def _tensors(cell: Cell) -> dict[str, Tensor]:
    """Parameters, then buffers: of a shared module once, a shared tensor under all its names."""
    kinds = [
        {
            f"{prefix}.{name}" if prefix else name: tensor
            for prefix, module in cell.named_modules()
            for name, tensor in getattr(module, kind).items()
            if tensor is not None
        }
        for kind in ("_parameters", "_buffers")
    ]
    return kinds[0] | kinds[1]


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
                raise Untraceable(f"{name_of(node)} draws random numbers{_at(node)}")
            if _changes_in_place(node):
                self._check_in_place(node)
            if node.op == "call_function" and self._of_rows(node) and _used(node):
                self.graph.line = _line(node)
                self.values[node] = self._call(node)
        (results,) = next(n for n in self.program.graph.nodes if n.op == "output").args
        output, *states = (self.row(n) for n in results)
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
            raise Untraceable(f"{name_of(node)} changes a tensor in place{_at(node)}")

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
                raise Untraceable(f"a result of {name_of(whole)} has no kernel{_at(whole)}")
            return parts[index]
        name = name_of(node)
        rule = RULES.get(name[:-1] if _changes_in_place(node) else name)
        if rule is None:
            raise Untraceable(f"{name_of(node)} has no kernel{_at(node)}")
        try:
            return rule(self, node, *node.args, **node.kwargs)
        except Unsupported as error:
            raise Untraceable(f"{name_of(node)}: {error}{_at(node)}") from None
        except (TypeError, ValueError) as error:
            raise Untraceable(
                f"{name_of(node)} is called in a way without a kernel{_at(node)}"
            ) from error

    def row(self, value: Any) -> Node:
        """A value of each row: computed, a constant, or a parameter."""
        if isinstance(value, bool | int | float):
            return self.graph.const(float(value))
        if not isinstance(value, fx.Node):
            raise Unsupported(f"{value!r} is no value of a row")
        if value in self.values:
            found = self.values[value]
            if not isinstance(found, Node):
                raise Unsupported("several values at once")
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
            raise Unsupported(f"a parameter of {meta.dtype}")
        if self.batch in shape:
            raise Unsupported("a constant with one entry for each row")
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        index = self.prepared.setdefault(value, len(self.prepared))
        if not shape:
            return self.graph.leaf("number", index, 0)
        if len(shape) == 1:
            return self.graph.leaf("vector", index, shape[0])
        raise Unsupported(f"a parameter of shape {tuple(meta.shape)} goes with a row")

    def _expanded(self, value: fx.Node) -> Node:
        """A parameter spread out over rows is that parameter."""
        found, shape = self.row(value.args[0]), self.shape(value)
        if len(shape) != 2 or shape[0] != self.batch:
            raise Unsupported(f"a parameter of shape {shape} goes with a row")
        return (
            found
            if found.width == shape[1] or not found.width
            else self.graph.vector_of(self.graph.number_of(found), shape[1])
        )

    def matrix(self, value: Any) -> tuple[Matrix, tuple[int, int]]:
        """A parameter that multiplies rows; a transposed one is known by what it transposes."""
        if not isinstance(value, fx.Node) or value in self.values:
            raise Unsupported("a product of two things that differ from row to row")
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
            raise Unsupported("it reaches across rows")


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
