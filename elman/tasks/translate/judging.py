"""Scores of a model, baselines and blends on a part, and what the validation part chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.predicting import as_given, table_of
from elman.tasks.translate.settings import OF_DIALOGUES
from elman.tasks.translate.translator import Translator
from elman.tasks.translate.writing import Answer, write
from elman.training.progress import doing

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.task import Translate

PENALTIES = (0.0, 0.5, 1.0)
"""Length penalties that are tried."""
_CHOSEN_ON = 100
"""Pairs of the validation part on which the length penalty is chosen."""

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
    options = task._options.with_(max_length=mean + task.settings.min_length + 1)
    write(model, task.symbols, task._parts["valid"].source[:few], options, task.where.longest)
    ratio = (time.perf_counter() - once) / max(once - began, 1e-6)
    test = task._parts.get("test")
    asked = (0 if test is None else len(test)) + min(_CHOSEN_ON, len(sources))
    choice = None if test is None else dialogues.choice(test, task.settings.seed)
    costed = dialogues.costed(choice)
    if task.where.talks:
        costed += dialogues.costed(dialogues.choice(task._parts["valid"], task.settings.seed))
    return (ratio * asked + costed) / len(sources)


def scores_of(
    task: Translate, predictors: Sequence[Any], data: Any = None
) -> list[Evaluation | CannotSay]:
    """Score models, baselines and a blend on the same pairs; a model with its predictions."""
    part = task._to_score(data)
    select = selecting(task, part)
    found: list[Evaluation | CannotSay] = []
    for one in predictors:
        if isinstance(one, nn.Module):
            found.append(of_model(task, cast(Translator, one), part, select))
            continue
        try:
            units = _units_of_rule(task, one, part, select)
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


def _units_of_rule(task: Translate, rule: Any, part: Part, select: Select) -> pd.DataFrame:
    """Return what the scores of a baseline, or of a blend, are made of."""
    import pandas as pd

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
) -> Evaluation:
    """Write an answer to each source of a part, and score all that is scored.

    Args:
        model: the trained model.
        part: the pairs.
        select: adds to the units whether the true reply was chosen.
        known: which symbols of each target cost something; all when None.
    """
    with doing(f"writing {len(part):,} answers"):
        answers = task.answers(model, part.source)
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


def length_penalty_of(task: Translate, model: Translator) -> float:
    """Return the length penalty that is best on pairs of the validation part."""
    part = task._parts["valid"].take(range(min(_CHOSEN_ON, len(task._parts["valid"]))))
    options = task._options.with_(n_best=task.settings.beam)
    every = task.answers(model, part.source, options)
    metric = "chrf" if task.metric in OF_DIALOGUES else task.metric
    scores = {
        alpha: translations.scores([_best(row, alpha) for row in every], part.target, task.judge)[
            metric
        ]
        for alpha in PENALTIES
    }
    way = 1 if task.higher_is_better or metric == "chrf" else -1
    return max(PENALTIES, key=lambda alpha: way * scores[alpha])


def _best(answers: Sequence[Answer], alpha: float) -> str:
    """Return the text that is best with a length penalty."""
    from elman.nn.decoding import length_penalty

    def score(answer: Answer) -> float:
        return answer.log_probability / length_penalty(len(answer.ids) + answer.ended, alpha)

    return max(answers, key=score).text if answers else ""


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
