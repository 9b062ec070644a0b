"""Tables with a series in each row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from elman.data import dates
from elman.errors import InputError
from elman.tasks.forecast.columns import Columns, Sorted, names_of
from elman.tasks.forecast.panel import VALUE, Panel, Series
from elman.tasks.forecast.times import frequency_of, time_notes

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

_DATED = 8
"""Columns named after dates from which each row is a series."""

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T]\d{1,2}:\d{2}(:\d{2})?)?")


def looks_wide(out: Sorted, columns: Columns) -> bool:
    """A row a series: names that never repeat, then at least eight columns of numbers."""
    if columns.target or columns.time or out.groups or columns.covariates or out.time is not None:
        return False
    table = out.table
    if len(_dated_columns(table)) >= _DATED:
        return True
    first, *rest = table.kinds
    names = table.frame[first]
    wide = (
        len(rest) >= 8
        and table.kinds[first] in ("text", "category")
        and bool(names.notna().all())
        and bool(names.is_unique)
        and all(table.kinds[name] == "number" for name in rest)
    )
    if wide and first in out.unread:
        raise table.refuse(
            f"{names.iloc[0]!r} could not be read as a date, and the column is named like one.",
            0,
            first,
            "Write 2024-01-31 or 2024-01-31 12:00:00; or set layout=wide where a row is a series.",
        )
    return wide


def from_wide(out: Sorted) -> Panel:
    """Return the rows as series.

    Raises:
        InputError: a row has no values, or misses one before its end, or a name is there twice.
    """
    import pandas as pd

    table = out.table
    dated = _dated_columns(table)
    if len(dated) >= _DATED:
        groups = out.groups or _naming(table)
        left = [name for name in table.kinds if name not in (*groups, *dated)]
        if left:
            out.notes.append(
                f"{', '.join(map(repr, left))} left out: no name of a series, and no date."
            )
        numbers = dated
    else:
        groups = out.groups or [next(iter(table.kinds))]
        numbers = [name for name in table.kinds if name not in groups]
    names = names_of(table, groups) if groups else [str(row + 1) for row in range(len(table))]
    if groups:
        distinct(table, names, groups[0])
    if not numbers:
        raise InputError("there are no values beside the names.", file=table.source)
    cells = np.stack([table.numbers(n, allow_missing=True) for n in numbers], axis=1)
    moments = _dated(numbers)
    if moments is not None:
        order = np.argsort(moments.to_numpy(), kind="stable")
        if (np.diff(order) != 1).any():
            out.notes.append("The columns were put in the order of their dates.")
        moments, cells = moments[order], cells[:, order]
        numbers = [numbers[i] for i in order]
    frequency = None if moments is None else frequency_of(moments)
    series = []
    for row, name in enumerate(names):
        there = np.flatnonzero(~np.isnan(cells[row]))
        if not len(there):
            raise table.refuse("the series has no values.", row, numbers[0], "Take the row out.")
        length = int(there[-1]) + 1
        if len(there) < length:
            gap = int(np.argmax(np.isnan(cells[row])))
            raise table.refuse(
                f"series {name!r} misses a value before its end.",
                row,
                numbers[gap],
                "Fill it in; only the end of a row may be empty.",
            )
        times = None if moments is None else pd.DatetimeIndex(moments[:length])
        series.append(Series(name, cells[row, :length, None], np.empty((length, 0)), times))
    found = out.found | {"layout": "wide", "group": groups[0] if len(groups) == 1 else groups}
    notes = [
        *out.notes,
        f"Each of {len(series):,} rows is a series, named "
        + (f"in {', '.join(map(repr, groups))}." if groups else "by its number."),
    ]
    notes += time_notes([s.times for s in series], frequency)
    return Panel(series, [VALUE], [], frequency, table.source, found, notes=notes)


def _dated_columns(table: Table) -> list[str]:
    """Return the columns of numbers named after dates of one form, each a different one."""
    named = [n for n, k in table.kinds.items() if k == "number" and _DATE.fullmatch(n.strip())]
    moments = _dated(named) if len(named) >= _DATED else None
    return named if moments is not None and moments.is_unique else []


def _naming(table: Table) -> list[str]:
    """Return the columns of words that name the rows: the first that does so alone, or all."""
    words = [name for name, kind in table.kinds.items() if kind in ("text", "category")]
    for name in words:
        cells = table.frame[name]
        if cells.notna().all() and cells.is_unique:
            return [name]
    return words


def _dated(names: list[str]) -> pd.DatetimeIndex | None:
    """Return the dates that columns are named after, or None."""
    import pandas as pd

    if all(name.isdigit() for name in names):
        digits = np.array([float(name) for name in names])
        # Columns are also numbered, from 0 or 1 on.
        counted = dates.from_numbers(digits, named=True) if digits.min() >= 1600 else None
        return None if counted is None else pd.DatetimeIndex(counted[0])
    found = dates.read(pd.Series(names))
    if found is None or found.moments is None or len(found.wrong):
        return None
    return pd.DatetimeIndex(found.moments)


def distinct(table: Table, names: list[str], column: str) -> None:
    """Refuse two series of one name."""
    seen: set[str] = set()
    for row, name in enumerate(names):
        if name in seen:
            raise table.refuse(f"series {name!r} is there twice.", row, column)
        seen.add(name)
