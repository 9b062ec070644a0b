"""Answers of several labels: what is said, thresholds, scores, and a table of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring import calibration

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Floats = NDArray[np.float64]

FEW = 10
"""Held-out examples of a label below which it shares the threshold of all labels: on fewer the
best threshold is mostly luck."""


@dataclass(frozen=True, eq=False)
class LabelScores:
    """The labels of some sequences, as a model or a baseline says.

    Attributes:
        scores: of each label, `(n, K)`; divided by `temperature`, the logits of their
            probabilities.
        thresholds: the probability from which each label is given, `(K,)`.
        temperature: found on the validation part, or 1.
        stated: whether the probabilities mean what they say; margins without a temperature do not.
        never_empty: each example has a label: where none is above its threshold, the nearest.

    >>> said = LabelScores(np.array([[2.0, -1.0], [-1.0, -3.0]]), np.array([0.5, 0.5]))
    >>> said.chosen.tolist()
    [[True, False], [True, False]]
    """

    scores: Array
    thresholds: Floats
    temperature: float = 1.0
    stated: bool = True
    never_empty: bool = True

    @cached_property
    def chances(self) -> Array:
        """The probability of each label, `(n, K)`."""
        return chances(self.scores, self.temperature)

    @cached_property
    def chosen(self) -> NDArray[np.bool_]:
        """The labels that are given, `(n, K)`."""
        found: NDArray[np.bool_] = self.chances >= self.thresholds
        if self.never_empty and len(found):
            none = ~found.any(1)
            nearest = (self.chances / np.maximum(self.thresholds, 1e-9)).argmax(1)
            found[none, nearest[none]] = True
        return found


def chances(scores: Array, temperature: float = 1.0) -> Array:
    """Return the logistic function of scores that are divided by a temperature."""
    from scipy.special import expit

    found: Array = expit(np.asarray(scores, np.float64) / temperature)
    return found


def logits(chances: Array) -> Floats:
    """Return scores of which `chances` gives these probabilities."""
    from scipy.special import logit

    found: Floats = logit(np.asarray(chances, np.float64))
    return found


def temperature(scores: Array, truth: Array) -> float:
    """Return the temperature at which the labels of held-out examples are likeliest.

    Args:
        scores: of each label, `(n, K)`.
        truth: whether each example has it, `(n, K)`.
    """
    flat = np.asarray(scores, np.float64).ravel()
    finite = np.isfinite(flat)
    if not finite.any():
        return 1.0
    two = np.stack([np.zeros(int(finite.sum())), flat[finite]], 1)
    return calibration.temperature(two, np.asarray(truth, np.int64).ravel()[finite])


def thresholds(chances: Array, truth: Array) -> Floats:
    """Return the probability from which each label is to be given, by F1 on held-out examples.

    A label that too few of them have shares the threshold at which micro F1 of all is best.

    Args:
        chances: of each label, `(n, K)`.
        truth: whether each example has it, `(n, K)`.

    >>> thresholds(np.array([[0.9], [0.3], [0.2]]), np.array([[1], [1], [0]])).tolist()
    [0.25]
    """
    known = np.asarray(truth, bool)
    common = best_cut(chances.ravel(), known.ravel())
    own = known.sum(0)
    return np.array(
        [
            best_cut(chances[:, k], known[:, k]) if own[k] >= FEW else common
            for k in range(known.shape[1])
        ]
    )


def best_cut(chances: Array, truth: NDArray[np.bool_]) -> float:
    """Return the threshold of the best F1, half-way between two probabilities."""
    if not truth.any():
        return 0.5
    order = np.argsort(-chances, kind="stable")
    sorted_, hits = np.asarray(chances, np.float64)[order], np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    below = np.append(sorted_[1:], 0.0)
    f1[:-1][sorted_[1:] == sorted_[:-1]] = -1.0  # between equal ones there is no cut
    place = int(f1.argmax())
    return float((sorted_[place] + below[place]) / 2)


class Judged:
    """Answers beside the truth; called with rows of them it gives their scores.

    Micro and macro F1 as scikit-learn's `f1_score`, average precision as its
    `average_precision_score`, from counts that were made once, so that hundreds of resamples take
    no time. Means over labels are over those that stand in truth or answers (F1), or in the truth
    (average precision).

    Args:
        said: the answers.
        truth: whether each example has each label, `(n, K)`.
        unknown: whether each example has each label that training never had, `(n, U)`. They are
            missed: their F1 is 0. No average precision counts them, for they have no scores.
    """

    def __init__(self, said: LabelScores, truth: Array, unknown: Array) -> None:
        self.said, self.truth = said, np.asarray(truth, bool)
        self.unknown = np.asarray(unknown, np.float64)
        chosen = said.chosen
        self._counts = {
            "hits": (self.truth & chosen).astype(np.float64),
            "given": chosen.astype(np.float64),
            "own": self.truth.astype(np.float64),
        }
        self.right = (self.truth == chosen).all(1) & ~self.unknown.any(1)
        self._order = np.argsort(-said.scores, axis=0, kind="stable")
        ranked = np.take_along_axis(said.scores, self._order, 0)
        self._own = np.take_along_axis(self.truth, self._order, 0)
        # The last place of each group of equal scores, which one threshold cannot part.
        places = np.arange(len(ranked))[:, None]
        closes = np.ones(ranked.shape, bool)
        closes[:-1] = ranked[1:] != ranked[:-1]
        ends = np.where(closes, places, len(ranked))
        self._ends = np.minimum.accumulate(ends[::-1], 0)[::-1]

    def __call__(self, units: pd.DataFrame) -> dict[str, float]:
        """Return the scores of the rows whose numbers stand in the column `row`."""
        times = np.bincount(units["row"].to_numpy(), minlength=len(self.truth)).astype(np.float64)
        hits, given, own = (times @ self._counts[name] for name in ("hits", "given", "own"))
        missed = times @ self.unknown
        seen, there = own + given > 0, own > 0
        whole = float((own + given).sum() + missed.sum())
        labels = int(seen.sum() + (missed > 0).sum())
        precision = self.average_precision(times)
        return {
            "micro_f1": 2 * float(hits.sum()) / whole if whole else float("nan"),
            "macro_f1": float((2 * hits[seen] / (own + given)[seen]).sum()) / labels
            if labels
            else float("nan"),
            "average_precision": float(precision[there].mean()) if there.any() else float("nan"),
            "exact_match": float(times @ self.right / times.sum()),
        }

    def average_precision(self, times: Floats) -> Floats:
        """Return the average precision of each label, `(K,)`; 0 where no example has it.

        Args:
            times: how often each example counts, `(n,)`.
        """
        weight = times[self._order]
        own = weight * self._own
        share = np.cumsum(own, 0) / np.maximum(np.cumsum(weight, 0), 1e-12)
        share = np.take_along_axis(share, self._ends, 0)
        found: Floats = (own * share).sum(0) / np.maximum(own.sum(0), 1e-12)
        return found


def label_table(judged: Judged, classes: Sequence[str]) -> pd.DataFrame:
    """Return how each label fared, the commonest first; average precision by scikit-learn."""
    import pandas as pd
    from sklearn.metrics import average_precision_score

    truth, chosen, said = judged.truth, judged.said.chosen, judged.said
    hits, own, given = (truth & chosen).sum(0), truth.sum(0), chosen.sum(0)
    finite = np.nan_to_num(said.scores.astype(np.float64), posinf=1e300, neginf=-1e300)
    precision = [
        float(average_precision_score(truth[:, k], finite[:, k])) if own[k] else float("nan")
        for k in range(len(classes))
    ]
    table = pd.DataFrame(
        {
            "label": list(classes),
            "test examples": own,
            "given": given,
            "precision": hits / np.maximum(given, 1),
            "recall": hits / np.maximum(own, 1),
            "F1": 2 * hits / np.maximum(own + given, 1),
            "average precision": precision,
            "threshold": said.thresholds,
        }
    )
    return table.sort_values("test examples", ascending=False, kind="stable")


def mixed(model: LabelScores, other: LabelScores, weight: float) -> LabelScores:
    """Return the mixture of probabilities, and of the thresholds with the same weight."""
    both = weight * model.chances + (1 - weight) * other.chances
    cut = weight * model.thresholds + (1 - weight) * other.thresholds
    return LabelScores(logits(both), cut, 1.0, True, model.never_empty)


def taken_up(about: Mapping[str, Any], size: int) -> tuple[float, Floats, bool]:
    """Return temperature and thresholds that were kept as JSON, and whether there were any."""
    if about["temperature"] is None:
        return 1.0, np.full(size, 0.5), False
    return about["temperature"], np.array(about["thresholds"]), True


def settled(scores: Array, truth: Array) -> dict[str, Any]:
    """Return temperature and thresholds as found on held-out examples, as plain JSON values."""
    found = temperature(scores, truth)
    return {
        "temperature": found,
        "thresholds": thresholds(chances(scores, found), truth).tolist(),
    }
