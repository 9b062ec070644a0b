"""Lines that begin with `#` above a table: notes, and in some files the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from elman.data.headers import are_units, is_written_number

MARK = "#"
_BETWEEN = re.compile(r"[\s,;]+")


class Named(NamedTuple):
    """Names of columns that stand in a comment, and the place of that line, from 0."""

    names: list[str]
    line: int


def count(lines: Sequence[str]) -> int:
    """Return the number of the first lines that are comments, and of blank ones among them.

    >>> count(["# so", "", "# and", "", "1 2"])
    3
    """
    found = 0
    for number, line in enumerate(lines, 1):
        if is_comment(line):
            found = number
        elif line.strip():
            return found
    return 0


def is_comment(line: str) -> bool:
    """Return true for a line that begins with `#`."""
    return line.lstrip().startswith(MARK)


def names_of(lines: Sequence[str], rows: Sequence[str]) -> Named | None:
    """Return the names of columns that blanks keep apart, as NumPy and loggers write them.

    They stand in the last comment, or in the one above the units of the columns: as many words as
    each row has cells, over numbers in one column at least.

    Args:
        lines: those above the first row, comments and blank ones.
        rows: the first ones, of which blank lines are none.

    >>> names_of(["# run 3", "# t  y", "# [s] [m]"], ["0 1.5", "1 1.7", "2 1.9"])
    Named(names=['t', 'y'], line=1)
    >>> names_of(["# run 3"], ["0 1.5", "1 1.7"]) is None
    True
    """
    cells = [line.split() for line in rows if line.strip()]
    widths = set(map(len, cells))
    if len(cells) < 2 or len(widths) > 1 or widths == {1}:
        return None
    said = [
        Named(_BETWEEN.split(line.strip(f" \t\r\n{MARK}")), n)
        for n, line in enumerate(lines)
        if line.strip()
    ]
    fit = [_fits(one.names, len(cells[0])) for one in said]
    if fit[-2:] == [True, True] and are_units([said[-1].names, *cells]):
        del said[-1]
    if not said or not fit[len(said) - 1]:
        return None
    numbers = any(all(map(is_written_number, column)) for column in zip(*cells, strict=True))
    return said[-1] if numbers else None


def _fits(words: Sequence[str], width: int) -> bool:
    """Tell whether words may be the names of so many columns."""
    return len(set(words)) == len(words) == width and not any(map(is_written_number, words))
