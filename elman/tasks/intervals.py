"""Quantiles that keep their promise on data the model was not fitted to.

A network that has learnt its training examples by heart is too sure of itself. On the validation
part it can be seen by how much, and its quantiles can be moved accordingly: conformalized quantile
regression (Romano et al. 2019), in units of its own width (Sesia & Candès 2020):
q̂'_τ = q̂_τ + c_τ w, where w is the distance of the outermost quantiles and c_τ the τ-quantile of
(y - q̂_τ) / w over the held-out values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.scoring.forecasts import band

LEAST_WIDTH = 1e-3


def moved(quantiles: Tensor, correction: Tensor) -> Tensor:
    """Return quantiles `(..., Q)` sorted and moved by their correction, ascending.

    Quantiles may cross; sorting them is never worse (Chernozhukov et al. 2010).

    Args:
        quantiles: as the model gives them.
        correction: c of each level, `(..., Q)` or `(Q,)`.

    >>> moved(torch.tensor([3.0, 1.0]), torch.tensor([-0.5, 0.5]))
    tensor([0., 4.])
    """
    ordered = quantiles.sort(-1).values
    return (ordered + correction.to(ordered) * _width(ordered)).sort(-1).values


def between(point: Tensor, quantiles: Tensor, levels: Sequence[float]) -> Tensor:
    """Return a point `(..., 1)` that lies within its band of 80 %, or the widest there is.

    A correction moves quantiles and not the point: one that is left outside goes to the nearer
    end. After few steps of training the point, which has weights of its own, is often far from
    the median of the quantiles, and a correction that narrows their interval leaves it outside: so
    it equals an end exactly. It is not put at the median instead, because a forecast would leap
    where it crosses the end. Where the levels lie on one side of the median there is no interval
    around a point.

    >>> between(torch.tensor([9.0]), torch.tensor([1.0, 4.0]), [0.1, 0.9])
    tensor([4.])
    """
    if (ends := band(levels)) is None:
        return point
    low, high = ends
    return point.clamp(quantiles[..., low : low + 1], quantiles[..., high : high + 1])


def correction(quantiles: Tensor, truth: Tensor, levels: Sequence[float]) -> Tensor:
    """Return c of each level, `(Q,)`, learnt from held-out values.

    Args:
        quantiles: as the model gives them, `(..., Q)`.
        truth: `(...)`, at least one value.
        levels: the Q levels, ascending.

    >>> correction(torch.tensor([[0.0, 2.0]]).expand(5, 2), torch.arange(5.0), [0.25, 0.75])
    tensor([0.5000, 0.5000])
    """
    ordered = quantiles.sort(-1).values
    missed = ((truth.unsqueeze(-1) - ordered) / _width(ordered)).flatten(0, -2).cpu().numpy()
    return torch.tensor([np.quantile(missed[:, i], level) for i, level in enumerate(levels)])


def _width(quantiles: Tensor) -> Tensor:
    if quantiles.shape[-1] < 2:
        return torch.ones_like(quantiles)
    return (quantiles[..., -1:] - quantiles[..., :1]).clamp_min(LEAST_WIDTH)
