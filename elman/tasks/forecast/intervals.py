"""Quantiles that keep their promise on data the model was not fitted to.

A network that has learnt its training windows by heart is too sure of itself. On the
validation windows it can be seen by how much, and its quantiles can be moved accordingly:
conformalized quantile regression (Romano et al. 2019), in units of its own width
(Sesia & Candès 2020).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

LEAST_WIDTH = 1e-3


class Calibrated(nn.Module):
    """A forecaster whose quantiles have a correction that is learnt on held-out windows.

    q̂'_τ = q̂_τ + c_τ w, where w is the distance of the outermost quantiles and c_τ the
    τ-quantile of (y - q̂_τ) / w over the held-out values. The correction is a buffer: it is
    saved with the parameters it belongs to.

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
        """Return the forecast before it is corrected; the loss is taken of it."""
        y: Tensor = self.forecaster(past, known)
        return y

    def corrected(self, y: Tensor) -> Tensor:
        """The forecast with its quantiles sorted and moved.

        Quantiles may cross; sorting them is never worse (Chernozhukov et al. 2010).
        """
        quantiles = y[..., 1:].sort(-1).values
        moved = quantiles + self.correction.to(y) * _width(quantiles)
        return torch.cat([y[..., :1], moved.sort(-1).values], dim=-1)

    @torch.no_grad()
    def calibrate(self, y: Tensor, truth: Tensor) -> None:
        """Learn the correction from forecasts `(N, H, C, 1 + Q)` and what came `(N, H, C)`."""
        if not self.levels:
            return
        quantiles = y[..., 1:].sort(-1).values
        missed = ((truth.unsqueeze(-1) - quantiles) / _width(quantiles)).flatten(0, 2).cpu().numpy()
        found = [np.quantile(missed[:, i], level) for i, level in enumerate(self.levels)]
        self.correction.copy_(torch.tensor(found))


def _width(quantiles: Tensor) -> Tensor:
    if quantiles.shape[-1] < 2:
        return torch.ones_like(quantiles)
    return (quantiles[..., -1:] - quantiles[..., :1]).clamp_min(LEAST_WIDTH)
