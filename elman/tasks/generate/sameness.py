"""Texts that say one thing again and again, from which nothing can be learnt."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

_LOOKED_AT = 20_000
"""Characters in which the shortest repetition is looked for."""
_TIMES = 5
"""Repetitions from which a text says one thing again and again."""


def doubts(texts: Iterable[str]) -> list[str]:
    """Return a doubt where a text is one piece, such as a symbol or a line, again and again.

    Args:
        texts: pieces of it, in order; they are read as far as the repetition goes.

    >>> doubts(["aaaaaaaa"])
    ["the text is 'a' again and again, so there is nothing to learn from it."]
    >>> doubts(["a, b, c, d"])
    []
    """
    pieces = iter(texts)
    read = ""
    while len(read) < _LOOKED_AT and (piece := next(pieces, None)) is not None:
        read += piece
    head = read[:_LOOKED_AT].rstrip("\n")
    unit = head[: period(head)]
    if not unit or _TIMES * len(unit) > len(head):
        return []
    place = 0
    for piece in chain([read], pieces):
        own = piece.rstrip("\n")
        at = place % len(unit)
        if own != (unit * (len(own) // len(unit) + 2))[at : at + len(own)]:
            return []
        place += len(piece)
    what = repr(unit if len(unit) <= 40 else unit[:40] + "…")
    line = unit.strip("\n")
    if "\n" in unit and "\n" not in line:
        what = f"the line {line[:40]!r}"
    return [f"the text is {what} again and again, so there is nothing to learn from it."]


def period(text: str) -> int:
    """Return the length of the shortest piece of which a text is a repetition, the last one cut.

    Knuth, Morris & Pratt 1977: by the longest end that is also the beginning.

    >>> period("abcabcab"), period("abcd"), period("")
    (3, 4, 0)
    """
    ends = [0] * len(text)
    known = 0
    for place in range(1, len(text)):
        while known and text[place] != text[known]:
            known = ends[known - 1]
        known += text[place] == text[known]
        ends[place] = known
    return len(text) - (ends[-1] if ends else 0)
