"""What `elman.nn.Recurrent` and `elman.nn.LSTM` cost beside `torch.nn.LSTM`.

    OMP_NUM_THREADS=1 python benchmarks/layer_cost.py

Forward and backward, all in one process and in turn; processor time, not the clock's, so that
what else the machine does counts less; the best of several rounds. A ratio of 1 is torch's cost;
the backend stands behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

import elman.nn
from elman.kernels import explain

SIZES = [(64, 32, 512, 512), (20, 20, 200, 200)]
ROUNDS = 7


def best_of(steps: list[Callable[[], None]]) -> list[float]:
    """Milliseconds of the fastest round of each step."""
    best = [float("inf")] * len(steps)
    for _ in range(ROUNDS + 2):
        for i, step in enumerate(steps):
            start = time.process_time()
            step()
            best[i] = min(best[i], time.process_time() - start)
    return [1e3 * seconds for seconds in best]


def autocast(precision: str) -> AbstractContextManager[object]:
    """bf16 where it is asked for."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


def training_step(
    layer: nn.Module, x: torch.Tensor, precision: str, lengths: torch.Tensor | None
) -> Callable[[], None]:
    """One forward and backward pass; torch's own layer takes its lengths packed."""

    def step() -> None:
        with autocast(precision):
            if lengths is None:
                y, _ = layer(x)
            elif type(layer) is nn.LSTM:
                packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
                y = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], total_length=len(x))[0]
            else:
                y, _ = layer(x, lengths=lengths)
        y.float().sum().backward()

    return step


def main() -> None:
    """Print a line for each size, precision and kind of batch."""
    torch.manual_seed(0)
    for size in SIZES:
        steps, batch, inputs, hidden = size
        x = torch.randn(steps, batch, inputs)
        layers = [
            nn.LSTM(inputs, hidden),
            elman.nn.LSTM(inputs, hidden),
            elman.nn.Recurrent("lstm", inputs, hidden),
        ]
        unequal = torch.randint(1, steps + 1, (batch,))
        for precision in ("float32", "bf16"):
            for kind, lengths in (("whole rows", None), ("unequal rows", unequal)):
                call = {} if lengths is None else {"lengths": lengths}
                with autocast(precision):
                    by = [explain(layer, x, **call).backend for layer in layers[1:]]
                torchs, *ours = best_of(
                    [training_step(layer, x, precision, lengths) for layer in layers]
                )
                ratios = ", ".join(
                    f"{name} {cost / torchs:.2f} ({backend})"
                    for name, cost, backend in zip(
                        ("elman.nn.LSTM", "Recurrent"), ours, by, strict=True
                    )
                )
                print(f"{size} {precision} {kind}: torch.nn.LSTM {torchs:.1f} ms; {ratios}")


if __name__ == "__main__":
    main()
