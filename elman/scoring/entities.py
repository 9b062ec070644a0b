"""How good tags are: strict scores of spans, scores of steps and of segments, and calibration.

An entity is right if its label and both ends are. These are the counts of conlleval (Tjong Kim
Sang & Buchholz 2000) on legal tags, and of seqeval in strict mode, which the tests compare; they
are kept for each sentence, so that resampling sentences takes no time. seqeval itself is not
needed to run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.data.tagging import Span, segments
from elman.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Overlaps at which segments are scored (Lea et al. 2017).
OVERLAPS = (0.1, 0.25, 0.5)
_COUNTS = ("truth", "found", "right")


def entity_units(truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> pd.DataFrame:
    """Count, for each sentence and label, the entities there are, those found, and those right.

    Args:
        truth: the spans of each sentence.
        found: the predicted spans of the same sentences.

    Returns:
        One row a sentence, for `scores` and `by_label`; columns `(count, label)`, where count is
        `"truth"`, `"found"` or `"right"`.

    >>> units = entity_units([[Span(0, 2, "PER")]], [[Span(0, 2, "PER"), Span(3, 4, "LOC")]])
    >>> scores(units)["precision"]
    0.5

    Raises:
        InputError: not as many sentences were predicted as there are.
    """
    _same(truth, found)
    return _units(
        (
            Counter(span.label for span in set(one)),
            Counter(span.label for span in set(other)),
            Counter(span.label for span in set(one) & set(other)),
        )
        for one, other in zip(truth, found, strict=True)
    )


def step_units(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Count, for each sequence and label, the steps that have it, that were given it, or both.

    As `entity_units`, for plain labels: parts of speech, activities. The `f1` of `scores` is then
    the accuracy.

    >>> units = step_units([["walk", "sit", "sit"]], [["walk", "walk", "sit"]])
    >>> round(scores(units)["macro_f1"], 3)
    0.667

    Raises:
        InputError: sequences are not equally many, or not equally long.
    """
    _same(truth, found)
    for place, (one, other) in enumerate(zip(truth, found, strict=True)):
        if len(one) != len(other):
            raise InputError(
                f"Sequence {place} has {len(one)} labels, and {len(other)} were predicted."
            )
    return _units(
        (
            Counter(one),
            Counter(other),
            Counter(a for a, b in zip(one, other, strict=True) if a == b),
        )
        for one, other in zip(truth, found, strict=True)
    )


def scores(units: pd.DataFrame) -> dict[str, float]:
    """Precision, recall and F1 over all labels together (micro), and the mean F1 of labels.

    Args:
        units: from `entity_units` or `step_units`, all rows or a resample of them.

    Returns:
        `precision`, `recall`, `f1`, `macro_f1`, each 0 where there is nothing to divide by. The
        mean is over the labels that stand in the truth or the predictions.

    >>> scores(entity_units([[Span(0, 1, "A")]], [[]]))
    {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'macro_f1': 0.0}
    """
    truth, found, right = _sums(units)
    both = (truth + found) > 0
    f1 = 2 * right[both] / (truth + found)[both]
    return {
        "precision": _ratio(right.sum(), found.sum()),
        "recall": _ratio(right.sum(), truth.sum()),
        "f1": _ratio(2 * right.sum(), truth.sum() + found.sum()),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
    }


def by_label(units: pd.DataFrame) -> pd.DataFrame:
    """Tabulate precision, recall and F1 of each label, the commonest in the truth first.

    >>> by_label(entity_units([[Span(0, 1, "A")]], [[Span(0, 1, "A")]])).to_dict("records")
    [{'label': 'A', 'truth': 1, 'found': 1, 'right': 1, 'precision': 1.0, 'recall': 1.0, 'F1': 1.0}]
    """
    import pandas as pd

    truth, found, right = _sums(units)
    labels = list(units["truth"].columns) if len(units.columns) else []
    table = pd.DataFrame(
        {
            "label": pd.Series(labels, dtype=object),
            "truth": truth,
            "found": found,
            "right": right,
            "precision": right / np.maximum(found, 1),
            "recall": right / np.maximum(truth, 1),
            "F1": 2 * right / np.maximum(truth + found, 1),
        }
    )
    table = table[(table["truth"] + table["found"]) > 0]
    return table.sort_values(["truth", "label"], ascending=[False, True], ignore_index=True)


def token_accuracy(found: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]) -> float:
    """The share of tokens, or steps, that were given their label.

    >>> token_accuracy([["a", "b"], ["a"]], [["a", "a"], ["a"]])
    0.6666666666666666
    """
    pairs = [
        one == other
        for a, b in zip(found, truth, strict=True)
        for one, other in zip(a, b, strict=True)
    ]
    return float(np.mean(pairs)) if pairs else 0.0


