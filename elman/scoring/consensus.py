"""The text that is most like the others: minimum Bayes risk decoding.

Kumar & Byrne 2004, "Minimum Bayes-risk decoding for statistical machine translation"; Eikema & Aziz
2020, "Is MAP decoding all you need?". The likeliest text may be like no other. If the texts that a
model holds possible were references, each with its probability, the text with the best expected
score would be chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.scoring.translations import CHARACTERS, Judge, chrf_of

Floats = NDArray[np.float64]


def alike(texts: Sequence[str], judge: Judge) -> Floats:
    """Return the score of each text against each as its reference, `(n, n)`, from 0 to 100.

    It is ROUGE-1 where the judge has ROUGE, else chrF of single texts.

    >>> alike(["a red dog", "a dog", "cats"], Judge(("rouge",))).round(1).tolist()
    [[100.0, 80.0, 0.0], [80.0, 100.0, 0.0], [0.0, 0.0, 100.0]]

    Args:
        texts: what is compared.
        judge: how texts are scored.
    """
    if "rouge" in judge.kinds:
        words = judge.words()
        ours, theirs, both = _counted([[Counter(words(text)) for text in texts]])
        return np.asarray(200 * both[0] / np.maximum(ours[0] + theirs[0], 1))
    each = [judge.characters(text) for text in texts]
    ours, theirs, both = _counted([[one[n] for one in each] for n in range(CHARACTERS)])
    # As sacrebleu: n-grams count only where the reference has some of that length.
    counts = np.stack((np.where(theirs > 0, ours, 0), theirs, both), -1)
    return chrf_of(np.moveaxis(counts, 0, -2).reshape(len(texts), len(texts), -1))


def expected(alike: Floats, chances: ArrayLike) -> Floats:
    """Return the score that each text has on average, `(n,)`.

    Args:
        alike: the score of each text against each, `(n, n)`.
        chances: how likely each is the reference, `(n,)`; they need not sum to 1.
    """
    weights = np.asarray(chances, np.float64)
    return np.asarray(alike @ (weights / (weights.sum() or 1.0)))


def _counted(orders: Sequence[Sequence[Counter[Any]]]) -> tuple[NDArray[np.int64], ...]:
    """Return how many n-grams each text has, each reference has, and both have, `(orders, n, n)`.

    Args:
        orders: for each length of n-grams, those of each text.
    """
    n = len(orders[0])
    both = np.zeros((len(orders), n, n), np.int64)
    ours = np.zeros_like(both)
    for order, bags in enumerate(orders):
        column: dict[Any, int] = {}
        for bag in bags:
            for gram in bag:
                column.setdefault(gram, len(column))
        table = np.zeros((n, len(column)), np.int32)
        for row, bag in enumerate(bags):
            table[row, [column[gram] for gram in bag]] = list(bag.values())
        for row in range(n):
            both[order, row] = np.minimum(table[row], table).sum(1)
        ours[order] = table.sum(1)[:, None]
    return ours, ours.transpose(0, 2, 1), both
