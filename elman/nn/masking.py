"""Masks of the valid steps of a batch, for pooling, softmax and reading backwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Lengths = Tensor | Sequence[int]


def valid_steps(lengths: Lengths, steps: int, device: torch.device | None = None) -> Tensor:
    """Return the mask `(B, steps)` of the valid steps of rows with lengths `(B,)`.

    >>> valid_steps([2, 0], 3)
    tensor([[ True,  True, False],
            [False, False, False]])
    """
    ends = torch.as_tensor(lengths, device=device)
    return torch.arange(steps, device=ends.device) < ends.unsqueeze(-1)


def blank(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return `x` `(B, T, ...)` with zeros where `mask` `(B, T)` is false, also in place of NaN.

    >>> blank(torch.tensor([[1.0, float("nan")]]), torch.tensor([[True, False]]))
    tensor([[1., 0.]])
    """
    if mask is None:
        return x
    return x.masked_fill(~mask.reshape(mask.shape + (1,) * (x.dim() - mask.dim())), 0)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Apply softmax over the positions of the last axis where `mask` is true; others are 0.

    A row without such a position is all zeros, and its gradient is zero, not NaN.

    >>> masked_softmax(torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    if mask is None:
        return scores.softmax(-1)
    scores = scores.masked_fill(~mask, -torch.inf).masked_fill(~mask.any(-1, keepdim=True), 0)
    return scores.softmax(-1).masked_fill(~mask, 0)


def reverse_valid(x: Tensor, lengths: Lengths | None = None) -> Tensor:
    """Reverse the valid steps of each row of `x` `(B, T, ...)`; padding stays in its place.

    >>> reverse_valid(torch.tensor([[1, 2, 3, 0], [1, 2, 3, 4]]), [3, 4])
    tensor([[3, 2, 1, 0],
            [4, 3, 2, 1]])
    """
    if lengths is None:
        return x.flip(1)
    ends = torch.as_tensor(lengths, device=x.device).unsqueeze(-1)
    steps = torch.arange(x.shape[1], device=x.device)
    source = torch.where(steps < ends, ends - 1 - steps, steps)
    return x[torch.arange(len(x), device=x.device).unsqueeze(-1), source]
