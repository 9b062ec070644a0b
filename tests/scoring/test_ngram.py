"""Kneser–Ney against the formulas of Chen & Goodman (1999), worked out with dictionaries."""

from __future__ import annotations

import gzip
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elman.scoring.baselines.ngram import KneserNey

Text = tuple[int, ...]


def by_the_formulas(documents: list[Text], size: int, order: int) -> Callable[[Text, int], float]:
    """p(word | history) of interpolated modified Kneser–Ney; a document begins with its padding.

    `documents` are lists of symbols whose first is only ever a history.
    """
    padded = [(d[0],) * (order - 1) + d[1:] for d in documents]
    if order == 1:
        padded = [d[1:] for d in documents]
    counts: dict[int, Counter[Text]] = {order: Counter()}
    for text in padded:
        for i in range(order - 1, len(text)):
            counts[order][text[i - order + 1 : i + 1]] += 1
    # Below the highest order: in how many different strings of one symbol more is it the end?
    for k in range(order - 1, 0, -1):
        longer = {s for text in padded for s in _strings(text, k + 1, order)}
        counts[k] = Counter(s[1:] for s in longer)
    discounts = {k: _discounts(c) for k, c in counts.items()}

    def probability(history: Text, word: int) -> float:
        k = len(history) + 1
        lower = probability(history[1:], word) if k > 1 else 1 / size
        following = {s: n for s, n in counts[k].items() if s[:-1] == history}
        total = sum(following.values())
        if not total:
            return lower
        d = discounts[k]
        spare = sum(d[min(n, 3)] for n in following.values()) / total
        n = following.get((*history, word), 0)
        return (n - d[min(n, 3)]) / total + spare * lower

    return probability


def _strings(text: Text, length: int, order: int) -> list[Text]:
    """Strings of `length` that end at a predicted symbol."""
    return [text[i - length + 1 : i + 1] for i in range(order - 1, len(text))]


def _discounts(counts: Counter[Text]) -> list[float]:
    of = defaultdict(int, Counter(counts.values()))
    if not all(of[i] for i in (1, 2, 3, 4)):
        return [0, 0.5, 1, 1.5]
    y = of[1] / (of[1] + 2 * of[2])
    d = [0.0] + [i - (i + 1) * y * of[i + 1] / of[i] for i in (1, 2, 3)]
    return d if all(0 < d[i] <= i for i in (1, 2, 3)) else [0, 0.5, 1, 1.5]


def _zipf(n: int, size: int, seed: int) -> np.ndarray:
    """Text with the long tail of words and some structure: each symbol leans on the last."""
    rng = np.random.default_rng(seed)
    draws = np.minimum(rng.zipf(1.4, n) - 1, size - 1)
    return np.where(rng.random(n) < 0.5, draws, (np.roll(draws, 1) * 3 + 1) % size)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_formulas(order: int, seed: int) -> None:
    tokens = _zipf(900, 30, seed)
    model = KneserNey.fit(tokens, 30, order)
    expected = by_the_formulas([tuple(tokens.tolist())], 30, order)
    test = _zipf(60, 30, seed + 10)
    padded = (int(test[0]),) * (order - 1) + tuple(test[1:].tolist())
    want = [
        -math.log(expected(padded[i : i + order - 1], padded[i + order - 1]))
        for i in range(len(test) - 1)
    ]
    np.testing.assert_allclose(model.nll(test)[order], want, rtol=1e-12)


def test_lower_orders_come_from_the_same_pass() -> None:
    tokens, test = _zipf(2000, 30, 0), _zipf(200, 30, 1)
    together = KneserNey.fit(tokens, 30, 4).nll(test)
    assert list(together) == [1, 2, 3, 4]
    for order, nats in together.items():
        np.testing.assert_allclose(nats, KneserNey.fit(tokens, 30, order).nll(test)[order])


def test_documents_begin_afresh_and_equal_the_formulas() -> None:
    rng = np.random.default_rng(3)
    documents = [
        (0, *(1 + rng.zipf(1.5, rng.integers(0, 12)) % 20).tolist(), 0) for _ in range(120)
    ]
    # One stream: the 0 that ends a document begins the next.
    tokens = np.array([s for d in documents for s in d[:-1]] + [0])
    starts = np.cumsum([0] + [len(d) - 1 for d in documents[:-1]])
    expected = by_the_formulas(documents, 21, 3)
    model = KneserNey.fit(tokens, 21, 3, starts)
    want = []
    for d in documents:
        padded = (d[0], *d)
        want += [-math.log(expected(padded[i : i + 2], padded[i + 2])) for i in range(len(d) - 1)]
    np.testing.assert_allclose(model.nll(tokens, starts)[3], want, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("history", [[], [4], [1, 2, 3, 4, 5], [29, 29, 29, 29, 28]])
def test_probabilities_sum_to_one(order: int, history: list[int]) -> None:
    model = KneserNey.fit(_zipf(3000, 30, 0), 30, 5)
    p = model.distribution(np.array(history), order)
    assert p.min() > 0
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_distribution_agrees_with_what_text_costs() -> None:
    tokens, test = _zipf(3000, 30, 0), _zipf(50, 30, 1)
    model = KneserNey.fit(tokens, 30, 4)
    costs = model.nll(test)
    for order in (1, 2, 4):
        p = model.distribution(test[:-1], order)[test[-1]]
        assert -np.log(p) == pytest.approx(costs[order][-1], rel=1e-12)


def test_a_symbol_never_seen_has_some_probability() -> None:
    model = KneserNey.fit(np.array([0, 1, 0, 1, 0, 1]), 5, 3)
    assert np.isfinite(model.nll(np.array([0, 4, 3, 1]))[3]).all()


def test_only_the_last_symbols_are_counted_beyond_the_limit() -> None:
    tokens = np.concatenate([np.full(500, 7), _zipf(400, 30, 0)])
    bounded = KneserNey.fit(tokens, 30, 3, starts=np.array([0, 600]), limit=400)
    assert bounded.trained_on == 400
    alone = KneserNey.fit(tokens[-400:], 30, 3, starts=np.array([0, 100]))
    test = _zipf(50, 30, 1)
    np.testing.assert_array_equal(bounded.nll(test)[3], alone.nll(test)[3])


def test_penn_treebank_five_grams_reach_the_published_perplexity(data_dir: Path) -> None:
    """About 141 is published for Kneser–Ney 5-grams on this test part."""
    folder = data_dir / "ptb"
    with gzip.open(folder / "ptb.train.txt.gz", "rt") as file:
        train = ["<eos>", *file.read().replace("\n", " <eos> ").split()]
    test = ["<eos>", *(folder / "ptb.test.txt").read_text().replace("\n", " <eos> ").split()]
    ids = {word: i for i, word in enumerate(dict.fromkeys(train))}
    model = KneserNey.fit(np.array([ids[w] for w in train]), len(ids), 5)
    nats = model.nll(np.array([ids[w] for w in test]))
    assert len(nats[5]) == 82430
    assert math.exp(nats[5].mean()) == pytest.approx(141.06, abs=0.01)
