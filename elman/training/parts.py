"""One dict of parts, each with a state, holds everything that the next step depends on.

A part is any object with `state_dict` and `load_state_dict`. `collect` and `restore` walk the
dict; checkpoints, resuming and rollbacks are all made of these two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from elman.training import checkpoint, seeds

State = dict[str, Any]

MOVED = ("parameters", "optimizer", "averaging")
"""Parts that only an update changes. They are the large ones."""
OWN = ("generators", "sampler", "carried")
"""Parts of which every process of a data-parallel run has its own."""
KEPT = ("rollbacks", "clock", "metrics")
"""Parts that a rollback leaves as they are: time that was spent and rows that were written."""


class Part(Protocol):
    """An object with a state to save."""

    def state_dict(self) -> Any:
        """Return plain values and tensors in dicts, lists and tuples."""

    def load_state_dict(self, state: Any) -> Any:
        """Go on from what `state_dict` returned; the tensors in it may be kept."""


def collect(parts: Mapping[str, Part], without: Collection[str] = ()) -> State:
    """Return the state of every part by its name (tensors are not copied)."""
    return {name: part.state_dict() for name, part in parts.items() if name not in without}


def restore(parts: Mapping[str, Part], state: State, without: Collection[str] = ()) -> None:
    """Put every part back to where `collect` found it.

    Raises:
        KeyError: a part has no state there.
    """
    for name, part in parts.items():
        if name not in without:
            part.load_state_dict(state[name])


class Tensors:
    """Parameters or buffers of a model as a part; loading writes into them.

    Args:
        named: gives them by name, asked anew each time: a model may replace a buffer.

    >>> weight = torch.zeros(2)
    >>> Tensors(lambda: [("weight", weight)]).load_state_dict({"weight": torch.ones(2)})
    >>> weight
    tensor([1., 1.])
    """

    def __init__(self, named: Callable[[], Iterable[tuple[str, Tensor]]]) -> None:
        self.named = named

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors by name, without their gradients."""
        return {name: tensor.detach() for name, tensor in self.named()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy every tensor of the state into the tensor of its name."""
        for name, tensor in self.named():
            tensor.copy_(state[name])


class Carried:
    """The state that one batch hands to the next as a part; None at the start of an epoch."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.value: Any = None

    def state_dict(self) -> Any:
        """Return the carried state."""
        return self.value

    def load_state_dict(self, state: Any) -> None:
        """Take a copy of the saved state, on the model's device."""
        self.value = checkpoint.copy(state, self.device)


class Generators:
    """The random generators of this process as a part."""

    def state_dict(self) -> State:
        """Return the state of every generator."""
        return seeds.capture()

    def load_state_dict(self, state: State) -> None:
        """Put every generator back."""
        seeds.restore(state)
