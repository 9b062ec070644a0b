"""The check that a label is used: does a document cost least under its own label?

Documents, and of long ones passages of them, are the units that texts with labels are judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.label_ngrams import Part
from elman.tasks.base import Section
from elman.tasks.generate.corpus import Tokens

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
Nats = NDArray[np.float64]

METRIC = "label_identity"
"""The share of documents or passages that cost least under their own label."""
SUMMED = ("nll", "count", "characters")
"""Columns of a unit that are summed."""
COSTED = 1_000_000
"""Symbols that are costed to tell labels apart, each as often as there are labels."""
PASSAGE = 1000
"""Symbols of a document that are one unit; a longer one has several."""
_NOT_ASKED = -1


def passages(tokens: Tokens) -> tuple[Ints, Ints]:
    """Return where each document or passage begins among the predicted tokens, and its label."""
    assert tokens.labels is not None
    counts = -(-tokens.lengths // PASSAGE)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    firsts: Ints = np.repeat(tokens.starts, counts) + PASSAGE * within
    return firsts, np.repeat(tokens.labels, counts)


def of_label(tokens: Tokens, code: int) -> Part:
    """Return the documents of a label: tokens, where they begin, where each token stood."""
    assert tokens.labels is not None
    own, places = tokens.documents(np.flatnonzero(tokens.labels == code))
    return own.ids, own.starts, places


@dataclass(frozen=True)
class Trial:
    """Documents, or the beginnings of some, that are costed under every label.

    Attributes:
        tokens: of the documents.
        of: the unit of each predicted token.
        units: how many units there are in all.
        memos: for each label, what is known of costs under it.
    """

    tokens: Tokens
    of: Ints
    units: int
    memos: list[dict[Any, Nats]]

    @classmethod
    def drawn(cls, tokens: Tokens, labels: int, seed: int) -> Trial | None:
        """Draw as many documents as can be afforded, and of long ones the first passages.

        None where there are no labels.
        """
        if not labels:
            return None
        quota = max(PASSAGE, COSTED // labels)
        order = np.random.default_rng(seed).permutation(len(tokens.starts))
        most = max(PASSAGE, quota // len(order) // PASSAGE * PASSAGE)
        sizes = np.minimum(tokens.lengths[order], most)
        chosen = np.sort(order[np.cumsum(sizes) - sizes < quota])
        some, places = tokens.documents(chosen, np.full(len(chosen), most))
        firsts, _ = passages(tokens)
        units = np.searchsorted(firsts, places, side="right") - 1
        return cls(some, units, len(firsts), [{} for _ in range(labels)])

    def cheapest(self, nats: Callable[[Tokens, dict[Any, Nats]], Nats]) -> Ints:
        """Return the label under which each unit costs least; -1 where it was not asked.

        Args:
            nats: gives the cost of each token; takes a memo of what is known.
        """
        found = np.empty((len(self.memos), self.units))
        for code, memo in enumerate(self.memos):
            given = replace(self.tokens, labels=np.full(len(self.tokens.starts), code))
            found[code] = np.bincount(self.of, nats(given, memo), minlength=self.units)
        best: Ints = found.argmin(0)
        best[np.bincount(self.of, minlength=self.units) == 0] = _NOT_ASKED
        return best


def share(units: pd.DataFrame) -> float:
    """Return the share of the units asked that cost least under their own label."""
    asked = units["cheapest"].to_numpy() != _NOT_ASKED
    right = units["cheapest"].to_numpy() == units["label"].to_numpy()
    return float(right[asked].mean()) if asked.any() else float("nan")


def sums(units: pd.DataFrame, labels: int) -> list[dict[str, float]]:
    """Return cost and size of the units of each label."""
    codes = units["label"].to_numpy()
    columns = [np.bincount(codes, units[name].to_numpy(), minlength=labels) for name in SUMMED]
    return [dict(zip(SUMMED, row, strict=True)) for row in np.stack(columns, 1).tolist()]


def section(
    units: pd.DataFrame,
    labels: Sequence[str],
    score: Callable[[Mapping[str, float]], dict[str, float]],
) -> Section:
    """Return how the text of each label fared, and which other label it was taken for.

    Args:
        units: of the model on the test part.
        labels: by their codes.
        score: from cost and size to metrics.
    """
    import pandas as pd

    rows = []
    for code, (name, own) in enumerate(zip(labels, sums(units, len(labels)), strict=True)):
        mine = units[(units["label"] == code) & (units["cheapest"] != _NOT_ASKED)]
        others = mine["cheapest"][mine["cheapest"] != code].value_counts()
        taken = f"{labels[int(others.index[0])]} ({others.iloc[0]})" if len(others) else ""
        scores = score(own) if own["count"] else {}
        rows.append(
            {"label": name, "test symbols": int(own["count"])}
            | {metric.replace("_", " "): value for metric, value in scores.items()}
            | {"asked": len(mine), "own label costs least": share(mine), "else mostly": taken}
        )
    text = (
        "The text of each label in the test part. To see that the label is used, documents (of "
        f"long ones passages of {PASSAGE:,} symbols) are costed under every label: the share of "
        "them that cost least under their own."
    )
    return Section("Labels", text, pd.DataFrame(rows))


def stretches(
    tokens: Tokens, steps: int, rows: int, generator: np.random.Generator
) -> tuple[int, Ints]:
    """Return steps, and where as many of `rows` stretches begin that lie in a document each.

    There are fewer steps where documents are shorter.
    """
    lengths = tokens.lengths
    steps = min(steps, int(np.quantile(lengths, 0.75)))
    able = np.flatnonzero(lengths >= steps)
    chosen = generator.choice(able, rows, p=lengths[able] / lengths[able].sum())
    within = generator.integers(0, lengths[chosen] - steps + 1)
    return steps, np.sort(tokens.starts[chosen] + within)
