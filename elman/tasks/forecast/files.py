"""Folders of which each file is a series."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from elman.tasks.forecast.columns import Sorted

if TYPE_CHECKING:
    from elman.data import Table

FILE = "file"
"""The column that names series by their files, where the files have none of that name."""
_LEAST = 3
"""Rows of a file that is a series."""


def named_by_file(table: Table) -> Table:
    """Return a table with a column that names the file of each row, without its endings."""
    import pandas as pd

    files = [origin.file for origin in table.origins]
    names = ["" if file is None else file.name.split(".")[0] for file in files]
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    named = np.repeat(np.array(names, dtype=object), [origin.rows for origin in table.origins])
    if table.index is not None:
        named = named[table.index]
    frame = table.frame.assign(**{FILE: pd.Series(named, table.frame.index)})
    return replace(table, frame=frame, kinds={**table.kinds, FILE: "category"})


def each_is_a_series(out: Sorted) -> bool:
    """Tell whether the times of files overlap, though they run in one direction in each."""
    table, moments = out.table, out.moments
    apart = [origin for origin in table.origins if origin.file is not None]
    if len(apart) < 2 or len(apart) < len(table.origins) or table.index is not None:
        return False
    if out.groups or moments is None or moments.isna().any() or FILE in table.kinds:
        return False
    edges = np.cumsum([0, *(origin.rows for origin in table.origins)])
    spans = []
    for begin, end in itertools.pairwise(edges.tolist()):
        own = moments.iloc[begin:end]
        rising = own.is_monotonic_increasing or own.is_monotonic_decreasing
        if end - begin < _LEAST or not (own.is_unique and rising):
            return False
        spans.append((own.min(), own.max()))
    spans.sort()
    return any(then[0] <= first[1] for first, then in itertools.pairwise(spans))
