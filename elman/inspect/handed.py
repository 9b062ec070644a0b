"""Runs of a layer that hand their state on are seen as one.

A loop written by hand over a layer, such as a decoder's, calls it for a step or a few at a time and
gives it the state of the call before. Each call is a run; the recurrence goes through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from elman.cells.base import State
from elman.kernels.witness import Witness


@dataclass(eq=False)
class Runs:
    """Runs of one layer, each from the state that the one before gave; mostly there is one."""

    runs: Sequence[Witness]

    @property
    def outputs(self) -> list[Tensor]:
        """The output of each run in the graph, `(n, B, size)`."""
        return [run.result.output for run in self.runs if run.result is not None]

    @property
    def ends(self) -> list[Tensor]:
        """The state after the last step in the graph, `(B, size)` each."""
        last = self.runs[-1].result
        return [] if last is None else list(last.state)

    @property
    def read(self) -> list[Tensor]:
        """The input of each run in the graph, `(n, B, size)`."""
        return [run.call.x for run in self.runs]

    @property
    def first(self) -> list[Tensor]:
        """Nothing beside what is read leads back to the beginning."""
        return []

    @property
    def detached(self) -> int:
        """Runs that were given the state out of the graph, past which no gradient goes back."""
        pairs = pairwise(self.runs)
        return sum(
            before.result is not None
            and any(s.requires_grad for s in before.result.state)
            and not any(s.requires_grad for s in after.call.state)
            for before, after in pairs
        )

    def by_read(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return gradients by each of `read` as those by all of it: `(T, B, size)`."""
        return torch.cat(list(gradients))

    @property
    def gradients(self) -> State | None:
        """The gradients by each state, in the form of a `Witness`."""
        found = [run.gradients for run in self.runs]
        if all(g is None for g in found):
            return None
        whole = [
            _none_came(run) if g is None else g for run, g in zip(self.runs, found, strict=True)
        ]
        return tuple(map(torch.cat, zip(*whole, strict=True)))


def goes_on(before: Any, after: Any) -> bool:
    """Say whether runs begin from the very state that the ones before ended with, whole batches
    through, forwards, without resets and zoneout."""
    if not isinstance(before, Runs) or not isinstance(after, Runs):
        return False
    last, new = before.runs[-1], after.runs[0]
    if last.result is None or any(_special(run) for run in (last, new)):
        return False
    states = list(zip(last.result.state, new.call.state, strict=True))
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in states) and any(
        bool(b.any()) for _, b in states
    )


def _special(run: Witness) -> bool:
    call = run.call
    return (
        call.reverse or call.lengths is not None or call.reset is not None or call.hold is not None
    )


def _none_came(run: Witness) -> State:
    steps, batch, *_ = run.call.x.shape
    return tuple(run.call.x.new_zeros(steps, batch, n) for n in run.cell.state_sizes)
