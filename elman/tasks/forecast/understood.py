"""The reading of series in words: which columns, which calendar, how they were cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.tasks.forecast.doubts import counting
from elman.tasks.understood import Understood, listed
from elman.writing import figures_of, written

if TYPE_CHECKING:
    from elman.tasks.forecast.panel import Panel
    from elman.tasks.forecast.task import Forecast
    from elman.tasks.forecast.windows import Ends


def understood(task: Forecast, panel: Panel) -> Understood:
    """Return how the series were read, and what a forecast will see and say."""
    first = panel.series[0]
    told: dict[str, list[str]] = {"read": [], "target": [], "series": [_series(panel)], "time": []}
    for about, sentence in (*panel.told, *task.told()):
        told.setdefault(about, []).append(sentence)
    told["split"] = [_split(task._ends, panel)]
    if count := task.origins_of_backtest:
        told["split"] = _backtested(task._ends, count)
    if left := _left_over(task._ends, panel):
        told["split"].append(left)
    lines = [line for about, sentences in told.items() for line in _lines(about, sentences)]
    shown = first.values[: task.lookback, 0]
    come = first.values[task.lookback :, 0][: min(2, task.horizon)]
    figures = figures_of(float(first.values[:, 0].min()), float(first.values[:, 0].max()))
    seen = ", ".join(written(value, figures) for value in shown[-3:].tolist())
    after = ", ".join(written(value, figures) for value in come.tolist())
    seen = f"…, {seen}" if len(shown) > 3 else seen
    after = f"{after}, …" if task.horizon > len(come) else after
    lines.append(
        ("the first", f"{task.lookback} values ({seen}) → the next {task.horizon} ({after})")
    )
    return Understood(lines, [*panel.doubts, *_doubts(panel)])


def _lines(about: str, sentences: Sequence[str]) -> list[tuple[str, str]]:
    """Return sentences two a line, the first line under its word."""
    pairs = [" ".join(sentences[i : i + 2]) for i in range(0, len(sentences), 2)]
    return [("" if place else about, pair) for place, pair in enumerate(pairs)]


def _series(panel: Panel) -> str:
    lengths = [len(series) for series in panel.series]
    rows = f"{lengths[0]:,} rows"
    if min(lengths) < max(lengths):
        rows = f"{min(lengths):,} to {max(lengths):,} rows each"
    elif len(lengths) > 1:
        rows += " each"
    names = listed([series.name for series in panel.series if series.name], 5)
    what = "1 series" if len(lengths) == 1 else f"{len(lengths):,} series"
    return f"{what}{f' ({names})' if names else ''}, {rows}."


def _split(ends: Sequence[Ends], panel: Panel) -> str:
    sizes = [(e.train, e.valid - e.train, e.test - e.valid) for e in ends]
    train, valid, test = (sum(part) for part in zip(*sizes, strict=True))
    if len(set(sizes)) == 1:
        whose = "" if len(ends) == 1 else f" of each of {len(ends):,} series"
        first, then, last = sizes[0]
        whole = ""
        if len(ends) > 1:
            whole = f" ({train:,}, {valid:,} and {test:,} rows in all series together)"
        return (
            f"By time: the first {first:,} rows{whose} train, the next {then:,} choose the best "
            f"step, the last {last:,} are held out as test{whole}."
        )
    return (
        f"By time, in each of {len(panel.series):,} series: the first rows train, the last ones "
        f"are held out as test. In all series together {train:,} rows train, {valid:,} choose the "
        f"best step, {test:,} are test."
    )


def _left_over(ends: Sequence[Ends], panel: Panel) -> str | None:
    """Return how many rows after the test part are in no part, or None."""
    left = [len(series) - end.test for series, end in zip(panel.series, ends, strict=True)]
    if not any(left):
        return None
    whose = "" if len(left) == 1 else " in all series together"
    return f"The last {sum(left):,} rows{whose} are used by no part, as rows= says."


def _backtested(ends: Sequence[Ends], count: int) -> list[str]:
    """Return how short series are cut: what is not tested on is trained on."""
    sizes = {(e.valid, e.test - e.valid) for e in ends}
    if len(sizes) == 1:
        rows, test = sizes.pop()
        whose = "" if len(ends) == 1 else f" of each of {len(ends):,} series"
        parts = f"the first {rows:,} rows{whose} train, the last {test:,} are held out as test."
    else:
        rows, test = sum(e.valid for e in ends), sum(e.test - e.valid for e in ends)
        parts = (
            "the first rows of each series train, the last ones are held out as test "
            f"({rows:,} and {test:,} rows in all {len(ends):,} series together)."
        )
    return [
        f"By time: {parts}",
        f"They are few, so a backtest over {count} origins within the first rows finds for how "
        "many steps to train.",
    ]


def _doubts(panel: Panel) -> list[str]:
    doubts = []
    alike = [s.name or "the series" for s in panel.series if np.ptp(s.values, axis=0).max() == 0]
    if alike:
        doubts.append(f"the values never change in {listed(alike, 4)}: any rule is right there.")
    # A series in a cell or in a row is no number of the row.
    if panel.found.get("layout") == "long":
        doubts += counting(panel.targets, panel.series[0].values)
    return doubts
