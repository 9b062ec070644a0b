"""Initialisers: how parameters start, each with its name and its paper.

Every function fills its tensor in place, draws from `generator` (torch's own when None)
and returns the tensor. `initialise` applies one of them to a whole cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from elman.errors import InputError, nearest


@torch.no_grad()
def orthogonal(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw a random matrix with orthonormal rows or columns (Saxe et al. 2014, arXiv:1312.6120)."""
    # QR does not exist in half precision.
    wide = torch.empty_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    return weight.copy_(nn.init.orthogonal_(wide, gain, generator=generator))


@torch.no_grad()
def identity(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Set the identity matrix times `gain` (Le, Jaitly & Hinton 2015, arXiv:1504.00941)."""
    return nn.init.eye_(weight).mul_(gain)


@torch.no_grad()
def glorot(weight: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw uniformly on ±gain sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    return nn.init.xavier_uniform_(weight, gain, generator=generator)


@torch.no_grad()
def uniform(tensor: Tensor, *, size: int, generator: Generator | None = None) -> Tensor:
    """Draw uniformly on ±1/sqrt(size), as `torch.nn`'s layers do; `size` is the hidden size."""
    bound = 1 / math.sqrt(size)
    return tensor.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def spectral(
    weight: Tensor,
    *,
    radius: float = 1.0,
    sparsity: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw a Gaussian matrix scaled to spectral radius `radius` (Jaeger 2001, GMD report 148).

    `sparsity` is the share of zeros. Every row keeps the same number of entries, at least
    one, because a matrix with empty rows may have no eigenvalue but zero.
    """
    rows, columns = weight.shape
    if rows != columns:
        raise InputError(f"A {rows} × {columns} matrix has no spectral radius: it must be square.")
    if weight.is_meta:
        return weight  # no values, so no eigenvalues
    weight.normal_(generator=generator)
    if sparsity > 0:
        kept = max(1, round((1 - sparsity) * columns))
        order = torch.rand(weight.shape, device=weight.device, generator=generator).argsort(-1)
        weight.mul_(order < kept)
    return weight.mul_(radius / torch.linalg.eigvals(weight.double()).abs().max().item())


@torch.no_grad()
def forget(bias: Tensor, *, value: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Set the bias with which a forget gate starts open (1: Jozefowicz et al. 2015)."""
    return bias.fill_(value)


@torch.no_grad()
def chrono(bias: Tensor, *, steps: int, generator: Generator | None = None) -> Tensor:
    """Draw a forget bias log(u), u uniform on [1, steps - 1] (Tallec & Ollivier 2018).

    The gates then forget over 1 to `steps` time steps, the range of dependencies expected. An
    input gate takes the negative of the same draw. arXiv:1804.11188.
    """
    if steps < 3:
        raise InputError(
            f"chrono={steps} is too short: it counts the steps of the longest dependency.",
            fix="Give 3 or more.",
        )
    return bias.uniform_(1, steps - 1, generator=generator).log_()


INITIALISERS: dict[str, Callable[..., Tensor]] = {
    "orthogonal": orthogonal,
    "identity": identity,
    "glorot": glorot,
    "torch": uniform,
    "spectral": spectral,
    "forget": forget,
    "chrono": chrono,
}
RECURRENT = ("orthogonal", "identity", "glorot", "torch", "spectral")


@torch.no_grad()
def initialise(cell: nn.Module, size: int, init: str, generator: Generator | None = None) -> None:
    """Draw every linear map of a cell of hidden size `size`.

    Each block of `size` rows (one for each gate) of the recurrent maps `U...` is drawn by the
    initialiser called `init`, and of all other maps by `glorot`; biases are zero. With
    `init="torch"` weights and biases are uniform, as in `torch.nn`'s layers.

    Raises:
        InputError: no recurrent initialiser of that name.
    """
    if init not in RECURRENT:
        raise InputError(f"init={init!r} is not known.", fix=nearest(init, RECURRENT))
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
            linear.bias.zero_()


def start_open(
    bias: Tensor, value: float | None, steps: int | None, generator: Generator | None = None
) -> None:
    """Fill the bias of a gate that keeps the state: `chrono` where `steps` is given, or `value`."""
    if steps is not None:
        chrono(bias, steps=steps, generator=generator)
    elif value is not None:
        forget(bias, value=value)
