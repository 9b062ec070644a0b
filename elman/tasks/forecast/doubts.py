"""Doubts about series: what a person should look at before a forecast is trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import dates
from elman.data.stand_ins import MOST_LOOKED, stand_in_words, stand_ins, together
from elman.data.wide import named_like_a_total, total_of
from elman.tasks.forecast.columns import as_list, is_part_of_time
from elman.tasks.forecast.finding import commonest_step, local, microseconds, odd_steps
from elman.tasks.forecast.rules import Monthly, rule_of
from elman.tasks.forecast.times import MOST_COUNTED, step_in_words, times_after, unit_of
from elman.tasks.forecast.weekly import DAY, Session, Weekdays, day_of_week

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table
    from elman.tasks.forecast.panel import Series

Floats = NDArray[np.float64]
_MONTH = re.compile(
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?"
    "|nov(ember)?|dec(ember)?"
)
_NAMES = re.compile(
    "(?:^|[^a-z])(?:id|ids|shop|store|series|item|product|sku|site|sensor|station|region|country"
    "|city|customer|meter|unique_?id|ticker|symbol|branch|machine|device|department|dept)"
    "(?:[^a-z]|$)"
)
_MARKED = re.compile(
    r"[-+−(]?[^\w\s:;,.-]{0,2}(?:[A-Za-z]{1,3}\s?(?=[\d.,]+$))?[-+]?\d[\d.,]*"
    r"(?:(?::\d{1,2}){1,2}(?:[.,]\d+)?|\s?[^\W\d]{0,4}|\s?[^\w\s]{1,2})\)?"
)
_CODES = 10
"""Different cells at most of a column of codes, such as sizes or rooms."""
_KNOWN_DAYS = 13
"""Days after which every day of a week has come twice."""
PLAIN = "Write plain numbers in one unit, such as 45100 for 45.1K and 331 for 5:31"
_LONG_GAP = 10
"""Steps of a gap at least that is long beside a whole series."""


def of_times(series: Sequence[Series], frequency: str | None) -> list[str]:
    """Return doubts about times: their rule, long gaps, and other steps in some series."""
    known = [s.times[: len(s)] for s in series if s.times is not None and len(s.times) > 2]
    if not known or frequency is None:
        return []
    doubts = of_rule(max(known, key=len), frequency)
    return doubts + _long_gaps(series, frequency) + _other_steps(series, frequency)


def of_rule(times: pd.DatetimeIndex, frequency: str) -> list[str]:
    """Return doubts about the rule of some times: too few weeks to know it, or steps unlike it."""
    rule = rule_of(frequency)
    days = (times[-1] - times[0]).total_seconds() / DAY
    odd = int(odd_steps(times, frequency).sum())
    if (isinstance(rule, Session | Weekdays) or frequency == "B") and days < _KNOWN_DAYS:
        return [
            f"the times cover {days:.2g} days, so it is not known which days and hours of a week "
            f"are measured. Forecasts are dated by what was seen ({rule.words}): give two weeks or "
            "more if their dates are wrong."
        ]
    if 5 * odd > len(times) - 1:
        return [
            f"{odd:,} of {len(times) - 1:,} steps between times are not those of the rule found "
            f"({rule.words}), so the dates of forecasts may be wrong, and rows on both sides of a "
            "gap count as neighbours. Set fill=linear (or forward, season, mask) if rows are "
            "missing."
        ]
    return _off_the_day(times, rule) if isinstance(rule, Monthly) else []


def _off_the_day(times: pd.DatetimeIndex, rule: Monthly) -> list[str]:
    """Return a doubt about a day of the month that many moments miss, and not for a weekend."""
    days = local(times).to_numpy().astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    ends = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    due = np.minimum(months.astype("datetime64[D]") + np.timedelta64(rule.day - 1, "D"), ends)
    missed = (days != due) & (day_of_week(due) < 5)
    if 5 * int(missed.sum()) <= len(days):
        return []
    at = int(np.argmax(missed))
    return [
        f"{int(missed.sum()):,} of {len(days):,} dates are not those of the rule found "
        f"({rule.words}), and no weekend explains it: the first one is {days[at]}. The dates of "
        "forecasts may be wrong by some days."
    ]


def _long_gaps(series: Sequence[Series], frequency: str) -> list[str]:
    """Return a doubt about gaps that are a quarter of a whole series or more."""
    least, found = _LONG_GAP * rule_of(frequency).mean, []
    for one in series[:MOST_COUNTED]:
        if one.times is None or len(one) < 3:
            continue
        steps = np.diff(microseconds(one.times[: len(one)])) / 1e6
        at = int(np.argmax(steps))
        if steps[at] > max(least, steps.sum() / 4):
            found.append((one, at, float(steps[at])))
    if not found:
        return []
    one, at, gap = found[0]
    assert one.times is not None
    more = f" ({len(found) - 1:,} more series have such a gap)" if len(found) > 1 else ""
    return [
        f"{one} has no row between {one.times[at]} and {one.times[at + 1]} ({step_in_words(gap)})"
        f"{more}, and the rows on both sides count as neighbours. Correct the date if it is wrong; "
        "else take one side out, or set fill=linear (or forward, season, mask)."
    ]


def still_to_come(series: Sequence[Series], frequency: str | None) -> list[str]:
    """Return a doubt about values of moments that lie more than a step after today."""
    import pandas as pd

    last = [s.times[len(s) - 1] for s in series if s.times is not None and len(s)]
    if not last:
        return []
    latest = max(moment.tz_localize(None) for moment in last)
    step = 0.0 if frequency is None else rule_of(frequency).mean
    if latest <= pd.Timestamp.now() + pd.Timedelta(seconds=max(step, DAY)):
        return []
    return [
        f"the last value is of {latest}, which is still to come. Correct the date if it is wrong; "
        "rows that are known ahead have an empty target."
    ]


def names_in_turn(table: Table, aside: Sequence[str], target: str | list[str] | None) -> list[str]:
    """Return a doubt about names that follow one another in a file read as one series.

    Args:
        table: rows of one series, as it was read.
        aside: columns of times.
        target: columns that were named to be forecast.
    """
    for name, kind in table.kinds.items():
        cells = table.frame[name]
        named = _NAMES.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) is not None
        whole = kind == "number" and cells.dtype.kind in "iu" and named
        if name in (*aside, *as_list(target)) or not (kind in ("text", "category") or whole):
            continue
        count = cells.nunique()
        if cells.isna().any() or not 1 < count <= len(cells) // 3 or is_part_of_time(cells, name):
            continue
        values = cells.astype(str).to_numpy()
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        in_turn = len(changes) == count - 1
        if dates.like_dates(np.unique(values)[:200].tolist()) or not (in_turn or named):
            continue
        first, then = values[changes[0] - 1], values[changes[0]]
        how = "one after another " if in_turn else ""
        return [
            f"column {name!r} holds {count:,} names {how}({first!r}, then {then!r} from row "
            f"{table.where(int(changes[0]))[1]} on), and all rows are read as one series. If each "
            f"name is a series of its own, set group={name}."
        ]
    return []


def other_step(series: Series, frequency: str | None) -> float | None:
    """Return the commonest step of a series in seconds where it is not that of a rule, or None."""
    if frequency is None or series.times is None or len(series.times) < 3:
        return None
    step = commonest_step(series.times)
    start = series.times[0].tz_localize(None)
    wanted = commonest_step(times_after(start, 40, frequency))
    return None if 0.6 < step / wanted < 1.6 else step


def _other_steps(series: Sequence[Series], frequency: str | None) -> list[str]:
    """Return a doubt about series whose steps are not those of the longest one."""
    found = [(one, other_step(one, frequency)) for one in series[:MOST_COUNTED]]
    others = [(one, step) for one, step in found if step is not None]
    if not others:
        return []
    first, step = others[0]
    more = f", and {len(others) - 1:,} more have others too" if len(others) > 1 else ""
    return [
        f"{first} has {step_in_words(step)} between its rows{more}, but all series are read and "
        f"dated as {unit_of(frequency)}, which the longest one has. Train one model for each kind "
        "of steps."
    ]


def marks(
    table: Table, names: Sequence[str], values: Floats, places: Sequence[NDArray[np.int64]]
) -> list[str]:
    """Return doubts about numbers that look like marks of a missing value, in each series."""
    doubts = []
    for column, name in enumerate(names):
        found = [
            (each, rows)
            for rows in places[:MOST_LOOKED]
            for each in stand_ins(values[rows, column])
        ]
        for mark in together((each, int(rows[each.first])) for each, rows in found):
            doubts.append(stand_in_words(mark, name, f"row {table.where(mark.first)[1]}"))
    return doubts


def numbers_with_marks(table: Table, names: Sequence[str]) -> list[str]:
    """Return a sentence about each column of text that is mostly numbers with marks.

    Such are `45.1K` beside `0.05M`, `$45.1` beside `€45.1`, and `05:31`.
    """
    found = []
    for name in names:
        if table.kinds[name] not in ("text", "category"):
            continue
        cells = table.frame[name].fillna("").astype(str).str.strip()
        there = cells[cells != ""]
        like = cells.str.fullmatch(_MARKED).to_numpy(bool)
        if there.nunique() <= _CODES or 4 * int(like.sum()) < 3 * len(there):
            continue
        marks_of = cells.str.replace(r"[\d.,\s]", "", regex=True).to_numpy()
        first = int(np.argmax(like))
        words = f"{cells.iloc[first]!r} in row {table.where(first)[1]}"
        others = like & (marks_of != marks_of[first])
        if others.any():
            other = int(np.argmax(others))
            words += f" and {cells.iloc[other]!r} in row {table.where(other)[1]}"
        found.append(f"column {name!r} is mostly numbers with marks, such as {words}")
    return found


def of_targets(targets: list[str], values: Floats, frequency: str | None) -> list[str]:
    """Return doubts about a target that is the sum of the others, and about months as columns."""
    doubts = []
    for column, name in enumerate(targets):
        likely = column in (0, len(targets) - 1) or named_like_a_total(name)
        found = total_of(values, column) if likely and len(targets) > 2 else None
        if found is not None:
            doubts.append(
                f"column {name!r} is the {found} of the other columns. Name those to forecast with "
                "--set target=[A,B,…]."
            )
    months = _months_among(targets, frequency)
    if months:
        doubts.append(
            f"each row is a year, and {months} of its columns are months, so each month is "
            "forecast from year to year. For one series of months, write a row a month."
        )
    return doubts


def months_as_series(names: list[str], frequency: str | None) -> list[str]:
    """Return a doubt about a table of months and years that is read as a series for each month."""
    months = _months_among(names, frequency)
    if not months:
        return []
    return [
        f"each column is a year, and {months} of the rows are months, so each month is forecast "
        "from year to year. For one series of months, write a row a month."
    ]


def _months_among(names: list[str], frequency: str | None) -> int:
    """Return how many names are those of months where steps are years; 0 of half a year or less."""
    if frequency is None or rule_of(frequency).unit[1] != "years":
        return 0
    count = sum(_MONTH.fullmatch(name.strip().casefold()) is not None for name in names)
    return count if count > 6 else 0
