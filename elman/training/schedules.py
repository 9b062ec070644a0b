"""A schedule is the course of the learning rate.

It is a pure function of the progress of the run, 0 at its start and 1 at its
end, whatever bounds the run: steps, epochs or minutes. So a budget needs no knowledge
of how many steps it will buy, and resuming needs nothing saved. `step` depends on the
epoch instead, as in Zaremba et al. 2014. `Plateau` depends on the validations so far, and is
the only schedule with a state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def constant(progress: float) -> float:
    """Keep one rate throughout."""
    return 1.0


def linear(progress: float) -> float:
    """Go straight down to zero.

    >>> linear(0.25)
    0.75
    """
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Follow half a cosine down to zero (Loshchilov & Hutter 2017, without restarts).

    >>> round(cosine(0.5), 6)
    0.5
    """
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def onecycle(progress: float, rise: float = 0.3) -> float:
    """Rise from 1/25 in the first 0.3 of the run, then fall to 1/250000 (Smith & Topin 2018).

    >>> round(onecycle(0.0), 6), round(onecycle(0.3), 6), round(onecycle(1.0), 6)
    (0.04, 1.0, 4e-06)
    """
    start, end = 1 / 25, 1 / 250_000
    if progress < rise:
        return 1.0 - (1.0 - start) * cosine(progress / rise)
    return end + (1.0 - end) * cosine((progress - rise) / (1.0 - rise))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "onecycle": onecycle,
    "step": constant,
    "plateau": constant,
}
"""The choices of the setting `schedule`. `step` multiplies by `step_decay` too, and `plateau` by
`Plateau.scale`."""


def step_decay(epoch: int, decay: float, after: int) -> float:
    """Keep the rate for `after` epochs, then take `decay` off each (Zaremba et al. 2014).

    Args:
        epoch: epochs finished so far, 0 during the first.

    >>> [step_decay(epoch, 0.5, 4) for epoch in (0, 3, 4, 6)]
    [1.0, 1.0, 0.5, 0.125]
    """
    return float(decay ** max(0, epoch + 1 - after))


def factor(
    name: str,
    progress: float,
    *,
    step: int = 0,
    epoch: int = 0,
    warmup: float = 0.0,
    decay: float = 0.5,
    decay_after: int = 4,
) -> float:
    """Return the factor that the highest rate is multiplied by.

    A `warmup` below 1 is a part of the run, and the shape is fitted into the rest; from
    1 on it is a number of steps, and the shape runs beneath it.

    >>> factor("linear", 0.05, warmup=0.1)
    0.5
    >>> factor("linear", 0.75, warmup=0.5)
    0.5
    >>> factor("constant", 0.0, step=1, warmup=4)
    0.5
    """
    progress = min(max(progress, 0.0), 1.0)
    shape = SCHEDULES[name]
    top = step_decay(epoch, decay, decay_after) if name == "step" else 1.0
    if warmup >= 1:
        return min(1.0, (step + 1) / warmup) * shape(progress) * top
    if progress < warmup:
        return progress / warmup * shape(0.0) * top
    return shape((progress - warmup) / (1.0 - warmup)) * top


@dataclass
class Plateau:
    """Multiply the rate by `decay` after so many validations in a row without improvement."""

    decay: float
    after: int
    scale: float = 1.0
    waited: int = 0

    def see(self, improved: bool) -> None:
        """Take note of one validation."""
        self.waited = 0 if improved else self.waited + 1
        if self.waited >= self.after:
            self.scale *= self.decay
            self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"scale": self.scale, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.scale, self.waited = state["scale"], state["waited"]
