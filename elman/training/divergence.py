"""A run has diverged when its loss or gradient stays far above its start.

A loss or a gradient that is not finite counts at once. A loss or a norm far above its start,
when the model was untrained, counts after many steps in a row. Single spikes do not count:
clipping takes care of them. A value that is large only beside the recent past does not count
either: beside a model that has learnt its task every later mistake looks large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any

LOSS_FACTOR = 10.0
NORM_FACTOR = 1e4
"""How many times the start is too much ..."""
STREAK = 10
"""... for this many steps in a row."""
_BASELINE = 20
_RECENT = 8


@dataclass
class DivergenceDetector:
    """Judge losses and gradient norms, one step after another.

    >>> detector = DivergenceDetector()
    >>> [detector.see(step, 1.0, 0.1) for step in range(3)]
    [None, None, None]
    >>> detector.see(3, math.nan, 0.1)
    'the loss is nan'
    """

    first: list[tuple[float, float]] = field(default_factory=list)
    """Loss and norm of the first steps: the scale of an untrained model."""
    high_loss: int = 0
    high_norm: int = 0
    """Steps in a row that were far too high."""
    recent: list[tuple[int, float, float]] = field(default_factory=list)
    """Step, loss and gradient norm of the last steps."""

    def __post_init__(self) -> None:
        self._loss_limit = self._norm_limit = math.inf

    def see(self, step: int, loss: float, norm: float) -> str | None:
        """Say what is wrong after this step; None where nothing is."""
        self.recent = [*self.recent[1 - _RECENT :], (step, loss, norm)]
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the gradient's norm is {norm}"
        if len(self.first) < _BASELINE:
            self.first.append((abs(loss), norm))
            if len(self.first) == _BASELINE:
                self._set_limits()
            return None
        self.high_loss = self.high_loss + 1 if loss > self._loss_limit else 0
        self.high_norm = self.high_norm + 1 if norm > self._norm_limit else 0
        if self.high_loss >= STREAK:
            return f"the loss has been above {self._loss_limit:.3g} for {STREAK} steps"
        if self.high_norm >= STREAK:
            return f"the gradient's norm has been above {self._norm_limit:.3g} for {STREAK} steps"
        return None

    def _set_limits(self) -> None:
        self._loss_limit = LOSS_FACTOR * median(loss for loss, _ in self.first)
        self._norm_limit = NORM_FACTOR * median(norm for _, norm in self.first)

    @property
    def calm(self) -> bool:
        """True if the last step was in order, so that its parameters are worth going back to."""
        return self.high_loss == 0 and self.high_norm == 0

    def norms(self) -> str:
        """Write the last gradient norms, for the message.

        >>> detector = DivergenceDetector()
        >>> _ = detector.see(0, 1.0, 0.5), detector.see(1, 2.0, 12.25)
        >>> detector.norms()
        '0.5, 12.2'
        """
        return ", ".join(f"{norm:.3g}" for _, _, norm in self.recent)

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {
            "first": list(self.first),
            "high": [self.high_loss, self.high_norm],
            "recent": list(self.recent),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.first, self.recent = list(state["first"]), list(state["recent"])
        self.high_loss, self.high_norm = state["high"]
        if len(self.first) == _BASELINE:
            self._set_limits()
