"""A column or a word that tells the answer by itself is found, and no other is named."""

from __future__ import annotations

import numpy as np

from elman.scoring.leaks import telling_columns, telling_words


def test_the_column_that_tells_is_named():
    rng = np.random.default_rng(0)
    labels = [str(i % 3) for i in range(120)]
    arrays = [
        np.stack([rng.normal(size=9), np.full(9, float(label)), rng.normal(size=9)], 1)
        for label in labels
    ]
    found = telling_columns(["a", "b", "c"], arrays[:80], labels[:80], arrays[80:], labels[80:])
    assert found == ["b"]


def test_words_that_tell_are_named_and_chance_is_not():
    rng = np.random.default_rng(0)
    labels = [str(i % 2) for i in range(200)]
    texts = [f"{rng.integers(9)} {rng.integers(9)} {'spam' if x == '1' else ''}" for x in labels]
    assert telling_words(texts[:150], labels[:150], texts[150:], labels[150:]) == ["spam"]
    plain = [text.replace("spam", "") for text in texts]
    assert telling_words(plain[:150], labels[:150], plain[150:], labels[150:]) == []
