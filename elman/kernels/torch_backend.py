"""Torch's own fused recurrences, for the cells that are exactly theirs.

`torch.lstm`, `torch.gru`, `torch.rnn_tanh` and `torch.rnn_relu` (oneDNN on a CPU where it has
a kernel, cuDNN on a GPU) run whole sequences of equal length. Rows that end early and resets are
served by cutting time where a row ends or a sequence begins: between two cuts every row is
whole, so each piece is one dense call on the rows still running. Rows of many different
lengths, where the pieces would be short, are packed end to end instead, which is slower a
step and cannot reset. Either way the time spent follows the sum of the lengths, not the padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells import GRU, LSTM, Elman
from elman.cells.base import Cell, State
from elman.kernels import transforms
from elman.kernels.sequence import Call, Result

SHORTEST_PIECE = 3
"""Steps that pieces between resets must have on average: a one-layer LSTM of 512 units on a CPU
takes 950 ms in pieces of 2 steps, 580 in pieces of 3, 590 in the reference loop."""

PACK_BELOW = 4
"""Rows of unequal length are packed when pieces would be shorter than this on average. On a CPU
(T=64, B=32) a GRU of 64 units takes 68 ms in pieces of 2 steps and 54 packed, 49 in pieces of 4
and 63 packed; an LSTM of 256 gains from pieces at every length."""


def refusal(cell: Cell, call: Call) -> str | None:
    """Why torch's kernels cannot serve this call, or None when they can.

    The reason is a phrase that depends on the kind of call and not on its numbers.
    """
    return (
        _refused_cell(cell)
        or _refused_options(cell, call)
        or _refused_tensors(cell, call)
        or _refused_pieces(call)
    )


def run(cell: Cell, call: Call) -> Result:
    """Run a call that `refusal` has nothing against."""
    turn = _turn(call) if call.reverse else None
    if call.reverse:
        call = replace(call, x=_turned(call.x, turn), reset=_turned_reset(call, turn))
    if call.lengths is None and call.reset is None and call.x.shape[0]:
        output, state = _fused(cell, call.x, call.state)
    else:
        cuts = _Cuts.of(call, call.reset)
        run_rows = _packed if _packs(call, cuts) else _in_pieces
        output, state = run_rows(cell, call, cuts)
    if call.reverse:
        output = _turned(output, turn)
    return Result(output, state, (output,) if call.return_states else None)


def _refused_cell(cell: Cell) -> str | None:
    name = type(cell).__name__
    step = type(cell).forward
    if "forward" in cell.__dict__:
        return f"torch has no kernel for the forward that was put on this {name}"
    if step is LSTM.forward:
        assert isinstance(cell, LSTM)
        for option in ("peepholes", "coupled", "layer_norm"):
            if getattr(cell, option):
                return f"torch has no kernel for an LSTM with {option}"
    elif step is GRU.forward:
        assert isinstance(cell, GRU)
        if not cell.reset_after:
            return "torch has no kernel for a GRU that resets before the product"
    elif step is not Elman.forward:
        return f"torch has no kernel for {name}"
    if _hooked(cell):
        return f"a hook on {name} would not be called"
    for part in ("W", "U", "V"):
        linear = getattr(cell, part, None)
        if linear is None:
            continue
        # A parametrised linear map will do: its weight is what the parametrisation gives.
        if type(linear).forward is not nn.Linear.forward or "forward" in linear.__dict__:
            return f"{name} holds a {type(linear).__name__} in place of a linear map"
        if _hooked(linear):
            return f"a hook on {name}.{part} would not be called"
    return None


def _hooked(module: nn.Module) -> bool:
    return any(
        (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
    )


def _refused_options(cell: Cell, call: Call) -> str | None:
    if call.hold is not None:
        return "torch's kernels have no zoneout"
    if call.return_states and len(cell.state_sizes) > 1:
        return "torch's LSTM does not give out the cell state of every step"
    return None


def _refused_tensors(cell: Cell, call: Call) -> str | None:
    transform = transforms.active()
    if transform is not None:
        return f"torch's kernels do not follow {transform}"
    device = call.x.device.type
    if device not in ("cpu", "cuda"):
        return f"torch's kernels are not tried here on {device!r}"
    if not torch.is_autocast_enabled(device):
        tensors = (call.x, *call.state, *cell.parameters())
        if any(t.dtype != call.x.dtype for t in tensors):
            return "torch's kernels want input, state and weights of one dtype"
    return None


def _refused_pieces(call: Call) -> str | None:
    if call.reset is None:
        return None
    cuts = _Cuts.of(call, _turned_reset(call, _turn(call)) if call.reverse else call.reset)
    if cuts.begins and cuts.average < SHORTEST_PIECE:
        return "resets come so often that torch's kernels would run a step or two at a time"
    return None


@dataclass(frozen=True)
class _Cuts:
    """The cuts of time into pieces that torch can run.

    Attributes:
        times: from 0 to the longest length; a piece lies between two neighbours.
        rows: for each piece, how many rows still run (rows sorted, longest first).
        order: the sorting permutation, or None when rows are sorted as they stand.
        begins: the cuts at which some row begins a new sequence.
    """

    times: list[int]
    rows: list[int]
    order: Tensor | None
    begins: set[int]

    @property
    def average(self) -> float:
        """Steps of a piece, on average; infinite when there is no second one."""
        pieces = len(self.times) - 1
        return self.times[-1] / pieces if pieces > 1 else math.inf

    @classmethod
    def of(cls, call: Call, reset: Tensor | None) -> _Cuts:
        steps, batch = call.x.shape[:2]
        lengths = [steps] * batch if call.lengths is None else call.lengths.tolist()
        begins: set[int] = set()
        if reset is not None and batch:
            valid = call.valid()
            reset = reset if valid is None else reset & valid
            begins = set(reset.any(1).nonzero()[:, 0].tolist())
        times = sorted({0, *lengths, *begins})
        order = None
        if lengths != sorted(lengths, reverse=True):
            longest_first = sorted(range(batch), key=lambda row: -lengths[row])
            order = torch.tensor(longest_first, device=call.x.device)
        rows = [sum(n >= end for n in lengths) for end in times[1:]]
        return cls(times, rows, order, begins)


def _packs(call: Call, cuts: _Cuts) -> bool:
    if cuts.begins or transforms.any_active():
        # Packed kernels read the batch sizes from memory, which tensors in a transform lack.
        return False
    return cuts.average < (math.inf if call.x.is_cuda else PACK_BELOW)


def _packed(cell: Cell, call: Call, cuts: _Cuts) -> tuple[Tensor, State]:
    """All rows end to end in one call, as `PackedSequence` lays them out."""
    steps, batch, width = call.x.shape
    device = call.x.device
    order = torch.arange(batch, device=device) if cuts.order is None else cuts.order
    running = torch.tensor(
        [
            n
            for n, a, b in zip(cuts.rows, cuts.times, cuts.times[1:], strict=False)
            for _ in range(a, b)
        ]
    )
    rank = torch.arange(batch, device=device)
    time, place = (rank < running.to(device)[:, None]).nonzero(as_tuple=True)
    where = time * batch + order[place]
    begun = order[: cuts.rows[0]]

    packed = call.x.reshape(-1, width).index_select(0, where)
    state = tuple(s.index_select(0, begun) for s in call.state)
    packed, final = _fused(cell, packed, state, running)
    output = packed.new_zeros(steps * batch, cell.output_size).index_copy(0, where, packed)
    ended = tuple(
        s.to(f.dtype).index_copy(0, begun, f) for s, f in zip(call.state, final, strict=True)
    )
    return output.view(steps, batch, -1), ended


def _in_pieces(cell: Cell, call: Call, cuts: _Cuts) -> tuple[Tensor, State]:
    x, state, reset = call.x, call.state, call.reset
    steps, batch = x.shape[:2]
    if cuts.order is not None:
        x = x.index_select(1, cuts.order)
        state = tuple(s.index_select(0, cuts.order) for s in state)
        reset = None if reset is None else reset.index_select(1, cuts.order)
    fresh = cell.init_state(batch, x.device, x.dtype) if cuts.begins else ()

    outputs: list[Tensor] = []
    ended: list[State] = []
    running = batch
    for start, end, rows in zip(cuts.times, cuts.times[1:], cuts.rows, strict=False):
        if rows < running:
            ended.append(tuple(s[rows:] for s in state))
            state = tuple(s[:rows] for s in state)
            running = rows
        if reset is not None and start in cuts.begins:
            now = reset[start, :rows, None]
            state = tuple(torch.where(now, f[:rows], s) for f, s in zip(fresh, state, strict=True))
        output, state = _fused(cell, x[start:end, :rows], state)
        outputs.append(
            nn.functional.pad(output, (0, 0, 0, batch - rows)) if rows < batch else output
        )
    last = cuts.times[-1]
    if last < steps or not outputs:
        like = outputs[0] if outputs else x
        outputs.append(like.new_zeros(steps - last, batch, cell.output_size))
    output = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    state = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))
    if cuts.order is not None:
        back = torch.empty_like(cuts.order)
        back[cuts.order] = torch.arange(batch, device=x.device)
        output = output.index_select(1, back)
        state = tuple(s.index_select(0, back) for s in state)
    return output, state


def _turn(call: Call) -> Tensor | None:
    """Return the new position of each step when rows are turned round within their lengths.

    The result is a permutation of time for each row, its own inverse; None turns every row whole.
    """
    valid = call.valid()
    if valid is None or call.lengths is None:
        return None
    time = torch.arange(call.x.shape[0], device=call.x.device)[:, None]
    return torch.where(valid, call.lengths - 1 - time, time)


def _turned(t: Tensor, turn: Tensor | None) -> Tensor:
    if turn is None:
        return t.flip(0)
    return t.gather(0, turn[..., None].expand(-1, -1, t.shape[-1]) if t.dim() == 3 else turn)


def _turned_reset(call: Call, turn: Tensor | None) -> Tensor | None:
    if call.reset is None:
        return None
    # The boundary before t is, seen from the far end, the one after the turned t: before the next.
    turned = _turned(call.reset, turn)
    return torch.cat([torch.zeros_like(turned[:1]), turned[:-1]])


def _fused(
    cell: Cell, x: Tensor, state: State, batch_sizes: Tensor | None = None
) -> tuple[Tensor, State]:
    """One call of torch's kernel: dense rows `(T, B, ...)`, or packed ones with their sizes."""
    assert isinstance(cell, LSTM | GRU | Elman)
    weights: list[Tensor] = [cell.W.weight, cell.U.weight]
    biases = [cell.W.bias, cell.U.bias]
    has_biases = any(b is not None for b in biases)
    if has_biases:
        width = cell.W.weight.shape[0]
        weights += [cell.W.weight.new_zeros(width) if b is None else b for b in biases]
    if isinstance(cell, LSTM):
        if cell.proj_size:
            weights.append(cell.V.weight)
        kernel: Any = torch.lstm
    elif isinstance(cell, GRU):
        kernel = torch.gru
    else:
        kernel = torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu
    if torch.compiler.is_compiling():
        # Compiled, the backward pass of oneDNN's kernel fails inside torch; so break the graph.
        kernel = torch.compiler.disable(kernel)  # type: ignore[no-untyped-call]
    initial = [s[None] for s in state]
    hidden = initial if len(initial) > 1 else initial[0]
    # `train` must be set whenever a backward pass may follow: cuDNN keeps nothing otherwise.
    # Without dropout it has no other effect, so the layer's own mode does not matter.
    options = (weights, has_biases, 1, 0.0, torch.is_grad_enabled(), False)
    if batch_sizes is None:
        output, *final = kernel(x, hidden, *options, False)
    else:
        output, *final = kernel(x, batch_sizes, hidden, *options)
    return output, tuple(s[0] for s in final)
