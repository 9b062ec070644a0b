"""Whole numbers too large for float64 to tell apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_EXACT = 2**53
"""Whole numbers up to this one are float64 as they are."""
_WHOLE = re.compile(r"\s*[-+]?\d{16,}\s*")


def are(values: pd.Series) -> bool:
    """Tell whether numbers lie beyond those that are exact."""
    return bool((values.abs() > _EXACT).any())


def alike(cells: pd.Series, name: str, row: Callable[[int], int]) -> str | None:
    """Return a doubt where different whole numbers become one float64; None elsewhere.

    Args:
        cells: of a column of numbers, as they were given or written.
        name: of the column.
        row: the number of a row, counted from 0, as a person counts it.

    >>> import pandas as pd
    >>> alike(pd.Series([2**60, 2**60 + 1]), 'v', lambda place: place + 1)[:46]
    "1,152,921,504,606,846,977 in row 2 of column '"
    >>> alike(pd.Series([2**60, 2**61]), 'v', lambda place: place + 1) is None
    True
    """
    places, numbers = _whole(cells)
    seen: dict[float, int] = {}
    for place, number in zip(places, numbers, strict=True):
        before = seen.setdefault(float(number), number)
        if before != number:
            return (
                f"{number:,} in row {row(place)} of column {name!r} and {before:,} "
                "before it become one number: whole numbers above 2^53 cannot be told apart as "
                "float64. Subtract a constant from the column, or write it as text where it holds "
                "names."
            )
    return None


def _whole(cells: pd.Series) -> tuple[list[int], list[Any]]:
    """Return the whole numbers above 2^53 and their places, where the cells still tell them."""
    import pandas as pd

    if pd.api.types.is_integer_dtype(cells.dtype):
        there = np.flatnonzero(cells.notna())
        known = cells.iloc[there].to_numpy(np.uint64 if cells.min() > 0 else np.int64)
        large = np.flatnonzero((known > _EXACT) | (known < -_EXACT))
        return there[large].tolist(), known[large].tolist()
    if pd.api.types.is_float_dtype(cells.dtype):
        return [], []
    found = [
        (place, number)
        for place, cell in enumerate(cells)
        if (number := _number(cell)) is not None and abs(number) > _EXACT
    ]
    return [place for place, _ in found], [number for _, number in found]


def _number(cell: Any) -> int | None:
    if isinstance(cell, str):
        return int(cell) if _WHOLE.fullmatch(cell) else None
    return cell if isinstance(cell, int) else None
