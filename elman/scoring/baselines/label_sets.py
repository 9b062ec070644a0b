"""Linear models for several labels: one for each label, against all examples without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.counts import nb_svm
from elman.scoring.baselines.linear import STRENGTHS, Labelled, Linear


def one_against_rest(train: Labelled[Any], fit: Callable[[Labelled[Any], int], Linear]) -> Linear:
    """Fit a linear map for each label; its output is positive where the label is likely.

    A label that all examples have, or none, has the logarithm of its odds for a score.

    Args:
        train: rows `(n, F)`, and whether each has each label, `(n, K)`.
        fit: from rows with codes 0 and 1, and the number of the label, to a map of two classes.
    """
    features: Any = train.inputs
    weights, bias = [], []
    for label in range(train.labels.shape[1]):
        own = train.labels[:, label].astype(np.int64)
        count = int(own.sum())
        if count in (0, len(own)):
            weights.append(np.zeros(features.shape[1], np.float32))
            bias.append(float(np.log((count + 0.5) / (len(own) - count + 0.5))))
            continue
        found = fit(Labelled(features, own), label)
        weights.append(found.weights[:, 1] - found.weights[:, 0])
        bias.append(float(found.bias[1] - found.bias[0]))
    return Linear(np.stack(weights, 1), np.array(bias))


def logistic_regressions(train: Labelled[Any], valid: Labelled[Any] | None) -> Linear:
    """Fit logistic regression to each label; its strength is the likeliest on validation.

    >>> truth = np.array([[0, 1], [0, 1], [1, 0], [1, 1]])
    >>> train = Labelled(np.array([[0.0], [1.0], [4.0], [5.0]]), truth)
    >>> (logistic_regressions(train, None)(np.array([[0.0], [5.0]]))[:, 0] > 0).tolist()
    [False, True]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    held = None if valid is None or not len(valid) else valid

    def fit(one: Labelled[Any], label: int) -> Linear:
        best, least = None, np.inf
        for strength in STRENGTHS if held is not None else STRENGTHS[:1]:
            with warnings.catch_warnings():
                # An early end of the optimiser is an answer too; what counts is its likelihood.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LogisticRegression(C=strength, max_iter=200).fit(one.inputs, one.labels)
            cost = 0.0 if held is None else _cost(model, held.inputs, held.labels[:, label])
            if best is None or cost < least:
                best, least = model, cost
        assert best is not None
        return Linear.of_classes(best.coef_, best.intercept_, best.classes_)

    return one_against_rest(train, fit)


def nb_svms(train: Labelled[Any]) -> Linear:
    """Fit NB-SVM to each label; it gives margins."""
    return one_against_rest(train, lambda one, _: nb_svm(one))


def _cost(model: Any, inputs: Any, truth: NDArray[Any]) -> float:
    """Return the mean cost of the truth in nats."""
    signed = np.where(truth > 0, 1.0, -1.0) * model.decision_function(inputs)
    return float(np.logaddexp(0, -signed).mean())
