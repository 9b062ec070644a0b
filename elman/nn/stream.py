"""Streams: layers and models that are fed step by step, in constant memory.

A stream keeps the weights that it began with and a state; it keeps nothing for gradients. It
computes as its layer in evaluation mode, whatever the layer's `training` says: no dropout, and the
expectation of zoneout. For training and for whole sequences, call the layer itself.

One thread at a time can use a stream. A snapshot names the model and weights that it belongs to.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.modules import activation

from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.kernels import SequenceError
from elman.kernels.program import Weights
from elman.kernels.sequence import Hold
from elman.kernels.stream import CellStream, Copied, OneAtATime, as_tensor, identity
from elman.nn.dropout import LockedDropout
from elman.nn.pooling import Pooling
from elman.nn.stack import Join

_ALONG = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU)
_ACROSS = (nn.MultiheadAttention, nn.Softmax2d)
_ELEMENTWISE = tuple(
    kind
    for kind in (getattr(nn, name) for name in activation.__all__)
    if kind not in (*_ALONG, *_ACROSS, nn.PReLU)
)
_IDLE = (nn.Identity, nn.Dropout, nn.AlphaDropout, LockedDropout)
_PLAIN = (nn.Linear, nn.Embedding, nn.Identity, nn.Dropout, nn.AlphaDropout, LockedDropout)


_IDENTITY = "identity"
"""The name in a snapshot of what tells model and weights."""


class Stream(Copied):
    """Base of all streams.

    A second thread that uses a stream while a first one does gets an `InputError`; the stream goes
    on for the first. `copy()`, as `copy.copy` and `copy.deepcopy` do, makes an independent stream
    that shares the weights.

    Attributes:
        batch: rows that are fed side by side.
        batch_first: whether a chunk is `(batch, T, ...)` and not `(T, batch, ...)`.
        backend: "cpu", or "reference" if any cell runs on it; `reason` says why.
        identity: a short hash of the model and its weights.
        step: takes one more input `(batch, input_size)`, returns the output `(batch, output_size)`.
            The input is a tensor, a NumPy array or a list of numbers.
    """

    instead = (
        "Save its state with to_bytes(), open the model's stream in the other place, and give it "
        "the state with from_bytes()."
    )
    batch: int
    batch_first: bool
    backend: str
    reason: str
    identity: str
    step: Callable[[Any], Tensor]
    _reads: tuple[int, torch.dtype] | None = None
    _dtype: torch.dtype | None = None
    """The dtype for inputs that are no tensors; None leaves whole numbers whole."""

    def __init__(self) -> None:
        self._alone = OneAtATime()
        self.step = self._alone.guarding(self._step)
        # What a stream calls that this is a part of, and that lets one thread in at a time itself.
        self._within: Callable[[Any], Tensor] = self._step

    def chunk(self, x: Any) -> Tensor:
        """Take T more inputs at once, T = 0 included; return the outputs, laid out as in a call.

        Args:
            x: a tensor, a NumPy array or a list of numbers, in the layout of a call.

        Raises:
            SequenceError: `x` does not fit.
        """
        x = as_tensor(x, self._dtype)
        fits = x.dim() > 1 and x.shape[0 if self.batch_first else 1] == self.batch
        if not fits or self._reads not in (None, (*x.shape[2:], x.dtype)):
            rows = f"batch={self.batch}, T" if self.batch_first else f"T, batch={self.batch}"
            wide = "..." if self._reads is None else f"input_size={self._reads[0]}"
            of = "" if self._reads is None else f" of {self._reads[1]}"
            raise SequenceError(
                f"A chunk takes x ({rows}, {wide}){of}, got {tuple(x.shape)} of {x.dtype}."
            )
        with self._alone:
            if self.batch_first:
                return self._chunk(x.transpose(0, 1)).transpose(0, 1)
            return self._chunk(x)

    @property
    def state(self) -> Any:
        """Return a copy of the state after the last step, as the layer's call takes and returns it.

        The state of a model with several layers is the tuple of their states. Set a state to go
        on from it, or None to begin anew.
        """
        with self._alone:
            return self._get()

    @state.setter
    def state(self, state: Any) -> None:
        with self._alone:
            if state is None:
                self._reset(None)
            else:
                self._set(state)

    def reset(self, rows: Tensor | Sequence[int] | None = None) -> None:
        """Begin anew in all rows of the batch, or in `rows` (numbers, or a bool mask of the batch).

        Raises:
            InputError: there is no such row.
        """
        if rows is not None:
            chosen = torch.as_tensor(rows)
            if chosen.dtype == torch.bool and len(chosen) == self.batch:
                chosen = chosen.nonzero()[:, 0]
            rows = [int(row) for row in chosen.tolist()]
            if chosen.dtype == torch.bool or any(not 0 <= row < self.batch for row in rows):
                raise InputError(f"Rows are 0 to {self.batch - 1}, got {chosen.tolist()}.")
        with self._alone:
            self._reset(rows)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the state as named tensors, which `safetensors.torch.save` takes.

        One of them, `identity`, tells the model and the weights.
        """
        with self._alone:
            return {**dict(self._named()), _IDENTITY: marked(self.identity)}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Go on from a snapshot of this stream or of another of the same model and weights.

        To go on from the state of a model whose weights have changed since, set `state`.

        Raises:
            InputError: it is of another model or of other weights, or does not say of which;
                nothing has changed then.
        """
        if not isinstance(snapshot, Mapping):
            raise InputError(
                f"A snapshot is a dict of tensors, not {type(snapshot).__name__}.",
                fix="Read bytes with from_bytes.",
            )
        given = dict(snapshot)
        came_from = given.pop(_IDENTITY, None)
        with self._alone:
            self._check(given)
            check_identity(came_from, self.identity)
            self._take(given)

    def _check(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, own in (mine := dict(self._named())).items():
            came = snapshot.get(name)
            if came is None or came.shape != own.shape or came.dtype != own.dtype:
                what = "nothing" if came is None else f"{tuple(came.shape)} of {came.dtype}"
                raise InputError(
                    f"This snapshot is of another stream: {name} is {tuple(own.shape)} of "
                    f"{own.dtype} here, got {what}."
                )
        if len(snapshot) != len(mine):
            more = ", ".join(sorted(set(snapshot) - set(mine)))
            raise InputError(f"This snapshot is of another stream: here is no {more}.")

    def to_bytes(self) -> bytes:
        """Return the snapshot as bytes (safetensors)."""
        return packed(self.snapshot())

    def from_bytes(self, data: bytes) -> None:
        """Go on from what `to_bytes` of a stream of the same model and weights returned.

        Raises:
            InputError: the bytes are damaged; or as for `restore`.
        """
        self.restore(unpacked(data))

    def copy(self) -> Self:
        """Return a stream that goes on from the same state by itself; weights are shared.

        It costs less than to open another one, and can begin anew by `reset()`.
        """
        new = object.__new__(type(self))
        with self._alone:
            vars(new).update(vars(self))
            Stream.__init__(new)
            new._part_from(self)
        return new

    def _step(self, x: Any) -> Tensor:
        raise NotImplementedError

    def _chunk(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _get(self) -> Any:
        raise NotImplementedError

    def _set(self, state: Any) -> None:
        raise NotImplementedError

    def _reset(self, rows: list[int] | None) -> None:
        raise NotImplementedError

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        raise NotImplementedError

    def _take(self, snapshot: Mapping[str, Tensor]) -> None:
        raise NotImplementedError

    def _part_from(self, other: Self) -> None:
        """Take copies of what the streams must not share: all that a step changes."""
        raise NotImplementedError


def marked(identity: str) -> Tensor:
    """Return an identity as the tensor of a snapshot."""
    return torch.tensor(list(bytes.fromhex(identity)), dtype=torch.uint8)


def check_identity(came_from: Tensor | None, identity: str) -> None:
    """Refuse the snapshot of another model or of other weights.

    Args:
        came_from: the identity in the snapshot.
        identity: of the stream that it is given to.

    Raises:
        InputError: they differ, or there is none in the snapshot.
    """
    if came_from is None:
        raise InputError(
            "This snapshot does not say which model and weights it belongs to: it was taken before "
            "snapshots did, and so it cannot be trusted to fit.",
            fix="Feed the sequence again, or set `state`.",
        )
    if not torch.equal(came_from.cpu(), marked(identity)):
        raise InputError(
            "This snapshot is of another stream: it belongs to another model, or to other weights "
            "of this one (a run trained anew, or further).",
            fix="Load the run that it was taken from, or feed the sequence again.",
        )


def packed(tensors: dict[str, Tensor]) -> bytes:
    """Return named tensors as the bytes of a snapshot."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def unpacked(snapshot: bytes) -> dict[str, Tensor]:
    """Return the tensors of a snapshot.

    Raises:
        InputError: the bytes are damaged.
    """
    if not isinstance(snapshot, bytes | bytearray):
        raise InputError(
            f"a snapshot is bytes, as snapshot() gives them, not {type(snapshot).__name__}."
        )
    try:
        return load(bytes(snapshot))
    except SafetensorError as error:
        raise InputError(f"this snapshot cannot be restored: {error}.") from None


