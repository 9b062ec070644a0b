"""A forecaster whose quantiles keep their promise; see `elman.tasks.intervals`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.tasks.intervals import between, correction, moved


class Calibrated(nn.Module):
    """A forecaster whose quantiles have a correction that is learnt on held-out windows.

    The correction is a buffer: it is saved with the parameters it belongs to.

    Args:
        forecaster: from past and known to `(B, H, C, 1 + Q)`: a point, then quantiles.
        levels: the Q quantile levels, ascending.
    """

    correction: Tensor

    def __init__(self, forecaster: nn.Module, levels: list[float]) -> None:
        super().__init__()
        self.forecaster, self.levels = forecaster, levels
        self.register_buffer("correction", torch.zeros(len(levels)))

    def forward(self, past: Tensor, known: Tensor | None = None) -> Tensor:
        """Return what the forecaster gives, not corrected: the loss is taken of it."""
        y: Tensor = self.forecaster(past, known)
        return y

    def corrected(self, y: Tensor) -> Tensor:
        """Return the forecast with its quantiles sorted and moved, the point among them."""
        quantiles = moved(y[..., 1:], self.correction)
        return torch.cat([between(y[..., :1], quantiles, self.levels), quantiles], dim=-1)

    @torch.no_grad()
    def calibrate(self, y: Tensor, truth: Tensor) -> None:
        """Learn the correction from forecasts `(N, H, C, 1 + Q)` and what came `(N, H, C)`.

        A value that is missing (NaN) does not count.
        """
        there = truth.isfinite()
        if self.levels and there.any():
            self.correction.copy_(correction(y[there][:, 1:], truth[there], self.levels))
