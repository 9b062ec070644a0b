"""The files of a run: `checkpoints/last`, `checkpoints/best` and `metrics.jsonl`.

Only the first process writes. With several, the parts that each has for itself (generators,
sampler, carried state) are gathered into the one file, and every process reads its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elman.errors import InputError
from elman.training import checkpoint, distributed
from elman.training.best import Kept
from elman.training.metrics import Metrics
from elman.training.parts import OWN, State


class Store:
    """The files in a run's folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, ranks: distributed.Ranks) -> None:
        self.folder, self.ranks = folder, ranks
        writes = folder is not None and ranks.writes
        self.metrics = Metrics(folder / "metrics.jsonl" if folder and writes else None)

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        return None if self.folder is None else self.folder / "checkpoints" / "last"

    @property
    def best(self) -> Path | None:
        """The best parameters."""
        return None if self.folder is None else self.folder / "checkpoints" / "best"

    def save(self, state: State, good: State | None) -> None:
        """Write the last checkpoint.

        Args:
            state: everything the next step depends on.
            good: the state to roll back to, where it is another one.
        """
        if self.last is None:
            return
        tree = {
            "world_size": self.ranks.world_size,
            "state": self._together(state),
            "good": None if good is None else self._together(good),
        }
        if self.ranks.writes:
            self.metrics.sync()
            checkpoint.save(self.last, *checkpoint.pack(tree))

    def load(self) -> tuple[State, State | None]:
        """Return what `save` was given, with this process's own part.

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
        if "run" in tree:
            tree = _of_first_form(tree)
        good = tree["good"]
        return self._mine(tree["state"]), None if good is None else self._mine(good)

    def save_best(self, kept: Kept) -> None:
        """Write the best parameters, by their names in the model."""
        if self.best is not None and self.ranks.writes:
            checkpoint.save(self.best, kept.tensors, {"step": kept.step, "metrics": kept.metrics})

    def load_best(self) -> Kept | None:
        """Return the best parameters, None where none have been written."""
        if self.best is None or not self.best.exists():
            return None
        tensors, meta = checkpoint.load(self.best)
        return Kept(meta["step"], meta["metrics"], tensors)

    def _together(self, state: State) -> State:
        own = {name: state[name] for name in OWN}
        shared = {name: part for name, part in state.items() if name not in OWN}
        if self.ranks.alone:
            return {**shared, "own": [own]}
        packed = distributed.gather(checkpoint.pack(own))
        return {**shared, "own": [checkpoint.unpack(*each) for each in packed]}

    def _mine(self, state: State) -> State:
        own = state["own"][self.ranks.rank]
        return {**{name: part for name, part in state.items() if name != "own"}, **own}


def _of_first_form(tree: dict[str, Any]) -> dict[str, Any]:
    """Turn a checkpoint of the first form, which had fewer and other parts, into today's.

    The clock was in `pace`, the detector was `watch`, the best value `judge`, the returns to a
    good state lay beside the state in `run`, and the oldest had no `health`.
    """

    def renewed(state: State) -> State:
        clock = {name: state["pace"][name] for name in ("seconds", "looked_at", "looking_took")}
        same = {name: part for name, part in state.items() if name not in ("watch", "judge")}
        named = {"divergence": state["watch"], "best": state["judge"]}
        return {"health": None, **same, **named, "clock": clock, "rollbacks": tree["run"]}

    good = tree["good"]
    return {**tree, "state": renewed(tree["state"]), "good": good and renewed(good)}
