"""Pictures of forecasts: the future, beside the truth, what was missed, and by the step ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Panel, Section
from elman.tasks.forecast.tables import brief
from elman.writing import written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elman.tasks.forecast.backtest import Plan
    from elman.tasks.forecast.panel import Series
    from elman.tasks.forecast.windows import Floats, Origins, Scale

MOST_SERIES, MOST_ORIGINS = 4, 3
"""Series (or targets) and origins of each that a reader can pick from."""
MOST_STEPS = 60
"""Steps of the future that a table of the report has."""
_TRUTH, _MODEL, _OTHER = "#444444", "#1f3a5f", "#b35c1e"


def future(predictions: pd.DataFrame, series: Mapping[str, Series], season: int) -> Section:
    """Draw the forecasts of what follows the last row of up to four series, each with its table.

    Args:
        predictions: rows as `Forecast.predict` gives them.
        series: the series they follow, by name.
        season: steps.
    """
    horizon = int(predictions["step"].max())
    panels = []
    for name, target, place in _chosen(predictions):
        rows = _of(predictions, name, target)
        figure, axes = _figure()
        past = _past(series[name], place, rows["time"].iloc[0], max(2 * season, 3 * horizon))
        axes.plot(*past, color=_TRUTH, linewidth=0.9, label="the last values")
        axes.plot(rows["time"], rows["forecast"], color=_MODEL, linewidth=1.5, label="forecast")
        _shade(axes, rows)
        _finish(axes)
        table = brief(rows.assign(series="", target="")).head(MOST_STEPS)
        table = table.assign(time=[str(time).removesuffix(" 00:00:00") for time in table["time"]])
        panels.append(Panel({"series": _title(name, target, predictions)}, figure, table))
    several = predictions[["series", "target"]].drop_duplicates()
    text = f"The next {horizon} steps after the last row of the data.{_shaded(predictions)}"
    if len(several) > len(panels):
        text += f" Shown: {len(panels)} of {len(several):,}; elman predict gives all."
    return Section("The forecast", text, panels=panels)


def to_draw(origins: Origins) -> Origins:
    """Return the origins that are drawn: a few of a few series, spread evenly over all."""
    named = np.unique(origins.series)
    rows: list[int] = []
    for number in named[np.unique(np.linspace(0, len(named) - 1, MOST_SERIES).astype(int))]:
        own = np.flatnonzero(origins.series == number)
        own = own[np.argsort(origins.position[own], kind="stable")]
        rows += own[np.unique(np.linspace(0, len(own) - 1, MOST_ORIGINS).astype(int))].tolist()
    return origins.take(np.array(rows))


def forecasts(
    predictions: pd.DataFrame, series: Mapping[str, Series], season: int, beside: tuple[str, Floats]
) -> Section:
    """Draw forecasts from several origins beside the truth and the best baseline.

    Args:
        predictions: rows as `Forecast.evaluate` gives them, of the origins that are drawn.
        series: the series they are of, by name.
        season: how much of the past is drawn: two seasons or three horizons.
        beside: a baseline: its name, and its forecast for each row of `predictions`.
    """
    name_of_other, other = beside
    predictions = predictions.assign(other=other)
    horizon = int(predictions["step"].max())
    panels = []
    for name, target, place in _chosen(predictions):
        mine = _of(predictions, name, target)
        # The last origin comes first: it is the one that is nearest to what comes next.
        for origin in reversed(range(len(mine) // horizon)):
            rows = mine.iloc[origin * horizon : (origin + 1) * horizon]
            figure, axes = _figure()
            first = rows["time"].iloc[0]
            past = _past(series[name], place, first, max(2 * season, 3 * horizon))
            axes.plot(*past, color=_TRUTH, linewidth=0.9)
            axes.plot(rows["time"], rows["value"], color=_TRUTH, linewidth=1.2, label="truth")
            axes.plot(
                *(rows["time"], rows["other"]),
                color=_OTHER, linewidth=1.1, linestyle="--", label=name_of_other,
            )  # fmt: skip
            axes.plot(rows["time"], rows["forecast"], color=_MODEL, linewidth=1.5, label="model")
            _shade(axes, rows)
            _finish(axes)
            when = str(first).removesuffix(" 00:00:00")
            panels.append(
                Panel({"series": _title(name, target, predictions), "from": when}, figure)
            )
    text = (
        "Forecasts of the test part, from several origins, beside what came and beside the best "
        f"baseline on these forecasts, {name_of_other}.{_shaded(predictions)}"
    )
    return Section("Forecasts beside the truth", text, panels=panels)


def _chosen(predictions: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Return series and target, spread evenly over all, with the place of the target."""
    pairs = predictions[["series", "target"]].drop_duplicates()
    targets = list(dict.fromkeys(predictions["target"]))
    rows = np.unique(np.linspace(0, len(pairs) - 1, MOST_SERIES).astype(int))
    return [(name, t, targets.index(t)) for name, t in pairs.iloc[rows].itertuples(index=False)]


