"""What the light watch of training takes: counts, norms and looks, as a share of processor time.

    python benchmarks/light_watch.py [--steps 400]

A share of half a percent is lost in the noise of two timings, so each of the watch's own functions
is timed where it is called, in processor time, and the sum set against that of the whole training.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from loop_overhead import SYMBOLS, Objective, Windows
from torch import nn

import elman.nn
from elman.training import Settings, fit
from elman.training.health import Health, _Layer

SIZES = {"small": (1, 64, 32, 64), "large": (2, 256, 50, 100)}
"""Layers, units, rows, steps of a window."""
PARTS = ((Health, "add"), (Health, "row"), (Health, "warnings"), (Health, "gradients"),
         (Health, "_look"), (_Layer, "read"))  # fmt: skip


class Model(nn.Module):
    """Embedding, LSTM, scores."""

    def __init__(self, layers: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.rnn = elman.nn.LSTM(hidden, hidden, num_layers=layers)
        self.head = nn.Linear(hidden, SYMBOLS)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Symbols (T, B) to scores (T, B, symbols)."""
        y, state = self.rnn(self.embedding(x), state)
        return self.head(y), state


def measured(size: tuple[int, int, int, int], steps: int) -> dict[str, float]:
    """Seconds of processor time by part, and of the whole."""
    layers, hidden, rows, window = size
    took: dict[str, float] = dict.fromkeys([name for _, name in PARTS] + ["moving"], 0.0)

    def timed(name: str, call: Any) -> Any:
        @functools.wraps(call)
        def around(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                took[name] += time.process_time() - began

        return around

    class Moving:
        """The measure of an update, without the update."""

        def __init__(self, inner: Any) -> None:
            self.enter = timed("moving", inner.__enter__)
            self.leave = timed("moving", inner.__exit__)

        def __enter__(self) -> None:
            self.enter()

        def __exit__(self, *told: Any) -> Any:
            return self.leave(*told)

    kept = {(kind, name): getattr(kind, name) for kind, name in (*PARTS, (Health, "moving"))}
    moving = Health.moving
    for kind, name in PARTS:
        setattr(kind, name, timed(name, getattr(kind, name)))
    Health.moving = lambda self, parameters: Moving(moving(self, parameters))  # type: ignore
    objective = Objective(8, window)
    torch.manual_seed(0)
    objective.model = Model(layers, hidden)
    settings = Settings(max_steps=steps, clip_at=0.25, validate_every=10**9)
    began = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as folder:
            fit(objective, Windows(rows, window), settings, run=Path(folder), progress=None)
    finally:
        for (kind, name), call in kept.items():
            setattr(kind, name, call)
    return took | {"whole": time.process_time() - began}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, size in SIZES.items():
        measured(size, 5)  # kernels are built
        took = measured(size, arguments.steps)
        whole = took.pop("whole")
        parts = ", ".join(f"{part} {seconds / whole:.2%}" for part, seconds in took.items())
        print(f"{name} {size}: {sum(took.values()) / whole:.2%} of {whole:.1f} s ({parts})")


if __name__ == "__main__":
    main()
