"""Names that differ only in how they are written: in case, blanks or the form of letters."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN = 3
"""Groups of names that a doubt shows."""
AS_ONE = (
    "They are learnt as different ones; if they are one, write them alike in the data, and train "
    "again."
)
"""The remedy where labels are written in several ways."""
AS_OTHERS = "They are read as different ones; if they are one, write them alike."


def plain(name: str) -> str:
    """Return a name in lower case, in one form of its letters, with single blanks.

    >>> plain("Ｓｐａｍ ") == plain("spam"), plain("cafe\\u0301") == plain("CAFÉ")
    (True, True)
    """
    letters = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(
        c if not c.isspace() else " " for c in letters if unicodedata.category(c) != "Cf"
    )
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def groups(names: Iterable[str]) -> list[list[str]]:
    """Return the names that differ only in how they are written, those that are alike together."""
    known = defaultdict[str, list[str]](list)
    for name in names:
        known[plain(name)].append(name)
    return [alike for alike in known.values() if len(alike) > 1]


def doubts(counts: Mapping[str, int], what: str, remedy: str) -> list[str]:
    """Return one doubt about names that are written in several ways.

    Args:
        counts: name → how often it comes.
        what: one name in a word, in the plural.
        remedy: what to do.
    """
    found = groups(counts)
    if not found:
        return []
    shown = "; ".join(_shown(alike, counts) for alike in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return [f"{what} that differ only in how they are written: {shown}{more}. {remedy}"]


def _shown(names: list[str], counts: Mapping[str, Any]) -> str:
    ordered = sorted(names, key=lambda name: (-counts[name], name))
    # Two that look the same are told apart by the codes of their letters.
    same = len({unicodedata.normalize("NFC", name) for name in ordered}) < len(ordered)
    told = [ascii(name) if same else repr(name) for name in ordered]
    return " and ".join(f"{name} ({counts[n]:,})" for name, n in zip(told, ordered, strict=True))
