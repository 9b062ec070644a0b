"""What a cell is: one step of a recurrence, and nothing about time.

Lengths, direction, stacking, dropout over time and kernels are written once, in the
rooms after this one, for every class that keeps to this contract.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest

State = tuple[Tensor, ...]


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """`value`, or an error that names the option and the nearest choice."""
    if value not in choices:
        raise InputError(f"{option}={value!r} is not known.", fix=nearest(value, choices))
    return value


class Cell(nn.Module):
    """One time step of a recurrence.

    A subclass sets `input_size`, `state_sizes` and `output_size` in its constructor and
    writes `forward`. Linear maps of the input are `nn.Linear`s named `W...`, those of the
    state `U...`, so that a tracer can tell what may leave the time loop.

    >>> class Leaky(Cell):
    ...     '''h' = h / 2 + W x'''
    ...     def __init__(self, input_size, hidden_size):
    ...         super().__init__()
    ...         self.input_size, self.output_size = input_size, hidden_size
    ...         self.state_sizes = (hidden_size,)
    ...         self.W = nn.Linear(input_size, hidden_size)
    ...     def forward(self, x, state):
    ...         h = state[0] / 2 + self.W(x)
    ...         return h, (h,)
    >>> cell = Leaky(3, 4)
    >>> output, state = cell(torch.ones(2, 3), cell.init_state(2))
    >>> output.shape
    torch.Size([2, 4])
    """

    input_size: int
    state_sizes: tuple[int, ...]
    output_size: int

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step.

        Args:
            x: the input, `(batch, input_size)`.
            state: one tensor `(batch, size)` for each of `state_sizes`.

        Returns:
            The output `(batch, output_size)` and the new state, shaped as the old one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, state)")

    def init_state(
        self,
        batch: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """The state before the first step: zeros, `(batch, size)` for each of `state_sizes`.

        Device and dtype are those of the cell's parameters unless given.
        """
        like = next(
            (t for t in (*self.parameters(), *self.buffers()) if t.is_floating_point()), None
        )
        if like is not None:
            device, dtype = device or like.device, dtype or like.dtype
        return tuple(torch.zeros(batch, n, device=device, dtype=dtype) for n in self.state_sizes)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the parameters anew, from `generator` or from torch's own."""

    def recurrent_weights(self) -> list[str]:
        """Names of the parameters that multiply the state: every `U*.weight`."""
        return [
            name
            for name, _ in self.named_parameters()
            if name.rpartition(".")[0].rpartition(".")[2].startswith("U")
            and name.endswith(".weight")
        ]
