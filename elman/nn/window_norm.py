"""Window normalisation: remove level and spread of each window, restore them in its forecast.

A series drifts, so test windows lie at levels that no training window has. A model that reads
normalised windows learns shapes only; its forecast is scaled back.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest

Norm = Literal["none", "last", "standard", "revin"]
NORMS: tuple[Norm, ...] = get_args(Norm)
_SMALLEST = 1e-5


class WindowNorm(nn.Module):
    """Reversible normalisation of windows `(batch, time, channels)`, each by its own past.

    Args:
        channels: columns of a window.
        kind: `"last"` subtracts the last value (SegRNN, Lin et al. 2023; NLinear, Zeng et al.
            2023); `"standard"` subtracts the mean and divides by the standard deviation;
            `"revin"` does so with a learnt gain and offset a channel (Kim et al. 2022);
            `"none"` changes nothing.

    >>> norm = WindowNorm(1, "last")
    >>> x, level = norm(torch.tensor([[[1.0], [3.0]]]))
    >>> x.flatten().tolist(), norm.inverse(x, level).flatten().tolist()
    ([-2.0, 0.0], [1.0, 3.0])

    Raises:
        InputError: `kind` is unknown.
    """

    def __init__(self, channels: int, kind: Norm = "last") -> None:
        super().__init__()
        if kind not in NORMS:
            raise InputError(
                f"there is no window normalisation {kind!r}.", fix=nearest(kind, NORMS)
            )
        self.kind = kind
        if kind == "revin":
            self.gain = nn.Parameter(torch.ones(channels))
            self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, past: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the normalised window, and its level and spread `(batch, 1, channels)`."""
        if self.kind == "none":
            level = torch.zeros_like(past[:, :1])
        elif self.kind == "last":
            level = past[:, -1:]
        else:
            level = past.mean(1, keepdim=True)
        if self.kind in ("standard", "revin"):
            spread = (past.var(1, keepdim=True, unbiased=False) + _SMALLEST).sqrt()
        else:
            spread = torch.ones_like(level)
        x = (past - level) / spread
        if self.kind == "revin":
            x = x * self.gain + self.offset
        return x, (level, spread)

    def inverse(self, future: Tensor, taken: tuple[Tensor, Tensor]) -> Tensor:
        """Put level and spread back into `future` `(batch, horizon, channels, ...)`."""
        level, spread = taken
        extra = future.dim() - level.dim()
        level, spread = (t[(...,) + (None,) * extra] for t in (level, spread))
        if self.kind == "revin":
            gain, offset = (t[(...,) + (None,) * extra] for t in (self.gain, self.offset))
            # Bounded away from zero, so that a gain that crosses it cannot blow the forecast up.
            gain = torch.where(gain.abs() < _SMALLEST, torch.full_like(gain, _SMALLEST), gain)
            future = (future - offset) / gain
        return future * spread + level
