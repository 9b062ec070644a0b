"""Rows of series that stand in other data too, known by series and time.

Series without a name may be any, so their rows are known by their values too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.data.seen import hashes_of
from elman.tasks.forecast.data import begins_with
from elman.tasks.forecast.panel import Series


def hashes_of_rows(series: Sequence[Series], counts: Sequence[int]) -> NDArray[np.uint64]:
    """Return a hash of each of the first rows: of the series' name and the time.

    Of a series without a name it is of the values too. Rows without a time have none.
    """
    import pandas as pd

    timed = [(s, count) for s, count in zip(series, counts, strict=True) if s.times is not None]
    if not timed:
        return np.zeros(0, np.uint64)
    # Values are revised: in a series of the same name they make no other row.
    values = [s.values[:count] * (not s.name) for s, count in timed]
    table = pd.DataFrame(np.concatenate(values))
    moments = [s.times[:count].as_unit("us").asi8 for s, count in timed if s.times is not None]
    table.insert(0, "time", np.concatenate(moments))
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy(np.uint64)
    names = np.repeat(hashes_of([s.name for s, _ in timed]), [len(each) for each in moments])
    return np.bitwise_xor(rows, names, dtype=np.uint64)


def row_hashes(series: Sequence[Series]) -> list[NDArray[np.uint64]]:
    """Return the hashes of all rows of each series; none of one without times."""
    lengths = [0 if s.times is None else len(s) for s in series]
    whole = hashes_of_rows(series, [len(s) for s in series])
    return np.split(whole, np.cumsum(lengths)[:-1])


def standing_in(
    series: Sequence[Series], others: Sequence[Series], counts: Sequence[int]
) -> list[NDArray[np.bool_]]:
    """Return of each series which of its rows stand among the first rows of others.

    Rows without a time are known by their place, where one of two series of a name begins with the
    whole of the other one.

    Args:
        series: whose rows are looked for.
        others: where they are looked for.
        counts: how many rows of each of these.
    """
    there = hashes_of_rows(others, counts)
    found = [np.isin(rows, there) for rows in row_hashes(series)]
    named = {s.name: (s, count) for s, count in zip(others, counts, strict=True)}
    for place, one in enumerate(series):
        if one.times is None:
            other, count = named.get(one.name, (None, 0))
            if other is None or not (begins_with(other, one) or begins_with(one, other)):
                count = 0
            found[place] = np.arange(len(one)) < count
    return found


def revised(series: Series, other: Series) -> int:
    """Return how many values of a series differ from those of its name at the same times."""
    if not series.name or series.times is None or other.times is None:
        return 0
    ours, theirs = (one.times[: len(one)] for one in (series, other))  # type: ignore[index]
    at = theirs.get_indexer(ours)
    met = at >= 0
    now, then = series.observed[met], other.observed[at[met]]
    return int((~np.isclose(now, then, rtol=1e-9, atol=0, equal_nan=True)).sum())
