"""Tables with a series in each row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data import date_numbers, dates
from elman.data.stand_ins import MOST_LOOKED, stand_in_words, stand_ins, together
from elman.data.wide import counted_names, named_like_a_total, total_of
from elman.errors import InputError
from elman.tasks.forecast.columns import Columns, Sorted, read_told, unread
from elman.tasks.forecast.doubts import months_as_series, of_times, totals_among
from elman.tasks.forecast.filling import ADVICE, all_completed
from elman.tasks.forecast.finding import frequency_of
from elman.tasks.forecast.groups import names_of
from elman.tasks.forecast.hours import hours_as_series
from elman.tasks.forecast.panel import VALUE, Panel, Series
from elman.tasks.forecast.times import time_told

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

_LEAST = 8
"""Columns of numbers in a row that is a series, where nothing but their number says so."""
_DATED = 3
"""Columns named after dates, at least as many as other ones of numbers, that say so."""


def looks_wide(out: Sorted, columns: Columns) -> bool:
    """Tell whether a row is a series.

    It is one where columns of numbers are named after dates, and where columns of names that never
    repeat stand before at least eight columns of numbers.
    """
    if columns.target or columns.time or columns.covariates or out.time is not None:
        return False
    table = out.table
    if _dated(out, columns) is not None:
        return True
    if out.groups:
        return False
    first, *rest = table.kinds
    names = table.frame[first]
    named = table.kinds[first] in ("text", "category") and bool(names.notna().all())
    numbers = [name for name in rest if table.kinds[name] == "number"]
    counted = len(numbers) < len(rest) and len(counted_names(numbers)) >= _LEAST
    wide = (
        named
        and bool(names.is_unique)
        and (counted or (len(numbers) == len(rest) and len(rest) >= _LEAST))
    )
    if wide and first in out.unread:
        raise unread(out, "set layout=wide where a row is a series")
    return wide


def from_wide(out: Sorted, columns: Columns, rule: str | None = None) -> Panel:
    """Return the rows as series.

    Columns that are named after dates are put in their order, and other ones are left out. Without
    dates, columns that are a sum or a mean of the others are left out.

    Args:
        out: the columns.
        columns: the settings.
        rule: of the times that a model was trained on; found where it is None.

    Raises:
        InputError: a row has no values, or misses one before its end, or a name is there twice.
    """
    import pandas as pd

    table = out.table
    moments = None
    if (dated := _dated(out, columns)) is not None:
        numbers, moments, order = dated
        groups = out.groups or _naming(out, numbers)
        _say_left_out(out, [n for n in table.kinds if n not in (*groups, *numbers)])
        if order is not None:
            out.found["date_order"] = order
            out.say("read", f"The names of the columns: times, read with the {order} first.")
    else:
        first = next(iter(table.kinds))
        groups = out.groups or ([first] if table.kinds[first] == "number" else _naming(out, []))
        numbers = [name for name in table.kinds if name not in groups]
        numbers = _without_words(out, numbers)
    names = names_of(table, groups) if groups else [str(row + 1) for row in range(len(table))]
    if groups:
        distinct(table, names, groups[0])
    if not numbers:
        raise InputError("there are no values beside the names.", file=table.source)
    for name in numbers:
        if name in out.doubts and table.kinds[name] != "number":
            raise out.doubts[name][1]
    cells = np.stack([table.numbers(n, allow_missing=True) for n in numbers], axis=1)
    if moments is None:
        numbers, cells = _without_totals(out, numbers, cells)
        numbers, cells = _without_others(out, numbers, cells)
    else:
        places = np.argsort(moments.to_numpy(), kind="stable")
        if (np.diff(places) != 1).any():
            out.say("time", "The columns were put in the order of their dates.")
        moments, cells = moments[places], cells[:, places]
        numbers = [numbers[i] for i in places]
    frequency = None if moments is None else rule or frequency_of(moments)
    series, late = [], 0
    ends = "Only the end" if moments is None else "Only the beginning and the end"
    for row, name in enumerate(names):
        there = np.flatnonzero(~np.isnan(cells[row]))
        if not len(there):
            raise table.refuse("the series has no values.", row, numbers[0], "Take the row out.")
        length = int(there[-1]) + 1
        begin = 0 if moments is None else int(there[0])
        late += begin > 0
        if len(there) < length - begin and columns.fill is None:
            gap = begin + int(np.argmax(np.isnan(cells[row, begin:])))
            raise table.refuse(
                f"series {name!r} misses a value before its end.",
                row,
                numbers[gap],
                f"{ADVICE} {ends} of a row may be empty.",
            )
        times = None if moments is None else pd.DatetimeIndex(moments[begin:length])
        values = cells[row, begin:length, None]
        series.append(Series(name, values, np.empty((length - begin, 0)), times))
    if columns.fill is not None:
        series, put_in = all_completed(series, frequency)
        out.told += [("time", sentence) for sentence in put_in]
    found = out.found | {"layout": "wide", "group": groups[0] if len(groups) == 1 else groups}
    how = f"named in {', '.join(map(repr, groups))}" if groups else "named by its number"
    told = [*read_told(table), ("series", f"Each row is a series, {how}."), *out.told]
    if late:
        told.append(("series", f"{late:,} of them begin{'s' * (late == 1)} after {numbers[0]!r}."))
    where = "" if moments is None else "the names of the columns"
    told += time_told([s.times for s in series], frequency, where)
    if moments is None:
        told.append(("time", f"The columns count, from {numbers[0]!r} to {numbers[-1]!r}."))
    marks = together(
        (m, row) for row, cell in enumerate(cells[:MOST_LOOKED]) for m in stand_ins(cell)
    )
    doubts = [*out.doubtful, *totals_among(names), *months_as_series(names, frequency)]
    doubts += hours_as_series(names, frequency)
    doubts += of_times(series, frequency)
    doubts += [stand_in_words(m, names[m.first], f"row {table.where(m.first)[1]}") for m in marks]
    used = frozenset(out.used)
    return Panel(
        series, [VALUE], [], frequency, table.source, found, used=used, told=told, doubts=doubts
    )


def _say_left_out(out: Sorted, left: list[str]) -> None:
    totals = [name for name in left if named_like_a_total(name)]
    others = [name for name in left if name not in totals]
    if totals:
        out.say("left out", f"{', '.join(map(repr, totals))}: named like a total, and no date.")
    if others:
        out.say("left out", f"{', '.join(map(repr, others))}: no name of a series, and no date.")


def _without_words(out: Sorted, columns: list[str]) -> list[str]:
    """Leave out columns of words beside many columns that count up."""
    words = [n for n in columns if out.table.kinds[n] != "number" and n not in out.doubts]
    if not words or len(counted_names(columns)) < _LEAST:
        return columns
    out.say("left out", f"{', '.join(map(repr, words))}: no numbers.")
    return [name for name in columns if name not in words]


def _without_others(
    out: Sorted, numbers: list[str], cells: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Leave out columns that are not counted where nearly all are, as in size, V1, V2, …."""
    counted = counted_names(numbers)
    others = [name for name in numbers if name not in counted]
    if not others or len(counted) < _LEAST or 5 * len(others) > len(numbers):
        return numbers, cells
    names = ", ".join(map(repr, others))
    out.say("left out", f"{names}: not counted like the other columns.")
    out.doubtful.append(
        f"each row is read as the series from {counted[0]!r} to {counted[-1]!r}, without {names}. "
        "If they are values too, count their names up."
    )
    return counted, cells[:, [name in counted for name in numbers]]


