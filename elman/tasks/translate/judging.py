"""Scores of a model, baselines and blends on a part, and what the validation part chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.scoring import Evaluation, translations
from elman.scoring.baselines.dictionary import LONGEST, dictionary, words_of
from elman.scoring.baselines.extracts import Extract
from elman.scoring.baselines.translations import CopySource, TargetNGrams, retrieval
from elman.scoring.blending import Blend
from elman.scoring.predictors import CannotSay
from elman.tasks.translate import dialogues, ranking
from elman.tasks.translate.consensus import (
    BLENDED_ON,
    agreed,
    chances_of,
    counts_of,
    pool_of,
    some_of,
    with_penalty,
    written,
)
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.costing import units_of_mixture
from elman.tasks.translate.predicting import as_given, table_of
from elman.tasks.translate.settings import OF_DIALOGUES
from elman.tasks.translate.translator import Translator
from elman.tasks.translate.writing import Answer
from elman.training.progress import doing

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.task import Translate

PENALTIES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Length penalties that are tried."""
_CHOSEN_ON = 300
"""Pairs of the validation part on which it is chosen how texts are written, at most."""

Select = Callable[["pd.DataFrame", Any], None]
"""Adds to the units of a predictor whether it chose the true replies."""


def share_of(task: Translate) -> float:
    """Return how many validations fit into judging, by a short measurement.

    It is nothing where no budget is to be shared out.
    """
    if task.settings.budget is None or task._probe is None or "valid" not in task._parts:
        return 0.0
    model, (sources, targets) = task._probe, task._of("valid")
    few = min(len(sources), 16)
    began = time.perf_counter()
    task.costs(model, sources[:few], targets[:few])
    once = time.perf_counter()
    mean = int(np.mean([len(ids) for ids in targets[:few]]))
    options = task._options.with_(
        max_length=mean + task.settings.min_length + 1, consensus=counts_of(task.settings)[-1]
    )
    task.answers(model, task._parts["valid"].source[:few], options)
    ratio = (time.perf_counter() - once) / max(once - began, 1e-6)
    test = task._parts.get("test")
    asked = (0 if test is None else len(test)) + min(_CHOSEN_ON, len(sources))
    if task.metric.startswith("rouge"):
        # Both ways of choosing are tried, and a blend is found, for which what was searched for to
        # choose serves again, and judged.
        more = min(BLENDED_ON, len(sources)) - min(_CHOSEN_ON, len(sources))
        asked = 2 * asked + more
    choice = None if test is None else dialogues.choice(test, task.settings.seed)
    costed = dialogues.costed(choice)
    costed += dialogues.costed(task.asked)
    return (ratio * asked + costed) / len(sources)


def scores_of(
    task: Translate, predictors: Sequence[Any], data: Any = None
) -> list[Evaluation | CannotSay]:
    """Score models, baselines and a blend on the same pairs; a model with its predictions."""
    part = task._to_score(data)
    select = selecting(task, part)
    both, every = [one for one in predictors if isinstance(one, Blend)], None
    if both and task.consensus and not task.where.talks:
        # The model and its blend choose among the same texts.
        with doing(f"writing answers to {len(part):,} sources"):
            every = written(task, both[0].model, part.source, task._options)
    found: list[Evaluation | CannotSay] = []
    for one in predictors:
        if isinstance(one, nn.Module):
            found.append(of_model(task, cast(Translator, one), part, select, every=every))
            continue
        try:
            units = _units_of_rule(task, one, part, select, every)
        except CannotSay as why:
            found.append(why)
            continue
        found.append(Evaluation(units, translations.score))
    return found


def selecting(task: Translate, part: Part) -> Select:
    """Return what adds to the units of a predictor whether it chose the true replies."""
    choice = dialogues.choice(part, task.settings.seed) if task.where.talks else None
    memo: dict[Any, ranking.Scores] = {}

    def select(units: pd.DataFrame, predictor: Any) -> None:
        dialogues.with_selection(
            units,
            choice,
            lambda asked: ranking.scores_of(task, predictor, part, asked, memo),
        )

    return select


def _units_of_rule(
    task: Translate,
    rule: Any,
    part: Part,
    select: Select,
    every: Sequence[Sequence[Answer]] | None = None,
) -> pd.DataFrame:
    """Return what the scores of a baseline, or of a blend, are made of."""
    import pandas as pd

    if isinstance(rule, Blend) and not task.where.talks:
        answers = agreed(task, rule, part.source, task._options, every)
        said = [row[0].text for row in answers]
        return task.judge.units(said, part.target)
    if isinstance(rule, Blend) and isinstance(rule.baseline.map, TargetNGrams):
        return units_of_mixture(task, rule, part)
    if isinstance(rule, Blend):
        units = pd.DataFrame(index=range(len(part)))
        select(units, rule)
        return units
    if isinstance(rule.map, TargetNGrams):
        return dialogues.units_of_counts(rule, part, task.symbols)
    said = task.rule_says(rule, part.source)
    units = task.judge.units(said, part.target)
    if task.where.talks:
        dialogues.with_variety(units, said)
        select(units, rule)
    return units


