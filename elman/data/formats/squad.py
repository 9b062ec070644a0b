"""Questions about passages, as SQuAD has them, which no task learns as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.errors import InputError


def refuse(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Refuse a file of questions whose answers are places in a passage.

    Args:
        records: all objects of the file: articles with paragraphs, or a question each.
        path: the file.

    Raises:
        InputError: it is one.
    """
    first = records[0]
    held = first.get("data")
    article = held[0] if isinstance(held, list) and held else first
    if not (_is_article(article) or _is_question(first)):
        return
    raise InputError(
        "These are questions about passages, as SQuAD has them: an answer is a place in its "
        "passage, which no task learns.",
        file=path,
        fix="To learn to write answers, write a table with the columns source (the question and "
        "its passage) and target (the answer): elman train translate TABLE. Other columns are read "
        "from a table that has them alone.",
    )


def _is_article(one: Any) -> bool:
    """Tell whether an object holds paragraphs, each a passage with questions."""
    paragraphs = one.get("paragraphs") if isinstance(one, Mapping) else None
    first = paragraphs[0] if isinstance(paragraphs, list) and paragraphs else None
    return isinstance(first, Mapping) and {"context", "qas"} <= set(first)


def _is_question(one: Mapping[str, Any]) -> bool:
    """Tell whether an object is a question, its passage, and the places of its answers."""
    answers = one.get("answers")
    places = isinstance(answers, Mapping) and "answer_start" in answers
    return places and {"context", "question"} <= set(one)
