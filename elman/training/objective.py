"""What the loop needs to know of a model and of its data: two small protocols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class Objective(Protocol):
    """A model, what it is punished for and what it is judged by."""

    model: nn.Module
    metric: str
    """Name of the headline metric, a key of what `validate` returns."""
    higher_is_better: bool

    def loss(self, batch: Any, carried: Any) -> tuple[Tensor, float, Any]:
        """The loss of one batch, on the model's device.

        Args:
            batch: what the sampler yielded.
            carried: what the last call returned, None at the start of an epoch.

        Returns:
            The *sum* of the losses (a scalar tensor), the number of terms in it
            (tokens, windows, rows; a batch without any has 0), and the state to carry
            into the next batch: None, or tensors in tuples, lists and dicts.
        """

    def validate(self) -> dict[str, float]:
        """Metrics on held-out data; called without gradients, the model in evaluation mode.

        An empty dict says that there is nothing to judge by: the last parameters are kept.
        """


class Sampler(Protocol):
    """Batches in an order that follows from (seed, epoch), with a position that can be saved.

    Iterating yields what is left of the current epoch. The position moves *before* a
    batch is handed out; at the end the epoch goes up by one and the position to 0.
    """

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]:
        """At least `epoch` and `position`."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
