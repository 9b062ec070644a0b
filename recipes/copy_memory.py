"""Copy memory: which recurrences keep ten symbols through a pause?

    python recipes/copy_memory.py

Ten symbols out of eight are said, then nothing for T steps, then they are to be said again. Who
remembers nothing can do no better than 10 ln 8 / (T + 20) nats a step. The task is Hochreiter &
Schmidhuber's (1997) in the form of Arjovsky, Shah & Bengio 2016 (section 4.1), who solve it with a
recurrence that neither shrinks nor stretches its state; two such are beside the usual ones. The
figures beside ours are those of Bai, Kolter & Koltun 2018 (table 1), whose pause is of 1,000 steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from common import (
    AMBER,
    BLACK,
    GREEN,
    GREY,
    INK,
    RECALLED,
    RED,
    VIOLET,
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

from elman.cells import LRU, LSTM, Cell, State

PAUSES = (10, 30, 100, 1000)
HIDDEN, SOLVED, ENOUGH = 128, 0.05, 0.01
"""Units; and of the loss without memory, what counts as solved and where training ends."""
FEW, LONG = 1500, 100
"""The updates of cells that by then have solved it or would need very many more: all but the gated
ones with pauses shorter than this. After longer ones only the LRU, the fastest to learn, is tried.
"""
PUBLISHED: list[dict[str, Any]] = [
    {"T": 1000, "cell": "RNN", "nats a step": 0.0202},
    {"T": 1000, "cell": "LSTM", "nats a step": 0.0204},
    {"T": 1000, "cell": "GRU", "nats a step": 0.0197},
]
"""Bai, Kolter & Koltun 2018, table 1; about 16,000 parameters each."""


class Orthogonal(Cell):
    """A recurrent network whose recurrent matrix stays orthogonal while it learns.

    z = W x + U h          h' = sign(z) ⊙ ReLU(|z| + b)

    modReLU of Arjovsky, Shah & Bengio 2016, here of real numbers. U = Q exp(A) with a fixed
    orthogonal Q and a skew-symmetric A that is learnt, which is how torch keeps a matrix orthogonal
    (Lezcano-Casado 2019; without Q, Lezcano-Casado & Martínez-Rubio 2019).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size, bias=False)
        self.U = nn.Linear(hidden_size, hidden_size, bias=False)
        self.b = nn.Parameter(torch.zeros(hidden_size))
        nn.init.orthogonal_(self.U.weight)
        nn.utils.parametrizations.orthogonal(self.U)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step; see the class for the equation."""
        (h,) = state
        z = self.W(x) + self.U(h)
        h = torch.sign(z) * torch.relu(z.abs() + self.b)
        return h, (h,)


@dataclass(frozen=True)
class Entry:
    """A cell with the settings that it learns by."""

    cell: str | Callable[..., Cell]
    lr: float
    colour: str
    clip: float = 1.0
    gated: bool = False


def entries(pause: int) -> dict[str, Entry]:
    """What is trained, by name."""
    lstm = partial(LSTM, chrono=pause + RECALLED)
    cells = {
        "tanh": Entry("elman", 1e-3, GREY),
        "IRNN": Entry("irnn", 1e-3, AMBER, clip=0.1),
        "LSTM, chrono": Entry(lstm, 5e-3, INK, gated=True),
        "GRU": Entry("gru", 5e-3, GREEN, gated=True),
        "orthogonal": Entry(Orthogonal, 1e-3, VIOLET),
        "LRU": Entry(partial(LRU, r_min=0.999), 3e-3, BLACK),
    }
    return cells if pause <= LONG else {"LRU": cells["LRU"]}


def recalled(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of the ten symbols that are said again, each in its place."""
    logits, _ = model(x)
    return (logits[:, -RECALLED:].argmax(-1) == y[:, -RECALLED:]).float().mean()


def main(given: Sequence[str] | None = None) -> None:
    """Train every cell with every pause."""
    asked = arguments(__doc__, 10000, given)
    began = time.process_time()
    rows, curves = [], {}
    figure, axes = panels([f"T = {pause}" for pause in PAUSES])
    for pause, panel in zip(PAUSES, axes, strict=True):
        chance = copy_baseline(pause)
        kept = kept_apart(draw_copy(pause), asked.seed)
        for label, entry in entries(pause).items():
            torch.manual_seed(asked.seed)
            model = copy_model(entry.cell, HIDDEN)
            long = entry.gated and pause < LONG
            curve = train(
                model,
                draw_copy(pause),
                copy_loss,
                updates=asked.updates if long else min(FEW, asked.updates),
                lr=entry.lr,
                clip=entry.clip,
                every=100,
                enough=ENOUGH * chance,
                seed=asked.seed,
            )
            curves[f"{label}, T={pause}"] = curve
            relative = [value / chance for value in curve.values]
            panel.plot(curve.updates, relative, color=entry.colour, linewidth=1, label=label)
            with torch.no_grad():
                share = float(recalled(model, *kept))
            rows.append(
                {
                    "T": pause,
                    "cell": label,
                    "nats a step": curve.last,
                    "without memory": chance,
                    "symbols recalled": share,
                    "updates until solved": curve.first_below(SOLVED * chance),
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
