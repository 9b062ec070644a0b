"""The loss of a forecast, and its validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.tasks.base import device_of
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.running import finished, raw_forecast, sums_of
from elman.tasks.forecast.windows import Batch, observed

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast


class WindowLoss:
    """Point loss and pinball loss in the model's units, validation by the headline metric."""

    higher_is_better = False

    def __init__(self, task: Forecast, model: nn.Module) -> None:
        self.task, self.model = task, model
        self.metric = task.metric
        self.levels = torch.tensor(task.settings.quantiles)

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Summed over windows, steps and targets."""
        batch = batch.to(device_of(self.model))
        assert batch.future is not None
        y = self.model(batch.past, batch.known)
        total = self._point(y[..., 0], batch)
        if len(self.levels):
            levels = self.levels.to(y)
            over = batch.future.unsqueeze(-1) - y[..., 1:]
            total = total + 2 * torch.maximum(levels * over, (levels - 1) * over).mean(-1)
        if batch.present is not None:
            return (total * batch.present).sum(), float(batch.present.sum()), None
        return total.sum(), float(batch.future.numel()), None

    def _point(self, point: Tensor, batch: Batch) -> Tensor:
        assert batch.future is not None
        error = point - batch.future
        kind = self.task.settings.loss
        if kind == "mse":
            return error.square()
        if kind == "mae":
            return error.abs()
        own = self.task._here.windows.own_units
        y, truth = (own(t.unsqueeze(-1), batch).squeeze(-1) for t in (point, batch.future))
        # Bounded below where both are near zero, where the ratio jumps.
        size = y.abs() + truth.abs() + 1e-3 * batch.scale
        return 2 * (y - truth).abs() / size

    def validate(self) -> dict[str, float]:
        """Metrics on windows of the validation part, and the loss that training lowers.

        Nothing where the validation part is trained on.
        """
        if self.task.plan is not None:
            return {}
        found, total, terms = self.task.validate(self.model), 0.0, 0.0
        for held, some in self.task.to_choose().chunks(self.task._chunk):
            cost, count, _ = self.loss(held.windows.batch(some), None)
            total, terms = total + float(cost), terms + count
        return {**found, "loss": total / max(terms, 1.0)}


def validated(task: Forecast, model: nn.Module) -> dict[str, float]:
    """Headline metric, CRPS and coverage on the validation part.

    On a thousand windows at most, spread evenly over it; the model's quantiles are corrected
    by what they missed there.
    """
    assert isinstance(model, Calibrated)
    import pandas as pd

    pool = task.to_choose()
    chunks = list(pool.chunks(task._chunk))
    forecasts = [raw_forecast(model, held, some) for held, some in chunks]
    truth = torch.cat([observed(held.windows.batch(some)) for held, some in chunks])
    model.calibrate(torch.cat([y for y, _ in forecasts]), truth)
    done = iter(
        finished(model, held, y, batch)
        for (held, _), (y, batch) in zip(chunks, forecasts, strict=True)
    )
    sums = [sums_of(task, held, some, lambda _: next(done)) for held, some in pool.parts]
    found = task._score(pd.concat(sums, ignore_index=True))
    return {k: v for k, v in found.items() if k in (task.metric, "crps", "coverage")}
