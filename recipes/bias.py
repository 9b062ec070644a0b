"""Where a forget gate starts: at a half, nearly open, or open for as long as the task asks.

    python recipes/bias.py

An LSTM whose forget gate starts with bias 0 keeps a half of its memory each step, with bias 1 (Gers
et al. 2000; Jozefowicz, Zaremba & Sutskever 2015) 73 %, and with the chrono initialisation of
Tallec & Ollivier 2018 as much as outlasts lags of up to T steps, each unit its own. Two of the
tasks that the last of these papers looks at, adding and copy memory, at a short lag and a long one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from common import (
    GREEN,
    GREY,
    INK,
    RECALLED,
    RED,
    adding_loss,
    adding_model,
    always_one,
    arguments,
    copy_baseline,
    copy_loss,
    copy_model,
    draw_adding,
    draw_copy,
    finish,
    legend,
    panels,
    train,
)

HIDDEN = 64
ADDING, COPY = (100, 400), (20, 100)
LR = 2e-3


def main(given: Sequence[str] | None = None) -> None:
    """Train an LSTM from each start on both tasks at both lags."""
    asked = arguments(__doc__, 3000, given)
    began = time.process_time()
    rows, curves = [], {}
    studies = [
        *(("adding", t, t, draw_adding(t), adding_model, adding_loss, 0.01) for t in ADDING),
        *(
            ("copy memory", t, t + RECALLED, draw_copy(t), copy_model, copy_loss, 0.05)
            for t in COPY
        ),
    ]
    figure, axes = panels([f"{task}, T = {length}" for task, length, *_ in studies])
    for (task, length, lag, draw, build, loss, share), panel in zip(studies, axes, strict=True):
        chance = always_one(length, asked.seed) if task == "adding" else copy_baseline(length)
        solved = share if task == "adding" else share * chance
        starts = {
            "bias 0": ({"forget_bias": 0.0}, GREY),
            "bias 1": ({"forget_bias": 1.0}, INK),
            "chrono": ({"chrono": lag}, GREEN),
        }
        for label, (options, colour) in starts.items():
            torch.manual_seed(asked.seed)
            curve = train(
                build("lstm", HIDDEN, **options),
                draw,
                loss,
                updates=asked.updates,
                lr=LR,
                enough=solved,
                seed=asked.seed,
            )
            curves[f"{task}, T={length}, {label}"] = curve
            panel.plot(curve.updates, [v / chance for v in curve.values], color=colour, label=label)
            rows.append(
                {
                    "task": task,
                    "T": length,
                    "forget gate": label,
                    "loss": curve.last,
                    "without memory": chance,
                    "updates until solved": curve.first_below(solved),
                    "updates": curve.updates[-1],
                    "seconds": round(curve.seconds),
                }
            )
            print(rows[-1], flush=True)
        panel.axhline(1, color=RED, linestyle=":", label="without memory")
        panel.set_xlim(0, asked.updates)
        panel.set_ylim(0, 1.3)
        panel.set_xlabel("updates")
    axes[0].set_ylabel("loss, of that without memory")
    legend(figure, axes[0])
    finish("bias", asked, [rows], curves, figure, began)


if __name__ == "__main__":
    main()
