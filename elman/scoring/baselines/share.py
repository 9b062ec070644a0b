"""How many training examples a baseline is fitted on, so that it takes its share of the budget.

A recurrent network sees in its budget only a part of a large data set; a baseline that reads all of
it may take hours. What was fitted on a sample says so in its name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHARE, _LEAST, _WITHOUT = 0.2, 10.0, 60.0
"""Share of the budget, but at least so many seconds; and seconds where there is no budget."""
_LINEAR = 250_000
"""Words (or numbers) times classes that a linear model learns from in a second, on one core."""
_PAIRS = 2e9
"""Numbers a second that nearest neighbours compare, on one core."""
_COMPARED, _SQUARES = 5e8, 5e9
"""Numbers a second that patterns are compared with; products a second of a ridge classifier."""
_FEWEST = 2000
"""Examples that are fitted on where there are as many, however long it takes."""


def seconds(budget: float | None) -> float:
    """Return the seconds that one baseline may take.

    >>> seconds(20.0), seconds(600.0), seconds(None)
    (10.0, 120.0, 60.0)
    """
    return _WITHOUT if budget is None else max(_LEAST, _SHARE * budget)


def for_linear(budget: float | None, size: float, classes: int) -> int:
    """Return the most examples for a linear model, the same on every machine.

    Args:
        budget: of the run, in seconds; None where there is none.
        size: words or numbers of an example in the mean.
        classes: linear functions that are fitted.

    >>> for_linear(20.0, 12.5, 4)
    50000
    """
    return _round(max(_FEWEST, seconds(budget) * _LINEAR / max(size * classes, 1.0)))


def for_rocket(
    budget: float | None, size: float, count: int, asked: int, patterns: int, most: int
) -> tuple[int, int]:
    """Return the most examples for MiniRocket, and the features of each pattern.

    Args:
        budget: of the run, in seconds; None where there is none.
        size: steps of an example in the mean.
        count, asked: examples of training, and others.
        patterns, most: how many patterns, and features of each where there is time.

    >>> for_rocket(None, 100.0, 200, 200, 84, 119)
    (5400, 119)
    """
    room = seconds(budget)

    def rows(features: int) -> int:
        return _round((room * _SQUARES / (patterns * features)) ** 0.5)

    compared = size * patterns * (min(count, rows(most)) + asked)
    features = int(np.clip(room * _COMPARED / max(compared, 1.0), most // 10, most))
    return rows(features), features


def for_nearest(budget: float | None, size: float, asked: int) -> int:
    """Return the most examples among which the nearest of `asked` others is looked for.

    >>> for_nearest(20.0, 100.0, 10_000)
    20000
    """
    return _round(max(_FEWEST, seconds(budget) * _PAIRS / max(size * asked, 1.0)))


def drawn(count: int, most: int, seed: int) -> NDArray[np.int64] | None:
    """Return `most` of `count` rows, drawn at random, ascending; None where all are taken.

    >>> drawn(10, 3, seed=0).tolist(), drawn(3, 3, seed=0)
    ([5, 6, 9], None)
    """
    if count <= most:
        return None
    rows = np.random.default_rng(seed).choice(count, most, replace=False)
    return np.sort(rows).astype(np.int64)


def named(name: str, fitted: int, count: int) -> str:
    """Return the name of a baseline, which says on how many examples it was fitted if not on all.

    >>> named("NB-SVM", 100_000, 1_200_000)
    'NB-SVM (fitted on 100,000 of 1,200,000)'
    """
    return name if fitted == count else f"{name} (fitted on {fitted:,} of {count:,})"


def _round(number: float) -> int:
    """Return a number rounded down to two digits: it is written in names."""
    digit: int = 10 ** max(0, len(str(int(number))) - 2)
    return int(number) // digit * digit
