"""Conversations: utterances one after another, each with its speaker where that is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, SupportsIndex, overload

import numpy as np

from elman.data.turn_names import CONVERSATIONS, SPEAKER, TEXT, key

END = "__eou__"
"""The mark after an utterance, as DailyDialog has it."""


_NAME = re.compile(r"([^\W\d_][^:]{0,40}):\s+(?=\S)")
_NAMES = ("name", "display_name", "username", "user", "id")
"""Names of the name of a speaker who is an object, the likelier ones first."""
_WORDS = 4
"""Words of a name before a colon at most."""


class Turn(NamedTuple):
    """An utterance and its speaker, who is "" where that is not known."""

    speaker: str
    text: str

    def __str__(self) -> str:
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


class Conversation(tuple[Turn, ...]):
    """Utterances in their order; as a string, a line each.

    Args:
        turns: the utterances.
        lines: the line of each in its file; none where that of the conversation is all that is
            known.

    >>> print(Conversation([Turn("agent", "Hello."), Turn("", "Hi.")]))
    agent: Hello.
    Hi.
    """

    lines: tuple[int, ...]

    def __new__(cls, turns: Iterable[Turn] = (), lines: Iterable[int] = ()) -> Self:
        """Make a conversation of utterances, with the line of each where it is known."""
        made = super().__new__(cls, turns)
        made.lines = tuple(lines)
        return made

    @overload
    def __getitem__(self, place: SupportsIndex) -> Turn: ...
    @overload
    def __getitem__(self, place: slice) -> Conversation: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Turn | Conversation:
        """Return one utterance, or a part of the conversation."""
        if isinstance(place, slice):
            return Conversation(tuple.__getitem__(self, place), self.lines[place])
        return tuple.__getitem__(self, place)

    def __str__(self) -> str:
        return "\n".join(map(str, self))


class NoTurns(ValueError):
    """A cell is no conversation; the message says why."""


def conversation(cell: Any) -> Conversation:
    """Return a conversation from a list of texts, of pairs (speaker, text), or of objects.

    Args:
        cell: the list, or its JSON. An object has its text under one of the names `TEXT` of
            `elman.data.turn_names`, and may have its speaker under one of `SPEAKER`.

    Raises:
        NoTurns: it is something else.

    >>> conversation([("agent", "Hello."), {"text": "Hi.", "speaker": "caller"}, "Bye."])[2]
    Turn(speaker='', text='Bye.')
    """
    if isinstance(cell, Conversation):
        return cell
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            cell = None
    if not isinstance(cell, list | tuple | np.ndarray):
        raise NoTurns("This is no conversation, a list of utterances.")
    return Conversation(turn(one, place) for place, one in enumerate(cell, 1))


def turn(one: Any, place: int = 1) -> Turn:
    """Return an utterance from a text, a pair (speaker, text), or an object.

    Raises:
        NoTurns: it is none of these; the message names its place in the conversation.
    """
    if isinstance(one, str):
        return Turn("", one)
    if isinstance(one, Mapping):
        text, speaker = named(one, TEXT), named(one, SPEAKER)
        if isinstance(speaker, Mapping):
            speaker = named(speaker, _NAMES)
        if isinstance(text, str):
            return Turn("" if speaker is None else str(speaker).strip(), text)
        has = ", ".join(map(str, list(one)[:6])) or "nothing"
        raise NoTurns(f"Utterance {place} has no text under {', '.join(TEXT[:4])}; it has {has}.")
    pair = isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[1], str)
    if pair and (isinstance(one[0], str) or one[0] is None):
        return Turn((one[0] or "").strip(), one[1])
    raise NoTurns(f"Utterance {place} is neither a text nor a pair of speaker and text.")


def before_colons(texts: Sequence[str]) -> list[Turn]:
    """Return utterances whose speakers stand before a colon, where names come back or are most.

    >>> found = before_colons(["ANN: Hi.", "Note: so.", "So.", "Yes.", "No."])
    >>> [one.speaker for one in found]
    ['ANN', '', '', '', '']
    """
    named = [_NAME.match(text) for text in texts]
    names = [m[1].strip() if m and len(m[1].split()) <= _WORDS else "" for m in named]
    counts = Counter(name for name in names if name)
    most = 2 * counts.total() > len(texts) > 1
    kept = {name for name, count in counts.items() if count > 1 or name.isupper() or most}
    return [
        Turn(name, text[m.end() :]) if m and name in kept else Turn("", text)
        for text, name, m in zip(texts, names, named, strict=True)
    ]


def named(one: Mapping[Any, Any], names: Sequence[str]) -> Any:
    """Return what an object has under the likeliest of some names, or None."""
    found = key(one, names)
    return None if found is None else one[found]


def usual(name: object) -> bool:
    """Tell whether a column is called like one of conversations."""
    return str(name).casefold().strip() in CONVERSATIONS


def is_conversation(name: object, cell: Any) -> bool:
    """Tell whether a cell can be meant for nothing but a conversation.

    Objects with speaker and text; where the column is called so also objects with a text, pairs
    of speaker and text, and texts of which one has a blank in it, for words have none.

    >>> is_conversation("turns", ["How are you?"]), is_conversation("words", ["How", "are"])
    (True, False)
    """
    if isinstance(cell, Conversation):
        return True
    if not isinstance(cell, list | tuple | np.ndarray) or not len(cell):
        return False
    if all(isinstance(one, str) for one in cell):
        return usual(name) and any(" " in one.strip() for one in cell)
    try:
        conversation(cell)
    except NoTurns:
        return False
    return usual(name) or (isinstance(cell[0], Mapping) and named(cell[0], SPEAKER) is not None)
