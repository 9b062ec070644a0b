"""How good forecasts are: errors of windows, summed so that they can be resampled.

Every metric is a ratio of sums over windows, so that a bootstrap needs one row of sums for
each thing it resamples. With y the truth, ŷ the forecast, q̂_τ the forecast of quantile τ:

- `mse`, `rmse`, `mae`: in the series' own units; `scaled_mse`, `scaled_mae`: of values that
  were standardised by the training part (the convention of the ETT benchmarks).
- `mase`: |y - ŷ| over the mean |y_t - y_{t-m}| of the history before the held-out part, m the
  season (Hyndman & Koehler 2006); the scale is never taken from the horizon.
- `smape`: 200 |y - ŷ| / (|y| + |ŷ|), in %, as in the M4 competition (Makridakis et al. 2020).
- `crps`: 2 · mean over τ of the pinball loss ρ_τ(y - q̂_τ), which tends to the continuous ranked
  probability score as the quantiles grow dense (Gneiting & Raftery 2007, Laio & Tamea 2007);
  in own units. `wql` is its sum over the sum of |y|, the weighted quantile loss of the M5
  competition and GluonTS. Without quantiles both come from the point forecast.
- `coverage`: share of values between the lowest and the highest quantile forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating]


def smape(truth: Floats, forecast: Floats) -> Floats:
    """Symmetric absolute percentage errors, 0 to 200; 0 where both are 0.

    >>> smape(np.array([100.0, 0.0]), np.array([50.0, 0.0])).round(2).tolist()
    [66.67, 0.0]
    """
    size = np.abs(truth) + np.abs(forecast)
    return 200 * np.abs(truth - forecast) / np.where(size == 0, 1, size)


_ROUNDING = 1e-13
"""A difference of less than this share of the values' range comes from rounding."""


_MEETS = 1e-9
"""A value that is less than this share of the spread away from the end of an interval meets it."""


def naive_scale(history: Floats, season: int) -> Floats:
    """Mean absolute seasonal difference of `history` `(T, C)`, `(C,)`: what MASE divides by.

    NaN where it cannot be taken or is 0 but for rounding (too short, constant, repeats itself
    exactly). Where the history is not longer than a season, one step takes the season's place.
    Differences from or to a missing value (NaN) do not count.

    >>> naive_scale(np.array([[1.0], [4.0], [3.0], [8.0]]), 2).tolist()
    [3.0]
    """
    m = season if len(history) > season else 1
    if len(history) <= m:
        return np.full(history.shape[1], np.nan)
    away = np.abs(history[m:] - history[:-m])
    there = np.isfinite(away)
    scale = np.where(there, away, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    any_one = np.nanmax(history, axis=0, initial=-np.inf)
    any_one = np.where(np.isfinite(any_one), any_one, 0.0)
    some = np.where(np.isfinite(history), history, any_one)
    low, high = some.min(axis=0), some.max(axis=0)
    # Values far from zero are rounded by their size; what computed them, by their range.
    rounded = np.maximum(_ROUNDING * (high - low), 4 * np.spacing(np.maximum(-low, high)))
    return np.where(scale > rounded, scale, np.nan)


def pinball(truth: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """ρ_τ(y - q̂) of `quantiles` `(..., Q)` against `truth` `(...)` (Koenker & Bassett 1978).

    >>> pinball(np.array(10.0), np.array([8.0, 12.0]), np.array([0.9, 0.9])).round(3).tolist()
    [1.8, 0.2]
    """
    over = truth[..., None] - quantiles
    return np.maximum(levels * over, (levels - 1) * over)


def band(levels: Sequence[float]) -> tuple[int, int] | None:
    """Return the places of the two levels between which a point has to lie, or None.

    They are the innermost pair that holds 80 %, the outermost one where none holds as much. Levels
    on one side of the median enclose nothing.

    >>> band([0.05, 0.1, 0.5, 0.9]), band([0.25, 0.75]), band([0.6, 0.9])
    ((1, 3), (0, 1), None)
    """
    if len(levels) < 2 or not levels[0] < 0.5 < levels[-1]:
        return None
    low = max((i for i, level in enumerate(levels) if level <= 0.1), default=0)
    high = min((i for i, level in enumerate(levels) if level >= 0.9), default=len(levels) - 1)
    return low, high


def around(
    point: NDArray[np.float64], quantiles: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return quantiles `(..., Q)` whose band holds the point `(...)`: a rule's point is kept.

    >>> around(np.array(5.0), np.array([1.0, 2.0, 3.0]), [0.1, 0.5, 0.9]).tolist()
    [1.0, 2.0, 5.0]
    """
    ordered = np.sort(quantiles, axis=-1)
    if (ends := band(levels)) is None:
        return ordered
    low, high = ends
    below = np.minimum(ordered[..., : low + 1], point[..., None])
    above = np.maximum(ordered[..., high:], point[..., None])
    return np.concatenate([below, ordered[..., low + 1 : high], above], axis=-1)


def window_sums(
    truth: Floats,
    point: Floats,
    quantiles: Floats,
    levels: Floats,
    spread: Floats,
    scale: Floats,
) -> dict[str, Floats]:
    """Return the sums that each window adds to every metric, `(N,)` each.

    Args:
        truth, point: `(N, H, C)` in own units; a truth that is missing (NaN) does not count.
        quantiles: `(N, H, C, Q)`, ascending; Q may be 0.
        levels: `(Q,)`.
        spread: `(N, C)` the training part's standard deviation.
        scale: `(N, C)` from `naive_scale`; NaN leaves that channel out of MASE.
    """
    there = np.isfinite(truth)
    truth = np.where(there, truth, point)
    error = np.abs(truth - point)
    scaled = error / spread[:, None]
    relative = error / scale[:, None]
    if len(levels):
        crps = 2 * pinball(truth, quantiles, levels).mean(axis=-1)
        # A value that meets an end but for rounding is inside, as near to zero as far from it.
        slack = _MEETS * spread[:, None] + 4 * np.spacing(np.abs(truth))
        inside = (truth >= quantiles[..., 0] - slack) & (truth <= quantiles[..., -1] + slack)
    else:
        crps, inside = error, np.zeros_like(error)
    sums = {
        "count": np.ones_like(error),
        "squared": error**2,
        "absolute": error,
        "scaled_squared": scaled**2,
        "scaled_absolute": scaled,
        "smape": smape(truth, point),
        "crps": crps,
        "inside": inside,
        "size": np.abs(truth),
        "mase": np.nan_to_num(relative),
        "mase_count": np.isfinite(relative),
    }
    return {
        name: np.where(there, values, 0.0).sum(axis=(1, 2), dtype=np.float64)
        for name, values in sums.items()
    }


def score(units: pd.DataFrame, *, quantiles: bool = True) -> dict[str, float]:
    """Metrics of rows of window sums."""
    names = list(units.columns)
    total = dict(zip(names, units.to_numpy(dtype=np.float64).sum(axis=0), strict=True))
    n = total["count"] or float("nan")  # of windows whose values are all missing
    found = {
        "mase": _ratio(total["mase"], total["mase_count"]),
        "smape": total["smape"] / n,
        "mse": total["squared"] / n,
        "rmse": float(np.sqrt(total["squared"] / n)),
        "mae": total["absolute"] / n,
        "scaled_mse": total["scaled_squared"] / n,
        "scaled_mae": total["scaled_absolute"] / n,
        "crps": total["crps"] / n,
        "wql": _ratio(total["crps"], total["size"]),
    }
    if quantiles:
        found["coverage"] = total["inside"] / n
    return {name: float(value) for name, value in found.items()}


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")
