"""Model and baseline mixed: points and quantiles are weighted means, level by level.

The weight is found where nothing was trained: on the validation part, or at the origins of a
backtest. With quantiles mixed level by level (Vincent 1912) a point that lies within its band in
both lies within it in the mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from elman.tasks.forecast.baselines import Forecaster
from elman.tasks.forecast.windows import Floats, Origins

WEIGHTS = np.linspace(0, 1, 21)
"""Weights of the model that are tried."""


@dataclass(frozen=True)
class Judged:
    """Forecasts of the same windows by model and baseline: points and quantiles of each."""

    origins: Origins
    ours: tuple[Floats, Floats]
    theirs: tuple[Floats, Floats]


def mixed(
    ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats], weight: float
) -> tuple[Floats, Floats]:
    """Return points and quantiles, the first with this weight and the second with the rest.

    >>> one, two = (np.ones(1), np.zeros((1, 2))), (np.zeros(1), np.ones((1, 2)))
    >>> [part.tolist() for part in mixed(one, two, 0.25)]
    [[0.25], [[0.75, 0.75]]]
    """
    point, spread = (weight * a + (1 - weight) * b for a, b in zip(ours, theirs, strict=True))
    return point, spread


def blended(ours: Forecaster, theirs: Forecaster, weight: float) -> Forecaster:
    """Return the mixture of two as one forecaster."""
    return lambda origins: mixed(ours(origins), theirs(origins), weight)


def weight_of(
    judged: Sequence[Judged], cost: Callable[[Origins, tuple[Floats, Floats]], float]
) -> float:
    """Return the weight of the model with the least cost, its mean over all parts.

    Args:
        judged: parts, such as the origins of a backtest.
        cost: gives the score of points and quantiles of windows; lower is better.
    """
    costs = [
        np.mean([cost(part.origins, mixed(part.ours, part.theirs, w)) for part in judged])
        for w in WEIGHTS.tolist()
    ]
    return 1.0 if np.isnan(costs).all() else float(WEIGHTS[int(np.nanargmin(costs))])
