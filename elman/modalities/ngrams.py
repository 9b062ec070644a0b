"""Counts of n-grams as features of a text, fitted once and kept as arrays.

The words or characters are counted by scikit-learn; the tf-idf weights are its
`TfidfVectorizer(sublinear_tf=True)` from the same counts, so that a text is split once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.modalities.base import Array, Features

_MANY = 20_000
"""Texts from which n-grams that stand in one of them only are left out: they are most of all, and
nothing is learnt from them."""


class NGrams:
    """N-grams of a training part: the column of each, and how rare it is.

    Args:
        how: arguments of scikit-learn's `CountVectorizer` that say what an n-gram is.
        terms: each n-gram and its column.
        rarity: the inverse document frequency of each column, `(F,)`.
    """

    def __init__(
        self, how: Mapping[str, Any], terms: Mapping[str, int], rarity: NDArray[np.float64]
    ) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self.how, self.terms, self.rarity = dict(how), dict(terms), rarity
        self._counter = CountVectorizer(**how, vocabulary=self.terms, dtype=np.float64)

    def counted(self, cells: Sequence[Any]) -> Any:
        """Return how often each n-gram stands in each cell, sparse `(n, F)`."""
        return self._counter.transform(cells)

    def weighted(self, counts: Any) -> Any:
        """Return tf-idf weights of counts: 1 + log of the count, times rarity, of length 1."""
        from sklearn.preprocessing import normalize

        found = counts.copy()
        found.data = (np.log(found.data) + 1) * self.rarity[found.indices]
        return normalize(found, copy=False)

    def to_arrays(self) -> dict[str, Array]:
        """Return everything that `from_arrays` needs beside `how`."""
        ordered = [term.encode("utf-8", "surrogatepass") for term in sorted(self.terms)]
        columns = np.array([self.terms[term] for term in sorted(self.terms)], np.int32)
        return {
            "terms": np.frombuffer(b"".join(ordered), np.uint8),
            "lengths": np.array([len(term) for term in ordered], np.int32),
            "columns": columns,
            "rarity": self.rarity,
        }

    @classmethod
    def from_arrays(cls, how: Mapping[str, Any], arrays: Mapping[str, Array]) -> NGrams:
        """Return the n-grams that `to_arrays` described."""
        written, ends = arrays["terms"].tobytes(), np.cumsum(arrays["lengths"]).tolist()
        begins = [0, *ends[:-1]]
        terms = {
            written[begin:end].decode("utf-8", "surrogatepass"): column
            for begin, end, column in zip(begins, ends, arrays["columns"].tolist(), strict=True)
        }
        return cls(how, terms, arrays["rarity"])


def fitted(how: Mapping[str, Any], cells: Sequence[Any]) -> Features:
    """Return tf-idf weights of the n-grams of training cells, and their presence as counts."""
    from sklearn.feature_extraction.text import CountVectorizer

    least = 2 if len(cells) > _MANY else 1
    counter = CountVectorizer(**how, min_df=least, dtype=np.float64)
    counts = counter.fit_transform(cells)
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = np.log((1 + counts.shape[0]) / (1 + frequency)) + 1
    return _features(NGrams(how, counter.vocabulary_, rarity), counts)


def kept(how: Mapping[str, Any], arrays: Mapping[str, Array]) -> Features:
    """Return the features of which `Features.arrays` were kept."""
    return _features(NGrams.from_arrays(how, arrays), None)


def _features(ngrams: NGrams, counts: Any) -> Features:
    train = None if counts is None else ngrams.weighted(counts)
    present = None if counts is None else _presence(counts)
    return Features(
        "tf-idf + {}",
        train,
        lambda cells: ngrams.weighted(ngrams.counted(cells)),
        counts=Features("{} on n-grams", present, lambda cells: _presence(ngrams.counted(cells))),
        state=lambda: ({}, ngrams.to_arrays()),
    )


def _presence(counts: Any) -> Any:
    found = counts.copy()
    found.data = np.ones_like(found.data)
    return found
