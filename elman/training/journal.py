"""The journal of a run: rows of metrics.jsonl, warnings, progress.

The loop says to the journal what happens. The journal changes nothing of the run: without it
the parameters are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn

from elman.training.health import Health
from elman.training.meter import Meter
from elman.training.metrics import Metrics
from elman.training.pace import Pace
from elman.training.parts import Part
from elman.training.progress import Tick
from elman.training.readings import Facts
from elman.training.settings import Settings

LOG_EVERY = 50
"""Steps between training rows in metrics.jsonl."""


class Journal:
    """An observer of a run, which is given the facts of every step.

    Args:
        model: whose layers are looked at now and then.
        metrics: takes the rows.
        writes: whether this is the process that writes, looks closely, warns and shows progress.
        progress: called a few times a second; None shows nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Settings,
        metrics: Metrics,
        writes: bool,
        progress: Callable[[Tick], None] | None,
    ) -> None:
        self.metrics, self.writes = metrics, writes
        self.meter = Meter(progress if writes else None)
        self.health = Health(model, settings.clip_threshold if settings.clip == "norm" else None)

    def parts(self) -> dict[str, Part]:
        """Return the parts that have a state, by the names that checkpoints use."""
        return {"meter": self.meter, "health": self.health, "metrics": self.metrics}

    # During a step, while steps before it may not have been read yet

    def _looks_at(self, step: int) -> bool:
        """Say whether to look closely at a step: at the first, and where a row is written."""
        return self.writes and (step == 0 or (step + 1) % LOG_EVERY == 0)

    def computing(self, step: int, lr: float) -> AbstractContextManager[None]:
        """Look closely at the forward and backward pass inside, where that is due."""
        self.meter.lr = lr
        return self.health.looking() if self._looks_at(step) else nullcontext()

    def gradients(self, step: int) -> Callable[[nn.Module], None] | None:
        """Return a function to call with the model before its gradients are clipped, or None."""
        return self.health.gradients if self._looks_at(step) else None

    def moving(self, step: int, parameters: Sequence[nn.Parameter]) -> AbstractContextManager[None]:
        """Measure the update of the parameters inside, where that is due."""
        return self.health.moving(parameters) if self._looks_at(step) else nullcontext()

    def stepped(self, pace: Pace) -> None:
        """Write the rows that are due after a step."""
        if pace.step == 1 and (found := self.health.taken()):
            self.metrics.add({**_where(pace), "step": 0, **found})
        if pace.step % LOG_EVERY:
            return
        found = self.health.row()
        self.metrics.add({**_where(pace), **self.meter.row(), **found})
        if self.writes:
            for what in self.health.warnings(found):
                self.metrics.add({"event": "health", "step": pace.step, "what": what})
                self.meter.tell(what)

    # Later

    def read(self, facts: Facts) -> None:
        """Take note of the facts of a step that was in order."""
        self.meter.add(facts.loss, facts.norm, facts.terms)
        self.health.add(facts.step, facts.loss, facts.norm, facts.place)

    def validated(self, pace: Pace, found: dict[str, float], improved: bool) -> None:
        """Write the row of a validation."""
        self.meter.valid = found
        self.metrics.add({**_where(pace), "valid": found, "best": improved})

    def resumed(self, step: int, saved: bool) -> None:
        """Show from which step a run goes on, and whether anything of it had been saved."""
        if self.meter.progress is not None:
            why = "" if saved else ": nothing had been saved yet"
            self.meter.tell(f"Going on from step {step:,}{why}.")

    def rolled_back(self, step: int, to: int, what: str) -> None:
        """Write and show that the run went back from one step to another."""
        self.metrics.add({"event": "rollback", "step": step, "to": to, "what": what})
        self.meter.tell(what)

    def tick(self, pace: Pace, *, finished: bool = False) -> None:
        """Show where the run stands, if it is time to."""
        self.meter.tick(pace, finished=finished)

    def close(self, pace: Pace) -> None:
        """Let go of the display and the file, however the run ended."""
        self.meter.close(pace)
        self.metrics.close()


def _where(pace: Pace) -> dict[str, Any]:
    return {"step": pace.step, "epoch": pace.finished_epochs, "seconds": round(pace.seconds, 3)}
