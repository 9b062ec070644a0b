"""Answers to sources that people give, as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from elman.errors import InputError
from elman.scoring.blending import Blend
from elman.tasks import gaps
from elman.tasks.translate import corpus, report
from elman.tasks.translate.corpus import Part, part_of
from elman.tasks.translate.symbols import Symbols
from elman.tasks.translate.writing import Answer, Options

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.translate.task import Translate


def predicted(task: Translate, model: Any, data: Any, how: dict[str, Any]) -> pd.DataFrame:
    """Write an answer for each source of data; see `Translate.predict`."""
    texts = corpus.raw(data, task.symbols.units[0])
    if texts is None:
        read = corpus.read(data, task.settings, task.where, answered=False)
        part = part_of(read, task.where)
    else:
        places = [(None, number) for number in range(1, len(texts) + 1)]
        part = Part(texts, [""] * len(texts), list(places))
    there = gaps.filled(part.source, lambda number: part.places[number]).tolist()
    alignments = bool(how.pop("alignments", False))
    if not isinstance(model, nn.Module | Blend):
        refuse_options(model, how | ({"alignments": True} if alignments else {}))
        said = task.rule_says(model, [part.source[number] for number in there])
        written = [[Answer(text, [], math.nan, math.nan, True)] for text in said]
        return table_of(task, part, _beside(len(part.source), there, written))
    options = options_with(task, how, "alignments")
    sources = [part.source[number] for number in there]
    answers = task.answers(model, sources, options, looks=alignments, rows=there)
    every = _beside(len(part.source), there, answers)
    return table_of(task, part, every, alignments=alignments)


def options_with(task: Translate, how: dict[str, Any], *others: str) -> Options:
    """Return the options of a task with others that are given by name."""
    known = [field.name for field in fields(Options)]
    for name in how:
        if name not in known:
            raise InputError(
                f"{name} is no option of writing.",
                fix=f"Choose from {', '.join([*known, *others])}.",
            )
    if how.get("consensus") and task.symbols.units[1] == "symbols":
        raise InputError(
            "consensus is for answers that are texts, and these are lists of symbols.",
            fix="Leave it out.",
        )
    return task._options.with_(**how)


def refuse_options(rule: Any, how: dict[str, Any]) -> None:
    """Refuse options of writing where a baseline answers."""
    if how:
        raise InputError(
            f"{next(iter(how))} is for the model; {rule.name} has no such option.",
            fix="Leave it out.",
        )


def table_of(
    task: Translate,
    part: Part,
    answers: Sequence[Sequence[Answer]],
    *,
    alignments: bool = False,
) -> pd.DataFrame:
    """Return where each source stands, what it is, and what is written for it.

    Where sources stand in the same place, `reply` counts them there.
    """
    import pandas as pd

    several = any(len(row) > 1 for row in answers)
    files = {file for file, _ in part.places}
    # Several replies of a dialogue that stands on one line have the same place.
    one_place = len(set(part.places)) < len(part.places)
    met: Counter[tuple[Path | None, int]] = Counter()
    rows: list[dict[str, Any]] = []
    for number, some in enumerate(answers):
        file, place = part.places[number]
        about: dict[str, Any] = {"file": None if file is None else file.name}
        about = (about if len(files) > 1 else {}) | {"row": place}
        met[part.places[number]] += 1
        about |= {"reply": met[part.places[number]]} if one_place else {}
        [about["source"]] = as_given(task.symbols, [part.source[number]], 0)
        for rank, answer in enumerate(some or [Answer("", [], 0.0, 0.0, True)], 1):
            row = about | ({"rank": rank} if several else {}) | {}
            [row["prediction"]] = as_given(task.symbols, [answer.text], 1)
            if answer.score == answer.score:
                row["score"] = answer.score
            if answer.log_probability == answer.log_probability:
                row["log_probability"] = answer.log_probability
                row["ended"] = answer.ended
            if alignments:
                row["alignment"] = report.aligned(task.symbols, part.source[number], answer)
            rows.append(row)
    return pd.DataFrame(rows)


def as_given(symbols: Symbols, texts: Sequence[str], side: int) -> list[Any]:
    """Return texts of sources (side 0) or targets (side 1) as people have them: lists of
    symbols where they are made of symbols."""
    listed = symbols.units[side] == "symbols"
    return [text.split() for text in texts] if listed else list(texts)


def _beside(
    count: int, there: Sequence[int], answers: Sequence[Sequence[Answer]]
) -> list[Sequence[Answer]]:
    """Return an answer for each of `count` sources: an empty one for those that are not there."""
    every: list[Sequence[Answer]] = [[Answer("", [], math.nan, math.nan, True)]] * count
    for number, some in zip(there, answers, strict=True):
        every[number] = some
    return every
