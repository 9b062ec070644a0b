"""The nats that targets cost the model, n-grams of targets, and a mixture of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.scoring.baselines.translations import TargetNGrams
from elman.scoring.blending import (
    NO_VALIDATION,
    ON_VALIDATION,
    Blend,
    blend_of,
    mixed_nats,
    weight_of_chances,
)
from elman.scoring.predictors import Baseline
from elman.tasks.base import device_of
from elman.tasks.translate import dialogues
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.symbols import Ids, Source
from elman.tasks.translate.translator import Translator

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.task import Translate

Floats = NDArray[np.float64]

_AT_ONCE = 1 << 13
"""Symbols of sources and targets whose costs are computed at once."""


@torch.no_grad()
def of_symbols(
    task: Translate, model: Translator, sources: Sequence[Source], targets: Sequence[Ids]
) -> list[Floats]:
    """Return the nats that each symbol of each target costs the model."""
    training = model.training
    model.eval()
    found: list[Floats] = [np.zeros(0)] * len(sources)
    sizes = np.array([len(a.ids) + len(b) for a, b in zip(sources, targets, strict=True)])
    order = np.argsort(sizes, kind="stable")
    first = 0
    while first < len(order):
        many = max(1, int(_AT_ONCE // max(1, sizes[order[first]])))
        while many > 1 and sizes[order[min(first + many, len(order)) - 1]] * many > _AT_ONCE:
            many //= 2
        rows = order[first : first + many].tolist()
        batch = task.batch([sources[r] for r in rows], [targets[r] for r in rows])
        nats = model.costs(batch.to(device_of(model))).double().cpu().numpy()
        for row, cost in zip(rows, nats, strict=True):
            found[row] = cost[: len(targets[row])]
        first += many
    model.train(training)
    return found


def blended(task: Translate, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
    """Mix the model with n-grams symbol by symbol, or say why they are not mixed.

    Args:
        task: of dialogues, with its data.
        model: the trained model.
        predictors: the baselines.
    """
    valid = task._parts.get("valid")
    if valid is None:
        return NO_VALIDATION
    counts = next(one for one in predictors if isinstance(one.map, TargetNGrams))
    pair = (np.exp(-nats) for nats in _both(task, model, counts, valid)[:2])
    return blend_of(model, counts, weight_of_chances(*pair), ON_VALIDATION)


def units_of_mixture(task: Translate, blend: Blend, part: Part) -> pd.DataFrame:
    """Return what the targets of a part cost a mixture of the model and n-grams."""
    import pandas as pd

    ours, theirs, targets = _both(task, blend.model, blend.baseline, part)
    nats = mixed_nats(ours, theirs, blend.weight)
    tokens = np.array([len(ids) for ids in targets], np.int64)
    words = dialogues.words_in(part.target, targets, task.symbols)
    total = np.add.reduceat(nats, np.cumsum(tokens) - tokens)
    return pd.DataFrame({"nll": total, "tokens": tokens, "words": words})


def _both(
    task: Translate, model: Any, counts: Baseline, part: Part
) -> tuple[Floats, Floats, list[Ids]]:
    """Return the nats that each symbol costs either, all targets in one row, and the targets."""
    sources, targets = task._encoded_pairs(part.source, part.target)
    ours = np.concatenate(of_symbols(task, model, sources, targets))
    bodies = [dialogues.without_end(task.symbols, text) for text in part.target]
    each = counts.map.each(bodies)
    theirs = np.concatenate([nats[: len(ids)] for nats, ids in zip(each, targets, strict=True)])
    # N-grams know no words beyond the vocabulary, which the model copies.
    theirs[np.concatenate(targets) >= len(task.symbols.target)] = np.inf
    return ours, theirs, targets
