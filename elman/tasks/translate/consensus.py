"""The text, of several for one source, that is most like the others, of a model or of its blend.

See `elman.scoring.consensus`. A blend of pairs adds the targets of the likest training sources to
what the model writes. They speak for each other, and for what the model writes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.data.seen import key_of
from elman.nn.decoding import length_penalty
from elman.scoring.baselines.translations import Retrieval
from elman.scoring.blending import NO_VALIDATION, ON_VALIDATION, WEIGHTS, Blend, blend_of
from elman.scoring.consensus import alike, expected
from elman.scoring.predictors import Baseline
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.writing import Answer, Options

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate

Floats = NDArray[np.float64]

TEXTS = 20
"""Texts of the model, and of the likest training sources, where no other number is set."""
SCALES = (10.0, 20.0, 40.0)
"""By these the likenesses of training sources are multiplied; one is chosen."""
_WAYS = [(weight, scale) for scale in SCALES for weight in WEIGHTS[1:-1]]
"""Weights of the model, and scales, that are tried."""
BLENDED_ON = 1000
"""Pairs of the validation part on which a blend is chosen, at most."""


def counts_of(settings: Any) -> Sequence[int]:
    """Return of how many texts, by the settings, the one most like the others may be given."""
    if settings.consensus is not None:
        return (settings.consensus,)
    return (0, TEXTS) if str(settings.metric).startswith("rouge") else (0,)


class Pool(NamedTuple):
    """Different texts for one source.

    Attributes:
        answers: the texts.
        alike: the score of each against each, `(n, n)`.
        places: the number of the text of each that was written or found, `(m,)`.
    """

    answers: list[Answer]
    alike: Floats
    places: NDArray[np.int64]

    def expected(self, chances: Floats) -> Floats:
        """Return the expected score of each text, from the chances `(m,)` of what was found."""
        return expected(self.alike, np.bincount(self.places, chances, len(self.answers)))


def agreed(
    task: Translate,
    model: Any,
    sources: Sequence[str],
    options: Options,
    every: Sequence[Sequence[Answer]] | None = None,
    **how: Any,
) -> list[list[Answer]]:
    """Return texts for each source, that which is most like the others first.

    Args:
        task: the task of the run.
        model: the model, or its blend with TF-IDF.
        sources: the texts that are read.
        options: how the model writes.
        every: what `written` gave before; None writes now.
        how: as for `Translate.answers`.
    """
    mixed = model if isinstance(model, Blend) else None
    if every is None:
        every = written(task, mixed.model if mixed else model, sources, options, **how)
    near = mixed.baseline.map.neighbours(sources, TEXTS) if mixed else [((), ())] * len(sources)
    found: list[list[Answer]] = []
    for answers, (texts, likeness) in zip(every, near, strict=True):
        pool = pool_of(task, answers, texts)
        chances = chances_of(answers, options)
        if mixed and len(texts):
            theirs = _shares(mixed.scale * np.asarray(likeness))
            chances = np.concatenate((mixed.weight * chances, (1 - mixed.weight) * theirs))
        scores = pool.expected(chances)
        order = np.argsort(-scores, kind="stable")[: options.n_best].tolist()
        found.append([replace(pool.answers[n], score=float(scores[n])) for n in order])
    return found


def pool_of(task: Translate, answers: Sequence[Answer], texts: Sequence[str] = ()) -> Pool:
    """Return the different texts among answers and other texts; of equal ones the first."""
    numbers: dict[Any, int] = {}
    chosen: list[Answer] = []
    places = []
    for one in (*answers, *(Answer(text, [], math.nan, math.nan, True) for text in texts)):
        number = numbers.setdefault(key_of(one.text), len(chosen))
        chosen += [one] if number == len(chosen) else []
        places.append(number)
    every = [one.text for one in chosen]
    return Pool(chosen, alike(every, task.judge), np.array(places, np.int64))


def chances_of(answers: Sequence[Answer], options: Options) -> Floats:
    """Return how likely each answer is, `(n,)`: by its score, or all alike where they are drawn."""
    if options.temperature is not None:
        return np.full(len(answers), 1 / max(1, len(answers)))
    return _shares(np.array([one.score for one in answers]))


def blended(task: Translate, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
    """Let the model and TF-IDF agree on summaries, or say why they do not.

    Args:
        task: of summaries, with its data.
        model: the trained model.
        predictors: the baselines.
    """
    if not task.metric.startswith("rouge"):
        return "texts that two predictors write cannot be mixed"
    if "valid" not in task._parts:
        return NO_VALIDATION
    valid = some_of(task._parts["valid"], BLENDED_ON, task.settings.seed)
    nearest = next(one for one in predictors if isinstance(one.map, Retrieval))
    options = task._options
    every = _written_once(task, model, valid.source, options)
    near = nearest.map.neighbours(valid.source, TEXTS)
    alone, mixed = _tried(task, valid, every, near, options)
    means = mixed.mean(0)
    best = int(means.argmax())
    better = int(alone.mean(0).argmax())
    gain = mixed[:, best] - alone[:, better]
    weight, scale = _WAYS[best]
    if gain.mean() <= gain.std() / math.sqrt(len(gain)):
        weight = 1.0 - better
    where = f"{ON_VALIDATION}, and by more than the standard error,"
    return blend_of(model, nearest, weight, where, scale)


def _tried(
    task: Translate,
    part: Part,
    every: Sequence[Sequence[Answer]],
    near: Sequence[tuple[Sequence[str], Sequence[float]]],
    options: Options,
) -> tuple[Floats, Floats]:
    """Return the headline score of each pair, of model and TF-IDF alone, and of their mixtures.

    Args:
        task: the task of the run.
        part: the pairs.
        every, near: what the model and TF-IDF have for each.
        options: how the model writes.

    Returns:
        `(n, 2)`, and `(n, ways)` of all weights and scales.
    """
    alone, mixed = np.zeros((len(part), 2)), np.zeros((len(part), len(_WAYS)))
    weights = np.array([weight for weight, _ in _WAYS])[:, None]
    judge = task.judge.only(task.metric)
    for row, (answers, (texts, likeness)) in enumerate(zip(every, near, strict=True)):
        pool, many = pool_of(task, answers, texts), len(answers)
        said, true = [one.text for one in pool.answers], part.target[row]
        scores = judge.units(said, [true] * len(said))[task.metric].to_numpy()
        chances = chances_of(answers, options)
        ours = pool.expected(np.concatenate((chances, np.zeros(len(texts)))))
        theirs = {
            scale: pool.expected(
                np.concatenate((np.zeros(many), _shares(scale * np.asarray(likeness))))
            )
            for scale in SCALES
        }
        own = pool.places[:many].max() + 1
        alone[row, 0] = scores[int(ours[:own].argmax()) if options.consensus else 0]
        alone[row, 1] = scores[pool.places[many]] if len(texts) else 0.0
        others = np.stack([theirs[scale] for _, scale in _WAYS])
        mixed[row] = scores[(weights * ours + (1 - weights) * others).argmax(1)]
    return alone, mixed


def some_of(part: Part, most: int, seed: int) -> Part:
    """Return pairs of a part, drawn by the seed."""
    rows = np.random.default_rng(seed).permutation(len(part))[:most]
    return part.take(np.sort(rows))


def written(
    task: Translate, model: Any, sources: Sequence[str], options: Options, **how: Any
) -> list[list[Answer]]:
    """Return all texts that the model has for each source; arguments as for `agreed`."""
    many = max(options.consensus or TEXTS, options.n_best)
    return task.answers(model, sources, replace(options, consensus=0).with_(n_best=many), **how)


def _written_once(
    task: Translate, model: Any, sources: Sequence[str], options: Options
) -> list[list[Answer]]:
    """Return as `written`, without a new search for what was searched for to choose how to write.

    That search ended when all hypotheses of its beam had, so it found what one with another length
    penalty finds, and only the order differs.
    """
    known = {
        source: sorted(
            (with_penalty(one, options.length_penalty) for one in answers),
            key=lambda one: -one.score,
        )[: options.consensus or TEXTS]
        for source, answers in task.searched.get(model, {}).items()
    }
    left = [source for source in sources if source not in known]
    known |= dict(zip(left, written(task, model, left, options), strict=True))
    return [known[source] for source in sources]


def with_penalty(answer: Answer, alpha: float) -> Answer:
    """Return an answer with the score that it has with a length penalty."""
    over = length_penalty(len(answer.ids) + answer.ended, alpha)
    return replace(answer, score=answer.log_probability / over)


def _shares(scores: Floats) -> Floats:
    """Return the softmax of scores, `(n,)`."""
    if not len(scores):
        return scores
    found = np.exp(scores - scores.max())
    return np.asarray(found / found.sum())
