"""How a topology runs what it is made of: embedding and front, then a recurrent layer.

Topologies speak batch-first; the layer inside may keep time first. The turn is made here.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from elman.errors import InputError
from elman.nn.masking import Lengths
from elman.nn.recurrent import Recurrent


def read(
    x: Tensor, lengths: Lengths | None, embedding: nn.Module | None, front: nn.Module | None
) -> tuple[Tensor, Lengths | None]:
    """What the recurrence is to read: each step embedded, then the front over all of them.

    >>> import torch
    >>> read(torch.tensor([[1, 2]]), None, nn.Embedding(3, 4), None)[0].shape
    torch.Size([1, 2, 4])
    """
    if embedding is not None:
        x = embedding(x)
    if front is not None:
        x, lengths = front(x, lengths)
    return x, lengths


def run(
    layer: Recurrent,
    x: Tensor,
    state: Any = None,
    *,
    lengths: Lengths | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """Run a recurrent layer, whichever its layout, on `x` `(B, T, F)` and `reset` `(B, T)`.

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
    """One step of a recurrent layer: `(B, F)` -> `(B, F')`."""
    y, state = run(layer, x.unsqueeze(1), state)
    return y.squeeze(1), state


def forward_only(layer: Recurrent, what: str) -> None:
    """Refuse a layer that reads backwards where the future is not there yet."""
    if layer.bidirectional:
        raise InputError(
            f"{what} goes forward one step at a time; a bidirectional layer needs the whole "
            "sequence.",
            fix="Use bidirectional=False.",
        )
