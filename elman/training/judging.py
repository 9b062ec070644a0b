"""Which validation was the best, and how long ago that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Judge:
    """Keeps the best value of the headline metric; a NaN is never an improvement.

    >>> judge = Judge(higher_is_better=False)
    >>> [judge.see(value) for value in (2.0, 1.0, 1.0, float("nan"))], judge.waited
    ([True, True, False, False], 2)
    """

    higher_is_better: bool
    best: float | None = None
    waited: int = 0
    """Validations since the best one."""

    def see(self, value: float) -> bool:
        """Take note of one validation; whether it is the best so far."""
        if self.best is None:
            improved = value == value
        else:
            improved = value > self.best if self.higher_is_better else value < self.best
        if improved:
            self.best = value
        self.waited = 0 if improved else self.waited + 1
        return improved

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best, self.waited = state["best"], state["waited"]
