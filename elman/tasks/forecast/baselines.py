"""The baselines of a forecast on the same windows as the model, with intervals of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from elman.scoring.baselines.series import Linear, Smoothing, drift, last_value, seasonal_naive
from elman.tasks.forecast.windows import Floats, Held, Ints, Origins, Windows, held_out_origins

Points = Callable[[Origins], Floats]
"""From windows to point forecasts `(N, H, C)` in own units."""
Forecaster = Callable[[Origins], tuple[Floats, Floats]]
"""From windows to points `(N, H, C)` and quantiles `(N, H, C, Q)`."""

SMOOTHING = "exponential smoothing"
MOST_WINDOWS = 50_000
LEAST_ERRORS = 300
PENALTIES = np.array([1e-6, 1e-4, 1e-2, 1.0])


def not_run() -> str | None:
    """The baseline that cannot be run here and the extra it needs, or None.

    >>> not_run() is None or "elman[series]" in not_run()
    True
    """
    if find_spec("statsmodels"):
        return None
    return f"{SMOOTHING}: it needs pip install 'elman[series]'"


def rules(held: Held, begins: Sequence[int], season: int) -> dict[str, Points]:
    """Last value, seasonal naive, drift and exponential smoothing, by name.

    Args:
        held: the series to forecast.
        begins: where the history of each ends, on which smoothing is fitted, once.
        season: steps.
    """
    h = held.windows.horizon
    found = {"last value": _each(held, lambda i, v, o: last_value(v, o, h))}
    if season > 1:
        naive = _each(held, lambda i, v, o: seasonal_naive(v, o, h, season))
        found[f"seasonal naive ({season})"] = naive
    found["drift"] = _each(held, lambda i, v, o: drift(v, o, h))
    if not_run() is None:
        fitted: dict[tuple[int, int], Smoothing] = {}

        def smooth(i: int, values: Floats, origins: Ints) -> Floats:
            channels = []
            for c, channel in enumerate(values.T):
                if (i, c) not in fitted:
                    fitted[i, c] = Smoothing.fit(channel[: begins[i]], season)
                channels.append(fitted[i, c].forecast(channel, origins, h))
            return np.stack(channels, axis=-1)

        found[SMOOTHING] = _each(held, smooth)
    return found


def linear(train: Windows, origins: Origins, valid: Origins, held: Held) -> Points:
    """A ridge regression on training windows, its penalty chosen on validation windows."""

    def flat(some: Origins) -> tuple[Floats, Floats]:
        batch = train.batch(some)
        assert batch.future is not None
        past, future = (t.transpose(1, 2).flatten(0, 1) for t in (batch.past, batch.future))
        return past.double().numpy(), future.double().numpy()

    channels = held.scales[0].spread.size
    maps = Linear.fit(*flat(origins.thinned(MOST_WINDOWS // channels)), PENALTIES)
    past, future = flat(valid)
    best = maps[int(np.argmin([np.abs(each.forecast(past) - future).mean() for each in maps]))]

    def forecast(some: Origins) -> Floats:
        batch = held.windows.batch(some, future=False)
        y = torch.from_numpy(best.forecast(batch.past.transpose(1, 2).double().numpy()))
        own = held.windows.own_units(y.transpose(1, 2).unsqueeze(-1), batch)
        return np.asarray(own[..., 0].numpy())

    return forecast


def with_intervals(
    points: Points, held: Held, begins: Sequence[int], levels: NDArray[np.float64]
) -> Forecaster:
    """A rule with the quantiles of its own earlier errors around each step.

    The errors are those of the last origins whose horizon ends before the held-out part, some
    300 in all and 30 at least of a series, in units of each series' spread.
    """
    want = max(30, -(-LEAST_ERRORS // len(begins)))
    h = held.windows.horizon
    before = held_out_origins([(max(1, b - h - want + 1), b) for b in begins], h, None, None)
    if not len(levels) or not before.count:
        return lambda origins: (p := points(origins), np.repeat(p[..., None], len(levels), -1))
    errors = (held.truth(before) - points(before)) / held.spread[before.series][:, None]
    around = np.moveaxis(np.quantile(errors, levels, axis=0), 0, -1)  # (H, C, Q)

    def forecast(origins: Origins) -> tuple[Floats, Floats]:
        point = points(origins)
        return point, point[..., None] + around * held.spread[origins.series][:, None, :, None]

    return forecast


def _each(held: Held, rule: Callable[[int, Floats, Ints], Floats]) -> Points:
    """A rule for one series `(number, values, origins)`, over windows of many."""

    def forecast(origins: Origins) -> Floats:
        order = np.argsort(origins.series, kind="stable")
        which, starts = np.unique(origins.series[order], return_index=True)
        parts = [
            rule(int(i), held.panel.series[i].values, origins.position[rows])
            for i, rows in zip(which, np.split(order, starts[1:]), strict=True)
        ]
        out = np.empty((origins.count, *parts[0].shape[1:]))
        out[order] = np.concatenate(parts)
        return out

    return forecast
