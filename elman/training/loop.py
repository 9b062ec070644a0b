"""The training loop: `fit` takes an objective and a sampler and leaves the best model.

`fit` reads from top to bottom: a run is a sequence of steps, one update of the parameters
each. Everything that a step depends on is a part in one dict, `_Run.parts` (see
`elman.training.parts`). The journal measures, writes and shows; it only watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from elman.errors import InputError, RunFailed
from elman.training import averaging, checkpoint, distributed, parts, schedules, seeds, trend
from elman.training.best import BestSoFar, Kept
from elman.training.divergence import DivergenceDetector
from elman.training.interrupt import Interrupt, Interrupted
from elman.training.journal import Journal
from elman.training.objective import Objective, Sampler
from elman.training.pace import Pace
from elman.training.parts import State
from elman.training.progress import Tick
from elman.training.readings import Readings
from elman.training.recovery import Recovery
from elman.training.settings import Settings
from elman.training.store import Store
from elman.training.update import Update

GOOD_EVERY = 50
"""Steps between in-memory copies of the last good state."""


@dataclass(frozen=True)
class Fit:
    """The result of a run.

    Attributes:
        steps: updates of the parameters.
        epochs: finished passes over the data.
        seconds: time used, over all sessions of the run.
        best: metrics of the validation whose parameters the model now has.
        best_step: the step of that validation.
        best_epoch: passes over the data that were finished at that step.
        improving: whether validation was still improving at the end, so that a longer run would
            be better; None where it was looked at too seldom to tell.
        history: the rows of metrics.jsonl.
        stopped: the bound that ended it: `epochs`, `max_steps`, `budget` or `patience`.
    """

    steps: int
    epochs: int
    seconds: float
    best: dict[str, float]
    best_step: int
    best_epoch: int
    improving: bool | None
    history: list[dict[str, Any]]
    stopped: str


def fit(
    objective: Objective,
    batches: Sampler,
    settings: Settings,
    *,
    run: Path | None = None,
    resume: bool = False,
    progress: Callable[[Tick], None] | None = None,
    around: float = 0.0,
    judging: float = 0.0,
) -> Fit:
    """Train `objective.model`; afterwards it holds the best parameters.

    Args:
        objective: the model, its loss and its validation.
        batches: this process's share of every global batch.
        settings: how to train.
        run: folder for `checkpoints/last`, `checkpoints/best` and `metrics.jsonl`; None
            writes nothing.
        resume: go on from `checkpoints/last`, or start where there is none yet. The model
            has to be made as it was for the first session (same seed).
        progress: called a few times a second, in the first process only.
        around: seconds of the budget that go before training and, apart from judging, after it.
        judging: how many times as long as a validation the last judging takes.

    Raises:
        RunFailed: it diverged again and again, or a file could not be written.
        InputError: `run` already holds a run, or a checkpoint cannot be used.
        Interrupted: Ctrl-C; the state was saved first.
    """
    with (
        Interrupt() as interrupt,
        closing(_Run(objective, batches, settings, run, progress, (around, judging))) as this,
    ):
        pace, update, journal = this.pace, this.update, this.journal

        def notes() -> list[float]:
            """Return numbers that the processes add up: interrupts, and the first one's clock."""
            return [float(interrupt.requested), pace.clock.now() if this.ranks.writes else 0.0]

        this.begin(resume)
        empty = 0
        while True:
            # Is it over? Then all steps have to be read, and in order.
            stopped = this.over()
            if stopped is not None and this.in_order():
                break

            # Before some steps the parts that change while gradients are computed are copied.
            marked = this.marked()
            before = checkpoint.copy(this.state(without=parts.MOVED)) if marked else None

            # The gradients of one global batch, in one or several parts.
            stop_asked = 0.0
            place = batches.state_dict()
            share = list(islice(this.left, settings.accumulate))
            drawn = len(share)
            if drawn:
                lr = this.rate()
                with journal.computing(pace.step, lr):
                    total, terms, norm, (stop_asked, pace.clock.seconds) = update.gradients(
                        share, notes, journal.gradients(pace.step)
                    )
                this.readings.add(pace.step, total, norm, terms, place)
            del share  # its memory is free for validation and for the next batch

            # A step whose loss or gradient shows divergence is undone instead of made.
            reads = marked or this.readings.free
            if drawn and (not reads or this.in_order()):
                if before is not None and this.divergence.calm:
                    # The loss has just shown that the parameters before this step are good.
                    this.keep_good(before)
                with journal.moving(pace.step, update.parameters):
                    update.apply(lr)
                pace.step += 1
                journal.stepped(pace)

            # An epoch ends where the sampler has moved on to the next.
            ended = batches.state_dict()["epoch"] > pace.epoch
            if ended:
                pace.epoch += 1
                update.carried.value = None
                this.left = iter(batches)
            empty = 0 if drawn else empty + 1
            if empty > 1:  # once is the end of an epoch
                raise InputError("There are no batches to train on.")

            if pace.look_due(ended) and this.in_order():
                this.validate()
            if pace.save_due(at_good_state=False):
                this.save(this.state())
            journal.tick(pace)
            if stop_asked:
                raise this.interrupted()

        if pace.looked_step != pace.step:
            this.validate()
        this.save(this.state())
        journal.tick(pace, finished=True)
        return this.result(stopped)


