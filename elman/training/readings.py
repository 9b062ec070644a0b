"""The numbers of the last steps are read from the device at once, or many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Facts:
    """The facts of one step.

    Attributes:
        step: steps before it.
        loss: mean over the terms of the global batch.
        norm: of the gradient of that mean, before clipping.
        terms: number of terms in the loss.
        place: the sampler's state before the batch.
    """

    step: int
    loss: float
    norm: float
    terms: float
    place: Mapping[str, Any]


class Readings:
    """Steps whose numbers are still on the device, oldest first.

    Reading a number back from a GPU stalls it, so there the numbers of many steps are read at
    once.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.unread: list[tuple[int, Tensor, Tensor, float, Mapping[str, Any]]] = []

    @property
    def free(self) -> bool:
        """True if reading costs nothing on this device."""
        return self.device.type == "cpu"

    def add(
        self, step: int, total: Tensor, norm: Tensor, terms: float, place: Mapping[str, Any]
    ) -> None:
        """Take one step.

        Args:
            step: steps before it.
            total: sum of the losses, a scalar.
            norm: of the gradient of their mean, a scalar.
            terms: number of terms in the sum.
            place: the sampler's state before the batch.
        """
        self.unread.append((step, total, norm, terms, place))

    def read(self) -> list[Facts]:
        """Return the facts of the steps added since the last call."""
        unread, self.unread = self.unread, []
        numbers = [number for _, total, norm, *_ in unread for number in (total, norm)]
        if self.free:
            values = [number.item() for number in numbers]
        else:
            values = torch.stack([x.double() for x in numbers]).tolist() if numbers else []
        return [
            Facts(step, total / (terms or 1.0), norm, terms, place)
            for (step, _, _, terms, place), total, norm in zip(
                unread, values[::2], values[1::2], strict=True
            )
        ]
