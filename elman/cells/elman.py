"""The simple recurrent network, with tanh or with ReLU and identity start."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import Cell, State, one_of
from elman.cells.init import initialise


class Elman(Cell):
    """Simple recurrent network (Elman 1990, "Finding structure in time").

    h' = tanh(W x + U h + b)          or ReLU in place of tanh

    Weights fit `torch.nn.RNNCell`: `W` is weight_ih with bias_ih, `U` weight_hh with bias_hh.

    Args:
        nonlinearity: "tanh" or "relu".
        init: how `U` starts, see `elman.cells.init`. The default is orthogonal (Saxe et al.
            2014), which keeps the length of a gradient through a linear recurrence.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        init: str = "orthogonal",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.state_sizes = (hidden_size,)
        self.nonlinearity, self.init = one_of("nonlinearity", nonlinearity, ("tanh", "relu")), init
        self.W = nn.Linear(input_size, hidden_size, bias, device, dtype)
        self.U = nn.Linear(hidden_size, hidden_size, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Input weights Glorot, recurrent weights by `init`, biases zero."""
        initialise(self, self.init, generator)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step; see the class for the equation."""
        (h,) = state
        a = self.W(x) + self.U(h)
        h = torch.tanh(a) if self.nonlinearity == "tanh" else torch.relu(a)
        return h, (h,)
