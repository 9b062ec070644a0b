"""Two small protocols say what the loop needs to know of a model and of its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class Objective(Protocol):
    """A model, the loss that training lowers, and the metric that chooses the best."""

    model: nn.Module
    metric: str
    """Name of the headline metric, a key of what `validate` returns."""
    higher_is_better: bool

    def loss(self, batch: Any, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the loss of one batch, on the model's device.

        Args:
            batch: what the sampler yielded.
            carried: what the last call returned, None at the start of an epoch.

        Returns:
            The *sum* of the losses (a scalar tensor), the number of terms in it
            (tokens, windows, rows; a batch without any has 0), and the state to carry
            into the next batch: None, or tensors in tuples, lists and dicts.
        """

    def validate(self) -> dict[str, float]:
        """Return metrics on held-out data.

        It is called without gradients, the model in evaluation mode.

        An empty dict says that there is no metric: the last parameters are kept.
        """


class Sampler(Protocol):
    """A sampler yields batches in an order that follows from (seed, epoch).

    Its position can be saved. Iterating yields what is left of the epoch. The position moves
    *before* a batch is handed out; at the end the epoch goes up by one and the position to 0.
    """

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]:
        """Return at least `epoch` and `position`."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
