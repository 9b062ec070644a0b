"""The cost of each token under a model, n-grams or a blend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.baselines.ngram import KneserNey
from elman.scoring.blending import (
    NO_VALIDATION,
    ON_VALIDATION,
    Blend,
    blend_of,
    mixed_nats,
    weight_of_chances,
)
from elman.scoring.predictors import Baseline
from elman.tasks.generate import identity
from elman.tasks.generate.corpus import Tokens
from elman.tasks.generate.language_model import LanguageModel, costs

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

Nats = NDArray[np.float64]


def nats_of(task: Generate, predictor: Any, tokens: Tokens, memo: dict[Any, Nats]) -> Nats:
    """Return the cost of each of `tokens.ids[1:]`; `memo` holds what is known of others."""
    if predictor not in memo:
        if isinstance(predictor, nn.Module):
            memo[predictor] = costs(cast(LanguageModel, predictor), tokens)
        elif isinstance(predictor, Blend):
            parts = (predictor.model, predictor.baseline)
            ours, theirs = (nats_of(task, one, tokens, memo) for one in parts)
            memo[predictor] = mixed_nats(ours, theirs, predictor.weight)
        else:
            counts, order = predictor.shared, predictor.map.order
            if (counts, order) not in memo:
                # All orders come from one pass.
                found = _all_orders(counts, tokens)
                memo |= {(counts, length): nats for length, nats in found.items()}
            memo[predictor] = memo[counts, order]
    return memo[predictor]


def judged(task: Generate, tokens: Tokens) -> NDArray[np.int64]:
    """Return 1 for each of `tokens.ids[1:]` that is judged, else 0."""
    counted = np.ones(len(tokens.ids) - 1, np.int64)
    if task.documents == 1:
        # The end of a document is nothing that a model of one document could know.
        counted[tokens.ids[1:] == task.vocabulary.bos] = 0
    return counted


def _all_orders(counts: KneserNey | LabelledKneserNey, tokens: Tokens) -> dict[int, Nats]:
    """Return the cost of each token under the n-grams of every order."""
    if isinstance(counts, KneserNey):
        return counts.nll(tokens.ids, tokens.starts)
    return counts.nll(partial(identity.of_label, tokens), tokens.predicted)


def blended(task: Generate, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
    """Interpolate the model and the n-grams that are best on the validation part.

    The weight is that at which the tokens of the validation part are likeliest (Mikolov et
    al. 2010).
    """
    tokens = task._tokens.get("valid")
    if tokens is None:
        return NO_VALIDATION
    memo: dict[Any, Nats] = {}
    counts = judged(task, tokens)
    cost = {one: float(nats_of(task, one, tokens, memo) @ counts) for one in predictors}
    best = min(cost, key=lambda one: cost[one])
    there = counts > 0
    ours, theirs = (np.exp(-nats_of(task, one, tokens, memo)[there]) for one in (model, best))
    return blend_of(model, best, weight_of_chances(ours, theirs), ON_VALIDATION)
