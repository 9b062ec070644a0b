"""Clipping keeps one step from undoing many; each way takes all parameters at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

AGC_EPS = 1e-3  # Brock et al. 2021: a unit whose weights are near zero may still move


def total_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, a scalar (0 where there are none).

    >>> weight = nn.Parameter(torch.zeros(2)); weight.grad = torch.tensor([3.0, 4.0])
    >>> total_norm([weight])
    tensor(5.)
    """
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True)


def by_norm(parameters: Sequence[nn.Parameter], at: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `at` (Pascanu et al. 2013).

    Returns:
        The norm before clipping.
    """
    return nn.utils.clip_grad_norm_(parameters, at, foreach=True)


def by_value(parameters: Sequence[nn.Parameter], at: float) -> Tensor:
    """Bound each component to [-at, at] (Mikolov 2012). Returns the norm before clipping."""
    norm = total_norm(parameters)
    nn.utils.clip_grad_value_(parameters, at, foreach=True)
    return norm


def adaptive(parameters: Sequence[nn.Parameter], at: float) -> Tensor:
    """Bound the gradient of each unit to `at` times the norm of its weights (Brock et al. 2021).

    A unit is one row of a weight matrix, with everything that reaches it; a vector is one
    unit. Returns the norm before clipping.
    """
    norm = total_norm(parameters)
    with torch.no_grad():
        for p in parameters:
            if p.grad is None:
                continue
            axes = tuple(range(1, p.ndim)) if p.ndim > 1 else None
            weights = torch.linalg.vector_norm(p, dim=axes, keepdim=True).clamp_(min=AGC_EPS)
            gradients = torch.linalg.vector_norm(p.grad, dim=axes, keepdim=True)
            p.grad.mul_((at * weights / gradients.clamp_(min=1e-6)).clamp_(max=1.0))
    return norm


def unclipped(parameters: Sequence[nn.Parameter], at: float) -> Tensor:
    """Clip nothing, and return the norm, by which divergence is noticed."""
    return total_norm(parameters)


CLIPPING = {"norm": by_norm, "value": by_value, "adaptive": adaptive, "none": unclipped}
