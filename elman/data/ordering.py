"""The order of the rows of a long table: by a column of numbers or times, or by what words say."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from elman.data import clocks, months
from elman.data.table import Table

# A sign belongs to a number where nothing stands before it; a point, where it is no end of a date.
_NUMBER = re.compile(r"(?:(?<![^\s(])[-−+])?\d+(?:\.\d+(?![\d.]))?")
_FIX = (
    "Give a column of numbers or dates, or leave time= out: then rows stay in the order of the "
    "file."
)


def order(table: Table, time: str) -> NDArray[np.int64]:
    """Return the rows in the order of a column.

    Raises:
        InputError: its cells are words, and they hold no number or month to order them by.
    """
    column = table.column(time)
    if clocks.is_clock(table, time):
        return np.argsort(clocks.seconds(table, time), kind="stable")
    if table.kinds[time] in ("text", "category"):
        return np.argsort(_keys(table, time), kind="stable")
    return np.argsort(column.to_numpy(), kind="stable")


def tells(table: Table, name: str) -> bool:
    """Tell whether most cells of a column of words can order the rows."""
    if table.kinds[name] not in ("text", "category"):
        return False
    words = [" ".join(str(cell).split()) for cell in table.frame[name].dropna()]
    if not words:
        return False
    if clocks.is_clock(table, name) or months.alone(words) is not None:
        return True
    forms = Counter(_NUMBER.sub("0", word).casefold() for word in words)
    form, count = forms.most_common(1)[0]
    alike = [word for word in words if _NUMBER.sub("0", word).casefold() == form]
    numbers = [_NUMBER.findall(word) for word in alike]
    varies = [place for place in zip(*numbers, strict=True) if len(set(place)) > 1]
    return 2 * count > len(words) and any(numbers) and len(varies) <= 1


def _keys(table: Table, time: str) -> NDArray[np.int64]:
    """Return the place of each cell among those that differ."""
    cells = table.frame[time]
    empty = cells.isna() | (cells.astype(str).str.strip() == "")
    if empty.any():
        raise table.refuse(
            f"{time!r} orders the rows, and is empty here.",
            int(np.argmax(empty)),
            time,
            "Fill it in, or take the row out.",
        )
    words = [" ".join(str(cell).split()) for cell in cells]
    by_month = months.alone(words)
    if by_month is not None:
        return np.asarray(by_month, np.int64)
    found = [tuple(map(_value, _NUMBER.findall(word))) for word in words]
    around = [_NUMBER.sub("0", word).casefold() for word in words]
    for row, (numbers, each) in enumerate(zip(found, around, strict=True)):
        if not numbers:
            raise table.refuse(
                f"{words[row]!r} holds no number and is no month, so it is not clear where its "
                f"row stands in the order of {time!r}.",
                row,
                time,
                _FIX,
            )
        if each != around[0]:
            raise table.refuse(
                f"{words[row]!r} is written in another way than {words[0]!r}, so it is not clear "
                f"where its row stands in the order of {time!r}.",
                row,
                time,
                _FIX,
            )
    if not found:
        return np.zeros(0, np.int64)
    varies = [place for place in zip(*found, strict=True) if len(set(place)) > 1]
    # A year in front of others comes first; "Q1 2020" and "5.1." do not say what counts more.
    if len(varies) > 1 and not all(1000 <= numbers[0] < 10000 for numbers in found):
        raise table.refuse(
            f"{words[0]!r} holds several numbers, so it is not clear where its row stands in the "
            f"order of {time!r}.",
            0,
            time,
            _FIX,
        )
    places = {numbers: place for place, numbers in enumerate(sorted(set(found)))}
    return np.asarray([places[numbers] for numbers in found], np.int64)


def _value(number: str) -> float:
    return float(number.replace("−", "-"))
