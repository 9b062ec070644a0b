"""Noise for recurrences: dropout that keeps one mask in time, dropped weights, zoneout.

Masks are drawn before a backend is chosen, from torch's own generator, so a seed gives the same
masks on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from elman.cells.base import Cell
from elman.errors import InputError
from elman.kernels import Hold


def probability(name: str, value: float) -> float:
    """Return `value` as a float; raise an error that names the option if it is no probability."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{name} is a probability between 0 and 1, got {value!r}.")
    return float(value)


def locked(x: Tensor, p: float, training: bool = True, time_axis: int = 0) -> Tensor:
    """Apply dropout with one mask for all steps of a sequence (Gal & Ghahramani 2016).

    Args:
        x: `(T, B, F)`, or `(B, T, F)` with `time_axis=1`.
        p: probability that a feature of a row is dropped; others are scaled by 1 / (1 - p).
        training: False returns `x`.
        time_axis: the axis along which the mask is the same.
    """
    if not training or p == 0:
        return x
    shape = list(x.shape)
    shape[time_axis] = 1
    return x * dropout(x.new_ones(shape), p)


class LockedDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence; see `locked`.

    >>> y = LockedDropout(0.5)(torch.ones(3, 1, 400))
    >>> y.unique().tolist(), torch.equal(y[0], y[2])
    ([0.0, 2.0], True)
    """

    def __init__(self, p: float = 0.5, batch_first: bool = False) -> None:
        super().__init__()
        self.p, self.batch_first = probability("p", p), batch_first

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of `x` `(T, B, F)`, or `(B, T, F)` if `batch_first`, in all steps alike."""
        return locked(x, self.p, self.training, time_axis=int(self.batch_first))

    def extra_repr(self) -> str:
        """Return the options, for `print`."""
        return f"p={self.p}" + (", batch_first=True" if self.batch_first else "")


def dropped_weights(cell: Cell, p: float) -> dict[str, Tensor]:
    """Return the recurrent weights of `cell` with entries dropped (Merity et al. 2018).

    One draw is used for a whole sequence and for every row.
    """
    return {name: dropout(cell.get_parameter(name), p) for name in cell.recurrent_weights()}


def zoneout(cell: Cell, rates: Sequence[float], x: Tensor, training: bool) -> Hold | None:
    """Draw zoneout for the states of `cell` over `x` `(T, B, F)` (Krueger et al. 2017).

    Return, while training, masks `(T, B, size)` that are true where the old value is kept, with
    the probability of each state's rate; otherwise the rates, of which a backend takes the
    expectation; None if all rates are zero.
    """
    if not any(rates):
        return None
    if not training:
        return tuple(rate or None for rate in rates)
    steps, batch = x.shape[:2]
    return tuple(
        torch.rand(steps, batch, size, device=x.device) < rate if rate else None
        for rate, size in zip(rates, cell.state_sizes, strict=True)
    )
