"""The model beside its baselines where nothing was trained: a blend, and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from elman.scoring.baselines.automatic import NotFitted
from elman.scoring.blending import Blend, blend_of
from elman.scoring.forecasts import window_sums
from elman.tasks.forecast.baselines import Baseline
from elman.tasks.forecast.blend import Judged, weight_of
from elman.tasks.forecast.holding import MOST_VALIDATION_WINDOWS
from elman.tasks.forecast.rivals import MODEL
from elman.tasks.forecast.running import forecaster_of
from elman.tasks.forecast.windows import Floats, Origins
from elman.writing import written

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast


def blend_of_best(task: Forecast, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
    """Mix the model with the baseline that is best where nothing was trained.

    That is the validation part, or the origins of the backtest, and the weight is found there.
    """
    weights = _weights(task, model, predictors)
    known = [one for one in predictors if one.name in weights]
    if not known:
        return "no baseline could be judged where nothing was trained"
    best = min(known, key=lambda one: weights[one.name][0])
    return blend_of(model, best, weights[best.name][1], "where nothing was trained")


def _weights(
    task: Forecast, model: nn.Module, predictors: Sequence[Baseline]
) -> dict[str, tuple[float, float]]:
    """Return each baseline's own score where nothing was trained, and the model's weight."""
    plan, held = task.plan, task._here
    if plan is not None:
        means = {name: plan.mean(name) for name in plan.weights}
        return {n: (m, plan.weights[n]) for n, m in means.items() if m is not None}
    origins, found = task._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS), {}
    begins = [e.train for e in task._ends]
    ours = _outputs(task, model, origins)
    for baseline in predictors:
        try:
            rule = baseline.forecaster(held, begins, task.settings.quantiles, origins)
        except NotFitted:
            continue
        theirs = rule(origins)
        cost = whole_cost(task, origins, theirs)
        if np.isfinite(cost):
            part = Judged(origins, ours, theirs)
            weight = weight_of([part], partial(whole_cost, task))
            found[baseline.name] = (cost, weight)
    return found


def _outputs(task: Forecast, model: nn.Module, origins: Origins) -> tuple[Floats, Floats]:
    """Return the model's points and quantiles for windows of the run's own data."""
    forecaster = forecaster_of(model, task._here)
    done = [forecaster(some) for some in origins.chunks(task._chunk)]
    return np.concatenate([p for p, _ in done]), np.concatenate([q for _, q in done])


def whole_cost(task: Forecast, origins: Origins, found: tuple[Floats, Floats]) -> float:
    """Return the headline metric of forecasts of windows, all at once."""
    held, which = task._here, origins.series
    levels = np.array(task.settings.quantiles)
    sums = window_sums(held.truth(origins), *found, levels, held.spread[which], held.naive[which])
    import pandas as pd

    return task._score(pd.DataFrame(sums))[task.metric]


def evidence_of(
    task: Forecast, baseline: str, test: tuple[float, float]
) -> tuple[str, bool] | None:
    """Return what earlier origins showed of the evaluated model and a baseline, in words.

    They are those of the backtest, or else those of the validation part. With the words comes
    whether the model is to be preferred.
    """
    if task.plan is not None:
        return task.plan.evidence(MODEL, baseline, test)
    if task._data is None or task._evaluated is None:
        return None
    origins = task._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS)
    begins = [e.train for e in task._ends]
    rule = next(each for each in task.predictors() if each.name == baseline)
    try:
        theirs = rule.forecaster(task._data, begins, task.settings.quantiles, origins)(origins)
    except NotFitted:
        return None
    costs = (
        whole_cost(task, origins, _outputs(task, task._evaluated, origins)),
        whole_cost(task, origins, theirs),
    )
    if not np.isfinite(costs).all():
        return None
    metric = task.metric.replace("_", " ")
    # The model's step was chosen there: it has to be better in both.
    better = costs[0] < costs[1] and test[0] < test[1]
    return (
        f"too few horizons to resample; on the {origins.count:,} windows of the validation "
        f"part, which chose the model's step, {metric} was {written(costs[0])} against "
        f"{written(costs[1])}, so prefer {'the model' if better else baseline}"
    ), better
