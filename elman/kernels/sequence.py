"""The meaning of running a cell over a sequence: the arguments, checked once, and the result.

Every backend receives a `Call` that has passed `prepare`, so that none of them checks
shapes again or gives an argument a meaning of its own. Time comes first here: `(T, B, ...)`.

- `lengths`: row b ends after `lengths[b]` steps, zero included. Outputs beyond are zero, the
  state stays what it was at the end, and what the padding holds is never read.
- `reset[t, b]`: position t of row b begins a new sequence. Nothing crosses from t - 1 to t
  or back: the state there is the cell's `init_state`.
- `reverse`: each row runs from its last valid position to position 0; an output stays at
  the position whose input it belongs to.
- `hold`: for each state None, a probability or a mask `(T, B, size)`: zoneout. A true
  element of the mask keeps the old value; a probability p gives the expectation
  p old + (1 - p) new. An output that is itself one of the new states follows what was held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.kernels import transforms

Hold = tuple[float | Tensor | None, ...]


class SequenceError(InputError, RuntimeError):
    """An argument does not fit the recurrence that it was given to.

    It is a RuntimeError too, so that code which catches torch's own complaints catches this one.
    """


class Result(NamedTuple):
    """The result of a run.

    Attributes:
        output: `(T, B, output_size)`, zero beyond each row's length.
        state: after the last valid step of each row, `(B, size)` each.
        states: every state after every step, `(T, B, size)` each, zero beyond each row's
            length; None unless asked for.
    """

    output: Tensor
    state: State
    states: State | None


class Options(TypedDict, total=False):
    """The keyword arguments of a run; the module says what they mean."""

    lengths: Tensor | Sequence[int] | None
    reset: Tensor | None
    reverse: bool
    hold: Hold | None
    return_states: bool


@dataclass(frozen=True)
class Call:
    """The checked arguments of one run; see the module for their meaning."""

    x: Tensor
    state: State
    lengths: Tensor | None
    reset: Tensor | None
    reverse: bool
    hold: Hold | None
    return_states: bool
    at_rest: bool = False
    """Return whether the state is zero because none was given."""

    def valid(self) -> Tensor | None:
        """`(T, B)`, true at positions within each row's length; None when all are."""
        if self.lengths is None:
            return None
        return torch.arange(self.x.shape[0], device=self.x.device)[:, None] < self.lengths


def prepare(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reverse: bool = False,
    hold: Hold | None = None,
    return_states: bool = False,
    begin: bool = True,
) -> Call:
    """Check what a run was asked for and fill in what was left out.

    Without `begin` a state left out stays so: an empty tuple.

    Raises:
        SequenceError: something has the wrong shape, size, type or range; the message names
            the argument and the axis, what was expected and what came.
    """
    if x.dim() != 3:
        raise SequenceError(
            f"x must be (time, batch, input_size), got {x.dim()} axes: {_shape(x)}."
        )
    steps, batch, width = x.shape
    if width != cell.input_size:
        raise SequenceError(
            f"x has {width} features (its last axis), the cell takes input_size={cell.input_size}."
        )
    at_rest = state is None and getattr(cell.init_state, "__func__", None) is Cell.init_state
    if state is not None:
        state = _checked_state(cell, state, batch)
    else:
        state = cell.init_state(batch, x.device, x.dtype) if begin else ()
    return Call(
        x=x,
        state=state,
        lengths=None if lengths is None else _checked_lengths(lengths, steps, batch, x.device),
        reset=None if reset is None else _checked_reset(reset, steps, batch, x.device),
        reverse=reverse,
        hold=None if hold is None else _checked_hold(cell, hold, steps, batch),
        return_states=return_states,
        at_rest=at_rest,
    )


