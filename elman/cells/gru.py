"""The gated recurrent unit in both published forms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import Cell, State
from elman.cells.init import initialise, start_open


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014); the reset gate acts after the product, as in cuDNN.

    r, z = σ(W x + U h + b)
    n = tanh(W x + b + r ⊙ (U h + b))
    h' = (1 - z) ⊙ n + z ⊙ h

    The rows of `W` and `U` hold r, z, n and fit `torch.nn.GRUCell`: `W` is weight_ih with
    bias_ih, `U` weight_hh with bias_hh.

    Use it as the first gated cell to try: it learns long dependencies with three quarters of an
    LSTM's parameters and one state.

    Parameters start with `W` Glorot (2010), `U` orthogonal (Saxe et al. 2014), biases zero.

    Args:
        reset_after: False resets the state before the product, Cho's own form; see `ChoGRU`.
        chrono: longest dependency expected, in steps: the bias of z starts at log(uniform on
            [1, chrono - 1]) (Tallec & Ollivier 2018).
        init: how `U` starts, by a name from `elman.cells.init`; "torch" is what torch.nn draws.

    >>> GRU(3, 4, chrono=50).W.bias[4:8].ge(0).all()
    tensor(True)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset_after: bool = True,
        chrono: int | None = None,
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.reset_after, self.chrono, self.init = reset_after, chrono, init
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.W = nn.Linear(input_size, 3 * hidden_size, bias, **like)
        if reset_after:
            self.U = nn.Linear(hidden_size, 3 * hidden_size, bias, **like)
        else:
            self.U = nn.Linear(hidden_size, 2 * hidden_size, bias=False, **like)
            self.U_n = nn.Linear(hidden_size, hidden_size, bias=False, **like)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)
        self.reset_special(generator)

    @torch.no_grad()
    def reset_special(self, generator: Generator | None = None) -> None:
        """Draw anew only what `init` does not decide: the bias of z, if `chrono` is given."""
        if self.chrono is not None and self.W.bias is not None:
            z = slice(self.hidden_size, 2 * self.hidden_size)
            start_open(self.W.bias[z], None, self.chrono, generator)
            if self.U.bias is not None:
                self.U.bias[z] = 0

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        x_r, x_z, x_n = self.W(x).chunk(3, -1)
        if self.reset_after:
            h_r, h_z, h_n = self.U(h).chunk(3, -1)
        else:
            h_r, h_z = self.U(h).chunk(2, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + (r * h_n if self.reset_after else self.U_n(r * h)))
        h = (1 - z) * n + z * h
        return h, (h,)


class ChoGRU(GRU):
    """Gated recurrent unit as first published (Cho et al. 2014, arXiv:1406.1078).

    r, z = σ(W x + U h + b)
    n = tanh(W x + U (r ⊙ h) + b)
    h' = (1 - z) ⊙ n + z ⊙ h

    This is `GRU(reset_after=False)` under its own name. The rows of `W` hold r, z, n and the
    rows of `U` r, z; `U_n` multiplies the reset state. There is one bias, on `W`.

    Use it to repeat results of 2014 to 2017; `GRU` is the faster form and learns as well.

    Parameters start with `W` Glorot (2010), `U` and `U_n` orthogonal (Saxe et al. 2014), biases
    zero.

    Args:
        chrono: longest dependency expected, in steps: the bias of z starts at log(uniform on
            [1, chrono - 1]) (Tallec & Ollivier 2018).
        init: how `U` and `U_n` start, by a name from `elman.cells.init`.

    >>> ChoGRU(3, 4).recurrent_weights()
    ['U.weight', 'U_n.weight']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        chrono: int | None = None,
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            reset_after=False,
            chrono=chrono,
            init=init,
            bias=bias,
            device=device,
            dtype=dtype,
        )
