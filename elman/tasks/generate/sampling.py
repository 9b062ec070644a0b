"""Stretches of text for the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.base import Sample, device_of
from elman.tasks.generate import identity
from elman.tasks.generate.language_model import LanguageModel

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

# What the doctor looks at: steps of a sequence, and symbols to see how far back text reaches.
_LOOK_AT_LEAST, _LOOK_AT_MOST, _DEPENDENCE_OF = 200, 400, 1_000_000


def sampled(task: Generate, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
    """Stretches of text, four times as long as a window of training where there is enough."""
    tokens = task._tokens["train"] if data is None else task._to_score(data)
    wanted = min(max(4 * task.settings.k1, _LOOK_AT_LEAST), _LOOK_AT_MOST)
    steps = max(1, min(wanted, tokens.predicted // 2))
    generator = np.random.default_rng(seed)
    firsts = np.sort(generator.integers(0, tokens.predicted - steps + 1, rows))
    if task.labels:  # a document begins with the state of its label, so none begins inside
        steps, firsts = identity.stretches(tokens, steps, rows, generator)
    places = firsts + np.arange(steps)[:, None]
    inputs = torch.from_numpy(tokens.ids[places].astype(np.int64))
    targets = torch.from_numpy(tokens.ids[places + 1].astype(np.int64))
    begins = np.zeros(len(tokens.ids), bool)
    begins[tokens.starts] = True
    codes = None if tokens.labels is None else np.repeat(tokens.labels, tokens.lengths)

    def label(places: NDArray[np.int64], device: Any) -> Tensor | None:
        return None if codes is None else torch.from_numpy(codes[places]).to(device)

    reset = torch.from_numpy(begins[places] & (np.arange(steps)[:, None] > 0))

    def loss(model: nn.Module) -> Tensor:
        language, device = cast(LanguageModel, model), device_of(model)
        here = reset.to(device) if bool(reset.any()) else None
        own = label(places, device)
        output, _ = language.read(inputs.to(device), None, here, label=own)
        scores = language.scores(language.dropped(output)).flatten(0, 1)
        return F.cross_entropy(scores, targets.to(device).flatten(), reduction="sum")

    series = np.asarray(tokens.ids[:_DEPENDENCE_OF], np.int64)

    def read(model: nn.Module, places: NDArray[np.int64]) -> Tensor:
        device, later = device_of(model), np.arange(len(places))[:, None] > 0
        cut = torch.from_numpy(begins[places] & later)
        pieces = torch.from_numpy(series[places]).to(device)
        here = cut.to(device) if bool(cut.any()) else None
        own = label(places, device)
        return cast(LanguageModel, model).read(pieces, None, here, label=own)[0]

    def texts() -> list[list[str]]:
        # Documents are apart: what is open in one is not in the next.
        ends = [int(start) for start in tokens.starts[1:] if start < len(series)]
        return [task.vocabulary.pieces(part) for part in np.split(series, ends)]

    return Sample(
        loss,
        task.codec.unit,
        [task.vocabulary.symbols[i] for i in inputs[:, 0].tolist()],
        window=int(task.settings.k2 or task.settings.k1),
        series=series,
        read=read,
        texts=texts,
    )
