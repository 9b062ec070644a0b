"""Replies put in an order: by the model, by TF-IDF, or by both, and what a blend answers by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.data.seen import key_of
from elman.errors import InputError
from elman.scoring.baselines.translations import Retrieval
from elman.scoring.blending import (
    NO_VALIDATION,
    ON_VALIDATION,
    Blend,
    blend_of,
    scale_of_orders,
    weight_of_orders,
)
from elman.scoring.predictors import Baseline
from elman.tasks.base import device_of
from elman.tasks.translate import dialogues
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.dialogues import Choice, Matched
from elman.tasks.translate.translator import Translator
from elman.tasks.translate.writing import Answer, Options

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.task import Translate

_CONTEXTS = 32
"""Contexts whose candidates are matched at once."""

Scores = NDArray[np.float64]


def scores_of(
    task: Translate, predictor: Any, part: Part, asked: Choice, memo: dict[Any, Scores]
) -> Scores:
    """Return a score of each candidate, `(n, count)`, more being better.

    Args:
        task: the task of the run.
        predictor: the model, TF-IDF, or their blend.
        part: contexts and replies.
        asked: the candidates for each context.
        memo: holds what is known of other predictors.
    """
    if predictor not in memo:
        if isinstance(predictor, Blend):
            pair = (predictor.model, predictor.baseline)
            ours, theirs = (scores_of(task, one, part, asked, memo) for one in pair)
            others = (1 - predictor.weight) * predictor.scale
            memo[predictor] = predictor.weight * ours + others * theirs
        elif isinstance(predictor, nn.Module):
            memo[predictor] = _of_model(task, cast(Translator, predictor), part, asked)
        else:
            memo[predictor] = dialogues.chosen_by_rule(predictor, part, asked)
    return memo[predictor]


def _of_model(task: Translate, model: Translator, part: Part, asked: Choice) -> Scores:
    """Return the model's score of each candidate: what it costs, how well it matches, or both."""
    weight, scale = task.matched
    found = np.zeros(asked.among.shape)
    if weight < 1:
        costs = costs_of_symbols(task, model)
        found += (1 - weight) * dialogues.chosen_by_cost(costs, part, asked, task.usual)
    if weight:
        found += weight * scale * matches(task, model, part, asked)
    return found


def settled(task: Translate, model: Translator) -> dict[Any, Scores]:
    """Find on the validation part how replies are told from others, and tell the task.

    Without it a model that has learnt to match tells them by that alone.

    Returns:
        What is known then of the candidates of that part.
    """
    asked = task.asked
    if asked is None:
        task.matched = Matched(1.0 if model.matching is not None else 0.0)
        return {}
    train, valid = task._parts["train"], task._parts["valid"]
    costs = costs_of_symbols(task, model)
    task.usual, held = dialogues.usual_of(costs, valid, asked, train, task.settings.seed)
    if model.matching is None:
        return {model: held}
    ours = matches(task, model, valid, asked)
    scale = scale_of_orders(held, ours)
    weight = 1 - weight_of_orders(held, scale * ours)
    task.matched = Matched(weight, scale)
    return {model: (1 - weight) * held + weight * scale * ours}


@torch.no_grad()
def matches(task: Translate, model: Translator, part: Part, asked: Choice) -> Scores:
    """Return how well each candidate matches its context, `(n, count)`."""
    training = model.training
    model.eval()
    found = [np.zeros((0, asked.among.shape[1]))]
    for first in range(0, len(asked.rows), _CONTEXTS):
        rows = slice(first, first + _CONTEXTS)
        sources = [task.symbols.read(part.source[row]) for row in asked.rows[rows].tolist()]
        among = asked.among[rows].ravel().tolist()
        replies = [task.symbols.write(part.target[row]) for row in among]
        batch = task.batch(sources, replies).to(device_of(model))
        scores = model.matches(batch, asked.among.shape[1])
        found.append(scores.double().cpu().numpy())
    model.train(training)
    return np.concatenate(found)


