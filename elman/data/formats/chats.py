"""Chats as telephones export them (WhatsApp): date, time and sender before each message.

`12/03/24, 21:14 - Anna: text` or `[12/03/24, 21:14:05] Anna: text`; a line without a date goes on
with the message above it. A day is a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from elman.data import files
from elman.data.formats.dialogues import table_of
from elman.data.table import Origin, Table
from elman.data.turns import Conversation, Turn
from elman.errors import InputError

# Marks of the direction of writing stand before some lines.
_MARKS = "\u200e\u200f\u202a\u202c\ufeff"
_DATE = r"(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}(?=,))"
_HOUR = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[ap]\.?\s?m\.?)?"
_HEAD = re.compile(rf"\[?(?P<day>{_DATE}),?\s+{_HOUR}(?:\]\s*|\s+[-–]\s+)(?P<rest>.*)", re.I)
_SAID = re.compile(r"(?P<who>[^:]{1,60}):(?:\s+(?P<text>.*)|$)")
_SHOWN = (
    r"(?:bild|imagen?|imagem|immagine|afbeelding|video|vidéo|vídeo|audio|áudio|gif|sticker|"
    r"figurinha|document|dokument|documento|kontaktkarte)"
)
_NO_TEXT = re.compile(
    r"<[^<>]{3,40}>|.{1,30} omitted|"
    rf"{_SHOWN} (?:weggelassen|weggelaten|absente?|omise?|omitid[oa]|omess[oa]|ocultad[oa])",
    re.I,
)
"""Stands in place of a picture or a recording."""
_NOTICE = re.compile(
    r"(?:messages|nachrichten|les messages|los mensajes|i messaggi|berichten|as mensagens)\b"
    r".*\b(?:end-to-end|ende-zu-ende|bout en bout|extremo a extremo|ponta a ponta)\b.*",
    re.I,
)
"""The service's notice that a chat is encrypted, which some telephones put under a name."""
_OF_SERVICE = "\u200e"
"""iOS begins what nobody wrote, under the name of a sender, with this mark."""
_LOOKED_AT = 400


class _Message(NamedTuple):
    line: int
    day: str
    speaker: str
    text: str


def is_chat(lines: Sequence[str]) -> bool:
    """Tell whether the first lines of a text are messages of a chat.

    >>> is_chat(["12/03/24, 21:14 - Anna: Hi.", "and so on", "12/03/24, 21:15 - Bo: Yes."])
    True
    >>> is_chat(["2024-03-12 21:14:05 - main: started", "2024-03-12 21:14:06 - main: done"])
    False
    """
    filled = [line for line in lines[:_LOOKED_AT] if line.strip()]
    heads = [_HEAD.fullmatch(_plain(line)) for line in filled]
    if not heads or heads[0] is None:
        return False
    return sum(m is not None and _SAID.fullmatch(m["rest"]) is not None for m in heads) > 1


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read the messages of each day as a conversation, in the column `turns`.

    Lines of the service itself, which name no sender or are no sender's own, and marks of pictures
    are left out and counted.

    Raises:
        InputError: a file does not begin with a message, or has none.
    """
    cells: list[Conversation] = []
    origins, notes = [], ["A chat: the messages of a day are a conversation."]
    for path in paths:
        messages, of_service = _messages(path, encoding)
        said = [one for one in messages if not _NO_TEXT.fullmatch(one.text)]
        if not said:
            raise InputError("There are no messages with words in this file.", file=path)
        days = [list(of) for _, of in groupby(said, lambda one: one.day)]
        cells += [
            Conversation((Turn(m.speaker, m.text) for m in of), (m.line for m in of)) for of in days
        ]
        firsts = [of[0].line for of in days]
        origins.append(Origin(path, len(firsts), firsts.__getitem__))
        pictures = len(messages) - len(said)
        if of_service or pictures:
            notes.append(
                f"Left out of {path.name}: {of_service:,} lines of the service, which nobody "
                f"wrote, {pictures:,} pictures and recordings."
            )
    return table_of(cells, origins, columns, types, notes)


def _messages(path: Path, encoding: str | None) -> tuple[list[_Message], int]:
    found: list[_Message] = []
    of_service = 0
    goes_on = False  # a line without a date would go on with a message
    for number, line in enumerate(files.lines(path, encoding), 1):
        plain = _plain(line)
        if not plain:
            continue
        head = _HEAD.fullmatch(plain)
        if head is not None:
            said = _SAID.fullmatch(head["rest"])
            text = "" if said is None else (said["text"] or "").strip()
            marked = line.partition(": ")[2].startswith(_OF_SERVICE)
            nobody = _NOTICE.fullmatch(text) or (marked and not _NO_TEXT.fullmatch(text))
            goes_on = said is not None and not nobody
            if said is None or nobody:
                of_service += 1
            else:
                found.append(_Message(number, head["day"], said["who"].strip(), text))
        elif goes_on:
            last = found[-1]
            found[-1] = last._replace(text=f"{last.text} {plain}".strip())
        elif not of_service:
            raise InputError(
                "The line is no message: it does not begin with a date and a time.",
                file=path,
                row=number,
                fix="Write 12/03/24, 21:14 - Anna: and the text, or take it out.",
            )
    return found, of_service


def _plain(line: str) -> str:
    return line.translate({ord(mark): None for mark in _MARKS}).strip()
