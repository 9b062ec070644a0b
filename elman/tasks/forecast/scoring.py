"""Scores of models, baselines and blends on the same windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from elman.errors import InputError
from elman.scoring import Evaluation
from elman.scoring.baselines.automatic import NotFitted
from elman.scoring.blending import Blend
from elman.scoring.predictors import CannotSay
from elman.tasks.forecast.baselines import Forecaster
from elman.tasks.forecast.blend import blended
from elman.tasks.forecast.rivals import MODEL
from elman.tasks.forecast.running import forecaster_of, sums_of
from elman.tasks.forecast.tables import apart, table
from elman.tasks.forecast.windows import Held, Origins, blocks

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.forecast.task import Forecast


def scored(
    task: Forecast,
    predictors: Sequence[Any],
    held: Held,
    origins: Origins,
    begins: Sequence[int],
    own: bool,
) -> Iterator[tuple[str, Evaluation | InputError]]:
    """Yield name and scores of each; forecasters of the run's `own` test part are kept."""
    for one in predictors:
        try:
            forecaster = forecaster_by(
                task, one, held, begins, origins, task._rivals if own else {}
            )
        except NotFitted as error:
            why = str(error).removeprefix(f"{one.name}: ")
            yield one.name, CannotSay(why)
            continue
        shown = None
        if isinstance(one, nn.Module):
            task._evaluated = one
            shown = table_of(task, held, windows_apart(task, origins), forecaster)
        name = MODEL if isinstance(one, nn.Module) else one.name
        yield name, evaluation_of(task, held, origins, forecaster, shown)


def forecaster_by(
    task: Forecast,
    predictor: Any,
    held: Held,
    begins: Sequence[int],
    origins: Origins,
    known: dict[str, Forecaster],
) -> Forecaster:
    """Return what a model, a baseline or a blend forecasts from `origins`.

    Args:
        predictor: one of them.
        held: the series.
        begins: where the history of each ends, on which a baseline is fitted.
        origins: all windows that will be asked for.
        known: the baselines that were fitted to these series, by name; it is added to.

    Raises:
        NotFitted: a baseline could not be fitted.
    """
    if isinstance(predictor, nn.Module):
        return forecaster_of(predictor, held)
    if isinstance(predictor, Blend):
        parts = (predictor.model, predictor.baseline)
        ours, theirs = (forecaster_by(task, one, held, begins, origins, known) for one in parts)
        return blended(ours, theirs, predictor.weight)
    if predictor.name not in known:
        levels = task.settings.quantiles
        known[predictor.name] = predictor.forecaster(held, begins, levels, origins)
    return known[predictor.name]


def evaluation_of(
    task: Forecast,
    held: Held,
    origins: Origins,
    forecaster: Forecaster,
    predictions: pd.DataFrame | None = None,
) -> Evaluation:
    """Return the scores of windows, summed to blocks that can be resampled."""
    units = sums_of(task, held, origins, forecaster)
    resampled = blocks(origins, task.horizon)
    units = units.groupby(resampled.of).sum()
    return Evaluation(units, task._score, predictions, resampled.widened)


def windows_apart(task: Forecast, origins: Origins) -> Origins:
    """Return the windows whose forecasts a table shows."""
    return apart(origins, task.horizon, task.season, len(task.targets))


def table_of(
    task: Forecast, held: Held, origins: Origins, forecaster: Forecaster, *, truth: bool = True
) -> pd.DataFrame:
    """Return the forecasts of windows, a row for each step and target."""
    levels = task.settings.quantiles
    return table(held, origins, forecaster, task.frequency, levels, chunk=task._chunk, truth=truth)
