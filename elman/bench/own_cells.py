"""Cells that torch.nn does not have, beside Python loops and scans."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

import elman.nn
from elman.bench.goals import goal
from elman.bench.layers import data, row_of, text
from elman.bench.measure import PASSES, compare, multiply_adds, operations, step_of
from elman.bench.report import OF_PEER, Row
from elman.bench.settings import Settings
from elman.cells import Cell, MinGRU, MinLSTM, State, make
from elman.cells.minimal import positive_part


class Odd(Cell):
    """A made-up cell of three states, built from operations that are awkward to differentiate.

    a, b, d, e = W x + U p
    p' = clamp(a, -2, 2) / (1 + |b|)
    q' = q / 2 + exp(-relu(d)) where e > 0, p elsewhere
    r' = max(r / 2, e)
    y = p' + q' (1 + r'²)^-½
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, state_sizes=(hidden_size,) * 3)
        self.W = nn.Linear(input_size, 4 * hidden_size)
        self.U = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step; see the class for the equation."""
        p, q, r = state
        a, b, d, e = (self.W(x) + self.U(p)).chunk(4, -1)
        q = q / 2 + torch.where(e > 0, torch.exp(-torch.relu(d)), p)
        p = torch.div(a.clamp(-2, 2), 1 + b.abs())
        r = torch.maximum(r / 2, e)
        return p + q * torch.pow(1 + r * r, -0.5), (p, q, r)


CELLS: dict[str, Callable[[int, int], Cell]] = {
    "peephole LSTM": lambda i, h: make("lstm", i, h, peepholes=True),
    "layer-norm LSTM": lambda i, h: make("lstm", i, h, layer_norm=True),
    "reset-before GRU": lambda i, h: make("gru_cho", i, h),
    "Jordan network": lambda i, h: make("jordan", i, h),
    "coupled LSTM": lambda i, h: make("lstm", i, h, coupled=True),
    "odd cell": Odd,
}


def cells(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure each cell beside its own loop in Python, and beside our LSTM for equal arithmetic."""
    shape = (5, 2, 3, 8) if settings.quick else (100, 32, 128, 128)
    steps, batch, inputs, hidden = shape
    x, cotangent = data(shape)
    torch.manual_seed(0)
    plain = elman.nn.Recurrent("lstm", inputs, hidden)
    for name, made in CELLS.items():
        cell = made(inputs, hidden)
        layer = elman.nn.Recurrent(cell)
        for work in PASSES:
            timed = compare(
                settings,
                {
                    "ours": step_of(work, functools.partial(output, layer, x), layer, x, cotangent),
                    "peer": step_of(work, functools.partial(loop, cell, x), cell, x, cotangent),
                },
                {"plain": step_of(work, functools.partial(output, plain, x), plain, x, cotangent)},
            )
            yield row_of(
                timed,
                "cells",
                f"{name} {work}",
                text(shape),
                threads,
                peer="its own Python loop",
                goal_of=f"cell {work}",
                operations=operations(work, cell, steps * batch),
            )
            scale = multiply_adds(plain) / multiply_adds(cell)
            ratio = timed.ratio("ours", "plain").times(scale)
            yield Row(
                "cells",
                f"{name} {work}, equal arithmetic",
                text(shape),
                threads,
                ratio.median,
                OF_PEER,
                ratio.low,
                ratio.high,
                peer="our plain LSTM",
                ours=timed.median("ours"),
                theirs=timed.median("plain") / scale,
                goal=goal("cell, equal arithmetic", threads),
                backend=timed.backend,
            )


def output(layer: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs of a layer, without its state."""
    y: Tensor = layer(x)[0]
    return y


def loop(cell: Cell, x: Tensor) -> Tensor:
    """Run a cell by the loop that people write."""
    state, outputs = cell.init_state(x.shape[1]), []
    for step in x.unbind(0):
        y, state = cell(step, state)
        outputs.append(y)
    return torch.stack(outputs)


def scan(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure cells without a product in the loop beside a scan over all steps at once in torch."""
    shape = (20, 2, 4, 4) if settings.quick else (10_000, 8, 128, 128)
    x, cotangent = data(shape)
    inputs, hidden = shape[2:]
    torch.manual_seed(0)
    gru, lstm = MinGRU(inputs, hidden, positive=True), MinLSTM(inputs, hidden, positive=True)
    named: dict[str, tuple[Cell, Callable[[], Tensor]]] = {
        "minGRU": (gru, lambda: scanned_gru(gru, x)),
        "minLSTM": (lstm, lambda: scanned_lstm(lstm, x)),
    }
    for name, (cell, parallel) in named.items():
        layer = elman.nn.Recurrent(cell)
        own = functools.partial(output, layer, x)
        for work in PASSES:
            steps_of = {
                "ours": step_of(work, own, cell, x, cotangent),
                "peer": step_of(work, parallel, cell, x, cotangent),
            }
            yield row_of(
                compare(settings, steps_of),
                "scan",
                f"{name} {work}",
                text(shape),
                threads,
                peer="a parallel scan in torch operations",
                goal_of="scan",
            )


def scanned_gru(cell: MinGRU, x: Tensor) -> Tensor:
    """Run all steps of minGRU at once, in logarithms (Feng et al. 2024, appendix B)."""
    z, n = cell.W(x).chunk(2, -1)
    return heinsen(-softplus(z), -softplus(-z) + positive_part(n).log())


def scanned_lstm(cell: MinLSTM, x: Tensor) -> Tensor:
    """Run all steps of minLSTM at once, in logarithms (Feng et al. 2024, appendix B)."""
    f, i, n = cell.W(x).chunk(3, -1)
    odds = softplus(-f) - softplus(-i)
    return heinsen(-softplus(odds), -softplus(-odds) + positive_part(n).log())


def heinsen(log_a: Tensor, log_b: Tensor) -> Tensor:
    """Compute h' = a h + b from zero, for all steps at once (Heinsen 2023, arXiv:2311.06281).

    >>> a, b = torch.tensor([[0.5], [0.5]]), torch.tensor([[1.0], [3.0]])
    >>> heinsen(a.log(), b.log())
    tensor([[1.0000],
            [3.5000]])
    """
    decay = log_a.cumsum(0)
    return torch.exp(decay + torch.logcumsumexp(log_b - decay, 0))
