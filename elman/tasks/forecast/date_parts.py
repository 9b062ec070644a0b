"""Times put together from columns of years, months, days and hours, and codes of periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elman.data import dates
from elman.tasks.forecast.groups import PARTS
from elman.tasks.understood import listed

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table
    from elman.tasks.forecast.columns import Sorted

_UNITS = {"hour": 3600, "minute": 60, "second": 1}
_PARTS_OF_DATES = {
    **{"year": "year", "month": "month", "day": "day", "quarter": "quarter"},
    **{"hour": "hour", "minute": "minute", "day of the year": "dayofyear"},
}
"""Parts of a date → what they are called in pandas."""
_PERIODS = {"M": 12, "Q": 4, "S": 2}
"""Letters of codes such as M01, Q01 and S01, and how many there are of each in a year.

The number after the last one, as in M13, stands for the mean of the year.
"""


def without_averages(table: Table) -> tuple[Table, list[str]]:
    """Return a table without the rows of yearly means among months, quarters or half-years.

    Also what is to be said of it. The files of statistical offices have them beside a year.
    """
    found = _codes(table)
    if found is None:
        return table, []
    name, letter, numbers = found
    means = (numbers > _PERIODS[letter]).to_numpy()
    if not means.any():
        return table, []
    code = str(table.frame[name].iloc[int(np.argmax(means))]).strip()
    count = int(means.sum())
    rows = "1 row" if count == 1 else f"{count:,} rows"
    said = f"Yearly means ({code} in column {name!r}) were left out: {rows}."
    return table.take(np.flatnonzero(~means)), [said]


def _codes(table: Table) -> tuple[str, str, pd.Series] | None:
    """Return the column of codes of periods beside one of years, their letter and their numbers."""
    named = {name.casefold().strip(): name for name in table.kinds}
    name = named.get("period")
    if name is None or not any(year in named for year in PARTS["year"]):
        return None
    cells = table.frame[name]
    if table.kinds[name] not in ("text", "category") or cells.isna().any() or not len(cells):
        return None
    parts = cells.astype(str).str.strip().str.extract(r"^([MQS])(\d{2})$")
    if parts.isna().any().any() or parts[0].nunique() > 1:
        return None
    letter, numbers = str(parts[0].iloc[0]), parts[1].astype(np.int64)
    return (name, letter, numbers) if numbers.between(1, _PERIODS[letter] + 1).all() else None


def _coded_months(out: Sorted) -> tuple[str, pd.Series] | None:
    """Return the column of codes of periods, and the months in which the periods begin."""
    found = _codes(out.table)
    if found is None:
        return None
    name, letter, numbers = found
    return name, (numbers - 1) * (12 // _PERIODS[letter]) + 1


def from_parts(out: Sorted, numbers: list[str]) -> bool:
    """Put a date together from columns of year and month, of day and hour where they are there."""
    import pandas as pd

    kinds_of = out.table.kinds
    by_name = {n.casefold().strip(): n for n in numbers if kinds_of[n] == "number"}
    parts = {
        part: next((by_name[n] for n in names if n in by_name), None)
        for part, names in PARTS.items()
    }
    letters = [by_name.get(letter) for letter in "ymd"]
    if None not in letters:
        # One letter alone names anything; the three together name a date.
        parts |= {p: parts[p] or n for p, n in zip(("year", "month", "day"), letters, strict=True)}
    cells = {part: out.table.frame[name] for part, name in parts.items() if name is not None}
    if parts["year"] is not None and parts["month"] is None:
        named = _named_months(out, cells["year"]) or _coded_months(out)
        if named is not None:
            parts["month"], cells["month"] = named
    used = {part: name for part, name in parts.items() if name is not None}
    # The coarser ones say nothing more: a quarter beside a month, a week beside a day.
    found = next((p for p in ("month", "day of the year", "week", "quarter") if p in used), None)
    if "year" not in used or found is None:
        return False
    for other in {"month", "day of the year", "week", "quarter"} - {found}:
        used.pop(other, None)
    frame = pd.DataFrame({part: cells[part] for part in used})
    if frame.isna().any().any() or not frame["year"].between(1600, 2200).all():
        return False
    if (frame % 1).any().any():
        return False
    if found == "week":
        written = frame["year"].map("{:.0f}".format) + frame["week"].map(" {:02.0f} 1".format)
        moments = pd.to_datetime(written, format="%G %V %u", errors="coerce")
        out.say("time", "Years and weeks are those of ISO 8601, each dated by its Monday.")
    elif found == "quarter":
        days = pd.DataFrame({"year": frame["year"], "month": 3 * frame["quarter"] - 2, "day": 1})
        moments = pd.to_datetime(days, errors="coerce")
    elif found == "month":
        days = pd.DataFrame({"year": frame["year"], "month": frame["month"]})
        moments = pd.to_datetime(days.assign(day=frame.get("day", 1)), errors="coerce")
    else:
        begin = pd.to_datetime(pd.DataFrame({"year": frame["year"], "month": 1, "day": 1}))
        moments = begin + pd.to_timedelta(frame["day of the year"] - 1, unit="D")
    for part, seconds in _UNITS.items():
        if part in used:
            moments += pd.to_timedelta(frame[part] * seconds, unit="s")
    if moments.isna().any():
        return False
    names = list(used.values())
    out.time, out.moments, out.joined = names[0], moments, names
    out.counters += names
    return True


def leave_parts(out: Sorted, numbers: list[str]) -> None:
    """Leave numbers that say again what year, month or day the dates are of out of the targets.

    Args:
        out: the columns, with their times.
        numbers: columns of numbers of which nothing was said.
    """
    moments = out.moments
    if moments is None or moments.dtype.kind != "M" or moments.isna().any() or not len(moments):
        return
    again = []
    for name in numbers:
        key = name.casefold().strip()
        part = next((p for p in _PARTS_OF_DATES if key in PARTS[p]), None)
        if part is None:
            continue
        shown = getattr(moments.dt, _PARTS_OF_DATES[part]).to_numpy(np.float64)
        if np.array_equal(out.table.frame[name].to_numpy(np.float64), shown):
            again.append(name)
    if (found := _codes(out.table)) is not None and found[0] not in out.counters:
        again.append(found[0])
    out.counters += again
    if again:
        out.say("left out", f"{listed(list(map(repr, again)))}: parts of the dates.")


def _named_months(out: Sorted, years: pd.Series) -> tuple[str, pd.Series] | None:
    """Return the column of names of months that stands beside one of years, and their numbers."""
    for name, kind in out.table.kinds.items():
        cells = out.table.frame[name]
        if kind not in ("text", "category") or name in out.groups or cells.isna().any():
            continue
        if name.casefold().strip() not in PARTS["month"] or years.isna().any():
            continue
        read = dates.read("1 " + cells.astype(str).str.strip() + years.map(" {:.0f}".format))
        if read is not None and read.moments is not None and not len(read.wrong):
            return name, read.moments.dt.month.set_axis(cells.index)
    return None
