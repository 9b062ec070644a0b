"""Long short-term memory and its published options."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import Cell, State
from elman.cells.init import initialise, start_open


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate, Gers et al. 2000).

    i, f, o = σ(W x + U h + b)    g = tanh(W x + U h + b)
    c' = f ⊙ c + i ⊙ g            h' = o ⊙ tanh(c')

    The rows of `W` and `U` hold the gates i, f, g, o and fit `torch.nn.LSTMCell`: `W` is
    weight_ih with bias_ih, `U` weight_hh with bias_hh. State: (h, c).

    Use it for long dependencies, counting and language; no cell has more published results.

    Parameters start with `W` Glorot (2010), `U` orthogonal (Saxe et al. 2014), the bias of f at
    `forget_bias`, all other biases and the peepholes zero.

    Args:
        forget_bias: start of the bias of f (Gers et al. 2000; 1: Jozefowicz et al.
            2015); None leaves it as `init` draws it.
        chrono: longest dependency expected, in steps: the bias of f starts at log(uniform on
            [1, chrono - 1]) and that of i at its negative (Tallec & Ollivier 2018); it
            replaces `forget_bias`.
        peepholes: the gates see the cell: p ⊙ c is added to i and f before their sigmoid, and
            p ⊙ c' to o (Gers & Schmidhuber 2000).
        coupled: f = 1 - i, and the rows hold i, g, o (Greff et al. 2017, "CIFG").
        proj_size: if above 0, h' = V (o ⊙ tanh(c')) of this size (Sak et al. 2014); `V` is
            torch's weight_hr.
        layer_norm: W x and U h are normalised before they are added, and c' before its tanh
            (Ba et al. 2016); the norms carry the biases.
        init: how `U` starts, by a name from `elman.cells.init`; "torch" with
            `forget_bias=None` is what torch.nn draws.

    >>> LSTM(3, 1).W.bias.tolist()
    [0.0, 1.0, 0.0, 0.0]
    >>> LSTM(3, 8, proj_size=2).state_sizes
    (2, 8)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float | None = 1.0,
        chrono: int | None = None,
        peepholes: bool = False,
        coupled: bool = False,
        proj_size: int = 0,
        layer_norm: bool = False,
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        h_size = proj_size or hidden_size
        super().__init__(
            input_size, hidden_size, state_sizes=(h_size, hidden_size), output_size=h_size
        )
        self.forget_bias, self.chrono, self.init = forget_bias, chrono, init
        self.peepholes, self.coupled = peepholes, coupled
        self.proj_size, self.layer_norm = proj_size, layer_norm
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        gates = (3 if coupled else 4) * hidden_size
        self.W = nn.Linear(input_size, gates, bias and not layer_norm, **like)
        self.U = nn.Linear(self.output_size, gates, bias and not layer_norm, **like)
        if layer_norm:
            self.norm_x = nn.LayerNorm(gates, bias=bias, **like)
            self.norm_h = nn.LayerNorm(gates, bias=bias, **like)
            self.norm_c = nn.LayerNorm(hidden_size, bias=bias, **like)
        if peepholes:
            self.p_i = nn.Parameter(torch.empty(hidden_size, **like))
            if not coupled:
                self.p_f = nn.Parameter(torch.empty(hidden_size, **like))
            self.p_o = nn.Parameter(torch.empty(hidden_size, **like))
        if proj_size:
            self.V = nn.Linear(hidden_size, proj_size, bias=False, **like)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)
        self.reset_special(generator)

    @torch.no_grad()
    def reset_special(self, generator: Generator | None = None) -> None:
        """Draw anew only what `init` does not decide: norms, peepholes, the biases of i and f."""
        if self.layer_norm:
            for norm in (self.norm_x, self.norm_h, self.norm_c):
                norm.reset_parameters()
        for name, peephole in self.named_parameters(recurse=False):
            if name.startswith("p_"):
                nn.init.zeros_(peephole)
        first = self.norm_x.bias if self.layer_norm else self.W.bias
        second = self.norm_h.bias if self.layer_norm else self.U.bias
        if first is None or (self.forget_bias is None and self.chrono is None):
            return
        n = self.hidden_size
        gate = slice(0, n) if self.coupled else slice(n, 2 * n)
        second[gate] = 0
        start_open(first[gate], self.forget_bias, self.chrono, generator)
        if self.coupled:
            first[gate] *= -1
        elif self.chrono is not None:
            first[:n], second[:n] = -first[gate], 0

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        h, c = state
        a, b = self.W(x), self.U(h)
        if self.layer_norm:
            a, b = self.norm_x(a), self.norm_h(b)
        if self.coupled:
            i, g, o = (a + b).chunk(3, -1)
            i = torch.sigmoid(i + self.p_i * c if self.peepholes else i)
            f = 1 - i
        else:
            i, f, g, o = (a + b).chunk(4, -1)
            i = torch.sigmoid(i + self.p_i * c if self.peepholes else i)
            f = torch.sigmoid(f + self.p_f * c if self.peepholes else f)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + self.p_o * c if self.peepholes else o)
        h = o * torch.tanh(self.norm_c(c) if self.layer_norm else c)
        if self.proj_size:
            h = self.V(h)
        return h, (h, c)
