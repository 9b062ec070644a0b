"""The training loop: `fit` takes an objective and a sampler and leaves the best model.

A run is a sequence of steps, one update of the parameters each. Everything a step
depends on (parameters, optimiser, averages, schedule, generators, sampler, carried
state) is one tree that `_Run.state` collects and `_Run.restore` puts back; checkpoints,
resuming and rollback are all made of these two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.errors import InputError, RunFailed
from elman.training import averaging, checkpoint, distributed, schedules, seeds
from elman.training.divergence import Watch
from elman.training.health import Health
from elman.training.interrupt import Interrupt, Interrupted
from elman.training.judging import Judge
from elman.training.meter import Meter
from elman.training.objective import Objective, Sampler
from elman.training.pace import Pace
from elman.training.progress import Tick
from elman.training.settings import Settings
from elman.training.store import State, Store
from elman.training.update import Update

GOOD_EVERY = 50
"""Steps between in-memory copies of the last good state."""
LOG_EVERY = 50
"""Steps between training rows in metrics.jsonl."""


@dataclass(frozen=True)
class Fit:
    """What came of a run."""

    steps: int
    epochs: int
    """Finished passes over the data."""
    seconds: float
    """Over all sessions of the run."""
    best: dict[str, float]
    """Metrics of the validation whose parameters the model now has."""
    best_step: int
    history: list[dict[str, Any]]
    """The rows of metrics.jsonl."""
    stopped: str
    """What ended it: `epochs`, `max_steps`, `budget` or `patience`."""


def fit(
    objective: Objective,
    batches: Sampler,
    settings: Settings,
    *,
    run: Path | None = None,
    resume: bool = False,
    progress: Callable[[Tick], None] | None = None,
) -> Fit:
    """Train `objective.model`; afterwards it holds the best parameters.

    Args:
        batches: this process's share of every global batch.
        run: folder for `checkpoints/last`, `checkpoints/best` and `metrics.jsonl`; None
            writes nothing.
        resume: go on from `checkpoints/last`, or start where there is none yet. The model
            has to be made as it was for the first session (same seed).
        progress: called a few times a second, in the first process only.

    Raises:
        RunFailed: it diverged again and again, or a file could not be written.
        InputError: `run` already holds a run, or a checkpoint cannot be used.
        Interrupted: Ctrl-C; the state was saved first.
    """
    with Interrupt() as interrupt:
        this = _Run(objective, batches, settings, run, progress, interrupt)
        try:
            this.begin(resume)
            return this.go()
        finally:
            this.close()


class _Run:
    def __init__(
        self,
        objective: Objective,
        batches: Sampler,
        settings: Settings,
        folder: Path | None,
        progress: Callable[[Tick], None] | None,
        interrupt: Interrupt,
    ) -> None:
        self.objective, self.batches, self.settings = objective, batches, settings
        self.ranks = distributed.ranks()
        self.store = Store(folder, self.ranks)
        self.update = Update(objective, settings, self.ranks)
        self.pace = Pace(settings, len(batches))
        self.plateau = schedules.Plateau(settings.decay, settings.decay_after)
        self.judge = Judge(objective.higher_is_better)
        self.watch = Watch()
        self.meter = Meter(progress if self.ranks.writes else None)
        clip_at = settings.clip_threshold if settings.clip == "norm" else None
        self.health = Health(self.update.model, clip_at)
        self.interrupt, self.stop_asked = interrupt, False
        self.iterator: Iterator[Any] = iter(())
        self.good: State | None = None
        self.best: State | None = None
        self.lr_scale = 1.0
        self.rollbacks: list[int] = []
        self.unseen: list[tuple[int, Tensor, Tensor, float, dict[str, Any]]] = []

    # From begin to end

    def begin(self, resume: bool) -> None:
        """Start afresh, or from the last checkpoint."""
        model, last = self.update.model, self.store.last
        seeds.seed(self.settings.seed + self.ranks.rank, deterministic=self.settings.deterministic)
        if not self.ranks.alone:
            distributed.same_start(model)
        if last is None or not last.exists():
            self.store.open(0)
        elif resume:
            self._resume()
        else:
            raise InputError(
                "already holds a run.",
                file=self.store.folder,
                fix=f"Go on with: elman resume {self.store.folder}, or choose another folder.",
            )
        self.iterator = iter(self.batches)
        model.train()

    def go(self) -> Fit:
        """Steps until a bound is reached."""
        idle = 0
        while (stopped := self._stopped()) is None or not self._sound():
            idle = 0 if self._step() else idle + 1
            if idle > 1:  # once is the end of an epoch
                raise InputError("There are no batches to train on.")
            ended = self.batches.state_dict()["epoch"] > self.pace.epoch
            if ended:
                self._end_epoch()
            if self.pace.look_due(ended):
                self._validate()
            if self.pace.save_due(at_good_state=False):
                self._save(self.state())
            self.meter.tick(self.pace)
            if self.stop_asked:
                self._interrupted()
        if self.pace.looked_step != self.pace.step:
            self._validate()
        self._save(self.state())
        self.meter.tick(self.pace, finished=True)
        if self.best is not None:
            self.update.model.load_state_dict(self.best["tensors"])
        return Fit(
            steps=self.pace.step,
            epochs=self.pace.epoch,
            seconds=self.pace.seconds,
            best=dict(self.best["metrics"]) if self.best else {},
            best_step=self.best["step"] if self.best else self.pace.step,
            history=self.store.metrics.rows,
            stopped=stopped,
        )

    def close(self) -> None:
        """Let go of the display and the files, however the run ended."""
        self.meter.close(self.pace)
        self.store.metrics.close()
        self.update.model.eval()

    def _stopped(self) -> str | None:
        patience = self.settings.patience
        if patience is not None and self.judge.waited >= patience:
            return "patience"
        return self.pace.over()

    def _interrupted(self) -> None:
        at, folder = f"Stopped at step {self.pace.step}", self.store.folder
        if folder is None:
            raise Interrupted(f"{at}; nothing was saved, since the run has no folder.")
        self._sound()
        self._save(self.state())
        raise Interrupted(f"{at} and saved. Go on with: elman resume {folder}")

    # One step

    def _step(self) -> bool:
        """One update; False where the epoch had no batch left."""
        pace, every = self.pace, self.settings.checkpoint_every
        mark = pace.step % GOOD_EVERY == 0 or (every is not None and pace.step % every == 0)
        before = self._surroundings() if mark else None
        place = self.batches.state_dict()
        parts = list(islice(self.iterator, self.settings.accumulate))
        if not parts:
            return False
        self.meter.lr = self._rate()
        logged, first = (pace.step + 1) % LOG_EVERY == 0, pace.step == 0
        looked_at = self.ranks.writes and (logged or first)
        with self.health.looking() if looked_at else nullcontext():
            total, count, norm, (asked, pace.seconds) = self.update.gradients(
                parts, self._notes, self.health.gradients if looked_at else None
            )
        self.stop_asked = asked > 0
        self.unseen.append((pace.step, total, norm, count, place))
        if (mark or self.update.device.type == "cpu") and not self._sound():
            return True
        if before is not None and self.watch.calm:
            # The loss has just shown that the parameters this step began with are good.
            self.good = {**checkpoint.copy(self.update.state_dict()), **before}
            if pace.save_due(at_good_state=True):
                self._save(self.good)
        with self.health.moving(self.update.parameters) if looked_at else nullcontext():
            self.update.apply(self.meter.lr)
        if first and (found := self.health.taken()):
            self.store.metrics.add({**self._where(), **found})
        pace.step += 1
        if logged:
            self._log()
        return True

    def _log(self) -> None:
        """A training row, and what is wrong by it."""
        found = self.health.row()
        self.store.metrics.add({**self._where(), **self.meter.row(), **found})
        if self.ranks.writes:
            for what in self.health.warnings(found):
                self.store.metrics.add({"event": "health", "step": self.pace.step, "what": what})
                self.meter.tell(what)

    def _notes(self) -> list[float]:
        """What the processes add up at each step: who was interrupted, and the first's clock."""
        return [float(self.interrupt.requested), self.pace.now() if self.ranks.writes else 0.0]

    def _rate(self) -> float:
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
        return settings.lr * self.lr_scale * plateau * shape

    def _sound(self) -> bool:
        """Whether all is well with the steps not looked at so far; rolls back where it is not.

        Reading a number back from a GPU stalls it. There, steps are looked at some at a time.
        """
        unseen, self.unseen = self.unseen, []
        numbers = [x for _, total, norm, *_ in unseen for x in (total, norm)]
        if self.update.device.type == "cpu":
            values = [x.item() for x in numbers]
        else:
            values = torch.stack([x.double() for x in numbers]).tolist() if numbers else []
        for seen, total, norm in zip(unseen, values[::2], values[1::2], strict=True):
            step, _, _, count, place = seen
            loss = total / (count or 1.0)
            trouble = self.watch.see(step, loss, norm)
            if trouble is not None:
                self._roll_back(step, trouble)
                return False
            self.meter.add(loss, norm, count)
            self.health.add(step, loss, norm, place)
        return True

    def _roll_back(self, step: int, trouble: str) -> None:
        limit = self.settings.max_rollbacks
        what = f"Diverged at step {step}: {trouble}. Last gradient norms: {self.watch.norms()}."
        if self.good is None:
            raise RunFailed(
                f"{what} It was the first step: not the rate but the data or the model."
            )
        if len(self.rollbacks) == limit:
            tried = f"Gave up after {limit} returns to a good state."
            if limit > 1 and set(self.rollbacks) == {step}:
                raise RunFailed(f"{what} {tried} It was this step each time: look at the data.")
            raise RunFailed(f"{what} {tried} Try a lower lr than {self.settings.lr:g}.")
        self.rollbacks.append(step)
        self.lr_scale *= 0.5
        self.restore(checkpoint.copy(self.good))
        self.iterator = iter(self.batches)
        message = (
            f"{what} Back to step {self.pace.step} at half the rate "
            f"({len(self.rollbacks)} of {limit})."
        )
        self.store.metrics.add(
            {"event": "rollback", "step": step, "to": self.pace.step, "what": message}
        )
        self.meter.tell(message)

    def _where(self) -> dict[str, Any]:
        pace = self.pace
        return {"step": pace.step, "epoch": pace.epoch, "seconds": round(pace.seconds, 3)}

    # Epochs and validation

    def _end_epoch(self) -> None:
        self.pace.epoch += 1
        self.update.carried = None
        self.iterator = iter(self.batches)

    def _validate(self) -> None:
        if not self._sound():
            return
        pace, model = self.pace, self.update.model
        began = pace.now()
        model.eval()
        with (
            seeds.kept(),
            torch.no_grad(),
            averaging.applied(self.update.averaging, self.update.parameters),
        ):
            found = self.objective.validate() if self.ranks.writes else {}
            found = {name: float(value) for name, value in found.items()}
            took, pace.seconds = pace.now() - began, pace.now()
            if not self.ranks.alone:
                found, took, pace.seconds = distributed.from_first([found, took, pace.seconds])
            improved = self._judge(found)
        model.train()
        pace.looked(took)
        self.meter.valid = found
        self.store.metrics.add({**self._where(), "valid": found, "best": improved})

    def _judge(self, found: dict[str, float]) -> bool:
        if not found:
            return False
        objective = self.objective
        if objective.metric not in found:
            raise RunFailed(f"validate() gave {', '.join(found)} but not {objective.metric!r}.")
        value = found[objective.metric]
        improved = self.judge.see(value)
        self.plateau.see(improved)
        self.update.averaging.validated(value, objective.higher_is_better)
        if improved and (self.best is None or not self._worse(value)):
            meta = {"step": self.pace.step, "metrics": found}
            tensors = checkpoint.copy(dict(self.update.model.state_dict()))
            self.best = {**meta, "tensors": tensors}
            self.store.save_best(tensors, meta)
        return improved

    def _worse(self, value: float) -> bool:
        """Whether a better one is held from before a rollback or a kill."""
        assert self.best is not None
        held = self.best["metrics"][self.objective.metric]
        return bool(value < held if self.objective.higher_is_better else value > held)

    # State

    def state(self) -> State:
        """Everything the next step depends on (tensors are not copied)."""
        return {**self.update.state_dict(), **self._surroundings()}

    def _surroundings(self) -> State:
        """What changes otherwise than by an update; small, and copied."""
        now: State = checkpoint.copy(
            {
                "pace": self.pace.state_dict(),
                "plateau": self.plateau.state_dict(),
                "judge": self.judge.state_dict(),
                "watch": self.watch.state_dict(),
                "meter": self.meter.state_dict(),
                "health": self.health.state_dict(),
                "metrics": self.store.metrics.position,
                "buffers": dict(self.update.model.named_buffers()),
                "own": {
                    "generators": seeds.capture(),
                    "sampler": self.batches.state_dict(),
                    "carried": self.update.carried,
                },
            }
        )
        return now

    def restore(self, state: State) -> None:
        """Go back to `state`, whose tensors become ours; the clock goes on."""
        self.update.load_state_dict(state)
        for name, buffer in self.update.model.named_buffers():
            buffer.copy_(state["buffers"][name])
        self.pace.rewind(state["pace"])
        self.plateau.load_state_dict(state["plateau"])
        self.judge.load_state_dict(state["judge"])
        self.watch.load_state_dict(state["watch"])
        self.meter.load_state_dict(state["meter"])
        if "health" in state:  # a run of before there was one has none
            self.health.load_state_dict(state["health"])
        own = state["own"]
        seeds.restore(own["generators"])
        self.batches.load_state_dict(dict(own["sampler"]))
        self.update.carried = checkpoint.copy(own["carried"], self.update.device)
        self.unseen = []

    def _save(self, state: State) -> None:
        good = self.good
        if good is not None and good["pace"]["step"] == state["pace"]["step"]:
            good = None
        began = self.pace.now()
        self.store.save(state, good, {"lr_scale": self.lr_scale, "rollbacks": self.rollbacks})
        took = self.pace.now() - began
        self.pace.saved(took if self.ranks.alone else distributed.from_first(took))

    def _resume(self) -> None:
        state, good, run = self.store.load()
        self.good = checkpoint.copy(good or state)
        try:
            self.restore(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                "does not fit this model and these settings.",
                file=self.store.last,
                fix="Resume with those the run was started with.",
            ) from error
        self.pace.load_state_dict(state["pace"])
        self.lr_scale, self.rollbacks = run["lr_scale"], run["rollbacks"]
        self.store.open(state["metrics"])
        best = self.store.best
        if best is not None and best.exists():
            tensors, meta = checkpoint.load(best)
            self.best = {**meta, "tensors": tensors}
