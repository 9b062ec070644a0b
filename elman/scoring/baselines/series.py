"""Baselines of a forecast: rules without parameters, exponential smoothing, a linear map.

All forecast from the same origins as the model, each origin seeing only what lies before it.
An origin is the position of the first value to forecast; `values` is the whole series `(T, C)`,
`origins` is `(N,)`, a forecast `(N, H, C)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Origins = NDArray[np.int64]

SEASONS_KEPT = 14
LEAST_KEPT = 200
SEASONS_AVERAGED = 5
LEAST_FITTED = 12
LEVEL_GAINS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99)
TREND_GAINS = ((0.0, 0.0), (0.02, 1.0), (0.02, 0.98), (0.1, 0.98), (0.1, 0.9), (0.3, 0.9))
"""Gains of the trend with its damping; the first pair is a model without a trend."""
SEASON_GAINS = (0.0, 0.05, 0.2, 0.5)


def last_value(values: Floats, origins: Origins, horizon: int) -> Floats:
    """Tomorrow is as today.

    >>> last_value(np.array([[1.0], [2.0], [5.0]]), np.array([2]), 2).ravel().tolist()
    [2.0, 2.0]
    """
    return np.repeat(values[origins - 1][:, None], horizon, axis=1)


def seasonal_naive(values: Floats, origins: Origins, horizon: int, season: int) -> Floats:
    """As one season ago, the last season over and over; the last value where there is none yet.

    >>> seasonal_naive(np.array([[1.0], [2.0], [3.0]]), np.array([3]), 3, 2).ravel().tolist()
    [2.0, 3.0, 2.0]
    """
    back = origins[:, None] - season + np.arange(horizon) % season
    back = np.where(back >= 0, back, origins[:, None] - 1)
    return np.asarray(values[back])


def drift(values: Floats, origins: Origins, horizon: int) -> Floats:
    """On along the line from the first value to the last (Hyndman & Athanasopoulos 2021).

    >>> drift(np.array([[1.0], [2.0], [5.0]]), np.array([3]), 2).ravel().tolist()
    [7.0, 9.0]
    """
    last = values[origins - 1]
    slope = (last - values[0]) / np.maximum(origins - 1, 1)[:, None]
    return np.asarray(last[:, None] + slope[:, None] * np.arange(1, horizon + 1)[:, None])


@dataclass(frozen=True)
class Smoothing:
    """Exponential smoothing of many channels at once, and its state before every value.

    With an additive season s of length m (or none), an additive damped trend b (or none), gains
    α, β, γ and damping φ (Hyndman & Athanasopoulos 2021, 8.3):

    l_t = α (y_t - s_{t-m}) + (1 - α)(l_{t-1} + φ b_{t-1})
    b_t = β (l_t - l_{t-1}) + (1 - β) φ b_{t-1}
    s_t = γ (y_t - l_{t-1} - φ b_{t-1}) + (1 - γ) s_{t-m}

    Attributes:
        gains: `(N, 4)` α, β, γ, φ of each channel.
        level, trend: `(N, T + 1)`, before each value and after the last one.
        season: `(N, m + T)`: the m that there were at first, and the one that each value left.
    """

    gains: Floats
    level: Floats
    trend: Floats
    season: Floats

    @classmethod
    def fit(cls, values: Floats, fitted: NDArray[np.int64], season: int) -> Smoothing:
        """Choose each channel's gains on its first values, and carry its state along all of them.

        The gains are those of a grid with the smallest squared error one step ahead, with or
        without a trend by AICc: all channels and all gains go through time together, so that the
        cost grows evenly with the number of values.

        Args:
            values: `(N, T)`; NaN after the end of a channel.
            fitted: `(N,)` how many values of each channel its gains are chosen on; of a channel
                with fewer than `LEAST_FITTED` the last value is the level.
            season: m; 1 for none.
        """
        start = _begin(values, fitted, season)
        gains = _chosen(values, fitted, season, start)
        gains[fitted < LEAST_FITTED] = (1.0, 0.0, 0.0, 0.0)
        alpha, beta, gamma, phi = gains.T
        level, trend, seasons = start
        n, steps = values.shape
        levels, trends = np.empty((2, n, steps + 1))
        cycle = np.concatenate([seasons, np.empty((n, steps))], axis=1)
        levels[:, 0], trends[:, 0] = level, trend
        for t in range(steps):
            before = cycle[:, t]
            expected = level + phi * trend
            error = np.nan_to_num(values[:, t] - before - expected)
            new = expected + alpha * error
            trend = beta * (new - level) + (1 - beta) * phi * trend
            level = new
            cycle[:, t + season] = before + gamma * error
            levels[:, t + 1], trends[:, t + 1] = level, trend
        return cls(gains, levels, trends, cycle)

    def forecast(self, which: NDArray[np.int64], at: NDArray[np.int64], horizon: int) -> Floats:
        """Forecast channels `which` `(N,)`, given their first `at` `(N,)` values: `(N, H)`."""
        m = self.season.shape[1] - self.level.shape[1] + 1
        ahead = np.arange(horizon)
        damped = np.cumsum(self.gains[which, 3][:, None] ** (ahead + 1), axis=1)
        level, trend = self.level[which, at][:, None], self.trend[which, at][:, None]
        # The last m values of the season before the origin are those of the coming season.
        cycle = self.season[which[:, None], at[:, None] + ahead % m]
        return np.asarray(level + damped * trend + cycle)


def kept_for_smoothing(season: int) -> int:
    """Return how many values before the held-out part gains are chosen on: 14 seasons, or 200.

    Older ones say little of the present, and the cost stays bounded.
    """
    return max(LEAST_KEPT, SEASONS_KEPT * season)


def _begin(values: Floats, fitted: NDArray[np.int64], season: int) -> tuple[Floats, Floats, Floats]:
    """Return level, trend and season before the first value.

    Level and trend are those of the first two seasons; the season is the mean of up to five, each
    about its own line.
    """
    if season == 1:
        return values[:, 0], np.zeros(len(values)), np.zeros((len(values), 1))
    first, second = values[:, :season], values[:, season : 2 * season]
    slope = (second.mean(axis=1) - first.mean(axis=1)) / season
    level = first.mean(axis=1) - slope * (season + 1) / 2
    whole = min(SEASONS_AVERAGED, int(fitted.max()) // season)
    cycles = values[:, : whole * season].reshape(len(values), whole, season)
    there = (np.arange(1, whole + 1) * season <= fitted[:, None])[..., None]
    place = np.arange(season) - (season - 1) / 2
    away = cycles - cycles.mean(axis=2, keepdims=True) - slope[:, None, None] * place
    return level, slope, np.where(there, away, 0.0).sum(axis=1) / there.sum(axis=1)


def _chosen(
    values: Floats, fitted: NDArray[np.int64], season: int, start: tuple[Floats, Floats, Floats]
) -> Floats:
    """Return the gains of each channel, `(N, 4)`."""
    grid = np.array(
        [
            (alpha, beta, gamma, phi)
            for alpha in LEVEL_GAINS
            for beta, phi in TREND_GAINS
            for gamma in (SEASON_GAINS if season > 1 else (0.0,))
        ]
    )
    alpha, beta, gamma, phi = grid.T
    begin, slope, seasons = start
    n, shape = len(values), (len(values), len(grid))
    level = np.broadcast_to(begin[:, None], shape)
    trend = np.where(phi > 0, slope[:, None], 0.0)
    cycle = np.repeat(seasons.T[:, :, None], len(grid), axis=2)
    squares = np.zeros(shape)
    skipped = season if season > 1 else 1
    for t in range(int(fitted.max())):
        before = cycle[t % season]
        expected = level + phi * trend
        there = (t < fitted)[:, None]
        error = np.where(there, values[:, t, None] - before - expected, 0.0)
        if t >= skipped:
            squares += error**2
        new = expected + alpha * error
        trend = beta * (new - level) + (1 - beta) * phi * trend
        level = new
        cycle[t % season] = before + gamma * error
    count = np.maximum(fitted - skipped, 1)[:, None]
    free = 2 + 3 * (phi > 0) + (gamma > 0)
    spread = np.nanvar(np.where(np.arange(values.shape[1]) < fitted[:, None], values, np.nan), 1)
    # Of a constant channel all gains are right: the plainest counts.
    least = np.maximum(1e-12 * spread[:, None], np.finfo(np.float64).tiny)
    corrected = 2 * free * count / np.maximum(count - free - 1, 1)
    aicc = count * np.log(np.maximum(squares / count, least)) + corrected
    return np.asarray(grid[np.argmin(aicc, axis=1)]).reshape(n, 4)


@dataclass(frozen=True)
class Linear:
    """One linear map from a window to all its future steps, shared by all channels.

    Ridge regression of the future on the past, both with the window's last value taken out:
    NLinear (Zeng et al. 2023) in closed form.
    """

    weights: Floats

    @classmethod
    def fit(cls, past: Floats, future: Floats, penalties: Floats) -> list[Linear]:
        """A map for each penalty.

        Args:
            past, future: `(N, L)` and `(N, H)`, all channels' windows under one another.
            penalties: as shares of the mean diagonal of the normal equations.
        """
        x, y = past - past[:, -1:], future - past[:, -1:]
        gram = x.T @ x
        values, vectors = np.linalg.eigh(gram)
        target = vectors.T @ (x.T @ y)
        size = max(float(np.trace(gram)) / len(gram), np.finfo(np.float64).tiny)
        return [cls(vectors @ (target / (values + p * size)[:, None])) for p in penalties]

    def forecast(self, past: Floats) -> Floats:
        """`(..., L)` to `(..., H)`."""
        last = past[..., -1:]
        return (past - last) @ self.weights + last
