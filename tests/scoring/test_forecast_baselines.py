"""Baselines: hand values, statsmodels, statsforecast, sklearn, and no look ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from elman.scoring.baselines import automatic
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
    origins = np.array([61, 80])

    def smoothed(v: np.ndarray) -> np.ndarray:
        fitted = Smoothing.fit(v.T, np.array([60]), 12)
        return fitted.forecast(np.zeros(2, dtype=int), origins, 5)

    for rule in (
        lambda v: last_value(v, origins, 5),
        lambda v: seasonal_naive(v, origins, 5, 12),
        lambda v: drift(v, origins, 5),
        smoothed,
    ):
        np.testing.assert_array_equal(rule(values), rule(changed))


def by_hand(y: np.ndarray, gains: tuple[float, ...], m: int, start: Any) -> np.ndarray:
    """Forecasts eleven steps ahead after every value, by the equations as they are written."""
    alpha, beta, gamma, phi = gains
    level, trend, season = float(start[0]), float(start[1]), list(start[2])
    out = []
    for t in range(len(y) + 1):
        out.append(
            [
                level + sum(phi**i for i in range(1, k + 1)) * trend + season[(t + k - 1) % m]
                for k in range(1, 12)
            ]
        )
        if t == len(y):
            break
        expected, before, old = level + phi * trend, level, season[t % m]
        level = alpha * (y[t] - old) + (1 - alpha) * expected
        trend = beta * (level - before) + (1 - beta) * phi * trend
        season[t % m] = gamma * (y[t] - expected) + (1 - gamma) * old
    return np.array(out)


@pytest.mark.parametrize("m", [1, 12])
def test_smoothing_follows_its_equations(m: int) -> None:
    y = np.stack([wave(), wave()[::-1], np.cumsum(np.random.default_rng(1).normal(size=120))])
    fitted = Smoothing.fit(y, np.array([90, 100, 110]), m)
    for i in range(3):
        start = fitted.level[i, 0], fitted.trend[i, 0], fitted.season[i, :m]
        expected = by_hand(y[i], tuple(fitted.gains[i]), m, start)
        at = np.arange(121)
        np.testing.assert_allclose(fitted.forecast(np.full(121, i), at, 11), expected)


def test_channels_of_other_lengths_do_not_change_one_another() -> None:
    y = np.stack([wave(), wave() * 3])
    y[0, 70:] = np.nan
    both = Smoothing.fit(y, np.array([60, 100]), 12)
    alone = Smoothing.fit(y[:1, :70], np.array([60]), 12)
    here = np.array([0, 0]), np.array([60, 70])
    np.testing.assert_array_equal(both.forecast(*here, 5), alone.forecast(*here, 5))


def test_smoothing_is_as_good_as_that_of_statsmodels() -> None:
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    y = wave(240)
    fitted = Smoothing.fit(y[None], np.array([200]), 12)
    ours = y[12:200] - fitted.forecast(np.zeros(188, dtype=int), np.arange(12, 200), 1)[:, 0]
    theirs = holtwinters.ExponentialSmoothing(
        y[:200], trend="add", damped_trend=True, seasonal="add", seasonal_periods=12
    ).fit()
    # Its gains and first states are those of an optimiser, ours of a grid and two seasons.
    assert np.abs(ours).mean() < 1.1 * np.abs(theirs.resid[12:]).mean()


def test_smoothing_finds_season_and_trend() -> None:
    y = wave(240)
    fitted = Smoothing.fit(y[None], np.array([200]), 12)
    ahead = fitted.forecast(np.zeros(2, dtype=int), np.array([200, 210]), 12)
    assert np.abs(ahead - [y[200:212], y[210:222]]).mean() < 1.5
    assert fitted.gains[0, 3] > 0


def test_smoothing_of_too_little_is_the_last_value() -> None:
    for y in (np.array([3.0, 5.0, 4.0]), np.full(50, 2.0)):
        fitted = Smoothing.fit(y[None], np.array([len(y)]), 1)
        ahead = fitted.forecast(np.array([0]), np.array([len(y)]), 3)
        assert ahead.tolist() == [[y[-1]] * 3]


@pytest.mark.parametrize("kind", ["AutoETS", "AutoTheta"])
def test_an_automatic_forecast_is_that_of_statsforecast(kind: automatic.Kind) -> None:
    models = pytest.importorskip("statsforecast.models")
    y = wave(72)
    channel = automatic.Channel(y, 60, np.array([60, 62]))
    ((point, spread),) = automatic.forecasts(kind, [channel], 12, 4, [0.1, 0.5, 0.9], 60.0)
    theirs = getattr(models, kind)(season_length=12).fit(y[:60]).predict(4, level=[80])
    np.testing.assert_allclose(point[0], theirs["mean"])
    np.testing.assert_allclose(spread[0, :, 0], theirs["lo-80"])
    np.testing.assert_allclose(spread[0, :, 2], theirs["hi-80"])
    np.testing.assert_array_equal(spread[..., 1], point)
    # It sees no value after its origin.
    changed = y.copy()
    changed[62:] = 1e6
    channel = automatic.Channel(changed, 60, np.array([60, 62]))
    ((again, _),) = automatic.forecasts(kind, [channel], 12, 4, [0.1, 0.5, 0.9], 60.0)
    np.testing.assert_array_equal(again, point)


def test_an_automatic_forecast_of_too_little_is_the_last_value() -> None:
    pytest.importorskip("statsforecast")
    for y in (np.array([3.0, 5.0, 4.0]), np.full(50, 2.0)):
        channel = automatic.Channel(y, len(y), np.array([len(y)]))
        ((point, spread),) = automatic.forecasts("AutoARIMA", [channel], 7, 2, [0.1, 0.9], 60.0)
        assert (point == y[-1]).all()
        assert (spread == y[-1]).all()


def test_an_automatic_forecast_that_takes_too_long_says_so() -> None:
    channels = [automatic.Channel(np.zeros(500), 400, np.arange(400, 420))] * 10
    why = automatic.too_slow("AutoARIMA", channels, 24, 60.0)
    assert why is not None
    assert why.startswith("AutoARIMA: 200 forecasts of 10 series would take about")
    assert automatic.too_slow("AutoTheta", channels[:1], 24, 60.0) is None
    twice = automatic.seconds("AutoETS", channels * 2, 24)
    assert twice == pytest.approx(2 * automatic.seconds("AutoETS", channels, 24))


def test_an_automatic_forecast_out_of_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsforecast")
    clock = iter([0.0, 100.0])
    monkeypatch.setattr(automatic.time, "perf_counter", lambda: next(clock))
    channel = automatic.Channel(np.full(50, 2.0), 40, np.array([40]))
    with pytest.raises(automatic.NotFitted, match="longer than its share"):
        automatic.forecasts("AutoETS", [channel], 1, 2, [], 1.0)


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
