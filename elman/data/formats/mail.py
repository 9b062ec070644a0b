"""Mail: mailboxes (`.mbox`) and files of one message (`.eml`), each message a text.

Of a message only its text is read: not the lines above it (the sender, the subject), nor what is
attached. The label is the mailbox, or the folder, where there are several.
"""

from __future__ import annotations

import email
import html
import mailbox
import re
from collections.abc import Iterator, Mapping, Sequence
from email import errors, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from elman.data import files
from elman.data.kinds import Kind
from elman.data.table import Origin, Table, build
from elman.errors import InputError

SUFFIXES = frozenset([".mbox", ".mbx", ".eml"])
"""Endings of the names of mail, in lower case."""

_BEGIN = re.compile(r"From \S+.*\d{4}")
_HEADER = re.compile(r"[A-Za-z][\w-]*:( |$)")
_UNLABELLED = (
    " Messages have a label where they lie in several mailboxes or folders: give a folder with one "
    "for each label."
)
_OF_MAILDIR = ("cur", "new")
_BROKEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_ENDS = re.compile(r"<(br|/p|/div|/tr|/li|/h\d)\b[^>]*>", re.IGNORECASE)
_MARK = re.compile(r"<[^>]*>")
_BLANKS = re.compile(r"[ \t\u00a0]+")
_QUOTED = re.compile(r"^>(>*From )", re.MULTILINE)


def is_mailbox(lines: Sequence[str]) -> bool:
    """Tell whether the first lines of a file are those of a mailbox, whatever its name says.

    >>> is_mailbox(["From ann@x.org Mon Jan  1 10:00:00 2024", "Subject: Lunch", "", "Today?"])
    True
    >>> is_mailbox(["From 1990 to 2020", "we went on", "", ""])
    False
    """
    return (
        len(lines) > 2
        and _BEGIN.match(lines[0]) is not None
        and all(_HEADER.match(line.lstrip(">")) for line in lines[1:2])
    )


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Table:
    """Read messages into the column `text`, and `label` where there are several places.

    Args:
        paths: mailboxes, or files of one message.
        columns: those to keep.
        types: column → kind.

    Raises:
        InputError: a file is empty, packed, or holds no message with a text.
    """
    import pandas as pd

    folders = {_folder(path).name for path in paths}
    texts: list[str] = []
    names: list[str] = []
    origins = []
    bare = 0
    for path in paths:
        numbers = []
        for number, message in enumerate(_messages(path), 1):
            text = text_of(message)
            if not text.strip():
                bare += 1
                continue
            texts.append(text)
            numbers.append(number)
        if not numbers:
            raise InputError(
                "No message in it has a text that can be read.", file=path, fix="Take it out."
            )
        name = _folder(path).name if len(folders) > 1 else path.name.split(".")[0]
        names += [name] * len(numbers)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    known: dict[str, Kind] = {"text": "text"}
    boxes = all(path.suffix.lower() != ".eml" for path in paths)
    notes = ["Mail: the text of each message, without its headers and attachments."]
    if len(folders) > 1 or (boxes and len(paths) > 1):
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
        notes.append(f"The label is the name of the {'folder' if len(folders) > 1 else 'file'}.")
    unlabelled = "" if "label" in frame else _UNLABELLED
    count = f"{bare:,} message{'' if bare == 1 else 's'}"
    left = [f"Left out: {count} without a text that can be read."] if bare else []
    meta = {"notes": notes, "left_out": left, "unlabelled": unlabelled}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def text_of(message: EmailMessage) -> str:
    """Return the text of a message: the plain one, or else that of its page without its marks."""
    body = message.get_body(("plain", "html"))
    if body is None:
        return ""
    try:
        content = body.get_content()
    except (LookupError, ValueError, KeyError):  # an encoding that is not known, or broken
        payload = body.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    if _is_broken(body, str(content)):
        return ""
    text = str(content).replace("\r\n", "\n").replace("\r", "\n")
    if body.get_content_subtype() == "html":
        text = html.unescape(_MARK.sub("", _ENDS.sub("\n", _BROKEN.sub("", text))))
        text = "\n".join(_BLANKS.sub(" ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", _QUOTED.sub(r"\1", text)).strip("\n") + "\n"


def _is_broken(body: Any, content: str) -> bool:
    """Tell whether a body that should be base64 is none, so that no text comes of it."""
    if any(isinstance(one, errors.InvalidBase64LengthDefect) for one in body.defects):
        return True
    wrong = any(isinstance(one, errors.InvalidBase64CharactersDefect) for one in body.defects)
    return wrong and "\ufffd" in content


def _messages(path: Path) -> Iterator[EmailMessage]:
    if files.is_gzip(path):
        raise InputError("This is gzip, not mail.", file=path, fix="Unpack it.")
    head = next(files.blocks(path, 4096), b"")
    if not head:
        raise InputError("The file is empty.", file=path)
    files.refuse_foreign(path, head)
    if not head.lstrip().startswith(b"From "):
        if path.suffix.lower() != ".eml":
            raise InputError(
                "This is no mailbox: it does not begin with 'From ', a sender and a date.",
                file=path,
                fix="Export the folder again as mbox, or save its messages as .eml.",
            )
        yield _parsed(path.read_bytes())
        return
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            yield _parsed(box.get_bytes(key))
    finally:
        box.close()


def _parsed(held: bytes) -> EmailMessage:
    return email.message_from_bytes(held, _class=EmailMessage, policy=policy.default)


def _folder(path: Path) -> Path:
    return path.parent.parent if path.parent.name in _OF_MAILDIR else path.parent
