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
    return max(_FEWEST, int(seconds(budget) * _LINEAR / max(size * classes, 1.0)))


def for_nearest(budget: float | None, size: float, asked: int) -> int:
    """Return the most examples among which the nearest of `asked` others is looked for.

    >>> for_nearest(20.0, 100.0, 10_000)
    20000
    """
    return max(_FEWEST, int(seconds(budget) * _PAIRS / max(size * asked, 1.0)))


def drawn(count: int, most: int, seed: int) -> NDArray[np.int64] | None:
    """Return `most` of `count` rows, drawn at random, ascending; None where all are taken.

    >>> drawn(10, 3, seed=0).tolist(), drawn(3, 3, seed=0)
    ([2, 6, 9], None)
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
