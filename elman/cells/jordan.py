"""The Jordan network, whose state is its own output."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import NONLINEARITIES, Cell, State, one_of
from elman.cells.init import initialise


class Jordan(Cell):
    """Jordan network: the output returns to the hidden layer (Jordan 1986, "Serial order").

    h = tanh(W x + U s + b)
    y = φ(V h + c)
    s' = y + μ s

    The state s has the size of the output y; without decay μ it is the last output.

    Use it where only the output may be known of the past, as in control, where the last action
    is fed back. Its state has no more numbers than its output.

    Parameters start with `W` and `V` Glorot (2010), `U` orthogonal (Saxe et al. 2014), biases zero.

    Args:
        output_size: size of y and of the state; `hidden_size` by default.
        output_nonlinearity: φ: "tanh", "sigmoid" (Jordan's) or "identity".
        decay: μ, from 0 to below 1: the share of the old state that is kept.
        init: how `U` starts, by a name from `elman.cells.init`.

    >>> Jordan(3, 8, output_size=2).state_sizes
    (2,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        output_size: int | None = None,
        output_nonlinearity: Literal["tanh", "sigmoid", "identity"] = "tanh",
        decay: float = 0.0,
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        fed_back = hidden_size if output_size is None else output_size
        super().__init__(input_size, hidden_size, state_sizes=(fed_back,), output_size=fed_back)
        self.output_nonlinearity = one_of(
            "output_nonlinearity", output_nonlinearity, ("tanh", "sigmoid", "identity")
        )
        self.decay, self.init = decay, init
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.W = nn.Linear(input_size, hidden_size, bias, **like)
        self.U = nn.Linear(self.output_size, hidden_size, bias=False, **like)
        self.V = nn.Linear(hidden_size, self.output_size, bias, **like)
        self.reset_parameters()

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (s,) = state
        h = torch.tanh(self.W(x) + self.U(s))
        y = NONLINEARITIES[self.output_nonlinearity](self.V(h))
        return y, (y + self.decay * s if self.decay else y,)
