"""The places of each step's rows in a compiled kernel's arrays.

A kernel knows no padding and no direction. Rows are sorted by length, longest first, and those of
one step put side by side, step after step: time follows the sum of the lengths. Whole sequences
need not be moved for that, and a reversed one is read from its end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from elman.kernels.memory import fresh_rows
from elman.kernels.sequence import Call


@dataclass
class Placement:
    """Sequence arrays hold rows `(step, rank)`; `first` and `count` say where and how many.

    Attributes:
        steps, batch: of the tensors given.
        rows: of a sequence array.
        first, count: for each step; `int64`.
        index: the flat position `t * batch + b` of each row; None if they are in order.
        inverse, padding: for each flat position its row, and positions that have none; None if
            rows are in order.
        order: the batch row of each rank; None if they are in order.
        reset: for each row, whether it begins anew; None if none does.
        lengths: sorted, for sharing rows out.
        reverse: whether steps run from the end.
    """

    steps: int
    batch: int
    rows: int
    first: Tensor
    count: Tensor
    index: Tensor | None
    inverse: Tensor | None
    padding: Tensor | None
    order: Tensor | None
    reset: Tensor | None
    lengths: tuple[int, ...] | None
    reverse: bool

    @property
    def taken(self) -> int:
        """Steps that any row takes."""
        return self.first.shape[0]

    def gathered(self, flat: Tensor) -> Tensor:
        """Return the rows of a sequence array from a tensor `(T * B, n)`."""
        if self.index is None:
            return flat
        if flat.requires_grad and torch.is_grad_enabled():
            return flat.index_select(0, self.index)
        return torch.index_select(
            flat, 0, self.index, out=fresh_rows(self.rows, flat.shape[1], flat)
        )

    def scattered(self, rows: Tensor) -> Tensor:
        """Return a tensor `(T * B, n)` from the rows of a sequence array, zero beyond lengths."""
        if self.inverse is None or self.padding is None:
            return rows
        into = fresh_rows(self.steps * self.batch, rows.shape[1], rows)
        return torch.index_select(rows, 0, self.inverse, out=into).index_fill_(0, self.padding, 0)

    def sorted(self, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return a state with its rows by rank."""
        if self.order is None:
            return tuple(s.contiguous() for s in state)
        return tuple(s.index_select(0, self.order) for s in state)

    def unsorted(self, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return a state by rank with its rows in the order given."""
        if self.order is None:
            return tuple(state)
        back = torch.empty_like(self.order)
        back[self.order] = torch.arange(self.batch)
        return tuple(s.index_select(0, back) for s in state)

    def split(self, threads: int) -> Any:
        """Return the first row of each thread and the end: equal shares of all steps."""
        bounds = [self.batch * t // threads for t in range(threads + 1)]
        if self.lengths is not None and threads > 1:
            share, done, t = sum(self.lengths) / threads, 0, 1
            for rank, length in enumerate(self.lengths):
                while t < threads and done >= share * t:
                    bounds[t] = rank
                    t += 1
                done += length
            bounds[t:threads] = [self.batch] * (threads - t)
        return (ctypes.c_long * len(bounds))(*bounds)

    def part(self, begin: int, end: int) -> tuple[Placement, slice]:
        """Return the placement of the steps from `begin` to `end`, and which rows they are."""
        first, count = self.first[begin:end], self.count[begin:end]
        low = int(first.min())
        rows = slice(low, low + int(count.sum()))
        lengths = self.lengths and tuple(
            [min(max(n - begin, 0), end - begin) for n in self.lengths]
        )
        placement = replace(
            self,
            steps=end - begin,
            rows=rows.stop - low,
            first=first - low,
            count=count,
            index=None if self.index is None else self.index[rows],
            inverse=None,
            padding=None,
            reset=None if self.reset is None else self.reset[rows],
            lengths=lengths,
        )
        return placement, rows

    def previous(self) -> Tensor:
        """For each row after those of the first step, the row of the step before."""
        lengths = self.count.tolist()
        starts = self.first.tolist()
        parts = [torch.arange(a, a + n) for a, n in zip(starts, lengths[1:], strict=False)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def ranks(self) -> Tensor:
        """The rank of each row."""
        if self.index is None:
            return torch.arange(self.batch).repeat(self.steps)
        return torch.cat([torch.arange(n) for n in self.count.tolist()])


# Kept ones serve training too, where tensors of inference mode are refused.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def whole(steps: int, batch: int, reverse: bool) -> Placement:
    """Return the placement of rows that all take all steps."""
    first = torch.arange(steps) * batch
    if reverse:
        first = first.flip(0).contiguous()
    count = torch.full((steps,), batch)
    nothing = (None,) * 6
    return Placement(steps, batch, steps * batch, first, count, *nothing, reverse)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _ragged(steps: int, batch: int, reverse: bool, ends: tuple[int, ...]) -> Placement:
    lengths, order = torch.tensor(ends).sort(descending=True, stable=True)
    longest = int(lengths[0])
    count = (lengths[None, :] > torch.arange(longest)[:, None]).sum(1)
    first = torch.cat([count.new_zeros(1), count.cumsum(0)[:-1]]) if longest else count
    step, rank = (torch.arange(batch)[None, :] < count[:, None]).nonzero(as_tuple=True)
    time = lengths[rank] - 1 - step if reverse else step
    index = time * batch + order[rank]
    rows = index.shape[0]
    inverse = torch.full((steps * batch,), rows)
    inverse[index] = torch.arange(rows)
    padding = (inverse == rows).nonzero()[:, 0]
    inverse[padding] = 0
    places = (first, count, index, inverse, padding, order)
    return Placement(steps, batch, rows, *places, None, tuple(lengths.tolist()), reverse)


def placement_of(call: Call) -> Placement:
    """Return the placement of a call's rows."""
    steps, batch = call.x.shape[:2]
    if call.lengths is None:
        placement = whole(steps, batch, call.reverse)
    else:
        placement = _ragged(steps, batch, call.reverse, tuple(call.lengths.tolist()))
    if call.reset is None:
        return placement
    valid = call.valid()
    reset = call.reset if valid is None else call.reset & valid
    if call.reverse:
        # Seen from the far end, the boundary before t + 1 comes before t.
        reset = torch.cat([reset[1:], torch.zeros_like(reset[:1])])
    reset = placement.gathered(reset.reshape(-1, 1).to(torch.uint8))
    return replace(placement, reset=reset.flatten())
