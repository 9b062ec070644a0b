"""What the recipes share: their data, a training loop, and the table, picture and file at the end.

A recipe is one command, `python recipes/NAME.py`. It draws its data from a seed, trains on fresh
examples only, so that nothing can be learnt by heart, and judges on examples that it keeps apart.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn
from torch.nn import functional as F

import elman
from elman.cells import Cell
from elman.data.problems import RECALLED, SYMBOLS, adding, copy_memory
from elman.nn import Recurrent
from elman.nn.topologies import Aligned, ManyToOne

ADDING_BASELINE = 2 / 12
"""Mean squared error of always answering 1: the variance of a sum of two uniform numbers."""
JUDGED = 500
"""Examples that are kept apart."""

INK, RED, GREEN, AMBER, GREY = "#24405c", "#c0392b", "#2e8b57", "#d68910", "#9aa4ae"
VIOLET, BLACK = "#8e44ad", "#000000"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "elman",
    "font.size": 8,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
}

IDLE = re.compile(r"(?<=\d\.\d\d)\d+(?=[\s\"])|^\s+", re.MULTILINE)
"""What an SVG can do without: less than a hundredth of a point, and indents."""

Draw = Callable[[int, Generator], tuple[Tensor, Tensor]]
"""From a number of rows and a generator to input and target."""
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


# Data and models


def draw_adding(length: int) -> Draw:
    """Numbers and marks `(B, T, 2)`, one mark in each half, and the sum of the two `(B,)`."""

    return partial(adding, length)


def always_one(length: int, seed: int) -> float:
    """Mean squared error of always answering 1 on the examples kept apart: about 1/6."""
    _, y = kept_apart(draw_adding(length), seed)
    return float((y - 1).square().mean())


def adding_model(cell: str, hidden: int, **options: Any) -> nn.Module:
    """A layer that reads it all, and a number from its last output."""
    return ManyToOne(Recurrent(cell, 2, hidden, batch_first=True, **options), nn.Linear(hidden, 1))


def adding_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The mean squared error."""
    return F.mse_loss(model(x).squeeze(-1), y)


def draw_copy(pause: int) -> Draw:
    """Ten symbols 1 to 8, a pause of 0, the signal 9; blank until then, and the symbols again.

    Both `(B, pause + 20)`.
    """

    return partial(copy_memory, pause)


def copy_baseline(pause: int) -> float:
    """Nats a step of who remembers nothing: ten guesses among eight over all steps."""
    return RECALLED * math.log(SYMBOLS) / (pause + 2 * RECALLED)


def copy_model(cell: str | Callable[..., Cell], hidden: int, **options: Any) -> nn.Module:
    """Symbols as unit vectors, a layer, and a guess at every step."""
    size = SYMBOLS + 2
    layer = Recurrent(cell, size, hidden, batch_first=True, **options)
    head = nn.Linear(layer.output_size, SYMBOLS + 1)
    return Aligned(layer, head, embedding=nn.Embedding.from_pretrained(torch.eye(size)))


