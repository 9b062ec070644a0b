"""The report of a run: one self-contained HTML file, made from the run's own files.

`freeze` turns a task's sections into plain data when the model is at hand;
`render` needs only the run directory, so a report can be made again anywhere.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import warnings
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from elman.cells import CELLS
from elman.runs import folder
from elman.runs.folder import Run
from elman.tasks import TASKS
from elman.tasks.base import Section
from elman.writing import figures_of, interval, written

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _MUTED, _THIRD = "#1f3a5f", "#b35c1e", "#4f7a4a"
_WIDEST = 5.8
"""Inches of a figure at most: on a telephone its letters can still be read."""
_LETTERS = 8.0
"""Points of the letters in a figure at most."""
_THEMED = {
    "#000000": "currentColor",
    "#444444": "var(--truth, #444444)",
    _INK: f"var(--model, {_INK})",
    _MUTED: f"var(--other, {_MUTED})",
    _THIRD: f"var(--third, {_THIRD})",
}
"""Colours of figures that follow the page, which is light or dark."""


def freeze(sections: list[Section]) -> list[dict[str, Any]]:
    """Sections as JSON: tables as rows, figures as SVG."""
    return [
        {
            "title": section.title,
            "text": section.text,
            **_rows(section.table),
            "svg": "" if section.figure is None else svg(section.figure),
            "panels": [
                {"labels": panel.labels, "svg": svg(panel.figure), **_rows(panel.table)}
                for panel in section.panels
            ],
            "folded": section.folded,
            "preformatted": section.preformatted,
            "marked": [[mark._asdict() for mark in line] for line in section.marked],
        }
        for section in sections
    ]


def _rows(table: pd.DataFrame | None) -> dict[str, Any]:
    if table is None:
        return {"columns": [], "rows": []}
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"columns": [str(name) for name in table.columns], "rows": rows}


def render(run: Run) -> None:
    """Write `report.html` from the other files of the run.

    Raises:
        InputError: the run was not finished or is damaged.
    """
    config, results = run.config(), run.read_json(folder.RESULTS)
    history = run.history()
    made = page(
        "report",
        run=run.path.name,
        task=config["task"],
        writes=hasattr(TASKS[config["task"]], "generate"),
        data=config.get("data") or {},
        config=run.config_file.read_text(encoding="utf-8"),
        results=results,
        score_rows=_drawn(score_rows(results), results["metric"]),
        metric=results["metric"],
        equations=_equations(config["settings"]),
        **_training(history, results),
        kept=kept_words(results["training"]),
        uses=_uses(run, config) | _writing(run, TASKS[config["task"]]),
        sections=run.read_json(folder.SECTIONS),
        facts=_facts(results.get("data", {})),
        understood=results.get("understood", {"lines": [], "doubts": []}),
    )
    folder.write_whole(run.report, made.encode())


def page(name: str, **values: Any) -> str:
    """Return a self-contained page from the template of a name."""
    return _ENVIRONMENT.get_template(f"{name}.html").render(**values)


def score_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Model, baselines, blend and reference with headline metric and interval, best first."""
    metric = results["metric"]
    rows = [
        {
            "name": "recurrent model",
            "ours": True,
            "metrics": results["test"],
            "ci95": results["ci95"],
        }
    ]
    rows += [
        {
            "name": name,
            "ours": False,
            "metrics": metrics,
            "ci95": results.get("baselines_ci95", {}).get(name, {}),
        }
        for name, metrics in results["baselines"].items()
    ]
    if "test" in results.get("blend", {}):
        mixed = results["blend"]
        rows.append(
            {
                "name": mixed["name"],
                "ours": False,
                "metrics": mixed["test"],
                "ci95": mixed["ci95"],
            }
        )
    if "reference" in results:
        beside = results["reference"]
        rows.append(
            {
                "name": beside["name"],
                "ours": False,
                "metrics": beside["test"],
                "ci95": beside["ci95"],
            }
        )
    worst = float("-inf") if results["higher_is_better"] else float("inf")

    def order(row: dict[str, Any]) -> float:
        value = row["metrics"].get(metric)
        return worst if value is None else float(value)

    return sorted(rows, key=order, reverse=bool(results["higher_is_better"]))


