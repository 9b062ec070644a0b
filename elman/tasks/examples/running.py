"""Running a model over many sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.data.packed import lengths_of

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples

Array = NDArray[Any]

_AT_ONCE, _IN_ROW = 256, 1 << 14
"""Sequences whose outputs are computed at once, and that lie in one array."""


@torch.no_grad()
def outputs_of(task: FromExamples, model: nn.Module, inputs: Sequence[Array]) -> Sequence[Array]:
    """Return what the model gives out for each sequence; see `FromExamples.outputs`."""
    # Small results that stay among large ones that go would leave the memory full of holes, so
    # each is copied to its place in a few large arrays.
    made: list[Array] = [np.empty(0)] * len(inputs)
    lengths = lengths_of(inputs)
    order = np.argsort(lengths, kind="stable")
    training = model.training
    model.eval()
    for many in np.array_split(order, range(_IN_ROW, len(order), _IN_ROW)):
        ends = np.cumsum(lengths[many]) if task.layout.aligned else np.arange(1, len(many) + 1)
        row: Array | None = None
        for start in range(0, len(many), _AT_ONCE):
            some = many[start : start + _AT_ONCE]
            padded = task._padded([inputs[place] for place in some])
            found = task._run(model, padded).float().cpu().numpy()
            if row is None:
                row = np.empty((ends[-1], found.shape[-1]), found.dtype)
            for place, number in enumerate(some.tolist()):
                end = int(ends[start + place])
                if not task.layout.aligned:
                    row[end - 1] = found[place]
                    made[number] = row[end - 1]
                    continue
                length = int(lengths[number])
                own = row[end - length : end]
                own[:] = task._in_reading_order(found[place, :length])
                made[number] = own
    model.train(training)
    return made