def segment_units(
    truth: Sequence[Sequence[str]],
    found: Sequence[Sequence[str]],
    *,
    background: Sequence[str] = (),
) -> pd.DataFrame:
    """Count the segments of each sequence that were found, at each overlap of `OVERLAPS`.

    A segment is a run of equal labels. A predicted one is right if the true segment of the same
    label that it overlaps best is overlapped by at least the share (intersection over union) and
    was not found by an earlier one (Lea et al. 2017). The edit score compares the orders of the
    labels alone: 1 less the Levenshtein distance over the longer of the two (Lea et al. 2016).

    Args:
        truth: the label of each step of each sequence.
        found: the predicted labels.
        background: labels whose segments are not counted.

    Returns:
        One row a sequence, for `segment_scores`: `truth`, `found`, `edit` and `right@…`.

    Raises:
        InputError: sequences are not equally many, or not equally long.
    """
    import pandas as pd

    step_units(truth, found)  # refuses unequal lengths
    rows = []
    for one, other in zip(truth, found, strict=True):
        real = [span for span in segments(one) if span.label not in background]
        given = [span for span in segments(other) if span.label not in background]
        row: dict[str, float] = {
            "truth": len(real),
            "found": len(given),
            "edit": _edit_score([s.label for s in real], [s.label for s in given]),
        }
        for share in OVERLAPS:
            row[f"right@{share}"] = _overlapping(real, given, share)
        rows.append(row)
    return pd.DataFrame(rows)


def segment_scores(units: pd.DataFrame) -> dict[str, float]:
    """The F1 of segments at each overlap, and the mean edit score, from `segment_units`.

    >>> segment_scores(segment_units([["a", "a", "b", "b"]], [["a", "b", "b", "b"]]))
    {'segment_f1@0.1': 1.0, 'segment_f1@0.25': 1.0, 'segment_f1@0.5': 1.0, 'edit': 1.0}
    """
    total = float(units["truth"].sum() + units["found"].sum())
    found = {
        f"segment_f1@{share}": _ratio(2 * float(units[f"right@{share}"].sum()), total)
        for share in OVERLAPS
    }
    return found | {"edit": float(units["edit"].mean())}


def reliability(stated: ArrayLike, right: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Tabulate, for each bin of stated probability, the share of answers that were right.

    Args:
        stated: the probability that was given for each answer, `(n,)`.
        right: whether it was right, `(n,)`.
        bins: bins of equal width between 0 and 1; each holds its upper end.

    Returns:
        One row a bin: `low`, `high`, `count`, `stated` (the mean) and `right` (the share), both
        NaN where the bin is empty.

    >>> reliability([0.95, 0.85, 0.85], [True, True, False], bins=2)["right"].round(2).tolist()
    [nan, 0.67]

    Raises:
        InputError: the two differ in length, or a probability does not lie between 0 and 1.
    """
    import pandas as pd

    p, hits = _calibration_inputs(stated, right)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, p, bins) / count
        shares = np.bincount(place, hits, bins) / count
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "count": count, "stated": means, "right": shares}
    )


def calibration_error(stated: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """The expected calibration error: the mean gap of `reliability`, weighted by count.

    Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017. NaN where there is nothing.

    >>> round(calibration_error([0.9, 0.9], [True, False]), 3)
    0.4

    Raises:
        InputError: as `reliability`.
    """
    table = reliability(stated, right, bins).query("count > 0")
    if not len(table):
        return float("nan")
    gaps = (table["stated"] - table["right"]).abs()
    return float((gaps * table["count"]).sum() / table["count"].sum())


def _units(rows: object) -> pd.DataFrame:
    import pandas as pd

    counted: list[tuple[Counter[str], ...]] = list(rows)  # type: ignore[call-overload]
    labels = sorted({label for row in counted for counter in row for label in counter})
    cells = np.array(
        [[counter[label] for counter in row for label in labels] for row in counted], np.int64
    ).reshape(len(counted), len(_COUNTS) * len(labels))
    columns = pd.MultiIndex.from_product([_COUNTS, labels], names=["count", "label"])
    return pd.DataFrame(cells, columns=columns)


def _sums(units: pd.DataFrame) -> NDArray[np.int64]:
    """Truth, found and right for each label, `(3, labels)`."""
    total: NDArray[np.int64] = units.to_numpy().sum(0).reshape(len(_COUNTS), -1)
    return total


def _same(truth: Sequence[object], found: Sequence[object]) -> None:
    if len(truth) != len(found):
        raise InputError(f"{len(found)} sequences were predicted; there are {len(truth)}.")


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else 0.0


def _overlapping(real: list[Span], given: list[Span], share: float) -> int:
    hit = [False] * len(real)
    for one in given:
        best, place = 0.0, -1
        for at, other in enumerate(real):
            common = min(one.end, other.end) - max(one.start, other.start)
            union = max(one.end, other.end) - min(one.start, other.start)
            if one.label == other.label and common / union > best:
                best, place = common / union, at
        if best >= share and not hit[place]:
            hit[place] = True
    return sum(hit)


def _edit_score(real: list[str], given: list[str]) -> float:
    """1 less the Levenshtein distance over the longer length; 1 where both are empty."""
    longest = max(len(real), len(given))
    if not longest:
        return 1.0
    above = list(range(len(given) + 1))
    for row, one in enumerate(real, 1):
        current = [row]
        for column, other in enumerate(given, 1):
            changed = above[column - 1] + (one != other)
            current.append(min(changed, above[column] + 1, current[-1] + 1))
        above = current
    return 1 - above[-1] / longest


def _calibration_inputs(
    stated: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, hits = np.asarray(stated, np.float64), np.asarray(right, np.float64)
    if p.shape != hits.shape or p.ndim != 1:
        raise InputError(f"{p.shape} probabilities were given for {hits.shape} answers.")
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"{p[~((p >= 0) & (p <= 1))][0]} is no probability.")
    return p, hits
