"""Times beside the steps of a sequence: uneven ones, and ones that are read as data."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import transcripts
from elman.tasks.reading.groups import TIME
from elman.writing import written

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_ODD = 0.05
"""Share of the steps that may have another length."""
_BLOCK = 5
"""Rows of a name at least, in the mean, that may be a sequence of its own."""
_LEAP = 20
"""Times of the usual step, from which one alone is a gap."""


def doubts(table: Table, layout: Layout) -> list[str]:
    """Return doubts about the clock of a long table: it is uneven, or it is read as a channel.

    Args:
        table: typed columns.
        layout: what is read of them.
    """
    numbers = all(table.kinds.get(name) == "number" for name in layout.inputs)
    if layout.form != "long" or not numbers:
        return []
    groups = [*transcripts.rows_of(table, layout.group, layout.time).values()]
    found = []
    for name in layout.inputs:
        if TIME.fullmatch(name.strip()) and _rises(table, name, groups):
            found.append(
                f"column {name!r} rises in each row of a sequence, as a clock does, and is read as "
                f"a channel beside the others. Set time={quote(name)}: then it orders the rows."
            )
    if layout.time is not None:
        found += _uneven(table, layout.time, groups)
    if layout.group is None:
        found += _one_after_another(table, layout)
    return found


def _one_after_another(table: Table, layout: Layout) -> list[str]:
    """Return a doubt where names stand in blocks, and all rows are one sequence."""
    for name, kind in table.kinds.items():
        if kind != "category" or name in (*layout.inputs, *layout.answers, layout.time):
            continue
        cells = table.frame[name]
        different = int(cells.nunique())
        blocks = int((cells != cells.shift()).sum())
        if 1 < different == blocks <= len(cells) / _BLOCK:
            return [
                f"all rows are read as one sequence, though {name!r} holds {different:,} names one "
                f"after another. If each has a sequence of its own, set group={quote(name)}."
            ]
    return []


def _rises(table: Table, name: str, groups: list[list[int]]) -> bool:
    values = table.frame[name].to_numpy(np.float64)
    return all((np.diff(values[rows]) > 0).all() for rows in groups)


def _uneven(table: Table, name: str, groups: list[list[int]]) -> list[str]:
    """Return a doubt where the steps of a clock differ, for each row counts as one step."""
    kind = table.kinds[name]
    if kind not in ("time", "number"):
        return []
    cells = table.frame[name]
    moments: NDArray[np.float64] = (
        cells.to_numpy("datetime64[us]").astype(np.float64) / 1e6
        if kind == "time"
        else cells.to_numpy(np.float64)
    )
    steps = np.concatenate([np.diff(moments[rows]) for rows in groups])
    known = np.isfinite(steps) & (steps > 0)
    if known.sum() < 3:
        return []
    usual = float(np.median(steps[known]))
    odd = known & (np.abs(steps - usual) > usual / 2)
    longest = float(steps[known].max())
    if odd.sum() <= _ODD * known.sum() and longest <= _LEAP * usual:
        return []
    unit = " s" if kind == "time" else ""
    return [
        f"the steps of {name!r} are uneven: {int(odd.sum()):,} of {len(steps):,} are far from "
        f"{written(usual)}{unit}, the usual one, and the longest is {written(longest)}{unit}. Each "
        "row counts as one step whatever lies between. Write a row for each step, or the time "
        "since the row before as a column, or cut the sequences at the gaps and name them (group)."
    ]
