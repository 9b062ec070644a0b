"""Single steps called from Python, as a model on a live stream runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import elman.nn
from elman.bench.layers import row_of
from elman.bench.measure import compare
from elman.bench.report import Row
from elman.bench.settings import Settings

STEPS = 200


def stream(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure LSTM and GRU step by step, beside torch's cells called in the same way."""
    steps = 3 if settings.quick else STEPS
    for kind in ("LSTM", "GRU"):
        for hidden in (8,) if settings.quick else (64, 128, 256, 512):
            torch.manual_seed(0)
            layer: Any = getattr(elman.nn, kind)(hidden, hidden)
            cell: Any = getattr(nn, f"{kind}Cell")(hidden, hidden)
            cell.load_state_dict({n.removesuffix("_l0"): p for n, p in layer.named_parameters()})
            xs = torch.randn(steps, 1, hidden)
            timed = compare(
                settings,
                {
                    # Opened once, as a stream is that runs for days.
                    "ours": functools.partial(_ours, functools.cache(layer.stream), xs),
                    "peer": functools.partial(_theirs, cell, xs),
                },
            )
            yield row_of(
                timed,
                "stream",
                f"{kind}, one step",
                f"B=1, H={hidden}",
                threads,
                peer=f"torch.nn.{kind}Cell",
                goal_of=f"step, {hidden}",
                units=steps,
            )


def _ours(opened: Callable[[], Any], xs: Tensor) -> list[Tensor]:
    stream = opened()
    stream.reset()
    for x in xs:
        y = stream.step(x)
    return [y]


def _theirs(cell: nn.Module, xs: Tensor) -> list[Tensor]:
    with torch.no_grad():
        state = None
        for x in xs:
            state = cell(x, state)
    return [state[0] if isinstance(state, tuple) else state]  # type: ignore[list-item]
