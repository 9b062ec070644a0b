"""Noticing that a run has diverged, without crying wolf.

Two things count. A loss or a gradient that is not finite; and a loss far above that of
the untrained model for many steps in a row. Single spikes do not count, and a large
gradient alone does not either: clipping is there for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any

FACTOR = 10.0
"""How many times the loss of the untrained model is too much ..."""
STREAK = 10
"""... for this many steps in a row."""
_BASELINE = 20
_RECENT = 8


@dataclass
class Watch:
    """Watches losses and gradient norms.

    >>> watch = Watch()
    >>> [watch.see(step, 1.0, 0.1) for step in range(3)]
    [None, None, None]
    >>> watch.see(3, math.nan, 0.1)
    'the loss is nan'
    """

    first: list[float] = field(default_factory=list)
    """Losses of the first steps: the scale of an untrained model."""
    high: int = 0
    """Steps in a row with far too high a loss."""
    recent: list[tuple[int, float, float]] = field(default_factory=list)
    """Step, loss and gradient norm of the last steps."""

    def see(self, step: int, loss: float, norm: float) -> str | None:
        """What is wrong after this step, None where nothing is."""
        self.recent = [*self.recent[1 - _RECENT :], (step, loss, norm)]
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the norm of the gradient is {norm}"
        if len(self.first) < _BASELINE:
            self.first.append(abs(loss))
            return None
        limit = FACTOR * median(self.first)
        self.high = self.high + 1 if loss > limit else 0
        if self.high >= STREAK:
            return f"the loss has been above {limit:.3g} for {STREAK} steps, ten times its start"
        return None

    @property
    def calm(self) -> bool:
        """Whether the last step was in order, so that its parameters are worth going back to."""
        return self.high == 0

    def norms(self) -> str:
        """The last gradient norms, for the report.

        >>> watch = Watch(); _ = watch.see(0, 1.0, 0.5), watch.see(1, 2.0, 12.25)
        >>> watch.norms()
        '0.5, 12.2'
        """
        return ", ".join(f"{norm:.3g}" for _, _, norm in self.recent)

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved."""
        return {"first": list(self.first), "high": self.high, "recent": list(self.recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.first, self.high = list(state["first"]), state["high"]
        self.recent = list(state["recent"])
