"""Ridge regression and gradient boosting as baselines for numbers, kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import Linear, State

Floats = NDArray[np.float64]

STRENGTHS = (1.0, 0.1, 10.0, 100.0, 1000.0)
"""Strengths of the penalty that are tried; without validation data it is the first."""
_DENSE = 64
"""Columns to which sparse features are reduced before trees are grown on them."""


def ridge(train: Any, numbers: Floats, valid: Any, truth: Floats | None) -> Linear:
    """Fit linear regression with a penalty, its strength chosen on the validation part.

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
        weights = np.asarray(model.coef_, np.float64).reshape(numbers.shape[1], -1).T
        bias = np.broadcast_to(np.asarray(model.intercept_, np.float64), (numbers.shape[1],))
        found = Linear(weights.astype(np.float32), bias.copy())
        missed = 0.0
        if truth is not None and len(truth):
            missed = float(np.mean((found(valid) - truth) ** 2))
        fitted.append((missed, found))
    return min(fitted, key=lambda pair: pair[0])[1]


@dataclass(frozen=True, eq=False)
class Trees:
    """Gradient boosted trees as arrays: the nodes of all trees, one after another.

    Attributes:
        nodes: of each node the feature that it asks for, the child where the value is at most
            the threshold, and the child where it is above; `(N, 3)`, children counted from the
            beginning of all nodes. A leaf has itself as its children.
        thresholds, values: of each node, `(N,)`; a leaf's value is what the tree adds.
        missing_left: of each node, whether a missing value goes to the first child; `(N,)`.
        roots: the place of each tree's first node, in the order in which they add; `(trees,)`.
        output: the number of the output that each tree adds to; `(trees,)`.
        begins: what each output begins with, `(K,)`.
        reduce: maps features to fewer columns first, `(F, 64)`; None where it is not needed.
    """

    kind: ClassVar[str] = "trees"
    nodes: NDArray[np.int32]
    thresholds: Floats
    values: Floats
    missing_left: NDArray[np.bool_]
    roots: NDArray[np.int32]
    output: NDArray[np.int32]
    begins: Floats
    reduce: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, models: list[Any], reduce: NDArray[np.float32] | None = None) -> Trees:
        """Return the trees of scikit-learn's histogram models, their outputs side by side.

        A model of one number, or a classifier: its raw outputs, one a class (one for two classes).
        """
        parts: list[Any] = []
        roots, output, place, first = [], [], 0, 0
        begins = []
        for model in models:
            begin = np.asarray(model._baseline_prediction, np.float64).ravel()
            begins.append(begin)
            for together in model._predictors:
                for number, tree in enumerate(together):
                    parts.append((tree.nodes, place))
                    roots.append(place)
                    output.append(first + number)
                    place += len(tree.nodes)
            first += len(begin)
        nodes = np.concatenate([one for one, _ in parts])
        offset = np.concatenate([np.full(len(one), at) for one, at in parts])
        own, leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        if nodes["is_categorical"].any():
            raise NotImplementedError("a split of categories cannot be kept")
        children = [np.where(leaf, own, nodes[side] + offset) for side in ("left", "right")]
        return cls(
            np.stack([np.where(leaf, 0, nodes["feature_idx"]), *children], 1).astype(np.int32),
            nodes["num_threshold"].astype(np.float64),
            nodes["value"].astype(np.float64),
            nodes["missing_go_to_left"].astype(bool),
            np.array(roots, np.int32),
            np.array(output, np.int32),
            np.concatenate(begins),
            reduce,
        )

    def __call__(self, features: Any) -> Floats:
        """Return `(n, K)` of features `(n, F)`, dense or sparse."""
        x = self.dense(features, self.reduce)
        found = np.tile(self.begins, (len(x), 1))
        rows = np.arange(len(x))
        for root, output in zip(self.roots.tolist(), self.output.tolist(), strict=True):
            at = np.full(len(x), root)
            while True:
                feature, left, right = self.nodes[at].T
                asked = x[rows, feature]
                first = np.where(
                    np.isnan(asked), self.missing_left[at], asked <= self.thresholds[at]
                )
                below = np.where(first, left, right)
                if (below == at).all():
                    break
                at = below
            found[:, output] += self.values[at]
        return found

    @staticmethod
    def dense(features: Any, reduce: NDArray[np.float32] | None) -> Floats:
        """Return features as a dense matrix, mapped to fewer columns where there is a map."""
        if reduce is not None:
            return np.asarray(features @ reduce.astype(np.float64))
        return features.toarray() if hasattr(features, "toarray") else np.asarray(features)

    def to_state(self) -> State:
        """Return the trees as arrays."""
        names = ("nodes", "thresholds", "values", "missing_left", "roots", "output", "begins")
        arrays = {name: getattr(self, name) for name in names}
        return {}, arrays | ({} if self.reduce is None else {"reduce": self.reduce})

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Trees:
        """Return the trees that `to_state` described."""
        return cls(**arrays)


def boosting(train: Any, numbers: Floats, seed: int = 0) -> Trees:
    """Fit gradient boosted trees (histograms, as in LightGBM), one model for each target.

    Sparse features are first reduced to their leading singular vectors.

    >>> x = np.arange(200.0)[:, None]
    >>> y = np.where(x < 100, 0.0, 5.0)
    >>> boosting(x, y)(np.array([[20.0], [180.0]])).round(1).tolist()
    [[0.0], [5.0]]
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    reduce = None
    if hasattr(train, "toarray") and train.shape[1] > _DENSE:
        from sklearn.decomposition import TruncatedSVD

        fitted = TruncatedSVD(min(_DENSE, *(n - 1 for n in train.shape)), random_state=seed)
        reduce = fitted.fit(train).components_.T.astype(np.float32)
    dense = Trees.dense(train, reduce)
    models = [
        HistGradientBoostingRegressor(random_state=seed).fit(dense, column) for column in numbers.T
    ]
    return Trees.of(models, reduce)
