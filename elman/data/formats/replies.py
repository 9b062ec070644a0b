"""Dialogues: turns of two or more speakers, and the pairs of context and reply in them.

Read from text with a dialogue a line (turns end in `__eou__`) or a turn a line (a blank line
between dialogues), JSON (lists of turns), YAML, and tables with a row for each turn.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from elman.data import files
from elman.data.formats import json_lines
from elman.data.table import Table
from elman.data.turns import END
from elman.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 200
_LISTS = ("dialogue", "dialog", "turns", "utterances", "messages", "conversation", "conversations")
_WORDS = ("text", "utterance", "content", "message", "value", "sentence", "turn", "body")
_WHO = ("speaker", "role", "from", "author", "sender", "user", "speaker_id")
_WHICH = (
    *("conversation", "conversation_id", "dialogue", "dialogue_id", "dialog", "dialog_id"),
    *("conv_id", "thread", "thread_id", "call", "call_id", "session", "session_id"),
    "chat_id",
)
_WHEN = (
    *("order", "turn_number", "turn_id", "turn_no", "turn", "position", "index", "number"),
    *("utterance_id", "utterance_idx", "time", "timestamp", "date", "created_at"),
)


@dataclass(frozen=True)
class Turn:
    """One turn: its text, its line or row, and its speaker where that is known."""

    text: str
    line: int
    speaker: str | None = None


@dataclass(frozen=True)
class Dialogue:
    """The turns of one dialogue, in order; none is empty."""

    file: Path | None
    turns: list[Turn]


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

    >>> hi = Dialogue(None, [Turn("Hi.", 1), Turn("Hello.", 1), Turn("Bye.", 1)])
    >>> [(one.context, one.text) for one in replies([hi], 2)]
    [('Hi.', 'Hello.'), ('Hi. __eou__ Hello.', 'Bye.')]
    """
    first: dict[tuple[str, ...], int] = {}
    for place_of, dialogue in enumerate(dialogues):
        texts = [turn.text for turn in dialogue.turns]
        number = first.setdefault(tuple(map(str.casefold, texts)), place_of)
        for place, turn in enumerate(dialogue.turns[1:], 1):
            context = f" {END} ".join(texts[max(0, place - turns) : place])
            yield Reply(context, turn.text, (dialogue.file, turn.line), number)


def made(file: Path | None, turns: Iterable[Turn]) -> Dialogue:
    """Return a dialogue of turns: blanks are single, empty turns are left out, and turns of one
    speaker that follow each other are one."""
    kept: list[Turn] = []
    for turn in turns:
        text = " ".join(turn.text.split())
        if not text:
            continue
        last = kept[-1] if kept else None
        if last is not None and turn.speaker is not None and last.speaker == turn.speaker:
            kept[-1] = Turn(f"{last.text} {text}", last.line, last.speaker)
        else:
            kept.append(Turn(text, turn.line, turn.speaker))
    return Dialogue(file, kept)


def in_text(path: Path, encoding: str | None = None) -> str | None:
    """Return how the turns of a text file stand: "marks", "lines", or None where it has none."""
    head = list(itertools.islice(files.lines(path, encoding), _LOOKED_AT))
    if any(END in line for line in head):
        return "marks"
    full = [bool(line.strip()) for line in head]
    groups = [len(list(run)) for filled, run in itertools.groupby(full) if filled]
    return "lines" if len(groups) > 1 and max(groups) > 1 else None


def from_text(path: Path, encoding: str | None = None) -> list[Dialogue]:
    """Read a dialogue a line, or a turn a line with a blank line between dialogues.

    What follows a tab in a line of dialogue, such as numbers of topics and acts, is left out.
    """
    marks = in_text(path, encoding) == "marks"
    found: list[Dialogue] = []
    held: list[Turn] = []
    for number, line in enumerate(files.lines(path, encoding), 1):
        if marks:
            text = line.split("\t")[0]
            if text.strip():
                found.append(made(path, (Turn(one, number) for one in text.split(END))))
        elif line.strip():
            held.append(Turn(line, number))
        elif held:
            found.append(made(path, held))
            held = []
    return [*found, made(path, held)] if held else found


def in_json(path: Path, encoding: str | None = None) -> bool:
    """Tell whether a JSON file holds lists of turns, by its first value."""
    first = next((value for _, value in json_lines.values(path, encoding)), None)
    return isinstance(first, list | str) or (isinstance(first, dict) and _list_in(first) != "")


def from_json(path: Path, encoding: str | None = None) -> list[Dialogue]:
    """Read lists of turns, a turn being a text or an object with a text and a speaker.

    Raises:
        InputError: a value is no list of turns.
    """
    found: list[Dialogue] = []
    loose: list[Turn] = []
    for number, value in json_lines.values(path, encoding):
        if isinstance(value, str):  # the file is one list of turns
            loose.append(Turn(value, number))
            continue
        name = _list_in(value) if isinstance(value, dict) else ""
        listed = value.get(name) if isinstance(value, dict) else value
        if not isinstance(listed, list):
            raise InputError(
                "Here stands no list of turns.",
                file=path,
                row=number,
                fix='Write ["Hello.", "Hi, how are you?"], or {"turns": [...]}.',
            )
        if listed and all(isinstance(one, list) for one in listed):
            found += [made(path, _turns(one, path, number)) for one in listed]
        else:
            found.append(made(path, _turns(listed, path, number)))
    return [*found, made(path, loose)] if loose else found


def _list_in(record: dict[str, Any]) -> str:
    """Return the name under which an object has its turns, or nothing."""
    folded = {name.casefold(): name for name in record}
    named = [folded[name] for name in _LISTS if name in folded]
    for name in [*named, *(record if len(record) == 1 else [])]:
        value = record[name]
        if isinstance(value, list) and value and all(map(_like_turn, value)):
            return name
    return ""


