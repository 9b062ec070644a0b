"""Numbers that stand for a missing value, such as -999 among temperatures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_NINES = [sign * float(text) for sign in (1, -1) for text in (
    *("99", "999", "9999", "99999", "999999", "9999999"),
    *("9.9", "99.9", "999.9", "9999.9", "99.99", "999.99"),
)]  # fmt: skip
_USUAL = frozenset(
    (-1.0, 0.0, -9.0, *_NINES, 7777.0, 8888.0, 32767.0, -32768.0, 65535.0, 2.0**31 - 1, -(2.0**31))
)
"""Numbers that programs and instruments write for a missing value."""
MOST_LOOKED = 2_000
"""Series that are looked at for such numbers."""
_OFTEN = 3
"""A value comes so often before it is suspected; one of many nines need not."""
_DIFFERENT = 5
"""Different other values without which nothing is far from them."""
_CODES = 20
"""Different whole numbers at most that may be codes, such as ratings and classes."""
_MOST_ZEROS = 0.1
"""Share of zeros above which a zero is a value like another: a closed day, a night."""


class StandIn(NamedTuple):
    """A number that looks like the mark of a missing value.

    `rows` of them hold `value`, the first of them `first` (counted from 0); all others lie from
    `low` to `high`.
    """

    value: float
    rows: int
    first: int
    low: float
    high: float


def together(found: Iterable[tuple[StandIn, int]]) -> list[StandIn]:
    """Return the marks of several series, those of one value as one.

    Args:
        found: each with the row of its first place; the first one that is given keeps it.
    """
    held: dict[float, StandIn] = {}
    for each, first in found:
        before = held.get(each.value)
        if before is None:
            held[each.value] = each._replace(first=first)
        else:
            held[each.value] = before._replace(
                rows=before.rows + each.rows,
                low=min(before.low, each.low),
                high=max(before.high, each.high),
            )
    return [held[value] for value in sorted(held)]


def stand_ins(values: NDArray[np.float64], *, codes: bool = False) -> list[StandIn]:
    """Return the numbers that look like marks of a missing value, in the order of their size.

    Such a number comes again and again, exactly, and lies far from all others: by their whole
    range where it is one that is usual for it, such as -999, and by three times that otherwise.

    Args:
        values: `(n,)`; NaN is no value.
        codes: the values may be codes, such as ratings and classes: among few whole numbers, two
            others are enough, and only a number that is usual for it is suspected.

    >>> readings = np.array([21.0, 22.5, -999.0, 23.0, 24.5, 25.0, -999.0, 26.0])
    >>> [(each.value, each.rows, each.first) for each in stand_ins(readings)]
    [(-999.0, 2, 2)]
    """
    there = values[np.isfinite(values)]
    found, counts = np.unique(there, return_counts=True)
    suspects: list[int] = []
    # From both ends inwards, as long as what is left lies far away.
    low, high = 0, len(found) - 1
    few = codes and len(found) <= _CODES and bool((found % 1 == 0).all())
    while high - low >= (2 if few else _DIFFERENT):
        for place in (low, high):
            left = found[low + (place == low) : high + (place == low)]
            if few and float(found[place]) not in _USUAL:
                continue
            if _suspect(float(found[place]), int(counts[place]), len(there), left):
                suspects.append(place)
                low, high = low + (place == low), high - (place == high)
                break
        else:
            break
    return [
        StandIn(
            float(found[place]),
            int(counts[place]),
            int(np.argmax(values == found[place])),
            float(found[low]),
            float(found[high]),
        )
        for place in sorted(suspects)
    ]


def _suspect(value: float, count: int, total: int, others: NDArray[np.float64]) -> bool:
    nines = set(f"{abs(value):g}") <= set("9.") and abs(value) >= 99
    if not (nines or count >= _OFTEN) or (value == 0 and count > _MOST_ZEROS * total):
        return False
    least, most = _inner(others)
    width = most - least
    gap = max(least - value, value - most, 0.0)
    often = count >= (1 if gap > 10 * width else 2 if nines else _OFTEN)
    return width > 0 and often and gap > (1 if value in _USUAL else 3) * width


def _inner(others: NDArray[np.float64]) -> tuple[float, float]:
    """Return the smallest and largest of the values that are not suspects themselves."""
    kept = others[~np.isin(others, list(_USUAL))]
    kept = kept if len(kept) >= _DIFFERENT else others
    return float(kept[0]), float(kept[-1])


def stand_in_words(found: StandIn, name: str, where: str, fix: str = "") -> str:
    """Return what to say of a number that looks like the mark of a missing value.

    >>> stand_in_words(StandIn(-999.0, 27, 0, 21.0, 64.0), "pm10", "row 2")[:57]
    "27 values of 'pm10' are -999 (the first in row 2), far fr"
    """
    value = f"{found.value:.15g}"
    many = f"{found.rows:,} values of {name!r} are"
    if found.rows == 1:
        many = f"1 value of {name!r} is"
    fix = fix or f"set missing='[{value}]'"
    return (
        f"{many} {value} (the first in {where}), far from all others, which lie from "
        f"{found.low:g} to {found.high:g}. If {value} says that a value is missing, {fix}."
    )
