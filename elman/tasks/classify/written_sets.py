"""Lists of labels as people write them in a cell: `['a', 'b']`, `{'a'}`, `[a b]`, `(a, b)`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any

_CLOSED = {"[": "]", "{": "}", "(": ")"}
_MOSTLY = 0.75
"""Share of cells in brackets, from which bare names in brackets are lists."""
_MARKS = ("|", ";", ",", "/", "+", "&", "#")
"""Marks that may stand between labels, the clearer ones first."""
_NEXT_TO = re.compile(r"""(['"])\s+(?=['"])""")
"""Two names in quotes without a mark between them, as NumPy prints them."""


def written_lists(cells: Sequence[Any]) -> list[list[Any] | None] | None:
    """Return the list that each cell of a column writes out, or None where they are no lists.

    A column with one list of names in quotes is one of lists; names without quotes are lists where
    nearly all cells stand in brackets, and some of them hold several. A cell that is no list is
    None.

    >>> written_lists(["['a', 'b']", "{'a'}", "['c' 'b']"])
    [['a', 'b'], ['a'], ['c', 'b']]
    >>> written_lists(["[late rude]", "[]"])
    [['late', 'rude'], []]
    >>> written_lists(["[late rude]", "[]", "late"]), written_lists(["[spam]", "ham"])
    (None, None)
    """
    there = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    if not there:
        return None
    if any(map(_in_quotes, there)):  # an empty list says nothing of how names are written
        return [_in_quotes(cell) for cell in cells]
    bare = [body for cell in there if (body := _within(cell)) is not None]
    if len(bare) < _MOSTLY * len(there) or any(":" in body for body in bare):
        return None
    mark = next((m for m in (",", ";", "|") if any(m in body for body in bare)), " ")
    if not any(mark in body.strip() for body in bare):
        return None
    return [None if (body := _within(cell)) is None else _names(body, mark) for cell in cells]


def separator_in(classes: Iterable[str]) -> tuple[str, str] | None:
    """Return the mark that parts several labels in one name of a class, and such a name.

    Half of the names between the marks, or more, stand in several classes.

    >>> separator_in(["late", "rude", "late, rude"]), separator_in(["Rome, Italy", "Oslo, Norway"])
    ((',', 'late, rude'), None)
    """
    names = sorted(set(classes))
    for mark in _MARKS:
        marked = [name for name in names if mark in name.strip(mark)]
        if not marked:
            continue
        within = defaultdict[str, set[str]](set)
        for name in names:
            for part in name.split(mark):
                within[part.strip()].add(name)
        parts = {part.strip() for name in marked for part in name.split(mark)} - {""}
        again = [part for part in parts if len(within[part]) > 1]
        if 2 * len(again) >= len(parts):
            return mark, marked[0]
    return None


def doubts_of_separators(classes: Iterable[str]) -> list[str]:
    """Return a doubt where names of classes look like several labels each."""
    found = separator_in(classes)
    if found is None:
        return []
    mark, name = found
    return [
        f"classes such as {name!r} look like several labels with {mark!r} between them, which "
        f"stand in other classes too. If they are, set label_separator={quote(mark)}."
    ]


def _within(cell: Any) -> str | None:
    """Return what stands in the brackets of a cell, or None where it has none around it."""
    text = cell.strip() if isinstance(cell, str) else ""
    if len(text) < 2 or _CLOSED.get(text[0]) != text[-1]:
        return None
    return text[1:-1]


def _in_quotes(cell: Any) -> list[Any] | None:
    """Return the list that a cell writes out as JSON, Python or NumPy prints it, or None."""
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    if text in ("set()", "frozenset()"):
        return []
    if text.startswith("frozenset(") and text.endswith(")"):
        text = text[10:-1]
    if _within(text) is None:
        return None
    # Python joins names in quotes that have no mark between them.
    if "," not in text:
        text = _NEXT_TO.sub(r"\1, ", text)
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    if isinstance(found, str | int) and text[0] == "(":
        found = [found]  # one name in round brackets is no tuple
    if not isinstance(found, list | set | tuple | frozenset):
        return None
    names = sorted(found, key=str) if isinstance(found, set | frozenset) else list(found)
    return names if all(isinstance(one, str | int) for one in names) else None


def _names(body: str, mark: str) -> list[str]:
    parts = body.split() if mark == " " else body.split(mark)
    return [name for part in parts if (name := part.strip().strip("'\""))]
