"""Tables with one series a row, as in the M4 files, turned into one series a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from elman.data.kinds import Kind, objects
from elman.data.table import Table
from elman.errors import InputError

_TOTAL = re.compile(
    r"(grand[ _]?)?(sub[ _]?)?totals?|sums?|means?|averages?|avg|all|overall"
    r"|summe|gesamt\w*|insgesamt|mittel\w*|durchschnitt|moyenne|somme|ensemble|suma|media|promedio|totale|totaal|итого"
)
_COUNTED = re.compile(r"(\D*?)(\d+)")


def named_like_a_total(name: str) -> bool:
    """Tell whether a row or a column is named like a sum or a mean of the others.

    >>> [named_like_a_total(n) for n in ("Total", "Grand Total", "total_2020", "Summe", "Totnes")]
    [True, True, True, True, False]
    """
    plain = re.sub(r"[\d_:.()\- ]+$", "", name.strip().casefold())
    return _TOTAL.fullmatch(plain) is not None


def total_of(values: NDArray[np.float64], column: int) -> str | None:
    """Return "sum" or "mean" where a column is that of all others in every row, else None.

    Of many rows 200 are looked at, spread evenly.

    Args:
        values: `(rows, columns)`; NaN where a cell is empty.
        column: the column that may be one.
    """
    values = values[:: max(1, len(values) // 200)]
    own, others = values[:, column], np.delete(values, column, axis=1)
    there = (~np.isnan(others)).sum(axis=1)
    rounded = 0.5 * resolution(own), 0.5 * resolution(others)
    sums = np.nansum(others, axis=1)
    # Rounding errors of many values add up to little more than the root of their number.
    slack = rounded[0] + np.sqrt(there) * rounded[1] + 1e-9 * np.abs(sums)
    telling = ((others != 0) & ~np.isnan(others)).sum(axis=1) > 1
    if _all_near(own, sums, slack, telling & (np.abs(sums) > 4 * slack)):
        return "sum"
    means = sums / np.maximum(there, 1)
    slack = rounded[0] + rounded[1] + 1e-9 * np.abs(means)
    # Any value is near the mean of a row that hardly varies.
    spread = np.sqrt(np.nansum((others - means[:, None]) ** 2, axis=1) / np.maximum(there, 1))
    return "mean" if _all_near(own, means, slack, spread > 4 * slack) else None


def _all_near(
    own: NDArray[np.float64],
    expected: NDArray[np.float64],
    slack: NDArray[np.float64],
    telling: NDArray[np.bool_],
) -> bool:
    return bool(telling.sum() >= 3 and (np.abs(own - expected) <= slack)[telling].all())


def resolution(values: NDArray[np.float64]) -> float:
    """Return the last digit with which numbers are written: 1, 0.1, …, down to a millionth."""
    there = values[~np.isnan(values)]
    for digits in range(6):
        if np.allclose(there * 10.0**digits, np.round(there * 10.0**digits), rtol=0, atol=1e-6):
            return float(10.0**-digits)
    return 1e-6


def counted_names(names: Sequence[str]) -> list[str]:
    """Return the names that count up after one beginning, as V2, V3, V4; the longest such run.

    >>> counted_names(["size", "V2", "V3", "V4", "Total"])
    ['V2', 'V3', 'V4']
    """
    best: list[str] = []
    run: list[str] = []
    last: tuple[str, int] | None = None
    for name in names:
        found = _COUNTED.fullmatch(name.strip())
        here = (found[1], int(found[2])) if found else None
        follows = here is not None and last is not None and here == (last[0], last[1] + 1)
        run = [*run, name] if follows else [name] if here else []
        last = here
        best = run if len(run) > len(best) else best
    return best


def series_from_wide(table: Table) -> Table:
    """Turn a table with one series a row (as in the M4 files) into one series a cell.

    The first column that is not of numbers names the series; all columns of numbers are its
    values in order. Empty cells at the end of a row are no values (series of unequal length);
    one between values is a missing value.

    Returns:
        The naming column (or `name`, counted from 1, where there is none) and `series`.

    Raises:
        InputError: a row has no value, or there are two columns that are not of numbers.
    """
    import pandas as pd

    names = [name for name, kind in table.kinds.items() if kind != "number"]
    numeric = [name for name, kind in table.kinds.items() if kind == "number"]
    if len(names) > 1 or not numeric:
        raise InputError(
            "A table with one series a row has one column of names, and numbers in all others; "
            f"this one has {len(names)} columns that are not of numbers: {', '.join(names[:5])}.",
            file=table.source,
        )
    values = table.frame[numeric].to_numpy(dtype=np.float64)
    present = ~np.isnan(values)
    lengths = values.shape[1] - np.argmax(present[:, ::-1], axis=1)
    if not present.any(axis=1).all():
        file, row = table.where(int(np.argmin(present.any(axis=1))))
        raise InputError("The series has no values.", file=file, row=row)
    cells = [row[:length, None].copy() for row, length in zip(values, lengths, strict=True)]
    label = names[0] if names else "name"
    held = table.labels(label) if names else [str(place + 1) for place in range(len(table))]
    frame = pd.DataFrame({label: pd.Series(held, dtype=object), "series": objects(cells)})
    kinds: dict[str, Kind] = {label: "category", "series": "series"}
    return replace(table, frame=frame, kinds=kinds)