def _of(predictions: pd.DataFrame, name: str, target: str) -> pd.DataFrame:
    return predictions[(predictions["series"] == name) & (predictions["target"] == target)]


def _title(name: str, target: str, predictions: pd.DataFrame) -> str:
    parts = (name, target) if predictions["target"].nunique() > 1 or not name else (name,)
    return ", ".join(str(part) for part in parts if part)


def _figure(height: float = 2.3) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(5.8, height))
    return figure, figure.subplots()


def _finish(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if isinstance(axes.xaxis.get_major_locator(), AutoDateLocator):
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        dates = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(dates)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)


def _shade(axes: Axes, rows: pd.DataFrame) -> None:
    levels = [name for name in rows.columns if name.startswith("q")]
    for low, high in zip(levels, reversed(levels), strict=True):
        if float(low[1:]) < float(high[1:]):
            axes.fill_between(
                rows["time"], rows[low], rows[high], color=_MODEL, alpha=0.12, linewidth=0
            )


def _shaded(predictions: pd.DataFrame) -> str:
    levels = [name for name in predictions.columns if name.startswith("q")]
    if len(levels) < 2:
        return ""
    return f" Shaded: between quantiles, at the widest {levels[0][1:]} and {levels[-1][1:]}."


def _past(series: Series, target: int, time: Any, rows: int) -> tuple[Any, Any]:
    """Return the rows before `time`, which is a moment or a position counted from 1."""
    if series.times is not None and not isinstance(time, int | np.integer):
        end = min(int(series.times.searchsorted(time)), len(series))
        begin = max(0, end - rows)
        return series.times[begin:end], series.values[begin:end, target]
    end = int(time) - 1
    begin = max(0, end - rows)
    return np.arange(begin + 1, end + 1), series.values[begin:end, target]


def _errors(predictions: pd.DataFrame, scales: Mapping[str, Scale]) -> pd.Series[float]:
    """Return truth minus forecast of each row, in standard deviations of the training part."""
    targets = list(dict.fromkeys(predictions["target"]))
    place = predictions["target"].map({name: i for i, name in enumerate(targets)})
    spread = np.array(
        [scales[n].spread[i] for n, i in zip(predictions["series"], place, strict=True)]
    )
    error: pd.Series[float] = (predictions["value"] - predictions["forecast"]) / spread
    return error


def residuals(predictions: pd.DataFrame, scales: Mapping[str, Scale]) -> Section:
    """Draw what was missed, in the order of time and as a distribution.

    Args:
        predictions: rows as `Forecast.evaluate` gives them.
        scales: of each series, by name.
    """
    from matplotlib.figure import Figure

    error = _errors(predictions, scales)
    some = error.index[np.unique(np.linspace(0, len(error) - 1, 1500).astype(int))]
    figure: Figure = Figure(figsize=(5.8, 2.2), layout="constrained")
    over, spread = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    over.plot(
        *(predictions["time"][some], error[some]),
        "o", color=_MODEL, markersize=2.2, alpha=0.6, linestyle="none",
    )  # fmt: skip
    _finish(over)
    over.set_ylabel("truth − forecast, sd")
    spread.hist(error, bins=30, orientation="horizontal", color=_MODEL)
    spread.set_xlabel("forecasts")
    spread.spines[["top", "right"]].set_visible(False)
    for axes in (over, spread):
        axes.axhline(0, color=_OTHER, linewidth=0.8)
    mean = float(error.mean())
    leaning = "too low" if mean > 0 else "too high"
    text = (
        f"What was missed, in standard deviations of the training part. In the mean the forecasts "
        f"are {written(abs(mean), 2)} {leaning}; half of them miss by less than "
        f"{written(float(error.abs().median()), 2)}."
    )
    return Section("Residuals", text, figure=figure)


