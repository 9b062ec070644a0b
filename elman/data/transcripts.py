"""Transcripts as tables: a row an utterance, with the call it belongs to, its speaker and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from elman.data.turns import SPEAKER, TEXT

if TYPE_CHECKING:
    from elman.data.table import Table

_GROUP = re.compile(
    r"(call|conversation|conv|dialogue|dialog|chat|session|interaction|meeting|thread|ticket|case|"
    r"debate|episode|scene)s?([\W_]*(id|no|nr|num|number|key|uuid))?",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"((start|begin)([\W_]*(time|s|sec|seconds|ms))?|time([\W_]*stamp)?|date[\W_]*time|offset|order|"
    r"(turn|utterance|message|line|sentence|seq|sequence)([\W_]*(id|no|nr|num|number|index|idx))?|"
    r"position|seq)",
    re.IGNORECASE,
)
_SPEAKER = re.compile(rf"({'|'.join(SPEAKER)})([\W_]*(id|name|role|type|label))?", re.IGNORECASE)
_WORDY = ("text", "category")


class Transcript(NamedTuple):
    """The columns of a transcript."""

    group: str
    text: str
    speaker: str | None
    time: str | None


def transcript_of(
    table: Table,
    *,
    text: str | None = None,
    group: str | None = None,
    time: str | None = None,
    taken: Sequence[str] = (),
    asked: bool = False,
) -> Transcript | None:
    """Return the columns of a table of utterances, or None where it is not surely one.

    Without being asked for, a table is one where a column is called like a conversation and names
    several rows of it, one like a speaker, and one like a text.

    Args:
        table: typed columns.
        text, group, time: columns that were given.
        taken: columns of the answer.
        asked: whether the rows are meant to be utterances.
    """
    free = [name for name in table.kinds if name not in taken]
    group = group or _called(_GROUP, free, [n for n in free if _repeats(table, n)])
    others = [name for name in free if name not in (group, time)]
    words = [name for name in others if table.kinds[name] in _WORDY]
    known = {name.casefold().strip(): name for name in words}
    text = text or next((known[name] for name in TEXT if name in known), None)
    if text is None:
        texts = [name for name in words if table.kinds[name] == "text"]
        text = texts[0] if len(texts) == 1 else None
    others = [name for name in others if name != text]
    speaker = _called(_SPEAKER, others, others)
    if group is None or text is None or (speaker is None and not asked):
        return None
    others = [name for name in others if name != speaker]
    ordered = [name for name in others if table.kinds[name] in ("time", "number")]
    return Transcript(group, text, speaker, time or _called(_TIME, others, ordered))


def _called(pattern: re.Pattern[str], names: Sequence[str], able: Sequence[str]) -> str | None:
    """Return the first of some names that fits a pattern and may be used so."""
    return next((n for n in names if n in able and pattern.fullmatch(n.strip())), None)


def _repeats(table: Table, name: str) -> bool:
    cells = table.frame[name]
    fits = table.kinds[name] in ("category", "text", "number")
    return fits and bool(cells.dropna().duplicated().any())
