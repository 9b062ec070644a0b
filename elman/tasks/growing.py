"""A task from examples that goes on from another run: new examples, and some of the old again.

New data are read as those of the other run were. Vocabulary and answers grow by what is new in
them; scales stay, since the weights were learnt with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.tasks.parts import check_cells, check_steps, chosen, installed, shared_out
from elman.tasks.reading.examples import Examples, examples_in, row_words
from elman.tasks.reading.later import table_like
from elman.tasks.reading.tables import Writing
from elman.tasks.understood import answer_words, columns_of, input_words


def grown(
    old: Any,
    given: dict[str, Any],
    settings: Any,
    split: Callable[[Any, dict[str, Examples]], str],
) -> Any:
    """Return the task of a run that goes on from another one; see `elman.tasks.base.Growing`.

    Args:
        old: the task of the other run, with its data where they are still there.
        given: from the name of a part to its data.
        settings: those of the other run, and what was set anew.
        split: gives the words about how examples were shared out, of settings and parts.

    Raises:
        InputError: the data cannot be read as those of the other run.
    """
    kind, layout, modality = type(old), old.layout, installed(old.layout.modality)
    if getattr(settings, "outside_data", None) is not None:
        raise InputError(
            "a run with outside_data cannot be grown: its examples of no class were shared out "
            "with the others.",
            fix="Put them into the training file, with a label, set outside=LABEL, and train a "
            "new run.",
        )
    writing = Writing.of(settings)
    parts, tables = dict[str, Examples](), dict[str, Any]()
    for part, source in given.items():
        tables[part], there = table_like(source, layout, kind.Answer, writing=writing)
        owners = [settings.together] if settings.together and part == "train" else []
        found = examples_in(tables[part], there, kind.Answer, owners=owners)
        parts[part] = replace(found, inputs=[old.codec.adapt(cell) for cell in found.inputs])
    settings = chosen(settings, layout, modality, parts["train"])
    parts = shared_out(parts, settings, kind.Answer)
    fresh = parts
    parts = {
        part: found.and_more(again(old, part, settings)) if part != "test" else found
        for part, found in parts.items()
    }
    train = parts["train"]
    answer = old.answer.grown(kind.Answer.fit(train, layout, settings))
    codec = old.codec.grown(modality.fit(train.inputs, settings))
    for found in parts.values():
        answer.check(found, layout)
        check_cells(codec, found)
    made = kind(settings, layout, codec, answer, parts)
    table, values = tables["train"], settings.model_dump()
    made.columns_read = columns_of(table, layout)
    more = {part: len(found) - len(fresh[part]) for part, found in parts.items()}
    read_again = " and ".join(f"{count:,} in {part}" for part, count in more.items() if count)
    made._read_lines = [
        ("read", " ".join(table.notes())),
        ("input", input_words(layout, values)),
        *row_words(table, layout),
        ("answer", answer_words(layout, values, kind.Answer.word)),
        ("rehearsed", f"{read_again or 'none'} of the old examples"),
        ("split", split(settings, fresh)),
    ]
    made._read_doubts = list(table.doubts())
    if old.seen is not None:
        learnt = [made._hashes[part] for part in ("train", "valid") if part in parts]
        made.seen = old.seen.with_more(np.concatenate(learnt))
    if layout.aligned:
        for part, found in parts.items():
            check_steps(found, made._inputs(part), codec.unit, layout, kind.Answer.word)
    return made


def again(old: Any, part: str, settings: Any) -> Examples:
    """Return the examples of a part of another run that are read again; each class keeps its share.

    None of a class is left out, however few it has.
    """
    found: Examples | None = old._parts.get(part)
    if found is None:
        return Examples([], [], lambda number: (None, number))
    strata = old.Answer.strata(found.answers or [])
    rows = drawn(len(found), settings.rehearsal, settings.seed, strata)
    return found.take(rows)


def drawn(
    count: int, share: float, seed: int, strata: NDArray[Any] | Sequence[Any] | None = None
) -> NDArray[np.int64]:
    """Return the numbers of a share of so many examples, in order; of each stratum one at least.

    >>> drawn(6, 0.5, 0, ["a", "a", "a", "a", "b", "c"]).tolist()
    [0, 2, 4, 5]
    """
    if not share:
        return np.empty(0, np.int64)
    generator = np.random.default_rng(seed)
    members: dict[Any, list[int]] = {}
    for row, name in enumerate([None] * count if strata is None else strata):
        members.setdefault(name, []).append(row)
    each = [
        generator.permutation(rows)[: max(1, round(share * len(rows)))] for rows in members.values()
    ]
    return np.sort(np.concatenate([np.empty(0, np.int64), *each]))


def met_before(new: Any, old: Any) -> list[str]:
    """Return doubts where the new test part was learnt before, or the old one is learnt now."""
    met = missed = 0
    if old.seen is not None and "test" in new._parts:
        met = old.seen.shared(new._hashes["test"])
    if "test" in old._parts:
        now, then = (
            np.concatenate([task._hashes[p] for p in ("train", "valid") if p in task._parts])
            for task in (new, old)
        )
        missed = int(np.isin(old._hashes["test"], np.setdiff1d(now, then)).sum())
    return met_words(met, missed, "examples")


def met_words(met: int, missed: int, what: str) -> list[str]:
    """Return doubts in words.

    Args:
        met: how many of the new test part the other run has learnt from.
        missed: how many of the old test part stand in the new data.
        what: is counted, in the plural.
    """
    doubts = []
    if met:
        doubts.append(
            f"{met:,} test {what} were learnt by the run that this one goes on from: the scores "
            "flatter. Take them out."
        )
    if missed:
        doubts.append(
            f"{missed:,} {what} of the old test part stand in the new data: more may be forgotten "
            "than its scores show."
        )
    return doubts
