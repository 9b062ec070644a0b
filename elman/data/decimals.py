"""The mark before decimals belongs to a whole file: `1.234` is 1234 where others write `1,5`.

A column all of whose points stand before three digits, `1.489` and `1.734`, may hold thousands as
people write them in Germany, Brazil or Indonesia. The other columns of the file tell, or the
column's own form, or the one who gives the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data import numerals
from elman.data.kinds import MISSING
from elman.data.numerals import Decimal

if TYPE_CHECKING:
    import pyarrow as pa

_THOUSANDS = r"^[-+]?[1-9][0-9]{0,2}([.][0-9]{3})+$"
_LOOKED_AT = 2000
"""Cells of a column that are looked at first."""


@dataclass(frozen=True)
class Settled:
    """The mark before decimals of a file.

    Attributes:
        mark: a point or a comma; None where nothing tells and nothing depends on it.
        numbers: columns that are to be read otherwise than as they parse.
        asks: a column that may be read in two ways, and a place in it; None where none does.
        against: a column that the mark which was given does not fit, and a place in it.
        told: columns of `numbers` → what there is to tell of how they were read.
    """

    mark: Decimal | None
    numbers: dict[str, NDArray[np.float64]]
    asks: tuple[str, int] | None = None
    against: tuple[str, int] | None = None
    told: dict[str, dict[str, str]] = field(default_factory=dict)


def settle(
    cells: Mapping[str, pa.ChunkedArray],
    numbers: Mapping[str, NDArray[Any] | None],
    separator: str,
    decimal: Decimal | None,
) -> Settled:
    """Find the mark before decimals of columns of strings, and read those that depend on it.

    Args:
        cells: columns as they are written.
        numbers: the same as Python reads numbers; None where a cell is none.
        separator: between the cells of a row. Where it is a semicolon, commas stand before
            decimals more often than not.
        decimal: the mark, where it was given.

    >>> import pyarrow as pa
    >>> a, b = pa.chunked_array([["1.489", "986"]]), pa.chunked_array([["0,5", "2,25"]])
    >>> found = settle({"a": a, "b": b}, {"a": np.array([1.489, 986]), "b": None}, ";", None)
    >>> found.mark, found.numbers["a"].tolist()
    (',', [1489.0, 986.0])
    """
    doubtful: list[str] = []
    point: str | None = None
    for name, values in numbers.items():
        if values is None or values.dtype.kind != "f":
            continue
        dotted, thousands = _points(cells[name])
        if dotted and dotted == thousands:
            doubtful.append(name)
        point = name if dotted > thousands else point
    words = [name for name, values in numbers.items() if values is None]
    if decimal is not None:
        other = [name for name in words if decimal == "." and _has_comma(cells[name])]
        if point is not None and decimal == ",":
            other = [point]
        if other:
            return Settled(None, {}, against=_first(cells, other[0]))
        tried = {name: _written(cells[name], decimal) for name in words}
        kept = {name: found for name, found in tried.items() if found is not None}
        read = {n: found.values for n, found in kept.items() if found.values is not None}
        told = {name: found.told() for name, found in kept.items()}
        if decimal == ",":
            read |= {name: _without_points(cells[name]) for name in doubtful}
        return Settled(decimal, read, told=told)
    mark: Decimal | None = "." if point is not None else None
    if mark is None and doubtful and any(_has_comma(cells[name]) for name in words):
        mark = ","
    if mark == "." or not doubtful:
        return Settled(mark, {})
    if mark is None and not any(_mixed(cells[name]) for name in doubtful):
        if separator != ";":
            return Settled(None, {})
        return Settled(None, {}, asks=_first(cells, doubtful[0]))
    read = {name: _without_points(cells[name]) for name in doubtful}
    return Settled(",", read)


def _points(column: pa.ChunkedArray) -> tuple[int, int]:
    """Return how many cells have a point, and in how many it may stand between thousands; of the
    whole column only where no cell of a sample speaks against thousands."""
    from pyarrow import compute as pc

    step = max(1, len(column) // _LOOKED_AT)
    found = (0, 0)
    for part in (column.take(np.arange(0, len(column), step)), column):
        trimmed = pc.utf8_trim_whitespace(part)
        dotted = pc.sum(pc.match_substring(trimmed, ".")).as_py() or 0
        thousands = pc.sum(pc.match_substring_regex(trimmed, _THOUSANDS)).as_py() or 0
        found = dotted, thousands
        if dotted != thousands:
            return found
    return found


def _first(cells: Mapping[str, pa.ChunkedArray], name: str) -> tuple[str, int]:
    """Return the column and the place of a cell that shows how it is written."""
    column = [cell.strip() for cell in cells[name].to_pylist()]
    marked = [i for i, cell in enumerate(column) if "." in cell or "," in cell]
    plain = [i for i in marked if not re.match(_THOUSANDS, column[i])]
    return name, (plain or marked)[0]


def _written(column: pa.ChunkedArray, mark: Decimal) -> numerals.Numerals | None:
    """Return how a column of strings is read with this mark, or None where it holds others."""
    found = numerals.read(column.to_pandas().str.strip(), MISSING, mark)
    if found is None or found.values is None or len(found.wrong) or not found.words:
        return None
    return found


def _has_comma(column: pa.ChunkedArray) -> bool:
    """Say whether a column of strings holds numbers with a comma before decimals."""
    found = numerals.read(column.to_pandas().str.strip(), MISSING)
    return found is not None and "comma before" in found.words


def _mixed(column: pa.ChunkedArray) -> bool:
    """Say whether numbers without a point stand beside numbers such as 1.620: who writes three
    decimals, the last one 0, writes them everywhere."""
    from pyarrow import compute as pc

    trimmed = pc.utf8_trim_whitespace(column)
    bare = pc.any(pc.match_substring_regex(trimmed, r"^[-+]?[0-9]{1,3}$")).as_py()
    ends = pc.any(pc.match_substring_regex(trimmed, r"[.][0-9]{2}0$")).as_py()
    return bool(bare and ends)


def _without_points(column: pa.ChunkedArray) -> NDArray[np.float64]:
    cells = column.to_pandas().str.strip()
    plain = cells.where(~cells.isin(MISSING), "nan").str.replace(".", "", regex=False)
    return np.asarray(plain, np.float64)
