"""A rule says whether a curve was still improving at its end, beyond its own noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 4
"""Points from which a trend can be told from noise: by chance four stand in order once in 24."""
SURE = 0.05
"""Chance that a curve which only scatters is called improving by its slope."""
STILL_GAINS = 0.05
"""Share of all that was gained that the end must have gained: an exponential that has run for four
of its time constants gains less in its last third."""


def improving(curve: Sequence[tuple[int, float]], higher_is_better: bool = False) -> bool | None:
    """Tell whether a curve was still improving in its last third; None where points are too few.

    A straight line is fitted to the last third of the points (three at least). The curve was
    improving if the line gains more than noise allows (Student's t test of its slope, one-sided),
    if that is a real part of all that was gained, and if none of the points before was as good as
    the best of them. The noise is how far points lie off the line between their neighbours, over
    the last two thirds (Gasser, Sroka & Jennen-Steinmetz 1986).

    Args:
        curve: values, each with its step, in order.
        higher_is_better: whether values are to rise.

    >>> improving([(k, 0.9**k) for k in range(12)]), improving([(k, 0.5**k) for k in range(30)])
    (True, False)
    >>> improving([(1, 0.5), (2, 0.4)]) is None
    True
    """
    from scipy.stats import t as student

    finite = [(step, value) for step, value in curve if np.isfinite(value)]
    if len(finite) < LEAST:
        return None
    steps, values = (np.array(column, float) for column in zip(*finite, strict=True))
    if not higher_is_better:
        values = -values
    count = max(3, round(len(values) / 3))
    before, x, y = values[:-count], steps[-count:] - steps[-count:].mean(), values[-count:]
    if before.max(initial=-np.inf) >= y.max():
        return False
    slope = float((x * y).sum() / (x * x).sum())
    noise, freedom = _noise(steps[-2 * count :], values[-2 * count :])
    gained = slope * float(steps[-1] - steps[0]) / 3
    enough = gained > STILL_GAINS * float(y.max() - values[0])
    error = noise / float(np.sqrt((x * x).sum()))
    in_order = bool((np.diff(values[-LEAST:]) > 0).all())
    return enough and (in_order or slope > float(student.isf(SURE, freedom)) * error)


def _noise(x: Floats, y: Floats) -> tuple[float, float]:
    """Return the standard deviation of three or more points around a smooth curve.

    Also returned: the degrees of freedom, about half the number of inner points, since each
    point stands in three of the differences.
    """
    share = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    off = share * y[:-2] + (1 - share) * y[2:] - y[1:-1]
    squares = off**2 / (share**2 + (1 - share) ** 2 + 1)
    return float(np.sqrt(squares.mean())), max(1.0, 18 / 35 * len(squares))
