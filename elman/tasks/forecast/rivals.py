"""The baselines of a run, and the time that they may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.tasks.forecast import baselines as forecast_baselines
from elman.tasks.forecast.baselines import Baseline
from elman.tasks.forecast.holding import MOST_VALIDATION_WINDOWS
from elman.tasks.forecast.pool import Pool
from elman.tasks.forecast.settings import STEPS
from elman.tasks.forecast.windows import training_origins

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast

MODEL = "recurrent model"
BASELINES_SHARE = 0.1
"""Part of a budget for baselines whose form is chosen by itself, ..."""
SECONDS_A_STEP = 0.005
"""... and their time for each step of training where there is no budget, ..."""
MOST_SECONDS = 30.0
"""... and no more than that."""


def all_baselines(task: Forecast) -> list[Baseline]:
    """Return every baseline; the linear map is fitted on the training part, once."""
    found = forecast_baselines.all_of(task.season, seconds_of_baselines(task))
    if task._data is not None:
        train = training_origins(task._ends, task.lookback, task.horizon)
        valid, again = task._valid_origins(MOST_VALIDATION_WINDOWS), task.again.train
        first, judged = (Pool.of(task._data, some) for some in (train, valid))
        last, channels = task.to_learn(), len(task.targets)
        found.append(forecast_baselines.ridge(first.and_more(again), judged, last, channels))
    return found


def seconds_of_baselines(task: Forecast) -> float:
    """Return the time for baselines whose form is chosen by itself.

    A tenth of a budget; without one, as long as the steps of training take at most.
    """
    s = task.settings
    if s.budget is not None:
        return BASELINES_SHARE * s.budget
    return min(MOST_SECONDS, SECONDS_A_STEP * (s.max_steps or STEPS))