def check_step(cell: Cell, call: Call, output: Tensor, new: State) -> None:
    """Refuse a step that breaks the cell's own contract, before its shapes spread or broadcast.

    Raises:
        SequenceError: the output or a state is not what the cell declares.
    """
    name, batch = type(cell).__name__, call.x.shape[1]
    if not isinstance(new, tuple) or len(new) != len(cell.state_sizes):
        came = f"{len(new)} items" if isinstance(new, tuple) else f"a {type(new).__name__}"
        raise SequenceError(
            f"{name}.forward must give (output, state), the state a tuple of "
            f"{len(cell.state_sizes)} tensor(s), got {came}."
        )
    for what, tensor, size in [
        (f"{name}'s output", output, cell.output_size),
        *(
            (f"{name}'s state[{i}]", s, n)
            for i, (s, n) in enumerate(zip(new, cell.state_sizes, strict=True))
        ),
    ]:
        if tuple(tensor.shape) != (batch, size):
            raise SequenceError(
                f"{what} must be (batch={batch}, size={size}) after a step, got {_shape(tensor)}."
            )


def as_lengths(lengths: Tensor | Sequence[int]) -> Tensor:
    """Lengths as a tensor; those of an empty batch count as integers, `torch.tensor([])` too."""
    lengths = torch.as_tensor(lengths)
    return lengths if lengths.numel() else lengths.long()


def _shape(t: Tensor) -> str:
    return str(tuple(t.shape))


def _checked_state(cell: Cell, state: Sequence[Tensor] | Tensor, batch: int) -> State:
    sizes = cell.state_sizes
    if isinstance(state, Tensor) or len(state) != len(sizes):
        came = "a tensor" if isinstance(state, Tensor) else f"{len(state)} items"
        raise SequenceError(
            f"{type(cell).__name__} takes a tuple of {len(sizes)} state tensor(s), got {came}."
        )
    for i, (tensor, size) in enumerate(zip(state, sizes, strict=True)):
        if tuple(tensor.shape) != (batch, size):
            raise SequenceError(
                f"state[{i}] must be (batch={batch}, size={size}), got {_shape(tensor)}."
            )
    return tuple(state)


def _checked_lengths(
    lengths: Tensor | Sequence[int], steps: int, batch: int, device: torch.device
) -> Tensor:
    lengths = as_lengths(lengths)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise SequenceError(f"lengths must be integers, got {lengths.dtype}.")
    if tuple(lengths.shape) != (batch,):
        raise SequenceError(f"lengths must be (batch={batch},), got {_shape(lengths)}.")
    # A transformed tensor has no single value to look at, and one of a graph none yet.
    if not transforms.capturing(lengths) and batch and transforms.active() is None:
        low, high = (int(v) for v in torch.aminmax(lengths))
        if low < 0 or high > steps:
            wrong = low if low < 0 else high
            row = int((lengths == wrong).nonzero()[0])
            raise SequenceError(f"lengths[{row}] is {wrong}, x has {steps} steps (0 to {steps}).")
    return lengths.to(device)


def _checked_reset(reset: Tensor, steps: int, batch: int, device: torch.device) -> Tensor:
    if reset.dtype != torch.bool:
        raise SequenceError(f"reset must be a bool mask, got {reset.dtype}.")
    if tuple(reset.shape) != (steps, batch):
        raise SequenceError(
            f"reset must be (time={steps}, batch={batch}), laid out as x is, got {_shape(reset)}."
        )
    return reset.to(device)


def _checked_hold(cell: Cell, hold: Hold, steps: int, batch: int) -> Hold | None:
    sizes = cell.state_sizes
    if len(hold) != len(sizes):
        raise SequenceError(f"hold needs one entry a state ({len(sizes)}), got {len(hold)}.")
    for i, (held, size) in enumerate(zip(hold, sizes, strict=True)):
        if isinstance(held, Tensor):
            if tuple(held.shape) != (steps, batch, size):
                raise SequenceError(
                    f"hold[{i}] must be (time={steps}, batch={batch}, size={size}), "
                    f"got {_shape(held)}."
                )
        elif held is not None and not 0 <= held <= 1:
            raise SequenceError(f"hold[{i}] is a probability, got {held}.")
    if all(not isinstance(held, Tensor) and not held for held in hold):
        return None
    return hold
