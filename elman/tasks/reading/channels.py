"""Columns of numbers: the channels of a series, and those that only count its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.data import Table, numerals, recordings


def numeric_columns(table: Table, names: Sequence[str]) -> list[str]:
    """The columns of numbers. One that is numbers but for a few cells is refused, not dropped."""
    found = []
    for name in names:
        kind = table.kinds[name]
        if kind in ("text", "category"):
            import pandas as pd

            cells = table.frame[name]
            if pd.to_numeric(cells, errors="coerce").notna().mean() <= 0.5:
                continue
            if numerals.codes(cells.dropna().astype(str).str.strip()):
                continue
            table.numbers(name, allow_missing=True)
        elif kind != "number":
            continue
        found.append(name)
    return found


def without_counters(
    table: Table, names: Sequence[str], group: str | None
) -> tuple[list[str], list[str]]:
    """Part columns that only count the time of each sequence from the channels.

    Where there is nothing else, they are the channels.
    """
    sizes = [len(table)]
    owner = np.zeros(len(table))
    if group is not None:
        owner = table.names(group).factorize()[0]
        sizes = np.bincount(owner[owner >= 0]).tolist()

    def counts(name: str) -> bool:
        if table.kinds[name] != "number" or (owner < 0).any():
            return False
        values = table.frame[name].to_numpy(np.float64)
        return recordings.counts(values[np.lexsort((values, owner))], sizes)

    counting = [name for name in names if counts(name)]
    kept = [name for name in names if name not in counting]
    return (kept, counting) if kept else (list(names), [])
