"""The plan of a short series: the steps, the correction and the weights that its backtest finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.data import Batches, shuffled
from elman.scoring.baselines.automatic import NotFitted
from elman.tasks.forecast import backtest
from elman.tasks.forecast import baselines as forecast_baselines
from elman.tasks.forecast.backtest import Looking, Plan
from elman.tasks.forecast.baselines import Forecaster
from elman.tasks.forecast.blend import Judged, weight_of
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.objective import WindowLoss
from elman.tasks.forecast.pool import Pool
from elman.tasks.forecast.rivals import MODEL, seconds_of_baselines
from elman.tasks.forecast.running import finished, raw_forecast, sums_of
from elman.tasks.forecast.settings import plans
from elman.tasks.forecast.weighing import whole_cost
from elman.tasks.forecast.windows import Ends, Origins, held_out_origins, observed, training_origins
from elman.training import fit, seed

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast

BACKTEST_SHARE = 3.0
"""As many times longer may baselines take in all origins of a backtest together."""


def planned(task: Forecast, begins: nn.Module, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Backtest a short series; see `elman.tasks.forecast.backtest`. None for others."""
    settings, held, h = task.settings, task._here, task.horizon
    count = plans(settings, task._ends)
    if not count:
        return None
    parts = backtest.folds(task._ends, count, h)
    curves, looks = [], []
    scores: dict[str, list[float]] = {MODEL: []}
    for number, ends in enumerate(parts, 1):
        say(f"Backtest of {count} origins to find the number of steps: origin {number}.")
        curve, seen = _backtested(task, begins, ends, count)
        curves.append(curve)
        looks.append(seen)
    steps = backtest.best_step(curves)
    looked = [
        (_judged_origins(task, ends), seen[backtest.place_of(curve, steps)])
        for ends, curve, seen in zip(parts, curves, looks, strict=True)
    ]
    calibrated = Calibrated(nn.Identity(), settings.quantiles)
    truth = torch.cat([observed(held.windows.batch(some)) for some, _ in looked])
    calibrated.calibrate(torch.cat([y for _, y in looked]), truth)
    judged: dict[str, list[Judged]] = {}
    for ends, (some, y) in zip(parts, looked, strict=True):
        ours = finished(calibrated, held, y, held.windows.batch(some, future=False))
        scores[MODEL].append(whole_cost(task, some, ours))
        for name, forecaster in _baselines_at(task, ends, some, count).items():
            theirs = forecaster(some)
            judged.setdefault(name, []).append(Judged(some, ours, theirs))
            scores.setdefault(name, []).append(whole_cost(task, some, theirs))
    whole = {name: found for name, found in scores.items() if len(found) == count}
    return Plan(
        steps,
        task.metric,
        [_named(task, ends[0].train) for ends in parts],
        [min(curve, key=lambda pair: pair[1])[0] for curve in curves],
        {name: [v if np.isfinite(v) else None for v in found] for name, found in whole.items()},
        calibrated.correction.tolist(),
        {
            n: weight_of(found, partial(whole_cost, task))
            for n, found in judged.items()
            if n in whole
        },
    ).to_json()


def _named(task: Forecast, position: int) -> str:
    """Return the time of a row of the first series, or its place."""
    times = task._here.panel.series[0].times
    return f"row {position + 1}" if times is None else str(times[position])


def _judged_origins(task: Forecast, ends: Sequence[Ends]) -> Origins:
    return held_out_origins([(e.train, e.valid) for e in ends], task.horizon, None, None)


def _backtested(
    task: Forecast, begins: nn.Module, ends: Sequence[Ends], count: int
) -> tuple[list[tuple[int, float]], list[Tensor]]:
    """Train up to an origin; return its curve of scores, and the forecasts behind each."""
    settings, held = task.settings, task._here
    seed(settings.seed)
    model = task.build()
    model.load_state_dict(begins.state_dict())
    origins = training_origins(ends, task.lookback, task.horizon)
    learnt = Pool.of(held, origins).and_more(task.again.train)
    judged = _judged_origins(task, ends)

    def forecast() -> tuple[Tensor, float]:
        assert isinstance(model, Calibrated)
        y, batch = raw_forecast(model, held, judged)
        sums = sums_of(task, held, judged, lambda _: finished(model, held, y, batch))
        return y, task._score(sums)[task.metric]

    objective = Looking(WindowLoss(task, model), forecast)
    budget = settings.budget and settings.budget * backtest.SHARE / count
    changed = backtest.recipe(settings) | {
        "max_steps": backtest.MOST_STEPS,
        "validate_every": backtest.EVERY,
        "patience": backtest.PATIENCE,
        "budget": budget,
    }
    batches = Batches(
        shuffled(learnt.count, settings.batch_size),
        lambda rows: learnt.take(rows).batch(),
        seed=settings.seed,
    )
    found = fit(objective, batches, settings.model_copy(update=changed))
    steps = [row["step"] for row in found.history if "valid" in row]
    pairs = zip(steps, objective.seen, strict=True)
    curve = [(step, score) for step, (_, score) in pairs]
    return curve, [y for y, _ in objective.seen]


def _baselines_at(
    task: Forecast, ends: Sequence[Ends], origins: Origins, count: int
) -> dict[str, Forecaster]:
    """Return each baseline as it forecasts from an origin of the backtest."""
    held, h = task._here, task.horizon
    begins = [e.train for e in ends]
    given = BACKTEST_SHARE * seconds_of_baselines(task) / count
    earlier = [Ends(e.train - h, e.train, e.train) for e in ends]
    train, valid, last = (
        Pool.of(held, some)
        for some in (
            training_origins(earlier, task.lookback, h),
            _judged_origins(task, earlier),
            training_origins(ends, task.lookback, h),
        )
    )
    again = task.again.train
    ridge = forecast_baselines.ridge(
        train.and_more(again), valid, last.and_more(again), len(task.targets)
    )
    found = {}
    for baseline in (*forecast_baselines.all_of(task.season, given), ridge):
        try:
            forecaster = baseline.forecaster(held, begins, task.settings.quantiles, origins)
        except NotFitted:
            continue
        found[baseline.name] = forecaster
    return found
