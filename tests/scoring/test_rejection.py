"""Scores of being in scope: beside scikit-learn's, by hand, and thresholds that were made so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from elman.scoring import rejection
from elman.scoring.calibration import Classes
from elman.scoring.rejection import Rejection


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 60))
def test_scores_of_resampled_rows(seed, n):
    rng = np.random.default_rng(seed)
    truth, best = rng.integers(0, 4, n), rng.integers(0, 3, n)
    truth[:2] = 0, 3
    score = np.round(rng.normal(size=n), 1)
    codes = np.where(score < 0, 3, best)
    table = pd.DataFrame(rejection.units(truth, best, codes, score, 3))
    rows = np.concatenate([[0, 1], rng.integers(0, n, n)])
    found = rejection.scored(table.iloc[rows], 3, True)
    t, b, s = truth[rows], best[rows], score[rows]
    inside = t < 3
    assert found["accuracy"] == pytest.approx(accuracy_score(t[inside], b[inside]))
    macro = f1_score(t[inside], b[inside], average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["rejection_auroc"] == pytest.approx(roc_auc_score(inside, s))
    assert found["overall_accuracy"] == pytest.approx(accuracy_score(t, codes[rows]))
    least = min(x for x in [*s, np.inf] if (s[~inside] < x).mean() >= 0.95)
    right = ((s >= least) & (b == t))[inside].mean()
    assert found["accuracy_at_95"] == pytest.approx(right)


def test_the_rule_is_the_score_that_parts_and_the_best_threshold():
    rng = np.random.default_rng(0)
    inside = np.arange(400) < 300
    good, poor = rng.normal(0, 1, 400) + 4 * inside, rng.normal(0, 1, 400)
    right = np.ones(400, bool)
    rule = rejection.found_on({"confidence": poor, "energy": good}, right, inside)
    assert rule.by == "energy"

    def gain(cut):
        return (good[inside] >= cut).mean() + (good[~inside] < cut).mean()

    assert gain(rule.least) == pytest.approx(max(map(gain, [*good, good.max() + 1])))
    alone = rejection.found_on({"confidence": good, "energy": poor}, good > 0, np.ones(400, bool))
    assert alone.by == "confidence"
    assert (good[good > 0] >= alone.least).mean() == pytest.approx(0.95, abs=0.01)


def test_answers_are_refused_below_the_threshold():
    scores = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]))
    said = Classes(scores, rejection=Rejection("confidence", 0.7))
    assert said.codes.tolist() == [0, 2, 1]
    assert said.best.tolist() == [0, 0, 1]
    said = Classes(scores * 3, rejection=Rejection("energy", float("-inf")))
    assert said.in_scope == pytest.approx(np.log(np.exp(scores * 3).sum(1)))
    own = Classes(np.log([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), 1.0, True,
                  Rejection("own class", 0.5), True)  # fmt: skip
    assert own.codes.tolist() == [0, 2]
    assert own.best.tolist() == [0, 1]
    assert own.in_scope == pytest.approx([0.8, 0.3])


def test_the_trade_ends_where_all_are_refused():
    score = np.array([3.0, 2.0, 1.0, 0.0, 1.5])
    inside = np.array([True, True, True, False, False])
    table = rejection.trade(score, np.array([True, False, True, False, False]), inside)
    first, last = table.iloc[0], table.iloc[-1]
    assert first[["none refused", "answered"]].tolist() == [0.0, 1.0]
    assert first["right"] == pytest.approx(2 / 3)
    assert last["none refused"] == 1.0
    assert last["right"] == pytest.approx(1 / 3)
