"""The parts of a report on forecasts: the future, the test part, the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from elman.errors import InputError
from elman.scoring import Evaluation
from elman.tasks.base import Section
from elman.tasks.forecast import baselines as forecast_baselines
from elman.tasks.forecast.holding import held_of, scales_of
from elman.tasks.forecast.running import forecaster_of
from elman.tasks.forecast.scoring import table_of, windows_apart
from elman.tasks.forecast.windows import Origins

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast


def sections_of(task: Forecast, model: nn.Module, evaluation: Evaluation) -> list[Section]:
    """Return the future, forecasts beside the truth and the best baseline, and the errors."""
    from elman.tasks.forecast import figures

    shown = evaluation.predictions
    assert shown is not None
    held, origins, begins = task._to_score(None)
    origins = windows_apart(task, origins)
    rules = task._rivals
    if not rules:
        naive = forecast_baselines.rules(task.season)[1 if task.season > 1 else 0]
        levels = task.settings.quantiles
        rules = {naive.name: naive.forecaster(held, begins, levels, origins)}
    truth, spread = held.truth(origins), held.spread[origins.series]
    missed = {name: truth - rule(origins)[0] for name, rule in rules.items()}
    name = figures.nearest_rival(missed, spread)
    beside = figures.mean_of_known(np.abs(missed[name] / spread[:, None]), (0, 2))
    series = {s.name: s for s in held.panel.series}
    some = figures.to_draw(task._test_origins())
    drawn = table_of(task, held, some, forecaster_of(model, held))
    sections = [
        _future(task, model),
        figures.forecasts(drawn, series, task.season, (name, rules[name](some)[0].ravel())),
        figures.by_step(shown, task.scales, {name: beside}),
        figures.residuals(shown, task.scales),
    ]
    if len(task.targets) > 1:
        sections.append(figures.by_target(shown, missed[name], name))
    if task.plan is not None:
        sections.append(figures.backtested(task.plan))
    return sections


def _future(task: Forecast, model: nn.Module) -> Section:
    """Return the forecast of what follows the last row of the run's own data."""
    from elman.tasks.forecast.figures import future

    panel = task._here.panel
    ends = [len(series) for series in panel.series]
    try:
        held = held_of(task, panel, scales_of(task, panel, ends), ahead=task.horizon)
    except InputError as error:
        return Section("The forecast", f"What comes next could not be forecast: {error}")
    origins = Origins(np.arange(len(ends)), np.array(ends))
    table = table_of(task, held, origins, forecaster_of(model, held), truth=False)
    return future(table, {s.name: s for s in panel.series}, task.season)
