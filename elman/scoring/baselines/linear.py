"""Logistic regression as a baseline: the last step of several of them.

How strongly it is regularised is chosen on the validation part, so that the network is not
compared with a badly set rival.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
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


def logistic_regression(train: Labelled[Any], valid: Labelled[Any] | None, test: Any) -> Codes:
    """Predicted classes of the rows of `test` `(n, features)`, dense or sparse.

    >>> train = Labelled(np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1]))
    >>> logistic_regression(train, None, np.array([[0.5], [4.5]])).tolist()
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
    return np.asarray(best.predict(test), dtype=np.int64)
