"""Metrics against hand values, sklearn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error
from torchmetrics.functional import symmetric_mean_absolute_percentage_error

from elman.scoring.forecasts import around, band, naive_scale, pinball, score, smape, window_sums

LEVELS = np.array([0.1, 0.5, 0.9])


def made(n: int = 7, h: int = 5, c: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    truth, point = rng.normal(10, 3, (2, n, h, c))
    return {
        "truth": truth,
        "point": point,
        "quantiles": np.sort(rng.normal(10, 3, (n, h, c, 3)), axis=-1),
        "levels": LEVELS,
        "spread": np.tile([2.0, 4.0], (n, 1)),
        "scale": np.tile([1.5, 3.0], (n, 1)),
    }


def scored(**given: np.ndarray) -> dict[str, float]:
    return score(pd.DataFrame(window_sums(**given)))


def test_errors_are_those_of_sklearn() -> None:
    given = made()
    found = scored(**given)
    truth, point = given["truth"].ravel(), given["point"].ravel()
    assert found["mse"] == pytest.approx(mean_squared_error(truth, point))
    assert found["rmse"] == pytest.approx(mean_squared_error(truth, point) ** 0.5)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, point))
    scaled = ((given["truth"] - given["point"]) / np.array([2.0, 4.0])).ravel()
    assert found["scaled_mse"] == pytest.approx((scaled**2).mean())
    assert found["scaled_mae"] == pytest.approx(np.abs(scaled).mean())


def test_smape_is_that_of_torchmetrics() -> None:
    given = made()
    expected = symmetric_mean_absolute_percentage_error(
        torch.tensor(given["point"]), torch.tensor(given["truth"])
    )
    # torchmetrics gives a share of 2, M4 a percentage of 200.
    assert scored(**given)["smape"] == pytest.approx(100 * float(expected), rel=1e-6)
    assert smape(np.zeros(1), np.zeros(1)).tolist() == [0.0]


def test_crps_is_twice_the_mean_pinball_loss() -> None:
    given = made()
    truth = given["truth"].ravel()
    losses = [
        mean_pinball_loss(truth, given["quantiles"][..., i].ravel(), alpha=level)
        for i, level in enumerate(LEVELS)
    ]
    found = scored(**given)
    assert found["crps"] == pytest.approx(2 * np.mean(losses))
    assert found["wql"] == pytest.approx(2 * np.mean(losses) * truth.size / np.abs(truth).sum())


def test_crps_tends_to_that_of_the_normal_distribution() -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(levels)).numpy()
    y = 0.7
    given = {
        "truth": np.full((1, 1, 1), y),
        "point": np.zeros((1, 1, 1)),
        "quantiles": quantiles[None, None, None],
        "levels": levels,
        "spread": np.ones((1, 1)),
        "scale": np.ones((1, 1)),
    }
    # Gneiting & Raftery 2007, equation 5, at mean 0 and deviation 1.
    density, below = np.exp(-(y**2) / 2) / np.sqrt(2 * np.pi), 0.758036347776927
    exact = y * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi)
    assert scored(**given)["crps"] == pytest.approx(exact, abs=1e-3)


def test_without_quantiles_crps_is_the_absolute_error() -> None:
    given = made() | {"quantiles": np.empty((7, 5, 2, 0)), "levels": np.empty(0)}
    found = score(pd.DataFrame(window_sums(**given)), quantiles=False)
    assert found["crps"] == found["mae"]
    assert "coverage" not in found


def test_mase_is_scaled_by_the_history_and_its_season() -> None:
    history = np.array([[1.0], [10.0], [3.0], [14.0], [5.0]])
    assert naive_scale(history, 2).tolist() == [8 / 3]  # |3-1|, |14-10|, |5-3|
    assert naive_scale(history, 1).tolist() == [(9 + 7 + 11 + 9) / 4]
    # No longer than a season: one step takes its place.
    assert naive_scale(history[:2], 2).tolist() == [9.0]
    # What repeats itself exactly has no scale, though rounding leaves a difference.
    wave = 10 + 3 * np.sin(2 * np.pi * np.arange(400) / 7)[:, None]
    assert np.abs(wave[7:] - wave[:-7]).max() > 0
    assert np.isnan(naive_scale(wave, 7)).all()
    assert np.isfinite(naive_scale(wave, 6)).all()
    assert np.isnan(naive_scale(np.ones((9, 1)), 2)).all()
    # Far from zero it is that of the values less what they have in common.
    far = np.round(10 * np.random.default_rng(0).normal(size=(90, 1)))
    for offset in (1e9, 1e15, -1e15):
        assert naive_scale(far + offset, 7).tolist() == naive_scale(far, 7).tolist()
        assert np.isnan(naive_scale(np.round(wave) + offset, 7)).all()


def test_a_series_without_scale_is_left_out_of_mase_alone() -> None:
    given = made()
    given["scale"] = given["scale"].copy()
    given["scale"][0] = np.nan
    rest = {k: v[1:] if len(v) == 7 else v for k, v in given.items()}
    assert scored(**given)["mase"] == pytest.approx(scored(**rest)["mase"])
    assert scored(**given)["mae"] != pytest.approx(scored(**rest)["mae"])


def test_pinball_at_the_median_is_half_the_absolute_error() -> None:
    y, q = np.array([3.0, -1.0]), np.array([[1.0], [4.0]])
    assert pinball(y, q, np.array([0.5])).ravel().tolist() == [1.0, 2.5]


def test_coverage_counts_between_the_outer_quantiles() -> None:
    given = made(1, 4, 1)
    given["truth"] = np.array([0.0, 1.0, 2.0, 9.0]).reshape(1, 4, 1)
    given["quantiles"] = np.broadcast_to(np.array([1.0, 1.5, 2.0]), (1, 4, 1, 3))
    given |= {"spread": np.ones((1, 1)), "scale": np.ones((1, 1))}
    assert scored(**given)["coverage"] == 0.5


# A point and its quantiles

LEVELS_ASKED = st.lists(
    st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.99]),
    min_size=1,
    max_size=9,
    unique=True,
).map(sorted)
SIZES = st.floats(-1e6, 1e6, width=32)


@given(st.data(), LEVELS_ASKED)
def test_a_rules_point_is_within_its_band_and_stays_as_it_is(data, levels):
    point = np.array(data.draw(SIZES))
    drawn = np.array(data.draw(st.lists(SIZES, min_size=len(levels), max_size=len(levels))))
    found = around(point, drawn, levels)
    assert (np.diff(found) >= 0).all()
    if (ends := band(levels)) is None:
        assert found.tolist() == sorted(drawn.tolist())
        return
    low, high = ends
    assert found[low] <= point <= found[high]
    # A band that holds the point already is not touched.
    if np.sort(drawn)[low] <= point <= np.sort(drawn)[high]:
        assert found.tolist() == sorted(drawn.tolist())


@given(LEVELS_ASKED)
def test_the_band_of_a_point_holds_eighty_per_cent_where_the_levels_do(levels):
    ends = band(levels)
    if ends is None:
        assert len(levels) < 2 or not levels[0] < 0.5 < levels[-1]
        return
    low, high = levels[ends[0]], levels[ends[1]]
    assert low < 0.5 < high
    assert low == max((v for v in levels if v <= 0.1), default=levels[0])
    assert high == min((v for v in levels if v >= 0.9), default=levels[-1])
