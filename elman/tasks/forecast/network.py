"""The network of a forecaster: as wide as the windows that it reads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from elman.nn.segment import DirectForecaster, SegmentForecaster
from elman.tasks.forecast.intervals import Calibrated

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast


def network_of(task: Forecast) -> Calibrated:
    """Return the network that reads the past as the settings say, initialised at random."""
    s = task.settings
    known = 2 * len(task.cycles) + (0 if task.columns is None else len(task.columns.shift))
    known += task._flags
    options: dict[str, Any] = {
        "known": known,
        "outputs": 1 + len(s.quantiles),
        "recurrent": partial(s.build, batch_first=True),
        "hidden_size": s.hidden_size,
        "dropout": s.dropout,
        "norm": s.window_norm,
    }
    sizes = (len(task.targets), task.lookback, task.horizon)
    if s.model == "recurrent":
        return Calibrated(DirectForecaster(*sizes, **options), s.quantiles)
    assert s.segment is not None
    return Calibrated(SegmentForecaster(*sizes, s.segment, **options), s.quantiles)
