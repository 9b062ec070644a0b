"""An average of the parameters over many steps is often better than the last parameters.

The average is validated, kept as the best and returned; training goes on from the parameters
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Averaging(Protocol):
    """The loop asks this of an average."""

    def update(self) -> None:
        """Take in the parameters after one step."""

    def validated(self, value: float, higher_is_better: bool) -> None:
        """Take note of what a validation gave."""

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""

    @property
    def average(self) -> list[Tensor] | None:
        """The averaged parameters; None while there are none."""


class NoAveraging:
    """This average is no average: the parameters stay as they are."""

    average: list[Tensor] | None = None

    def update(self) -> None:
        """Do nothing."""

    def validated(self, value: float, higher_is_better: bool) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is nothing to load."""


class EMA:
    """An exponential moving average takes a = d a + (1 - d) θ after every step.

    d is the lesser of `decay` and (1 + t) / (10 + t), t the steps so far, so that the
    random start is soon forgotten (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self.steps = 0
        self.average: list[Tensor] | None = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after one step."""
        assert self.average is not None
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.parameters, 1.0 - decay)

    def validated(self, value: float, higher_is_better: bool) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.steps = state["steps"]
        self.average = _like(state["average"], self.parameters)


class ASGD:
    """NT-ASGD of AWD-LSTM averages SGD from where it pays (Merity et al. 2018, algorithm 1).

    Averaging begins once a validation is worse than the best of all but the last `after`
    validations; from then on the average is the plain mean over all steps.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], after: int) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.after = after
        self.log: list[float] = []
        self.triggered = False
        self.steps = 0
        self.average: list[Tensor] | None = None

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after one step."""
        if not self.triggered:
            return
        self.steps += 1
        if self.average is None:
            self.average = [p.detach().clone() for p in self.parameters]
        else:
            torch._foreach_lerp_(self.average, self.parameters, 1.0 / self.steps)

    def validated(self, value: float, higher_is_better: bool) -> None:
        """Take note of a validation, and begin to average when validations stop improving."""
        value = -value if higher_is_better else value
        earlier = self.log[: max(0, len(self.log) - self.after)]
        if not self.triggered and earlier and not value <= min(earlier):
            self.triggered = True
        self.log.append(value)

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {
            "log": list(self.log),
            "triggered": self.triggered,
            "steps": self.steps,
            "average": self.average,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.log, self.triggered, self.steps = (
            list(state["log"]),
            state["triggered"],
            state["steps"],
        )
        average = state["average"]
        self.average = None if average is None else _like(average, self.parameters)


AVERAGES: dict[str, Callable[[Sequence[nn.Parameter], float, int], Averaging]] = {
    "none": lambda parameters, ema_decay, asgd_after: NoAveraging(),
    "ema": lambda parameters, ema_decay, asgd_after: EMA(parameters, ema_decay),
    "asgd": lambda parameters, ema_decay, asgd_after: ASGD(parameters, asgd_after),
}
"""The choices of the setting `averaging`, each made from the parameters, `ema_decay` and
`asgd_after`."""


def make(
    name: str, parameters: Sequence[nn.Parameter], *, ema_decay: float, asgd_after: int
) -> Averaging:
    """Return the average called `name`, a key of `AVERAGES`, over these parameters."""
    return AVERAGES[name](parameters, ema_decay, asgd_after)


@contextmanager
def applied(averaging: Averaging, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let the parameters hold their average inside, and afterwards what they held before."""
    if averaging.average is None:
        yield
        return
    own = [p.detach() for p in parameters]
    before = [p.clone() for p in own]
    torch._foreach_copy_(own, averaging.average)
    try:
        yield
    finally:
        torch._foreach_copy_(own, before)


@torch.no_grad()
def settled(averaging: Averaging, parameters: Sequence[nn.Parameter]) -> None:
    """Let the parameters hold their average for good."""
    if averaging.average is not None:
        torch._foreach_copy_([p.detach() for p in parameters], averaging.average)


def _like(tensors: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    return [t.to(p.device).clone() for t, p in zip(tensors, parameters, strict=True)]
