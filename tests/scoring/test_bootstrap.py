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
    assert np.isnan(found.model["error"]).all()
    assert bootstrap(mean_of([1.0]), {}, "error", False, 0, seed=0).model["error"] == (1.0, 1.0)
    assert found.comparison == Comparison("last", 8.0, None)
    assert verdict("error", 1.0, 9.0, found.comparison).startswith("Cannot tell how surely")


def test_earlier_origins_speak_where_there_is_nothing_to_resample():
    said = verdict("error", 1.0, 9.0, Comparison("last", 8.0, None), "one test origin")
    assert said.endswith("of the best baseline, last, with one test origin.")


def test_an_interval_is_as_much_wider_as_its_units_say():
    values = np.random.default_rng(0).normal(5, 2, 40)
    plain = mean_of(values)
    wide = Evaluation(plain.units, plain.score, widened=2.0)
    one, two = (bootstrap(each, {"zero": mean_of(values * 0)}, "error", False, 200, seed=0)
                for each in (plain, wide))  # fmt: skip
    away = np.array(one.model["error"]) - values.mean()
    np.testing.assert_allclose(np.array(two.model["error"]) - values.mean(), 2 * away)
    assert two.baselines["zero"]["error"] == (0.0, 0.0)
    assert one.comparison is not None
    assert two.comparison is not None
    away = np.array(one.comparison.ci95) + values.mean()
    np.testing.assert_allclose(np.array(two.comparison.ci95) + values.mean(), 2 * away)


def share_of(values):
    """A mean over units that count, undefined where none does: dead items, and those that sell."""
    rows = pd.DataFrame({"v": values, "n": np.isfinite(values)}).fillna(0.0)

    def score(units):
        n = float(units["n"].sum())
        return {"mase": float(units["v"].sum()) / n if n else float("nan")}

    return Evaluation(rows, score)


def test_one_unit_that_counts_among_many_gives_no_sure_verdict():
    dead = [np.nan] * 24
    model, other = share_of([*dead, 0.5]), share_of([*dead, 0.9])
    found = bootstrap(model, {"last": other}, "mase", False, 500, seed=0)
    assert found.comparison is not None
    assert found.comparison.ci95 is None
    # The one unit is left out of a resample with chance (24/25)^25.
    assert found.undefined["mase"] == found.comparison.undefined
    assert found.comparison.undefined / 500 == pytest.approx((24 / 25) ** 25, abs=0.07)
    assert np.isnan(found.model["mase"]).all()
    sentence = verdict("mase", 0.5, 0.9, found.comparison)
    assert sentence.startswith("Cannot tell how surely")
    assert f"undefined in {found.undefined['mase']} of 500 resamples" in sentence


def test_a_few_undefined_resamples_are_left_out_and_said():
    values = np.r_[np.full(20, np.nan), np.random.default_rng(0).normal(1, 0.1, 6)]
    model, other = share_of(values), share_of(values + 1)
    found = bootstrap(model, {"last": other}, "mase", False, 2000, seed=0)
    assert found.comparison is not None
    assert 0 < found.undefined["mase"] <= 20
    sentence = verdict("mase", 1.0, 2.0, found.comparison)
    assert sentence.startswith("Worth using")
    assert f"undefined in {found.undefined['mase']} of 2000 resamples." in sentence
    assert sentence.count(". ") == 0, "one sentence"


def test_an_undefined_score_has_no_verdict():
    nothing = mean_of([np.nan, np.nan])
    found = bootstrap(nothing, {"last": mean_of([1.0, 1.0])}, "error", False, 10, seed=0)
    assert np.isnan(found.model["error"]).all()
    sentence = verdict("error", float("nan"), 1.0, found.comparison)
    assert sentence == "Cannot tell: error is undefined here."
