"""Series of a file with their scales, and the windows of them to score or to forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import InputError
from elman.tasks.forecast import filling, history, times
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.tables import times_of
from elman.tasks.forecast.windows import Floats, Held, Origins, Scale, Windows, held_out_origins

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast

MOST_TEST_WINDOWS = 20_000
MOST_VALIDATION_WINDOWS = 1_000


def held_of(task: Forecast, panel: Panel, scales: list[Scale], ahead: int = 0) -> Held:
    """Series with their scales; with `ahead`, what is known that many rows further."""
    known = [_known(task, series, panel, ahead) for series in panel.series]
    values = [series.values for series in panel.series]
    sizes, missing = (task.lookback, task.horizon), [series.missing for series in panel.series]
    windows = Windows(values, known, scales, *sizes, missing, task._flags)
    return Held(panel, scales, windows)


def _known(task: Forecast, series: Series, panel: Panel, ahead: int) -> Floats:
    """Covariates and calendar of a series' rows and of `ahead` rows more."""
    rows = len(series) + ahead
    parts = [np.empty((rows, 0))]
    if task.columns is not None:
        if len(series.known) < rows:
            raise InputError(
                f"{series} has covariates for {len(series.known) - len(series)} of the "
                f"{ahead} rows to forecast.",
                file=panel.source,
                fix="Add rows with the target left empty and the covariates filled in.",
            )
        parts.append(task.columns.transform(series.known[:rows]))
    if task.cycles:
        moments = times_of(series, rows, task.frequency, panel)
        parts.append(times.calendar(moments, task.cycles))
    if task._flags:
        flags = np.zeros((rows, task._flags))
        if series.missing is not None:
            flags[: len(series)] = series.missing
        parts.append(flags)
    return np.concatenate(parts, axis=1)


def to_score(task: Forecast, data: Any) -> tuple[Held, Origins, list[int]]:
    """Series, windows to score, and for each series where its history ends.

    Of `data` every window is scored whose past is whole, or the last one where none is.
    """
    if data is None:
        return task._here, task._test_origins(), [e.valid for e in task._ends]
    panel = _read(task, data, least=task.horizon + 1)
    begins = [min(task.lookback, len(s) - task.horizon) for s in panel.series]
    panel = _warn(task, panel, begins, [(0, len(s)) for s in panel.series])
    scales = scales_of(task, panel, begins)
    bounds = [(b, len(s)) for s, b in zip(panel.series, begins, strict=True)]
    step = task.settings.test_step
    origins = held_out_origins(bounds, task.horizon, MOST_TEST_WINDOWS, step)
    return held_of(task, panel, scales), origins, begins


def _read(task: Forecast, data: Any, least: int) -> Panel:
    """Series like those of training, each with `least` rows or more."""
    return history.read_history(data, task.settings, task.frequency, len(task.targets), least)


def _warn(
    task: Forecast, panel: Panel, ends: Sequence[int], seen: Sequence[tuple[int, int]]
) -> Panel:
    """Return series without holes; what is unlike training is warned of.

    Args:
        panel: as it was read.
        ends: of each series, rows before its first forecast.
        seen: of each, the first row that forecasts see or are compared with, and the last one
            plus 1.
    """
    fill = task.settings.fill
    history.warn_of_short(panel, ends, task.lookback)
    history.warn_of_new(panel, task.scales)
    history.warn_of_levels(panel, ends, task.scales)
    history.warn_of_times(panel, task.frequency, fill, seen)
    history.warn_of_doubts(panel)
    panel = filling.without_holes(panel, fill, task.season, ends)
    history.warn_of_filled(panel, fill, seen)
    return panel


def scales_of(task: Forecast, panel: Panel, ends: Sequence[int]) -> list[Scale]:
    """Return the scale of each series: as in training, or else from the past up to its end."""
    return [
        task.scales.get(s.name)
        or Scale.fit(s.values[max(0, e - task.lookback) : e], task.season, task.settings.log)
        for s, e in zip(panel.series, ends, strict=True)
    ]


def to_predict(task: Forecast, data: Any, *, whole: bool) -> tuple[Held, Origins]:
    """Return series, and the window after the end of each.

    Args:
        data: the series; what is unlike training is warned of.
        whole: a baseline is fitted to all rows, and not only the last ones are seen.
    """
    panel = _read(task, data, least=1)
    ends = [len(s) for s in panel.series]
    seen = [(0 if whole else max(0, end - task.lookback), end) for end in ends]
    panel = _warn(task, panel, ends, seen)
    held = held_of(task, panel, scales_of(task, panel, ends), ahead=task.horizon)
    return held, Origins(np.arange(len(ends)), np.array(ends))
