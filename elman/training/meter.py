"""A meter keeps means of loss and gradient, for the training rows and for the display."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from elman.training.pace import Pace
from elman.training.progress import Tick

TICK_SECONDS = 0.2
"""Between two calls of `progress`."""
_SMOOTHING = 50
"""Steps that the loss on display is a mean over, roughly."""


class Meter:
    """Keep means since the last training row, and call `progress` now and then (None: never)."""

    def __init__(self, progress: Callable[[Tick], None] | None) -> None:
        self.progress = progress
        self.valid: dict[str, float] = {}
        self.lr = 0.0
        self._loss, self._steps, self._norms, self._counted = 0.0, 0, 0.0, 0.0
        self._shown, self._seen = math.nan, 0
        self._terms = self._ticked_at = self._rated_at = self._rate = 0.0
        self._message: str | None = None
        self._showing = False

    def add(self, loss: float, norm: float, count: float) -> None:
        """Take note of one step."""
        self._loss += loss * count
        self._counted += count
        self._norms += norm
        self._steps += 1
        self._terms += count
        self._seen += 1
        share = 1 / min(self._seen, _SMOOTHING)
        self._shown = loss if self._seen == 1 else (1 - share) * self._shown + share * loss

    def row(self) -> dict[str, float | None]:
        """Return mean loss and norm since the last call (None without steps), and the rate."""
        row = {
            "loss": self._loss / self._counted if self._counted else None,
            "norm": self._norms / self._steps if self._steps else None,
            "lr": self.lr,
        }
        self._loss, self._steps, self._norms, self._counted = 0.0, 0, 0.0, 0.0
        return row

    def tell(self, message: str) -> None:
        """Show a message at the next tick, or log it where nothing is shown."""
        if self.progress is None:
            logging.getLogger("elman").warning(message)
        else:
            self._message = message if self._message is None else f"{self._message}\n{message}"

    def tick(self, pace: Pace, *, finished: bool = False) -> None:
        """Show where the run stands, if it is time to."""
        since = pace.seconds - self._ticked_at
        due = since >= TICK_SECONDS or self._message is not None or finished
        if self.progress is None or not due:
            return
        # The speed of training; validation and checkpoints take time of their own.
        spent = pace.clock.training
        if self._terms and spent > self._rated_at:
            self._rate = self._terms / (spent - self._rated_at)
            self._terms, self._rated_at = 0.0, spent
        tick = Tick(
            step=pace.step,
            epoch=pace.epoch,
            fraction=pace.fraction(),
            seconds=pace.seconds,
            loss=self._shown,
            lr=self.lr,
            rate=self._rate,
            valid=self.valid,
            message=self._message,
            finished=finished,
            whole=finished and pace.step <= pace.epoch * pace.epoch_steps,
        )
        self._ticked_at, self._message = pace.seconds, None
        self._showing = not finished
        self.progress(tick)

    def close(self, pace: Pace) -> None:
        """Show that a run is over, also where it failed."""
        if self._showing:
            self.tick(pace, finished=True)

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"sums": (self._loss, self._steps, self._norms, self._counted)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._loss, self._steps, self._norms, self._counted = state["sums"]
