"""The reading of series in words: which columns, which calendar, how they were cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elman.tasks.forecast.rules import rule_of
from elman.tasks.understood import Understood, listed

if TYPE_CHECKING:
    from elman.tasks.forecast.panel import Panel, Series
    from elman.tasks.forecast.task import Forecast


def understood(task: Forecast, panel: Panel) -> Understood:
    """Return how the series were read, and what a forecast will see and say."""
    settings, first = task.settings, panel.series[0]
    lengths = [len(series) for series in panel.series]
    names = listed([series.name for series in panel.series if series.name], 5)
    rows = f"{lengths[0]:,} rows"
    if min(lengths) < max(lengths):
        rows = f"{min(lengths):,} to {max(lengths):,} rows each"
    what = "1 series" if len(lengths) == 1 else f"{len(lengths):,} series"
    lines = [("read", " ".join(task.notes()))] if task.notes() else []
    lines += [
        ("target", listed(panel.targets)),
        ("series", f"{what}{f' ({names})' if names else ''}, {rows}"),
        ("time", _times(first, task.frequency, settings.season)),
    ]
    if panel.covariates:
        lines.append(("known ahead", listed(panel.covariates)))
    train, valid, test = (
        sum(sizes)
        for sizes in zip(
            *[(e.train, e.valid - e.train, e.test - e.valid) for e in task._ends], strict=True
        )
    )
    lines.append(
        (
            "split",
            f"by time: the first {train:,} rows train, the next {valid:,} choose the best "
            f"step, the last {test:,} are held out as test",
        )
    )
    shown = first.values[: task.lookback, 0]
    seen = ", ".join(f"{value:.4g}" for value in shown[-3:].tolist())
    after = ", ".join(f"{v:.4g}" for v in first.values[task.lookback :][:2, 0].tolist())
    lines.append(
        ("the first", f"{task.lookback} values (…, {seen}) → the next {task.horizon} ({after}, …)")
    )
    return Understood(lines, _doubts(first, panel))


def _times(series: Series, frequency: str | None, season: int | None) -> str:
    if series.times is None:
        return f"none: rows in the order of the file; season of {season or 1} rows"
    steps = "in steps that follow no rule"
    if frequency is not None:
        steps = f"in {rule_of(frequency).words}"
    times = series.times[: len(series)]
    days = bool((times == times.normalize()).all())
    first, last = (str(time.date() if days else time) for time in (times[0], times[-1]))
    return f"{first} to {last} {steps}; season of {season or 1} rows"


def _doubts(first: Series, panel: Panel) -> list[str]:
    doubts = []
    alike = [s.name or "the series" for s in panel.series if np.ptp(s.values, axis=0).max() == 0]
    if alike:
        doubts.append(f"the values never change in {listed(alike, 4)}: any rule is right there.")
    values = first.values[:, 0]
    steady = len(values) > 10 and np.ptp(np.diff(values)) == 0 and np.ptp(values) > 0
    if steady:
        doubts.append(
            f"{panel.targets[0]!r} grows by {values[1] - values[0]:g} in each row: is it a "
            "number of the row or a date? Name the column to forecast with --set target=NAME."
        )
    return doubts