def _drawn(rows: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Add to rows of scores where on a common line, 0 to 100, score and interval lie."""
    scores = [row["metrics"].get(metric) for row in rows]
    ends = [
        row["ci95"].get(metric) or [score, score] for row, score in zip(rows, scores, strict=True)
    ]
    known = [value for pair in [*ends, scores] for value in pair if _number(value)]
    low, width = (min(known), max(known) - min(known)) if known else (0.0, 0.0)

    def place(value: Any) -> float | None:
        return round(100 * (value - low) / width, 2) if _number(value) and width else None

    return [
        row | {"at": place(score), "from": place(pair[0]), "to": place(pair[1])}
        for row, score, pair in zip(rows, scores, ends, strict=True)
    ]


def kept_words(training: dict[str, Any]) -> str:
    """Return which step was kept, when it was reached, and whether a longer run would be better.

    >>> kept_words({"steps": 1500, "best_step": 1200, "best_epoch": 3, "still_improving": False})
    'Kept: step 1,200 of 1,500, after 3 epochs (80 % of the run); validation had stopped improving.'
    """
    if "best_step" not in training:  # a run of an earlier version
        return ""
    step, steps, epochs = training["best_step"], training["steps"], training["best_epoch"]
    within = (
        f"after {epochs:,} epoch{'' if epochs == 1 else 's'}" if epochs else "in the first epoch"
    )
    at = f"Kept: step {step:,} of {steps:,}, {within} ({step / max(steps, 1):.0%} of the run)"
    at = at.replace("%", " %")
    if not training.get("best", True):
        return f"{at}; nothing was held out to choose a step by."
    improving = training["still_improving"]
    if improving is None:
        return f"{at}; too few validations to tell whether a longer run would be better."
    if improving:
        return f"{at}; validation was still improving: a longer run would be better."
    if step == steps:
        return f"{at}; validation hardly improved at the end."
    return f"{at}; validation had stopped improving."


def svg(figure: Figure) -> str:
    """A matplotlib figure as inline SVG, the same bytes for the same figure.

    Words stay text, which a browser draws in any script: the font at hand lacks most.
    """
    import matplotlib

    with (
        matplotlib.rc_context({"svg.hashsalt": "elman", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        # It only measures the words, and says that it has no such letters.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        _as_written(figure)
        _readable(figure)
        buffer = StringIO()
        # Where a layout has made room for everything, a second drawing would only measure it.
        fitted = None if figure.get_layout_engine() is not None else "tight"
        figure.savefig(
            buffer, format="svg", bbox_inches=fitted, facecolor="none", metadata={"Date": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, themed in _THEMED.items():
        text = text.replace(f": {colour}", f": {themed}")
    # Small figures are not blown up to the width of the page.
    points = float(_WIDTH.findall(text)[0])
    text = text.replace("<svg ", f'<svg style="max-width: {2 * points:.0f}px" ', 1)
    # Hundredths of a point are enough, and halve the size of a page.
    return re.sub(r' d="[^"]*"', lambda path: _DIGITS.sub(r"\1", path[0]), text)


_WIDTH = re.compile(r'<svg [^>]*width="([\d.]+)pt"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


def _readable(figure: Figure) -> None:
    """Let a figure fit a narrow page with letters that can be read, on any ground."""
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    width, height = figure.get_size_inches()
    if width > _WIDEST:
        shrink = _WIDEST / width
        figure.set_size_inches(_WIDEST, height * (shrink if height > 0.6 * width else shrink**0.5))
    for axes in figure.axes:
        axes.patch.set_facecolor("none")
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                low, high = sorted(axis.get_view_interval())
                figures = figures_of(low, high, 7)
                axis.set_major_formatter(FuncFormatter(partial(_tick, figures)))
            sizes = [label.get_fontsize() for label in axis.get_ticklabels()]
            axis.set_tick_params(labelsize=min([_LETTERS, *sizes]))
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontsize(min(_LETTERS, text.get_fontsize()))


def _tick(figures: int, value: float, _: int | None) -> str:
    return written(value, figures)


def _as_written(figure: Figure) -> None:
    """Keep dollar signs in a person's labels from being read as formulas; a log scale has some."""
    from matplotlib.text import Text

    written = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    texts = [text for text in written if "mathdefault" not in text.get_text() and text.get_text()]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            texts += axis.get_ticklabels() if axis.get_scale() != "log" else []
    for text in texts:
        text.set_parse_math(False)


def _training(history: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, str]:
    """Return the pictures of training: losses, metric, and what was watched meanwhile."""
    kept, metric = results["training"].get("best_step"), results["metric"]
    watched = _watched(history)
    return {
        "losses": "".join(map(svg, _losses(history, metric, kept))),
        "watched": "" if watched is None else svg(watched),
    }


def _losses(history: list[dict[str, Any]], metric: str, kept: int | None) -> list[Figure]:
    """Draw training and validation loss on one axis, and below it the metric on validation."""
    trained = [(row["step"], row.get("loss")) for row in history]
    validated = [(row["step"], row.get("valid", {}).get("loss")) for row in history]
    chosen = [(row["step"], row.get("valid", {}).get(metric)) for row in history]
    words = metric.replace("_", " ")
    figures = []
    for name, curves in (
        ("loss", [("training loss", _INK, trained), ("validation loss", _MUTED, validated)]),
        (words, [(f"{words} on validation", _MUTED, chosen)]),
    ):
        known = [(label, colour, _known(points)) for label, colour, points in curves]
        known = [curve for curve in known if curve[2]]
        if known:
            figure, axes = _axes(2.4 if name == "loss" else 1.8)
            for label, colour, points in known:
                few = "o" if len(points) < 40 else None
                axes.plot(
                    *zip(*points, strict=True),
                    color=colour, linewidth=1.2, marker=few, markersize=3, label=label,
                )  # fmt: skip
            axes.set_ylabel(name)
            if kept is not None:
                axes.axvline(kept, color="#444444", linewidth=0.9, linestyle=":", label="kept step")
            axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
            figures.append(figure)
    return figures


def _known(points: list[tuple[int, Any]]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in points if _number(value)]


def _axes(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(_WIDEST, height))
    axes = figure.subplots()
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _watched(history: list[dict[str, Any]]) -> Figure | None:
    """Draw how training went, where rows say so: clipped, saturated, remembered at most."""

    def most(name: str) -> list[tuple[int, float]]:
        found = [(h["step"], h[name]) for h in history if h.get(name)]
        return [(step, max(value.values())) for step, value in found]

    clipped = [(h["step"], h["clip_rate"]) for h in history if "clip_rate" in h]
    shares = [("steps clipped", _INK, clipped), ("gates saturated", _MUTED, most("saturation"))]
    horizon = most("horizon")
    if not horizon and not any(value for _, value in clipped):
        return None
    figure, axes = _axes(2.0)
    axes.set_ylabel("share")
    axes.set_ylim(-0.02, 1.02)
    for label, colour, points in shares:
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, label=label)
    if axes.lines:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    if horizon:
        side = axes.twinx()
        side.plot(*zip(*horizon, strict=True), color=_THIRD, linewidth=1.2, marker="o", ms=3)
        side.set_ylabel("memory in steps", color=_THIRD)
        side.set_ylim(bottom=0)
        side.spines[["top", "left"]].set_visible(False)
    return figure


