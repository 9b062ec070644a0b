"""Holes in series: moments of a calendar that have no row, and values that are missing.

What is filled in is read and never learnt or scored: it is left out of the loss and of all metrics.
A fill sees no value that a forecast could not have seen: `linear` joins the values on both sides of
a hole only where the hole ends in the part trained on, and is `forward` elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.tasks.forecast.doubts import other_step
from elman.tasks.forecast.finding import odd_steps
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.times import times_after

if TYPE_CHECKING:
    import pandas as pd

Fill = Literal["linear", "forward", "season", "mask"]
Floats = NDArray[np.float64]
ADVICE = "Set fill=linear (or forward, season, mask) to have it filled, or correct it."
_LONGEST = 10_000
"""Moments of a gap, at most, that are looked for."""


def all_completed(
    series: Sequence[Series], frequency: str | None
) -> tuple[list[Series], list[str]]:
    """Return series with a row for each moment of their calendar, and what is to be said of it.

    A series whose steps are of another length stays as it is.
    """
    pairs = [
        completed(one, frequency) if other_step(one, frequency) is None else (one, 0)
        for one in series
    ]
    count = sum(rows for _, rows in pairs)
    rows = "1 row" if count == 1 else f"{count:,} rows"
    said = f"{rows} that the calendar leaves out {'was' if count == 1 else 'were'} put in."
    return [one for one, _ in pairs], [said] if count else []


def completed(series: Series, frequency: str | None) -> tuple[Series, int]:
    """Return a series with a row, of missing values, for each moment that its calendar leaves out.

    A gap that does not end on a moment of the rule stays as it is. Also returned is how many rows
    were put in.
    """
    import pandas as pd

    if frequency is None or series.times is None or len(series.times) < 2:
        return series, 0
    times = series.times
    gaps = np.flatnonzero(odd_steps(times[: len(series)], frequency))
    between = {
        int(at): found for at in gaps if (found := moments_between(times, int(at), frequency))
    }
    if not between:
        return series, 0
    places = np.concatenate([np.full(len(found), at + 1) for at, found in between.items()])
    moments = pd.DatetimeIndex([moment for found in between.values() for moment in found])
    order = np.argsort(np.concatenate([np.arange(len(times)), places - 0.5]), kind="stable")
    known, values = series.known, series.values
    empty = np.full((len(places), values.shape[1]), np.nan)
    inserted = np.insert(values, places, empty, axis=0)
    # Columns known ahead run evenly from one row to the next.
    rows = np.insert(known, places, np.nan, axis=0)
    for column in range(known.shape[1]):
        rows[:, column] = _linear(rows[:, column])
    whole = pd.DatetimeIndex(times.append(moments)[order])
    return Series(series.name, inserted, rows, whole), len(places)


def moments_between(times: pd.DatetimeIndex, at: int, frequency: str) -> list[pd.Timestamp]:
    """Return the moments between two rows; none where the second is no moment of the rule."""
    first, second = times[at], times[at + 1]
    rule = rule_of(frequency)
    count = max(2, round((second - first).total_seconds() / rule.mean))
    found = times_after(first, count + 2, frequency)
    # Within hours of opening steps are shorter than their mean.
    while found[-1] < second and count < _LONGEST:
        count *= 2
        found = times_after(first, count + 2, frequency)
    if count >= _LONGEST:
        return []
    away = np.abs((found - second).to_numpy() / np.timedelta64(1, "us"))
    last = int(np.argmin(away))
    return list(found[:last]) if away[last] <= 1_000_000 * rule.near else []


def filled(values: Floats, how: Fill, season: int, known: int) -> Floats:
    """Return values `(T, C)` without holes.

    Args:
        values: NaN where one is missing.
        how: see the setting `fill`.
        season: steps.
        known: rows up to which a fill may look forward.

    >>> holes = np.array([[1.0], [np.nan], [3.0], [np.nan], [5.0]])
    >>> filled(holes, "linear", 1, 3).ravel().tolist(), filled(holes, "season", 2, 3)[3].tolist()
    ([1.0, 2.0, 3.0, 3.0, 5.0], [3.0])
    """
    out = values.copy()
    for column in range(out.shape[1]):
        one = out[:, column]
        if how == "linear":
            there = np.flatnonzero(~np.isnan(one[:known]))
            if len(there):
                one[: there[-1] + 1] = _linear(one[: there[-1] + 1])
        elif how == "season":
            for row in np.flatnonzero(np.isnan(one)).tolist():
                if row >= season:
                    one[row] = one[row - season]
        place = np.maximum.accumulate(np.where(np.isnan(one), -1, np.arange(len(one))))
        first = int(np.argmax(place >= 0))
        # Nothing is known before the first value: it stands for those before it.
        out[:, column] = one[np.where(place < 0, first, place)]
    return out


def _linear(values: Floats) -> Floats:
    there = ~np.isnan(values)
    if there.all() or not there.any():
        return values
    rows = np.arange(len(values))
    return np.interp(rows, rows[there], values[there])


def without_holes(panel: Panel, how: Fill | None, season: int, known: Sequence[int]) -> Panel:
    """Return series with their holes filled, and marked as missing.

    Args:
        panel: as it was read.
        how: the setting `fill`.
        season: steps.
        known: of each series, rows up to which a fill may look forward.

    Raises:
        InputError: a target of a series has no value there, or there is no season to fill from.
    """
    if how is None:
        return panel
    if how == "season" and season == 1:
        raise InputError(
            "fill=season needs a season, and there is none here.",
            file=panel.source,
            fix="Set season to its steps, or fill=linear.",
        )
    series = []
    for one, rows in zip(panel.series, known, strict=True):
        missing = np.isnan(one.values)
        empty = missing[:rows].all(axis=0)
        if empty.any():
            raise InputError(
                f"{panel.targets[int(np.argmax(empty))]!r} has no value in the first {rows:,} rows "
                f"of {one}.",
                file=panel.source,
                fix="Take the series out, or name other columns with target=.",
            )
        values = filled(one.values, how, season, rows)
        series.append(replace(one, values=values, missing=missing if missing.any() else None))
    return replace(panel, series=series)


def words(panel: Panel, how: Fill | None) -> str | None:
    """Return how holes were filled, in a sentence; None where there is nothing to say."""
    if how is None:
        return None
    count = sum(int(s.missing.sum()) for s in panel.series if s.missing is not None)
    whole = sum(s.values.size for s in panel.series)
    if not count:
        return "No value is missing: there is nothing to fill."
    ways = {
        "linear": "on the line between their neighbours (after the training part: with the last "
        "value before)",
        "forward": "with the last value before",
        "season": "with the value of a season before",
        "mask": "with the last value before, and the model sees which they are",
    }
    return (
        f"{count:,} of {whole:,} values are missing and filled {ways[how]}; they are neither "
        "learnt nor scored."
    )
