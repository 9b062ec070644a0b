"""Copy memory: which recurrences keep ten symbols through a pause?

    python recipes/copy_memory.py

Ten symbols out of eight are said, then nothing for T steps, then they are to be said again. Who
remembers nothing can do no better than 10 ln 8 / (T + 20) nats a step. The task is Hochreiter &
Schmidhuber's (1997) in the form of Arjovsky, Shah & Bengio 2016 (section 4.1); the figures beside
ours are those of Bai, Kolter & Koltun 2018 (table 1), whose pause is of 1,000 steps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from common import (
    AMBER,
    GREEN,
    GREY,
    INK,
    RECALLED,
    RED,
    arguments,
    copy_baseline,
    copy_loss,
    copy_model,
    draw_copy,
    finish,
    kept_apart,
    legend,
    panels,
    train,
)
from torch import Tensor, nn

PAUSES = (10, 30, 100)
HIDDEN = 64
CELLS = {
    "tanh, orthogonal": ("elman", 1e-3, 1.0, GREY),
    "IRNN": ("irnn", 1e-3, 0.1, AMBER),
    "LSTM": ("lstm", 3e-3, 1.0, INK),
    "GRU": ("gru", 3e-3, 1.0, GREEN),
}
"""By name: the cell, the rate it learns at, the norm allowed to its gradient, its colour."""
PUBLISHED: list[dict[str, Any]] = [
    {"T": 1000, "cell": "RNN", "nats a step": 0.0202},
    {"T": 1000, "cell": "LSTM", "nats a step": 0.0204},
    {"T": 1000, "cell": "GRU", "nats a step": 0.0197},
]
"""Bai, Kolter & Koltun 2018, table 1; about 16,000 parameters each."""


def recalled(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of the ten symbols that are said again, each in its place."""
    logits, _ = model(x)
    return (logits[:, -RECALLED:].argmax(-1) == y[:, -RECALLED:]).float().mean()


def main(given: Sequence[str] | None = None) -> None:
    """Train every cell with every pause."""
    asked = arguments(__doc__, 3000, given)
    began = time.process_time()
    rows, curves = [], {}
    figure, axes = panels([f"T = {pause}" for pause in PAUSES])
    for pause, panel in zip(PAUSES, axes, strict=True):
        chance = copy_baseline(pause)
        kept = kept_apart(draw_copy(pause), asked.seed)
        for label, (cell, lr, clip, colour) in CELLS.items():
            torch.manual_seed(asked.seed)
            model = copy_model(cell, HIDDEN)
            curve = train(
                model,
                draw_copy(pause),
                copy_loss,
                updates=asked.updates,
                lr=lr,
                clip=clip,
                every=100,
                enough=0.01 * chance,
                seed=asked.seed,
            )
            curves[f"{label}, T={pause}"] = curve
            panel.plot(curve.updates, [v / chance for v in curve.values], color=colour, label=label)
            with torch.no_grad():
                share = float(recalled(model, *kept))
            rows.append(
                {
                    "T": pause,
                    "cell": label,
                    "nats a step": curve.last,
                    "without memory": chance,
                    "symbols recalled": share,
                    "updates": curve.updates[-1],
                    "seconds": round(curve.seconds),
                }
            )
            print(rows[-1], flush=True)
        panel.axhline(1, color=RED, linestyle=":", label="without memory")
        panel.set_ylim(0, 1.3)
        panel.set_xlabel("updates")
    published = [{**row, "without memory": copy_baseline(row["T"])} for row in PUBLISHED]
    axes[0].set_ylabel("nats, of those without memory")
    legend(figure, axes[0])
    finish("copy_memory", asked, [rows, published], curves, figure, began)


if __name__ == "__main__":
    main()
