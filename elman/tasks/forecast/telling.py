"""Words about the series: what was chosen for them, and the sizes of the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.forecast import filling, times
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.windows import blocks

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast


def described(task: Forecast) -> dict[str, Any]:
    """Series, columns, what was chosen, and the sizes of the parts."""
    s, panel = task.settings, task._here.panel
    facts: dict[str, Any] = {
        "series": len(panel.series),
        "targets": panel.targets,
        "covariates": panel.covariates or "none",
        "calendar": task.cycles or "none",
        "frequency": rule_of(task.frequency).words if task.frequency else "not known",
        "season": s.season,
        "horizon": s.horizon,
        "lookback": s.lookback,
        "split": "by time: the first rows of each series train, the last ones test",
    }
    sizes = np.array([[e.train, e.valid - e.train, e.test - e.valid] for e in task._ends])
    windows = (task._train_origins(), task._valid_origins(None), task._test_origins())
    for part, column, found in zip(("train", "valid", "test"), sizes.T, windows, strict=True):
        facts[part] = {"rows": int(column.sum()), "windows": found.count}
    if task.again.words is not None:
        facts["rehearsed"] = task.again.words
    facts["resampled"] = blocks(windows[2], task.horizon).words
    if task.plan is not None:
        facts["backtest"] = {"origins": len(task.plan.origins), "steps": task.plan.steps}
    return facts


def told_of(task: Forecast) -> list[tuple[str, str]]:
    """Return what was chosen for the series: what a sentence is about, and the sentence."""
    s, told = task.settings, []
    if (how := filling.words(task._here.panel, s.fill)) is not None:
        told.append(("filled", how))
    if s.season != times.season_of(task.frequency):
        told.append(("time", f"The season was set to {s.season} steps."))
    unit = times.unit_of(task.frequency)
    told.append(
        (
            "forecast",
            f"It sees the last {s.lookback} rows and gives the next {s.horizon} {unit}.",
        )
    )
    if len(task.targets) > 1:
        told.append(
            (
                "scores",
                f"mse, rmse, mae, crps and wql take the {len(task.targets)} targets together, "
                "each in its own unit, so the target with the largest numbers rules them. The "
                "other metrics count all targets alike; the report scores each target.",
            )
        )
    if task.again.words is not None:
        told.append(("rehearsed", task.again.words))
    scales = task._here.scales
    without = sum(bool(np.isnan(scale.naive).all()) for scale in scales)
    if without:
        some = (
            "every series" if without == len(scales) else (f"{without:,} of {len(scales):,} series")
        )
        told.append(
            (
                "metric",
                f"MASE is undefined for {some}: in the history a value is always that of a "
                f"season before. The headline metric is {s.metric}.",
            )
        )
    return told
