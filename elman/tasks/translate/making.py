"""A task made of pairs: read, shared out, its vocabularies fitted on the training part or grown."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from elman.data.formats.pairs import Pairs
from elman.data.seen import Seen
from elman.errors import InputError
from elman.scoring.translations import Judge, Kind
from elman.tasks.growing import drawn
from elman.tasks.translate import corpus, dialogues
from elman.tasks.translate.consensus import counts_of
from elman.tasks.translate.corpus import Part, Where, part_of
from elman.tasks.translate.settings import OF_DIALOGUES, OF_SYMBOLS, TranslateSettings
from elman.tasks.translate.symbols import Piece, Symbols
from elman.tasks.translate.telling import (
    choice_words,
    lists_words,
    metric_words,
    split_words,
)
from elman.tasks.translate.translator import Translator

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate

Task = TypeVar("Task", bound="Translate")

_JUDGED = 0.2
"""Share of a budget for writing what is judged."""
_WORK = 4e9
"""Floating-point operations a second that beam search makes at least, on one slow core."""
_ROOM = 1.2
"""Symbols of an answer at most, for each of the longest target of training."""


def made_from(
    kind: type[Task], data: Any, settings: TranslateSettings, valid: Any = None, test: Any = None
) -> Task:
    """Return the task that `Translate.from_data` makes."""
    given = _given(data, valid, test)
    pairs = corpus.read(data, settings)
    where = Where.of(pairs)
    if settings.metric in OF_DIALOGUES and not where.talks:
        raise InputError(
            f"metric={settings.metric} is for dialogues, and these are pairs.",
            fix="Leave it out.",
        )
    if settings.matching and not where.talks:
        raise InputError(
            "matching tells replies of dialogues from others, and these are pairs.",
            fix="Leave it out.",
        )
    parts, shared_out = _parts(pairs, given, settings, where)
    units = corpus.units_of(settings, parts["train"], pairs.listed)
    _check_units(units, pairs, settings, where)
    chooses = "test" in parts and dialogues.choice(parts["test"], settings.seed) is not None
    asked = settings
    settings = corpus.decided(settings, parts["train"], where.talks, chooses, units)
    train = parts["train"]
    judge = Judge.of(train.target, _kinds(settings), lowercase=bool(settings.lower))
    made = kind(settings, _fitted(train, settings, units), where, judge, parts)
    how = metric_words(asked.metric is not None, str(settings.metric))
    _finish(made, pairs, split_words(given, shared_out, parts), how)
    made.seen = Seen.of(made.learnt())
    return made


def grown_from(
    kind: type[Task],
    old: Task,
    data: Any,
    settings: TranslateSettings,
    valid: Any = None,
    test: Any = None,
) -> Task:
    """Return the task of a run that goes on from another one; see `elman.tasks.base.Growing`."""
    given = _given(data, valid, test)
    pairs = corpus.read(data, settings, old.where)
    if old.where.talks and pairs.groups is None:
        raise InputError(
            "these are pairs, and the run that this one goes on from learnt from dialogues.",
            file=pairs.places[0][0],
            fix="Give dialogues, or train a new run without --from.",
        )
    parts, shared_out = _parts(pairs, given, settings, old.where)
    _check_units(old.symbols.units, pairs, settings, old.where)
    if settings.metric == "recall_at_1" and "test" in parts:
        _check_choice(parts["test"], settings, pairs)
    symbols = old.symbols
    if set(symbols.units) != {"subwords"}:  # which can write every text
        symbols = symbols.grown(_fitted(parts["train"], settings, symbols.units))
    fresh = {part: len(found) for part, found in parts.items()}
    for part in ("train", "valid"):
        if part in parts and part in old._parts:
            before = old._parts[part]
            rows = drawn(len(before), settings.rehearsal or 0.0, settings.seed)
            parts[part] = parts[part].and_more(before.take(rows))
    made = kind(settings, symbols, old.where, old.judge, parts)
    more = {part: len(found) - fresh[part] for part, found in parts.items()}
    again = " and ".join(f"{count:,} in {part}" for part, count in more.items() if count)
    how = f"{settings.metric}, as in the run that this one goes on from"
    _finish(made, pairs, split_words(given, shared_out, parts), how)
    made._lines.insert(1, ("rehearsed", f"{again or 'none'} of the old pairs"))
    if old.seen is not None:
        made.seen = old.seen.with_more(made.learnt())
    return made


def _given(data: Any, valid: Any, test: Any) -> dict[str, Any]:
    """Return the data of each part that is given."""
    given = {"train": data, "valid": valid, "test": test}
    given = {part: source for part, source in given.items() if source is not None}
    if "train" not in given:
        raise InputError("There are no data to train on: None was given.")
    return given


def _parts(
    pairs: Pairs, given: dict[str, Any], settings: TranslateSettings, where: Where
) -> tuple[dict[str, Part], str]:
    """Return the parts of pairs, with those given by themselves, and how they were made."""
    parts, shared_out = corpus.parts_of(pairs, settings, given)
    for part in ("valid", "test"):
        if part in given:
            parts[part] = part_of(corpus.read(given[part], settings, where), where)
    return {part: parts[part] for part in ("train", "valid", "test") if part in parts}, shared_out


def _fitted(train: Part, settings: TranslateSettings, units: tuple[Piece, Piece]) -> Symbols:
    """Return the symbols of the training part."""
    return Symbols.fit(
        train.source,
        train.target,
        units,
        joint=settings.vocabulary == "joint",
        size=settings.vocabulary_size,
        min_count=settings.min_count or 1,
        lower=bool(settings.lower),
        max_source=settings.max_source,
        max_target=settings.max_target,
    )


def _finish(made: Translate, pairs: Pairs, split: str, metric: str) -> None:
    """Give a task the longest answer, the pairs that are judged, and what is said of its data.

    Args:
        made: the task.
        pairs: what was read.
        split: how they were shared out, in words.
        metric: the headline score and why it is that one, in words.
    """
    settings, parts = made.settings, made._parts
    lengths = np.array([len(ids) for ids in made._of("train")[1]])
    longest = int(min(settings.max_target, math.ceil(_ROOM * lengths.max())))
    made.where = replace(made.where, longest=max(made.where.longest, longest))
    judged = _judged_words(made)
    made._doubts = list(pairs.doubts)
    talks = made.where.talks and "test" in parts
    made._lines = [
        ("read", " ".join([*pairs.said, *lists_words(made.symbols.units, pairs)])),
        ("split", split),
        *([("judged", judged)] if judged else []),
        ("metric", metric),
        *([("replies", choice_words(parts["test"], settings.seed))] if talks else []),
        *(("", f"{name}: {how}") for name, how in made.judge.signatures().items()),
    ]


def _check_units(
    units: tuple[Piece, Piece], pairs: Pairs, settings: TranslateSettings, where: Where
) -> None:
    """Refuse lists whose entries are no symbols, and settings that do not fit what a step is.

    Raises:
        InputError: with the first wrong entry, or what to set.
    """
    file, names = pairs.places[0][0], dict(zip(("source", "target"), pairs.names, strict=True))
    for side, unit in zip(("source", "target"), units, strict=True):
        unfit = pairs.listed.get(side)
        if unit == "symbols" and unfit is not None:
            raise InputError(
                f"an entry of the lists in {names[side]!r} is empty or has a blank inside, so it "
                f"is no symbol: {unfit}.",
                file=file,
                fix="Write new_york for 'new york', say; or set unit=words to read the lists as "
                "texts.",
            )
    if units[1] == "symbols" and settings.consensus:
        raise InputError(
            f"consensus={settings.consensus} is for targets that are texts, and these are lists of "
            "symbols.",
            file=file,
            fix="Leave it out.",
        )
    if "symbols" in units and where.talks:
        raise InputError(
            "unit=symbols is for lists of symbols, and these are dialogues.",
            file=file,
            fix="Set unit=words.",
        )
    metric, listed = settings.metric, units[1] == "symbols"
    if metric is not None and metric != "perplexity" and listed != (metric in OF_SYMBOLS):
        kinds = ("texts", "lists of symbols")
        raise InputError(
            f"metric={metric} is for targets that are {kinds[not listed]}, and these are "
            f"{kinds[listed]}.",
            file=file,
            fix=f"Leave it out, or choose from {', '.join(OF_SYMBOLS)}."
            if listed
            else "Leave it out.",
        )
    if units[0] != units[1]:
        _check_apart(units, settings, file)


def _check_apart(
    units: tuple[Piece, Piece], settings: TranslateSettings, file: Path | None
) -> None:
    """Refuse settings that need one vocabulary where the sides are made of different things."""
    joint = "vocabulary" in settings.model_fields_set and settings.vocabulary == "joint"
    for name, given in (("vocabulary=joint", joint), ("copying", settings.copying)):
        if given:
            raise InputError(
                f"{name} needs both sides to be made of the same; the sources are {units[0]} and "
                f"the targets {units[1]}.",
                file=file,
                fix="Leave it out.",
            )


def _check_choice(test: Part, settings: TranslateSettings, pairs: Pairs) -> None:
    """Refuse a test part with too few replies to choose from, where that is the score.

    Raises:
        InputError: it says how many replies are needed.
    """
    if dialogues.choice(test, settings.seed) is None:
        raise InputError(
            f"the test part has fewer than {dialogues.REPLIES} different replies that are not of "
            "one dialogue, and recall_at_1, the score of the run that this one goes on from, "
            "chooses among as many.",
            file=pairs.places[0][0],
            fix="Give more dialogues, or a test part of its own with --test F.",
        )


def _judged_words(made: Translate) -> str | None:
    """Draw the pairs that are judged where the test part is too dear; return what to say."""
    test, settings = made._parts.get("test"), made.settings
    if test is None:
        return None
    most, why = settings.judge_at_most, "as set"
    if most is None and settings.budget is not None:
        with torch.device("meta"):
            model = Translator(made.symbols, settings)
        decoder = model.net.decoder
        weights = sum(p.numel() for p in decoder.parameters())
        steps = float(np.mean([len(ids) for ids in made._of("train")[1]]))
        work = 2.0 * max(settings.beam, *counts_of(settings)) * weights * steps
        most = max(100, int(_JUDGED * settings.budget * _WORK / work))
        why = f"for writing all would take more than {_JUDGED:.0%} of the budget"
    if most is None or most >= len(test):
        return None
    rows = np.random.default_rng(settings.seed).permutation(len(test))[:most]
    made._parts["test"] = test.take(np.sort(rows))
    return f"{most:,} of {len(test):,} pairs of the test part, drawn at random, {why}"


def _kinds(settings: TranslateSettings) -> tuple[Kind, ...]:
    """Return the scores that are computed; chrF always, for it can be told of a single answer."""
    if settings.metric in OF_SYMBOLS:
        return ("symbols",)
    if str(settings.metric).startswith("rouge"):
        return ("chrf", "rouge")
    return ("bleu", "chrf")
