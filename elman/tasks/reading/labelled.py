"""The table of training data, in which lines of plain text have labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from elman.data import Table
from elman.data.written_for import written_for
from elman.errors import InputError
from elman.tasks.reading.recorded import as_recordings, recordings_in
from elman.tasks.reading.tables import AS_FOUND, Writing, read

_OF_PROSE = 0.08
"""Share of the words of lines that are first words of some line, from which they are sentences."""
_AS_SENTENCES = 0.8
"""Share of lines that begin with a capital and go on without one, from which labels are doubted."""
_LOOKED_AT = 200
"""Lines by which a file that was written for a program is known."""
_MANY = 20
"""First words of which most may stand there once only in sentences."""


def learnable(source: Any, writing: Writing = AS_FOUND, *, text: str | None = None) -> Table:
    """Return the table of training data, in which plain text must have labels.

    Files of numbers in folders of their classes, or that a list names, are recordings: see
    `elman.data.recordings`. A column that `text` names is read as it is.

    Raises:
        InputError: as `elman.data.read`; or lines of text begin with words of a language, not with
            labels.
    """
    table = recordings_in(source, writing, text)
    if table is None:
        table = as_recordings(read(source, writing, labels="found"), source, writing, text)
    if table.meta.get("labels") == "first" and not table.meta["marked"]:
        _refuse_prose(table)
        doubts = _for_programs(table) or _as_prose(table)
        if doubts:
            doubts = [*table.meta.get("doubts", ()), *doubts]
            return replace(table, meta=table.meta | {"doubts": doubts})
    return table


def _for_programs(table: Table) -> list[str]:
    """Return a doubt where the lines were written for a program and their first words are no labels
    of a person."""
    cells = table.frame[:_LOOKED_AT]
    lines = [f"{label} {text}" for label, text in zip(cells["label"], cells["text"], strict=True)]
    found = written_for(table.source, lines)
    if found is None:
        return []
    where = "the file" if table.source is None else table.source.name
    return [
        f"{where} looks like {found}, and the first word of each line is taken as its label "
        f"({_commonest(table)}). If the lines have no labels, write a table with the columns text "
        "and label."
    ]


def _commonest(table: Table) -> str:
    counts = Counter(table.frame["label"]).most_common(3)
    return ", ".join(f"{name!r} ({count})" for name, count in counts)


def _as_prose(table: Table) -> list[str]:
    """Return a doubt where first words are written as sentences begin.

    A sentence begins with a capital and goes on without; a label beside a text is written as it
    likes, and the text begins with a capital of its own.
    """
    labels, texts = table.frame["label"], table.frame["text"]
    begun = labels.str.istitle() & labels.str.isalpha()
    going_on = texts.str.strip().str[:1].str.islower()
    if float((begun & going_on).mean()) < _AS_SENTENCES:
        return []
    return [
        f"the first word of each line is taken as its label ({_commonest(table)}); they are "
        "written as the beginnings of sentences are. If the lines have no labels, write the label, "
        "a tab and the text on each line."
    ]


def _refuse_prose(table: Table) -> None:
    """Refuse lines whose first words are as frequent within the lines: sentences, not labels."""
    firsts = Counter(table.frame["label"])
    words = {name.casefold() for name in firsts if name.replace("'", "").replace("’", "").isalpha()}
    spelt = sum(count for name, count in firsts.items() if name.casefold() in words)
    if len(words) <= 2 or 2 * spelt < len(table):
        return
    inside = Counter(word.casefold() for text in table.frame["text"] for word in text.split())
    share = sum(inside[word] for word in words) / max(1, inside.total())
    once = sum(count == 1 for count in firsts.values())
    if share < _OF_PROSE and not (len(firsts) > _MANY and 3 * once > len(firsts)):
        return
    shown = ", ".join(f"{name!r} ({count})" for name, count in firsts.most_common(3))
    raise InputError(
        f"The lines have no labels: they begin with {len(firsts)} different words, such as "
        f"{shown}, which are words of sentences.",
        file=table.source,
        fix="Write the label, a tab and the text on each line, or give a table with the columns "
        "text and label.",
    )
