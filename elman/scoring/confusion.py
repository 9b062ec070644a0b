"""Right and wrong answers to a question of classes: scores, tables and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Counts = NDArray[np.int64]

READABLE = 20
"""Classes up to which a matrix of them can be read."""


def score(units: pd.DataFrame, classes: int) -> dict[str, float]:
    """Accuracy and macro F1 from columns `truth` and `prediction` (codes below `classes`).

    As scikit-learn's `accuracy_score` and `f1_score(average="macro")`, from one table of
    counts, so that hundreds of resamples take no time: the mean is over the classes that stand
    in the truth or the predictions.

    >>> import pandas as pd
    >>> score(pd.DataFrame({"truth": [0, 0, 1, 1], "prediction": [0, 0, 1, 0]}), 2)
    {'accuracy': 0.75, 'macro_f1': 0.7333333333333334}
    """
    table = counts(units, classes)
    right, seen = np.diag(table), table.sum(0) + table.sum(1)
    f1 = 2 * right[seen > 0] / seen[seen > 0]
    return {"accuracy": float(right.sum() / table.sum()), "macro_f1": float(f1.mean())}


def counts(units: pd.DataFrame, classes: int) -> Counts:
    """How often each true class (rows) was given each class (columns)."""
    pairs = units["truth"].to_numpy() * classes + units["prediction"].to_numpy()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_table(table: Counts, classes: Sequence[str]) -> pd.DataFrame:
    """Precision, recall and F1 of each class."""
    import pandas as pd

    right, given, truth = np.diag(table), table.sum(0), table.sum(1)
    return pd.DataFrame(
        {
            "class": list(classes),
            "test examples": truth,
            "precision": right / np.maximum(given, 1),
            "recall": right / np.maximum(truth, 1),
            "F1": 2 * right / np.maximum(given + truth, 1),
        }
    )


def most_confused(table: Counts, classes: Sequence[str]) -> pd.DataFrame:
    """The pairs of classes that were most often taken for each other."""
    import pandas as pd

    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    rows = [divmod(int(place), len(classes)) for place in order if wrong.flat[place]]
    return pd.DataFrame(
        [(classes[t], classes[p], int(wrong[t, p])) for t, p in rows],
        columns=["truth", "prediction", "times"],
    )


def surest(answers: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """The answers with the highest probability, without the probabilities of other classes."""
    found = answers.sort_values("probability", ascending=False, kind="stable").head(most)
    chosen = found[[c for c in found.columns if not c.startswith("p_")]].copy()
    if "text" in chosen:
        chosen["text"] = [t if len(t) <= 200 else t[:199] + "…" for t in chosen["text"]]
    return chosen


def figure(table: Counts, classes: Sequence[str]) -> Figure:
    """The counts, shaded by their share of the true class; of `READABLE` classes at most."""
    from matplotlib.figure import Figure

    size = 1.6 + 0.2 * len(classes)
    drawn = Figure(figsize=(5.8, size), layout="constrained")
    axes = drawn.add_subplot()
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(table), strict=True):
        ink = "white" if shares[row, column] > 0.5 else "#111111"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color=ink, size=8)
    ticks = range(len(classes))
    axes.set_xticks(ticks, list(classes), rotation=90, size=8)
    axes.set_yticks(ticks, list(classes), size=8)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    return drawn
