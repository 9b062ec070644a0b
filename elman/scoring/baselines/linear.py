"""Logistic regression as a baseline, and the linear map that is kept of any linear model.

How strongly it is regularised is chosen on the validation part, so that the network is not
compared with a badly set rival.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Plain JSON values, and arrays: all that is kept of a fitted model."""
T = TypeVar("T")

#: Inverse strengths of the penalty that are tried; without validation data it is the first.
STRENGTHS = (10.0, 1.0, 0.1)


@dataclass(frozen=True)
class Labelled(Generic[T]):
    """Inputs and the code of each one's class."""

    inputs: Sequence[T] | Any
    labels: Codes

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map of features, kept as arrays.

    Weights are rounded to float32 when they are fitted, so that what is kept says exactly what
    was judged; sums are float64.

    Attributes:
        weights: `(F, K)`.
        bias: `(K,)`.
        classes: the code of the class that each output stands for, ascending; None of numbers.

    >>> Linear(np.ones((2, 1), np.float32), np.array([0.5]))(np.array([[1.0, 2.0]])).tolist()
    [[3.5]]
    """

    kind: ClassVar[str] = "linear"
    weights: NDArray[np.float32]
    bias: NDArray[np.float64]
    classes: Codes | None = None

    def __call__(self, features: Any) -> NDArray[np.float64]:
        """Return `(n, K)` of features `(n, F)`, dense or sparse."""
        found: NDArray[np.float64] = features @ self.weights.astype(np.float64) + self.bias
        return found

    def codes(self, features: Any) -> Codes:
        """Return the code of the likeliest class of each row."""
        assert self.classes is not None
        return np.asarray(self.classes[self(features).argmax(1)], np.int64)

    def chances(self, features: Any) -> NDArray[np.float32]:
        """Return the probability of each output where outputs are logits, `(n, K)`."""
        from scipy.special import softmax

        found: NDArray[np.float32] = softmax(self(features), axis=1).astype(np.float32)
        return found

    def to_state(self) -> State:
        """Return the map as arrays."""
        classes = {} if self.classes is None else {"classes": self.classes}
        return {}, {"weights": self.weights, "bias": self.bias, **classes}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Linear:
        """Return the map that `to_state` described."""
        return cls(arrays["weights"], arrays["bias"], arrays.get("classes"))

    @classmethod
    def of_classes(cls, coefficients: Any, intercepts: Any, classes: Any) -> Linear:
        """Return the map of a fitted classifier; of two classes the first has the score 0."""
        weights = np.asarray(coefficients, np.float64)
        bias = np.asarray(intercepts, np.float64)
        if len(weights) == 1:
            weights = np.concatenate([np.zeros_like(weights), weights])
            bias = np.concatenate([np.zeros(1), bias])
        return cls(weights.T.astype(np.float32), bias, np.asarray(classes, np.int64))


def logistic_regression(train: Labelled[Any], valid: Labelled[Any] | None) -> Linear:
    """Fit logistic regression to rows `(n, features)`, dense or sparse; it gives logits.

    >>> train = Labelled(np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1]))
    >>> logistic_regression(train, None).codes(np.array([[0.5], [4.5]])).tolist()
    [0, 1]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fitted = []
    for strength in STRENGTHS if valid is not None and len(valid) else STRENGTHS[:1]:
        with warnings.catch_warnings():
            # An early end of the optimiser is an answer too; what counts is its accuracy.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=200).fit(train.inputs, train.labels)
        right = (
            0.0 if valid is None else float(np.mean(model.predict(valid.inputs) == valid.labels))
        )
        fitted.append((right, model))
    best = max(fitted, key=lambda pair: pair[0])[1]
    return Linear.of_classes(best.coef_, best.intercept_, best.classes_)
