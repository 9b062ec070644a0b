"""Baselines: hand values, statsmodels, sklearn, and no look ahead."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from elman.scoring.baselines.series import Linear, Smoothing, drift, last_value, seasonal_naive


def wave(n: int = 120, m: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(n)
    return 50 + 0.3 * t + 8 * np.sin(2 * np.pi * t / m) + rng.normal(0, 1, n)


def test_rules_by_hand() -> None:
    values = np.array([[1.0, 10.0], [2.0, 30.0], [4.0, 20.0], [7.0, 0.0]])
    origins = np.array([2, 3])
    assert last_value(values, origins, 2).tolist() == [
        [[2.0, 30.0], [2.0, 30.0]],
        [[4.0, 20.0], [4.0, 20.0]],
    ]
    assert seasonal_naive(values, origins, 3, 2)[0].tolist() == [[1, 10], [2, 30], [1, 10]]
    assert drift(values, origins, 2)[1].tolist() == [[5.5, 25.0], [7.0, 30.0]]


def test_before_a_first_season_the_last_value_stands_in() -> None:
    values = np.array([[1.0], [2.0], [3.0]])
    assert seasonal_naive(values, np.array([2]), 3, 3)[0].ravel().tolist() == [2.0, 1.0, 2.0]


def test_no_rule_sees_what_comes_after_its_origin() -> None:
    values, changed = wave()[:, None], wave()[:, None]
    changed[80:] = 1e6
    origins = np.array([40, 80])
    fitted = Smoothing.fit(values[:60, 0], 12)
    for rule in (
        lambda v: last_value(v, origins, 5),
        lambda v: seasonal_naive(v, origins, 5, 12),
        lambda v: drift(v, origins, 5),
        lambda v: fitted.forecast(v[:, 0], origins, 5),
    ):
        np.testing.assert_array_equal(rule(values), rule(changed))


@pytest.mark.parametrize("seasonal", [True, False])
@pytest.mark.parametrize("trend", [True, False])
def test_smoothing_is_that_of_statsmodels(seasonal: bool, trend: bool) -> None:
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    y = wave()
    gains = {"smoothing_level": 0.4, "initial_level": 50.0}
    gains |= {"smoothing_trend": 0.1, "damping_trend": 0.9, "initial_trend": 0.5} if trend else {}
    gains |= {"smoothing_seasonal": 0.2, "initial_seasonal": np.arange(12.0)} if seasonal else {}
    starts = {k: gains.pop(k) for k in list(gains) if k.startswith("initial")}
    theirs = holtwinters.ExponentialSmoothing(
        y,
        trend="add" if trend else None,
        damped_trend=trend,
        seasonal="add" if seasonal else None,
        seasonal_periods=12 if seasonal else None,
        initialization_method="known",
        **starts,
    ).fit(**gains, optimized=False)
    ours = Smoothing(
        0.4,
        0.1 if trend else 0.0,
        0.2 if seasonal else 0.0,
        0.9 if trend else 1.0,
        50.0,
        0.5 if trend else 0.0,
        tuple(np.arange(12.0)) if seasonal else (),
        0,
    )
    ahead = ours.forecast(y, np.arange(len(y) + 1), 11)
    np.testing.assert_allclose(ahead[:-1, 0], theirs.fittedvalues)
    # Eleven steps: at the twelfth statsmodels repeats a season it has since updated.
    np.testing.assert_allclose(ahead[-1], theirs.forecast(11))


def test_smoothing_finds_season_and_trend() -> None:
    pytest.importorskip("statsmodels")
    y = wave(240)
    fitted = Smoothing.fit(y[:200], 12)
    errors = fitted.forecast(y, np.array([200, 210]), 12) - [y[200:212], y[210:222]]
    assert np.abs(errors).mean() < 1.5
    assert len(fitted.season) == 12


def test_smoothing_of_too_little_is_the_last_value() -> None:
    pytest.importorskip("statsmodels")
    for y in (np.array([3.0, 5.0, 4.0]), np.full(50, 2.0)):
        fitted = Smoothing.fit(y, 12)
        assert fitted.forecast(y, np.array([len(y)]), 3).tolist() == [[y[-1]] * 3]


def test_the_linear_map_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    past, future = rng.normal(size=(200, 6)), rng.normal(size=(200, 3))
    last = past[:, -1:]
    x = past - last
    share = 0.05
    (ours,) = Linear.fit(past, future, np.array([share]))
    theirs = Ridge(alpha=share * float(np.trace(x.T @ x)) / 6, fit_intercept=False)
    theirs.fit(x, future - last)
    np.testing.assert_allclose(ours.forecast(past), theirs.predict(x) + last, atol=1e-9)


def test_the_linear_map_learns_a_linear_recurrence() -> None:
    y = np.sin(np.arange(400) * 0.3)
    windows = np.lib.stride_tricks.sliding_window_view(y, 25)
    past, future = windows[:, :20], windows[:, 20:]
    best = Linear.fit(past[:300], future[:300], np.array([1e-9]))[0]
    np.testing.assert_allclose(best.forecast(past[300:]), future[300:], atol=1e-3)
