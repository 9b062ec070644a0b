"""MiniRocket against a plain loop, what must not change it, and a published figure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from elman.data import read
from elman.scoring.baselines import rocket
from elman.scoring.baselines.linear import Labelled
from elman.scoring.baselines.rocket import PATTERNS, MiniRocket, Transform, spread
from elman.scoring.baselines.summaries import LAGS, BoostedSummaries, described

RNG = np.random.default_rng(0)


def series(lengths, channels=1):
    return [RNG.normal(size=(n, channels)) for n in lengths]


def by_loops(transform, one):
    """Return the shares of one series, weight by weight and step by step."""
    found, first = [], 0
    for level, dilation in enumerate(transform.dilations.tolist()):
        for number, places in enumerate(PATTERNS.tolist()):
            weights = [2 if k in places else -1 for k in range(9)]
            sums, inside = [], []
            for step in range(len(one)):
                at = [step + (k - 4) * dilation for k in range(9)]
                inside.append(at[0] >= 0 and at[-1] < len(one))
                sums.append(
                    sum(
                        w * one[t, c]
                        for c in np.flatnonzero(transform.channels[level, number])
                        for w, t in zip(weights, at, strict=True)
                        if 0 <= t < len(one)
                    )
                )
            values = np.array(sums)
            if (level + number) % 2 and any(inside):
                values = values[inside]
            for _ in range(transform.counts[level]):
                found.append((values > transform.thresholds[first]).mean())
                first += 1
    return np.array(found)


def test_the_transform_is_that_of_plain_loops():
    train = series([30, 30, 22], channels=3)
    transform = Transform.fit(train, features=3)
    for one in series([30, 13, 5], channels=3):
        known = by_loops(transform, one.astype(np.float32).astype(np.float64))
        # A sum that is rounded across its threshold moves a share by one step.
        differs = np.abs(transform([one])[0] - known) > 1e-6
        assert differs.mean() < 0.002


def test_weights_of_every_pattern_sum_to_nothing_so_the_level_does_not_matter():
    train = series([40] * 6)
    transform = Transform.fit(train, features=4)
    inner = np.concatenate(
        [
            np.full(count, (level + number) % 2 == 1)
            for level, count in enumerate(transform.counts.tolist())
            for number in range(84)
        ]
    )
    moved = transform([one + 64.0 for one in train])
    assert np.abs(moved - transform(train))[:, inner].max() < 0.05
    assert np.abs(moved - transform(train))[:, ~inner].max() > 0.1


def test_a_series_is_described_alone_or_beside_longer_ones(monkeypatch):
    some = series([12, 40, 25, 12, 40], channels=2)
    transform = Transform.fit(some, features=2)
    together = transform(some)
    monkeypatch.setattr(rocket, "_AT_ONCE", 1)
    np.testing.assert_array_equal(together, np.concatenate([transform([one]) for one in some]))
    order = [3, 0, 4, 1, 2]
    np.testing.assert_array_equal(transform([some[k] for k in order]), together[order])


@pytest.mark.parametrize("steps", [1, 9, 10, 100, 5000])
@pytest.mark.parametrize("features", [1, 11, 119])
def test_the_longest_pattern_fits_and_every_feature_has_a_dilation(steps, features):
    dilations, counts = spread(steps, features)
    assert counts.sum() == features
    assert (counts > 0).all()
    assert 8 * dilations.max() <= max(steps - 1, 8)


def test_what_was_kept_says_the_same():
    x = [np.sin(np.arange(30 + k % 3) * (1 + k % 3))[:, None] for k in range(30)]
    labels = np.arange(30) % 3
    for model in (
        MiniRocket.fit(x, labels, features=3),
        BoostedSummaries.fit(Labelled(x, labels), Labelled(x, labels)),
        MiniRocket.fit(x, labels % 2, features=3),
        BoostedSummaries.fit(Labelled(x, labels % 2)),
    ):
        facts, arrays = model.to_state()
        again = type(model).from_state(json.loads(json.dumps(facts)), arrays)
        np.testing.assert_array_equal(again(x), model(x))
        assert model(x).shape == (30, len(model.classes))
        assert model([]).shape == (0, len(model.classes))


def test_classes_of_different_frequency_are_told_apart_by_both():
    x = [np.sin(np.arange(50) * f + p)[:, None] for p in range(30) for f in (0.5, 0.7)]
    labels = np.arange(60) % 2
    rocket_said = MiniRocket.fit(x[:40], labels[:40], features=5).codes(x[40:])
    trees_said = BoostedSummaries.fit(Labelled(x[:40], labels[:40]))(x[40:]).argmax(1)
    assert rocket_said.tolist() == trees_said.tolist() == labels[40:].tolist()


def test_summaries_know_lags_and_peaks():
    steps = np.arange(80)
    wave = np.stack([np.sin(2 * np.pi * steps / 10), np.ones(80)], 1)
    each = len(LAGS) + 4
    swings = described([wave])[0, -2 * each :]
    assert swings[LAGS.index(10)] == pytest.approx(70 / 80)
    assert swings[LAGS.index(5)] == pytest.approx(-75 / 80)
    assert swings[len(LAGS) : len(LAGS) + 2].tolist() == pytest.approx([1.0, 0.1])
    assert (swings[each:] == 0).all()
    assert np.isfinite(described([np.ones((1, 1)), np.zeros((3, 1))])).all()


def accuracy(data_dir, name):
    parts = [read(data_dir / f"{name}_{part}.ts") for part in ("TRAIN", "TEST")]
    labels = [np.array(part.labels("label")) for part in parts]
    classes, codes = np.unique(labels[0], return_inverse=True)
    model = MiniRocket.fit(parts[0].series("series"), codes)
    said = classes[model.codes(parts[1].series("series"))]
    return (said == labels[1]).mean()


def test_accuracy_on_arrowhead_is_the_published_one(data_dir):
    """Dempster et al. publish 0.8629 for these two files (151 of 175), with draws of their own."""
    assert accuracy(data_dir, "tsc_arrowhead/ArrowHead") == pytest.approx(0.8629, abs=0.012)


def test_all_of_basic_motions_are_told_apart(data_dir):
    assert accuracy(data_dir, "tsc_basicmotions/BasicMotions") == 1.0
