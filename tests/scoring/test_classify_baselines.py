"""The classical methods: by hand, against plain loops, and on data with published figures."""

from __future__ import annotations

import numpy as np
import pytest

from elman.modalities import likeness as sequences
from elman.modalities.text import Text
from elman.scoring.baselines.counts import nb_svm
from elman.scoring.baselines.linear import Labelled, logistic_regression
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of

NONE = Labelled([], np.zeros(0, np.int64))


def features(texts, unit):
    return Text.fit(texts, settings_of(Classify, {"unit": unit, "lower": True})).features(texts)


def by_nb_svm(train, asked, unit):
    counts = features(train.inputs, unit).counts
    return nb_svm(Labelled(counts.train, train.labels)).codes(counts.of(asked))


def by_tfidf(train, asked, unit):
    found = features(train.inputs, unit)
    return logistic_regression(Labelled(found.train, train.labels), None).codes(found.of(asked))


def classes(task, part):
    return np.array(task._answers(part))


def plain_dtw(a: np.ndarray, b: np.ndarray) -> float:
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            step = np.square(a[i] - b[j]).sum()
            cost[i + 1, j + 1] = step + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    return float(cost[-1, -1])


def test_warping_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    first = [rng.normal(size=(n, 2)) * 100 for n in (1, 5, 8)]
    second = [rng.normal(size=(n, 2)) * 100 for n in (7, 1, 3, 8)]
    expected = [[plain_dtw(a, b) for b in second] for a in first]
    np.testing.assert_allclose(sequences.dtw_distances(first, second), expected, rtol=1e-12)


def test_warping_that_would_take_too_long_is_left_out(monkeypatch):
    monkeypatch.setattr(sequences, "MOST_CELLS", 10)
    train = [np.zeros((3, 1))] * 2
    assert sequences.nearest_neighbour_dtw(train, [np.zeros((3, 1))]) is None


def test_euclid_stretches_series_of_unequal_length():
    ramp, flat = np.linspace(0, 1, 9)[:, None], np.full((5, 1), 0.4)
    train, labels = [ramp, flat], np.array([3, 5])
    asked = [np.linspace(0, 1, 4)[:, None], np.full((20, 1), 0.5)]
    assert labels[sequences.nearest_neighbour(train, asked)].tolist() == [3, 5]


def test_summary_features_by_hand():
    x = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [6.0, 0.0]])
    found = sequences.summary_features([x])[0]
    assert found[0] == 4
    first, second = found[1:13], found[13:]
    mean, centred = 3.0, np.array([-2, 0, -1, 3.0])
    expected = [mean, np.sqrt(3.5), 1, 1.75, 2.5, 3.75, 6, 1, 6, 1.4, 7 / 3, -3 / 14]
    np.testing.assert_allclose(first, expected)
    assert centred @ centred == 14
    assert np.isfinite(second).all()  # a constant channel divides nothing by zero


def test_regularisation_is_chosen_on_the_validation_part():
    rng = np.random.default_rng(1)
    signal = rng.integers(0, 2, 60)
    x = np.concatenate([signal[:, None] + rng.normal(size=(60, 1)), rng.normal(size=(60, 50))], 1)
    train, valid = Labelled(x[:20], signal[:20]), Labelled(x[20:40], signal[20:40])
    right = [
        float(np.mean(logistic_regression(train, held).codes(x[40:]) == signal[40:]))
        for held in (None, valid)
    ]
    assert right[1] >= right[0]


TEXTS = ["very good film", "good fun", "very bad film", "bad bad plot", "so so film", "so so"]
CODES = np.array([7, 7, 2, 2, 4, 4])


def test_text_baselines_of_three_classes_keep_their_codes():
    asked = ["a good one", "bad one", "so so so"]
    train = Labelled(TEXTS, CODES)
    assert by_nb_svm(train, asked, "words").tolist() == [7, 2, 4]
    assert by_tfidf(train, asked, "words").tolist() == [7, 2, 4]


def test_characters_tell_where_words_are_new():
    names = ["ivanov", "petrov", "sidorov", "gomez", "lopez", "perez"]
    train = Labelled(names, np.array([0, 0, 0, 1, 1, 1]))
    assert by_nb_svm(train, ["smirnov", "sanchez"], "characters").tolist() == [0, 1]
    assert by_tfidf(train, ["smirnov", "sanchez"], "characters").tolist() == [0, 1]


def test_nearest_neighbour_on_arrowhead_is_the_published_one(data_dir):
    """UCR archive: 0.800 by Euclid (Bagnall et al. 2017)."""
    task = Classify.from_data(
        data_dir / "tsc_arrowhead", settings_of(Classify, {"scaling": "none"})
    )
    nearest = sequences.nearest_neighbour(task._inputs("train"), task._inputs("test"))
    codes = classes(task, "train")[nearest]
    assert np.mean(codes == classes(task, "test")) == pytest.approx(0.800, abs=0.0005)


@pytest.mark.slow
def test_warping_on_arrowhead_is_the_published_one(data_dir):
    """UCR archive: 0.703 by dynamic time warping without a window."""
    task = Classify.from_data(
        data_dir / "tsc_arrowhead", settings_of(Classify, {"scaling": "none"})
    )
    nearest = sequences.nearest_neighbour_dtw(task._inputs("train"), task._inputs("test"))
    codes = classes(task, "train")[nearest]
    assert np.mean(codes == classes(task, "test")) == pytest.approx(0.703, abs=0.0005)
