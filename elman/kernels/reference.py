"""The oracle: any cell, one step at a time, in plain torch operations.

Every other backend is held to this loop in float64. It works on nothing in place and looks
at no value, so it is differentiable as often as the cell is and runs under vmap and jvp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from elman.cells.base import Cell, State
from elman.kernels import transforms
from elman.kernels.sequence import Call, Hold, Options, Result, check_step, prepare
from elman.kernels.witness import present


def scan(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    **options: Unpack[Options],
) -> Result:
    """Run `cell` over `x` `(T, B, input_size)`; see `elman.kernels.sequence` for the arguments.

    >>> import elman.cells
    >>> cell = elman.cells.make("gru", 2, 3)
    >>> scan(cell, torch.zeros(5, 1, 2), lengths=[0]).output.abs().sum()
    tensor(0., grad_fn=<SumBackward0>)
    """
    return loop(cell, prepare(cell, x, state, **options))


def loop(cell: Cell, call: Call) -> Result:
    """`scan` for arguments already checked."""
    steps, batch = call.x.shape[:2]
    if steps == 0:
        nothing = tuple(s.new_zeros(0, *s.shape) for s in call.state)
        output = call.x.new_zeros(0, batch, cell.output_size)
        return Result(output, call.state, nothing if call.return_states else None)

    x, state, valid, begins = call.x, call.state, call.valid(), call.reset
    if valid is not None:
        # Zero times NaN is NaN in a backward pass, so padding must not reach the cell at all.
        x = torch.where(valid[..., None], x, torch.zeros_like(x))
        begins = None if begins is None else begins & valid
    fresh = None if begins is None else cell.init_state(batch, x.device, x.dtype)
    # Unbound once: indexing x in every step would make the backward pass quadratic in T.
    inputs, masks = x.unbind(0), _per_step(call.hold, steps)

    outputs: list[Tensor] = []
    history: list[State] = []
    witness = None if transforms.capturing(call.x) else present()
    for t in reversed(range(steps)) if call.reverse else range(steps):
        boundary = t + 1 if call.reverse else t
        if begins is not None and fresh is not None and boundary < steps:
            state = _select(begins[boundary], fresh, state)
        output, new = cell(inputs[t], state)
        if not outputs:
            check_step(cell, call, output, new)
        if masks is not None:
            output, new = held(masks[t], state, output, new)
        if witness is not None:
            output, new = witness.follow(t, output, new)
        if valid is not None:
            output = torch.where(valid[t, :, None], output, torch.zeros_like(output))
        outputs.append(output)
        if call.return_states:
            history.append(new if valid is None else _select(valid[t], new, _zeros(new)))
        # A row that has ended (or, in reverse, not begun) keeps its state.
        state = tuple(new) if valid is None else _select(valid[t], new, state)
    if call.reverse:
        outputs.reverse()
        history.reverse()
    states = (
        tuple(torch.stack(s) for s in zip(*history, strict=True)) if call.return_states else None
    )
    return Result(torch.stack(outputs), state, states)


def _select(rows: Tensor, yes: State, no: State) -> State:
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(yes, no, strict=True))


def _zeros(state: State) -> State:
    return tuple(torch.zeros_like(s) for s in state)


def _per_step(hold: Hold | None, steps: int) -> list[Hold] | None:
    if hold is None:
        return None
    columns = [
        held.bool().unbind(0) if isinstance(held, Tensor) else (held,) * steps for held in hold
    ]
    return [tuple(step) for step in zip(*columns, strict=True)]


def held(hold: Hold, old: State, output: Tensor, new: State) -> tuple[Tensor, State]:
    """Zoneout of one step, `hold` with masks `(B, size)`; an output that is a state follows it."""
    kept = []
    for how, before, after in zip(hold, old, new, strict=True):
        if isinstance(how, Tensor):
            kept.append(torch.where(how, before, after))
        elif how:
            kept.append(how * before + (1 - how) * after)
        else:
            kept.append(after)
    for after, now in zip(new, kept, strict=True):
        if output is after:
            return now, tuple(kept)
    return output, tuple(kept)
