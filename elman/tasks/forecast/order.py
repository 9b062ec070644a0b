"""The order of the rows of a series: their times rise, or it is said why not and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import dates
from elman.errors import InputError
from elman.tasks.forecast.columns import Sorted
from elman.tasks.forecast.groups import likely_groups
from elman.tasks.forecast.times import clocks_went_back

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_LEAST_OF_A_SERIES = 3
"""Rows of a series at least where several follow one another without a name."""
_LEAST_EXCHANGED = 10
"""Rows at least that are not in order by chance once day and month change places."""
_YEAR = 365.25 * 86_400e6
"""Microseconds."""


def as_numbers(moments: pd.Series) -> Floats | NDArray[np.int64]:
    """Return moments as numbers that run evenly, microseconds where they are times."""
    import pandas as pd

    if moments.dtype.kind != "M":
        return moments.to_numpy(dtype=np.float64)
    exact = pd.DatetimeIndex(moments)
    exact = exact if exact.tz is None else exact.tz_convert("UTC").tz_localize(None)
    return exact.to_numpy().astype("datetime64[us]").astype(np.int64)


def _changes_with(out: Sorted, rows: NDArray[np.int64], begins: NDArray[np.int64]) -> str | None:
    """Return the column whose names change at these places and nowhere else, or None."""
    for name, kind in out.table.kinds.items():
        cells = out.table.frame[name]
        if kind not in ("text", "category") and cells.dtype.kind not in "iu":
            continue
        values = cells.replace("", None).ffill().to_numpy()[rows]  # merged cells of a sheet
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        if name != out.time and name not in out.groups and np.array_equal(changes, begins):
            return name
    return None


def _other_times(out: Sorted, rows: NDArray[np.int64]) -> str | None:
    """Return another column of times, in whose order some rows run, or None."""
    for name, kind in out.table.kinds.items():
        if kind != "time" or name == out.time:
            continue
        moments = out.table.frame[name].iloc[rows]
        if moments.notna().all() and (as_numbers(moments)[1:] > as_numbers(moments)[:-1]).all():
            return name
    return None


def _clock_beside(out: Sorted) -> str | None:
    """Return the column of times of day that belongs to dates without one, or None."""
    if not _are_days(out):
        return None
    for name, kind in out.table.kinds.items():
        usable = kind in ("number", "text", "category") and name not in (*out.groups, *out.joined)
        if usable and dates.clock(out.table.frame[name], name) is not None:
            return name
    return None


def _hour_too_many(out: Sorted) -> tuple[str, int] | None:
    """Return the column of hours that go up to 25 beside dates, and the row of the first 25."""
    if not _are_days(out):
        return None
    for name, kind in out.table.kinds.items():
        if kind == "number" and dates.named_like_hours(name):
            hours = out.table.frame[name].to_numpy(np.float64)
            if hours.max() == 25 and hours.min() >= 0 and not (hours % 1).any():
                return name, int(np.argmax(hours))
    return None


def _are_days(out: Sorted) -> bool:
    moments = out.moments
    return (
        moments is not None
        and moments.dtype.kind == "M"
        and not out.joined
        and bool((moments == moments.dt.normalize()).all())
    )


def _in_order_if_exchanged(moments: pd.Series) -> bool:
    """Tell whether times run in one direction once day and month change places."""
    if moments.dtype.kind != "M" or len(moments) < _LEAST_EXCHANGED:
        return False
    there = moments.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    steps = np.diff(dates.exchanged(there)).astype(np.int64)
    return bool((steps > 0).all() or (steps < 0).all())


def _odd_one(keys: Floats | NDArray[np.int64]) -> int | None:
    """Return the place of the one moment without which all are in order, or None."""
    if len(keys) < _LEAST_EXCHANGED:
        return None
    at = int(np.argmax(np.diff(keys) < 0))
    odd = [place for place in (at, at + 1) if (np.diff(np.delete(keys, place)) > 0).all()]
    return odd[0] if len(odd) == 1 else None


def _of_twelve_hours(moments: pd.Series) -> bool:
    """Tell whether times of day go from 1 to 12 and are there twice, as of a clock without AM and
    PM."""
    if moments.dtype.kind != "M":
        return False
    hours = moments.dt.hour
    return bool(hours.between(1, 12).all() and hours.nunique() == 12 and moments.duplicated().any())


def _one_a_moment(out: Sorted, twice: NDArray[np.bool_]) -> str:
    """Return what is to be done with rows of one moment that are of no other series.

    Args:
        out: the columns.
        twice: whether the moment of each row was there before.
    """
    again = out.table.frame.astype(str).duplicated().to_numpy()
    if (again | ~twice).all():
        return "take out the rows that are there twice: they are alike in all columns"
    return "make one row of each moment first, such as the sum or the mean of its rows"


def check_order(
    out: Sorted, keys: Floats | NDArray[np.int64], rows: NDArray[np.int64], name: str
) -> None:
    """Refuse rows whose times repeat or run backwards.

    Raises:
        InputError: the message names the row, and the columns that would tell series apart.
    """
    import pandas as pd

    steps = np.diff(keys[rows])
    wrong = np.flatnonzero(steps <= 0)
    if not len(wrong):
        return
    table, column, moments = out.table, str(out.time), out.moments
    assert moments is not None
    whose = f" in series {name!r}" if name else ""
    if (other := _other_times(out, rows)) is not None:
        raise InputError(
            f"there are several columns of times; the rows run in the order of {other!r}{whose}, "
            f"and not in that of {column!r}, which was taken.",
            file=table.source,
            column=column,
            fix=f"Set time={other}.",
        )
    at = int(wrong[0])
    if _in_order_if_exchanged(moments.iloc[rows]):
        raise table.refuse(
            f"the time {moments.iloc[rows[at + 1]]} comes after {moments.iloc[rows[at]]}{whose}. "
            "With day and month exchanged in the dates up to day 12 all rows are in order, so it "
            "seems that a program read dates with the wrong part first.",
            int(rows[at + 1]),
            column,
            "Write the original dates as 2024-01-31.",
        )
    first, second = moments.iloc[rows[at]], moments.iloc[rows[at + 1]]
    if clocks_went_back(first, second):
        raise table.refuse(
            f"the time {second} is there twice{whose}, because clocks were put back in that night.",
            int(rows[at + 1]),
            column,
            f"Write times with their offset, such as {second:%Y-%m-%dT%H:%M}+01:00.",
        )
    if out.time in out.years:
        leaps = np.flatnonzero(np.abs(steps) > 50 * _YEAR)
        if len(leaps):
            at = int(leaps[0])
            first, second = moments.iloc[rows[at]], moments.iloc[rows[at + 1]]
            raise table.refuse(
                f"the time leaps from {first.date()} to {second.date()}{whose}, because years have "
                "two digits.",
                int(rows[at + 1]),
                column,
                "Write years with four digits.",
            )
    if (lone := _odd_one(keys[rows])) is not None:
        before, after = max(lone - 1, 0), min(lone + 1, len(rows) - 1)
        raise table.refuse(
            f"the time {moments.iloc[rows[lone]]} stands between {moments.iloc[rows[before]]} and "
            f"{moments.iloc[rows[after]]}{whose}, and all other rows are in order.",
            int(rows[lone]),
            column,
            "Correct it, or put the row in its place.",
        )
    twice = pd.Series(keys[rows]).duplicated().to_numpy()
    if _of_twelve_hours(moments.iloc[rows]):
        row = int(rows[int(np.argmax(twice))])
        raise table.refuse(
            f"the time {moments.iloc[row]} is there twice{whose}, and all hours are from 1 to 12, "
            "as of a clock without AM and PM.",
            row,
            column,
            "Write hours from 00 to 23, or AM and PM behind them.",
        )
    whole = np.zeros(len(table), dtype=bool)
    whole[rows] = twice
    single = _one_a_moment(out, whole) if twice.any() else ""
    groups = None if out.groups or not twice.any() else likely_groups(out, keys)
    begins = np.flatnonzero(steps < 0) + 1
    lengths = np.diff([0, *begins, len(rows)])
    if groups is None and len(begins) == len(wrong) and lengths.min() >= _LEAST_OF_A_SERIES:
        at = int(begins[0])
        named = _changes_with(out, rows, begins)
        fix = (
            f"If they are, set group={named}"
            if named
            else ("If they are, add a column that names each, and set group to its name")
        )
        raise table.refuse(
            f"the times begin again here, at {moments.iloc[rows[at]]} after "
            f"{moments.iloc[rows[at - 1]]}{whose}, as where {len(lengths):,} series follow one "
            "another.",
            int(rows[at]),
            column,
            f"{fix}; if not, sort the file by {column!r}{f', and {single}' if single else ''}.",
        )
    if twice.any():
        row = int(rows[int(np.argmax(twice))])
        what = f"the time {moments.iloc[row]} is there twice{whose}."
        fix = f"Name the column that tells series apart with group=NAME; or {single}."
        if groups is not None and len(groups) == 1:
            what += f" {groups[0]!r} looks like the name of a series."
            fix = f"If the file holds several series, set group={groups[0]}."
        elif groups is not None:
            what += f" {groups[0]!r} and {groups[1]!r} together look like the name of a series."
            fix = f"If the file holds several series, set group='[{', '.join(groups)}]'."
        elif (clock := _clock_beside(out)) is not None:
            fix = f"If {clock!r} is its time of day, set time='[{column},{clock}]'."
        elif (odd := _hour_too_many(out)) is not None:
            hours, place = odd
            at_night = f"{moments.iloc[place]:%Y-%m-%d}T02:00+01:00"
            raise table.refuse(
                f"{what} {hours!r} holds hours, and hour 25 is of a night in which clocks were put "
                "back, so it is not clear which moment each row is of.",
                place,
                hours,
                f"Write times with their offset from UTC, such as {at_night}, in one "
                "column; or take the row out.",
            )
        raise table.refuse(what, row, column, fix)
    raise table.refuse(
        f"the time {second} comes after {first}{whose}.",
        int(rows[at + 1]),
        column,
        f"Sort the file by {column!r}.",
    )