def costs_of_symbols(task: Translate, model: Translator) -> dialogues.Costs:
    """Return what gives the nats that a symbol of each reply costs after its context."""

    def costs(some: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        pairs = task._encoded_pairs(some, replies)
        return task.costs(model, *pairs) / [len(ids) for ids in pairs[1]]

    return costs


def blended(
    task: Translate, model: nn.Module, predictors: Sequence[Baseline], held: dict[Any, Scores]
) -> Blend | str:
    """Let the model and TF-IDF order replies together, or say why they do not.

    Args:
        task: of dialogues, with its data.
        model: the trained model.
        predictors: the baselines.
        held: what is known of the candidates of the validation part.
    """
    if task.metric != "recall_at_1":
        return f"a mixture of them puts replies in an order, which has no {task.metric}"
    valid = task._parts.get("valid")
    if valid is None:
        return NO_VALIDATION
    asked = task.asked
    if asked is None:
        return "the validation part has too few replies to find the weight of a blend on"
    nearest = next(one for one in predictors if isinstance(one.map, Retrieval))
    ours, theirs = (scores_of(task, one, valid, asked, held) for one in (model, nearest))
    scale = scale_of_orders(ours, theirs)
    weight = weight_of_orders(ours, scale * theirs)
    where = f"{ON_VALIDATION}, and by more than the standard error,"
    return blend_of(model, nearest, weight, where, scale)


def ranked(
    task: Translate, predictor: Any, context: str | Sequence[str], replies: Sequence[str]
) -> pd.DataFrame:
    """Put replies to a context in an order; see `elman.Model.rank`."""
    import pandas as pd

    if not task.where.talks:
        raise InputError(
            "this run was trained on pairs that are no dialogues, so it orders no replies.",
            fix="Use predict, or train on dialogues: elman train translate DIALOGUES.",
        )
    rule = predictor.baseline if isinstance(predictor, Blend) else predictor
    if not isinstance(rule, nn.Module) and not isinstance(rule.map, Retrieval):
        raise InputError(
            f"{rule.name} does not see the context, so it orders no replies.",
            fix="Choose another predictor.",
        )
    turns = _texts(context, "context", "Give a text, or a list of the turns so far.", alone=True)
    texts = _texts(replies, "replies", "Give a list of texts.")
    if not texts:
        raise InputError("There are no replies to order.", fix="Give a list of texts.")
    source = task.source_of(turns)
    if not source.strip():
        raise InputError("There is nothing to reply to.")
    scores = _scored(task, predictor, source, texts)
    order = np.argsort(-scores, kind="stable")
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(texts) + 1),
            "reply": [texts[place] for place in order.tolist()],
            "score": scores[order],
        }
    )


def _texts(given: Any, name: str, fix: str, *, alone: bool = False) -> list[str]:
    """Return what was given as a list of texts, of which one may stand alone.

    Raises:
        InputError: it is no list, or an entry is no text.
    """
    if isinstance(given, str) and alone:
        return [given]
    if isinstance(given, str | bytes | dict) or not hasattr(given, "__iter__"):
        raise InputError(f"{name} is {given!r:.60}, no list of texts.", fix=fix)
    texts = list(given)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise InputError(f"Entry {number} of {name} is {text!r:.60}, no text.", fix=fix)
    return texts


def answered(
    task: Translate, blend: Blend, sources: Sequence[str], options: Options, **how: Any
) -> list[list[Answer]]:
    """Return replies to each source, the best of the blend first.

    The model's own best answers, and as many replies to the likest contexts of training, are put
    in an order by the blend.

    Args:
        task: the task of the run.
        blend: of the model and TF-IDF.
        sources: the contexts.
        options: how the model writes.
        how: as for `Translate.answers`.
    """
    check_sees(blend)
    many = max(options.n_best, options.beam)
    every = task.answers(blend.model, sources, options.with_(n_best=many), **how)
    found: list[list[Answer]] = []
    for source, answers in zip(sources, every, strict=True):
        candidates = {key_of(one.text): one for one in answers}
        for text in blend.baseline.map.nearest(source, many):
            candidates.setdefault(key_of(text), Answer(text, [], math.nan, math.nan, True))
        some = list(candidates.values())
        scores = _scored(task, blend, source, [one.text for one in some])
        order = np.argsort(-scores, kind="stable")[: options.n_best].tolist()
        found.append([replace(some[place], score=float(scores[place])) for place in order])
    return found


def check_sees(blend: Blend) -> None:
    """Refuse to let a blend answer that only says how likely a reply is."""
    if not isinstance(blend.baseline.map, Retrieval):
        raise InputError(
            f"the blend with {blend.baseline.name} says how likely a reply is; it writes none.",
            fix="Choose another predictor.",
        )


def _scored(
    task: Translate, predictor: Any, source: str, replies: Sequence[str]
) -> NDArray[np.float64]:
    """Return a score of each reply to a source, `(n,)`."""
    part = Part([source], list(replies), [(None, 1)])
    asked = Choice(np.zeros(1, np.int64), np.arange(len(replies))[None])
    return np.asarray(scores_of(task, predictor, part, asked, {})[0])
