"""Numbers as people write them: decimal commas, thousands apart, currencies, per cent.

A column is read in one way: with a decimal point or with a decimal comma. `1,234` alone could be
either, so a column whose numbers all have two readings is not read, and the reader is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Decimal = Literal[".", ","]

_CURRENCY = (
    r"US\$|R\$|[$€£¥₹₽₩₺]|USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|kr\.?|zł|Fr\.?"
)
_NUMBER = re.compile(
    rf"^(?P<open>\()?\s*(?P<sign>[-+−])?\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+−])?"
    rf"(?P<body>\d[\d.,'’\u00a0\u202f ]*|[.,]\d+)(?P<power>[eE][-+]?\d+)?"
    rf"\s*(?P<last>[-−](?!\d))?(?P<after>{_CURRENCY}|%)?(?P<close>\))?$"
)
# In India two digits stand between the marks, but for the last three: 1,23,456.
_POINT = re.compile(r"^(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d?(?:,\d{2})*,\d{3}|\d*)(?:\.\d*)?$")
_COMMA = re.compile(r"^(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d*)?$")
# Blanks and apostrophes only ever stand between thousands.
_APART = re.compile(r"^\d{1,3}(?:['’\u00a0\u202f ]\d{3})+(?=[.,]|$)")
# A name, such as a postcode; 07 may be an hour or a month.
_CODE = re.compile(r"^[-+]?0\d{2,}$")
_ZERO = re.compile(r"^[-+]?0\d$")
_WITH_UNIT = re.compile(r"[-+−]?\d[\d.,]*\s?(?:[^\W\d_]{1,4}|[*†‡%‰°º#?!]{1,2}|°[CF])\.?")
"""A number with letters or a mark behind it, such as 1.04K, 5 kg, 9.5* or 12 %."""
_FEW, _MOSTLY = 3, 0.75
"""So many different numbers that fill so large a share of the cells make the others remarks."""


@dataclass(frozen=True)
class Numerals:
    """A column of written numbers.

    Attributes:
        values: float64, NaN where a cell is missing or no number; None where there are two
            readings.
        wrong: positions of the cells that are not missing and no numbers.
        words: how they were read, empty where they are plain numbers.
        sign: the currencies or the per cent sign that stood beside them, empty where none did.
        bracket: position of the only number in brackets where no other is negative and no currency
            says that these are accounts; else None.
    """

    values: NDArray[np.float64] | None
    wrong: NDArray[np.int64]
    words: str = ""
    sign: str = ""
    bracket: int | None = None

    def told(self) -> dict[str, str]:
        """Return what is worth telling of how they were read, as `Table.how` holds it."""
        found = {"words": self.words, "sign": self.sign}
        if self.bracket is not None:
            found["bracket"] = str(self.bracket)
        return {key: value for key, value in found.items() if value}

    @property
    def marks(self) -> bool:
        """Tell whether currencies or per cent signs stood beside the numbers."""
        return bool(self.sign)


def read(
    cells: pd.Series, missing: Collection[str], decimal: Decimal | None = None
) -> Numerals | None:
    """Read a column of strings.

    Args:
        cells: stripped strings.
        missing: what says that a value is missing.
        decimal: the mark before decimals; found when None.

    Returns:
        What was read, or None where half of the cells or more are no numbers, or half of the
        different ones are not and numbers are less than three quarters of the cells.
    """
    unique = [cell for cell in cells.unique() if cell not in missing]
    if not unique or codes(cells) or all(_ZERO.match(cell) for cell in unique):
        return None
    sample = unique[:: max(1, len(unique) // 200)]
    written = [cell for cell in sample if _NUMBER.match(cell)]
    if 2 * len(written) <= len(sample) and not _fill_the_column(cells, written, sample):
        return None
    parts = {cell: found for cell in unique if (found := _parts(cell)) is not None}
    marks: tuple[Decimal, Decimal] = (".", ",")
    readings = {mark: _read(parts, mark) for mark in marks}
    best = max(len(found) for found in readings.values())
    kept = {mark: found for mark, found in readings.items() if len(found) == best}
    if decimal is not None or best < len(parts):
        mark: Decimal = next(iter(kept)) if decimal is None else decimal
        kept = {mark: readings[mark]}
    chosen = next(iter(kept.values()))
    signs = {cell: parts[cell][2] for cell in chosen}
    odd = _odd_signs(signs)
    values = {cell: value for cell, value in chosen.items() if cell not in odd}
    counts = cells.value_counts()
    there = int(sum(counts[cell] for cell in unique))
    if 2 * int(sum(counts[cell] for cell in values)) <= there:
        return None
    wrong = np.flatnonzero(cells.isin([cell for cell in unique if cell not in values]))
    signed = " ".join(sorted({signs[cell] for cell in values} - {""}))
    if len(kept) > 1 and len({tuple(found.items()) for found in kept.values()}) > 1:
        return Numerals(None, wrong)
    words = _words(list(values), [parts[cell][0] for cell in values], next(iter(kept)), signed)
    numbers = np.array([values.get(cell, np.nan) for cell in cells], dtype=np.float64)
    below = np.flatnonzero(numbers < 0)
    alone = len(below) == 1 and not signed and cells.iloc[below[0]].startswith("(")
    lone = int(below[0]) if alone else None
    return Numerals(numbers, wrong, words, signed, lone)


def zeros(cells: pd.Series) -> bool:
    """Tell whether a cell is a number of two digits of which the first is a zero, such as 07."""
    return any(_ZERO.match(cell) for cell in cells.unique())


def codes(cells: pd.Series) -> bool:
    """Tell whether a cell is a name of digits that begins with a zero, such as a postcode."""
    return any(_CODE.match(cell) for cell in cells.unique())


def with_units(cells: pd.Series, missing: Collection[str]) -> int | None:
    """Return the place of the first number with a unit or mark behind it, where most cells are
    numbers, with such or without; else None.

    Args:
        cells: stripped strings.
        missing: what says that a value is missing.
    """
    there = cells[~cells.isin(missing)]
    marked = there.str.fullmatch(_WITH_UNIT)
    plain = there.str.fullmatch(r"[-+−]?\d[\d.,]*")
    if not marked.any() or (marked | plain).mean() <= _MOSTLY:
        return None
    return int(np.flatnonzero(cells.isin(there[marked]))[0])


def _fill_the_column(cells: pd.Series, written: list[str], sample: list[str]) -> bool:
    """Tell whether a few numbers that repeat fill a column beside many remarks."""
    if len(written) < _FEW:
        return False
    counts = cells.value_counts()
    return bool(counts[written].sum() >= _MOSTLY * counts[sample].sum())


def _parts(cell: str) -> tuple[str, float, str, str] | None:
    """Return digits, sign, currency or per cent, and power of ten; None where it is no number."""
    found = _NUMBER.match(cell)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    if found["before"] and found["after"]:
        return None
    if found["last"] and (found["open"] or found["sign"] or found["inner"]):
        return None
    body = found["body"].strip()
    if re.search(r"['’\u00a0\u202f ]", body):
        if _APART.match(body) is None:
            return None
        body = re.sub(r"['’\u00a0\u202f ]", "", body)
    signs = (found["sign"], found["inner"], found["last"])
    negative = [found["open"], *(sign in ("-", "−") for sign in signs)]
    return (
        body,
        -1.0 if any(negative) else 1.0,
        found["before"] or found["after"] or "",
        found["power"] or "",
    )


def _read(parts: dict[str, tuple[str, float, str, str]], mark: str) -> dict[str, float]:
    """Return the numbers that can be read with this mark before decimals."""
    form, other = (_POINT, ",") if mark == "." else (_COMMA, ".")
    return {
        cell: sign * float(body.replace(other, "").replace(",", ".") + power)
        for cell, (body, sign, _, power) in parts.items()
        if form.match(body)
    }


def _odd_signs(signs: dict[str, str]) -> set[str]:
    """Return the cells whose currency or per cent sign is not that of the others."""
    kinds = list(signs.values())
    there = {sign: kinds.count(sign) for sign in set(kinds)}
    named = [sign for sign in there if sign]
    if not named or (len(named) == 1 and named[0] != "%"):
        # An amount without its currency is still that amount.
        return set()
    common = max(there, key=lambda sign: there[sign])
    return {cell for cell, sign in signs.items() if sign != common and (sign or common == "%")}


def _words(cells: list[str], bodies: list[str], mark: str, marks: str) -> str:
    other = "." if mark == "," else ","
    found = []
    if any(re.search(r"\d['’\u00a0\u202f ]\d", cell) for cell in cells):
        found.append("thousands apart")
    if mark == "," and any("," in body for body in bodies):
        found.append("a comma before decimals")
    if any(other in body for body in bodies):
        found.append(f"{other!r} between thousands")
    if marks:
        found.append(f"{marks} left off")
    if any(cell.startswith("(") for cell in cells):
        found.append("brackets as a minus sign")
    if any(re.search(r"\d[.,]?\s*[-−]", cell) for cell in cells):
        found.append("a minus sign behind the number")
    if any(not body.isascii() for body in bodies):
        found.append("digits of another script")
    if any("−" in cell for cell in cells):
        found.append("'−' as a minus sign")
    return ", ".join(found)