def by_step(
    predictions: pd.DataFrame, scales: Mapping[str, Scale], beside: Mapping[str, Floats]
) -> Section:
    """Draw the mean absolute error at each step ahead, in standard deviations of training.

    Args:
        predictions: rows as `Forecast.evaluate` gives them.
        scales: of each series, by name.
        beside: baselines to draw, a name and errors `(H,)` each.
    """
    import pandas as pd

    mean = _errors(predictions, scales).abs().groupby(predictions["step"]).mean()
    figure, axes = _figure(2.1)
    axes.plot(mean.index, mean, color=_MODEL, linewidth=1.4, label="recurrent model")
    for name, line in beside.items():
        axes.plot(mean.index, line, color=_OTHER, linewidth=1.0, linestyle="--", label=name)
    axes.set_xlabel("steps ahead")
    axes.set_ylabel("absolute error / sd")
    axes.set_ylim(bottom=0)
    _finish(axes)
    steps = np.unique(np.linspace(1, len(mean), min(8, len(mean))).astype(int))
    columns = {"recurrent model": mean.to_numpy(), **beside}
    table = pd.DataFrame({"step": steps} | {n: line[steps - 1] for n, line in columns.items()})
    return Section(
        "Error by step",
        "Mean absolute error in standard deviations of the training part, over the forecasts in "
        "predictions.parquet, which do not overlap.",
        table=table,
        figure=figure,
    )


def backtested(plan: Plan) -> Section:
    """Return the table of the backtest that found the number of steps."""
    text = (
        f"The series are short: the model was trained up to each of {len(plan.origins)} earlier "
        f"origins, and judged on the horizon after it. After {plan.steps} steps it was best on "
        f"average, so it was then trained for {plan.steps} steps on all rows before the test. "
        f"Scores: {plan.metric.replace('_', ' ')} at each origin."
    )
    return Section("Backtest", text, table=plan.table())


def by_target(predictions: pd.DataFrame, missed: Floats, name: str) -> Section:
    """Return the errors of each target in its own unit.

    Args:
        predictions: rows as `Forecast.evaluate` gives them.
        missed: errors of a baseline on the same windows, `(N, H, C)`.
        name: of the baseline.
    """
    import pandas as pd

    targets = list(dict.fromkeys(predictions["target"]))
    error = predictions["value"] - predictions["forecast"]
    table = pd.DataFrame(
        {
            "target": targets,
            "mae": [error[predictions["target"] == t].abs().mean() for t in targets],
            "rmse": [np.sqrt((error[predictions["target"] == t] ** 2).mean()) for t in targets],
            f"mae, {name}": mean_of_known(np.abs(missed), (0, 1)),
            f"rmse, {name}": np.sqrt(mean_of_known(missed**2, (0, 1))),
        }
    )
    text = (
        "Errors of each target in its own unit, over the forecasts in predictions.parquet, which "
        "do not overlap."
    )
    return Section("Each target", text, table=table)


def mean_of_known(errors: Floats, axis: tuple[int, ...]) -> Floats:
    """Return the means of errors over some axes, without those of values that were missing.

    NaN where none is known: with few windows the value may be missing at a step in all of them.

    >>> mean_of_known(np.array([[1.0, np.nan], [3.0, np.nan]]), (0,)).tolist()
    [2.0, nan]
    """
    known = ~np.isnan(errors)
    count = known.sum(axis=axis)
    total = np.where(known, errors, 0.0).sum(axis=axis)
    means: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def nearest_rival(missed: Mapping[str, Floats], spread: Floats) -> str:
    """Return the name of the baseline with the least mean absolute error.

    Args:
        missed: errors `(N, H, C)` of each baseline.
        spread: `(N, C)`, the standard deviations in which series are comparable.
    """
    size = {
        n: float(mean_of_known(np.abs(e / spread[:, None]), (0, 1, 2))) for n, e in missed.items()
    }
    names: Sequence[str] = list(missed)
    return min(names, key=lambda name: size[name])
