"""Pairs of a context and a reply out of conversations, however those were read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from elman.data import transcripts
from elman.data.recordings import FILE
from elman.data.table import Table
from elman.data.turns import END, Conversation, Turn

_INSTRUCTIONS = frozenset(["system", "developer"])
_PERSONS = frozenset(["user", "human"])
_MODELS = frozenset(["assistant", "gpt", "model", "chatgpt", "bot", "ai"])
"""Roles in conversations with a language model: instructions, the person, and the model."""


class Dialogue(NamedTuple):
    """A conversation and the file it stands in."""

    file: Path | None
    turns: Conversation


@dataclass(frozen=True)
class Reply:
    """A reply with the turns before it.

    Attributes:
        context: the turns, `END` between them.
        text: the reply.
        place: the file and the line of the reply.
        dialogue: the number of its dialogue; dialogues of the same turns have one.
    """

    context: str
    text: str
    place: tuple[Path | None, int]
    dialogue: int


def replies(dialogues: Sequence[Dialogue], turns: int) -> Iterator[Reply]:
    """Yield every turn but the first of each dialogue, with up to `turns` turns before it.

    >>> said = Conversation([Turn("", "Hi."), Turn("", "Hello."), Turn("", "Bye.")], [1, 2, 3])
    >>> [(one.context, one.text) for one in replies([Dialogue(None, said)], 2)]
    [('Hi.', 'Hello.'), ('Hi. __eou__ Hello.', 'Bye.')]
    """
    first: dict[tuple[str, ...], int] = {}
    for number, dialogue in enumerate(dialogues):
        texts = [turn.text for turn in dialogue.turns]
        alike = first.setdefault(tuple(map(str.casefold, texts)), number)
        for place in range(1, len(texts)):
            context = f" {END} ".join(texts[max(0, place - turns) : place])
            yield Reply(context, texts[place], (dialogue.file, dialogue.turns.lines[place]), alike)


def joined(file: Path | None, said: Conversation, line: int) -> Dialogue:
    """Return a dialogue of turns: blanks are single, empty turns are left out, and turns of one
    speaker that follow each other are one.

    Args:
        file: where it stands.
        said: the utterances.
        line: where it begins, for utterances of which no line is known.
    """
    kept: list[Turn] = []
    lines: list[int] = []
    for one, place in zip(said, said.lines or [line] * len(said), strict=True):
        text = " ".join(one.text.split())
        if not text:
            continue
        last = kept[-1] if kept else None
        if last is not None and one.speaker and last.speaker == one.speaker:
            kept[-1] = Turn(one.speaker, f"{last.text} {text}")
        else:
            kept.append(Turn(one.speaker, text))
            lines.append(place)
    return Dialogue(file, Conversation(kept, lines))


def of_table(table: Table) -> tuple[list[Dialogue], list[str]] | None:
    """Return the dialogues of a table and how they were found, or None where it has none.

    They stand in a column of conversations, or a row is a turn; then the rows of a conversation
    may stand anywhere.

    Raises:
        InputError: a conversation, its name or the order of a row is missing.
    """
    cells = [name for name, kind in table.kinds.items() if kind == "turns"]
    if len(cells) == 1:
        name = cells[0]
        column = list(table.column(name))
        empty = [row for row, cell in enumerate(column) if not cell]
        table.refuse_missing(empty, name, "Here stands no list of turns")
        column, instructed = _without_instructions(column)
        places = [table.where(row) for row in range(len(table))]
        said = [
            joined(place[0], cell, place[1]) for cell, place in zip(column, places, strict=True)
        ]
        left = [repr(other) for other in table.kinds if other != name]
        return said, [
            *_counted(column),
            *instructed,
            *([f"Left out: {', '.join(left)}."] if left else []),
        ]
    found = transcripts.transcript_of(table, asked=True)
    if found is None:
        return None
    if found.group is None:
        table = transcripts.by_file(table)
        found = found._replace(group=FILE)
    every = transcripts.rows_of(table, found.group, found.time)
    written, of_service = transcripts.of_service(table, every)
    rows = list(written.values())
    spoken = transcripts.said(table, found.text, found.speaker, found.time, rows)
    column, instructed = _without_instructions(spoken)
    said = [
        joined(*_begin(table, members[0], cell)) for members, cell in zip(rows, column, strict=True)
    ]
    told = [found.group, found.speaker, found.text, found.time]
    how = "ordered as they stand" if found.time is None else "ordered by the last"
    words = f"A row is a turn: columns {', '.join(repr(one) for one in told if one)}; {how}."
    unread = transcripts.unread_times(table, found)
    unread += [
        f"{words[0].upper()}{words[1:]}"
        for words in transcripts.in_several_files(table, found.group)
    ]
    told_of = [f"Messages of the service, left out: {of_service:,}."] if of_service else []
    return said, [words, *_counted(column), *told_of, *instructed, *unread]


def _without_instructions(
    cells: Sequence[Conversation],
) -> tuple[list[Conversation], list[str]]:
    """Return conversations of a person and a model without what tells the model how to answer.

    Such a turn answers nobody and is answered by nobody.

    Args:
        cells: conversations with the roles that interfaces of language models give.

    Returns:
        The conversations, and how many turns were left out, in a sentence.
    """
    roles = {one.speaker.casefold() for cell in cells for one in cell}
    if not (roles & _INSTRUCTIONS and roles & _PERSONS and roles & _MODELS):
        return list(cells), []
    kept, gone = [], 0
    for cell in cells:
        keeps = [one.speaker.casefold() not in _INSTRUCTIONS for one in cell]
        gone += keeps.count(False)
        kept.append(Conversation(compress(cell, keeps), compress(cell.lines, keeps)))
    shown = " and ".join(sorted(roles & _INSTRUCTIONS))
    return kept, [
        f"Turns of the role {shown}, which tell a model how to answer, left out: {gone:,}."
    ]


def _begin(table: Table, row: int, cell: Conversation) -> tuple[Path | None, Conversation, int]:
    file, line = table.where(row)
    return file, cell, line


def _counted(cells: Sequence[Conversation]) -> list[str]:
    """Return how many turns hold no word, and how many name nobody where others do."""
    turns = [one for cell in cells for one in cell]
    empty = sum(not one.text.strip() for one in turns)
    mute = sum(not one.speaker for one in turns)
    found = [f"Turns without a word, left out: {empty:,}."] if empty else []
    if 0 < mute < len(turns):
        found.append(f"{mute:,} of {len(turns):,} turns name no speaker.")
    return found
