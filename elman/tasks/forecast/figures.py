"""Pictures of forecasts: beside the truth, and how errors grow with the step ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from elman.tasks.forecast.panel import Series
    from elman.tasks.forecast.windows import Floats, Scale

MOST_PANELS = 4
_INK, _MODEL, _MUTED = "#444444", "#1f3a5f", "#b35c1e"


def forecasts(predictions: pd.DataFrame, series: Mapping[str, Series], season: int) -> Section:
    """The last forecasts of up to four series or targets, their intervals and the truth.

    Args:
        predictions: rows as `Forecast.evaluate` gives them.
        series: the series they are of, by name.
        season: how much of the past is drawn: two seasons or three horizons.
    """
    from matplotlib.figure import Figure

    pairs = predictions[["series", "target"]].drop_duplicates()
    chosen = pairs.iloc[np.unique(np.linspace(0, len(pairs) - 1, MOST_PANELS).astype(int))]
    figure = Figure(figsize=(7.5, 2.2 * len(chosen)))
    panels = np.atleast_1d(figure.subplots(len(chosen), 1))
    levels = [name for name in predictions.columns if name.startswith("q")]
    for axes, (name, target) in zip(panels, chosen.itertuples(index=False), strict=True):
        mine = (predictions["series"] == name) & (predictions["target"] == target)
        horizon = int(predictions["step"].max())
        last = predictions[mine].iloc[-horizon:]
        place = list(dict.fromkeys(predictions["target"])).index(target)
        past_x, past_y = _past(
            series[name], place, last["time"].iloc[0], max(2 * season, 3 * horizon)
        )
        axes.plot(past_x, past_y, color=_INK, linewidth=0.9)
        axes.plot(last["time"], last["value"], color=_INK, linewidth=0.9, label="truth")
        axes.plot(last["time"], last["forecast"], color=_MODEL, linewidth=1.4, label="forecast")
        for low, high in zip(levels, reversed(levels), strict=True):
            if float(low[1:]) < float(high[1:]):
                axes.fill_between(
                    last["time"], last[low], last[high], color=_MODEL, alpha=0.12, linewidth=0
                )
        axes.set_title(", ".join(part for part in (name, target) if part), fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
    panels[0].legend(fontsize=8, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    text = "The last forecasts of the test part."
    if len(levels) > 1:
        text += f" Shaded: between quantiles, at the widest {levels[0][1:]} and {levels[-1][1:]}."
    return Section("Forecasts beside the truth", text, figure=figure)


def _past(series: Series, target: int, time: Any, rows: int) -> tuple[Any, Any]:
    """The rows before `time`, which is a moment or a position counted from 1."""
    if series.times is not None and not isinstance(time, int | np.integer):
        end = int(series.times.searchsorted(time))
        begin = max(0, end - rows)
        return series.times[begin:end], series.values[begin:end, target]
    end = int(time) - 1
    begin = max(0, end - rows)
    return np.arange(begin + 1, end + 1), series.values[begin:end, target]


def by_step(
    predictions: pd.DataFrame, scales: Mapping[str, Scale], beside: Mapping[str, Floats]
) -> Section:
    """Mean absolute error at each step ahead, in standard deviations of the training part.

    Args:
        predictions: rows as `Forecast.evaluate` gives them.
        scales: of each series, by name.
        beside: baselines to draw, a name and errors `(H,)` each.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    targets = list(dict.fromkeys(predictions["target"]))
    place = predictions["target"].map({name: i for i, name in enumerate(targets)})
    spread = np.array(
        [scales[n].spread[i] for n, i in zip(predictions["series"], place, strict=True)]
    )
    error = (predictions["value"] - predictions["forecast"]).abs() / spread
    mean = error.groupby(predictions["step"]).mean()
    figure = Figure(figsize=(7.5, 2.4))
    axes = figure.subplots()
    axes.plot(mean.index, mean, color=_MODEL, linewidth=1.4, label="recurrent model")
    for name, line in beside.items():
        axes.plot(mean.index, line, color=_MUTED, linewidth=1.0, linestyle="--", label=name)
    axes.legend(fontsize=8, frameon=False)
    axes.set_xlabel("steps ahead")
    axes.set_ylabel("absolute error / sd")
    axes.set_ylim(bottom=0)
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
            f"mae, {name}": np.abs(missed).mean(axis=(0, 1)),
            f"rmse, {name}": np.sqrt((missed**2).mean(axis=(0, 1))),
        }
    )
    text = (
        "Errors of each target in its own unit, over the forecasts in predictions.parquet, which "
        "do not overlap."
    )
    return Section("Each target", text, table=table)
