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

Floats = NDArray[np.float64]

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
    """

    model: Any
    baseline: Any
    weight: float

    @property
    def name(self) -> str:
        """The name in tables of scores."""
        return f"model + {self.baseline.name} (weight {self.weight:.2f})"


def blend_of(model: Any, baseline: Any, weight: float, where: str) -> Blend | str:
    """Return the mixture, or why there is none where the best weight leaves one of them out.

    Args:
        model, baseline: what is mixed.
        weight: of the model, the best one.
        where: what it was found on, in words that go before the rest.
    """
    if LEAST < weight < 1 - LEAST:
        return Blend(model, baseline, weight)
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
