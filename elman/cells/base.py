"""The base class of cells: one step of a recurrence, and nothing about time.

Lengths, direction, stacking, dropout over time and kernels are written once, in `elman.nn` and
`elman.kernels`, for every class that keeps to this contract.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from elman.cells.structure import Handle
from elman.errors import InputError, nearest

State = tuple[Tensor, ...]

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
}


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value`; if it is no choice, raise an error that names the option and the nearest."""
    if value not in choices:
        raise InputError(f"{option}={value!r} is not known.", fix=nearest(value, choices))
    return value


class Cell(nn.Module):
    """One time step of a recurrence.

    A subclass writes `forward` and gives its sizes to this constructor, or sets
    `input_size`, `state_sizes` and `output_size` itself. Name linear maps of the input `W...`
    and linear maps of the state `U...`; both are `nn.Linear`s. Then a tracer can tell which
    products do not need the time loop.

    Args:
        input_size: size of x.
        hidden_size: size of the one state and of the output, unless they are given.
        state_sizes: size of each state.
        output_size: size of the output.

    >>> class Leaky(Cell):
    ...     '''A leaky sum.
    ...
    ...     h' = h / 2 + W x
    ...     '''
    ...     def __init__(self, input_size, hidden_size):
    ...         super().__init__(input_size, hidden_size)
    ...         self.W = nn.Linear(input_size, hidden_size)
    ...     def forward(self, x, state):
    ...         h = state[0] / 2 + self.W(x)
    ...         return h, (h,)
    >>> cell = Leaky(3, 4)
    >>> output, state = cell(torch.ones(2, 3), cell.init_state(2))
    >>> output.shape, cell.equation()
    (torch.Size([2, 4]), "h' = h / 2 + W x")
    """

    input_size: int
    hidden_size: int
    state_sizes: tuple[int, ...]
    output_size: int
    _handle: Handle

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make an empty cell with its handle; copies are made without calling the constructor."""
        cell = super().__new__(cls)
        cell.__dict__["_handle"] = Handle(cell)
        return cell

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_handle"]
        return state

    def __init__(
        self,
        input_size: int | None = None,
        hidden_size: int | None = None,
        *,
        state_sizes: tuple[int, ...] | None = None,
        output_size: int | None = None,
    ) -> None:
        super().__init__()
        if input_size is None or hidden_size is None:
            return
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_sizes = (hidden_size,) if state_sizes is None else state_sizes
        self.output_size = hidden_size if output_size is None else output_size
        for name in ("input_size", "hidden_size", "output_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1.")

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
        """Return the state before the first step: zeros, `(batch, size)` for each of `state_sizes`.

        Device and dtype are taken from the cell's parameters unless given.
        """
        if device is None or dtype is None:
            tensors = (*self.parameters(), *self.buffers())
            own = next((t for t in tensors if t.is_floating_point()), None)
            if own is not None:
                device, dtype = device or own.device, dtype or own.dtype
        return tuple(torch.zeros(batch, n, device=device, dtype=dtype) for n in self.state_sizes)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew, from `generator` or from torch's own."""
        raise NotImplementedError(f"{type(self).__name__} has no reset_parameters()")

    def recurrent_weights(self) -> list[str]:
        """Return the names of the parameters that multiply the state: every `U*.weight`."""
        names = [name.split(".") for name, _ in self.named_parameters()]
        return [
            ".".join(path)
            for path in names
            if len(path) > 1 and path[-2].startswith("U") and path[-1] == "weight"
        ]

    @classmethod
    def equation(cls) -> str:
        """Return the equations of one step: the second paragraph of the class's docstring."""
        paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
        return paragraphs[1] if len(paragraphs) > 1 else ""
