"""Ridge regression and gradient boosting as baselines for numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rule = Callable[[Any], Floats]
"""From features `(n, F)` to numbers `(n, K)`."""

STRENGTHS = (1.0, 0.1, 10.0, 100.0, 1000.0)
"""Strengths of the penalty that are tried; without validation data it is the first."""
_DENSE = 64
"""Columns to which sparse features are reduced before trees are grown on them."""


def ridge(train: Any, numbers: Floats, valid: Any, truth: Floats | None) -> Rule:
    """Return linear regression with a penalty, its strength chosen on the validation part.

    Args:
        train, numbers: features `(n, F)`, dense or sparse, and targets `(n, K)`.
        valid, truth: the same of the validation part, or None.

    >>> x = np.arange(20.0)[:, None]
    >>> ridge(x, 3 * x, x[:4], 3 * x[:4])(np.array([[2.0]])).round(1).tolist()
    [[6.0]]
    """
    from sklearn.linear_model import Ridge

    fitted = []
    for strength in STRENGTHS if truth is not None and len(truth) else STRENGTHS[:1]:
        model = Ridge(strength).fit(train, numbers)
        missed = 0.0
        if truth is not None and len(truth):
            missed = float(np.mean((_columns(model.predict(valid), numbers) - truth) ** 2))
        fitted.append((missed, model))
    best = min(fitted, key=lambda pair: pair[0])[1]
    return lambda asked: _columns(best.predict(asked), numbers)


def boosting(train: Any, numbers: Floats, seed: int = 0) -> Rule:
    """Return gradient boosted trees (histograms, as in LightGBM), one model for each target.

    Sparse features are first reduced to their leading singular vectors.

    >>> x = np.arange(200.0)[:, None]
    >>> y = np.where(x < 100, 0.0, 5.0)
    >>> boosting(x, y)(np.array([[20.0], [180.0]])).round(1).tolist()
    [[0.0], [5.0]]
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    dense, reduce = train, None
    if hasattr(train, "toarray"):
        if train.shape[1] > _DENSE:
            from sklearn.decomposition import TruncatedSVD

            reduce = TruncatedSVD(min(_DENSE, *(n - 1 for n in train.shape)), random_state=seed)
            dense = reduce.fit_transform(train)
        else:
            dense = train.toarray()
    models = [
        HistGradientBoostingRegressor(random_state=seed).fit(dense, column) for column in numbers.T
    ]

    def rule(asked: Any) -> Floats:
        if reduce is not None:
            asked = reduce.transform(asked)
        elif hasattr(asked, "toarray"):
            asked = asked.toarray()
        return np.stack([model.predict(asked) for model in models], 1)

    return rule


def _columns(said: Any, numbers: Floats) -> Floats:
    return np.asarray(said, np.float64).reshape(-1, numbers.shape[1])
