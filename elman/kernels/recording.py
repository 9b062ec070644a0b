"""A record of a function's operations on tensors: aten's operations with their lines of source.

The function is run once, on stand-ins: tensors that tell their shape and type but no values. Behind
each is a real tensor on which operations are carried out, so that whatever torch can do can be
written down. torch's own tracer takes a second to import, and changes torch for all threads.
"""

from __future__ import annotations

import linecache
import operator
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import IntEnum
from types import FrameType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Refused(Exception):
    """An operation cannot be recorded; the message says why and on which line."""


class NeedsValue(Exception):
    """An operation depends on a value, and a stand-in has none."""


class On(IntEnum):
    """The inputs that a result depends on: rows (and maybe others), parameters alone, or none."""

    NOTHING = 0
    PARAMETERS = 1
    ROWS = 2


@dataclass(eq=False)
class Operation:
    """One of aten, or what is there before the first.

    Attributes:
        target: what is done; `operator.getitem` takes one of several results, "argument" and
            "constant" are there before.
        args, kwargs: with operations in the place of their results.
        depends: on what the result does.
        line: where it comes from, as `file:line: code`.
        followed: whether autograd follows it, and is not told to look away by `torch.no_grad`.
        value: that of a constant.
        shape, dtype: those of the result; () and None if there are several.
        users: operations that take the result, of those that a reader wants.
    """

    target: Any
    args: Sequence[Any] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    depends: On = On.NOTHING
    line: str = ""
    followed: bool = True
    value: Any = None
    shape: tuple[int, ...] = ()
    dtype: Any = None
    users: set[Operation] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Aten's name for the operation, without its overload."""
        if isinstance(self.target, torch._ops.OpOverload):
            return self.target._overloadpacket._qualified_op_name.partition("::")[2]
        return str(self.target)

    @property
    def at(self) -> str:
        """Its line, for the end of a message."""
        return f" ({self.line})" if self.line else ""

    @property
    def changes_in_place(self) -> bool:
        """Return whether the operation writes into an argument."""
        return isinstance(self.target, torch._ops.OpOverload) and self.target._schema.is_mutable

    @property
    def inputs(self) -> list[Operation]:
        """Return the operations whose results this one takes."""
        return _each(Operation, (self.args, self.kwargs))

    def again(self, known: dict[Operation, Any]) -> Any:
        """Its result, from those that are known."""
        if self.target == "constant":
            return self.value
        args, kwargs = _changed(Operation, known.__getitem__, (self.args, self.kwargs))
        with nullcontext() if self.followed else torch.no_grad():
            return self.target(*args, **kwargs)


def needed(results: Iterable[Operation], given: Collection[Operation] = ()) -> set[Operation]:
    """All that it takes to come from `given` to `results`."""
    found: set[Operation] = set()
    pending = list(results)
    while pending:
        op = pending.pop()
        if op not in found and op not in given:
            found.add(op)
            pending += op.inputs
    return found


class Replay:
    """A recorded function that runs again on other tensors, differentiably.

    Args:
        operations: all, in order; those are done that it takes.
        given: those whose results it is called with.
        results: those whose results it returns.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        given: Sequence[Operation],
        results: Sequence[Operation],
    ) -> None:
        wanted = needed(results, set(given))
        self._given, self._results = given, results
        self._operations = [op for op in operations if op in wanted]

    def __call__(self, *given: Any) -> tuple[Any, ...]:
        """The results."""
        known = dict(zip(self._given, given, strict=True))
        for op in self._operations:
            known[op] = op.again(known)
        return tuple(known[op] for op in self._results)


class Rows(int):
    """The number of rows that a step is recorded with: a size, and no number to compute with."""

    recorder: Recorder

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return True
        return bool(self._asked(int.__eq__, other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int(self._asked(int.__hash__))

    def _asked(self, answer: Callable[..., Any], *others: Any) -> Any:
        """Return the answer to torch's own code, which knows any number of rows."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        if frame is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
            return answer(int(self.real), *others)
        raise self.recorder.refused(_counted("computes with the number of rows"))


def _asks(name: str) -> Callable[..., Any]:
    answer = getattr(int, name)

    def ask(self: Rows, *others: Any) -> Any:
        return self._asked(answer, *others)

    return ask


