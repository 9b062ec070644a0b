"""Examples of which the doctor asks how the model answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.modalities.base import Padded
from elman.tasks.base import Sample

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples

_DEPENDENCE_OF = 1000
"""Examples in which the doctor looks for what the answer depends on."""


def sampled(task: FromExamples, data: Any, rows: int, seed: int) -> Sample:
    """Return examples with their answers."""
    if data is None:
        part = next(iter(task._parts))
        inputs, answers = task._inputs(part), task._answers(part)
    else:
        found = task._read(data, answers=True)
        inputs, answers = task._encode(found.inputs), task.answer.encode(found.answers or [])
    drawn = np.random.default_rng(seed).permutation(len(inputs))
    chosen = np.sort(drawn[: min(rows, len(inputs))])
    batch = task._batch([inputs[k] for k in chosen], [answers[k] for k in chosen])

    def loss(model: nn.Module) -> Tensor:
        return task.loss(model, batch)

    more = np.sort(drawn[: min(_DEPENDENCE_OF, len(inputs))])
    known = task._batch([inputs[k] for k in more], [answers[k] for k in more])
    shown = task.codec.show(task._in_reading_order(inputs[int(chosen[0])]))
    read, lengths = known.padded

    def forward(model: nn.Module, rows: NDArray[np.int64]) -> Tensor:
        longest = int(lengths[rows].max())
        return task._run(model, Padded(read[rows, :longest], lengths[rows]))

    def texts() -> list[list[str]]:
        return [
            task.codec.show(row[:length].numpy()).pieces or []
            for row, length in zip(read, lengths, strict=True)
        ]

    return Sample(
        loss,
        task.codec.unit,
        shown.steps,
        inputs=read.transpose(0, 1).numpy(),
        forward=forward,
        lengths=lengths,
        # Of several numbers the first one stands for them.
        target=None if task.layout.aligned else known.answers.view(len(more), -1)[:, 0].numpy(),
        texts=None if shown.pieces is None else texts,
        count=None if task.layout.aligned or data is not None else len(inputs),
    )
