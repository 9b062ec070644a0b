"""JSON of a whole table in one object: lists side by side, or as pandas writes it (columns, rows by
label, or split)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elman.errors import InputError

Rows = list[dict[str, Any]]

_ISO = re.compile(r"\d{4}-\d\d(-\d\d)?([T ]\d\d:\d\d.*)?")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_LEAST_SECONDS = 100_000_000
"""Whole numbers from this one on may be seconds or milliseconds since 1970."""
_WHOLE = re.compile(r"-?\d{1,15}")
_LEAST_MILLISECONDS = 100_000_000_000
"""The largest of some numbers is this, or they are no milliseconds since 1970."""
_ALONE = 3
"""Labels at least where one name stands alone, and may be an object in a row."""


def rows_of(record: dict[str, Any], path: Path | None = None) -> tuple[Rows, str] | None:
    """Return the rows of a table that is one object, and how they stand in it; None for no table.

    Labels of rows that do not count them become the column `index`, or `year`; those that are
    times in milliseconds become times.

    Raises:
        InputError: lists side by side have unequal lengths, or there is more than one such table.

    >>> rows_of({"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "y": [1, 2, 3]})[0][0]
    {'day': '2024-01-01', 'y': 1}
    >>> rows_of({"y": {"2024-01-01": 1, "2024-01-02": 2, "2024-01-03": 3}})[0][0]
    {'index': '2024-01-01', 'y': 1}
    """
    if (split := _split(record)) is not None:
        names, labels, cells = split
        rows = [dict(zip(names, row, strict=True)) for row in cells]
        return _labelled(rows, labels, "a list of its columns, and one of its rows")
    if (beside := _side_by_side(record, path)) is not None:
        return beside
    values = list(record.values())
    if not values or not all(isinstance(v, dict) and len(v) > 1 for v in values):
        return None
    if any(v.keys() != values[0].keys() for v in values):
        return None
    outer, inner = list(record), list(values[0])
    if len(outer) > 1 and _tells_rows(outer) and not _tells_rows(inner):
        return _labelled([dict(row) for row in values], outer, "each name is that of a row")
    if len(outer) < 2 and not (len(inner) >= _ALONE and _tells_rows(inner)):
        return None
    rows = [{name: record[name][key] for name in outer} for key in inner]
    return _labelled(rows, inner, "each name has a value for every row")


def of_moment(row: Any) -> dict[str, Any] | None:
    """Return a list of a moment and numbers, as services and charts write them, with names; None
    where a list is something else.

    >>> of_moment(["2024-01-01", 21.3]), of_moment(["Hi.", 3])
    ({'time': '2024-01-01', 'value': 21.3}, None)
    >>> of_moment([1704067200000, 1, "2.5"])
    {'time': 1704067200000, 'value 1': 1, 'value 2': '2.5'}
    """
    if not isinstance(row, list) or len(row) < 2:
        return None
    time, *cells = row
    if isinstance(time, str):
        fits = any(form.fullmatch(time.strip()) for form in (_DATE, _ISO))
    else:
        fits = isinstance(time, int) and _LEAST_SECONDS <= time <= 50 * _LEAST_MILLISECONDS
    if not fits or not all(map(_is_number, cells)) or not any(cell is not None for cell in cells):
        return None
    names = ["value"] if len(cells) == 1 else [f"value {place + 1}" for place in range(len(cells))]
    return {"time": time, **dict(zip(names, cells, strict=True))}


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        return _NUMBER.fullmatch(cell) is not None
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _side_by_side(record: dict[str, Any], path: Path | None) -> tuple[Rows, str] | None:
    """Return the rows of lists that stand side by side, or under one name, and what is left out."""
    tables = {"": record} | {n: v for n, v in record.items() if isinstance(v, dict)}
    found = {way: lists for way, table in tables.items() if (lists := _columns(table))}
    if not found:
        return None
    if len(found) > 1:
        ways = " and ".join(repr(way) for way in found if way)
        raise InputError(
            f"The object holds more than one table, such as {ways}.",
            file=path,
            fix="Keep one of them in the file.",
        )
    ((way, lists),) = found.items()
    lengths = {name: len(cells) for name, cells in lists.items()}
    if len({*lengths.values()}) > 1:
        shown = ", ".join(f"{name!r} {count:,}" for name, count in [*lengths.items()][:6])
        raise InputError(
            f"The lists of one table have unequal lengths: {shown}.",
            file=path,
            fix="Write a value in each list for every row, null where it is missing.",
        )
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    left = [name for name in tables[way] if name not in lists]
    left += [name for name in record if way and name != way]
    under = f" under {way!r}" if way else ""
    out = f"; left out: {', '.join(map(repr, left))}" if left else ""
    return rows, f"its columns are the lists{under}{out}"


def _columns(table: dict[str, Any]) -> dict[str, list[Any]] | None:
    """Return the lists of an object that are columns of rows: dates or texts stand in one of them.

    Lists of numbers alone may be the channels of one example, lists of words its tokens and tags.
    """
    lists = {name: value for name, value in table.items() if _is_list(value)}
    if len(lists) < 2 or not any(map(_are_times, lists.values())):
        if len(lists) < 2 or not any(map(_are_sentences, lists.values())):
            return None
        if len({len(cells) for cells in lists.values()}) > 1:
            return None
    return lists


def _is_list(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < _ALONE:
        return False
    return not any(isinstance(cell, list | dict) for cell in value)


def _are_times(cells: Sequence[Any]) -> bool:
    if all(isinstance(cell, str) for cell in cells):
        return all(_DATE.fullmatch(cell.strip()) or _ISO.fullmatch(cell.strip()) for cell in cells)
    if not all(isinstance(cell, int) and cell >= _LEAST_SECONDS for cell in cells):
        return False
    return all(before < after for before, after in itertools.pairwise(cells))


def _are_sentences(cells: Sequence[Any]) -> bool:
    return all(isinstance(cell, str) and " " in cell.strip() for cell in cells)


def _split(record: dict[str, Any]) -> tuple[list[str], list[Any], list[list[Any]]] | None:
    """Return names, labels and cells of a table that holds its columns, index and data apart."""
    if set(record) != {"columns", "index", "data"}:
        return None
    names, labels, cells = record["columns"], record["index"], record["data"]
    if not all(isinstance(each, list) and each for each in (names, labels, cells)):
        return None
    if len(labels) != len(cells) or any(isinstance(label, list | dict) for label in labels):
        return None
    if any(not isinstance(row, list) or len(row) != len(names) for row in cells):
        return None
    texts = [str(name) for name in names]
    return None if len(set(texts)) < len(texts) else (texts, labels, cells)


def _tells_rows(labels: Sequence[Any]) -> bool:
    """Tell whether labels count rows or are their times."""
    texts = [str(label) for label in labels]
    return _counts(texts) or _milliseconds(texts) or _dates(texts)


def _counts(texts: Sequence[str]) -> bool:
    return list(texts) == [str(i) for i in range(len(texts))]


def _milliseconds(texts: Sequence[str]) -> bool:
    if not all(_WHOLE.fullmatch(text) for text in texts):
        return False
    numbers = [int(text) for text in texts]
    whole = all(number % 1000 == 0 for number in numbers)
    largest = max(map(abs, numbers))
    return whole and _LEAST_MILLISECONDS <= largest <= 50 * _LEAST_MILLISECONDS


def _dates(texts: Sequence[str]) -> bool:
    return all(_ISO.fullmatch(text) for text in texts)


def _labelled(rows: Rows, labels: Sequence[Any], how: str) -> tuple[Rows, str]:
    """Return rows with their labels in front, and what is to be said of both."""
    import pandas as pd

    texts = [str(label) for label in labels]
    if _counts(texts):
        return rows, how
    cells: list[Any] = list(labels)
    name, what = "index", ""
    if _milliseconds(texts):
        cells = [*pd.to_datetime([int(text) for text in texts], unit="ms")]
        what = ", read as milliseconds since 1970"
    elif all(_WHOLE.fullmatch(text) for text in texts):
        cells = [int(text) for text in texts]
        if not all(1600 <= number <= 2200 for number in cells) or len(set(cells)) < len(cells):
            # Numbers that some rows kept when others were taken out hold nothing to learn from.
            return rows, f"{how}; the numbers of the rows were left out"
        name = "year"
    if any(name in row for row in rows):
        name = f"{name} of rows"
    rows = [{name: cell} | row for cell, row in zip(cells, rows, strict=True)]
    return rows, f"{how}; the labels of the rows are column {name!r}{what}"