class LayerStream(Stream):
    """A stack of cells on a stream; `layer.stream()` makes one.

    Args:
        layer: the layer, which gives device, dtype and layout.
        cells: one for each layer, with the tensors that stand for its weights, or None.
        batch: rows that are fed side by side.
        pack: from the cells' states to the layer's form of them.
        unpack: from that form to the cells' states, None for one that begins anew.
        hold: zoneout's rates.
        joins: for each layer how its output and its input are joined.

    Raises:
        InputError: the layer is bidirectional, or there is no row.
    """

    def __init__(
        self,
        layer: Any,
        cells: Iterable[tuple[Cell, Weights | None]],
        batch: int,
        *,
        pack: Callable[[list[State]], Any],
        unpack: Callable[[Any], Sequence[State | None]],
        hold: Hold | None = None,
        joins: Sequence[Join | None] | None = None,
    ) -> None:
        if layer.bidirectional:
            raise InputError(
                "A stream has no end to read backwards from; a bidirectional layer needs the "
                "whole sequence.",
                fix="Use bidirectional=False.",
            )
        super().__init__()
        floating = (p for p in layer.parameters() if p.is_floating_point())
        like = next(floating, torch.empty(0))
        self.batch, self.batch_first = batch, layer.batch_first
        self._reads, self._dtype = (layer.input_size, like.dtype), like.dtype
        self._cells = [CellStream(cell, batch, like, weights, hold) for cell, weights in cells]
        slow = [cell for cell in self._cells if cell.backend == "reference"]
        told = (slow or self._cells)[0]
        self.backend, self.reason = told.backend, told.reason
        self._joins = joins or [None] * len(self._cells)
        self._pack, self._unpack = pack, unpack
        joined = [getattr(join, "__name__", None) for join in self._joins]
        cells_are = [cell.identity for cell in self._cells]
        gates = getattr(layer, "gates", None)
        self.identity = identity(type(layer).__name__, cells_are, joined, gates)
        self._bind()

    def _bind(self) -> None:
        if len(self._cells) == 1 and self._joins[0] is None:
            # Bound past this class: a call more would show. The cell lets one thread in at a time.
            self.step = self._within = self._cells[0].step

    def _part_from(self, other: Self) -> None:
        self._cells = [cell.copy() for cell in other._cells]
        self._bind()

    def _step(self, given: Any) -> Tensor:
        x = as_tensor(given, self._dtype).detach()
        for cell, join in zip(self._cells, self._joins, strict=True):
            y = cell.step(x)
            x = y if join is None else join(y, x)
        return x

    def _chunk(self, x: Tensor) -> Tensor:
        x = x.detach()
        for cell, join in zip(self._cells, self._joins, strict=True):
            y = cell.chunk(x)
            x = y if join is None else join(y, x)
        return x

    def _get(self) -> Any:
        return self._pack([cell.state for cell in self._cells])

    def _set(self, state: Any) -> None:
        given = self._unpack(state)
        for cell, part in zip(self._cells, given, strict=True):
            if part is not None:
                cell.check(part)
        for cell, part in zip(self._cells, given, strict=True):
            if part is None:
                cell.reset()
            else:
                cell.state = part

    def _reset(self, rows: list[int] | None) -> None:
        for cell in self._cells:
            cell.reset(rows)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for k, cell in enumerate(self._cells):
            for i, tensor in enumerate(cell.kept()):
                yield f"layer{k}.state{i}", tensor

    def _take(self, snapshot: Mapping[str, Tensor]) -> None:
        for k, cell in enumerate(self._cells):
            cell.state = tuple(snapshot[f"layer{k}.state{i}"] for i in range(len(cell.kept())))


