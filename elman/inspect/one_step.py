"""One step of a cell is looked at while it is taken: its gates, by their names in the cell.

Cells are read as they are written. A step is taken on many rows at once while every operation of
it is seen: what a sigmoid gives and a product takes is a gate, and it is called what the cell's
`forward` calls it. Results can be held where they were, to try what else a step does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from elman.cells.base import State
from elman.inspect.passage import Passage

aten = torch.ops.aten

_SIGMOIDS = (aten.sigmoid, aten.sigmoid_, aten.hardsigmoid, aten.hardsigmoid_)
_CLAMPS = (aten.clamp, aten.clamp_)
_PRODUCTS = (aten.mul, aten.mul_, aten.addcmul, aten.addcmul_, aten.lerp, aten.lerp_)
_MIXING = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.convolution)
"""Matrix products: what comes through one is no longer a unit's own."""

_FUSED = {
    nn.LSTMCell.forward.__code__: ("i", "f", "o"),
    nn.GRUCell.forward.__code__: ("r", "z"),
}
"""Cells of torch.nn, whose gates have no names in Python, in the order they are computed."""


@dataclass(eq=False)
class _Sigmoid:
    """One sigmoid of a step.

    Attributes:
        place: which of the results that can be held.
        result, argument: of it.
        frames: of Python, the innermost first; as long as they are kept, so are their variables.
        used: which columns of it products take.
    """

    place: int
    result: Tensor
    argument: Tensor
    frames: list[FrameType]
    used: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class Gate:
    """Columns of a sigmoid's result, under a name."""

    name: str
    place: int
    first: int
    last: int

    def of(self, result: Tensor) -> Tensor:
        """Return its part of that result."""
        return (result.flatten(1) if result.dim() > 2 else result)[..., self.first : self.last]


class Step(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """One step, looked at while it is taken; or with some results held where they were.

    Attributes:
        new: the state after it.
        held: results of sigmoids and matrix products, in order.
        gates: those of the sigmoids that are gates.
    """

    new: State
    gates: list[Gate]

    def __init__(self, rows: int, hold: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: list[Tensor] = []
        self._rows, self._hold = rows, hold
        self._sigmoids: list[_Sigmoid] = []
        self._turned: list[tuple[Tensor, _Sigmoid, int]] = []

    @classmethod
    def seen(cls, passage: Passage, x: Tensor, state: State, hold: Sequence[Tensor] = ()) -> Step:
        """Take one step, the first results held at `hold`."""
        step = cls(len(x), hold)
        # Random draws of a step are the same at every call.
        with torch.random.fork_rng(devices=[]), torch.no_grad(), step:
            torch.default_generator.manual_seed(0)
            output, step.new = passage.step(x, state)
        step.gates = step._named((output, *step.new))
        # Frames know those that called them, and so this step.
        step._sigmoids, step._turned = [], []
        return step

    def values(self, gate: Gate) -> Tensor:
        """Return a gate as `(N, size)`; a gate that is a parameter is the same in each row."""
        part = gate.of(self.held[gate.place])
        return part.expand(self._rows, part.shape[-1])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:
            # Under inference mode operations arrive before they are taken apart.
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
        kind = func.overloadpacket
        sigmoid = kind in _SIGMOIDS or (kind in _CLAMPS and tuple(args[1:3]) == (0, 1))
        if not sigmoid and kind not in _MIXING:
            result = func(*args, **kwargs)
            self._follow(kind, args, result)
            return result
        place = len(self.held)
        if place < len(self._hold):
            result = self._hold[place].clone()
            if func._schema.is_mutable:
                result = args[0].copy_(result)
        else:
            result = func(*args, **kwargs)
        # A copy, since a step may go on to change it in place.
        self.held.append(result.clone())
        if sigmoid and result.dim() and (result.dim() == 1 or len(result) in (1, self._rows)):
            self._sigmoids.append(_Sigmoid(place, result, args[0], list(_frames())))
        return result

    def _follow(self, kind: Any, args: Sequence[Any], result: Any) -> None:
        """Notice that a gate is turned round, or multiplies."""
        tensors = [a for a in args if isinstance(a, Tensor) and a.dim()]
        if kind in _PRODUCTS and len(tensors) > 1:
            for sigmoid, columns in chain.from_iterable(map(self._parts, tensors)):
                sigmoid.used.add(columns)
        elif (kind is aten.rsub and args[1] == 1) or (kind is aten.sub and len(tensors) > 1):
            for sigmoid, (first, _) in self._parts(tensors[-1]):
                self._turned.append((result, sigmoid, first))

    def _parts(self, tensor: Tensor) -> Iterator[tuple[_Sigmoid, tuple[int, int]]]:
        """Find the sigmoid, and its columns, that a tensor is, or is one minus."""
        wholes = [(s.result, s, 0) for s in self._sigmoids] + self._turned
        for whole, sigmoid, offset in wholes:
            columns = _columns(tensor, whole)
            if columns:
                yield sigmoid, (columns[0] + offset, columns[1] + offset)
                return

    def _named(self, results: Sequence[Tensor]) -> list[Gate]:
        found: list[Gate] = []
        names: list[str] = []
        fused: list[FrameType] = []
        for sigmoid in self._sigmoids:
            given = {_columns(r, sigmoid.result) for r in results}
            fused += [frame for frame in sigmoid.frames if frame.f_code in _FUSED]
            for columns in sorted(sigmoid.used - given):
                name = _local(sigmoid, columns, fused) or f"gate {len(found) + 1}"
                names.append(name)
                again = f" {names.count(name)}" if names.count(name) > 1 else ""
                found.append(Gate(name + again, sigmoid.place, *columns))
        return found


_TORCH = os.path.dirname(torch.__file__) + os.sep


def _frames() -> Iterator[FrameType]:
    """Yield the frames from here out to where the step was called."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not Passage.step.__code__:
        yield frame
        frame = frame.f_back


def _local(sigmoid: _Sigmoid, columns: tuple[int, int], fused: Sequence[FrameType]) -> str | None:
    """Find the variable that holds columns of a sigmoid's result, or else held its argument."""
    own = [frame for frame in sigmoid.frames if not frame.f_code.co_filename.startswith(_TORCH)]
    for tensor in (sigmoid.result, sigmoid.argument):
        for frame in reversed(own):
            for name, value in frame.f_locals.items():
                several = isinstance(value, list | tuple)
                for k, one in enumerate(value if several else [value]):
                    if isinstance(one, Tensor) and _columns(one, tensor) == columns:
                        return f"{name}[{k}]" if several else name
        for frame in sigmoid.frames:
            if frame.f_code in _FUSED:
                return _FUSED[frame.f_code][fused.count(frame) - 1]
    return None


def _columns(part: Tensor, whole: Tensor) -> tuple[int, int] | None:
    """Find the columns of a tensor that another is, in memory; None if it is elsewhere."""
    part, whole = (t.flatten(1) if t.dim() > 2 else t for t in (part, whole))
    if not part.dim() or part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        return None
    if part.stride() != whole.stride() or part.shape[:-1] != whole.shape[:-1]:
        return None
    first = int(part.storage_offset() - whole.storage_offset())
    last = first + part.shape[-1]
    return (first, last) if 0 <= first < last <= whole.shape[-1] else None
