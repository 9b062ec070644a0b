"""Truncated backpropagation through time, BPTT(k1, k2) of Williams & Peng 1990.

A long sequence is read in windows of k2 steps that advance by k1. The loss of a window
is that of its last k1 steps (of all of them in the first window), so every position is
judged once; gradients flow back through the window and no further. The state at the
start of a window is the one the window before had after its first k1 steps, detached.
With k2 = k1 windows do not overlap; with k1 as long as the sequence this is BPTT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.errors import InputError


@dataclass(frozen=True)
class Window:
    """Positions [start, stop), of which the first `context` are read and not judged."""

    start: int
    stop: int
    context: int

    def __repr__(self) -> str:
        return f"Window({self.start}:{self.stop}, context={self.context})"


@dataclass(frozen=True)
class TruncatedBPTT:
    """BPTT(k1, k2).

    Args:
        k1: steps from one window to the next, and positions judged in each.
        k2: steps of a window, at least k1; None is k1.

    >>> list(TruncatedBPTT(2, 3).windows(6))
    [Window(0:3, context=0), Window(2:5, context=1), Window(4:6, context=1)]
    """

    k1: int
    k2: int | None = None

    def __post_init__(self) -> None:
        if self.k1 < 1 or (self.k2 is not None and self.k2 < self.k1):
            raise InputError(
                f"BPTT({self.k1}, {self.k2}) has no meaning.", fix="Choose 1 <= k1 <= k2."
            )

    @property
    def length(self) -> int:
        """Steps of a window, k2."""
        return self.k1 if self.k2 is None else self.k2

    def windows(self, length: int) -> Iterator[Window]:
        """The windows of a sequence of `length` steps, in order; the last may be shorter."""
        start, judged = 0, 0
        while judged < length:
            stop = min(start + self.length, length)
            yield Window(start, stop, judged - start)
            start, judged = start + self.k1, stop

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

        Args:
            layer: called as `layer(inputs, state)`, or with `reset=` too where one is given,
                and giving `(outputs, state)`. It is called twice where windows overlap.
            inputs: time on axis `time`; at most k2 steps.
            state: what the window before handed on; None at the start.
            reset: where a new sequence begins, the shape of the first two axes of `inputs`.
            context: steps at the start that are not judged.
            time: the axis of time in inputs, reset and outputs: 0, or 1 for batch-first.

        Returns:
            The outputs of the judged positions, and the detached state for the next window.
        """

        def run(start: int, stop: int, state: Any) -> tuple[Tensor, Any]:
            part = inputs.narrow(time, start, stop - start)
            if reset is None:
                return layer(part, state)
            return layer(part, state, reset=reset.narrow(time, start, stop - start))

        steps = inputs.shape[time]
        outputs, carried = run(0, min(self.k1, steps), state)
        if steps > self.k1:
            rest, _ = run(self.k1, steps, carried)
            outputs = torch.cat((outputs, rest), time)
        return outputs.narrow(time, context, steps - context), detach(carried)


def detach(state: Any) -> Any:
    """`state` (tensors in tuples, lists and dicts, or None) cut off from its past."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: detach(item) for key, item in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(detach(item) for item in state)
    return state
