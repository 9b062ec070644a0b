"""From a cell to the graph of its step: `forward` is run once on tensors without values.

It runs again for another number of rows; where that is not the same step, or where running it has
changed something that the step reads (`elman.kernels.reads`), there is no kernel.

A recorder writes down the aten operations; each is turned into nodes of `elman.kernels.graph` by a
rule of `elman.kernels.aten`. Values of parameters alone (a transposed weight, a gate's bound, the
complex diagonal of an LRU) are no part of a step: their operations are kept as recorded and done
once a call under autograd; kernels know the results as matrices, vectors and numbers.
"""

from __future__ import annotations

import inspect
import linecache
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from elman.cells.base import Cell
from elman.kernels.aten import RULES, Unsupported
from elman.kernels.graph import Graph, Matrix, Node
from elman.kernels.ops import hollow
from elman.kernels.reads import Changed, Reads, is_users, shown
from elman.kernels.recording import (
    NeedsValue,
    On,
    Operation,
    Recorder,
    Refused,
    Replay,
    needed,
)
from elman.kernels.reference import held
from elman.kernels.sequence import Hold

Holds = tuple[Literal["mask"] | float | None, ...]
"""For each state how it is held: "mask", a probability, or None."""

aten = torch.ops.aten


class Untraceable(Exception):
    """A cell does something that a kernel cannot; the message says what and on which line.

    Attributes:
        changes: whether the step changes what it reads, so that it will be another at every call.
    """

    changes = False


