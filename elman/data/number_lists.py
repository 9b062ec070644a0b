"""Lists of numbers as people write them in a cell: `3|4|6`, `5.3;6.3`, `(1, 2)`, `[1 2 3]`.

A column is read in one way. Two marks make steps of several values, `1 2;3 4`, or decimals with a
comma, `1,5;2,5`; where the cells allow both, the reader is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from elman.data.numerals import Decimal

_MISSING = ("nan", "na", "n/a", "null", "none", "?")
_NUMBER = re.compile(
    r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![A-Za-z])|(?<!\w)(?:nan|na|null|none)(?!\w)|\?",
    re.IGNORECASE,
)
# A name of digits; after a comma zeros are decimals.
_CODE = re.compile(r"(?<![\d.,eE])(?<![eE][-+])0\d")
_MARKS = "|;,/:_~"
_CLOSED = {"[": "]", "(": ")", "{": "}", "<": ">"}
_CUT = re.compile(r"\[.*\d\.?,?\s+\.\.\.,?\s.*\]", re.DOTALL)
# How Python prints an array: `tensor([1., 2.], device='cpu')`; and numbers of NumPy in a list:
# `[np.float64(0.1), np.float64(0.2)]`.
_PRINTED = re.compile(
    r"(?:[a-z]{2,5}\.)?(?:array|tensor|Array|Tensor)\(\s*(?P<list>\[.*\])"
    r"(?:,\s*\w+=(?:[^,()]|\([^()]*\))*)*\s*\)",
    re.DOTALL,
)
_SCALAR = re.compile(r"\b(?:(?:np|numpy)\.[a-z]+\d+|tensor)\(([^()\[\],=]*)\)")
_USUAL = 3
"""Numbers of a list in the median, from which a column of them is no text."""
_MOSTLY = 0.75
"""Share of the cells that are lists, from which the others are mistakes."""
_LOOKED_AT = 2000
"""Cells that are looked at, evenly spread, to find how a column is written."""


@dataclass(frozen=True)
class Writing:
    """How the lists of a column are written.

    Attributes:
        mark: what stands between steps; a blank for any number of blanks.
        inner: what stands between the values of a step; empty where a step has one.
        comma: what a comma within a step is: "decimal", "between" values, or "either".
    """

    mark: str
    inner: str = ""
    comma: str = "between"

    @property
    def words(self) -> str:
        """Say what stands between the numbers."""
        between = "blanks" if self.mark == " " else repr(self.mark)
        if self.comma == "decimal":
            return f"{between} between numbers with a comma before decimals"
        if not self.inner:
            return f"{between} between numbers"
        of = "blanks" if self.inner == " " else repr(self.inner)
        return f"{between} between steps, and {of} between the values of a step"


class NoList(ValueError):
    """A cell is no list of numbers as the others are."""


def writing_of(
    cells: Sequence[str], least: int = _USUAL, decimal: Decimal | None = None
) -> Writing | None:
    """Return how the cells of a column write lists of numbers, or None where most do not.

    Args:
        cells: of the column; blank ones count for nothing.
        least: numbers of a list in the median, below which the cells are no lists.
        decimal: the mark before decimals, where it is known.

    >>> writing_of(["3|4|6", "1|2|3|4"]), writing_of(["red 3 4"])
    (Writing(mark='|', inner='', comma='between'), None)
    """
    there = [cell for cell in cells if cell.strip()]
    there = there[:: max(1, len(there) // _LOOKED_AT)]
    gaps = [found for cell in there if (found := _gaps(cell)) is not None]
    if not gaps or len(gaps) < _MOSTLY * len(there):
        return None
    if median(len(found) + 1 for found in gaps) < least:
        return None
    every = {gap for found in gaps for gap in found}
    marks = {mark for gap in every for mark in gap if not mark.isspace()}
    blanks = any(not gap.strip() for gap in every)
    if len(marks) == 2 and "," in marks and not blanks:
        (outer,) = marks - {","}
        steps = Writing(outer, ",")
    elif not marks:
        return Writing(" ")
    elif len(marks) > 1:
        return None
    elif not blanks:
        return Writing(marks.pop())
    elif marks == {","} and not any(gap != "," for gap in every if "," in gap):
        steps = Writing(" ", ",")
    elif all(gap != "," for gap in every):
        return Writing(marks.pop(), " ")
    else:
        return None
    return Writing(steps.mark, ",", _comma(there, steps, decimal))


def parsed(cell: str, how: Writing) -> list[list[float | None]]:
    """Return the steps of a list, each with its values; None where one is missing.

    Raises:
        NoList: it is written otherwise.

    >>> parsed("(1; 2;)", Writing(";")), parsed("1,5|2", Writing("|", ",", "decimal"))
    ([[1.0], [2.0], [None]], [[1.5], [2.0]])
    """
    body = _body(cell)
    if not body:
        return []
    steps = []
    for part in _split(body, how.mark):
        if how.comma == "decimal":
            values = [part.strip().replace(",", ".", 1)]
        else:
            values = _split(part.strip(), how.inner) if how.inner else [part]
        steps.append([_value(value.strip()) for value in values])
    return steps


def is_cut(cell: str) -> bool:
    """Tell whether NumPy has printed only the ends of a list.

    >>> is_cut("[0.1 0.2 ... 0.8 0.9]"), is_cut("tensor([0.1, 0.2,  ..., 0.9])")
    (True, True)
    """
    return _CUT.fullmatch(unwrapped(cell)) is not None


def unwrapped(cell: str) -> str:
    """Return a list as it stands within what Python prints around it.

    >>> unwrapped("tensor([1., 2.], device='cpu')"), unwrapped("[np.float64(1.5), 2]")
    ('[1., 2.]', '[1.5, 2]')
    """
    text = cell.strip()
    if not text.endswith((")", "]")) or "(" not in text:
        return text
    found = _PRINTED.fullmatch(text)
    return _SCALAR.sub(r"\1", found["list"] if found else text)


_UNIT = re.compile(r"(?<=[\d.])\s?([^\W\d_]{1,4}|[°%µ€$£][A-Za-z]{0,3})(?![^\W_])")


def unit_of(cells: Sequence[str]) -> str | None:
    """Return the unit after every number of cells that are else lists of numbers, or None.

    >>> unit_of(["1.5 kg; 2 kg; 3 kg", "4 kg; 5 kg; 6.5 kg"]), unit_of(["1 a; 2 b; 3 a"])
    ('kg', None)
    """
    there = [cell for cell in cells if cell.strip()]
    there = there[:: max(1, len(there) // _LOOKED_AT)]
    units = {str(unit) for cell in there for unit in _UNIT.findall(cell)}
    if len(units) != 1 or writing_of([_UNIT.sub("", cell) for cell in there]) is None:
        return None
    return units.pop()


def of_digits(cells: Sequence[str]) -> int | None:
    """Return the place of a cell where nearly all cells are several numbers with marks between
    them and no letter; None elsewhere.

    >>> of_digits(["1-0-0", "0-1-1"]), of_digits(["room 1-2", "1"])
    (0, None)
    """
    there = [(place, cell) for place, cell in enumerate(cells) if cell.strip()]
    there = there[:: max(1, len(there) // _LOOKED_AT)]
    found = [
        place
        for place, cell in there
        if not any(map(str.isalpha, cell)) and len(re.findall(r"\d+", cell)) > 1
    ]
    return found[0] if found and len(found) >= 0.9 * len(there) else None


def _body(cell: str) -> str:
    """Return what stands within the brackets of a list."""
    text = unwrapped(cell)
    if len(text) > 1 and _CLOSED.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def _gaps(cell: str) -> list[str] | None:
    """Return what stands between the numbers of a cell; None where something else is there."""
    body = _body(cell)
    first, *gaps = _NUMBER.split(body)
    if not gaps or not all(gaps[:-1]) or _CODE.search(body):
        return None
    if not all(mark in _MARKS or mark.isspace() for mark in "".join([first, *gaps])):
        return None
    return gaps[:-1]


def _comma(cells: Sequence[str], how: Writing, decimal: Decimal | None) -> str:
    """Return what the commas within the steps of a column are."""
    every = [step.strip() for cell in cells for step in _split(_body(cell), how.mark)]
    steps = [step for step in every if step]
    decimals = [step for step in steps if re.fullmatch(r"[-+−]?\d+(,\d+([eE][-+]?\d+)?)?", step)]
    known = sum(step.lower() in _MISSING for step in steps)
    if len(decimals) + known < _MOSTLY * len(steps) or any("." in step for step in steps):
        return "between"
    if decimal is not None:
        return "decimal" if decimal == "," else "between"
    plain = any("," not in step for step in decimals)
    zero = any(re.fullmatch(r"[-−]0,.*|[-+−]?\d+,0\d+", step) for step in decimals)
    return "decimal" if plain or zero else "either"


def _split(text: str, mark: str) -> list[str]:
    return text.split() if mark == " " else text.split(mark)


def _value(text: str) -> float | None:
    if not text or text.lower() in _MISSING:
        return None
    if "_" in text:
        raise NoList(text)
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        raise NoList(text) from None
