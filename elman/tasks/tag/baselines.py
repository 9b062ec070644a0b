"""Baselines of `tag`: by words, by features of steps, or by windows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.packed import lengths_of
from elman.data.tagging import Span
from elman.data.tagging import spans as spans_of
from elman.errors import MissingExtra
from elman.modalities.base import Features
from elman.scoring import entities
from elman.scoring.baselines import share
from elman.scoring.predictors import Baseline, Constant, class_scores
from elman.tasks.answers import only_tags
from elman.tasks.examples.judging import Memo
from elman.tasks.reading.examples import Examples
from elman.tasks.tag.labels import is_text, plain_tags
from elman.tasks.tag.said import Said

if TYPE_CHECKING:
    from elman.tasks.tag.task import Tag


def baselines_of(task: Tag) -> Iterator[Baseline]:
    """Yield baselines for words, for steps that have features, or for steps of numbers."""
    from elman.scoring.baselines import tags as simple

    train, held = task._parts["train"], task._parts.get("valid")
    truth = [plain_tags(task, answer) for answer in train.answers or []]
    if features := task.codec.step_features(train.inputs):
        yield from _of_features(task, features, truth)
        return
    if is_text(task, train):
        known = simple.TaggedPart(train.inputs, truth)
        valid = None
        if held is not None:
            valid = simple.TaggedPart(
                held.inputs, [plain_tags(task, answer) for answer in held.answers or []]
            )
        constant, linear = _fit_intents(task)
        commonest = simple.most_frequent_tag(known, valid)
        yield Baseline(
            "most frequent tag of the word",
            commonest,
            "cells",
            _shared(constant),
            beside=constant,
        )
        try:
            time = share.seconds(task.settings.budget)
            learnt = simple.crf(known, valid, seconds=time, score=_score_of(task, held))
        except MissingExtra as error:
            task._not_run = [f"linear-chain CRF on window features: {error}"]
            return
        most = simple.iterations(known, time)
        short = f" ({most} iterations)" if most < simple.ITERATIONS else ""
        name = f"linear-chain CRF on window features{short}"
        yield Baseline(name, learnt, "cells", _shared(linear), beside=linear)
        return
    yield Baseline("majority", simple.majority(truth), "arrays")
    held_part = None
    if held is not None:
        held_truth = [plain_tags(task, answer) for answer in held.answers or []]
        held_part = simple.TaggedPart(task._inputs("valid"), held_truth)
    windows = simple.window_logistic_regression(
        simple.TaggedPart(task._inputs("train"), truth), held_part
    )
    yield Baseline("logistic regression on a window", windows, "arrays")


def _of_features(
    task: Tag, features: Sequence[Features], truth: Sequence[list[str]]
) -> Iterator[Baseline]:
    """Yield the commonest tag, and logistic regression on each kind of features of steps."""
    from elman.scoring.baselines import tags as simple
    from elman.scoring.baselines.linear import Labelled
    from elman.scoring.baselines.steps import step_logistic_regression

    yield Baseline("most frequent tag", simple.majority(truth), "arrays")
    held = task._parts.get("valid")
    names = sorted({tag for tags in truth for tag in tags})
    codes = {name: code for code, name in enumerate(names)}
    known = np.array([codes[tag] for tags in truth for tag in tags])
    answers = [] if held is None else [plain_tags(task, one) for one in held.answers or []]
    there = np.array([codes.get(tag, -1) for tags in answers for tag in tags], np.int64)
    for one in features:
        # Words of a step: at most as many as there are features of it.
        size = one.train.nnz / max(1, len(known))
        most = share.for_linear(task.settings.budget, size, len(names))
        rows = share.drawn(len(known), most, task.settings.seed)
        rows = np.arange(len(known)) if rows is None else rows
        valid = None if held is None else Labelled(one.of(held.inputs), there)
        fitted = step_logistic_regression(Labelled(one.train[rows], known[rows]), valid, names)
        title = one.title.format("logistic regression")
        yield Baseline(share.named(title, len(rows), len(known)), fitted, "features", one)


def _score_of(task: Tag, held: Examples | None) -> Callable[[list[list[str]]], float] | None:
    """Return the score of tags for the validation part."""
    if held is None or not task.answer.has_spans:
        return None
    truth = [task.answer.spans(only_tags(answer)) for answer in held.answers or []]

    def score(tags: list[list[str]]) -> float:
        found = [spans_of(one, task.answer.scheme, illegal="repair") for one in tags]
        return entities.scores(entities.entity_units(truth, found))["f1"]

    return score


def _fit_intents(task: Tag) -> tuple[Baseline | None, Baseline | None]:
    """Return the commonest intent and logistic regression, where there are intents."""
    if not task.answer.intents:
        return None, None
    from elman.scoring.baselines.linear import Labelled, logistic_regression

    train, held = task._parts["train"], task._parts.get("valid")
    codes = task.answer.intent_codes
    known = np.array([codes[answer[0][1]] for answer in train.answers or []])
    often = np.bincount(known, minlength=len(task.answer.intents)).astype(np.float64)
    features = task.codec.features(train.inputs)
    valid = None
    if held is not None:
        truth = np.array([codes.get(answer[0][1], -1) for answer in held.answers or []])
        valid = Labelled(features.of(held.inputs), truth)
    linear = logistic_regression(Labelled(features.train, known), valid)
    return (
        Baseline("majority", Constant(often)),
        Baseline("logistic regression", linear, "features", features),
    )


def _shared(intents: Baseline | None) -> Any:
    return None if intents is None else intents.shared


def said_by_baseline(
    task: Tag, predictor: Any, found: Examples, memo: Memo, every: bool
) -> list[Said]:
    """Return tags, the spans that they stand for, and intents."""
    asked = task._question(found)
    intents = None
    if predictor.beside is not None:
        names = task.answer.intents
        scores = class_scores(
            predictor.beside.outputs(asked),
            getattr(predictor.beside.map, "classes", None),
            len(names),
        )
        intents = [names[code] for code in scores.argmax(1)]
    tags = predictor.outputs(asked)
    if predictor.sees == "features":
        steps = iter(tags)
        tags = [list(islice(steps, size)) for size in lengths_of(asked.arrays).tolist()]
    return _as_said(task, tags, intents)


def _as_said(
    task: Tag, tags: Sequence[list[str]], intents: Sequence[str] | None = None
) -> list[Said]:
    """Return what a baseline says; its spans are read as conlleval does."""
    named = intents or [""] * len(tags)
    read: list[list[Span]] = [[] for _ in tags]
    if task.answer.has_spans:
        read = [spans_of(one, task.answer.scheme, illegal="repair") for one in tags]
    return [Said(a, b, intent=c) for a, b, c in zip(tags, read, named, strict=True)]
