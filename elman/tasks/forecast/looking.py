"""Pictures of series with their calendar, for `elman look`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Section
from elman.writing import figures_of, written

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from elman.tasks.forecast.panel import Panel, Series
    from elman.tasks.forecast.windows import Ends

_SHOWN, _LISTED = 6, 40
_PARTS = (("train", "#1f3a5f"), ("valid", "#4f7a4a"), ("test", "#b35c1e"))


def at_series(panel: Panel, ends: Sequence[Ends]) -> list[Section]:
    """Return the series drawn with their parts, a table of them, and means by the calendar."""
    import pandas as pd

    table = pd.DataFrame([_row(series) for series in panel.series[:_LISTED]])
    more = len(panel.series) - _LISTED
    sections = [
        Section(
            "Series",
            "Blue trains, green chooses the best step, orange is held out as test.",
            figure=_drawn(panel, ends),
        ),
        Section("Each series", f"The first {_LISTED} of them." if more > 0 else "", table),
    ]
    calendar = _calendar(panel.series[0], panel.targets[0])
    if calendar is not None:
        text = "Means of the first series; a flat line says that the calendar does not matter."
        sections.append(Section("By the calendar", text, figure=calendar))
    return sections


def _row(series: Series) -> dict[str, Any]:
    values = series.values[:, 0]
    row: dict[str, Any] = {"series": series.name or "the series", "rows": len(series)}
    if series.times is not None:
        row |= {"first": str(series.times[0]), "last": str(series.times[len(series) - 1])}
    low, high = float(values.min()), float(values.max())
    figures = figures_of(low, high)
    return row | {
        "smallest": written(low, figures),
        "mean": written(float(values.mean()), figures),
        "largest": written(high, figures),
        "zeros": f"{np.mean(values == 0):.0%}",
    }


def _drawn(panel: Panel, ends: Sequence[Ends]) -> Figure:
    from matplotlib.figure import Figure

    chosen = list(zip(panel.series, ends, strict=True))[:_SHOWN]
    figure = Figure(figsize=(7.5, 1.6 * len(chosen) + 0.4), layout="constrained")
    for panel_of, (series, end) in zip(
        np.atleast_1d(figure.subplots(len(chosen), 1)), chosen, strict=True
    ):
        places: Any = np.arange(len(series))
        if series.times is not None:
            places = series.times[: len(series)].to_numpy()
        cuts = (0, end.train, end.valid, end.test)
        for (_, colour), low, high in zip(_PARTS, cuts, cuts[1:], strict=False):
            span = slice(max(0, low - 1), high)
            panel_of.plot(places[span], series.values[span, 0], color=colour, linewidth=0.8)
        panel_of.set_title(series.name or panel.targets[0], fontsize=8, loc="left")
        panel_of.tick_params(labelsize=7)
        panel_of.spines[["top", "right"]].set_visible(False)
    return figure


def _calendar(series: Series, target: str) -> Figure | None:
    """Return means by hour, weekday and month, as far as the times have them."""
    if series.times is None:
        return None
    from matplotlib.figure import Figure

    times, values = series.times[: len(series)], series.values[:, 0]
    rules: list[tuple[str, Callable[[pd.DatetimeIndex], Any]]] = [
        ("hour", lambda t: t.hour),
        ("weekday (0: Monday)", lambda t: t.day_of_week),
        ("month", lambda t: t.month),
    ]
    kept = [(name, rule(times).to_numpy()) for name, rule in rules]
    kept = [(name, keys) for name, keys in kept if len(np.unique(keys)) > 1]
    if not kept:
        return None
    figure = Figure(figsize=(7.5, 2.2), layout="constrained")
    for axes, (name, keys) in zip(
        np.atleast_1d(figure.subplots(1, len(kept), sharey=True)), kept, strict=True
    ):
        found = np.unique(keys)
        axes.plot(found, [values[keys == key].mean() for key in found], color="#1f3a5f", marker="o")
        axes.set_xlabel(name)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"mean {target}")
    return figure
