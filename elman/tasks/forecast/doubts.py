"""Doubts about series: what a person should look at before a forecast is trusted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import dates
from elman.data.stand_ins import MOST_LOOKED, stand_in_words, stand_ins, together
from elman.data.wide import named_like_a_total, resolution, total_of
from elman.tasks.forecast.counters import with_gaps
from elman.tasks.forecast.finding import commonest_step, local, microseconds, odd_steps
from elman.tasks.forecast.groups import as_list, is_part_of_time
from elman.tasks.forecast.hours import hours_as_columns
from elman.tasks.forecast.rules import Monthly, rule_of
from elman.tasks.forecast.times import MOST_COUNTED, step_in_words, times_after, unit_of
from elman.tasks.forecast.weekly import DAY, Session, Weekdays, day_of_week
from elman.tasks.understood import listed
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table
    from elman.tasks.forecast.panel import Series

Floats = NDArray[np.float64]
_MONTH = re.compile(
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?"
    "|nov(ember)?|dec(ember)?"
)
_NAMED = (
    "(?:^|[^a-z])(?:id|ids|shop|store|series|item|product|sku|site|sensor|station|region|country"
    "|city|customer|meter|unique_?id|ticker|symbol|branch|machine|device|department|dept)"
)
_NAMES = re.compile(f"{_NAMED}(?:[^a-z]|$)")
_NUMBERED = re.compile(rf"{_NAMED}(?:[\W_]*(?:ids?|nr|nbr|no|num|number|code|key))?[\W_]*$")
"""Names of columns whose numbers name something: not `item_count`, and not `store_1` beside
`store_2`."""
_MARKED = re.compile(
    r"[-+−(]?[^\w\s:;,.-]{0,2}(?:[A-Za-z]{1,3}\s?(?=[\d.,]+$))?[-+]?\d[\d.,]*"
    r"(?:(?::\d{1,2}){1,2}(?:[.,]\d+)?|\s?[^\W\d]{0,4}|\s?[^\w\s]{1,2})\)?"
)
_CODES = 10
"""Different cells at most of a column of codes, such as sizes or rooms."""
_KNOWN_DAYS = 13
"""Days after which every day of a week has come twice."""
_ROUNDINGS = 1000
"""Roundings of a double that differences from row to row are at least, or they are doubtful."""
_LEAST_OF_TWO = 10
"""Rows of each of two series that may stand in one."""
_MOST_IN_TURN = 6
PLAIN = "Write plain numbers in one unit, such as 45100 for 45.1K and 331 for 5:31"
_LONG_GAP = 10
"""Steps of a gap at least that is long beside a whole series."""


_CALENDARS = (
    (1280, 1420, "Persian"),
    (1421, 1480, "Persian or the Islamic"),
    (2480, 2620, "Thai"),
)
"""First and last year of dates that are often of another calendar, and its name."""


def of_times(series: Sequence[Series], frequency: str | None) -> list[str]:
    """Return doubts about times: calendar, rule, long gaps, and other steps in some series."""
    known = [s.times[: len(s)] for s in series if s.times is not None and len(s.times) > 2]
    if not known:
        return []
    doubts = _of_calendar(max(known, key=len)) + _exchanged(max(known, key=len))
    if frequency is None:
        return doubts
    doubts += of_rule(max(known, key=len), frequency)
    return doubts + _long_gaps(series, frequency) + _other_steps(series, frequency)


def _exchanged(times: pd.DatetimeIndex) -> list[str]:
    """Return a doubt about dates that are even once day and month change places, and not before."""
    import pandas as pd

    there = local(times).to_numpy().astype("datetime64[us]")
    if len(there) < _KNOWN_DAYS or dates.even(pd.Series(there)):
        return []
    other = np.sort(dates.exchanged(there))
    if len(np.unique(other)) < len(other) or not dates.even(pd.Series(other)):
        return []
    return [
        f"the steps between times are not alike, and with day and month exchanged in the dates up "
        f"to day 12 they all are, from {other[0].astype('datetime64[D]')} on. If a program read "
        "dates with the wrong part first, write the original ones as 2024-01-31."
    ]


def _of_calendar(times: pd.DatetimeIndex) -> list[str]:
    """Return a doubt about years that are those of today in another calendar."""
    first, last = times.min().year, times.max().year
    for begin, end, name in _CALENDARS:
        if begin <= first and last <= end:
            return [
                f"the years are {first} to {last}. If they are of the {name} calendar, months, "
                "days of the week and lengths of months are wrong: write the dates in the common "
                "(Gregorian) calendar, such as 2024-01-31."
            ]
    return []


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


_FAR = 3
"""Times of the largest value of one name, from which all values of another are of another kind."""


def names_in_turn(table: Table, aside: Sequence[str], target: str | list[str] | None) -> list[str]:
    """Return a doubt about names that follow one another in a file read as one series.

    Args:
        table: rows of one series, as it was read.
        aside: columns of times.
        target: columns that were named to be forecast.
    """
    for name, kind in table.kinds.items():
        cells = table.frame[name]
        usual = _NUMBERED if kind == "number" else _NAMES
        named = usual.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) is not None
        whole = kind == "number" and cells.dtype.kind in "iu" and named
        if name in (*aside, *as_list(target)) or not (kind in ("text", "category") or whole):
            continue
        count = cells.nunique()
        if cells.isna().any() or not 1 < count <= len(cells) // 3 or is_part_of_time(cells, name):
            continue
        values = cells.astype(str).to_numpy()
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        in_turn = len(changes) == count - 1
        apart = 4 * len(changes) >= len(values) and _far_apart(table, name)
        if dates.like_dates(np.unique(values)[:200].tolist()) or not (in_turn or named or apart):
            continue
        first, then = values[changes[0] - 1], values[changes[0]]
        how = "one after another " if in_turn else ""
        return [
            f"column {name!r} holds {count:,} names {how}({first!r}, then {then!r} from row "
            f"{table.where(int(changes[0]))[1]} on), and all rows are read as one series. If each "
            f"name is a series of its own, set group={name}."
        ]
    return []


def _far_apart(table: Table, name: str) -> bool:
    """Tell whether some column of numbers is of other sizes under one name than under another."""
    for other, kind in table.kinds.items():
        if kind != "number" or other == name:
            continue
        by = table.frame[other].groupby(table.frame[name].astype(str))
        if float(by.min().max()) > _FAR * abs(float(by.max().min())):
            return True
    return False


def two_in_one(table: Table, targets: Sequence[str], values: Floats) -> list[str]:
    """Return a doubt about one series that may be several, in turn or one below the other.

    Values that alternate between levels far apart are several series in turn; those that leap once
    to a level that was never near, and stay there, are two one below the other.
    """
    for column, name in enumerate(targets):
        one = values[:, column]
        if np.isnan(one).any() or len(one) < 2 * _LEAST_OF_TWO:
            continue
        count = _in_turn(one)
        if count:
            return [
                f"every {count} rows of {name!r} have levels of their own, far apart "
                f"({written(one[0])}, then {written(one[1])}), as where {count} series take turns, "
                "and all rows are read as one series. If they are several, add a column that names "
                "each, and set group to its name."
            ]
        place = _leap(one)
        if place:
            return [
                f"the values of {name!r} leap from {written(one[place - 1])} to "
                f"{written(one[place])} in row {table.where(place)[1]} and stay there, as where a "
                "second series begins, and all rows are read as one series. If there are two, add "
                "a column that names each, and set group to its name."
            ]
    return []


def _in_turn(values: Floats) -> int:
    """Return how many series seem to take turns, row by row; 0 where there is one."""
    for count in range(2, _MOST_IN_TURN + 1):
        parts = [values[k::count] for k in range(count)]
        spans = sorted((float(part.min()), float(part.max())) for part in parts)
        widest = max(high - low for low, high in spans)
        gaps = [then[0] - first[1] for first, then in itertools.pairwise(spans)]
        if widest > 0 and min(gaps) > widest:
            return count
    return 0


def _leap(values: Floats) -> int:
    """Return the row at which values leap once to a level that was never near; 0 without one."""
    steps = np.abs(np.diff(values))
    at = int(np.argmax(steps)) + 1
    first, then = values[:at], values[at:]
    if min(len(first), len(then)) < _LEAST_OF_TWO:
        return 0
    gap = max(then.min() - first.max(), first.min() - then.max())
    others = max(np.ptp(first), np.ptp(then))
    # A price list that changes once has two values in all.
    both_move = np.ptp(first) > 0 and np.ptp(then) > 0
    return at if both_move and gap > others else 0


def other_step(series: Series, frequency: str | None) -> float | None:
    """Return the commonest step of a series in seconds where it is not that of a rule, or None."""
    if frequency is None or series.times is None or len(series.times) < 3:
        return None
    if 2 * int(odd_steps(series.times, frequency).sum()) < len(series.times) - 1:
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
    """Return doubts about a target that is the sum of the others, and about months or hours."""
    doubts = []
    for column, name in enumerate(targets):
        likely = column in (0, len(targets) - 1) or named_like_a_total(name)
        found = total_of(values, column) if likely and len(targets) > 2 else None
        if found is not None:
            doubts.append(
                f"column {name!r} is the {found} of the other columns. Name those to forecast with "
                "--set target=[A,B,…]."
            )
    doubts += [doubt for c, n in enumerate(targets) if (doubt := _rounded(n, values[:, c]))]
    months = _months_among(targets, frequency)
    if months:
        doubts.append(
            f"each row is a year, and {months} of its columns are months, so each month is "
            "forecast from year to year. For one series of months, write a row a month."
        )
    return doubts + hours_as_columns(targets, frequency)


def counting(targets: Sequence[str], values: Floats) -> list[str]:
    """Return doubts about targets that grow alike in each row, but for rows that are not there, and
    about years beside months.

    Args:
        targets: their names.
        values: `(T, C)` of a series.
    """
    grown: dict[str, list[str]] = {}
    for column, name in enumerate(targets):
        one = values[:, column]
        if len(one) <= 10 or np.isnan(one).any() or not np.ptp(one):
            continue
        steps = np.diff(one)
        step = float(np.median(steps))
        # Numbers with few digits rise evenly but for the last one.
        nearly = np.ptp(steps) <= 2.01 * resolution(one) < 0.5 * abs(step)
        if np.allclose(steps, step, rtol=1e-6, atol=0) or nearly:
            grown.setdefault(f"{step:g} in each row", []).append(repr(name))
        elif with_gaps(one):
            grown.setdefault("1 in most rows", []).append(repr(name))
    doubts = []
    for by, names in grown.items():
        asked = "grows by {}: is it a number of the row or a date?"
        if len(names) > 1:
            asked = "grow by {}: are they numbers of the row or dates?"
        doubts.append(
            f"{listed(names)} {asked.format(by)} Name the column to forecast with "
            "--set target=NAME."
        )
    for year, month in itertools.permutations(range(min(len(targets), 4)), 2):
        years, months = values[:, year], values[:, month]
        if len(years) < 13 or not ((years >= 1600) & (years <= 2200)).all():
            continue
        if months.min() == 1 and months.max() == 12 and (np.diff(12 * years + months) == 1).all():
            doubts.append(
                f"{targets[year]!r} and {targets[month]!r} are years and months by their values, "
                "and both are forecast. Call them year and month in the header of the file, so "
                "that they date the rows."
            )
    return doubts


def totals_among(names: Sequence[str]) -> list[str]:
    """Return a doubt about a series that is named like the total of the others."""
    named = [name for name in names if named_like_a_total(name)]
    if not named or len(names) < 3:
        return []
    return [
        f"the series {named[0]!r} is named like the total of the others; if so, take its rows out."
    ]


_BEFORE_A_SUM = 5
"""Rows before a last value at least that is doubted as their sum."""


def sums_at_an_end(series: Sequence[Series], targets: Sequence[str]) -> list[str]:
    """Return a doubt about a series whose last or first value is the sum of all others."""
    for one in series:
        if len(one) <= _BEFORE_A_SUM:
            continue
        for which, side, values in (
            ("last", "before", one.observed),
            ("first", "after", one.observed[::-1]),
        ):
            others, end = np.nan_to_num(values[:-1]), values[-1]
            larger = np.abs(end) > np.abs(others).max(0)
            found = larger & np.isclose(end, others.sum(0), rtol=1e-9, atol=0)
            for column in np.flatnonzero(found).tolist():
                return [
                    f"the {which} value of {targets[column]!r} in {one}, "
                    f"{written(float(end[column]))}, is the sum of all {len(others):,} {side} it. "
                    "If it is a total, take its row out."
                ]
    return []


def _rounded(name: str, values: Floats) -> str | None:
    """Return a doubt about values whose differences are near the rounding of a double, or None."""
    there = values[~np.isnan(values)]
    if len(there) < 3:
        return None
    largest = float(np.abs(there).max())
    steps = np.abs(np.diff(there))
    moved = steps[steps > 0]
    rounding = float(np.spacing(largest))
    if not len(moved) or float(np.median(moved)) > _ROUNDINGS * rounding:
        return None
    return (
        f"the values of {name!r} are as large as {written(largest)} and differ from row to row by "
        f"{written(float(np.median(moved)))}, and so large numbers are rounded to {rounding:.2g}. "
        "So differences and scores are of rounded values: take the part that is alike in all "
        "values away."
    )


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
