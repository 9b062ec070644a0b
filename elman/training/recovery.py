"""After a divergence a run goes back to its last good state, at half the rate each time."""

from __future__ import annotations

from typing import Any

from elman.errors import RunFailed
from elman.training.parts import State


class Recovery:
    """The last good state of a run, and how often the run has gone back to one.

    Args:
        limit: returns before the run is given up.
        lr: the learning rate that was set, for the message.
    """

    def __init__(self, limit: int, lr: float) -> None:
        self.limit, self.lr = limit, lr
        self.good: State | None = None
        """State of the parts before a step whose loss was in order; saved beside the others."""
        self.lr_scale = 1.0
        self.rollbacks: list[int] = []
        """Steps at which the run diverged."""

    def take(self, step: int, what: str) -> State:
        """Count one return, halve the rate, and give the state to go back to.

        Args:
            step: where the run diverged.
            what: what went wrong, in sentences.

        Raises:
            RunFailed: there is no good state, or the run has gone back too often.
        """
        if self.good is None:
            raise RunFailed(
                f"{what} It was the first step: not the rate but the data or the model."
            )
        if len(self.rollbacks) == self.limit:
            tried = f"Gave up after {self.limit} returns to a good state."
            if self.limit > 1 and set(self.rollbacks) == {step}:
                raise RunFailed(
                    f"{what} {tried} It was this step each time: look at the data that it reads, "
                    "or set a much lower lr."
                )
            raise RunFailed(f"{what} {tried} Try a lower lr than {self.lr:g}.")
        self.rollbacks.append(step)
        self.lr_scale *= 0.5
        return self.good

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved beside the good state."""
        return {"lr_scale": self.lr_scale, "rollbacks": list(self.rollbacks)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.lr_scale, self.rollbacks = state["lr_scale"], list(state["rollbacks"])