class JoinedStream(Stream):
    """Base of a stream made of several: their states, resets and snapshots go together.

    The state is the tuple of their states, in their order. A `ModelStream` with a single stream has
    the state of that stream.
    """

    _streams: list[tuple[str, Any]]
    _bare = False
    """True if the state of a single stream has no tuple around it."""

    def _join(self, streams: list[tuple[str, Any]]) -> None:
        self._streams = streams
        slow = [s for _, s in streams if s.backend == "reference"]
        self.backend = "reference" if slow else "cpu"
        self.reason = slow[0].reason if slow else "every cell has a kernel"

    def _get(self) -> Any:
        states = tuple(s.state for _, s in self._streams)
        return states[0] if self._bare else states

    def _set(self, state: Any) -> None:
        given = (state,) if self._bare else state
        if len(given) != len(self._streams):
            raise SequenceError(
                f"The state of this model is a tuple of {len(self._streams)}, got {len(given)}."
            )
        for (_, stream), part in zip(self._streams, given, strict=True):
            stream.state = part

    def _reset(self, rows: list[int] | None) -> None:
        for _, stream in self._streams:
            stream.reset(rows)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, stream in self._streams:
            for key, tensor in _named_by(stream):
                yield f"{name}.{key}", tensor

    def _take(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, stream in self._streams:
            part = {key: snapshot[f"{name}.{key}"] for key, _ in _named_by(stream)}
            if isinstance(stream, Stream):
                stream._take(part)
            else:
                stream.restore(part)

    def _part_from(self, other: Self) -> None:
        self._streams = [(name, copy.deepcopy(stream)) for name, stream in other._streams]


def _named_by(stream: Any) -> Iterable[tuple[str, Tensor]]:
    """Give the tensors of a part's snapshot; the whole has an identity and its parts need none."""
    return stream._named() if isinstance(stream, Stream) else stream.snapshot().items()


class ModelStream(JoinedStream):
    """Parts one after another on a stream: `elman.stream` makes one.

    A language model, for example, is a chain of its embedding, its layers and an `nn.Linear` that
    gives the scores. A weight that two parts share is copied once.

    Args:
        parts: by name; recurrent layers, modules that act on each step by itself, and streams.
        batch: rows that are fed side by side.
        batch_first: layout of a chunk, as the model has it; None takes it from the layers.

    Raises:
        InputError: a part cannot stream, or layers differ in layout; the message names it.
    """

    def __init__(
        self,
        parts: Iterable[tuple[str, nn.Module | Stream]],
        batch: int,
        batch_first: bool | None = None,
    ) -> None:
        super().__init__()
        self.batch = batch
        copied: dict[int, Any] = {}
        self._parts = [
            (n, _opened(n, part, batch, copied)) for n, part in _leaves(parts) if not _idle(part)
        ]
        self._join([(n, p) for n, p in self._parts if not isinstance(p, nn.Module)])
        self._bare = len(self._streams) == 1
        layouts = {bool(s.batch_first) for _, s in self._streams}
        if batch_first is None and len(layouts) > 1:
            raise InputError("Some layers of this model are batch_first and some are not.")
        self.batch_first = layouts == {True} if batch_first is None else batch_first
        self._steps = [_one_step(name, part) for name, part in self._parts]
        self._dtype = next((_read_by(part) for _, part in self._parts), None)
        self.identity = identity(*chain.from_iterable((n, _told(p)) for n, p in self._parts))

    def _part_from(self, other: Self) -> None:
        super()._part_from(other)
        streams = dict(self._streams)
        self._parts = [(name, streams.get(name, part)) for name, part in other._parts]
        self._steps = [_one_step(name, part) for name, part in self._parts]

    def _step(self, given: Any) -> Tensor:
        x: Tensor = given if type(given) is Tensor else as_tensor(given, self._dtype)
        if x.dim() < 1 or x.shape[0] != self.batch:
            raise SequenceError(f"A step takes x (batch={self.batch}, ...), got {tuple(x.shape)}.")
        x = x.detach()
        for step in self._steps:
            x = step(x)
        return x

    def _chunk(self, x: Tensor) -> Tensor:
        x, steps = x.detach(), x.shape[0]
        for name, part in self._parts:
            if isinstance(part, nn.Module):
                y = _through(name, part, x.flatten(0, 1))
                x = y.view(steps, self.batch, *y.shape[1:])
            else:
                x = _time_first_chunk(part, x)
        return x


class PoolingStream(Stream):
    """A pooling on a stream: after each output of a layer, the pooled value of all so far.

    Args:
        pooling: its weights are copied.
        batch: rows that are fed side by side.
        size: features of an output.
        like: a tensor of the device and type of the outputs.

    Raises:
        InputError: the outputs are those of a bidirectional layer.

    >>> from elman.nn.pooling import MaxPooling
    >>> stream = PoolingStream(MaxPooling(), 1, 2, torch.zeros(0))
    >>> stream.step(torch.tensor([[1.0, 5.0]])), stream.step(torch.tensor([[3.0, 2.0]]))
    (tensor([[1., 5.]]), tensor([[3., 5.]]))
    """

    batch_first = False
    backend = "cpu"
    reason = "a pooling needs no kernel"

    def __init__(self, pooling: Pooling, batch: int, size: int, like: Tensor) -> None:
        super().__init__()
        self.batch = batch
        self._reads, self._dtype = (size, like.dtype), like.dtype
        self._pooling = copy.deepcopy(pooling).eval().requires_grad_(False)
        self._fresh = pooling.start(batch, size, like.device, like.dtype)
        # A step gives new tensors and writes to none, so that what was given out stays as it is.
        self._state = self._fresh
        self.identity = identity(self._pooling)

    def _part_from(self, other: Self) -> None:
        """Share everything: a step replaces the state and writes to nothing."""

    def _step(self, y: Any) -> Tensor:
        if type(y) is not Tensor:
            y = as_tensor(y, self._dtype)
        pooled, self._state = self._pooling.step(y.detach(), self._state)
        return pooled

    def _chunk(self, x: Tensor) -> Tensor:
        return torch.stack([self._step(y) for y in x]) if len(x) else x

    def _get(self) -> Any:
        return tuple(s.clone() for s in self._state)

    def _set(self, state: Any) -> None:
        if len(state) != len(self._fresh):
            raise SequenceError(
                f"The state of a {type(self._pooling).__name__} is a tuple of {len(self._fresh)}, "
                f"got {len(state)}."
            )
        for i, (own, given) in enumerate(zip(self._fresh, state, strict=True)):
            if given.shape != own.shape or given.dtype != own.dtype:
                raise SequenceError(
                    f"state[{i}] of a {type(self._pooling).__name__} must be {tuple(own.shape)} of "
                    f"{own.dtype}, got {tuple(given.shape)} of {given.dtype}."
                )
        self._state = tuple(s.detach().clone() for s in state)

    def _reset(self, rows: list[int] | None) -> None:
        if rows is None:
            self._state = self._fresh
            return
        self._state = self._get()
        for own, fresh in zip(self._state, self._fresh, strict=True):
            own[rows] = fresh[rows]

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for i, tensor in enumerate(self._state):
            yield f"state{i}", tensor.clone()

    def _take(self, snapshot: Mapping[str, Tensor]) -> None:
        self._state = tuple(snapshot[f"state{i}"].clone() for i in range(len(self._fresh)))


class EnsembleStream(JoinedStream):
    """Networks side by side on a stream, whose outputs become one.

    `elman.nn.Ensemble.stream` makes one.

    Args:
        members: modules that `elman.stream` can stream.
        batch: rows that are fed side by side.
        joined: makes one output of the members' outputs.

    Raises:
        InputError: a member cannot stream, or members differ in layout.
    """

    def __init__(
        self, members: Iterable[Any], batch: int, joined: Callable[[list[Tensor]], Tensor]
    ) -> None:
        super().__init__()
        self.batch, self._joined = batch, joined
        self._join([(f"member{k}", stream(m, batch)) for k, m in enumerate(members)])
        layouts = {bool(s.batch_first) for _, s in self._streams}
        if len(layouts) != 1:
            raise InputError("The members of an ensemble are all batch_first, or none is.")
        (self.batch_first,) = layouts
        self._dtype = _read_by(self._streams[0][1])
        self.identity = identity(*(_told(member) for _, member in self._streams))

    def _step(self, x: Any) -> Tensor:
        x = as_tensor(x, self._dtype)
        return self._joined([_stepping(member)(x) for _, member in self._streams])

    def _chunk(self, x: Tensor) -> Tensor:
        return self._joined([_time_first_chunk(member, x) for _, member in self._streams])


def _read_by(part: Any) -> torch.dtype | None:
    """Return what a part makes of inputs that are no tensors; None leaves whole numbers whole."""
    if not isinstance(part, nn.Module):
        found: torch.dtype | None = getattr(part, "_dtype", None)
        return found
    if any(isinstance(module, nn.Embedding) for module in part.modules()):
        return None
    return next((p.dtype for p in part.parameters() if p.is_floating_point()), None)


def _told(part: Any) -> Any:
    """Return what tells a part's identity: itself, the identity of its stream, or its class."""
    if isinstance(part, nn.Module):
        return part
    return getattr(part, "identity", type(part).__qualname__)


def _time_first_chunk(part: Any, x: Tensor) -> Tensor:
    """Give `x` `(T, batch, ...)` to a stream of either layout; return `(T, batch, ...)`."""
    if part.batch_first:
        return part.chunk(x.transpose(0, 1)).transpose(0, 1)  # type: ignore[no-any-return]
    return part.chunk(x)  # type: ignore[no-any-return]


def stream(model: Any, batch: int = 1) -> Any:
    """Put a model on a stream: by its own `stream()` if it has one, or as a chain of parts.

    A chain is an `nn.Sequential` of recurrent layers, whose output goes to the next part, and of
    modules that act on each step by itself: `nn.Linear`, `nn.Embedding`, `nn.LayerNorm`,
    activations, dropout, and modules with a method `stream(batch)`. The outputs are equal to the
    outputs for the whole sequence in evaluation mode; see docs/kernels.md.

    Args:
        model: a layer, `elman.nn.Aligned`, `OneToOne`, `ManyToOne` or `Ensemble`, an
            `nn.Sequential`, or what `elman.load` gives.
        batch: rows that are fed side by side.

    Returns:
        A `Stream` with `step`, `chunk`, `state`, `reset`, `snapshot`, `restore`, `copy`,
        `to_bytes` and `from_bytes`.

    Raises:
        InputError: a part of the model cannot stream; the message names it.

    >>> import elman
    >>> model = nn.Sequential(nn.Embedding(9, 4), elman.nn.GRU(4, 8))
    >>> stream = elman.stream(model)
    >>> stream.step(torch.tensor([3])).shape
    torch.Size([1, 8])
    >>> saved = stream.snapshot()
    >>> y = stream.step(torch.tensor([5]))
    >>> stream.restore(saved)
    >>> torch.equal(stream.step(torch.tensor([5])), y)
    True
    """
    if callable(getattr(model, "stream", None)):
        return _own_stream(type(model).__name__, model, batch)
    if isinstance(model, nn.Module):
        return ModelStream([("", model)], batch)
    raise InputError(f"A {type(model).__name__} has no stream; a layer or a model has.")


def _own_stream(name: str, model: Any, batch: int) -> Any:
    if "batch" in inspect.signature(model.stream).parameters:
        return model.stream(batch=batch)
    if batch != 1:
        raise InputError(f"The stream of {name} has one row, not batch={batch}.")
    return model.stream()


def _leaves(
    parts: Iterable[tuple[str, nn.Module | Stream]],
) -> Iterator[tuple[str, nn.Module | Stream]]:
    for name, part in parts:
        if _is(part, nn.Sequential) and not hasattr(part, "stream"):
            assert isinstance(part, nn.Module)
            yield from _leaves(
                (f"{name}.{k}" if name else k, child) for k, child in part.named_children()
            )
        else:
            yield name, part


def _is(part: Any, kind: type[nn.Module]) -> bool:
    return isinstance(part, kind) and type(part).forward is kind.forward


def _opened(name: str, part: nn.Module | Stream, batch: int, copied: dict[int, Any]) -> Any:
    """Return the stream of a part that has one, or a copy of one that acts on each step alone.

    `copied` is what was copied for the parts before, so that shared weights stay shared.
    """
    if isinstance(part, Stream):
        return part
    if callable(getattr(part, "stream", None)):
        return _own_stream(name, part, batch)
    if not _stepwise(part):
        raise InputError(
            f"{f'Part {name!r}, a' if name else 'A'} {type(part).__name__}, cannot stream: it is "
            "not known to act on each step by itself.",
            fix="Give it stepwise = True if it does, or a method stream(batch), or keep it out; "
            "a Cell goes into Recurrent(cell).",
        )
    return copy.deepcopy(part, copied).eval().requires_grad_(False)


def _idle(part: Any) -> bool:
    """Tell whether a part gives its input back in evaluation, by its kind or by its own word."""
    return getattr(part, "idle", False) is True or any(_is(part, kind) for kind in _IDLE)


def _stepwise(part: Any) -> bool:
    if getattr(part, "stepwise", False) is True:  # it says so itself
        return True
    if any(_is(part, kind) for kind in _ALONG):
        return bool(part.dim == -1)
    if _is(part, nn.LayerNorm) or _is(part, nn.RMSNorm):
        return len(part.normalized_shape) == 1
    if _is(part, nn.PReLU):
        return bool(part.num_parameters == 1)
    return any(_is(part, kind) for kind in (*_PLAIN, *_ELEMENTWISE))


def _stepping(part: Any) -> Callable[[Tensor], Tensor]:
    """Return the step of a stream that is part of another."""
    found: Callable[[Tensor], Tensor] = part._within if isinstance(part, Stream) else part.step
    return found


def _one_step(name: str, part: Any) -> Callable[[Tensor], Tensor]:
    """Return what takes a part's step: of a linear map its product alone, past `nn.Module`.

    A call of a module costs as much as a small kernel.
    """
    if not isinstance(part, nn.Module):
        return _stepping(part)
    through = functools.partial(_through, name, part)
    if not _is(part, nn.Linear) or part.bias is None or _hooked(part):
        return through
    assert isinstance(part, nn.Linear)
    weights, bias = part.weight.t(), part.bias

    def linear(x: Tensor) -> Tensor:
        fits = x.dim() == 2 and x.dtype is bias.dtype and x.shape[1] == weights.shape[0]
        return torch.addmm(bias, x, weights) if fits else through(x)

    return linear


def _hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks)


def _through(name: str, part: nn.Module, x: Tensor) -> Tensor:
    try:
        y: Tensor = part(x)
    except (RuntimeError, IndexError) as error:
        raise SequenceError(
            f"Part {name!r}, a {type(part).__name__}, cannot read {tuple(x.shape)} of {x.dtype}: "
            f"{error}"
        ) from error
    return y
