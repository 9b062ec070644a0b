"""Intervals and the verdict, against known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.scoring import Evaluation
from elman.scoring.bootstrap import Comparison, bootstrap, verdict


def mean_of(values):
    return Evaluation(pd.DataFrame({"v": values}), lambda u: {"error": float(u["v"].mean())})


def test_interval_of_a_mean_agrees_with_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 2000)
    found = bootstrap(mean_of(values), {}, "error", False, 1000, seed=0)
    low, high = found.model["error"]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert found.comparison is None


def test_differences_are_paired():
    """Hard units are hard for both: each interval is wide, that of the difference is not."""
    hard = np.random.default_rng(0).exponential(10, 500)
    found = bootstrap(mean_of(hard), {"other": mean_of(hard + 0.1)}, "error", False, 300, seed=0)
    assert found.comparison is not None
    assert found.comparison.difference == pytest.approx(0.1)
    assert found.comparison.ci95 == pytest.approx((0.1, 0.1))
    low, high = found.model["error"]
    assert high - low > 1


def test_the_best_baseline_is_the_one_to_beat():
    found = bootstrap(
        mean_of([2.0, 2.0]),
        {"bad": mean_of([9.0, 9.0]), "good": mean_of([1.0, 1.0]), "broken": mean_of([np.nan] * 2)},
        "error", False, 10, seed=0,
    )  # fmt: skip
    assert found.comparison == Comparison("good", -1.0, (-1.0, -1.0))


def test_the_same_seed_gives_the_same_interval():
    model = mean_of(np.arange(30.0))
    first, again, other = (bootstrap(model, {}, "error", False, 50, s).model for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("interval", "opening"),
    [
        ((0.1, 0.2), "Worth using"),
        ((-0.2, -0.1), "Not worth using"),
        ((-0.1, 0.1), "No clear gain"),
    ],
)
def test_verdict_follows_the_interval(interval, opening):
    sentence = verdict("macro_f1", 0.5, 0.4, Comparison("majority", 0.1, interval))
    assert sentence.startswith(opening)
    assert "majority" in sentence
    assert sentence.count(". ") == 0, "one sentence"


def test_one_unit_says_nothing_about_how_sure_a_difference_is():
    found = bootstrap(mean_of([1.0]), {"last": mean_of([9.0])}, "error", False, 100, seed=0)
    assert found.model["error"] == (1.0, 1.0)
    assert found.comparison == Comparison("last", 8.0, None)
    assert verdict("error", 1.0, 9.0, found.comparison).startswith("Cannot tell how surely")
