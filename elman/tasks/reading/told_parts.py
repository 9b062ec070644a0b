"""Columns that say which part of the data a row belongs to, which a split at random passes over."""

from __future__ import annotations

from collections import Counter
from shlex import quote
from typing import TYPE_CHECKING

from elman.tasks.reading.tables import PARTS

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_FOLDS = frozenset(["fold", "folds", "kfold", "k_fold", "cv_fold", "fold_id"])
_MOST_FOLDS = 20


def doubts(table: Table, layout: Layout, together: str | None) -> list[str]:
    """Return a doubt for each column that shares the rows out, where parts are drawn without it.

    Args:
        table: typed columns.
        layout: what is read of them.
        together: the column whose rows stay in one part, if any.
    """
    read = {*layout.inputs, *layout.answers, layout.group, layout.time, together}
    found = []
    for name, kind in table.kinds.items():
        if name in read or kind not in ("category", "text", "number"):
            continue
        cells = table.frame[name].dropna()
        if kind != "number":
            counts = Counter[str | None]()
            for cell, count in cells.astype(str).value_counts(sort=False).items():
                counts[PARTS.get(str(cell).strip().lower())] += count
            if len(counts) > 1 and "train" in counts and None not in counts:
                told = " and ".join(f"{counts[part]:,} of {part}" for part in counts)
                found.append(
                    f"column {name!r} says which part a row belongs to ({told}), and the parts are "
                    "drawn without it. Save the rows of each part to a file that is called by it, "
                    "such as train.csv and test.csv, and give their folder."
                )
        if name.casefold().strip() in _FOLDS and 2 <= cells.nunique() <= _MOST_FOLDS:
            found.append(
                f"column {name!r} shares the rows out to {cells.nunique()} folds, and the parts "
                "are drawn across them, so what belongs together may stand in two parts. Keep each "
                f"fold in one part with --set together={quote(name)}."
            )
    return found
