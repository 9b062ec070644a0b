"""New text of which training knew little."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from elman.data import Vocabulary
from elman.errors import PredictionWarning, warn

_TEXTS = 1000
"""Texts that are looked at."""
_MOST = 0.5
"""Share of unknown symbols up to which a text is like those of training."""


def warn_of_unknown(vocabulary: Vocabulary, texts: Iterable[str]) -> None:
    """Warn where most symbols of new texts are none that training knew.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warn_of_unknown(Vocabulary(["<unk>", "a", "dog"], "words"), ["a cat sat", "ein Hund"])
    >>> print(said[0].message)
    4 of 5 words here are unknown to the model: what it says of them means little.
    """
    count = unknown = 0
    for ids in vocabulary.encode_each(islice(texts, _TEXTS)):
        count += len(ids)
        unknown += int((ids == vocabulary.unk).sum())
    if unknown > _MOST * count:
        warn(
            f"{unknown:,} of {count:,} {vocabulary.unit} here are unknown to the model: what it "
            "says of them means little.",
            PredictionWarning,
        )
