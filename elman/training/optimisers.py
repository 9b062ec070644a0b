"""Optimisers of torch.optim are made by name, in their fastest form on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest

OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
}

# Where torch has one kernel for the whole update.
_FUSED = {"cpu": {"sgd", "adam", "adamw", "adagrad"}, "cuda": {"sgd", "adam", "adamw"}}


def make(
    name: str,
    parameters: Sequence[nn.Parameter],
    *,
    lr: float,
    momentum: float | None = None,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Return an optimiser of torch.optim over `parameters`.

    Weight decay is kept from everything with fewer than two dimensions: it would pull the
    forget bias, on which the memory of a gated cell rests, back to zero.

    Args:
        momentum: of SGD and RMSprop; the first beta of Adam's family. None is torch's default.

    >>> make("sgd", [nn.Parameter(torch.zeros(2))], lr=1.0, momentum=0.9).defaults["momentum"]
    0.9

    Raises:
        InputError: an unknown name, or nothing to train.
    """
    if name not in OPTIMISERS:
        raise InputError(f"There is no optimiser {name!r}. {nearest(name, OPTIMISERS)}")
    if not parameters:
        raise InputError("The model has no parameter to train.")
    options: dict[str, Any] = {"lr": lr, **_form(name, parameters)}
    if momentum is not None:
        if name in ("sgd", "rmsprop"):
            options["momentum"] = momentum
        else:
            options["betas"] = (momentum, 0.999)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if not weight_decay:
        groups = [{"params": list(parameters), "weight_decay": 0.0}]
    return OPTIMISERS[name]([g for g in groups if g["params"]], **options)


def _form(name: str, parameters: Sequence[Tensor]) -> dict[str, bool]:
    devices = {p.device.type for p in parameters}
    plain = all(p.dtype in (torch.float32, torch.float64) for p in parameters)
    if len(devices) == 1 and plain and name in _FUSED.get(devices.pop(), ()):
        return {"fused": True}
    return {"foreach": True}
