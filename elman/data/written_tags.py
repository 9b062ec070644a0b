"""Tags and spans that a table writes into one cell for a whole sentence."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.data.kinds import Kind, objects

if TYPE_CHECKING:
    from elman.data.table import Table

_WORDS = ("sentence", "sentences", "text", "words", "tokens", "utterance", "query")
_TAGS = (
    *("tags", "tag", "ner_tags", "ner", "labels", "label", "slots", "pos_tags", "upos", "pos"),
    *("bio", "iob", "bio_tags", "iob_tags"),
)
_SPAN_TAG = re.compile(r"O|[BIESLU]-\S+")
_SPANS = ("entities", "spans", "label", "labels")
_USED = 3
"""Times that a tag is used in the mean, from which it is one."""


def with_tags(table: Table) -> Table:
    """Return a table in which a cell of words and one of their tags, both with blanks between
    them, are lists; unchanged where their numbers differ in some row."""
    found = _columns(table)
    if found is None:
        return table
    text, tags = found
    words = [cell.split() for cell in table.frame[text]]
    marks = _lists(table, tags)
    assert marks is not None
    names = [name for row in marks for name in row]
    if any(len(one) != len(own) for one, own in zip(words, marks, strict=True)):
        return table
    known = _USED * len(set(names)) <= len(names) or all(map(_SPAN_TAG.fullmatch, names))
    if max(map(len, words), default=0) < 2 or not known:
        return table
    kinds: dict[str, Kind] = {**table.kinds, text: "tokens", tags: "tokens"}
    note = f"{tags!r} has a tag for each word of {text!r}, split at blanks."
    return replace(
        table,
        frame=table.frame.assign(**{text: objects(words), tags: objects(marks)}),
        kinds=kinds,
        meta={**table.meta, "notes": [*table.meta.get("notes", ()), note]},
    )


def refuse_unequal(table: Table) -> None:
    """Refuse a sentence that has more or fewer tags of spans than words.

    Raises:
        InputError: with its row, and both numbers.
    """
    found = _columns(table)
    if found is None:
        return
    text, tags = found
    marks = _lists(table, tags)
    if not marks or not all(_SPAN_TAG.fullmatch(name) for row in marks for name in row):
        return
    for row, (cell, own) in enumerate(zip(table.frame[text], marks, strict=True)):
        if len(cell.split()) != len(own):
            raise table.refuse(
                f"There are {len(own)} tags, and {text!r} has {len(cell.split())} words between "
                "blanks.",
                row,
                tags,
                "Give the words as a list too, or a blank between all that have a tag.",
            )


def spans_in(table: Table) -> list[tuple[Path, int, dict[str, Any]]] | None:
    """Return the rows of a table as objects with spans, where a column writes out lists of them,
    `[(0, 4, 'PER')]`; None where none does."""
    text = next((n for n, kind in table.kinds.items() if n.casefold().strip() in _WORDS), None)
    named = [n for n in table.kinds if n.casefold().strip() in _SPANS and n != text]
    if text is None or any(table.origins[k].file is None for k in range(len(table.origins))):
        return None
    for name in named:
        if table.kinds[name] not in ("text", "category") or not len(table):
            continue
        lists = [_spans(cell) for cell in table.frame[name]]
        if any(one is None for one in lists) or not any(lists):
            continue
        others = [n for n in table.kinds if n not in (text, name)]
        rows = []
        for row, spans in enumerate(lists):
            file, number = table.where(row)
            assert file is not None
            about = {n: table.frame[n].iloc[row] for n in others}
            rows.append(
                (file, number, {**about, "text": table.frame[text].iloc[row], "spans": spans})
            )
        return rows
    return None


def _columns(table: Table) -> tuple[str, str] | None:
    """Return the column of sentences and the one of their tags, or None."""
    names = {name.casefold().strip(): name for name in table.kinds}
    text = next((names[name] for name in _WORDS if name in names), None)
    tags = next((names[name] for name in _TAGS if name in names), None)
    if text is None or tags is None or not len(table):
        return None
    if table.kinds[text] not in ("text", "category"):
        return None
    if not all(isinstance(cell, str) and cell.strip() for cell in table.frame[text]):
        return None
    return (text, tags) if _lists(table, tags) is not None else None


def _lists(table: Table, name: str) -> list[list[str]] | None:
    """Return the names in each cell of a column, or None where they are no names."""
    cells = list(table.frame[name])
    if table.kinds[name] == "tokens":
        return [list(cell) for cell in cells] if all(cell is not None for cell in cells) else None
    if table.kinds[name] not in ("text", "category"):
        return None
    if not all(isinstance(cell, str) and cell.strip() for cell in cells):
        return None
    return [cell.split() for cell in cells]


def _spans(cell: Any) -> list[list[Any]] | None:
    """Return the spans that a cell writes out as Python or JSON does, or None."""
    text = cell.strip() if isinstance(cell, str) else ""
    if not text.startswith("["):
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None
    spans = [list(one) if isinstance(one, list | tuple) else one for one in found]
    return spans if all(map(_is_span, spans)) else None


def _is_span(one: Any) -> bool:
    if isinstance(one, dict):
        return "start" in one and "end" in one
    if not isinstance(one, Sequence) or len(one) != 3:
        return False
    return type(one[0]) is int and type(one[1]) is int and isinstance(one[2], str)