class Rigid(Exception):
    """Numbers cannot be arguments of a kernel: the step does more with them than compute.

    Attributes:
        names: of these numbers.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(*names)
        self.names = tuple(names)


@dataclass(frozen=True)
class Traced:
    """A cell's step.

    Attributes:
        graph: where its nodes lie.
        input_size: how wide its input is.
        output, states: what it gives.
        names: the parameters and buffers that `prepare` takes, in order, then numbers.
        prepare: those to the matrices, vectors and numbers of the graph.
        step: the same step in torch operations `(prepared, x, states, masks)`, for a second
            derivative.
    """

    graph: Graph
    input_size: int
    output: Node
    states: tuple[Node, ...]
    names: tuple[str, ...]
    prepare: Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
    step: Callable[..., tuple[Tensor, ...]]


Numbers = Mapping[str, Tensor]
"""Numbers that a cell keeps as attributes, by dotted name: float64 tensors without axes."""


def trace(
    cell: Cell,
    holds: Holds | None = None,
    reads: Reads | None = None,
    numbers: Numbers | None = None,
) -> Traced:
    """The step of `cell`, with zoneout if `holds` says how each state is held.

    Args:
        cell: the cell.
        holds: for each state how it is held.
        reads: what the step reads, where it is known already.
        numbers: attributes that are arguments of the step, and no part of it.

    Raises:
        Untraceable: with the reason and the line of the cell.
        Rigid: the step does more with a number than compute.
    """
    traced = _trace
    if "torch._dynamo" in sys.modules:
        # After a graph break, torch.compile would capture the operations to be recorded here.
        traced = torch.compiler.disable(_trace)  # type: ignore[no-untyped-call]
    return traced(cell, holds, reads, numbers or {})


def _trace(cell: Cell, holds: Holds | None, reads: Reads | None, numbers: Numbers) -> Traced:
    kept = tuple(holds or (None,) * len(cell.state_sizes))
    reads = Reads(cell) if reads is None else reads
    rows, more = _batches_for(cell)
    if reads.refusal is not None:
        raise Untraceable(reads.refusal)
    first = _record(cell, kept, rows, reads)
    traced = _Reader(cell, first, kept).read()
    # A cell of Elman's own is known to be the same step for any number of rows.
    other = first.difference(_record(cell, kept, more, reads)) if reads.anything else None
    if other is not None:
        again = first.difference(_record(cell, kept, rows, reads)) is not None
        raise Untraceable(
            f"{_ANOTHER if again else _COUNTS}{other.at}; give it as part of the input"
        )
    if not numbers:
        return traced
    loose = _loose(cell, kept, rows, reads, traced, numbers)
    if loose is None:
        alone = [
            name
            for name, number in numbers.items()
            if _loose(cell, kept, rows, reads, traced, {name: number}) is None
        ]
        raise Rigid(alone or numbers)
    return loose


def _loose(
    cell: Cell, holds: Holds, batch: int, reads: Reads, fixed: Traced, numbers: Numbers
) -> Traced | None:
    """The step with numbers as arguments; None where it is not `fixed` for their values."""
    try:
        recording = _record(cell, holds, batch, reads, numbers)
        loose = _Reader(cell, recording, holds).read()
        again = _Reader(cell, recording, holds, numbers).read()
    except Untraceable:
        return None
    # A power of a negative number is one thing for a whole exponent and another for any.
    if _free_powers(loose) != _free_powers(again) or not _same_nodes(fixed, again):
        return None
    own = [group[key].detach() for group, key in _places(cell).values()]
    with torch.no_grad():
        pairs = zip(again.prepare([*own, *numbers.values()]), fixed.prepare(own), strict=True)
        alike = all(torch.allclose(a, b, equal_nan=True) for a, b in pairs)
    return loose if alike else None


def _same_nodes(a: Traced, b: Traced) -> bool:
    """Return whether two steps compute the same."""
    same: dict[Node, Node] = {}
    pending = list(zip((a.output, *a.states), (b.output, *b.states), strict=True))
    while pending:
        x, y = pending.pop()
        if same.get(x) is y:
            continue
        facts = [(n.op, n.width, repr(n.value), len(n.args)) for n in (x, y)]
        if x in same or facts[0] != facts[1]:
            return False
        same[x] = y
        pending += zip(x.args, y.args, strict=True)
    return True


def _free_powers(traced: Traced) -> int:
    """Return how many powers have an exponent that is no constant."""
    found: set[Node] = set()
    pending = [traced.output, *traced.states]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += node.args
    return sum(node.op == "pow" and node.args[1].op != "const" for node in found)


_ANOTHER = "the step is another each time it runs: it reads a clock, random numbers or the like"
_COUNTS = "the step computes with the number of rows"


@dataclass(frozen=True)
class _Recording:
    """One run of a step on stand-ins.

    Attributes:
        recorder: what was done.
        names: of the stand-ins for parameters and buffers.
        results: what leads to the output and the states.
    """

    recorder: Recorder
    names: tuple[str, ...]
    results: list[Operation]

    def difference(self, other: _Recording) -> Operation | None:
        """Return an operation that the other has not, or None where they are the same step; for a
        constant, what takes it."""
        mine, yours = self.recorder.arguments, other.recorder.arguments
        same = dict(zip(mine, yours, strict=True)) | {self.recorder.rows: other.recorder.rows}
        pending = [(a, b, a) for a, b in zip(self.results, other.results, strict=True)]
        while pending:
            a, b, taker = pending.pop()
            if a in same:
                if same[a] is not b:
                    return taker
                continue
            same[a] = b
            parts = _pairs((a.args, a.kwargs), (b.args, b.kwargs))
            alike = a.target == b.target and a.followed is b.followed and parts is not None
            if not alike or not _same_value(a.value, b.value):
                return a if a.line else taker
            pending += [(x, y, a if a.line else taker) for x, y in parts or ()]
        return None


def _pairs(a: Any, b: Any) -> list[tuple[Operation, Operation]] | None:
    """Return the operations in the same places of two arguments; None if the rest differs."""
    if isinstance(a, Operation) and isinstance(b, Operation):
        return [(a, b)]
    if isinstance(a, dict) and isinstance(b, dict):
        return _pairs(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        found = []
        for x, y in zip(a, b, strict=True):
            if (parts := _pairs(x, y)) is None:
                return None
            found += parts
        return found
    return [] if _same_value(a, b) else None


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        same = a is b or (a.shape == b.shape and a.dtype == b.dtype)
        return same and bool(torch.isclose(a, b, 0, 0, equal_nan=True).all())
    return type(a) is type(b) and repr(a) == repr(b)


def _record(
    cell: Cell, holds: Holds, batch: int, reads: Reads, numbers: Numbers | None = None
) -> _Recording:
    """Run a step on stand-ins, and put back what it has changed.

    Raises:
        Untraceable: as `trace`.
    """
    numbers = numbers or {}
    try:
        return _recorded(cell, holds, batch, reads, numbers, None)
    except Changed as change:
        found = _FirstChange()
        with suppress(Changed, Untraceable):
            _recorded(cell, holds, batch, reads, numbers, found)
        line = found.line or reads.line_of(change.names)
        at = f" ({line})" if line else ""
        error = Untraceable(f"{change.what} is changed by the step{at}; {change.instead}")
        error.changes = True
        raise error from None


def _recorded(
    cell: Cell,
    holds: Holds,
    batch: int,
    reads: Reads,
    numbers: Numbers,
    found: _FirstChange | None,
) -> _Recording:
    """`_record`, with `found` looking for the line that changes something."""
    # Not the cell itself, which other threads may be using.
    twin = hollow(cell, {})
    places = _places(twin)
    own = [group[key] for group, key in places.values()]
    dtype = next((t.dtype for t in own if t.is_floating_point()), torch.float32)
    recorder = Recorder(batch)
    for (group, key), tensor in zip(places.values(), own, strict=True):
        group[key] = recorder.argument(tensor, On.PARAMETERS)
    for path, number in numbers.items():
        part, _, name = path.rpartition(".")
        twin.get_submodule(part).__dict__[name] = recorder.argument(number, On.PARAMETERS)

    def rows(width: int) -> Tensor:
        zeros = torch.zeros(recorder.rows.value, width, dtype=dtype, device="cpu")
        return recorder.argument(zeros, On.ROWS)

    x, state = rows(cell.input_size), tuple(rows(n) for n in cell.state_sizes)
    hold = [
        rows(n) if how == "mask" else how for n, how in zip(cell.state_sizes, holds, strict=True)
    ]

    def step() -> list[Tensor]:
        output, new = twin(x, state)
        masks: Hold = tuple(h != 0 if isinstance(h, Tensor) else h for h in hold)
        output, new = held(masks, state, output, tuple(new))
        return [output, *new]

    before, parts = reads.snapshot(), _parts_of(twin)

    def changed() -> Changed | None:
        return _set_since(parts) or reads.changed_since(before)

    try:
        with found.watching(lambda: changed() is not None) if found else nullcontext():
            results = recorder.run(step)
    except Exception as error:
        # Whatever a user's forward raises on tensors without values: the reference can run it.
        failed = Untraceable(_told(error, cell))
        failed.changes = changed() is not None
        _let_go(error)
        raise failed from error
    else:
        if (change := changed()) is not None:
            raise change
    finally:
        reads.restore(before)
    return _Recording(recorder, (*places, *numbers), results)


_Parts = list[tuple[str, dict[str, Any], dict[str, Any]]]


def _parts_of(twin: nn.Module) -> _Parts:
    """Return the attributes of a module and those inside: whose, as they are, and a copy."""
    return [
        (type(part).__name__, group, dict(group))
        for part in twin.modules()
        for group in (part._parameters, part._buffers, part._modules, part.__dict__)
    ]


def _set_since(parts: _Parts) -> Changed | None:
    """Return the first attribute that was set or deleted since."""
    for kind, now, before in parts:
        for name in {**before, **now}:
            if now.get(name, _NOTHING) is not before.get(name, _NOTHING):
                return Changed(f"`{name}` of {kind}", (name,))
    return None


_NOTHING = object()


class _FirstChange:
    """Finds the first line of a step after which something has changed.

    Attributes:
        line: as `file:line: code`; empty if there is none.
    """

    def __init__(self) -> None:
        self.line = ""
        self._changed: Callable[[], bool] = lambda: False
        self._at: tuple[str, int] | None = None

    @contextmanager
    def watching(self, changed: Callable[[], bool]) -> Iterator[None]:
        """Ask after each line of the user's code that runs inside."""
        self._changed, before = changed, sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        return None if self.line or not is_users(frame) else self._moved

    def _moved(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not self.line and self._at is not None and self._changed():
            self.line = shown(*self._at)
        back = frame.f_back if event == "return" else frame
        if back is not None and is_users(back):
            self._at = back.f_code.co_filename, back.f_lineno
        return self._moved


def _places(module: nn.Module) -> dict[str, tuple[dict[str, Any], str]]:
    """Return the places of parameters, then of buffers: a shared module counts once, a shared
    tensor once for each of its places."""
    kinds = [
        {
            f"{prefix}.{name}" if prefix else name: (getattr(part, kind), name)
            for prefix, part in module.named_modules()
            for name, tensor in getattr(part, kind).items()
            if tensor is not None
        }
        for kind in ("_parameters", "_buffers")
    ]
    return kinds[0] | kinds[1]


def _batches_for(cell: Cell) -> tuple[int, int]:
    """Two numbers of rows to trace with: no sizes of the cell, so that rows are known by them."""
    sizes = {cell.input_size, cell.output_size, *cell.state_sizes}
    sizes |= {n for t in (*cell.parameters(), *cell.buffers()) for n in t.shape}
    sums = sizes | {a + b for a in sizes for b in sizes}

    def fits(batch: int) -> bool:
        return batch not in sums and not any(
            batch % n == 0 or n % batch == 0 for n in sizes if n > 1
        )

    fitting = filter(fits, range(7, 10_000, 4))
    return next(fitting, 9_973), next(fitting, 9_967)


def _told(error: Exception, cell: Cell) -> str:
    """Return the words for an error."""
    if isinstance(error, Refused):
        return str(error)
    line = _line_of_error(error, cell)
    if isinstance(error, NeedsValue):
        return f"what is done depends on a tensor's value{line}"
    told = str(error).strip().splitlines()
    return f"{told[0] if told else type(error).__name__}{line}"


def _let_go(error: BaseException | None) -> None:
    """Forget where an error arose: torch keeps some that have come through its C++ for ever (as
    `float(tensor)` raises them), and with them all that lives in those frames, the cell too."""
    while error is not None:
        error.__traceback__, error = None, error.__context__


def _line_of_error(error: BaseException, cell: Cell) -> str:
    """Return the line of the cell's own file at which an error arose."""
    file = inspect.getsourcefile(type(cell).forward)
    found, trace_ = "", error.__traceback__
    while trace_ is not None:
        frame = trace_.tb_frame
        if frame.f_code.co_filename == file and frame.f_code.co_name == "forward":
            code = linecache.getline(str(file), trace_.tb_lineno).strip()
            found = f" ({str(file).rpartition('/')[2]}:{trace_.tb_lineno}: {code})"
        trace_ = trace_.tb_next
    return found


class _Reader:
    """Turns what was recorded into nodes, one operation after another; `numbers` are arguments
    whose values are known."""

    def __init__(
        self,
        cell: Cell,
        recording: _Recording,
        holds: Holds,
        numbers: Numbers | None = None,
    ) -> None:
        self.cell, self.holds = cell, holds
        recorder, names = recording.recorder, recording.names
        self.recorder, self.names = recorder, names
        arguments = recorder.arguments
        self.parameters, self.rows = arguments[: len(names)], arguments[len(names) :]
        self.results = recording.results
        known, values = zip(self.names, self.parameters, strict=True), numbers or {}
        self.numbers = {op: values[name] for name, op in known if name in values}
        self.batch: int = recorder.rows.value
        self.dtype: torch.dtype = self.rows[0].dtype
        self.graph = Graph()
        self.values: dict[Operation, Any] = {}
        self.prepared: dict[Operation, int] = {}

    def read(self) -> Traced:
        """The whole recording."""
        self._read_rows()
        wanted = needed(self.results)
        steps = [op for op in self.recorder.operations if op in wanted]
        for op in (*steps, Operation("results", self.results)):
            for used in op.inputs:
                used.users.add(op)
        for op in steps:
            if op.depends is On.ROWS and op not in self.values:
                self.graph.line = op.line
                self.values[op] = self._value(op)
        sizes = (self.cell.output_size, *self.cell.state_sizes)
        output, *states = map(self._result, self.results, sizes)
        return Traced(
            self.graph,
            self.cell.input_size,
            output,
            tuple(states),
            self.names,
            self._preparation(),
            self._step(),
        )

    def _read_rows(self) -> None:
        rows = iter(self.rows)
        self.values[next(rows)] = self.graph.leaf("x", 0, self.cell.input_size)
        for i, size in enumerate(self.cell.state_sizes):
            self.values[next(rows)] = self.graph.leaf("state", i, size)
        for i, (size, how) in enumerate(zip(self.cell.state_sizes, self.holds, strict=True)):
            if how == "mask":
                self.values[next(rows)] = self.graph.leaf("mask", i, size)

    def _result(self, op: Operation, size: int) -> Node:
        if len(op.shape) != 2 or op.shape[0] != self.batch:
            raise Untraceable(f"an output or state of shape {op.shape} is no row")
        if op.shape[1] != size:
            raise Untraceable(f"an output or state is {op.shape[1]} wide and not {size}")
        try:
            return self.row(op)
        except Unsupported as error:
            raise Untraceable(str(error)) from None

    def _value(self, op: Operation) -> Any:
        """A node, or a list of them where there are several results."""
        found = self._part(op) if op.target is operator.getitem else self._by_rule(op)
        if op.followed or not isinstance(found, Node):
            return found
        return self.graph.pointwise("detach", found)

    def _part(self, op: Operation) -> Node:
        whole, index = op.args
        parts = self.values[whole]
        if not isinstance(parts, list) or index >= len(parts) or parts[index] is None:
            raise Untraceable(f"a result of {whole.name} has no kernel{whole.at}")
        found: Node = parts[index]
        return found

    def _by_rule(self, op: Operation) -> Any:
        rule = RULES.get(op.name[:-1] if op.changes_in_place else op.name)
        if rule is None:
            raise Untraceable(f"{op.name} has no kernel{op.at}")
        try:
            return rule(self, op, *op.args, **op.kwargs)
        except Unsupported as error:
            raise Untraceable(f"{op.name}: {error}{op.at}") from None
        except (TypeError, ValueError) as error:
            raise Untraceable(f"{op.name} is called in a way without a kernel{op.at}") from error

    def row(self, value: Any) -> Node:
        """A value of each row: computed, a constant, or a parameter."""
        if isinstance(value, bool | int | float):
            return self.graph.const(float(value))
        if not isinstance(value, Operation):
            raise Unsupported(f"{value!r} is no value of a row")
        if value.depends is not On.ROWS:
            return self._parameter(value)
        found = self.values[value]
        if not isinstance(found, Node):
            raise Unsupported("several values at once")
        return found

    def _parameter(self, value: Operation) -> Node:
        if value.target is aten.expand.default and value.followed and self.batch in value.shape:
            return self._expanded(value)
        filled = value
        while filled.target is aten.detach.default:
            # Torch itself detaches every constant that it makes.
            filled = filled.args[0]
        if filled.target in (aten.full.default, aten.scalar_tensor.default):
            return self.graph.const(float(filled.args[-1]))
        if filled.target in (aten.zeros.default, aten.ones.default):
            return self.graph.const(float(filled.target is aten.ones.default))
        shape = list(value.shape)
        if not shape and self.numbers and (number := self._number(value)) is not None:
            return self.graph.const(number)
        flag = value.dtype == torch.bool
        if value.dtype.is_complex or not (value.dtype.is_floating_point or flag or not shape):
            raise Unsupported(f"a parameter of {value.dtype}")
        if self.batch in shape:
            raise Unsupported("a constant with one entry for each row")
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) > 1:
            raise Unsupported(f"a parameter of shape {value.shape} goes with a row")
        index = self.prepared.setdefault(value, len(self.prepared))
        return self.graph.leaf("vector" if shape else "number", index, *(shape or [0]))

    def _number(self, value: Operation) -> float | None:
        """Return what follows from known numbers alone."""
        given = [op for op in needed([value]) if op.target in ("argument", "constant")]
        if not any(op in self.numbers for op in given) or any(
            op.target == "argument" and op not in self.numbers for op in given
        ):
            return None
        (found,) = Replay(self.recorder.operations, [*self.numbers], [value])(
            *self.numbers.values()
        )
        return float(found)

    def _expanded(self, value: Operation) -> Node:
        """A parameter spread out over rows is that parameter."""
        found, shape = self.row(value.args[0]), value.shape
        if len(shape) != 2 or shape[0] != self.batch:
            raise Unsupported(f"a parameter of shape {shape} goes with a row")
        return (
            found
            if found.width == shape[1] or not found.width
            else self.graph.vector_of(self.graph.number_of(found), shape[1])
        )

    def matrix(self, value: Any) -> tuple[Matrix, tuple[int, int]]:
        """A parameter that multiplies rows; a transposed one is known by what it transposes."""
        if not isinstance(value, Operation) or value.depends is On.ROWS:
            raise Unsupported("a product of two things that differ from row to row")
        transposed = False
        rows, columns = value.shape
        while value.target in (aten.t.default, aten.numpy_T.default) and value.followed:
            value, transposed = value.args[0], not transposed
        index = self.prepared.setdefault(value, len(self.prepared))
        return Matrix(index, transposed), (rows, columns)

    def shape(self, value: Any) -> tuple[int, ...]:
        """The recorded shape of a value."""
        return value.shape if isinstance(value, Operation) else ()

    def by_columns(self, op: Operation, axis: int) -> None:
        """Refuse what reaches across rows."""
        dims = len(self.shape(op.args[0]))
        if dims != 2 or axis % dims != 1:
            raise Unsupported("it reaches across rows")

    def _preparation(self) -> Callable[[Sequence[Tensor]], tuple[Tensor, ...]]:
        """Return the function from the cell's parameters to the kernel's: usually it only picks."""
        given, dtype = self.parameters, self.dtype
        wanted = [op.dtype for op in self.prepared]
        if all(op in given and op.dtype == dtype for op in self.prepared):
            chosen = [given.index(op) for op in self.prepared]
            return lambda parameters: tuple(parameters[i] for i in chosen)
        replay = Replay(self.recorder.operations, given, list(self.prepared))

        def prepare(parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
            # A kernel has one type of numbers; what counts or tells is cast on both sides.
            own = [
                t if op.dtype.is_floating_point else t.to(op.dtype)
                for t, op in zip(parameters, given, strict=True)
            ]
            found = replay(*own)
            return tuple(
                t if d == dtype else t.to(dtype) for t, d in zip(found, wanted, strict=True)
            )

        return prepare

    def _step(self) -> Callable[..., tuple[Tensor, ...]]:
        """The step in torch operations, of what the kernel takes."""
        dtypes = [op.dtype for op in self.prepared]
        given = [*self.prepared, *self.rows, self.recorder.rows]
        replay = Replay(self.recorder.operations, given, self.results)

        def step(
            prepared: Sequence[Tensor], x: Tensor, state: Sequence[Tensor], masks: Sequence[Tensor]
        ) -> tuple[Tensor, ...]:
            own = [t.to(dtype) for t, dtype in zip(prepared, dtypes, strict=True)]
            return replay(*own, x, *state, *masks, len(x))

        return step
