"""A model and a baseline mixed, with a weight that is found on held-out data.

A recurrent network and counts err on different things: their mixture is often better than either
(Mikolov et al. 2010, who interpolate a network with an n-gram model; Bates & Granger 1969 for
points).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring.translations import selection_units

Floats = NDArray[np.float64]

WEIGHTS = tuple(float(step) / 20 for step in range(21))
"""Weights of the model that are tried where replies are put in an order."""
LEAST = 0.005
"""A weight this near to 0 or 1 is no mixture."""
ON_VALIDATION = "on the validation part"
NO_VALIDATION = "there is no validation part to find the weight of a blend on"


@dataclass(frozen=True, eq=False)
class Blend:
    """A model and a baseline, of which the model has a weight.

    Attributes:
        model: the trained model.
        baseline: a kept baseline.
        weight: of the model, between 0 and 1.
        scale: of the baseline's scores, which are multiplied by it, where their unit is not the
            model's.
    """

    model: Any
    baseline: Any
    weight: float
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The name in tables of scores."""
        return f"model + {self.baseline.name} (weight {self.weight:.2f})"


def blend_of(
    model: Any, baseline: Any, weight: float, where: str, scale: float = 1.0
) -> Blend | str:
    """Return the mixture, or why there is none where the best weight leaves one of them out.

    Args:
        model, baseline: what is mixed.
        weight: of the model, the best one.
        where: what it was found on, in words that go before the rest.
        scale: of the baseline's scores.
    """
    if LEAST < weight < 1 - LEAST:
        return Blend(model, baseline, weight, scale)
    alone = baseline.name if weight < 0.5 else "the model"
    return f"{where} no mixture of the model and {baseline.name} is better than {alone} alone"


def weight_of_chances(model: Floats, other: Floats) -> float:
    """Return the weight of the model at which the truth is likeliest under the mixture.

    Args:
        model, other: what each gives the truth, probabilities `(n,)`.

    >>> round(weight_of_chances(np.array([0.9, 0.1]), np.array([0.1, 0.9])), 6)
    0.5
    """
    # The slope of the log-likelihood only falls: half the interval that holds its zero.
    low, high = 0.0, 1.0
    apart = model - other
    for _ in range(40):
        middle = (low + high) / 2
        mixed = np.maximum(middle * model + (1 - middle) * other, 1e-300)
        low, high = (middle, high) if float(np.mean(apart / mixed)) > 0 else (low, middle)
    return (low + high) / 2


def weight_of_points(model: Floats, other: Floats, truth: Floats) -> float:
    """Return the weight of the model with the least squared error, between 0 and 1.

    >>> weight_of_points(np.array([2.0, 2.0]), np.array([0.0, 0.0]), np.array([1.0, 1.0]))
    0.5
    """
    apart = model - other
    square = float(np.sum(apart**2))
    return float(np.clip(np.sum((truth - other) * apart) / square, 0, 1)) if square else 0.0


def mixed_nats(model: Floats, other: Floats, weight: float) -> Floats:
    """Return the cost of each symbol under the mixture, from its cost under either, in nats.

    >>> mixed_nats(-np.log(np.array([0.5])), -np.log(np.array([0.25])), 0.5).round(4).tolist()
    [0.9808]
    """
    with np.errstate(divide="ignore"):
        parts = np.log(weight) - model, np.log1p(-weight) - other
    found: Floats = -np.logaddexp(*parts)
    return found


def scale_of_orders(model: Floats, other: Floats) -> float:
    """Return by what the other's scores are multiplied to lie as far apart as the model's.

    It is 0 where the other tells no candidates apart.

    Args:
        model, other: a score of each candidate, `(n, count)`.

    >>> scale_of_orders(np.array([[5.0, 1.0]]), np.array([[0.25, 0.75]]))
    8.0
    """
    ours, theirs = (
        float((scores - scores.mean(1, keepdims=True)).std()) for scores in (model, other)
    )
    return ours / theirs if theirs else 0.0


def weight_of_orders(model: Floats, other: Floats) -> float:
    """Return the weight of the model with which the true reply comes first most often.

    Of weights that are as good it is the one in their middle. It is 0 or 1, for the better of both
    alone, where no mixture is better than that by more than the standard error of a recall.

    Args:
        model, other: a score of each candidate, `(n, count)`, on one scale; the first of each row
            is the true one's.
    """
    found = np.array(
        [
            selection_units(weight * model + (1 - weight) * other)["recall_at_1"].mean()
            for weight in WEIGHTS
        ]
    )
    alone = 0 if found[0] >= found[-1] else len(WEIGHTS) - 1
    if not above_noise(found.max(), found[alone], len(model)):
        return WEIGHTS[alone]
    best = np.flatnonzero(found == found.max())
    return WEIGHTS[int(best[len(best) // 2])]


def above_noise(found: float, before: float, count: int) -> bool:
    """Tell whether a share of `count` is above another by more than the standard error of that.

    >>> above_noise(0.52, 0.5, 400), above_noise(0.53, 0.5, 400)
    (False, True)
    """
    return bool(found > before + (before * (1 - before) / count) ** 0.5)
