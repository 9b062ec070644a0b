"""Baselines in a run: written once they are fitted, and found again by their names.

`evaluate`, `predict` and, where there are any, `stream` and `generate` of a task take a baseline or
a blend in the place of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.errors import InputError
from elman.runs import folder
from elman.runs.folder import Run
from elman.scoring.blending import Blend
from elman.scoring.predictors import Predictor
from elman.tasks.base import Task

MODEL, BLEND, BEST = "model", "blend", "best"
"""Names that stand for no baseline."""


def keep(
    run: Run, predictors: Sequence[Predictor], about: dict[str, Any], blend: Blend | str
) -> None:
    """Write baselines, what was found out about the model, and the blend or why there is none."""
    stems: set[str] = {""}
    shared: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    for one in predictors:
        if one.shared is not None and id(one.shared) not in shared:
            stem = _stem("shared", stems)
            shared[id(one.shared)] = stem
            run.write_state(stem, *one.shared.state())
        stem = _stem(one.name, stems)
        run.write_state(stem, *one.to_state())
        rows.append({"name": one.name, "file": stem, "shared": shared.get(id(one.shared))})
    mixed: dict[str, Any] = {"none": blend}
    if isinstance(blend, Blend):
        mixed = {"with": blend.baseline.name, "weight": blend.weight, "scale": blend.scale}
    run.write_predictors({"predictors": rows, "model": about, "blend": mixed})


def _stem(name: str, taken: set[str]) -> str:
    """Return a file name without an ending: small letters, digits and hyphens.

    >>> _stem("tf-idf + logistic regression", {""}), _stem("±", {"", "baseline"})
    ('tf-idf-logistic-regression', 'baseline-2')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "baseline"
    plain = f"{plain}-baseline" if plain == "index" else plain
    number, stem = 1, plain
    while stem in taken:
        number += 1
        stem = f"{plain}-{number}"
    taken.add(stem)
    return stem


@dataclass
class Kept:
    """The baselines of a run, each read when it is asked for.

    Attributes:
        run: where they are.
        task: the task of the run.
        index: what was kept, as `keep` wrote it.
    """

    run: Run
    task: Task
    index: dict[str, Any]
    _shared: dict[str, Any] = field(default_factory=dict)
    _read: dict[str, Predictor] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, task: Task) -> Kept | None:
        """Return what a run keeps, and let its task recall the rest; None where nothing is kept."""
        if not run.keeps_predictors:
            return None
        found = cls(run, task, run.read_predictors())
        task.recall(found.index["model"])
        return found

    @property
    def names(self) -> list[str]:
        """The names of the baselines."""
        return [row["name"] for row in self.index["predictors"]]

    def predictor(self, name: str) -> Predictor:
        """Return a baseline by its full name."""
        if name not in self._read:
            row = next(row for row in self.index["predictors"] if row["name"] == name)
            stem = row["shared"]
            if stem is not None and stem not in self._shared:
                self._shared[stem] = self.task.kept_shared(*self.run.read_state(stem))
            facts, arrays = self.run.read_state(row["file"])
            self._read[name] = self.task.kept_predictor(facts, arrays, self._shared.get(stem))
        return self._read[name]

    def all(self) -> list[Predictor]:
        """Return every baseline."""
        return [self.predictor(name) for name in self.names]

    def blend(self, module: Any) -> Blend | str:
        """Return the model mixed with a baseline, or why there is no blend."""
        mixed = self.index["blend"]
        if "none" in mixed:
            return str(mixed["none"])
        # A run of an earlier version has no scale: nothing was multiplied.
        weight, scale = float(mixed["weight"]), float(mixed.get("scale", 1.0))
        return Blend(module, self.predictor(mixed["with"]), weight, scale)


def used(kept: Kept | None, run: Run, module: Any, asked: str) -> Any:
    """Return what a name stands for: the model itself, a baseline, or their blend.

    Args:
        kept: the baselines of the run.
        run: the run.
        module: its model.
        asked: `model`, `blend`, `best` (what the verdict recommends), or the name of a baseline;
            capitals do not matter, and a beginning that only one name has is enough.

    Raises:
        InputError: there is no such name, or the run does not keep it.
    """
    name = _named(asked, [MODEL, BLEND, BEST, *(kept.names if kept else [])], kept, run)
    if name == BEST:
        name = run.read_json(folder.RESULTS).get("recommended", MODEL)
    if name == MODEL:
        return module
    if kept is None or name not in (BLEND, *kept.names):
        raise InputError(
            f"{asked!r} stands for {name!r}, which this run does not keep.",
            file=run.path,
            fix=_MISSING,
        )
    if name != BLEND:
        return kept.predictor(name)
    found = kept.blend(module)
    if isinstance(found, str):
        raise InputError(
            f"this run has no blend: {found}.", file=run.path, fix="Use model or a baseline."
        )
    return found


def _named(asked: str, names: list[str], kept: Kept | None, run: Run) -> str:
    wanted = asked.strip().casefold()
    whole = [name for name in names if name.casefold() == wanted]
    begun = [name for name in names if wanted and name.casefold().startswith(wanted)]
    found = whole or begun
    if len(found) == 1:
        return found[0]
    listed = ", ".join(repr(name) for name in found or names)
    why = "is the beginning of several names" if found else "is no predictor of this run"
    fix = f"Choose from {listed}."
    raise InputError(f"{asked!r} {why}.", file=run.path, fix=fix if kept else f"{fix} {_MISSING}")


_MISSING = "It was made before baselines were kept, or stopped before them: train a new run."
