"""Gated cells with a single gate: the minimal gated unit and the update gate RNN."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import NONLINEARITIES, Cell, State, one_of
from elman.cells.init import chrono as draw_chrono
from elman.cells.init import initialise, start_open


class MGU(Cell):
    """Minimal gated unit (Zhou et al. 2016, arXiv:1603.09420).

    f = σ(W x + U h + b)
    n = tanh(W x + U (f ⊙ h) + b)
    h' = (1 - f) ⊙ h + f ⊙ n

    It is a GRU whose reset and update gate are one. The rows of `W` hold f, n; `U` multiplies the
    state for the gate and `U_n` the gated state.

    Use it in place of a GRU where parameters must be few: it has two thirds of a GRU's.

    Parameters start with `W` Glorot (2010), `U` orthogonal (Saxe et al. 2014), biases zero.

    Args:
        chrono: longest dependency expected, in steps: the bias of f starts at -log(uniform on
            [1, chrono - 1]), since this gate forgets when open (Tallec & Ollivier 2018).
        init: how `U` and `U_n` start, by a name from `elman.cells.init`.

    >>> MGU(3, 4).recurrent_weights()
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
        super().__init__(input_size, hidden_size)
        self.chrono, self.init = chrono, init
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.W = nn.Linear(input_size, 2 * hidden_size, bias, **like)
        self.U = nn.Linear(hidden_size, hidden_size, bias=False, **like)
        self.U_n = nn.Linear(hidden_size, hidden_size, bias=False, **like)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)
        if self.chrono is not None and self.W.bias is not None:
            f = self.W.bias[: self.hidden_size]
            draw_chrono(f, steps=self.chrono, generator=generator).neg_()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        x_f, x_n = self.W(x).chunk(2, -1)
        f = torch.sigmoid(x_f + self.U(h))
        n = torch.tanh(x_n + self.U_n(f * h))
        h = (1 - f) * h + f * n
        return h, (h,)


class UGRNN(Cell):
    """Update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913).

    g = σ(W x + U h + b)
    n = tanh(W x + U h + b)          or ReLU in place of tanh
    h' = g ⊙ h + (1 - g) ⊙ n

    It is a simple recurrent network with a gate between the old state and the new. The rows of `W`
    and `U` hold g, n.

    Use it as a step between Elman and GRU: one gate against vanishing gradients, at half the
    parameters of an LSTM.

    Parameters start with `W` Glorot (2010), `U` orthogonal (Saxe et al. 2014), the bias of g at
    `forget_bias`, the others zero.

    Args:
        nonlinearity: of n: "tanh" or "relu".
        forget_bias: what the bias of g starts from (1: Jozefowicz et al. 2015); None leaves it
            as `init` draws it.
        chrono: longest dependency expected, in steps: the bias of g starts at log(uniform on
            [1, chrono - 1]) (Tallec & Ollivier 2018), whatever `forget_bias`.
        init: how `U` starts, by a name from `elman.cells.init`.

    >>> UGRNN(3, 2).W.bias.tolist()
    [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        forget_bias: float | None = 1.0,
        chrono: int | None = None,
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
        self.forget_bias, self.chrono, self.init = forget_bias, chrono, init
        self.W = nn.Linear(input_size, 2 * hidden_size, bias, device, dtype)
        self.U = nn.Linear(hidden_size, 2 * hidden_size, False, device, dtype)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)
        if self.W.bias is not None:
            g = self.W.bias[: self.hidden_size]
            start_open(g, self.forget_bias, self.chrono, generator)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        g, n = (self.W(x) + self.U(h)).chunk(2, -1)
        g, n = torch.sigmoid(g), NONLINEARITIES[self.nonlinearity](n)
        h = g * h + (1 - g) * n
        return h, (h,)
