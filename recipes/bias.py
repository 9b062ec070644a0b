"""Where a forget gate starts: at a half, nearly open, or open for as long as the task asks.

    python recipes/bias.py

An LSTM whose forget gate starts with bias 0 keeps a half of its memory each step, with bias 1 (Gers
et al. 2000; Jozefowicz, Zaremba & Sutskever 2015) 73 %, and with the chrono initialisation of
Tallec & Ollivier 2018 as much as outlasts lags of up to T steps, each unit its own. Two of the
tasks that the last of these papers looks at: adding, at a short lag and a long one, and copy
memory after a pause short enough for an LSTM to get somewhere. Each from three seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from common import (
    GREEN,
    GREY,
    INK,
    RECALLED,
    RED,
    Draw,
    Loss,
    adding_loss,
    adding_model,
    always_one,
    arguments,
    copy_baseline,
    copy_loss,
    copy_model,
    draw_adding,
    draw_copy,
    each,
    finish,
    legend,
    panels,
    train,
)
from torch import nn

HIDDEN, SEEDS = 64, 3
ADDING, COPY = (100, 200), (10,)
SOLVED = 0.05
"""Of the loss without memory."""


@dataclass(frozen=True)
class Study:
    """A task at one lag.

    Attributes:
        lag: the longest that chrono is told of.
        chance: the loss without memory on the examples kept apart, by seed.
        lr: the rate it is learnt at.
        longer: how many times the updates it is given.
    """

    task: str
    length: int
    lag: int
    draw: Draw
    build: Callable[..., nn.Module]
    loss: Loss
    chance: Callable[[int], float]
    lr: float
    longer: int


def adding(t: int) -> Study:
    """The sum of two numbers of t."""
    draw = draw_adding(t)
    return Study(
        "adding", t, t, draw, adding_model, adding_loss, lambda seed: always_one(t, seed), 2e-3, 1
    )


def copying(t: int) -> Study:
    """Ten symbols, after a pause of t."""
    draw, lag = draw_copy(t), t + RECALLED
    return Study(
        "copy memory", t, lag, draw, copy_model, copy_loss, lambda _: copy_baseline(t), 5e-3, 2
    )


def main(given: Sequence[str] | None = None) -> None:
    """Train an LSTM from each start on both tasks."""
    asked = arguments(__doc__, 3000, given)
    began = time.process_time()
    rows, curves = [], {}
    studies = [*map(adding, ADDING), *map(copying, COPY)]
    figure, axes = panels([f"{study.task}, T = {study.length}" for study in studies])
    for study, panel in zip(studies, axes, strict=True):
        chance = {s: study.chance(s) for s in range(asked.seed, asked.seed + SEEDS)}
        starts = {
            "bias 0": ({"forget_bias": 0.0}, GREY),
            "bias 1": ({"forget_bias": 1.0}, INK),
            "chrono": ({"chrono": study.lag}, GREEN),
        }
        for label, (options, colour) in starts.items():
            found, solved = [], []
            for seed, most in chance.items():
                torch.manual_seed(seed)
                curve = train(
                    study.build("lstm", HIDDEN, **options),
                    study.draw,
                    study.loss,
                    updates=asked.updates * study.longer,
                    lr=study.lr,
                    enough=SOLVED * most,
                    seed=seed,
                )
                curves[f"{study.task}, T={study.length}, {label}, seed {seed}"] = curve
                name = None if found else label
                relative = [value / most for value in curve.values]
                panel.plot(curve.updates, relative, color=colour, linewidth=1, label=name)
                found.append(curve)
                solved.append(curve.first_below(SOLVED * most))
            rows.append(
                {
                    "task": study.task,
                    "T": study.length,
                    "forget gate": label,
                    "loss": each(curve.last for curve in found),
                    "without memory": each(chance.values()),
                    "updates until solved": each(solved),
                    "seconds": round(sum(curve.seconds for curve in found)),
                }
            )
            print(rows[-1], flush=True)
        panel.axhline(1, color=RED, linestyle=":", label="without memory")
        panel.set_xlim(0, asked.updates * study.longer)
        panel.set_ylim(0, 1.3)
        panel.set_xlabel("updates")
    axes[0].set_ylabel("loss, of that without memory")
    legend(figure, axes[0])
    finish("bias", asked, [rows], curves, figure, began)


if __name__ == "__main__":
    main()
