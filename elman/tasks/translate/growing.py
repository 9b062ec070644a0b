"""A run of pairs that goes on from another: symbols that are matched, scores before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from torch import nn

from elman.data.seen import hashes_of
from elman.modalities.base import Indexed
from elman.scoring import Evaluation
from elman.tasks.growing import met_words
from elman.tasks.translate import judging
from elman.tasks.translate.translator import Translator

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate


def indexed(task: Translate) -> list[Indexed]:
    """Return the symbols of both sides, with their embeddings and scores."""
    ours, theirs = task.symbols.source, task.symbols.target
    axes = dict.fromkeys(("net.decoder.embedding.weight", "net.decoder.head.bias"), (0,))
    if not task.settings.tied:
        axes["net.decoder.head.own.weight"] = (0,)
    if task.symbols.joint:
        return [Indexed(task.symbols.units[1], theirs.symbols, axes, theirs.unknown)]
    reading = {"reading.weight": (0,)}
    return [
        Indexed(f"{task.symbols.units[0]} of sources", ours.symbols, reading, ours.unknown),
        Indexed(f"{task.symbols.units[1]} of targets", theirs.symbols, axes, theirs.unknown),
    ]


def before_and_after(
    new: Translate, old: Translate, before: nn.Module, after: nn.Module
) -> tuple[Evaluation, Evaluation]:
    """Score two models on the test part of another run.

    A symbol that was unknown before and is told apart now costs more by that alone, so what was
    unknown costs nothing in both.
    """
    part = old._to_score(None)
    known = [old.symbols.known(text) for text in part.target]
    then = judging.of_model(
        old, cast(Translator, before), part, judging.selecting(old, part), known
    )
    return then, judging.of_model(
        new, cast(Translator, after), part, judging.selecting(new, part), known
    )


def met_before(new: Translate, old: Translate) -> list[str]:
    """Return doubts where the new test part was learnt before, or the old one is learnt now."""
    met = missed = 0
    if old.seen is not None and "test" in new._parts:
        met = old.seen.shared(hashes_of(new._parts["test"].source))
    if "test" in old._parts:
        now, then = (task.learnt() for task in (new, old))
        asked = hashes_of(old._parts["test"].source)
        missed = int(np.isin(asked, np.setdiff1d(now, then)).sum())
    return met_words(met, missed, "sources")
