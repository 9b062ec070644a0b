"""The ratios as a picture: a point with its quartiles for each, beside its goal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from elman.bench.report import FLUSHED, OF_PEER, TIMES, Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, PALE, GRID = "#24405c", "#9aa4ae", "#d5e0ec", "#e8ebee"
MISSED, GOAL = "#c0392b", "#2e8b57"
WIDTH, LINE = 10.5, 0.17
"""The width of the picture and the height of a line, in inches."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "elman",
    "font.size": 7,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}
"""The style: text stays text, and the same report gives the same file."""

TRAINING = "training"
"""The kind of work that stands on the right; all others stand on the left."""

_IDLE = re.compile(
    rb"""
    (?<=\d\.\d\d)\d+(?=[\s"])           # what is less than a hundredth of a point
    | ^\s+                              # indents
    | \sid="\w*_\d+"                    # names of groups, to which nothing refers
    | \stransform="rotate\(-0\s[^"]*"   # turns by nothing
    """,
    re.MULTILINE | re.VERBOSE,
)
"""Parts of an SVG that can be left out."""

_WORK = re.compile(f" (inference|{TRAINING})")
_NOTES = {TIMES: "", OF_PEER: " (less is better)"}

Line = tuple[str, str, str]
"""Work, size and peer, which all points of one line share."""

Bands = dict[tuple[str, str], dict[Line, list[Row]]]
"""Lines by the kind of work and the unit."""

Points = Sequence[tuple[int, Row]]
"""Figures and the lines they stand on, counted from the top."""


@dataclass(frozen=True)
class Mark:
    """The look of a point."""

    marker: str
    size: float
    colour: str
    hollow: bool = False

    def style(self) -> dict[str, Any]:
        """Return the arguments for matplotlib."""
        return {
            "linestyle": "none",
            "marker": self.marker,
            "markersize": self.size,
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.0 if self.hollow else 0.0,
            "markerfacecolor": "white" if self.hollow else self.colour,
        }


ROUND, DIAMOND, SMALL = ("o", 5.0), ("D", 4.0), 2.8
REACH: dict[str, Any] = {"color": GOAL, "linewidth": 2.0, "solid_capstyle": "butt"}
ROOM: dict[str, Any] = {"color": PALE, "linewidth": 4.0, "solid_capstyle": "butt"}
"""Lines: the goals, and from a figure to the limit of the machine."""


def picture(report: Report, kind: str = "svg") -> bytes:
    """Draw all ratios of a report: a band for each kind of work, training on the right.

    Args:
        report: what was measured.
        kind: "svg" or "png".
    """
    import matplotlib
    from matplotlib.figure import Figure

    bands = _bands(report.rows)
    heights = [len(lines) + 2.5 for lines in bands.values()] or [5]
    buffer = BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, LINE * (sum(heights) + 3)), layout="constrained")
        if bands:
            _draw(figure, bands, heights)
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=110, metadata=metadata)
    drawn = buffer.getvalue()
    return _IDLE.sub(b"", drawn) if kind == "svg" else drawn


def _bands(rows: Iterable[Row]) -> Bands:
    """Put rows that differ in threads, denormals, inference or training on one line."""
    bands: Bands = {}
    for row in rows:
        if row.unit not in _NOTES or not row.value > 0 or row.work.endswith(", worst"):
            continue
        kind = row.work.split()[0] if row.group == "layers" else row.group
        what = _WORK.sub("", row.work).removeprefix(kind).removeprefix(", ")
        line = (what, row.shape, row.peer.removesuffix(FLUSHED))
        bands.setdefault((kind, row.unit), {}).setdefault(line, []).append(row)
    return bands


def _names(kind: str, lines: Sequence[Line]) -> tuple[str, list[str]]:
    """Return a title with all that the lines share, and a label for each with the rest.

    >>> _names("LSTM", [("", "1,2", "torch"), ("mean", "2 shapes", "torch")])
    ('LSTM beside torch', ['1,2', 'mean, 2 shapes'])
    """
    parts = [[[part for part in text.split(", ") if part] for text in line] for line in lines]
    shared = [
        [part for part in texts[0] if all(part in others for others in texts)]
        for texts in zip(*parts, strict=True)
    ]
    work, peer = ", ".join(shared[0] + shared[1]), ", ".join(shared[2])
    labels = []
    for line, texts in zip(lines, parts, strict=True):
        pairs = zip(texts, shared, strict=True)
        own = [part for text, known in pairs for part in text if part not in known]
        labels.append(", ".join(own) or line[0])
    return kind + (work and f": {work}") + (peer and f" beside {peer}"), labels