def _without_totals(
    out: Sorted, numbers: list[str], cells: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Leave out the first or last columns that are a sum or a mean of the others."""
    while len(numbers) > _DATED:
        for place in (len(numbers) - 1, 0):
            found = total_of(cells, place)
            if found is not None or named_like_a_total(numbers[place]):
                break
        else:
            break
        said = f"is the {found} of the others" if found else "is named like a total of the others"
        out.say("left out", f"{numbers[place]!r}: it {said}.")
        out.doubtful.append(
            f"column {numbers[place]!r} {said} and is left out of every series. If it is a value "
            "like the others, give it another name or place."
        )
        numbers = numbers[:place] + numbers[place + 1 :]
        cells = np.delete(cells, place, axis=1)
    return numbers, cells


_YEAR = re.compile(r"(?:[A-Za-z]?)((?:1[6-9]|2[01])\d\d)(?: ?\[.*\])?")


def _dated(
    out: Sorted, columns: Columns
) -> tuple[list[str], pd.DatetimeIndex, dates.Order | None] | None:
    """Return the columns named after dates, each a different one, and their dates.

    Also what stands first in them, where day and month could be mistaken for one another. None
    where there are fewer than three, or fewer than there are other columns of numbers.
    """
    import pandas as pd

    table = out.table
    years = {n: int(year[1]) for n in table.kinds if (year := _YEAR.fullmatch(n.strip()))}
    written = [name for name in table.kinds if name not in years]
    bodies = [re.sub(r"^[xX](?=\d)", "", name.strip()) for name in written]
    candidates: list[tuple[list[str], pd.DatetimeIndex, dates.Order | None]] = []
    # Columns are also numbered: years run on by one, or by five.
    if len(years) >= _DATED and len(set(np.diff(list(years.values())).tolist())) == 1:
        begins = pd.DatetimeIndex([f"{year}-01-01" for year in years.values()])
        candidates.append((list(years), begins, None))
    pairs = list(zip(written, bodies, strict=True))
    whole = [(name, body) for name, body in pairs if re.fullmatch(r"\d{6}|\d{8}", body)]
    if len(whole) >= _DATED:
        counted = date_numbers.from_numbers(
            np.array([float(body) for _, body in whole]), named=True
        )
        if counted is not None:
            candidates.append(([name for name, _ in whole], pd.DatetimeIndex(counted[0]), None))
    like = [(name, body) for name, body in pairs if dates.like_dates([body])]
    if len(like) >= _DATED:
        found = dates.read(pd.Series([body for _, body in like]), columns.date_order)
        if found is not None and found.moments is not None:
            if columns.date_order in found.orders:
                out.used.add("date_order")
            kept = np.setdiff1d(np.arange(len(like)), found.wrong)
            moments = pd.DatetimeIndex(found.moments.iloc[kept])
            numbered = found.orders[0] != "year" and not re.search(r"[^\W\d]{3}", like[0][1])
            first = found.orders[0] if numbered else None
            candidates.append(([like[i][0] for i in kept], moments, first))
    for chosen, moments, first in sorted(candidates, key=lambda pair: -len(pair[0])):
        others = sum(kind == "number" for name, kind in table.kinds.items() if name not in chosen)
        if len(chosen) >= max(_DATED, others) and moments.is_unique:
            return chosen, moments, first
    return None


def _naming(out: Sorted, numbers: list[str]) -> list[str]:
    """Return the columns of words that name the rows: the first that does so alone, or all."""
    words = [
        name
        for name, kind in out.table.kinds.items()
        if kind in ("text", "category") and name not in numbers and name not in out.doubts
    ]
    for name in words:
        cells = out.table.column(name, "category")  # an empty cell is a missing one
        if cells.notna().all() and cells.is_unique:
            return [name]
    return words


def distinct(table: Table, names: list[str], column: str) -> None:
    """Refuse two series of one name."""
    seen: set[str] = set()
    for row, name in enumerate(names):
        if name in seen:
            raise table.refuse(f"series {name!r} is there twice.", row, column)
        seen.add(name)
