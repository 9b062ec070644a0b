"""Times of a clock, and times since a beginning, as words: `7:05`, `9:00 AM`, `00:01:03.5`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from elman.data.table import Table

DAY = 86_400.0
"""Seconds of a day."""
_FIX = "Write it like the others, or take the row out."
_CLOCK = re.compile(
    r"\[?(?P<first>\d{1,5})(?P<mark>[:h.])(?P<second>\d{2})(?::(?P<third>\d{2}))?"
    r"(?P<rest>[.,]\d{1,9})?\s*(?P<half>[ap]\.?m\.?)?\s*(?P<word>uhr|hrs?|h)?\]?",
    re.IGNORECASE,
)


def is_clock(table: Table, name: str) -> bool:
    """Tell whether most cells of a column of words are times of a clock."""
    if table.kinds[name] not in ("text", "category"):
        return False
    words = [str(cell) for cell in table.frame[name].dropna()]
    return 2 * sum(_parts(word) is not None for word in words) > len(words)


def seconds(table: Table, name: str) -> NDArray[np.float64]:
    """Return the times of a column, as seconds.

    Raises:
        InputError: a cell is no time of a clock.
    """
    cells = [None if cell is None else str(cell) for cell in table.frame[name]]
    found, wrong = read(cells)
    if wrong is not None:
        cell = cells[wrong]
        what = "The time is missing." if not (cell or "").strip() else f"{cell!r} is no time."
        raise table.refuse(what, wrong, name, _FIX)
    return found


def read(cells: Sequence[str | None]) -> tuple[NDArray[np.float64], int | None]:
    """Return times as seconds, and the place of the first cell that is none.

    Two numbers are hours and minutes; where other cells have three, or a cell has parts of seconds
    or more hours than a day, they are minutes and seconds.

    >>> read(["9:00 AM", "12:05 PM"])[0].tolist(), read(["59:10", "1:00:00.5"])[0].tolist()
    ([32400.0, 43500.0], [3550.0, 3600.5])
    >>> read(["7:05", "later"])[1]
    1
    """
    parts = [_parts(cell or "") for cell in cells]
    wrong = next((place for place, one in enumerate(parts) if one is None), None)
    if wrong is not None:
        return np.zeros(0), wrong
    known = [one for one in parts if one is not None]
    halves = any(one.half for one in known)
    since = not halves and any(one.three or one.rest or one.first >= 24 for one in known)
    return np.array([one.seconds(since) for one in known], dtype=np.float64), None


class _Parts:
    """The numbers of one cell."""

    def __init__(self, found: re.Match[str]) -> None:
        self.first, self.second = int(found["first"]), int(found["second"])
        self.third = int(found["third"] or 0)
        self.three = found["third"] is not None
        self.rest = float((found["rest"] or "0").replace(",", "."))
        self.half = (found["half"] or "")[:1].casefold()

    @property
    def sound(self) -> bool:
        """Tell whether the numbers can be those of a clock."""
        return self.second < 60 and self.third < 60 and (not self.half or 1 <= self.first <= 12)

    def seconds(self, since: bool) -> float:
        """Return the time; of two numbers the second is of seconds where `since` says so."""
        if since and not self.three:
            return self.first * 60 + self.second + self.rest
        first = self.first
        if self.half:
            first = first % 12 + (12 if self.half == "p" else 0)
        return first * 3600 + self.second * 60 + self.third + self.rest


def _parts(cell: str) -> _Parts | None:
    found = _CLOCK.fullmatch(cell.strip())
    if found is None or (found["mark"] == "." and not (found["half"] or found["word"])):
        return None  # 7.05 alone is a number
    parts = _Parts(found)
    return parts if parts.sound else None