def copy_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Nats a step."""
    logits, _ = model(x)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


# Training


def kept_apart(draw: Draw, seed: int) -> tuple[Tensor, Tensor]:
    """The examples that a model trained from `seed` is judged by."""
    return draw(JUDGED, torch.Generator().manual_seed(seed + 1))


@dataclass
class Curve:
    """How a model did on the examples kept apart, by updates."""

    updates: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    largest_norm: float = 0.0
    """Of a gradient, before it was clipped."""
    seconds: float = 0.0
    """Of one core."""

    @property
    def last(self) -> float:
        """The value in the end."""
        return self.values[-1]

    def first_below(self, value: float) -> int | None:
        """Updates until it was below `value`; None if it never was."""
        found = (u for u, v in zip(self.updates, self.values, strict=True) if v < value)
        return next(found, None)


def train(
    model: nn.Module,
    draw: Draw,
    loss: Loss,
    *,
    updates: int,
    lr: float,
    optimiser: type[torch.optim.Optimizer] = torch.optim.Adam,
    batch: int = 32,
    clip: float = 1.0,
    every: int = 50,
    enough: float = 0.0,
    judge: Loss | None = None,
    seed: int = 0,
) -> Curve:
    """Gradient descent on fresh examples, the gradient clipped by its norm.

    Args:
        draw: where examples come from.
        every: updates between two looks at the examples kept apart.
        enough: it ends when the value there is below this, or after `updates`.
        judge: what is looked at there; the loss if None.
        seed: of the examples, those kept apart included.
    """
    random = torch.Generator().manual_seed(seed)
    x_kept, y_kept = kept_apart(draw, seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    rule: Any = optimiser(parameters, lr=lr)  # type: ignore[call-arg]
    curve, began = Curve(), time.process_time()
    for update in range(updates + 1):
        if update % every == 0 or update == updates:
            with torch.no_grad():
                curve.values.append(float((judge or loss)(model, x_kept, y_kept)))
            curve.updates.append(update)
            if curve.last < enough or update == updates:
                break
        rule.zero_grad()
        loss(model, *draw(batch, random)).backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(parameters, clip))
        curve.largest_norm = max(curve.largest_norm, norm)
        rule.step()
    curve.seconds = time.process_time() - began
    return curve


# What is shown and kept


def arguments(doc: str | None, updates: int | None, given: Sequence[str] | None) -> Any:
    """The options of a recipe: where it writes, its seed and how long it trains."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder (default: runs/recipes/NAME)")
    parser.add_argument("--seed", type=int, default=0)
    if updates is not None:
        parser.add_argument("--updates", type=int, default=updates, help="at most, of each model")
    return parser.parse_args(given)


def panels(titles: Sequence[str], height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A picture of panels side by side."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * len(titles) + 0.4, height), layout="constrained")
        axes = [figure.add_subplot(1, len(titles), k + 1) for k in range(len(titles))]
        for one, title in zip(axes, titles, strict=True):
            one.set_title(title, loc="left")
    return figure, axes


def legend(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, beneath them."""
    handles, labels = axes.get_legend_handles_labels()
    with matplotlib.rc_context(STYLE):
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def shown(value: Any) -> str:
    """A value in a cell of the table: three digits, and a dash for what there is not.

    >>> shown(0.16666), shown(5.3e-5), shown(None), shown(1200)
    ('0.167', '5.3e-05', '—', '1,200')
    """
    if value is None:
        return "—"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def each(values: Iterable[Any]) -> str:
    """The same of several seeds, in one cell of the table.

    >>> each([0.16666, None, 1200])
    '0.167, —, 1,200'
    """
    return ", ".join(map(shown, values))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; all have the same columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([shown(v) for v in r.values()] for r in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def finish(
    name: str,
    asked: Any,
    tables: Sequence[Sequence[dict[str, Any]]],
    curves: dict[str, Curve],
    figure: Figure,
    began: float,
) -> None:
    """Print the tables; write `results.json` and `NAME.svg`.

    Args:
        tables: each the rows of one, all with the same columns.
        began: of `time.process_time`, when the recipe began.
    """
    out = asked.out or Path("runs") / "recipes" / name
    out.mkdir(parents=True, exist_ok=True)
    kept = {
        "recipe": name,
        "seed": asked.seed,
        "seconds": round(time.process_time() - began),
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "versions": {"elman": elman.__version__, "torch": torch.__version__},
        "tables": tables,
        "curves": {label: asdict(curve) for label, curve in curves.items()},
    }
    (out / "results.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    drawn = StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    (out / f"{name}.svg").write_text(IDLE.sub("", drawn.getvalue()), encoding="utf-8")
    print("\n" + "\n\n".join(map(table, tables)))
    print(f"\n{kept['seconds']} s of one core; the figures and the picture are in {out}")
