"""Rows above the first row of values: the names of columns."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from elman.data.kinds import MISSING, is_number

_YEARS = range(1000, 3000)
_NAME = re.compile(r"[^\W\d_][\w.\-/]*( [\w.\-/]+){0,2}")
# Names of the two columns that files of labelled texts mostly have.
_LABEL = {
    *("annotation", "category", "class", "emotion", "intent", "label", "labels", "lang"),
    *("language", "polarity", "rating", "score", "sentiment", "stars", "tag", "target", "topic"),
    *("type", "y"),
}
_TEXT = {
    *("body", "comment", "content", "description", "document", "headline", "message", "name"),
    *("phrase", "question", "review", "sentence", "sms", "summary", "text", "title", "tweet"),
    *("utterance", "words", "x"),
}


def header_of(rows: Sequence[Sequence[str]]) -> tuple[list[str], bool]:
    """Return the names of columns, and whether the first row holds values instead of names.

    It holds values where a cell of it is a number like all below it, or a word that stands again
    and again below it. Numbers that count up, such as years, may be names.

    >>> header_of([["day", "y"], ["2024-01-01", "3"]])
    (['day', 'y'], False)
    >>> header_of([["5.1", "3.5", "setosa"], ["4.9", "3.0", "setosa"]])
    (['column 1', 'column 2', 'column 3'], True)
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    names = [name or f"column {place}" for place, name in enumerate(first, 1)]
    below = [row for row in below if len(row) == len(first)]
    written = [name for name in first if _is_number(name)]
    named = len(written) > 1 and _counted(written)
    values = False
    for place, cell in enumerate(first):
        column = [row[place].strip() for row in below]
        if not cell or not column:
            continue
        if _is_number(cell):
            alike = all(map(is_number, column)) and any(map(_is_number, column))
            year = cell.isdigit() and int(cell) in _YEARS and set(map(len, column)) != {4}
            values = values or (alike and not named and not year)
        else:
            again = column.count(cell)
            values = values or (again > 1 and 4 * len(set(column)) <= len(column))
    if not below and len(written) == len([cell for cell in first if cell]) > 0 and not named:
        values = True
    # A header in the middle is one of files that were put together, and is no value.
    repeated = not written and first in [[cell.strip() for cell in row] for row in below]
    if not values or repeated:
        return names, False
    return [f"column {place}" for place in range(1, len(first) + 1)], True


def names_label_and_text(
    labels: Sequence[str], texts: Sequence[str], *, strictly: bool = False
) -> bool:
    """Tell whether the first of labelled texts are the names of the two columns.

    Its label stands nowhere else, and is a word where all others are numbers, or one of the names
    that such columns have. Other words are names where every label below stands there twice or
    more and the texts below are longer.

    Args:
        labels, texts: a label and a text each.
        strictly: ask for two such names.

    >>> names_label_and_text(["sentiment", "pos", "neg"], ["review", "a good film", "a bad one"])
    True
    >>> names_label_and_text(["neutral", "pos", "neg"], ["fine", "a good film", "a bad one"])
    False
    """
    first, below = labels[0].strip(), Counter(label.strip() for label in labels[1:])
    name = texts[0].strip()
    if not below or first in below or not (_NAME.fullmatch(first) and _NAME.fullmatch(name)):
        return False
    if strictly:
        return first.casefold() in _LABEL and name.casefold() in _TEXT
    if all(map(_is_number, below)) or first.casefold() in _LABEL or name.casefold() in _TEXT:
        return True
    long = median(len(text.split()) for text in texts[1:]) > 2
    return min(below.values()) > 1 and long and " " not in first and " " not in name


def _is_number(cell: str) -> bool:
    return is_number(cell) and cell.strip() not in MISSING


def _counted(cells: Sequence[str]) -> bool:
    """Return true for whole numbers that rise by the same step, such as 0, 1, 2 or years."""
    if not all(cell.isdigit() for cell in cells):
        return False
    steps = {int(b) - int(a) for a, b in itertools.pairwise(cells)}
    return len(steps) == 1 and min(steps) > 0
