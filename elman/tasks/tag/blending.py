"""The blend of `tag`: the probabilities of the tags of each step, mixed, and decided once more.

Tags of spans are mixed as BIO tags, which every scheme but IOB1 can be read as, and the likeliest
legal sequence is taken. Intents are those of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.data.packed import lengths_of
from elman.data.tagging import legal, spans, tags_of
from elman.nn.crf import CRF
from elman.nn.tagger import Tagger, Taggers
from elman.scoring.blending import Blend, weight_of_chances
from elman.scoring.predictors import Baseline, CannotSay
from elman.tasks.examples.judging import Memo, scored_on_held
from elman.tasks.reading.examples import Examples
from elman.tasks.tag.deciding import chances_of_steps
from elman.tasks.tag.labels import plain_tags
from elman.tasks.tag.said import Said

if TYPE_CHECKING:
    from elman.tasks.tag.task import Tag

Array = NDArray[Any]
_AT_ONCE = 1000
"""Sequences whose probabilities are in memory together."""
_AS_BIO = {"S": "B", "U": "B", "E": "I", "L": "I"}
_LEAST = 1e-30
"""The least probability that counts, so that there is a legal sequence."""


def on_held(
    task: Tag, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
    """Return each baseline's score on the validation part, and a way to weigh the model."""
    scores, _ = scored_on_held(task, held, model, predictors)
    return scores, lambda one: weight_in(task, held, model, one)


def weight_in(task: Tag, held: Examples, model: nn.Module, baseline: Baseline) -> float | str:
    """Return the weight at which the tags of the validation part are likeliest, or why none is."""
    if task.answer.scheme == "IOB1":
        return "in IOB1 a tag depends on the one before it, and cannot be mixed by itself"
    codes = {tag: code for code, tag in enumerate(mixed_tags(task))}
    ours, theirs = list[Array](), list[Array]()
    try:
        for some, model_says, baseline_says in _both(task, model, baseline, held, Memo()):
            answers = [plain_tags(task, answer) for answer in some.answers or []]
            for answer, one, other in zip(answers, model_says, baseline_says, strict=True):
                tags = [_bio(tag) if task.answer.has_spans else tag for tag in answer]
                # A tag that training never had is as unlikely to both.
                steps = [step for step, tag in enumerate(tags) if tag in codes]
                truth = [codes[tags[step]] for step in steps]
                ours.append(one[steps, truth])
                theirs.append(other[steps, truth])
    except CannotSay as why:
        return str(why)
    return weight_of_chances(*(np.concatenate(p).astype(np.float64) for p in (ours, theirs)))


def said_by_blend(task: Tag, blend: Blend, found: Examples, memo: Memo) -> list[Said]:
    """Return what the mixture says of sequences, and the model of their intents.

    Args:
        task: the task.
        blend: model, baseline and weight.
        found: the sequences.
        memo: what others said of the same sequences.
    """
    said: list[Said] = []
    tags = mixed_tags(task)
    crf = None
    if task.answer.has_spans:
        rules = legal(tags, "BIO")
        crf = CRF(len(tags), transitions=rules.transitions, starts=rules.starts, ends=rules.ends)
    for _, ours, theirs in _both(task, blend.model, blend.baseline, found, memo):
        mixed = [
            blend.weight * a + (1 - blend.weight) * b for a, b in zip(ours, theirs, strict=True)
        ]
        said += [_decided(task, tags, crf, one) for one in mixed]
    if task.answer.intents:
        for answer, by_model in zip(said, task.given(blend.model, found, memo), strict=True):
            answer.intent, answer.intent_chance = by_model.intent, by_model.intent_chance
    return said


def mixed_tags(task: Tag) -> list[str]:
    """Return the tags that are mixed: BIO tags of the labels of spans, else those of the task."""
    answer = task.answer
    if not answer.has_spans:
        return answer.tags
    return list(dict.fromkeys(map(_bio, answer.tags)))


def _decided(task: Tag, tags: Sequence[str], crf: CRF | None, mixed: Array) -> Said:
    """Return the best tags under mixed probabilities `(T, K)`."""
    steps = np.arange(len(mixed))
    if crf is None:
        path = mixed.argmax(1)
        return Said([tags[code] for code in path], chances=mixed[steps, path])
    logs = torch.from_numpy(np.log(np.maximum(mixed, _LEAST)).astype(np.float32))
    path = np.array(crf.decode(logs[None]).paths[0], np.int64)
    chances = mixed[steps, path]
    read = spans([tags[code] for code in path], "BIO")
    own = [float(np.prod(chances[one.start : one.end])) for one in read]
    return Said(tags_of(read, len(path), task.answer.scheme), read, chances, own)


def _both(
    task: Tag, model: nn.Module, baseline: Baseline, found: Examples, memo: Memo
) -> Iterator[tuple[Examples, list[Array], list[Array]]]:
    """Yield some sequences at a time with what model and baseline give each tag of each step.

    Raises:
        CannotSay: the baseline gives no probabilities.
    """
    tags, outputs = mixed_tags(task), task.outputs_for(model, found, memo)
    for start in range(0, len(found), _AT_ONCE):
        some = found.take(np.arange(start, min(len(found), start + _AT_ONCE)))
        ours = chances_of_steps(cast(Tagger | Taggers, model), outputs[start : start + _AT_ONCE])
        yield some, _as_tags(task, task.answer.tags, ours, tags), of_baseline(task, baseline, some)


def of_baseline(task: Tag, baseline: Baseline, found: Examples) -> list[Array]:
    """Return what a baseline gives each mixed tag at each step of each sequence, `(T, K)`.

    Raises:
        CannotSay: it gives no probabilities.
    """
    asked = task._question(found)
    names, given = baseline.chances(asked)
    if baseline.sees == "features":
        [steps] = given
        given = np.split(steps, np.cumsum(lengths_of(asked.arrays))[:-1])
    return _as_tags(task, names, given, mixed_tags(task))


def _as_tags(
    task: Tag, names: Sequence[str], given: Sequence[Array], tags: Sequence[str]
) -> list[Array]:
    """Return probabilities of tags from those of others, several of which may be one of them."""
    read = [_bio(name) if task.answer.has_spans else name for name in names]
    columns = np.zeros((len(names), len(tags)), np.float32)
    for row, name in enumerate(read):
        if name in tags:
            columns[row, tags.index(name)] = 1
    return [one @ columns for one in given]


def _bio(tag: str) -> str:
    """Return a tag of BIOES or BILOU as that of BIO.

    >>> _bio("S-PER"), _bio("L-PER"), _bio("O"), _bio("E")
    ('B-PER', 'I-PER', 'O', 'I')
    """
    return _AS_BIO.get(tag[:1], tag[:1]) + tag[1:]