def _uses(run: Run, config: dict[str, Any]) -> dict[str, str]:
    """Return how the run is named where the person stands, for a shell and for Python.

    The data are those of the run, which are there: a command that is copied works as it is.
    """
    trained = (config.get("data") or {}).get("train") or []
    data = _from_here(Path(trained[0])) if trained else "DATA"
    place = _from_here(run.path)
    return {
        "run": shlex.quote(place),
        "data": shlex.quote(data),
        "python_run": json.dumps(place, ensure_ascii=False),
        "python_data": json.dumps(data, ensure_ascii=False) if trained else "table",
    }


def _writing(run: Run, task: Any) -> dict[str, str]:
    """Return the options without which a run does not write, for a shell and for Python."""
    needed: dict[str, str] = {}
    if hasattr(task, "needed_to_write"):
        needed = task.needed_to_write(run.assets())
    return {
        "options": "".join(f" --{name} {shlex.quote(value)}" for name, value in needed.items()),
        "arguments": "".join(
            f", {name}={json.dumps(value, ensure_ascii=False)}" for name, value in needed.items()
        ),
    }


def _from_here(path: Path) -> str:
    """Return a path from the current folder where it lies in there, else the whole path."""
    here, whole = Path.cwd(), path.resolve()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def _equations(settings: dict[str, Any]) -> str:
    """The docstring of the cell that ran: its equation, source and options."""
    cell = CELLS.get(str(settings.get("cell", "")))
    return inspect.getdoc(cell) or "" if cell else ""


def _facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    def words(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{k}: {words(v)}" for k, v in value.items())
        if isinstance(value, list):
            return ", ".join(words(v) for v in value)
        return f"{value:,}" if isinstance(value, int) else str(value)

    return [(str(key).replace("_", " "), words(value)) for key, value in data.items()]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def _cell(value: Any) -> str:
    return written(value) if isinstance(value, float) else str(value)


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("elman.runs", "templates"), autoescape=True
)
_ENVIRONMENT.filters |= {"score": written, "interval": interval}
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"sort_keys": False}
