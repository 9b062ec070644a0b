"""The report of a run: one self-contained HTML file, made from the run's own files.

`freeze` turns a task's sections into plain data when the model is at hand;
`render` needs only the run directory, so a report can be made again anywhere.
"""

from __future__ import annotations

import inspect
import warnings
from io import StringIO
from typing import TYPE_CHECKING, Any

import jinja2

from elman.cells import CELLS
from elman.runs import folder
from elman.runs.folder import Run
from elman.tasks.base import Section
from elman.writing import interval, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _MUTED = "#1f3a5f", "#b35c1e"


def freeze(sections: list[Section]) -> list[dict[str, Any]]:
    """Sections as JSON: tables as rows, figures as SVG."""
    return [
        {
            "title": section.title,
            "text": section.text,
            "columns": [] if section.table is None else [str(c) for c in section.table.columns],
            "rows": []
            if section.table is None
            else [[_cell(value) for value in row] for row in section.table.itertuples(index=False)],
            "svg": "" if section.figure is None else svg(section.figure),
            "preformatted": section.preformatted,
            "marked": [[mark._asdict() for mark in line] for line in section.marked],
        }
        for section in sections
    ]


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
        data=config.get("data") or {},
        config=run.config_file.read_text(encoding="utf-8"),
        results=results,
        score_rows=score_rows(results),
        metric=results["metric"],
        equations=_equations(config["settings"]),
        curves="".join(map(svg, _figures(history, results["metric"]))),
        sections=run.read_json(folder.SECTIONS),
        facts=_facts(results.get("data", {})),
        understood=results.get("understood", {"lines": [], "doubts": []}),
    )
    folder.write_whole(run.report, made.encode())


def page(name: str, **values: Any) -> str:
    """Return a self-contained page from the template of a name."""
    return _ENVIRONMENT.get_template(f"{name}.html").render(**values)


def score_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Model, baselines and blend with the headline metric and its interval, best first."""
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
    worst = float("-inf") if results["higher_is_better"] else float("inf")

    def order(row: dict[str, Any]) -> float:
        value = row["metrics"].get(metric)
        return worst if value is None else float(value)

    return sorted(rows, key=order, reverse=bool(results["higher_is_better"]))


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
        buffer = StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


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


def _curves(history: list[dict[str, Any]], metric: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3))
    axes = figure.subplots()
    axes.set_xlabel("step")
    valid = [(h["step"], h.get("valid", {}).get(metric)) for h in history]
    losses = [(h["step"], h.get("valid", {}).get("loss")) for h in history]
    curves = [
        ("training loss", _INK, "", [(h["step"], h.get("loss")) for h in history]),
        (f"validation {metric.replace('_', ' ')}", _MUTED, "o", valid),
    ]
    shown = [
        (label, colour, marker, [(step, value) for step, value in points if _number(value)])
        for label, colour, marker, points in curves
    ]
    for number, (label, colour, marker, points) in enumerate(c for c in shown if c[-1]):
        side = axes.twinx() if number else axes
        side.plot(
            *zip(*points, strict=True), color=colour, linewidth=1.2, marker=marker, markersize=3
        )
        side.set_ylabel(label, color=colour)
    if any(_number(value) for _, value in losses):
        points = [(step, value) for step, value in losses if _number(value)]
        axes.plot(*zip(*points, strict=True), color=_INK, linewidth=1.2, linestyle="--", marker=".")
        axes.set_ylabel("training loss, dashed: validation loss", color=_INK)
    return figure


def _figures(history: list[dict[str, Any]], metric: str) -> list[Figure]:
    if not history:
        return []
    watched = _watched(history)
    return [_curves(history, metric), *([watched] if watched else [])]


def _watched(history: list[dict[str, Any]]) -> Figure | None:
    """How training went, where rows say so: what was clipped, saturated, remembered at most."""
    from matplotlib.figure import Figure

    def most(name: str) -> list[tuple[int, float]]:
        found = [(h["step"], h[name]) for h in history if h.get(name)]
        return [(step, max(value.values())) for step, value in found]

    clipped = [(h["step"], h["clip_rate"]) for h in history if "clip_rate" in h]
    shares = [("steps clipped", _INK, clipped), ("gates saturated", _MUTED, most("saturation"))]
    horizon = most("horizon")
    if not horizon and not any(value for _, value in clipped):
        return None
    figure = Figure(figsize=(7.5, 2))
    axes = figure.subplots()
    axes.set_xlabel("step")
    axes.set_ylabel("share")
    axes.set_ylim(-0.02, 1.02)
    for label, colour, points in shares:
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, label=label)
    if axes.lines:
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    if horizon:
        side = axes.twinx()
        side.plot(*zip(*horizon, strict=True), color="#4f7a4a", linewidth=1.2, marker="o", ms=3)
        side.set_ylabel("memory in steps", color="#4f7a4a")
        side.set_ylim(bottom=0)
    return figure


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
