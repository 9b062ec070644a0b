"""Columns that count: the rows, steps, parts of a date, and years in a column without a name."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import dates
from elman.data.wide import resolution
from elman.tasks import called
from elman.tasks.forecast.groups import as_list, is_part_of_time, names_of
from elman.tasks.forecast.panel import COUNTED

if TYPE_CHECKING:
    from elman.tasks.forecast.columns import Columns, Sorted

_COUNTERS = ("t", "step", "id")
_NUMBERED = ("#", "nr", "no", "row", "n")
"""Names that say that a column numbers the rows, so it holds no years."""
_MOST = 0.75
"""Part of the steps between numbers of rows, of which some are not there, that are 1."""
FIRST_YEAR, LAST_YEAR = 1500, 2100


def free_numbers(out: Sorted, columns: Columns) -> list[str]:
    """Return the columns of numbers that nothing was said of."""
    taken = {out.time, *out.groups, *as_list(columns.target), *columns.covariates, *out.counters}
    return [n for n, k in out.table.kinds.items() if k == "number" and n not in taken]


def years_without_a_name(out: Sorted, name: str) -> bool:
    """Tell whether a column without a name holds years, one after the other in each series.

    Numbers of rows begin with 0 or 1.
    """
    key = name.casefold().strip().rstrip(".")
    if not called.unnamed(name) or key in _NUMBERED:
        return False
    values = out.table.frame[name].to_numpy(dtype=np.float64)
    if np.isnan(values).any() or len(values) < 3:
        return False
    if values.min() < FIRST_YEAR or values.max() > LAST_YEAR:
        return False
    steps = np.diff(values)
    return bool((steps == 1).all() or (steps == -1).all()) or _counts_in_groups(out, name)


def counted(out: Sorted, columns: Columns) -> None:
    """Leave columns that only count the rows out of what is forecast."""
    for name in free_numbers(out, columns):
        key = name.casefold().strip()
        timed = dates.named_like_a_time(name) or key in ("t", "step")
        # The first column of a file has no name where a program wrote its index there.
        if not (timed or key in _COUNTERS or called.unnamed(name)):
            continue
        values = out.table.frame[name].to_numpy(dtype=np.float64)
        there = np.unique(values)
        if len(there) < 3 or np.isnan(values).any():
            continue
        steps = np.diff(there)
        even = bool(np.allclose(steps, steps[0], rtol=1e-6))
        # Times with few digits, such as 0.033, 0.067, 0.1, rise evenly but for the last digit.
        nearly = bool(np.ptp(steps) <= 2.01 * resolution(there) < 0.5 * np.median(steps))
        rising = len(there) == len(values) and bool((np.diff(values) > 0).all())
        if timed and (even or nearly or rising) and out.time is None:
            out.time, out.moments, out.numbers = name, out.table.frame[name], COUNTED
            out.say("time", f"Column {name!r} counts steps: it orders the rows.")
            if not (even or nearly):
                out.doubtful.append(
                    f"column {name!r} rises from row to row by {steps.min():g} to {steps.max():g} "
                    "and is named like a time, so it orders the rows and is not forecast. Set "
                    f"target={name} if it is a series."
                )
        elif even and steps[0] == 1 and len(there) == len(values):
            out.counters.append(name)
            out.say("left out", f"Column {name!r} was left out: it counts the rows.")
        elif even and steps[0] == 1 and _counts_in_groups(out, name):
            out.counters.append(name)
            out.say("left out", f"Column {name!r} was left out: it counts the rows of each series.")
        elif _numbers_some(out, name, values) and len(free_numbers(out, columns)) > 1:
            out.counters.append(name)
            out.say(
                "left out",
                f"Column {name!r} was left out: it numbers rows, of which some are not there.",
            )


def _numbers_some(out: Sorted, name: str, values: NDArray[np.float64]) -> bool:
    """Tell whether a first column without a name numbers rows of which some were taken out.

    A file without names at all has none of its own for any column, so nothing is known of it.
    """
    before = itertools.takewhile(called.unnamed, out.table.kinds)
    if name not in before or "column 2" in out.table.kinds:
        return False
    if name.casefold().strip() == "n":
        return with_gaps(values)  # else how many there are of something
    whole = values.min() >= 0 and bool((values % 1 == 0).all())
    if not whole or len(np.unique(values)) < len(values):
        return False
    # Rows that were put in another order have numbers that lie close together still.
    return bool((np.diff(values) > 0).all()) or bool(np.ptp(values) < 2 * len(values))


def with_gaps(values: NDArray[np.float64]) -> bool:
    """Tell whether whole numbers rise by one from row to row but for a few that are not there.

    >>> with_gaps(np.array([1.0, 2, 3, 5, 6, 7])), with_gaps(np.array([1.0, 3, 4, 7]))
    (True, False)
    """
    steps = np.diff(values)
    if not len(steps) or (values % 1).any() or steps.min() < 1:
        return False
    return bool(np.mean(steps == 1) >= _MOST)


def _counts_in_groups(out: Sorted, name: str) -> bool:
    """Tell whether a column rises by one from row to row of each series."""
    if not out.groups:
        return False
    each = out.table.frame[name].groupby(names_of(out.table, out.groups), sort=False)
    steps = each.diff().dropna().to_numpy(dtype=np.float64)
    return len(steps) > 0 and bool((steps == 1).all())


def cycling(out: Sorted, columns: Columns) -> None:
    """Leave hours, weekdays or months that begin again and again out of what is forecast."""
    if out.time is not None or columns.target is not None:
        return
    for name in free_numbers(out, columns):
        values = out.table.frame[name].to_numpy(dtype=np.float64)
        if np.isnan(values).any() or not is_part_of_time(out.table.frame[name], name):
            continue
        low, high = values.min(), values.max()
        steps = np.diff(values)
        on = (steps == 1) | (steps == 0) | ((values[1:] == low) & (values[:-1] == high))
        if high - low < 2 or not on.all() or not (steps < 0).any():
            continue
        out.counters.append(name)
        out.doubtful.append(
            f"column {name!r} goes from {low:g} to {high:g} and begins again, as a part of a date "
            "does, and there is no column of dates: it is not forecast, and the order of the rows "
            f"counts. Set covariates={name} if the model is to see it, target={name} to forecast "
            "it; or add a column of dates."
        )