def _draw(figure: Figure, bands: Bands, heights: Sequence[float]) -> None:
    most = max(row.threads for lines in bands.values() for rows in lines.values() for row in rows)
    grid = figure.add_gridspec(len(bands), 2, height_ratios=heights)
    for at, ((kind, unit), lines) in enumerate(bands.items()):
        sides = sorted(_sides(lines).items())
        title, labels = _names(kind, list(lines))
        axes: Axes | None = None
        for right, here in sides:
            alone, first = len(sides) == 1, axes is None
            place = grid[at, :] if alone else grid[at, int(right)]
            axes = figure.add_subplot(place, sharex=axes, sharey=axes)
            _points(axes, here, most)
            _dress(axes, labels)
            axes.tick_params(labelleft=first)
            if first:
                _head(axes, title + _NOTES[unit])
            if not alone:
                axes.set_title(TRAINING if right else "inference", loc="right", size=7, color=MUTED)
    _legend(figure, most)


def _sides(lines: dict[Line, list[Row]]) -> dict[bool, list[tuple[int, Row]]]:
    """Return the points on the left and on the right."""
    sides: dict[bool, list[tuple[int, Row]]] = {}
    for place, rows in enumerate(lines.values()):
        for row in rows:
            sides.setdefault(TRAINING in row.work, []).append((place, row))
    return sides


def _points(axes: Axes, here: Points, most: int) -> None:
    """Draw figures with quartiles, their goals and the limits of the machine."""
    rooms = [
        (row.value, at, row.allowed, at)
        for at, row in here
        if row.allowed is not None and row.threads == most
    ]
    _lines(axes, rooms, ROOM)
    goals = sorted({(row.goal.number, at) for at, row in here if row.goal})
    _lines(axes, [(x, at - 0.4, x, at + 0.4) for x, at in goals], REACH)
    marks: dict[Mark, list[tuple[int, Row]]] = {}
    for at, row in here:
        marks.setdefault(_mark(row, most), []).append((at, row))
    for mark, points in marks.items():
        spreads = [(row.low, at, row.high, at) for at, row in points if row.low and row.high]
        _lines(axes, spreads, {"color": mark.colour, "linewidth": 1.0})
        axes.plot([row.value for _, row in points], [at for at, _ in points], **mark.style())


def _lines(axes: Axes, ends: Iterable[tuple[float, ...]], style: dict[str, Any]) -> None:
    """Draw straight lines, each from x, y to x, y, in one path."""
    xs, ys = [], []
    for x, y, to_x, to_y in ends:
        xs += [x, to_x, math.nan]
        ys += [y, to_y, math.nan]
    axes.plot(xs, ys, **style)


def _mark(row: Row, most: int) -> Mark:
    marker, size = DIAMOND if row.peer.endswith(FLUSHED) else ROUND
    if row.threads < most:
        return Mark(marker, SMALL, MUTED)
    return Mark(marker, size, MISSED if row.reached is False else INK, row.beyond)


def _dress(axes: Axes, labels: Sequence[str]) -> None:
    """Set scales and ticks, and draw a line at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if "mean" in label.get_text() else "normal")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high > 5 * low else (1, 1.2, 1.5, 2, 3, 5, 7)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axvline(1, color=MUTED, linewidth=1, zorder=1)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(bottom=False, left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _head(axes: Axes, title: str) -> None:
    """Draw a title that begins at the edge of the picture, above the labels."""
    from matplotlib.transforms import blended_transform_factory

    assert axes.figure is not None
    across = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    axes.set_title(" ", loc="left")  # keeps the room
    axes.annotate(
        title,
        (0.004, 1),
        xycoords=across,
        xytext=(0, 5),
        textcoords="offset points",
        weight="bold",
        in_layout=False,
    )


def _legend(figure: Figure, most: int) -> None:
    """Draw the legend of the marks."""
    from matplotlib.lines import Line2D

    marks = {
        f"threads: {most}": Mark(*ROUND, INK),
        "denormals flushed": Mark(*DIAMOND, INK),
        "fewer threads": Mark("o", SMALL, MUTED),
        "missed": Mark(*ROUND, MISSED),
        "missed, beyond this machine": Mark(*ROUND, MISSED, hollow=True),
    }
    handles = [Line2D([], [], label=label, **mark.style()) for label, mark in marks.items()]
    lines = {"to reach": REACH, "up to what the machine allows": ROOM}
    handles += [Line2D([], [], label=label, **style) for label, style in lines.items()]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        title="Times as fast as the peer: medians with quartiles; sizes of layers are T,B,I,H",
    )
