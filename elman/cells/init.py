"""How parameters start, by name and with the paper each recipe comes from.

Every function fills its tensor in place, draws from `generator` (torch's own when None)
and returns the tensor. `initialise` applies one of them to a whole cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.errors import InputError, nearest


@torch.no_grad()
def orthogonal(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns (Saxe et al. 2014, arXiv:1312.6120)."""
    # QR does not exist in half precision.
    wide = torch.empty(weight.shape, dtype=torch.float64, device=weight.device)
    return weight.copy_(nn.init.orthogonal_(wide, gain, generator=generator))


@torch.no_grad()
def identity(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """The identity matrix times `gain` (Le, Jaitly & Hinton 2015, arXiv:1504.00941)."""
    return nn.init.eye_(weight).mul_(gain)


@torch.no_grad()
def glorot(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on ±sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    return nn.init.xavier_uniform_(weight, gain, generator=generator)


@torch.no_grad()
def spectral(weight: Tensor, *, radius: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A Gaussian square matrix scaled to spectral radius `radius` (Jaeger 2001, GMD report 148)."""
    nn.init.normal_(weight, generator=generator)
    return scale_to_radius(weight, radius)


@torch.no_grad()
def scale_to_radius(weight: Tensor, radius: float) -> Tensor:
    """Scale a square matrix so that its largest eigenvalue has modulus `radius`."""
    now = torch.linalg.eigvals(weight.double()).abs().max().item()
    return weight.mul_(radius / now)


@torch.no_grad()
def uniform(tensor: Tensor, *, size: int, generator: Generator | None = None) -> Tensor:
    """Uniform on ±1/sqrt(size), `size` the hidden size: what `torch.nn`'s layers draw."""
    bound = 1 / math.sqrt(size)
    return nn.init.uniform_(tensor, -bound, bound, generator=generator)


@torch.no_grad()
def forget(bias: Tensor, *, value: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A forget gate that starts open (Gers et al. 2000; value 1: Jozefowicz et al. 2015)."""
    return bias.fill_(value)


@torch.no_grad()
def chrono(bias: Tensor, *, steps: int, generator: Generator | None = None) -> Tensor:
    """Forget bias log(u), u uniform on [1, steps - 1] (Tallec & Ollivier 2018, arXiv:1804.11188).

    The gates then forget over 1 to `steps` time steps, the range of dependencies expected. An
    input gate takes the negative of the same draw.
    """
    if steps < 3:
        raise InputError(f"chrono needs a range of at least 3 steps, not {steps}.")
    return bias.uniform_(1, steps - 1, generator=generator).log_()


def start_open(
    bias: Tensor, value: float | None, steps: int | None, generator: Generator | None = None
) -> None:
    """Fill the bias of a gate that keeps the state: chrono if `steps` is given, else `value`."""
    if steps is not None:
        chrono(bias, steps=steps, generator=generator)
    elif value is not None:
        forget(bias, value=value)


INITIALISERS: dict[str, Callable[..., Tensor]] = {
    "orthogonal": orthogonal,
    "identity": identity,
    "spectral": spectral,
    "glorot": glorot,
    "torch": uniform,
    "forget": forget,
    "chrono": chrono,
}
RECURRENT = ("orthogonal", "identity", "spectral", "glorot", "torch")


def initialise(cell: nn.Module, init: str, generator: Generator | None = None) -> None:
    """Draw every linear map of a cell.

    The blocks of the recurrent maps `U...` (one a gate) are drawn by the initialiser called
    `init`, all other blocks by `glorot`, biases are zero. With `init="torch"` weights and
    biases alike are uniform, as in `torch.nn`'s layers.

    Raises:
        InputError: no recurrent initialiser of that name.
    """
    if init not in RECURRENT:
        raise InputError(f"No initialiser {init!r}.", fix=nearest(init, RECURRENT))
    size: Any = cell.hidden_size
    for name, linear in cell.named_children():
        if not isinstance(linear, nn.Linear):
            continue
        if init == "torch":
            for tensor in linear.parameters():
                uniform(tensor, size=size, generator=generator)
            continue
        draw = INITIALISERS[init] if name.startswith("U") else glorot
        for block in torch.split(linear.weight, size):
            draw(block, generator=generator)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
