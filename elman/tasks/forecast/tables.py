"""Forecasts as tables: a row for each series, step and target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import InputError
from elman.tasks.forecast.baselines import Forecaster
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.times import times_after
from elman.tasks.forecast.windows import Held, Ints, Origins

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 200_000


def apart(origins: Origins, horizon: int, season: int, targets: int) -> Origins:
    """Windows that do not overlap, thinned evenly where the table would grow too long.

    Not a whole number of seasons apart: forecasts begin in every part of the season.
    """
    gap = horizon + (season > 1 and horizon % season == 0)
    first: Ints = np.full(int(origins.series.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, origins.series, origins.position)
    since = origins.position - first[origins.series]
    kept = origins.take(np.flatnonzero(since % gap == 0))
    return kept.thinned(MOST_ROWS // (horizon * targets))


def table(
    held: Held,
    origins: Origins,
    forecaster: Forecaster,
    frequency: str | None,
    quantiles: Sequence[float],
    *,
    chunk: int,
    truth: bool,
) -> pd.DataFrame:
    """Columns series, time (positions from 1 without one), step, target, value, forecast, q….

    Args:
        held: the series.
        origins: windows to forecast.
        forecaster: what forecasts them.
        frequency: of the times.
        quantiles: levels, for the names of their columns.
        chunk: windows at once.
        truth: whether what came is known, and told as `value`.
    """
    import pandas as pd

    h, targets = held.windows.horizon, held.panel.targets
    c, n = len(targets), origins.count
    done = [forecaster(some) for some in origins.chunks(chunk)]
    names = [held.panel.series[i].name for i in origins.series.tolist()]
    columns: dict[str, Any] = {
        "series": np.repeat(np.array(names, dtype=object), h * c),
        "time": np.repeat(_when(held, origins, frequency), c),
        "step": np.tile(np.repeat(np.arange(1, h + 1), c), n),
        "target": np.tile(np.array(targets, dtype=object), n * h),
    }
    if truth:
        columns["value"] = held.truth(origins).ravel()
    columns["forecast"] = np.concatenate([point for point, _ in done]).ravel()
    spread = np.concatenate([q for _, q in done])
    for place, level in enumerate(quantiles):
        columns[f"q{level:g}"] = spread[..., place].ravel()
    return pd.DataFrame(columns)


def brief(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return series and target where there are several, time, forecast, lower and upper.

    The interval is that between the outermost quantiles.
    """
    several = [n for n in ("series", "target") if predictions[n].nunique() > 1]
    levels = [name for name in predictions.columns if name.startswith("q")]
    names = {levels[0]: "lower", levels[-1]: "upper"} if len(levels) > 1 else {}
    kept = [n for n in ("series", "time", "target") if n == "time" or n in several]
    return predictions[[*kept, "forecast", *names]].rename(columns=names)


def _when(held: Held, origins: Origins, frequency: str | None) -> Any:
    """The time of every step of every window, or its position where the times are not known."""
    h = held.windows.horizon
    if frequency is None or any(s.times is None for s in held.panel.series):
        return (origins.position[:, None] + np.arange(1, h + 1)).ravel()
    whole: dict[int, Any] = {}
    parts = []
    for i, position in zip(origins.series.tolist(), origins.position.tolist(), strict=True):
        series = held.panel.series[i]
        if i not in whole or len(whole[i]) < position + h:
            rows = max(position + h, len(series))
            whole[i] = times_of(series, rows, frequency, held.panel).to_numpy()
        parts.append(whole[i][position : position + h])
    return np.concatenate(parts)


def times_of(series: Series, rows: int, frequency: str | None, panel: Panel) -> pd.DatetimeIndex:
    """The times of a series' first `rows` rows, those that have not come included.

    Raises:
        InputError: there are none, or too few to tell the step between them.
    """
    import pandas as pd

    if series.times is None:
        raise InputError(
            f"{series} has no times, and the model reads the calendar.",
            file=panel.source,
            fix="Give a column of times, or train with calendar=false.",
        )
    missing = rows - len(series.times)
    if missing <= 0:
        return series.times[:rows]
    assert frequency is not None
    after = times_after(series.times[-1], missing, frequency)
    return pd.DatetimeIndex(series.times.append(after))