def _like_turn(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_like_turn, value))
    return isinstance(value, str) or (isinstance(value, dict) and _key(value, _WORDS) is not None)


def _turns(listed: Sequence[Any], path: Path, number: int) -> Iterator[Turn]:
    for place, one in enumerate(listed, 1):
        words = _key(one, _WORDS) if isinstance(one, dict) else None
        text = one[words] if words is not None else one
        if not isinstance(text, str):
            raise InputError(
                f"Turn {place} of the dialogue is no text.",
                file=path,
                row=number,
                fix='Write a text, or {"speaker": "A", "text": "Hello."}.',
            )
        who = _key(one, _WHO) if isinstance(one, dict) else None
        yield Turn(text, number, None if who is None else str(one[who]))


def _key(record: dict[str, Any], names: Sequence[str]) -> str | None:
    folded = {name.casefold(): name for name in record}
    return next((folded[name] for name in names if name in folded), None)


def from_yaml(path: Path, encoding: str | None = None) -> list[Dialogue]:
    """Read lists of turns in YAML: alone, or under `conversations` as ChatterBot has them.

    Only the nodes are looked at: no object is ever made of what the file says.

    Raises:
        InputError: it is not YAML, or holds something else; the message has the line.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(files.whole(path, encoding), Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"The file is not sound YAML ({error.problem}).",
            file=path,
            row=None if mark is None else mark.line + 1,
            fix="Put quotes around a turn that holds a colon, or begins with a mark.",
        ) from None
    except yaml.YAMLError as error:
        raise InputError(
            f"The file is not sound YAML ({str(error).splitlines()[0][:80]}).", file=path
        ) from None
    if isinstance(root, yaml.MappingNode):
        under = {
            key.value.casefold(): node
            for key, node in root.value
            if isinstance(key, yaml.ScalarNode)
        }
        root = next((under[name] for name in _LISTS if name in under), None)
    if not isinstance(root, yaml.SequenceNode):
        raise InputError(
            "The file holds no list of dialogues.",
            file=path,
            fix="Write them under `conversations:`, each a list of turns.",
        )
    if all(isinstance(node, yaml.ScalarNode) for node in root.value):
        return [made(path, _yaml_turns(root, path))]
    return [made(path, _yaml_turns(node, path)) for node in root.value]


def _yaml_turns(node: yaml.Node, path: Path) -> Iterator[Turn]:
    if isinstance(node, yaml.ScalarNode):  # one turn alone among dialogues
        yield Turn(node.value, node.start_mark.line + 1)
        return
    if not isinstance(node, yaml.SequenceNode):
        raise InputError(
            "Here stands no list of turns.",
            file=path,
            row=node.start_mark.line + 1,
            fix="Write `- - Hello.` and below it `  - Hi.`",
        )
    for one in node.value:
        if not isinstance(one, yaml.ScalarNode):
            raise InputError(
                "A turn is no text.",
                file=path,
                row=one.start_mark.line + 1,
                fix="Put quotes around a turn that holds a colon.",
            )
        # As it is written: `No` is a word here, not a truth value.
        yield Turn(one.value, one.start_mark.line + 1)


@dataclass(frozen=True)
class Columns:
    """The columns of a table with a row for each turn; speaker and order may be missing."""

    conversation: str
    text: str
    speaker: str | None
    order: str | None


def in_table(table: Table) -> Columns | None:
    """Return the columns of a table of turns, or None where it is none."""
    found = named_columns(list(table.kinds))
    if found is None or table.kinds[found.text] not in ("text", "category"):
        return None
    return found


def named_columns(names: Sequence[str]) -> Columns | None:
    """Return what columns of a table of turns are called, or None where they are of none.

    >>> named_columns(["call_id", "time", "speaker", "text"])
    Columns(conversation='call_id', text='text', speaker='speaker', order='time')
    """
    folded = {re.sub(r"[ -]", "_", name.casefold()): name for name in names}
    found: list[str | None] = []
    for choices in (_WHICH, _WORDS, _WHO, _WHEN):
        free = [folded[one] for one in choices if one in folded and folded[one] not in found]
        found.append(free[0] if free else None)
    conversation, text, speaker, order = found
    if conversation is None or text is None:
        return None
    return Columns(conversation, text, speaker, order)


def from_table(table: Table, columns: Columns) -> list[Dialogue]:
    """Read a row for each turn; the rows of a conversation may stand anywhere.

    Raises:
        InputError: the column of the order holds neither numbers nor times.
    """
    rows = _in_order(table, columns)
    which = table.column(columns.conversation, "category").tolist()
    texts = table.column(columns.text, "text").tolist()
    who = None if columns.speaker is None else table.column(columns.speaker, "category").tolist()
    grouped: dict[Any, list[int]] = {}
    for row in rows:
        if which[row] is None:
            raise table.refuse(
                "The conversation is missing.", row, columns.conversation, "Fill it in."
            )
        grouped.setdefault(which[row], []).append(row)
    found = []
    for members in grouped.values():
        file = table.where(members[0])[0]
        found.append(
            made(
                file,
                (
                    Turn(texts[row] or "", table.where(row)[1], who[row] if who else None)
                    for row in members
                ),
            )
        )
    return found


def _in_order(table: Table, columns: Columns) -> list[int]:
    if columns.order is None:
        return list(range(len(table)))
    kind = table.kinds[columns.order]
    values: pd.Series = table.column(columns.order, kind if kind == "time" else "number")
    missing = values.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise table.refuse("The order is missing.", row, columns.order, "Fill it in.")
    return [int(row) for row in values.reset_index(drop=True).sort_values(kind="stable").index]
