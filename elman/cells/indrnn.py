"""The independently recurrent network, whose units see only their own past."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from elman.cells.base import NONLINEARITIES, Cell, State, one_of
from elman.cells.init import initialise


class IndRNN(Cell):
    """Independently recurrent network (Li et al. 2018, arXiv:1803.04831).

    h' = ReLU(W x + u ⊙ h + b)          or tanh in place of ReLU

    Each unit reads only its own state; the next layer's `W` combines units.

    Use it in deep stacks and over very long sequences, at the cost of one vector product a step.
    Two layers or more are needed for what one ordinary layer does.

    Parameters start with `W` Glorot (2010), the bias zero, and u uniform on [0, `bound`] (1
    without a bound), so that the units have memories of all lengths, as in the paper.

    Args:
        nonlinearity: "relu" or "tanh".
        bound: u is held within ±`bound`. The paper's choice is 2 ** (1 / T) for sequences of T
            steps, which keeps a rectified unit's gradient from growing more than twofold.

    >>> IndRNN(3, 4, bound=2 ** (1 / 100)).recurrent_weights()
    ['u']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Literal["relu", "tanh"] = "relu",
        bound: float | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = one_of("nonlinearity", nonlinearity, ("relu", "tanh"))
        self.bound = bound
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.W = nn.Linear(input_size, hidden_size, bias, **like)
        self.u = nn.Parameter(torch.empty(hidden_size, **like))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all parameters anew; see the class for their distributions."""
        initialise(self, self.hidden_size, "glorot", generator)
        self.u.uniform_(0, 1.0 if self.bound is None else self.bound, generator=generator)

    def recurrent_weights(self) -> list[str]:
        """Return the name of the vector u."""
        return ["u"]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see the class for the equation."""
        (h,) = state
        u = self.u if self.bound is None else self.u.clamp(-self.bound, self.bound)
        h = NONLINEARITIES[self.nonlinearity](self.W(x) + u * h)
        return h, (h,)
