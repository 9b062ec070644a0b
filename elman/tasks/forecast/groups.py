"""The columns that name series, and those that are parts of a moment and never name any."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data import dates

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table
    from elman.tasks.forecast.columns import Sorted

PARTS = {
    "year": ("year", "yr", "yyyy", "jahr", "année", "annee", "año", "ano", "anno", "jaar", "rok"),
    "month": ("month", "mon", "mm", "monat", "mois", "mes", "mês", "mese", "maand", "miesiąc"),
    "day": ("day", "dd", "tag", "day_of_month", "jour", "día", "dia", "giorno", "dag", "dzień"),
    "week": (
        "week",
        "wk",
        "isoweek",
        "iso_week",
        "week_of_year",
        "weekofyear",
        "woche",
        "kw",
        "semaine",
    ),
    "quarter": ("quarter", "qtr", "quartal", "trimestre", "kwartaal"),
    "hour": ("hour", "hr", "hh", "stunde"),
    "minute": ("minute", "min", "mi"),
    "second": ("second", "sec", "ss"),
    "day of the year": ("doy", "day_of_year", "dayofyear", "yday", "day of year"),
}
_CYCLES = ("weekday", "day_of_week", "day of week", "dow", "wday", "wochentag", "season")


def as_list(names: str | Sequence[str] | None) -> list[str]:
    """Return names as a list."""
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def likely_groups(out: Sorted, keys: NDArray[Any]) -> list[str] | None:
    """Return the columns (one, or two together) with which no time repeats, or None.

    Args:
        out: the columns.
        keys: the times, as numbers.
    """
    table = out.table
    usable = []
    for name, kind in table.kinds.items():
        cells = table.frame[name]
        whole = kind == "number" and cells.dtype.kind in "iu"
        if name == out.time or name in out.counters or not (kind in ("text", "category") or whole):
            continue
        if name in out.doubts or is_part_of_time(cells, name):
            continue
        count = cells.nunique()
        if 1 < count <= len(table) // 2:
            usable.append((kind == "number", count, name))
    names = [name for *_, name in sorted(usable)]
    pairs = [list(pair) for pair in itertools.combinations(names[:6], 2)]
    for chosen in [*([name] for name in names), *pairs]:
        frame = table.frame[chosen].assign(**{"": keys})
        if not frame.duplicated().any() and _fills(table, chosen, keys):
            return chosen
    return None


def is_part_of_time(cells: pd.Series, name: str) -> bool:
    """Tell whether a column is a part of a moment, such as an hour or a weekday."""
    plain = name.casefold().strip()
    part = plain in _CYCLES or any(plain in names for names in PARTS.values())
    named = dates.named_like_a_time(name) or dates.named_like_hours(name)
    return part or named or dates.clock(cells, name) is not None


def _fills(table: Table, names: list[str], keys: NDArray[Any]) -> bool:
    """Tell whether names that are numbers have a row at most moments; a quantity has few."""
    if all(table.kinds[name] != "number" for name in names):
        return True
    return 2 * len(table) >= len(np.unique(keys)) * len(table.frame[names].drop_duplicates())


def names_of(table: Table, groups: list[str]) -> list[str]:
    """Return the name of the series of each row; the names of several columns are joined."""
    if not groups:
        return [""] * len(table)
    if len(groups) > 1:
        # Of several columns one may be empty, such as the province of a small country.
        parts = [_or_empty(table, name) for name in groups]
        named = [" / ".join(filter(None, each)) for each in zip(*parts, strict=True)]
        if all(named):
            return named
    return [" / ".join(each) for each in zip(*map(table.labels, groups), strict=True)]


def _or_empty(table: Table, name: str) -> list[str]:
    missing = table.column(name, "category").isna().to_numpy()
    there = iter(table.take((~missing).nonzero()[0]).labels(name))
    return ["" if gone else next(there) for gone in missing]
