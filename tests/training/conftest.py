"""What the tests of training share: a tiny regression and a sampler over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn


class Draws:
    """Batches of a noisy line, drawn from (epoch, position) alone."""

    def __init__(self, length: int = 10, rows: int = 8, dtype: torch.dtype = torch.float32) -> None:
        self.length, self.rows, self.dtype = length, rows, dtype
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        while self.position < self.length:
            generator = torch.Generator().manual_seed(1000 * self.epoch + self.position)
            self.position += 1
            x = torch.randn(self.rows, 3, generator=generator, dtype=self.dtype)
            yield x, x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=self.dtype)
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class Line:
    """Least squares. `spoil(call)` may give the loss another value at the n-th call.

    `scores`, where given, is what one validation after another gives.
    """

    metric, higher_is_better = "mse", False

    def __init__(
        self,
        spoil: Callable[[int], float | None] = lambda call: None,
        scores: list[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(3, 1, dtype=dtype)
        self.spoil, self.scores = spoil, scores
        self.calls = self.looks = 0
        self.seen: list[dict[str, Tensor]] = []

    def loss(self, batch: Any, carried: Any) -> tuple[Tensor, float, Any]:
        x, y = batch
        loss = (self.model(x) - y).square().sum()
        factor = self.spoil(self.calls)
        self.calls += 1
        return loss if factor is None else loss * factor, float(len(x)), None

    def validate(self) -> dict[str, float]:
        self.seen.append({k: v.clone() for k, v in self.model.state_dict().items()})
        self.looks += 1
        if self.scores is not None:
            return {"mse": self.scores[min(self.looks, len(self.scores)) - 1]}
        wanted = torch.tensor([[1.0, -2.0, 0.5]], dtype=self.model.weight.dtype)
        return {"mse": float((self.model.weight - wanted).square().sum())}


@pytest.fixture
def draws() -> type[Draws]:
    return Draws


@pytest.fixture
def line() -> type[Line]:
    return Line
