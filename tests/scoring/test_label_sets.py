"""Scores and thresholds of several labels, beside scikit-learn's and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from elman.scoring import label_sets
from elman.scoring.baselines.counts import nb_svm
from elman.scoring.baselines.label_sets import logistic_regressions, nb_svms
from elman.scoring.baselines.linear import Labelled
from elman.scoring.label_sets import Judged, LabelScores, best_cut, thresholds


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 5))
def test_scores_are_those_of_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, k)) < 0.4
    # Few different scores, so that many are equal.
    scores = np.round(rng.normal(size=(n, k)), int(rng.integers(0, 3)))
    said = LabelScores(scores, np.full(k, 0.5), never_empty=False)
    rows = rng.integers(0, n, n)
    found = Judged(said, truth, np.zeros((n, 0)))(pd.DataFrame({"row": rows}))
    y, p, s = truth[rows], said.chosen[rows], scores[rows]
    if y.any() or p.any():
        micro = f1_score(y.ravel(), p.ravel(), zero_division=0)
        seen = (y.sum(0) + p.sum(0)) > 0
        each = [f1_score(y[:, j], p[:, j], zero_division=0) for j in np.flatnonzero(seen)]
        assert found["micro_f1"] == pytest.approx(micro)
        assert found["macro_f1"] == pytest.approx(np.mean(each))
    assert found["exact_match"] == pytest.approx(accuracy_score(y, p))
    own = [average_precision_score(y[:, j], s[:, j]) for j in np.flatnonzero(y.any(0))]
    if own:
        assert found["average_precision"] == pytest.approx(np.mean(own))
    else:
        assert np.isnan(found["average_precision"])


def test_a_label_that_training_never_had_is_missed():
    said = LabelScores(np.array([[9.0], [9.0]]), np.array([0.5]))
    strange = np.array([[0, 0], [1, 1]])
    found = Judged(said, np.array([[1], [1]]), strange)(pd.DataFrame({"row": [0, 1]}))
    y, p = np.array([[1, 0, 0], [1, 1, 1]]), np.array([[1, 0, 0], [1, 0, 0]])
    assert found["micro_f1"] == pytest.approx(f1_score(y, p, average="micro", zero_division=0))
    assert found["macro_f1"] == pytest.approx(f1_score(y, p, average="macro", zero_division=0))
    assert found["exact_match"] == 0.5


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_the_best_cut_is_the_best_of_all_cuts(seed, n):
    rng = np.random.default_rng(seed)
    chances, truth = np.round(rng.random(n), 1), rng.random(n) < 0.4
    truth[0] = True
    cut = best_cut(chances, truth)
    every = [f1_score(truth, chances >= c, zero_division=0) for c in [0.0, *chances]]
    assert f1_score(truth, chances >= cut, zero_division=0) == pytest.approx(max(every))


def test_rare_labels_share_a_threshold_and_common_ones_have_their_own():
    rng = np.random.default_rng(0)
    truth = np.zeros((200, 3), bool)
    truth[:80, 0], truth[:60, 1], truth[:3, 2] = True, True, True
    chances = np.where(truth, 0.8, 0.6) + rng.normal(0, 0.01, truth.shape)
    chances[:, 1] /= 4
    own, low, rare = thresholds(chances, truth)
    assert 0.65 < own < 0.75
    assert 0.15 < low < 0.19
    assert rare == best_cut(chances.ravel(), truth.ravel())


def test_the_temperature_undoes_what_scores_were_multiplied_by():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 3))
    truth = rng.random(logits.shape) < label_sets.chances(logits)
    assert label_sets.temperature(logits * 5, truth) == pytest.approx(5, rel=0.05)


def test_an_answer_that_is_never_empty_has_the_nearest_label():
    scores = label_sets.logits(np.array([[0.3, 0.1]]))
    cuts = np.array([0.9, 0.2])
    assert LabelScores(scores, cuts).chosen.tolist() == [[False, True]]
    assert not LabelScores(scores, cuts, never_empty=False).chosen.any()


def test_linear_models_of_each_label():
    rng = np.random.default_rng(2)
    x = (rng.random((300, 6)) < 0.4).astype(float)
    truth = np.stack([x[:, 0], x[:, 1], np.ones(300), np.zeros(300)], 1).astype(np.int64)
    train = Labelled(x[:200], truth[:200])
    found = logistic_regressions(train, Labelled(x[200:], truth[200:]))
    assert ((found(x[200:]) > 0) == truth[200:]).all()
    from scipy.sparse import csr_matrix

    margins = nb_svms(Labelled(csr_matrix(x[:200]), truth[:200]))(csr_matrix(x[200:]))
    alone = nb_svm(Labelled(csr_matrix(x[:200]), truth[:200, 1]))(csr_matrix(x[200:]))
    np.testing.assert_allclose(margins[:, 1], alone[:, 1] - alone[:, 0], rtol=1e-5, atol=1e-6)
    assert (margins[:, 2] > 0).all()
    assert (margins[:, 3] < 0).all()
