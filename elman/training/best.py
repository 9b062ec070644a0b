"""The best validation so far, how long ago it was, and the parameters that it judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Kept:
    """The best parameters so far.

    Attributes:
        step: the step they were validated at.
        metrics: what the validation gave.
        tensors: the model's state dict, copied.
    """

    step: int
    metrics: dict[str, float]
    tensors: dict[str, Tensor]


@dataclass
class BestSoFar:
    """Keep the best value of the headline metric; a NaN is never an improvement.

    >>> best = BestSoFar("loss", higher_is_better=False)
    >>> [best.see(value) for value in (2.0, 1.0, 1.0, float("nan"))], best.waited
    ([True, True, False, False], 2)
    """

    metric: str
    higher_is_better: bool
    best: float | None = None
    waited: int = 0
    """Validations since the best one."""
    kept: Kept | None = None
    """A rollback takes `best` and `waited` back, and leaves these."""

    def see(self, value: float) -> bool:
        """Take note of one validation, and say whether it is the best so far."""
        improved = value == value if self.best is None else self._better(value, self.best)
        if improved:
            self.best = value
        self.waited = 0 if improved else self.waited + 1
        return improved

    def beats_kept(self, value: float) -> bool:
        """Say whether `value` is at least as good as the parameters kept, if there are any.

        Better ones may have been kept before a rollback or before the process was killed.
        """
        return self.kept is None or not self._better(self.kept.metrics[self.metric], value)

    def _better(self, value: float, other: float) -> bool:
        return value > other if self.higher_is_better else value < other

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved; the parameters kept have a file of their own."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best, self.waited = state["best"], state["waited"]
