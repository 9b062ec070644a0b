"""Statistical forecasts whose form is chosen by itself: AutoETS, AutoTheta and AutoARIMA.

They are those of statsforecast (Garza et al. 2022), after Hyndman & Khandakar (2008) and Fiorucci
et al. (2016). A model is fitted once, on the history before the held-out part, and then applied to
the values up to each origin with the parameters it has.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from elman.errors import require
from elman.scoring.baselines.series import LEAST_FITTED, kept_for_smoothing
from elman.writing import written

Floats = NDArray[np.float64]
Kind = Literal["AutoETS", "AutoTheta", "AutoARIMA"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SHARES = {"AutoETS": 0.3, "AutoTheta": 0.2, "AutoARIMA": 0.5}
"""Parts of the time for all of them."""
_DWARFS = 1e3
"""Times the spread of a history that its level is at least, and is taken away before a fit.

The first state of ARIMA has a variance of 10⁶ times that of the errors, which is vague only near
zero, and the likelihoods of all three are rounded far from it. Forms that multiply by the level
are there what those that add are, so nothing is lost. Nearer to zero they differ, and the values
stay as they are.
"""
_PATIENCE = 4.0
"""How much longer than its share one may take, on a machine slower than the estimate's."""


class NotFitted(Exception):
    """A forecast that cannot be made, or not in its time; the message says why."""


@dataclass(frozen=True)
class Channel:
    """One channel of one series, its history and the origins to forecast it from.

    Attributes:
        values: `(T,)`, all of them.
        begins: where the history ends that the model is fitted on.
        origins: `(N,)` positions of the first value to forecast.
    """

    values: Floats
    begins: int
    origins: NDArray[np.int64]


def installed() -> bool:
    """Tell whether statsforecast is there."""
    return find_spec("statsforecast") is not None


def seconds(kind: Kind, channels: Sequence[Channel], season: int) -> float:
    """Return about how long one of them takes, by figures measured on one core of a server.

    A fit takes time that grows with the history kept, of AutoARIMA also with the square of the
    season; so does a forecast with the values before its origin.
    """
    kept = kept_for_smoothing(season)
    total = 0.0
    for each in channels:
        rows = min(each.begins, kept)
        fit = {
            "AutoETS": 1.1e-3 * rows,
            "AutoTheta": 2e-4 * rows,
            "AutoARIMA": 0.5 + 1e-4 * rows * season**2,
        }[kind]
        once = {"AutoETS": 1.5e-3, "AutoTheta": 2.5e-3, "AutoARIMA": 8e-3}[kind]
        beyond = max(0, len(each.values) - each.begins + rows)
        total += fit + len(each.origins) * once * (1 + beyond / 2000)
    return total


def too_slow(kind: Kind, channels: Sequence[Channel], season: int, given: float) -> str | None:
    """Return why one of them does not fit its share of `given` seconds, or None."""
    needed, share = seconds(kind, channels, season), _SHARES[kind] * given
    if needed <= share:
        return None
    windows = sum(len(each.origins) for each in channels)
    return (
        f"{kind}: {windows:,} forecasts of {len(channels):,} series would take about "
        f"{written(needed, 2)} s, and its share is {written(share, 2)} s (a larger budget, or more "
        "steps of training where there is none, has a larger one)"
    )


def forecasts(
    kind: Kind,
    channels: Sequence[Channel],
    season: int,
    horizon: int,
    levels: Sequence[float],
    given: float,
) -> list[tuple[Floats, Floats]]:
    """Return points `(N, H)` and quantiles `(N, H, Q)` of each channel.

    A history of fewer than twelve values, or of one value only, is gone on with its last value.

    Raises:
        NotFitted: no model could be fitted, or the time ran out.
    """
    models: Any = require("statsforecast.models", "series")
    deadline = time.perf_counter() + max(1.0, _PATIENCE * _SHARES[kind] * given)
    widths = sorted({round(abs(200 * level - 100), 6) for level in levels} - {0.0})
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an optimiser stopped early is no news here
        for channel in channels:
            start = max(0, channel.begins - kept_for_smoothing(season))
            history = channel.values[start : channel.begins]
            offset = _offset(history)
            history = history - offset
            model = None
            if len(history) >= LEAST_FITTED and np.ptp(history) > 0:
                model = _fitted(models, kind, history, season)
            done = []
            for origin in channel.origins.tolist():
                if time.perf_counter() > deadline:
                    raise NotFitted(f"{kind}: it took longer than its share of the time")
                seen = channel.values[start:origin] - offset
                point, spread = _ahead(model, seen, horizon, levels, widths)
                done.append((point + offset, spread + offset))
            found.append((np.array([p for p, _ in done]), np.array([q for _, q in done])))
    return found


def _offset(history: Floats) -> float:
    """Return what is taken from values before a fit: 0, or a level that dwarfs their spread.

    It is the roundest number within their range, so what is left lies on both sides of zero, where
    only forms that add are tried, and is the series that somebody had before a round offset.

    >>> wave = np.array([-1.0, 0.25, 1.0, 0.25])
    >>> _offset(wave + 5), _offset(wave + 1e9), _offset(wave + 123456.5)
    (0.0, 1000000000.0, 123457.0)
    """
    if not len(history) or np.ptp(history) == 0:
        return 0.0
    level, spread = float(history.mean()), float(history.std())
    if not 0 < _DWARFS * spread < abs(level):
        return 0.0
    low, high = float(history.min()), float(history.max())
    digits = int(np.ceil(np.log10(abs(level)))), int(np.floor(np.log10(spread)))
    rounded = (round(level / 10.0**k) * 10.0**k for k in range(digits[0], digits[1] - 1, -1))
    return next((near for near in rounded if low <= near <= high), level)


def _fitted(models: Any, kind: Kind, history: Floats, season: int) -> Any:
    # Two seasons are needed to tell a season from a trend.
    length = season if len(history) >= 2 * season + 5 else 1
    try:
        return getattr(models, kind)(season_length=length).fit(np.ascontiguousarray(history))
    except (ArithmeticError, NotImplementedError, ValueError, np.linalg.LinAlgError) as error:
        raise NotFitted(f"{kind}: {error}") from None


def _ahead(
    model: Any, seen: Floats, horizon: int, levels: Sequence[float], widths: list[float]
) -> tuple[Floats, Floats]:
    last = np.full(horizon, seen[-1])
    if model is None:
        return last, np.repeat(last[:, None], len(levels), axis=1)
    out = model.forward(np.ascontiguousarray(seen), horizon, level=widths or None)
    point = np.asarray(out["mean"], dtype=np.float64)
    columns = []
    for level in levels:
        width = round(abs(200 * level - 100), 6)
        side = "lo" if level < 0.5 else "hi"
        columns.append(point if width == 0 else np.asarray(out[f"{side}-{width}"]))
    spread = np.stack(columns, axis=-1) if columns else np.empty((horizon, 0))
    if not (np.isfinite(point).all() and np.isfinite(spread).all()):
        return last, np.repeat(last[:, None], len(levels), axis=1)
    return point, spread.astype(np.float64)
