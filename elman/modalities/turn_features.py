"""Features of conversations for baselines: n-grams of the whole, of utterances, of neighbours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from elman.data.turns import Turn
from elman.modalities import ngrams
from elman.modalities.base import Array, Features

_AROUND = 2
"""Neighbours a side that a baseline sees beside an utterance."""
_WORD = re.compile(r"\w+|[^\w\s]")


class TurnGrams:
    """The n-grams of conversations.

    Args:
        unit: of the vocabulary; of characters the n-grams have up to four, of words up to two.
        speakers: those known by name, each of which is a gram of its utterances.
    """

    def __init__(self, unit: str, speakers: frozenset[str]) -> None:
        self.unit, self.speakers = unit, speakers

    def whole(self, cells: Sequence[Any]) -> Features:
        """Return features of whole conversations."""
        return ngrams.fitted({"analyzer": self._grams_of_all}, cells)

    def steps(self, cells: Sequence[Any], both_ways: bool) -> list[Features]:
        """Return features of each utterance alone, and with its neighbours.

        Args:
            cells: conversations.
            both_ways: whether those after an utterance are seen too.
        """
        alone = ngrams.fitted({"analyzer": self._grams_of_turn}, list(chain(*cells)))
        after = _AROUND if both_ways else 0
        return [
            self._around(alone, 0, 0, cells),
            self._around(alone, _AROUND, after, cells),
        ]

    def kept(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the features whose n-grams were kept."""
        if "before" not in facts:
            return ngrams.kept({"analyzer": self._grams_of_all}, arrays)
        alone = ngrams.kept({"analyzer": self._grams_of_turn}, arrays)
        return self._around(alone, facts["before"], facts["after"], None)

    def _around(
        self, alone: Features, before: int, after: int, cells: Sequence[Any] | None
    ) -> Features:
        """Return features of utterances beside those of their neighbours."""

        def of(cells: Sequence[Any]) -> Any:
            return around(alone.of(list(chain(*cells))), [len(c) for c in cells], before, after)

        words = "the utterance alone"
        if before:
            behind = f" and {after} after it" if after else ""
            words = f"the utterance with {before} before{behind or ' it'}"
        return Features(
            f"tf-idf + {{}} on {words}",
            None if cells is None else around(alone.train, [len(c) for c in cells], before, after),
            of,
            state=lambda: ({"before": before, "after": after}, alone.state()[1]),
        )

    def _grams_of_turn(self, one: Turn) -> list[str]:
        speaker = one.speaker if one.speaker in self.speakers else ""
        return [*self._grams(one.text), *([f"\0{speaker}"] if speaker else [])]

    def _grams_of_all(self, cell: Sequence[Turn]) -> list[str]:
        return [gram for one in cell for gram in self._grams(one.text)]

    def _grams(self, text: str) -> list[str]:
        if self.unit == "characters":
            padded = f" {' '.join(text.lower().split())} "
            sizes = range(1, 5)
            return [padded[k : k + n] for n in sizes for k in range(len(padded) - n + 1)]
        words = _WORD.findall(text.lower())
        return words + [f"{a} {b}" for a, b in pairwise(words)]


def around(features: Any, lengths: Sequence[int], before: int, after: int) -> Any:
    """Return features of steps beside those of their neighbours, which are 0 beyond an end.

    Args:
        features: sparse `(n, F)`, the steps of all sequences one after another.
        lengths: steps of each sequence; n in all.
        before, after: neighbours a side.

    Returns:
        Sparse `(n, (before + 1 + after) F)`: the step, those before it, those after it.

    >>> from scipy.sparse import csr_matrix
    >>> around(csr_matrix([[1.0], [2.0], [3.0]]), [2, 1], 1, 0).toarray().tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    """
    from scipy.sparse import csr_matrix, hstack

    if not before and not after:
        return features
    size = features.shape[0]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    rows = np.arange(size)
    parts = [features]
    for step in (*range(-1, -before - 1, -1), *range(1, after + 1)):
        there = rows + step
        kept = (there >= 0) & (there < size)
        kept[kept] = owner[there[kept]] == owner[kept]
        ones = np.ones(int(kept.sum()))
        parts.append(csr_matrix((ones, (rows[kept], there[kept])), shape=(size, size)) @ features)
    return hstack(parts).tocsr()
