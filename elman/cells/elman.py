"""The simple recurrent network, and its form with rectified units that starts as the identity."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import NONLINEARITIES, Cell, State, one_of
from elman.cells.init import identity, initialise


class Elman(Cell):
    """Simple recurrent network (Elman 1990, "Finding structure in time").

    h' = tanh(W x + U h + b)          or ReLU in place of tanh

    The output is h'; Elman's output layer is the layer that follows the cell. Weights fit
    `torch.nn.RNNCell`: `W` is weight_ih with bias_ih, `U` weight_hh with bias_hh.

    Use it as a baseline for gated cells, and where memory is short and speed counts. Its
    gradient vanishes after some tens of steps.

    Parameters start with `W` Glorot (2010), `U` orthogonal (Saxe et al. 2014), which keeps the
    length of a vector that it multiplies, and biases zero.

    Args:
        nonlinearity: "tanh" or "relu".
        init: how `U` starts, by a name from `elman.cells.init`; "torch" is what torch.nn draws.

    >>> cell = Elman(2, 3, dtype=torch.float64)
    >>> h, state = cell(torch.zeros(1, 2, dtype=torch.float64), cell.init_state(1))
    >>> h
    tensor([[0., 0., 0.]], dtype=torch.float64, grad_fn=<TanhBackward0>)
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
        super().__init__(input_size, hidden_size)
        self.nonlinearity, self.init = one_of("nonlinearity", nonlinearity, ("tanh", "relu")), init
        self.W = nn.Linear(input_size, hidden_size, bias, device, dtype)
        self.U = nn.Linear(hidden_size, hidden_size, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, self.init, generator)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        h = NONLINEARITIES[self.nonlinearity](self.W(x) + self.U(h))
        return h, (h,)


class IRNN(Elman):
    """Recurrent network of rectified units that starts as the identity (Le et al. 2015).

    h' = ReLU(W x + U h + b)

    Use it for long dependencies without gates, with a small learning rate and clipped
    gradients: nothing bounds its state.

    Parameters start with `U` the identity, `W` normal of standard deviation 0.001 and biases
    zero, as in the paper (arXiv:1504.00941), so at first the state is kept as it is.

    Args:
        scale: `U` starts at `scale` times the identity; 0.01 is the paper's choice for speech,
            where memory is short.

    >>> cell = IRNN(2, 2, scale=0.5)
    >>> cell(torch.zeros(1, 2), (torch.tensor([[2.0, 4.0]]),))[0]
    tensor([[1., 2.]], grad_fn=<ReluBackward0>)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        scale: float = 1.0,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.scale = scale
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(
            input_size, hidden_size, nonlinearity="relu", init="identity", bias=bias, **like
        )

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        super().reset_parameters(generator)
        self.W.weight.normal_(std=0.001, generator=generator)
        identity(self.U.weight, gain=self.scale)
