"""Gradient boosted trees on numbers that sum up a series: how far that goes without its order.

To level, spread, trend and quantiles of each channel come how it resembles itself some steps later,
and at which period and how strongly it swings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.modalities.likeness import summary_features
from elman.scoring.baselines.linear import Labelled, State
from elman.scoring.baselines.numbers import Trees

Floats = NDArray[np.float64]
Series = NDArray[np.floating]

LAGS = (2, 3, 5, 10, 20)
"""Steps between which a series is compared with itself, beside 1."""
LEAVES = (20, 5)
"""Least examples in a leaf that are tried: 20 is usual, more than many a class of series has."""
_PEAKS = 2


@dataclass(frozen=True, eq=False)
class BoostedSummaries:
    """Boosted trees that see what `described` says of a series; they give a logit of each class.

    Attributes:
        trees: one sequence of trees a class; of two classes one, for the second.
        classes: the code of each class that training had, `(K,)`.
    """

    kind: ClassVar[str] = "boosted summaries"
    trees: Trees
    classes: NDArray[np.int64]

    @classmethod
    def fit(
        cls, train: Labelled[Series], valid: Labelled[Series] | None = None, seed: int = 0
    ) -> BoostedSummaries:
        """Grow trees for series `(steps, channels)` and the code of each one's class.

        The least leaf is chosen on the validation part; without one it is the usual 20.

        >>> x = [np.sin(np.arange(40.0) * (1 + i % 2))[:, None] for i in range(80)]
        >>> model = BoostedSummaries.fit(Labelled(x, np.arange(80) % 2))
        >>> model(x[:3]).argmax(1).tolist()
        [0, 1, 0]
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        features = described(train.inputs)
        models = [
            HistGradientBoostingClassifier(min_samples_leaf=leaf, random_state=seed).fit(
                features, train.labels
            )
            for leaf in (LEAVES if valid is not None and len(valid) else LEAVES[:1])
        ]
        model = models[0]
        if valid is not None and len(models) > 1:
            held = described(valid.inputs)
            model = max(models, key=lambda one: float(one.score(held, valid.labels)))
        return cls(Trees.of([model]), np.asarray(model.classes_, np.int64))

    def __call__(self, series: Sequence[Series]) -> Floats:
        """Return a logit of each class, `(n, K)`; of two classes the first has 0."""
        if not len(series):
            return np.empty((0, len(self.classes)))
        found = self.trees(described(series))
        return found if found.shape[1] > 1 else np.concatenate([np.zeros_like(found), found], 1)

    def to_state(self) -> State:
        """Return the trees as arrays."""
        facts, arrays = self.trees.to_state()
        return facts, arrays | {"classes": self.classes}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> BoostedSummaries:
        """Return what `to_state` described."""
        own = {name: array for name, array in arrays.items() if name != "classes"}
        return cls(Trees.from_state(facts, own), arrays["classes"])


def described(series: Sequence[Series]) -> Floats:
    """Return summary features, autocorrelations and spectral peaks of each channel, `(n, F)`.

    The autocorrelation at a lag beyond the series is 0. A peak is the share of the power at its
    frequency, and that frequency in cycles a step, the strongest first.

    >>> swing = np.sin(2 * np.pi * np.arange(64) / 8)[:, None]
    >>> described([swing])[0, -4:-2].round(3).tolist()
    [1.0, 0.125]
    """
    return np.concatenate([summary_features(series), np.stack(list(map(_swings, series)))], 1)


def _swings(one: Series) -> Floats:
    x = np.asarray(one, np.float64)
    x = x - x.mean(0)
    power = np.square(x).sum(0)
    whole = np.where(power > 0, power, 1.0)
    rows = [
        (x[lag:] * x[:-lag]).sum(0) / whole if lag < len(x) else np.zeros(x.shape[1])
        for lag in LAGS
    ]
    spectrum = np.square(np.abs(np.fft.rfft(x, axis=0)))
    spectrum /= np.where(power > 0, spectrum.sum(0), 1.0)
    order = np.argsort(-spectrum, axis=0, kind="stable")[:_PEAKS]
    for place in range(_PEAKS):
        if place < len(order):
            rows.append(np.take_along_axis(spectrum, order[place : place + 1], 0)[0])
            rows.append(np.where(power > 0, order[place] / len(x), 0.0))
        else:
            rows += [np.zeros(x.shape[1])] * 2
    return np.stack(rows).T.ravel()
