"""The networks that tasks from examples share: many to one, and an output for each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from elman.modalities.base import Codec
from elman.nn import Aligned, ManyToOne


class FirstDropout(nn.Dropout):
    """Dropout of the first `size` features: the recurrence's outputs, not what stands beside them.

    As in LSTM-FCN (Karim et al. 2018): a recurrence learns dozens of examples by heart at once,
    and convolutions beside it would be left with nothing to learn.
    """

    idle = True

    def __init__(self, p: float, size: int) -> None:
        super().__init__(p)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, F)`."""
        if not self.training:
            return x
        return torch.cat([super().forward(x[:, : self.size]), x[:, self.size :]], 1)


def many_to_one(codec: Codec, settings: Any, outputs: int) -> ManyToOne:
    """Return reader, front, recurrence, pooling and a linear map to `outputs` numbers."""
    embedding, size = codec.reader()
    front = codec.front(size)
    beside = front if settings.front_beside else None
    before = None if settings.front_beside else front
    recurrent = settings.build(
        size if before is None else before.output_size,
        bidirectional=settings.bidirectional,
        batch_first=True,
        variational=True,
    )
    features = recurrent.output_size + (beside.output_size if beside is not None else 0)
    head = nn.Sequential(
        FirstDropout(settings.dropout, recurrent.output_size), nn.Linear(features, outputs)
    )
    return ManyToOne(
        recurrent,
        head,
        embedding=embedding,
        front=before,
        pooling=settings.pooling,
        beside=beside,
    )


def aligned(codec: Codec, settings: Any, outputs: int) -> Aligned:
    """Return reader, recurrence and a linear map to `outputs` numbers for each step."""
    embedding, size = codec.reader()
    recurrent = settings.build(
        size, bidirectional=settings.bidirectional, batch_first=True, variational=True
    )
    head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(recurrent.output_size, outputs))
    return Aligned(recurrent, head, embedding=embedding)
