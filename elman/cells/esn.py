"""The echo state network: a reservoir that is never trained, and a trained read-out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import Cell, State
from elman.cells.init import glorot, spectral


class Fixed(nn.Linear):
    """A linear map that no optimiser sees: its weight and bias are buffers."""

    def __init__(self, in_features: int, out_features: int, bias: bool, **like: Any) -> None:
        super().__init__(in_features, out_features, bias, **like)
        for name, parameter in list(self.named_parameters()):
            delattr(self, name)
            self.register_buffer(name, parameter.data)


class ESN(Cell):
    """Echo state network with leaky units (Jaeger 2001, GMD report 148; leak, Jaeger et al. 2007).

    h' = (1 - a) h + a tanh(W x + U h + b)
    y = V h' + W_y x + c

    The reservoir `W`, `U`, b is fixed: it is drawn once, saved with the model and never
    trained. Only the read-out `V`, `W_y`, c is trained, so a convex loss of y stays convex.

    Use it where data are few or training must be instant, and to measure how much it helps to
    train a recurrence. Tune `spectral_radius`, `input_scale` and `leak` (Lukoševičius 2012).

    Parameters start with `U` sparse, normal and scaled to `spectral_radius`, `W` and b uniform on
    ±`input_scale`, the read-out Glorot (2010) with c zero.

    Args:
        output_size: size of y; `hidden_size` by default.
        spectral_radius: modulus of the largest eigenvalue of `U`. Below 1 the reservoir
            usually forgets where it started, the echo state property.
        leak: a, above 0 and up to 1; smaller is slower.
        sparsity: share of `U` that is zero.
        input_scale: bound on the entries of `W` and b.

    >>> cell = ESN(3, 50, output_size=1)
    >>> [name for name, _ in cell.named_parameters()]
    ['V.weight', 'V.bias', 'W_y.weight']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        output_size: int | None = None,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        sparsity: float = 0.9,
        input_scale: float = 1.0,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size=output_size)
        self.spectral_radius, self.leak = spectral_radius, leak
        self.sparsity, self.input_scale = sparsity, input_scale
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.W = Fixed(input_size, hidden_size, bias, **like)
        self.U = Fixed(hidden_size, hidden_size, False, **like)
        self.V = nn.Linear(hidden_size, self.output_size, bias, **like)
        self.W_y = nn.Linear(input_size, self.output_size, bias=False, **like)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw reservoir and read-out anew; see the class for their distributions."""
        spectral(
            self.U.weight, radius=self.spectral_radius, sparsity=self.sparsity, generator=generator
        )
        for tensor in self.W.buffers():
            tensor.uniform_(-self.input_scale, self.input_scale, generator=generator)
        for readout in (self.V, self.W_y):
            glorot(readout.weight, generator=generator)
        if self.V.bias is not None:
            self.V.bias.zero_()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        h = (1 - self.leak) * h + self.leak * torch.tanh(self.W(x) + self.U(h))
        return self.V(h) + self.W_y(x), (h,)
