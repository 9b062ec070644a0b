"""A baseline of a label for each step of a sequence, from features that describe the step.

Logistic regression on the features of an utterance, or on those of its neighbours too, knows
nothing of the order of more than these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from elman.scoring.baselines.linear import Labelled, Linear, State, logistic_regression


@dataclass(frozen=True, eq=False)
class StepLinear:
    """A linear map from the features of a step to its label.

    Attributes:
        linear: gives a logit for each label.
        names: the labels, by code.
    """

    kind: ClassVar[str] = "step linear"
    linear: Linear
    names: list[str]

    def __call__(self, features: Any) -> list[str]:
        """Return the label of each row of features `(n, F)`, dense or sparse."""
        if not features.shape[0]:
            return []
        return [self.names[code] for code in self.linear.codes(features).tolist()]

    def chances(self, features: Any) -> tuple[list[str], list[NDArray[Any]]]:
        """Return the labels, and the probability of each for all rows of features together."""
        assert self.linear.classes is not None
        return [self.names[code] for code in self.linear.classes], [self.linear.chances(features)]

    def to_state(self) -> State:
        """Return the map as arrays, the labels as JSON."""
        return {"names": self.names}, self.linear.to_state()[1]

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> StepLinear:
        """Return the map that `to_state` described."""
        return cls(Linear.from_state({}, arrays), facts["names"])


def step_logistic_regression(
    train: Labelled[Any], valid: Labelled[Any] | None, names: Sequence[str]
) -> StepLinear:
    """Fit logistic regression to steps; how strongly it is held back is chosen on `valid`.

    Args:
        train, valid: features `(n, F)` and codes of labels; -1 of a label that training lacks.
        names: the labels, by code.

    >>> import numpy as np
    >>> train = Labelled(np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1]))
    >>> step_logistic_regression(train, None, ["ask", "say"])(np.array([[4.5], [0.5]]))
    ['say', 'ask']
    """
    return StepLinear(logistic_regression(train, valid), list(names))
