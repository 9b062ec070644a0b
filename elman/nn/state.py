"""Functions of a state that hold for the state of any layer.

A state is a tensor, None, or tuples, lists and dicts of states; `Recurrent` returns one tuple of
`(batch, size)` tensors for each layer and direction. Every function keeps the nesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from elman.errors import InputError

S = TypeVar("S")
"""A nested state; a function returns the nesting that it takes."""


def detach(state: S) -> S:
    """Cut the graph: keep the values and stop gradients (truncated backpropagation).

    >>> detach([(torch.ones(1, requires_grad=True) * 2,)])
    [(tensor([2.]),)]
    """
    return _mapped(Tensor.detach, state)


def to(state: S, device: torch.device | str | torch.dtype) -> S:
    """Move the state to a device, or cast it to a dtype."""
    return _mapped(lambda t: t.to(device), state)


def index(state: S, rows: Tensor | Sequence[int], axis: int = 0) -> S:
    """Pick batch rows, in the order given and as often as given (beams, finished rows).

    Args:
        state: a nested state.
        rows: row numbers, `(n,)`, or a bool mask over the batch.
        axis: the axis of the batch: 0 in the state of a `Recurrent`, 1 in an `elman.nn.LSTM`'s.

    >>> index((torch.tensor([[1.0], [2.0]]), None), [1, 1])
    (tensor([[2.],
            [2.]]), None)
    """
    chosen = torch.as_tensor(rows)
    if chosen.dtype == torch.bool:
        chosen = chosen.nonzero()[:, 0]
    return _mapped(lambda t: t.index_select(axis, chosen.to(t.device)), state)


def flatten(state: Any) -> list[Tensor]:
    """Return the tensors of a state, depth first.

    >>> len(flatten([(torch.zeros(1), torch.zeros(1)), (None,)]))
    2
    """
    if isinstance(state, Tensor):
        return [state]
    if state is None:
        return []
    parts = state.values() if isinstance(state, dict) else state
    return [t for part in parts for t in flatten(part)]


def unflatten(like: S, tensors: Sequence[Tensor]) -> S:
    """Put `tensors`, as `flatten` orders them, into the nesting of `like`.

    >>> unflatten((torch.zeros(1), [None]), [torch.ones(1)])
    (tensor([1.]), [None])

    Raises:
        InputError: `like` has another number of tensors.
    """
    expected = len(flatten(like))
    if len(tensors) != expected:
        raise InputError(f"The state holds {expected} tensors, got {len(tensors)}.")
    source: Iterator[Tensor] = iter(tensors)
    return _mapped(lambda _: next(source), like)


def _mapped(f: Callable[[Tensor], Tensor], state: S) -> S:
    nested: Any = state
    if isinstance(nested, Tensor):
        nested = f(nested)
    elif isinstance(nested, dict):
        nested = {name: _mapped(f, part) for name, part in nested.items()}
    elif nested is not None:
        parts = [_mapped(f, part) for part in nested]
        kind = type(nested)
        nested = kind(*parts) if hasattr(nested, "_fields") else kind(parts)
    mapped: S = nested
    return mapped