class _Run:
    """The parts of one run, and the operations on all of them together."""

    def __init__(
        self,
        objective: Objective,
        batches: Sampler,
        settings: Settings,
        folder: Path | None,
        progress: Callable[[Tick], None] | None,
        beside: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.objective, self.batches, self.settings = objective, batches, settings
        self.ranks = distributed.ranks()
        self.store = Store(folder, self.ranks)
        self.update = Update(objective, settings, self.ranks)
        self.pace = Pace(settings, len(batches), *beside)
        self.plateau = schedules.Plateau(settings.decay, settings.decay_after)
        self.best = BestSoFar(objective.metric, objective.higher_is_better)
        self.divergence = DivergenceDetector()
        self.recovery = Recovery(settings.max_rollbacks, settings.lr)
        self.readings = Readings(self.update.device)
        self.journal = Journal(
            self.update.model, settings, self.store.metrics, self.ranks.writes, progress
        )
        self.left: Iterator[Any] = iter(())
        """Batches left of the epoch."""
        self.parts: dict[str, parts.Part] = {
            **self.update.parts(),
            "pace": self.pace,
            "clock": self.pace.clock,
            "plateau": self.plateau,
            "best": self.best,
            "divergence": self.divergence,
            "rollbacks": self.recovery,
            "sampler": self.batches,
            "generators": parts.Generators(),
            **self.journal.parts(),
        }

    # The beginning and the end

    def begin(self, resume: bool) -> None:
        """Start afresh, or from the last checkpoint."""
        model, last = self.update.model, self.store.last
        seeds.seed(self.settings.seed + self.ranks.rank, deterministic=self.settings.deterministic)
        if not self.ranks.alone:
            distributed.same_start(model)
        if last is None or not last.exists():
            self.store.metrics.load_state_dict(0)
        elif resume:
            self._resume(last)
        else:
            raise InputError(
                "already holds a run.",
                file=self.store.folder,
                fix=f"Go on with: elman resume {self.store.folder}, or choose another folder.",
            )
        if resume:
            self.journal.resumed(self.pace.step, saved=last is not None and last.exists())
        self.left = iter(self.batches)
        model.train()

    def over(self) -> str | None:
        """Return the bound that ends the run here, None while there is none."""
        patience = self.settings.patience
        if patience is not None and self.best.waited >= patience:
            return "patience"
        return self.pace.over()

    def interrupted(self) -> Interrupted:
        """Save the run, and say where it was stopped and how to go on."""
        at, folder = f"Stopped at step {self.pace.step}", self.store.folder
        if folder is None:
            return Interrupted(f"{at}; nothing was saved, since the run has no folder.")
        self.in_order()
        self.save(self.state())
        return Interrupted(f"{at} and saved. Go on with: elman resume {folder}")

    def result(self, stopped: str) -> Fit:
        """Give the model its best parameters, the last where none are known; return the result."""
        kept = self.best.kept
        if kept is not None:
            self.update.model.load_state_dict(kept.tensors)
        else:  # nothing was validated
            averaging.settled(self.update.averaging, self.update.parameters)
        best_step = kept.step if kept else self.pace.step
        return Fit(
            steps=self.pace.step,
            epochs=self.pace.finished_epochs,
            seconds=self.pace.seconds,
            best=dict(kept.metrics) if kept else {},
            best_step=best_step,
            best_epoch=self._epochs_at(best_step),
            improving=self._improving(),
            history=self.store.metrics.rows,
            stopped=stopped,
        )

    def _epochs_at(self, step: int) -> int:
        rows = self.store.metrics.rows
        known = (row["epoch"] for row in reversed(rows) if row.get("step") == step)
        return next(known, self.pace.finished_epochs)

    def _improving(self) -> bool | None:
        """Say whether validation was still improving at the end.

        Where validations are too few to tell, and the last is the best, the training loss says it.
        """
        rows, objective = self.store.metrics.rows, self.objective
        values = {r["step"]: r["valid"].get(objective.metric) for r in rows if r.get("valid")}
        curve = [(step, value) for step, value in sorted(values.items()) if value is not None]
        found = trend.improving(curve, objective.higher_is_better)
        if found is not None or self.best.waited:
            return found
        losses = {r["step"]: r["loss"] for r in rows if r.get("loss") is not None}
        return trend.improving(sorted(losses.items()))

    def close(self) -> None:
        """Let go of the display and the files, however the run ended."""
        self.journal.close(self.pace)
        self.update.model.eval()

    # A step

    def marked(self) -> bool:
        """Say whether the state before this step becomes the one to go back to."""
        step, every = self.pace.step, self.settings.checkpoint_every
        return step % GOOD_EVERY == 0 or (every is not None and step % every == 0)

    def rate(self) -> float:
        """Return the learning rate of this step."""
        settings = self.settings
        shape = schedules.factor(
            settings.schedule,
            self.pace.fraction(),
            step=self.pace.step,
            epoch=self.pace.epoch,
            warmup=settings.warmup,
            decay=settings.decay,
            decay_after=settings.decay_after,
        )
        plateau = self.plateau.scale if settings.schedule == "plateau" else 1.0
        return settings.lr * self.recovery.lr_scale * plateau * shape

    def in_order(self) -> bool:
        """Read the steps not read so far; where one diverged go back, and return False."""
        for facts in self.readings.read():
            trouble = self.divergence.see(facts.step, facts.loss, facts.norm)
            if trouble is not None:
                self._roll_back(facts.step, trouble)
                return False
            self.journal.read(facts)
        return True

    def _roll_back(self, step: int, trouble: str) -> None:
        norms = self.divergence.norms()
        what = f"Diverged at step {step}: {trouble}. Last gradient norms: {norms}."
        good = self.recovery.take(step, what)
        self.restore(checkpoint.copy(good), without=parts.KEPT)
        self.left = iter(self.batches)
        to, times = self.pace.step, len(self.recovery.rollbacks)
        back = f"Back to step {to} at half the rate ({times} of {self.recovery.limit})."
        self.journal.rolled_back(step, to, f"{what} {back}")

    def validate(self) -> None:
        """Validate the averaged parameters, and keep them where they are the best so far."""
        pace, model, clock = self.pace, self.update.model, self.pace.clock
        began = clock.now()
        model.eval()
        with (
            seeds.kept(),
            torch.no_grad(),
            averaging.applied(self.update.averaging, self.update.parameters),
        ):
            found = self.objective.validate() if self.ranks.writes else {}
            found = {name: float(value) for name, value in found.items()}
            took, clock.seconds = clock.now() - began, clock.now()
            if not self.ranks.alone:
                found, took, clock.seconds = distributed.from_first([found, took, clock.seconds])
            improved = self._compared(found) if found else False
        model.train()
        pace.looked(took)
        self.journal.validated(pace, found, improved)

    def _compared(self, found: dict[str, float]) -> bool:
        """Hand a validation to all that depend on it, and say whether it is the best so far."""
        objective = self.objective
        if objective.metric not in found:
            raise RunFailed(f"validate() gave {', '.join(found)} but not {objective.metric!r}.")
        value = found[objective.metric]
        improved = self.best.see(value)
        self.plateau.see(improved)
        self.update.averaging.validated(value, objective.higher_is_better)
        if improved and self.best.beats_kept(value):
            tensors = checkpoint.copy(dict(self.update.model.state_dict()))
            self.best.kept = Kept(self.pace.step, found, tensors)
            self.store.save_best(self.best.kept)
        return improved

    # The state of all parts

    def state(self, without: tuple[str, ...] = ()) -> State:
        """Return the state of every part (tensors are not copied)."""
        return parts.collect(self.parts, without)

    def restore(self, state: State, without: tuple[str, ...] = ()) -> None:
        """Go back to `state`, whose tensors become ours."""
        parts.restore(self.parts, state, without)
        self.readings.unread = []

    def keep_good(self, before: State) -> None:
        """Keep the state before this step; `before` lacks the parts that only updates change."""
        moved = {name: self.parts[name].state_dict() for name in parts.MOVED}
        self.recovery.good = {**before, **checkpoint.copy(moved)}
        if self.pace.save_due(at_good_state=True):
            self.save(self.recovery.good)

    def save(self, state: State) -> None:
        """Write a checkpoint of `state`, with the good state where that is another one."""
        good, clock = self.recovery.good, self.pace.clock
        if good is not None and good["pace"]["step"] == state["pace"]["step"]:
            good = None
        began = clock.now()
        self.store.save(state, good)
        took = clock.now() - began
        self.pace.saved(took if self.ranks.alone else distributed.from_first(took))

    def _resume(self, last: Path) -> None:
        state, good = self.store.load()
        self.recovery.good = checkpoint.copy(good or state)
        try:
            self.restore(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                "does not fit this model and these settings.",
                file=last,
                fix="Resume with those the run was started with.",
            ) from error
        self.best.kept = self.store.load_best()
