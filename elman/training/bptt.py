"""Truncated backpropagation through time, BPTT(k1, k2) of Williams & Peng 1990.

A long sequence is read in windows. A window has a loss on its last k1 steps and begins up to
k2 - k1 steps before them, as its context. Gradients flow back through the window, at most k2
steps, and no further. So every position has a loss once. A window begins from the state that
the window before had at that place, detached. With k2 = k1 windows do not overlap; with k1 as
long as the sequence this is plain BPTT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.errors import InputError
from elman.nn.state import detach


@dataclass(frozen=True)
class Window:
    """A window holds positions [start, stop); the first `context` of them have no loss."""

    start: int
    stop: int
    context: int

    def __repr__(self) -> str:
        return f"Window({self.start}:{self.stop}, context={self.context})"


@dataclass(frozen=True)
class TruncatedBPTT:
    """Run a layer over a long sequence by BPTT(k1, k2).

    Args:
        k1: steps of each window that have a loss.
        k2: steps of a window at most, at least k1; None is k1.

    >>> list(TruncatedBPTT(2, 3).windows(5))
    [Window(0:2, context=0), Window(1:4, context=1), Window(3:5, context=1)]

    Raises:
        InputError: not 1 <= k1 <= k2.
    """

    k1: int
    k2: int | None = None

    def __post_init__(self) -> None:
        if self.k1 < 1 or (self.k2 is not None and self.k2 < self.k1):
            raise InputError(
                f"BPTT({self.k1}, {self.k2}) has no meaning.", fix="Choose 1 <= k1 <= k2."
            )

    @property
    def overlap(self) -> int:
        """The steps of context that a window has once there is enough past: k2 - k1."""
        return 0 if self.k2 is None else self.k2 - self.k1

    def windows(self, length: int) -> Iterator[Window]:
        """Yield the windows of a sequence in order, as `elman.data.CarriedBatches` cuts them."""
        for judged in range(0, length, self.k1):
            context = min(self.overlap, judged)
            yield Window(judged - context, min(judged + self.k1, length), context)

    def __call__(
        self,
        layer: Callable[..., tuple[Tensor, Any]],
        inputs: Tensor,
        state: Any = None,
        *,
        reset: Tensor | None = None,
        context: int = 0,
        time: int = 0,
    ) -> tuple[Tensor, Any]:
        """Run one window.

        Where windows overlap the layer is called twice, once up to where the next window
        begins and once for the rest, and its dropout masks are drawn anew for the rest.

        Args:
            layer: called as `layer(inputs, state)`, or with `reset=` too where one is given;
                gives `(outputs, state)`.
            inputs: time on axis `time`; at most k2 steps.
            state: what the window before handed on; None in the first.
            reset: where a new sequence begins, in the shape of the first two axes of `inputs`.
            context: steps at the start that have no loss.
            time: the axis of time in inputs, reset and outputs: 0, or 1 for batch-first.

        Returns:
            The outputs at the positions that have a loss, and the detached state for the next
            window.
        """

        def run(start: int, stop: int, state: Any) -> tuple[Tensor, Any]:
            part = _part(inputs, time, start, stop)
            if reset is None:
                return layer(part, state)
            return layer(part, state, reset=_part(reset, time, start, stop))

        steps = inputs.shape[time]
        # The next window's loss begins at context + k1, and its context min(overlap, that) before.
        advance = min(max(0, context + self.k1 - self.overlap), steps)
        if advance == 0:
            outputs, carried = run(0, steps, state)[0], state
        else:
            outputs, carried = run(0, advance, state)
            if steps > advance:
                outputs = torch.cat((outputs, run(advance, steps, carried)[0]), time)
        return _part(outputs, time, context, steps), detach(carried)


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    # The whole is no slice: a slice has a backward pass of its own.
    whole = start == 0 and stop == x.shape[axis]
    return x if whole else x.narrow(axis, start, stop - start)