def of_model(
    task: Translate,
    model: Translator,
    part: Part,
    select: Select,
    known: Sequence[NDArray[np.bool_]] | None = None,
    every: Sequence[Sequence[Answer]] | None = None,
) -> Evaluation:
    """Write an answer to each source of a part, and score all that is scored.

    Args:
        model: the trained model.
        part: the pairs.
        select: adds to the units whether the true reply was chosen.
        known: which symbols of each target cost something; all when None.
        every: the texts among which each answer is chosen; None writes now.
    """
    with doing(f"writing {len(part):,} answers"):
        if every is None:
            answers = task.answers(model, part.source)
        else:
            answers = agreed(task, model, part.source, task._options, every)
    said = [row[0].text if row else "" for row in answers]
    units = task.judge.units(said, part.target)
    sources, targets = task._encoded_pairs(part.source, part.target)
    units["nll"] = task.costs(model, sources, targets, known)
    units["tokens"] = [len(ids) for ids in targets]
    if known is not None:
        units["tokens"] = [int(one.sum()) for one in known]
    if task.where.talks:
        units["words"] = dialogues.words_in(part.target, targets, task.symbols)
        if known is not None and task.symbols.target.unit == "words":
            units["words"] -= [int((~one).sum()) for one in known]
        dialogues.with_variety(units, said)
        select(units, model)
    table = table_of(task, part, [row[:1] for row in answers])
    table["reference"] = as_given(task.symbols, part.target, 1)
    return Evaluation(units, translations.score, table)


def way_of(task: Translate, model: Translator) -> tuple[float, int]:
    """Return the length penalty, and of how many texts the one most like the others is given.

    What the settings do not say is the best on pairs of the validation part. Of summaries the text
    most like the others is given where it is better than the likeliest by more than the standard
    error of the difference.
    """
    settings, metric = task.settings, task.metric
    penalties: Sequence[float] = PENALTIES
    counts = counts_of(settings)
    if settings.length_penalty is not None:
        penalties = (settings.length_penalty,)
    if len(penalties) == len(counts) == 1:
        return penalties[0], counts[0]
    metric = "chrf" if metric in OF_DIALOGUES else metric
    better = min if metric == "error_rate" else max
    judge = task.judge.only(metric)
    part = some_of(task._parts["valid"], _CHOSEN_ON, settings.seed)
    best: list[tuple[float, int, pd.DataFrame]] = []
    for count in counts:
        options = replace(task._options, consensus=0).with_(n_best=max(settings.beam, count))
        every = task.answers(model, part.source, options)
        pools = [pool_of(task, row) for row in every] if count else []
        if count:
            task.searched = {model: dict(zip(part.source, every, strict=True))}
        units = {}
        for alpha in penalties:
            scored = [[with_penalty(one, alpha) for one in row] for row in every]
            if count:
                chosen = [
                    pool.answers[int(pool.expected(chances_of(row, options)).argmax())]
                    for pool, row in zip(pools, scored, strict=True)
                ]
            else:
                chosen = [max(row, key=lambda one: one.score) for row in scored]
            units[alpha] = judge.units([one.text for one in chosen], part.target)
        alpha = better(units, key=lambda one: translations.score(units[one])[metric])
        best.append((alpha, count, units[alpha]))
    if len(best) > 1:
        gain = (best[1][2][metric] - best[0][2][metric]).to_numpy()
        if gain.mean() <= gain.std() / len(gain) ** 0.5:
            best.pop()
    return best[-1][:2]


def fitted(task: Translate, train: Part) -> Iterator[tuple[str, Any]]:
    """Fit each baseline of pairs; which there are depends on what answers are judged as."""
    if task.metric.startswith("rouge"):
        yield "first sentence", Extract("lead")
        yield "longest sentence", Extract("longest")
        yield "TextRank", Extract("textrank")
    else:
        yield "copy the source", CopySource()
        if any(_short(a) and _short(b) for a, b in zip(train.source, train.target, strict=True)):
            plain = "symbols" in task.symbols.units
            found = dictionary(train.source, train.target, seed=task.settings.seed, plain=plain)
            yield "dictionary, word by word", found
    yield "nearest by TF-IDF", retrieval(train.source, train.target)


def _short(text: str) -> bool:
    """Tell whether a dictionary can be learnt from a text."""
    return 0 < len(words_of(text)) <= LONGEST
