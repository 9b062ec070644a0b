"""Scores of models, baselines and blends on the same sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from elman.scoring import Evaluation
from elman.scoring.blending import NO_VALIDATION, ON_VALIDATION, Blend, blend_of
from elman.scoring.predictors import Baseline, CannotSay
from elman.tasks.reading.examples import Examples

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples


@dataclass(eq=False)
class Memo:
    """Answers that models and baselines have given to the same sequences.

    Attributes:
        said: what each says of them.
        outputs: what networks gave out for them, where a task needs it for more than one answer.
    """

    said: dict[Any, Any] = field(default_factory=dict)
    outputs: dict[nn.Module, Any] = field(default_factory=dict)


def scores_of(
    task: FromExamples, predictors: Sequence[Any], data: Any = None
) -> list[Evaluation | CannotSay]:
    """Score models, baselines and blends on the same rows; a model with its predictions."""
    found, memo, scores = task._asked(data), Memo(), list[Evaluation | CannotSay]()
    for one in predictors:
        try:
            outputs = task.given(one, found, memo)
        except CannotSay as why:
            scores.append(why)
            continue
        model = isinstance(one, nn.Module)
        table = task._judged_table(one, found, outputs, memo) if model else None
        scores.append(task.scored(found, outputs, table))
    return scores


def said_by(task: FromExamples, predictor: Any, found: Examples, memo: Memo, every: bool) -> Any:
    """Return what a model, a baseline or a blend says of sequences; see `FromExamples.given`."""
    if predictor not in memo.said:
        if isinstance(predictor, nn.Module):
            said = task.of_model(predictor, task._encode(found.inputs))
        elif isinstance(predictor, Blend):
            parts = (predictor.model, predictor.baseline)
            ours, theirs = (task.given(one, found, memo, every=every) for one in parts)
            said = task.mixed(ours, theirs, predictor.weight)
        else:
            said = task.of_baseline(predictor, found, memo, every)
        memo.said[predictor] = said
    return memo.said[predictor]


def blended(task: FromExamples, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
    """Mix the model with the baseline that is best on the validation part, or say why not."""
    held = task._parts.get("valid")
    if held is None or not len(held):
        return NO_VALIDATION
    scores, weigh = task.on_held(held, model, predictors)
    finite = {one: score for one, score in scores.items() if np.isfinite(score)}
    if not finite:
        return "no baseline could be scored on the validation part"
    best = (max if task.higher_is_better else min)(finite, key=lambda one: finite[one])
    weight = weigh(best)
    if isinstance(weight, str):
        return weight
    return blend_of(model, best, weight, ON_VALIDATION)


def scored_on_held(
    task: FromExamples, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
    """Return each baseline's score on the validation part, and a way to weigh the model."""
    memo, scores = Memo(), dict[Baseline, float]()
    for one in predictors:
        try:
            said = task.given(one, held, memo)
        except CannotSay:
            continue
        scores[one] = task.scored(held, said).metrics[task.metric]
    return scores, lambda one: task.weight(held, task.given(model, held), memo.said[one])
