"""The pace of a run: where it stands between its start and its bounds, and what is due.

Everything bounded or spaced by steps falls at the same step in a run that was killed
and resumed. Only a budget, and the default cadence of checkpoints, look at the clock.
"""

from __future__ import annotations

import math
import time

from elman.training.settings import Settings

LOOKS = 10
"""Validations that a run bounded by steps or time has at least, however long its epochs."""
LOOK_SHARE = 0.1
"""Part of a budget that validation may take."""
LEAST_TRAINED = 0.5
"""Part of a budget that is spent on training, however long the rest of the command takes."""
SAVE_SECONDS = 30.0
"""Between checkpoints where no cadence in steps is set, ..."""
SAVE_SHARE = 0.02
"""... and the part of the time that writing them may take."""


class Clock:
    """The time used over all sessions of a run, and the last times spent on looking and saving."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Time used as of the last step, by the first process's clock in every process."""
        self.looked_at = self.looking_took = 0.0
        self.saved_at = self.saving_took = 0.0
        self._aside = 0.0
        self._earlier, self._started = 0.0, time.monotonic()

    def now(self) -> float:
        """Return the seconds used so far by this process's clock."""
        return self._earlier + time.monotonic() - self._started

    @property
    def training(self) -> float:
        """The seconds of this session that went into steps: not into looking and saving."""
        return self.seconds - self._earlier - self._aside

    def looked(self, took: float) -> None:
        """Take note of a validation that has just ended and took so many seconds."""
        self.looked_at, self.looking_took = self.seconds, took
        self._aside += took

    def saved(self, took: float) -> None:
        """Take note of a checkpoint that has just been written and took so many seconds."""
        self.saved_at, self.saving_took = self.seconds, took
        self._aside += took

    def state_dict(self) -> dict[str, float]:
        """Return what has to be saved."""
        return {
            "seconds": self.seconds,
            "looked_at": self.looked_at,
            "looking_took": self.looking_took,
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a saved state: time between sessions does not count."""
        self.seconds = self.saved_at = self._earlier = state["seconds"]
        self.looked_at, self.looking_took = state["looked_at"], state["looking_took"]
        self._started = time.monotonic()


class Pace:
    """Count steps and epochs against the bounds of the run.

    Args:
        epoch_batches: batches in an epoch.
        around: seconds of the budget that go before training and, apart from judging, after it.
        judging: how many times as long as a validation the last judging takes.
    """

    def __init__(
        self, settings: Settings, epoch_batches: int, around: float = 0.0, judging: float = 0.0
    ) -> None:
        self.settings, self.around, self.judging = settings, around, judging
        self.epoch_steps = max(1, math.ceil(epoch_batches / settings.accumulate))
        bounds = [settings.max_steps] if settings.max_steps else []
        if settings.epoch_bound:
            bounds.append(settings.epoch_bound * self.epoch_steps)
        self.total_steps = min(bounds, default=None)
        self.step = 0
        self.epoch = 0
        self.looked_step = -1
        self.clock = Clock()

    @property
    def seconds(self) -> float:
        """The time used over all sessions, by the first process's clock in every process."""
        return self.clock.seconds

    @property
    def finished_epochs(self) -> int:
        """The passes over the data that are finished; `epoch` counts one when the next begins."""
        return max(self.epoch, self.step // self.epoch_steps)

    def over(self) -> str | None:
        """Return the setting that ends the run here; None while there is none."""
        settings = self.settings
        if settings.max_steps is not None and self.step >= settings.max_steps:
            return "max_steps"
        if settings.epoch_bound is not None and self.epoch >= settings.epoch_bound:
            return "epochs"
        if settings.budget is not None and self._budget_used() >= 1:
            return "budget"
        return None

    def fraction(self) -> float:
        """Return how much of the run is over, 0 to 1, at the middle of the coming step."""
        by_steps = (self.step + 0.5) / self.total_steps if self.total_steps else 0.0
        by_time = self._budget_used() if self.settings.budget else 0.0
        return min(1.0, max(by_steps, by_time))

    def look_due(self, epoch_ended: bool) -> bool:
        """Say whether to validate now."""
        settings = self.settings
        if self.looked_step == self.step:
            return False
        if settings.validate_every is not None:
            return self.step % settings.validate_every == 0
        if settings.budget is not None:
            since, took = self.seconds - self.clock.looked_at, self.clock.looking_took
            whole = max(settings.budget - self.around, LEAST_TRAINED * settings.budget)
            long = since >= whole / LOOKS
            cheap = took <= LOOK_SHARE * (since + took)
            return cheap and (epoch_ended or long)
        if settings.epoch_bound is None and self.total_steps:
            every = max(1, self.total_steps // LOOKS)
            if every < self.epoch_steps:
                return self.step % every == 0
        return epoch_ended

    def looked(self, took: float) -> None:
        """Take note of a validation that has just ended and took so many seconds."""
        self.looked_step = self.step
        self.clock.looked(took)

    def save_due(self, at_good_state: bool) -> bool:
        """Say whether to write a checkpoint now.

        The best moment is where a good state has just been copied; where steps are long, it does
        not wait for one.
        """
        if self.settings.checkpoint_every is not None:
            return (
                at_good_state and self.step > 0 and self.step % self.settings.checkpoint_every == 0
            )
        wait = max(SAVE_SECONDS, self.clock.saving_took / SAVE_SHARE)
        return self.seconds - self.clock.saved_at >= (wait if at_good_state else 2 * wait)

    def saved(self, took: float) -> None:
        """Take note of a checkpoint that has just been written and took so many seconds."""
        self.clock.saved(took)

    def _budget_used(self) -> float:
        """Return the share of the budget that is used up.

        Time is kept for a last validation, for judging, and for what comes around training.
        """
        budget = self.settings.budget
        assert budget is not None
        kept = self.clock.looking_took * (1 + self.judging) + self.around
        return self.seconds / max(budget - kept, LEAST_TRAINED * budget)

    def state_dict(self) -> dict[str, int]:
        """Return what has to be saved; the clock is saved by itself."""
        return {"step": self.step, "epoch": self.epoch, "looked_step": self.looked_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved state, in this session or in a later one."""
        self.step, self.epoch = state["step"], state["epoch"]
        self.looked_step = state["looked_step"]
