"""The adding problem: which recurrences carry a number over hundreds of steps?

    python recipes/adding.py

Two numbers of T are marked, one in each half; what is their sum? Always answering 1 has a mean
squared error of 1/6. Hochreiter & Schmidhuber 1997 posed it; the T, and the tanh network, IRNN
and LSTM of one layer are those of Le, Jaitly & Hinton 2015 (section 4.1), T=600 and the GRU those
of Bai, Kolter & Koltun 2018 (table 1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from common import (
    ADDING_BASELINE,
    AMBER,
    GREEN,
    GREY,
    INK,
    RED,
    Curve,
    adding_loss,
    adding_model,
    always_one,
    arguments,
    draw_adding,
    each,
    finish,
    legend,
    panels,
    train,
)

LENGTHS = (100, 200, 400, 600)
HIDDEN, SOLVED, ENOUGH = 64, 1e-2, 1e-3
CELLS = {
    "tanh": ("elman", 1e-3, 1.0, GREY),
    "IRNN": ("irnn", 1e-3, 0.1, AMBER),
    "LSTM": ("lstm", 3e-3, 1.0, INK),
    "GRU": ("gru", 3e-3, 1.0, GREEN),
}
"""By name: the cell, the rate it learns at, the norm allowed to its gradient, its colour."""
SEEDS, LONGER, UP_TO = 3, 3, 200
"""Up to this T, where it is cheap, every cell is trained from so many seeds, and the IRNN, which is
slow to begin, is given so many times the updates."""
PUBLISHED = {("tanh", 600): 0.177, ("LSTM", 600): 0.164, ("GRU", 600): 5.3e-5}
"""Bai, Kolter & Koltun 2018, table 1."""


def main(given: Sequence[str] | None = None) -> None:
    """Train every cell at every length."""
    asked = arguments(__doc__, 2000, given)
    began = time.process_time()
    rows, curves = [], {}
    figure, axes = panels([f"T = {length}" for length in LENGTHS])
    for length, panel in zip(LENGTHS, axes, strict=True):
        short = length <= UP_TO
        seeds = range(asked.seed, asked.seed + (SEEDS if short else 1))
        baseline = each(always_one(length, seed) for seed in seeds)
        for label, (cell, lr, clip, colour) in CELLS.items():
            longer = LONGER if cell == "irnn" and short else 1
            found = []
            for seed in seeds:
                torch.manual_seed(seed)
                curve = train(
                    adding_model(cell, HIDDEN),
                    draw_adding(length),
                    adding_loss,
                    updates=asked.updates * longer,
                    lr=lr,
                    clip=clip,
                    enough=ENOUGH,
                    seed=seed,
                )
                curves[f"{label}, T={length}, seed {seed}"] = curve
                found.append(curve)
                name = label if len(found) == 1 else None
                # Every second look, and the last: half as large a picture.
                thinned = curve.updates[::-2], curve.values[::-2]
                panel.plot(*thinned, color=colour, linewidth=1, label=name)
            rows.append(row(length, label, found, baseline))
            print(rows[-1], flush=True)
        panel.axhline(ADDING_BASELINE, color=RED, linestyle=":", label="always 1")
        panel.set_yscale("log")
        panel.set_xlabel("updates")
    axes[0].set_ylabel("mean squared error")
    legend(figure, axes[0])
    finish("adding", asked, [rows], curves, figure, began)


def row(length: int, label: str, found: Sequence[Curve], baseline: str) -> dict[str, object]:
    """A line of the table."""
    return {
        "T": length,
        "cell": label,
        "mean squared error": each(curve.last for curve in found),
        "always 1": baseline,
        "updates to 0.01": each(curve.first_below(SOLVED) for curve in found),
        "updates": each(curve.updates[-1] for curve in found),
        "published": PUBLISHED.get((label, length)),
        "seconds": round(sum(curve.seconds for curve in found)),
    }


if __name__ == "__main__":
    main()
