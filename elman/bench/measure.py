"""Timing in turns, so that other work of the machine slows all contenders alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elman.bench.settings import Settings
from elman.errors import SlowPathWarning
from elman.kernels import record

Step = Callable[[], Sequence[Tensor]]
"""One unit of work; its results are compared with those of its peers."""

SAMPLE = 5e-3
"""The least seconds of a sample: shorter work is repeated within it."""

PASSES = {"inference": 1, "training": 3}
"""Products for each product of the forward pass: training also multiplies by the transposed weights
and computes the gradient of the weights."""

PATIENCE = 8.0
"""Seconds after which a comparison ends early, once it has `FEWEST` rounds."""

FEWEST = 5


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the median and quartiles of some values.

        >>> Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
        Spread(median=3.0, low=2.0, high=4.0)
        """
        found = sorted(values)
        if len(found) < 2:
            return cls(found[0], found[0], found[0])
        low, median, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(median, low, high)

    def times(self, factor: float) -> Spread:
        """Return the spread in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Timed:
    """The result of a comparison.

    Attributes:
        seconds: contender → the seconds of a call in each round.
        backend: the backends that the first contender ran on.
        difference: contender → the relative RMS difference of its results from the first's.
    """

    seconds: dict[str, list[float]]
    backend: str
    difference: dict[str, float]

    def median(self, name: str) -> float:
        """Return the median seconds of a call."""
        return statistics.median(self.seconds[name])

    def ratio(self, above: str, below: str) -> Spread:
        """Return the time of one contender over that of another, round by round."""
        pairs = zip(self.seconds[above], self.seconds[below], strict=True)
        return Spread.of(a / b for a, b in pairs)


def compare(
    settings: Settings, steps: dict[str, Step], others: dict[str, Step] | None = None
) -> Timed:
    """Time contenders in turns, warm.

    Args:
        settings: how thoroughly.
        steps: who does the same work; the first is ours.
        others: who does other work, whose results are not compared.
    """
    ours, *rest = steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowPathWarning)  # the table names the backend
        with record() as choices:
            wanted = steps[ours]()
        difference = {name: relative_difference(steps[name](), wanted) for name in rest}
        del wanted
        steps = steps | (others or {})
        repeats = {name: _repeats(step, settings) for name, step in steps.items()}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        began = time.perf_counter()
        gc.collect()
        gc.disable()
        try:
            for turn in range(settings.rounds):
                if turn >= FEWEST and time.perf_counter() - began > PATIENCE:
                    break
                for name, step in steps.items():
                    seconds[name].append(_seconds(step, repeats[name]))
        finally:
            gc.enable()
    backend = "+".join(sorted({choice.backend for choice in choices}))
    return Timed(seconds, backend, difference)


def _seconds(step: Step, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _repeats(step: Step, settings: Settings) -> int:
    if settings.quick:
        return 1
    step()
    return max(1, math.ceil(SAMPLE / max(_seconds(step, 2), 1e-7)))


def relative_difference(given: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Return the largest relative RMS difference of tensors that should be equal; 0 without any.

    >>> relative_difference([torch.full((4,), 1.01)], [torch.ones(4)]) < 0.0101
    True
    """
    return max(
        (
            float((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30))
            for a, b in zip(map(Tensor.detach, given), map(Tensor.detach, wanted), strict=True)
        ),
        default=0.0,
    )


def multiply_adds(module: nn.Module) -> int:
    """Return the multiply-adds of all products of one step of one row.

    >>> multiply_adds(nn.LSTM(3, 2))
    40
    """
    return sum(p.numel() for p in module.parameters() if p.dim() == 2)


def operations(work: str, module: nn.Module, rows: int) -> float:
    """Return the floating-point operations of all products: two for a multiply-add.

    Args:
        work: "inference" or "training".
        module: whose matrices each row is multiplied by.
        rows: of all steps together.

    >>> operations("training", nn.LSTM(3, 2), rows=10)
    2400.0
    """
    return 2.0 * PASSES[work] * rows * multiply_adds(module)


def step_of(
    work: str, call: Callable[[], Tensor], module: nn.Module, x: Tensor, cotangent: Tensor
) -> Step:
    """Return a step that computes the output and, in training, the gradients of x and parameters.

    Args:
        work: "inference" or "training".
        call: what computes the output.
        module: whose parameters there are.
        x: the input that `call` uses.
        cotangent: the gradient of the output.
    """
    wanted = [x, *module.parameters()]

    def inference() -> Sequence[Tensor]:
        with torch.no_grad():
            return (call(),)

    def training() -> Sequence[Tensor]:
        y = call()
        return (y.detach(), *torch.autograd.grad(y, wanted, cotangent))

    return inference if work == "inference" else training
