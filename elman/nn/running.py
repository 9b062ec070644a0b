"""Running the parts of a topology: embedding and front, then a recurrent layer.

Topologies are batch-first; the layer inside may have time first. The axes are swapped here.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from elman.errors import InputError
from elman.nn.masking import Lengths
from elman.nn.recurrent import Recurrent


def read(
    x: Tensor,
    embedding: nn.Module | None,
    front: nn.Module | None = None,
    *,
    lengths: Lengths | None = None,
) -> tuple[Tensor, Lengths | None]:
    """Embed each step, then apply the front; return what the recurrence reads, and its lengths.

    >>> import torch
    >>> read(torch.tensor([[1, 2]]), nn.Embedding(3, 4))[0].shape
    torch.Size([1, 2, 4])
    """
    if embedding is not None:
        x = embedding(x)
    if front is not None:
        x, lengths = front(x, lengths=lengths)
    return x, lengths


def run(
    layer: Recurrent,
    x: Tensor,
    state: Any = None,
    *,
    lengths: Lengths | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """Run a recurrent layer of either layout on `x` `(B, T, F)` and `reset` `(B, T)`.

    >>> import torch
    >>> y, state = run(Recurrent("gru", 3, 4), torch.zeros(2, 5, 3))
    >>> y.shape
    torch.Size([2, 5, 4])
    """
    if layer.batch_first:
        y, state = layer(x, state, lengths=lengths, reset=reset)
        return y, state
    reset = None if reset is None else reset.t()
    y, state = layer(x.transpose(0, 1), state, lengths=lengths, reset=reset)
    return y.transpose(0, 1), state


def run_step(layer: Recurrent, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """Run one step of a recurrent layer: `(B, F)` -> `(B, F')`, and the new state."""
    y, state = run(layer, x.unsqueeze(1), state)
    return y.squeeze(1), state


def forward_only(layer: Recurrent, what: str) -> None:
    """Refuse a bidirectional layer in `what`, which does not have the whole sequence."""
    if layer.bidirectional:
        raise InputError(
            f"{what} goes forward one step at a time; a bidirectional layer needs the whole "
            "sequence.",
            fix="Use bidirectional=False.",
        )
