"""Pairs for the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.tasks.base import Sample, device_of
from elman.tasks.translate.translator import Batch, Translator

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate


def sampled(task: Translate, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
    """Return pairs, of which the doctor follows what is read."""
    part = task._parts["train"] if data is None else task._to_score(data)
    drawn = np.random.default_rng(seed).permutation(len(part))[:rows]
    chosen = part.take(np.sort(drawn))
    sources = [task.symbols.read(text) for text in chosen.source]
    batch = task.batch(sources, task._targets(chosen.target, sources))

    def loss(model: nn.Module) -> Tensor:
        return cast(Translator, model).loss(batch.to(device_of(model)), 0.0)

    def forward(model: nn.Module, chosen: NDArray[np.int64]) -> Any:
        some = Batch(*(part[chosen] for part in batch)).to(device_of(model))
        return cast(Translator, model).written(some).features

    vocabulary = task.symbols.source
    return Sample(
        loss,
        vocabulary.unit,
        [vocabulary.symbols[i] for i in sources[0].ids.tolist()],
        inputs=batch.source.t().numpy(),
        forward=forward,
        lengths=batch.lengths,
        count=len(part) if data is None else None,
        texts=lambda: [vocabulary.pieces(one.ids.tolist()) for one in sources],
    )
