"""The ratios as a picture: each a point with its quartiles, beside what it was to reach."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from elman.bench.report import OF_PEER, TIMES, Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, MISSED = "#24405c", "#8a949e", "#b3432b"
LINE = 0.19
"""Inches a line."""

_MEANING = {TIMES: "times as fast as the peer", OF_PEER: "of the peer's, lower is better"}

Panels = dict[str, dict[str, list[Row]]]


def picture(report: Report, kind: str = "svg") -> bytes:
    """All ratios of a report as an image, a panel for each group.

    Args:
        report: what was measured.
        kind: "svg" or "png".
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = _panels(report)
    heights = [len(lines) + 3 for lines in panels.values()] or [5]
    figure = Figure(figsize=(11, LINE * sum(heights)), layout="constrained")
    if panels:
        found = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (title, lines) in zip(found[:, 0], panels.items(), strict=True):
            _draw(axes, title, lines)
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "elman", "svg.fonttype": "path"}):
        figure.savefig(
            buffer, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else {}
        )
    return buffer.getvalue()


def _panels(report: Report) -> Panels:
    """Rows of the same work on one line, whatever their threads; lines of a group in one panel."""
    panels: Panels = {}
    for row in report.rows:
        if row.unit not in _MEANING or not row.value > 0:
            continue
        group = f"layers, {row.work.split()[0]}" if row.group == "layers" else row.group
        lines = panels.setdefault(f"{group}: {_MEANING[row.unit]}", {})
        lines.setdefault(f"{row.work}  {row.shape}  / {row.peer}", []).append(row)
    return panels


def _draw(axes: Axes, title: str, lines: dict[str, list[Row]]) -> None:
    most = max(row.threads for rows in lines.values() for row in rows)
    for place, rows in enumerate(lines.values()):
        for row in rows:
            colour = MISSED if row.reached is False else INK if row.threads == most else MUTED
            low, high = row.low or row.value, row.high or row.value
            axes.plot([low, high], [place, place], color=colour, linewidth=1.2)
            marker = "o" if row.threads == most else "."
            axes.plot([row.value], [place], marker, color=colour, markersize=4)
            if row.goal is not None:
                axes.plot([row.goal.number], [place], "|", color=MISSED, markersize=8)
    axes.set_title(title, loc="left", fontsize=8)
    axes.set_yticks(range(len(lines)), list(lines), fontsize=6)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value < 10 else "")
    axes.tick_params(axis="x", which="both", labelsize=6)
    axes.axvline(1, color=MUTED, linewidth=0.8)
    axes.grid(axis="x", color="#e4e7ea", linewidth=0.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