for _name in (
    *("__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__int__", "__float__", "__complex__"),
    *("__neg__", "__pos__", "__abs__", "__invert__", "__round__", "__trunc__", "__ceil__"),
    *("__floor__", "bit_length", "as_integer_ratio", "to_bytes"),
    *(
        f"__{side}{op}__"
        for side in ("", "r")
        for op in (
            *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow"),
            *("and", "or", "xor", "lshift", "rshift"),
        )
    ),
):
    if hasattr(int, _name):
        setattr(Rows, _name, _asks(_name))


def _counted(what: str) -> Refused:
    line = _line()
    return Refused(
        f"the step {what}{f' ({line})' if line else ''}; a step is one for any number of rows: "
        "use x.shape[0] as a size only, and give a number to compute with in the input"
    )


class StandIn(Tensor):
    """A tensor that tells no values.

    Attributes:
        recorder: whose it is.
        operation: what it is the result of.
        behind: the tensor on which operations are carried out.
        outdated: the operation that has changed its memory under another name.
    """

    recorder: Recorder
    operation: Operation
    behind: Tensor
    outdated: Operation | None

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def of(cls, behind: Tensor, operation: Operation, recorder: Recorder) -> Self:
        """Return the stand-in for the result of an operation."""
        made = cls._make_wrapper_subclass(
            cls,
            behind.shape,
            strides=behind.stride(),
            storage_offset=behind.storage_offset(),
            dtype=behind.dtype,
            device=behind.device,
        )
        made.recorder, made.operation = recorder, operation
        made.behind, made.outdated = behind, None
        operation.shape, operation.dtype = tuple(behind.shape), behind.dtype
        return made

    # What Python code is told of sizes. torch's C++ asks nobody.

    @property
    def shape(self) -> Any:  # type: ignore[override]
        """The sizes, the number of rows among them as what it is."""
        return tuple(map(self.recorder.size, self.behind.shape))

    def size(self, dim: int | None = None) -> Any:
        """The sizes, or one of them."""
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        return self._number(len(self.behind), "asks for len(x)")

    def numel(self) -> int:
        """How many numbers there are."""
        return self._number(self.behind.numel(), "counts the numbers of all rows")

    nelement = numel

    def _number(self, number: int, what: str) -> int:
        """Return a number to torch's own code, or where no rows are counted."""
        caller = sys._getframe(2).f_code.co_filename
        if self.recorder.rows.value in self.behind.shape and not caller.startswith(NOT_THE_USERS):
            raise self.recorder.refused(_counted(what))
        return number

    def __repr__(self) -> str:  # type: ignore[override]
        return f"StandIn({tuple(self.behind.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, *_: Any) -> Any:
        raise RuntimeError("A tensor was kept from when a step was traced: it has no values.")


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what is done to its stand-ins, and beside them.

    Args:
        rows: how many rows there are, where there are rows.

    Attributes:
        operations: all in order, arguments and constants too.
        rows: the number of rows, as sizes have it.
        arguments: those of `operations` that are arguments.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = Operation("constant", value=rows)
        self.operations = [self.rows]
        self._made: list[StandIn] = []
        self._known: dict[int, tuple[Tensor, StandIn]] = {}
        self._refusal: Exception | None = None

    def argument(self, tensor: Tensor, depends: On) -> StandIn:
        """Return the stand-in for an argument, however the function reaches it."""
        behind = tensor.detach() if tensor.is_cpu else torch.zeros_like(tensor, device="cpu")
        return self._outside(tensor, Operation("argument", depends=depends), behind)

    def run(self, function: Callable[[], Iterable[Any]]) -> list[Operation]:
        """Run a function; the operations whose results it returns.

        Raises:
            Refused, NeedsValue: see there. Whatever else `function` raises.
        """
        autocast = torch.autocast("cpu", enabled=False)
        try:
            with torch.inference_mode(False), torch.enable_grad(), autocast, self:
                results = list(function())
            if self._refusal is not None:
                raise self._refusal
            return [self._standing(result).operation for result in results]
        finally:
            # They know each other, and some a parameter, which would live on until the next
            # collection of garbage.
            self._made.clear()
            self._known.clear()

    # torch's own class sets flags here that all threads see, and imports its compiler.

    def __enter__(self) -> Self:
        torch._C._push_on_torch_dispatch_stack(self)
        return self

    def __exit__(self, *_: object) -> None:
        torch._C._pop_torch_dispatch_stack(None)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with self:
            found = func.decompose(*args, **kwargs or {})
        if found is not NotImplemented:
            return found
        if func is aten.detach.default and not isinstance(args[0], StandIn):
            # Torch detaches a constant before it reads the values.
            return func(*args)
        try:
            return self._record(func, *_changed(Tensor, self._standing, (args, kwargs or {})))
        except (Refused, NeedsValue) as error:
            raise self.refused(error) from None

    @property
    def arguments(self) -> list[Operation]:
        """Return the arguments, in the order in which they were made known."""
        return [op for op in self.operations if op.target == "argument"]

    def refused(self, error: Exception) -> Exception:
        """Remember an error, which the step itself may catch, and return it."""
        self._refusal = self._refusal or error
        return error

    def size(self, n: int) -> int:
        """Return a size as the step is told of it."""
        if n != self.rows.value:
            return n
        rows = Rows(n)
        rows.recorder = self
        return rows

    def _record(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if func is aten.lift_fresh.default:
            return args[0]
        inputs = _each(StandIn, (args, kwargs))
        taken, named = _changed(StandIn, lambda s: s.operation, (self._sized(func, args), kwargs))
        depends = max((s.operation.depends for s in inputs), default=On.NOTHING)
        op = Operation(func, taken, named, depends, _line(), torch.is_grad_enabled())
        self.operations.append(op)
        _check(op, inputs)
        if op.changes_in_place:
            return self._change(op, args, kwargs)
        found = _carry_out(op, args, kwargs)
        if isinstance(found, list | tuple):
            if inputs and len(found) != 1 and len(found) == self.rows.value:
                raise Refused(f"{op.name}: it reaches across rows{op.at}")
            return type(found)(self._part(op, i, part) for i, part in enumerate(found))
        return self._stand_in(op, found) if isinstance(found, Tensor) else found

    def _part(self, whole: Operation, index: int, part: Any) -> Any:
        """One of several results."""
        if not isinstance(part, Tensor):
            return part
        args = (whole, index)
        op = Operation(operator.getitem, args, {}, whole.depends, whole.line, whole.followed)
        self.operations.append(op)
        return self._stand_in(op, part)

    def _change(self, op: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> StandIn:
        """In place, only what was computed from rows, and not behind autograd's back.

        Other names of the same memory are no longer of use: operations know numbers, not memory.
        """
        writes = [a.alias_info and a.alias_info.is_write for a in op.target._schema.arguments]
        changed = args[0] if args else None
        if not isinstance(changed, StandIn) or not writes[0] or any(writes[1:]):
            raise _changes(op)
        others = [s for s in self._made if s is not changed and _overlap(changed.behind, s.behind)]
        old = changed.operation
        given = any(s.operation.target in ("argument", "constant") for s in (changed, *others))
        unseen = old.followed and not op.followed
        reshaped = torch.Tag.inplace_view in op.target.tags
        if given or unseen or reshaped or old.depends is not On.ROWS:
            raise _changes(op)
        for other in others:
            other.outdated = op
        _carry_out(op, args, kwargs)
        op.shape, op.dtype, changed.operation = old.shape, old.dtype, op
        return changed

    def _standing(self, tensor: Any) -> StandIn:
        """Return the stand-in for a tensor that an operation takes or the function returns."""
        if not isinstance(tensor, Tensor):
            raise Refused(f"an output or state is a {type(tensor).__name__} and no tensor")
        if not isinstance(tensor, StandIn):
            if id(tensor) in self._known:
                return self._known[id(tensor)][1]
            return self._outside(tensor, Operation("constant", value=tensor), tensor.detach())
        if tensor.recorder is not self:
            raise Refused(f"a tensor was kept from an earlier trace ({_line()})")
        if tensor.outdated is not None:
            raise _changes(tensor.outdated)
        return tensor

    def _outside(self, tensor: Tensor, op: Operation, behind: Tensor) -> StandIn:
        """Return the stand-in for a tensor made before the recording: one for all its uses."""
        self.operations.append(op)
        made = self._stand_in(op, behind)
        self._known.setdefault(id(tensor), (tensor, made))
        return made

    def _stand_in(self, op: Operation, behind: Tensor) -> StandIn:
        self._made.append(StandIn.of(behind, op, self))
        return self._made[-1]

    def _sized(self, func: Any, args: Sequence[Any]) -> list[Any]:
        """Arguments, with `rows` where a size has that number."""
        sized = list(args)
        for k, (arg, known) in enumerate(zip(args, func._schema.arguments, strict=False)):
            is_size = known.name == "size" and isinstance(arg, list | tuple)
            if is_size and arg and arg[0] == self.rows.value:
                sized[k] = [self.rows, *arg[1:]]
        return sized


def _carry_out(op: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    behind, named = _changed(StandIn, lambda s: s.behind, (args, kwargs))
    if op.target in _PRODUCTS and op.depends is On.ROWS:
        # Nobody sees the numbers, and torch takes 20 ms to get ready for its first product.
        *rest, a, b = behind
        if a.shape[1:] == b.shape[:1]:
            behind = *rest, a[:, :0], b[:0]
    return op.target(*behind, **named)


_PRODUCTS = (aten.mm.default, aten.addmm.default)


def _check(op: Operation, inputs: Sequence[StandIn]) -> None:
    """Refuse what numbers alone do not decide, and what has a gradient of its own."""
    if torch.Tag.nondeterministic_seeded in op.target.tags:
        raise Refused(f"{op.name} draws random numbers{op.at}")
    if any(s.operation.depends for s in _looked_at(op, inputs)):
        raise NeedsValue
    if not op.followed and _in_a_function():
        raise Refused(f"an autograd.Function has a gradient of its own{op.at}")
    if op.followed and torch._C._current_autograd_node() is not None:
        raise Refused(f"a gradient within a step would be differentiated again{op.at}")


def _looked_at(op: Operation, inputs: Sequence[StandIn]) -> Sequence[StandIn]:
    """Return the arguments whose values decide a Python number or the shape of a result."""
    if torch.Tag.data_dependent_output in op.target.tags:
        return inputs
    if op.target is aten.index.Tensor:
        return [s for s in inputs[1:] if s.dtype in (torch.bool, torch.uint8)]
    return inputs if torch.Tag.dynamic_output_shape in op.target.tags else ()


def _changes(op: Operation) -> Refused:
    return Refused(f"{op.name} changes a tensor in place{op.at}")


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors have memory in common."""
    if a.untyped_storage().data_ptr() != b.untyped_storage().data_ptr():
        return False
    if a.dtype != b.dtype:
        return True
    size = a.untyped_storage().nbytes() // a.element_size()
    marks = torch.zeros(size, dtype=torch.bool, device="cpu")
    marks.as_strided(a.shape, a.stride(), a.storage_offset()).fill_(True)
    return bool(marks.as_strided(b.shape, b.stride(), b.storage_offset()).any())


NOT_THE_USERS = (os.path.dirname(torch.__file__) + os.sep, __file__)


def _frames() -> Iterator[FrameType]:
    """From here out to what `Recorder.run` has called."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not Recorder.run.__code__:
        yield frame
        frame = frame.f_back


def _line() -> str:
    """The line that called torch, as `file:line: code`."""
    for frame in _frames():
        file, number = frame.f_code.co_filename, frame.f_lineno
        if not file.startswith(NOT_THE_USERS):
            return f"{os.path.basename(file)}:{number}: {linecache.getline(file, number).strip()}"
    return ""


def _in_a_function() -> bool:
    """Return whether the code runs in the forward pass of an `autograd.Function`."""
    apply: Any = torch.autograd.Function.apply
    return any(frame.f_code is apply.__func__.__code__ for frame in _frames())


def _changed(kind: type, change: Callable[[Any], Any], value: Any) -> Any:
    """`value` with every `kind` changed that is in its lists, tuples and dicts."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {name: _changed(kind, change, v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        parts = [_changed(kind, change, v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _each(kind: type, value: Any) -> list[Any]:
    """Every `kind` in the lists, tuples and dicts of `value`."""
    found: list[Any] = []
    _changed(kind, found.append, value)
    return found
