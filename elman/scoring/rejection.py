"""Where a classifier says "none of these": scores of being in scope, thresholds, and the trade.

The score is the calibrated probability of the likeliest class (Hendrycks & Gimpel 2017, "A
baseline for detecting misclassified and out-of-distribution examples"), or the logarithm of the
sum of all exponentiated scores (Liu et al. 2020, "Energy-based out-of-distribution detection").
Which, and below which value an answer is refused, is found on held-out examples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.scoring import confusion

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Floats = NDArray[np.floating]
By = Literal["confidence", "energy", "own class"]

KEPT = 0.95
"""Share of right answers that are still given where no example of no class was held out."""
REFUSED = 0.95
"""Share of the examples of no class at which accuracy in scope is told."""
_SHARES = (0.0, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Rejection:
    """The rule by which answers are refused.

    Attributes:
        by: the score: `confidence`, `energy`, or one less the probability of a class that stands
            for "none of these" (`own class`).
        least: answers whose score is below it are refused.
    """

    by: By
    least: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def energy(scores: Array) -> Floats:
    """Return the logarithm of the sum of exponentiated scores, `(n,)`.

    >>> energy(np.array([[0.0, 0.0]])).round(4).tolist()
    [0.6931]
    """
    from scipy.special import logsumexp

    found: Floats = logsumexp(np.asarray(scores, np.float64), axis=1)
    return found


def found_on(
    scores: dict[By, Floats], right: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> Rejection:
    """Return the rule that is best on held-out examples.

    With examples of no class it is the score that parts them best from the others (AUROC), and the
    threshold of the largest sum of the share in scope that is answered rightly and the share of
    the others that is refused. Without, it is the score that parts right from wrong answers best,
    and the threshold above which 95 % of the right ones lie.

    Args:
        scores: each one's values, `(n,)`.
        right: whether the likeliest class is the true one.
        inside: whether an example is of a class at all.
    """
    some = bool((~inside).any() and inside.any())
    apart = inside if some else right
    values = {by: auroc(score, apart) for by, score in scores.items()}
    by = max(values, key=lambda name: np.nan_to_num(values[name], nan=0.0))
    score = scores[by]
    if not some:
        kept = score[right] if right.any() else score
        return Rejection(by, float(np.quantile(kept, 1 - KEPT)))
    edges = np.unique(score)
    cuts = np.concatenate([[edges[0]], (edges[1:] + edges[:-1]) / 2])
    given = np.sort(score[inside & right])
    others = np.sort(score[~inside])
    gain = (len(given) - np.searchsorted(given, cuts)) / inside.sum()
    gain = gain + np.searchsorted(others, cuts) / len(others)
    return Rejection(by, float(cuts[int(gain.argmax())]))


def auroc(score: Array, positive: NDArray[np.bool_]) -> float:
    """Return how often a positive has a higher score than a negative; equal ones count half.

    >>> auroc(np.array([1.0, 2.0, 2.0]), np.array([False, True, False]))
    0.75
    """
    _, rank = np.unique(score, return_inverse=True)
    return _auroc(_counts(rank[~positive], len(score)), _counts(rank[positive], len(score)))


def units(truth: Array, best: Array, codes: Array, score: Array, classes: int) -> dict[str, Array]:
    """Return columns of which `scored` makes the scores.

    Args:
        truth: the class of each, `classes` where it is of none, `(n,)`.
        best: the likeliest class.
        codes: the answer: the class, or `classes` where it is refused.
        score: of being in scope.
        classes: how many there are.
    """
    return {
        "truth": truth,
        "prediction": codes,
        "best": best,
        "inside": truth < classes,
        "rank": np.unique(score, return_inverse=True)[1],
    }


def scored(rows: pd.DataFrame, classes: int, outside: bool) -> dict[str, float]:
    """Return accuracy and macro F1 in scope, nothing refused; then what refusing does.

    Args:
        rows: with the columns of `units`.
        classes: how many there are.
        outside: whether there are examples of no class among all rows.

    Returns:
        `accuracy`, `macro_f1`; `overall_accuracy`, the share of all rows that are answered rightly,
        where refusing is right for those of no class; with `outside` also `rejection_auroc` and
        `accuracy_at_95`, the share in scope that is given a right answer where the threshold
        refuses 95 % of the others.
    """
    inside = rows["inside"].to_numpy()
    truth, rank = rows["truth"].to_numpy(), rows["rank"].to_numpy()
    own = rows[inside].assign(prediction=rows["best"][inside])
    found = {"accuracy": float("nan"), "macro_f1": float("nan")}
    if inside.any():
        found = confusion.score(own, classes)
    if outside:
        size = int(rank.max()) + 1
        others, ours = _counts(rank[~inside], size), _counts(rank[inside], size)
        right = _counts(rank[inside & (rows["best"].to_numpy() == truth)], size)
        found["rejection_auroc"] = _auroc(others, ours)
        found["accuracy_at_95"] = _at(others, ours, right, REFUSED)
    found["overall_accuracy"] = float(np.mean(rows["prediction"].to_numpy() == truth))
    return found


def trade(score: Array, right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> pd.DataFrame:
    """Return what each threshold refuses and gives.

    Returns:
        `none refused` (share of the examples of no class), `score` (the threshold), `answered`
        (share in scope), `right` (share in scope that is given a right answer).
    """
    import pandas as pd

    others = np.sort(score[~inside])
    rows = []
    for share in _SHARES:
        count = int(np.ceil(share * len(others)))
        least = -np.inf if not count else float(np.nextafter(others[count - 1], np.inf))
        given = score >= least
        rows.append(
            (
                float((others < least).mean()),
                float(score.min()) if not count else least,
                float(given[inside].mean()),
                float((given & right)[inside].mean()),
            )
        )
    names = ["none refused", "score", "answered", "right"]
    return pd.DataFrame(rows, columns=names).drop_duplicates("none refused")


def _counts(ranks: Array, size: int) -> Floats:
    return np.bincount(ranks, minlength=size).astype(np.float64)


def _auroc(negatives: Floats, positives: Floats) -> float:
    pairs = negatives.sum() * positives.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / pairs)


def _at(others: Floats, ours: Floats, right: Floats, share: float) -> float:
    if not others.sum() or not ours.sum():
        return float("nan")
    last = int(np.searchsorted(np.cumsum(others), share * others.sum() - 1e-9))
    return float(right[last + 1 :].sum() / ours.sum())
