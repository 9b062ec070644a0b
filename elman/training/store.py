"""The files of a run: `checkpoints/last`, `checkpoints/best` and `metrics.jsonl`.

Only the first process writes; with several, what each has for itself (generators,
sampler, carried state) is gathered into the one file and every process reads its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from elman.errors import InputError
from elman.training import checkpoint, distributed
from elman.training.metrics import Metrics

State = dict[str, Any]


class Store:
    """A run's folder; None keeps nothing."""

    def __init__(self, folder: Path | None, ranks: distributed.Ranks) -> None:
        self.folder, self.ranks = folder, ranks
        self.metrics = Metrics(None)

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        return None if self.folder is None else self.folder / "checkpoints" / "last"

    @property
    def best(self) -> Path | None:
        """The best parameters."""
        return None if self.folder is None else self.folder / "checkpoints" / "best"

    def open(self, position: int) -> None:
        """Open the metrics, cut back to `position` bytes."""
        if self.folder is not None and self.ranks.writes:
            self.metrics = Metrics(self.folder / "metrics.jsonl", position)

    def save(self, state: State, good: State | None, run: State) -> None:
        """Write the last checkpoint.

        Args:
            state: everything the next step depends on.
            good: the state to roll back to, where it is another one.
            run: what a rollback does not take back.
        """
        if self.last is None:
            return
        tree = {
            "world_size": self.ranks.world_size,
            "state": self._together(state),
            "good": None if good is None else self._together(good),
            "run": run,
        }
        if self.ranks.writes:
            self.metrics.sync()
            checkpoint.save(self.last, *checkpoint.pack(tree))

    def load(self) -> tuple[State, State | None, State]:
        """What `save` was given, with this process's own part.

        Raises:
            InputError: the file cannot be used, or was written by another number of processes.
        """
        assert self.last is not None
        tree = checkpoint.unpack(*checkpoint.load(self.last))
        saved = tree["world_size"]
        if saved != self.ranks.world_size:
            raise InputError(
                f"was written by {saved} process(es), and this is {self.ranks.world_size}.",
                file=self.last,
                fix=f"Resume with: torchrun --nproc-per-node {saved} …",
            )
        good = tree["good"]
        return self._mine(tree["state"]), None if good is None else self._mine(good), tree["run"]

    def save_best(self, tensors: dict[str, Tensor], meta: State) -> None:
        """Write the best parameters, by their names in the model."""
        if self.best is not None and self.ranks.writes:
            checkpoint.save(self.best, tensors, meta)

    def _together(self, state: State) -> State:
        if self.ranks.alone:
            return {**state, "own": [state["own"]]}
        packed = distributed.gather(checkpoint.pack(state["own"]))
        return {**state, "own": [checkpoint.unpack(*own) for own in packed]}

    def _mine(self, state: State) -> State:
        return {**state, "own": state["own"][self.ranks.rank]}
