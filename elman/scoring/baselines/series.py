"""Baselines of a forecast: rules without parameters, exponential smoothing, a linear map.

All forecast from the same origins as the model, each origin seeing only what lies before it.
An origin is the position of the first value to forecast; `values` is the whole series `(T, C)`,
`origins` is `(N,)`, a forecast `(N, H, C)`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import require

Floats = NDArray[np.float64]
Origins = NDArray[np.int64]

SEASONS_FITTED = 14
LEAST_FITTED = 200


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
    """Exponential smoothing of one channel: additive season, additive damped trend, or without.

    With season s of length m, gains α, β, γ and damping φ (Hyndman & Athanasopoulos 2021, 8.3):

    l_t = α (y_t - s_{t-m}) + (1 - α)(l_{t-1} + φ b_{t-1})
    b_t = β (l_t - l_{t-1}) + (1 - β) φ b_{t-1}
    s_t = γ (y_t - l_{t-1} - φ b_{t-1}) + (1 - γ) s_{t-m}

    Attributes:
        alpha, beta, gamma, phi: the gains and the damping.
        level, trend, season: the state before the value at position `begins`.
    """

    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    trend: float
    season: tuple[float, ...]
    begins: int

    @classmethod
    def fit(cls, values: Floats, season: int) -> Smoothing:
        """Fit by statsmodels, with and without trend, and keep the one of lower AICc.

        On the last 14 seasons (at least 200 values) of `values` `(T,)`: older ones say little
        of the present, and the cost stays bounded. Without a season where fewer than two of
        them and five values more have been seen.
        """
        smoothing: Any = require("statsmodels.tsa.holtwinters", "series")

        begins = max(0, len(values) - max(LEAST_FITTED, SEASONS_FITTED * season))
        used = values[begins:]
        seasonal = season > 1 and len(used) >= 2 * season + 5
        if len(used) < 12 or np.ptp(used) == 0:
            # Too little to fit gains on: the level is the last value.
            return cls(1.0, 0.0, 0.0, 1.0, float(used[0]), 0.0, (), begins)
        # The optimiser goes astray on a small wave far from zero; a level can be added afterwards.
        centre = float(used.mean())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the optimiser stopped early is no news here
            fits = [
                smoothing.ExponentialSmoothing(
                    used - centre,
                    trend="add" if trend else None,
                    damped_trend=trend,
                    seasonal="add" if seasonal else None,
                    seasonal_periods=season if seasonal else None,
                    initialization_method="heuristic",
                ).fit(use_brute=False)
                for trend in (False, True)
            ]
        best = min(fits, key=lambda fit: float(fit.aicc))
        p = best.params
        trend = best is fits[1]
        return cls(
            float(p["smoothing_level"]),
            float(p["smoothing_trend"]) if trend else 0.0,
            float(p["smoothing_seasonal"]) if seasonal else 0.0,
            float(p["damping_trend"]) if trend else 1.0,
            float(p["initial_level"]) + centre,
            float(p["initial_trend"]) if trend else 0.0,
            tuple(float(s) for s in p["initial_seasons"]) if seasonal else (),
            begins,
        )

    def forecast(self, values: Floats, origins: Origins, horizon: int) -> Floats:
        """From every origin, `(N, H)`: one pass over the series with the fitted gains."""
        m = max(1, len(self.season))
        seasons = list(self.season) or [0.0]
        level, trend = self.level, self.trend
        damped = np.cumsum(self.phi ** np.arange(1, horizon + 1))
        ahead = np.arange(horizon)
        wanted: dict[int, list[int]] = {}
        for place, origin in enumerate(origins):
            wanted.setdefault(int(origin), []).append(place)
        out = np.empty((len(origins), horizon))
        for t in range(self.begins, max(wanted, default=-1) + 1):
            for place in wanted.get(t, ()):
                cycle = np.array(seasons)[(t - self.begins + ahead) % m]
                out[place] = level + damped * trend + cycle
            if t == len(values):
                break
            y, now = float(values[t]), (t - self.begins) % m
            expected, before = level + self.phi * trend, level
            level = self.alpha * (y - seasons[now]) + (1 - self.alpha) * expected
            trend = self.beta * (level - before) + (1 - self.beta) * self.phi * trend
            if self.season:
                seasons[now] = self.gamma * (y - expected) + (1 - self.gamma) * seasons[now]
        for place in (p for o, ps in wanted.items() if o < self.begins for p in ps):
            out[place] = values[origins[place] - 1]
        return out


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
