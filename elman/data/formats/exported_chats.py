"""The exports of Telegram, Discord and Messenger: chats of messages, some of which nobody wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_WRITTEN = {"Telegram": {"message"}, "Discord": {"Default", "Reply"}}
"""Types of messages that somebody wrote, as each program calls them."""

_OF_MESSENGER = {"sender_name", "timestamp_ms"}


class Chats(NamedTuple):
    """Chats without the messages of the service, the program that wrote them, and in sentences
    what was left out."""

    rows: list[dict[str, Any]]
    program: str
    left_out: list[str]


def chats(records: Sequence[Mapping[str, Any]]) -> Chats | None:
    """Return a row for each chat in which somebody wrote; None for anything else.

    Args:
        records: all objects of a file: one chat, or one export of all of Telegram.

    >>> said, joined = {"type": "message", "text": "so"}, {"type": "service", "text": ""}
    >>> chats([{"name": "us", "messages": [joined, said]}]).rows
    [{'name': 'us', 'messages': [{'type': 'message', 'text': 'so'}]}]
    """
    if len(records) != 1:
        return None
    found = _all_chats(records[0]) or records
    programs = {_program(one) for one in found}
    program = programs.pop()
    if programs or program is None:
        return None
    rows, of_service = [], 0
    if program == "Messenger":
        return _of_messenger(found)
    for one in found:
        messages = [each for each in one["messages"] if each["type"] in _WRITTEN[program]]
        of_service += len(one["messages"]) - len(messages)
        if messages:
            rows.append({**one, "messages": messages})
    said = [f"Messages of the service, left out: {of_service:,}."] if of_service else []
    if len(rows) < len(found):
        silent = len(found) - len(rows)
        said.append(f"{silent:,} of {len(found):,} chats were left out: nobody wrote in them.")
    return Chats(rows, program, said)


def _of_messenger(found: Sequence[Mapping[str, Any]]) -> Chats:
    """Return chats of Messenger or Instagram in the order of their times, the newest last.

    Their letters beyond ASCII are bytes of UTF-8 written as letters, which are put right.
    """
    rows, silent = [], 0
    for one in found:
        texts = [each for each in one["messages"] if isinstance(each.get("content"), str)]
        silent += len(one["messages"]) - len(texts)
        messages = [
            {
                "speaker": _as_written(each["sender_name"]),
                "text": _as_written(each["content"]),
                "time": each["timestamp_ms"],
            }
            for each in sorted(texts, key=lambda each: each["timestamp_ms"])
        ]
        if messages:
            rows.append({"title": _as_written(str(one.get("title", ""))), "messages": messages})
    said = [f"Messages without a text, left out: {silent:,}."] if silent else []
    return Chats(rows, "Messenger", said)


def _as_written(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _all_chats(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the chats of an export of all of them."""
    held = record.get("chats")
    found = held.get("list") if isinstance(held, Mapping) else None
    return found if isinstance(found, list) else None


def _program(one: Any) -> str | None:
    """Return the program that wrote a chat, or None where it is none."""
    messages = one.get("messages") if isinstance(one, Mapping) else None
    if not isinstance(messages, list):
        return None
    if messages and all(isinstance(e, Mapping) and set(e) >= _OF_MESSENGER for e in messages):
        return "Messenger"
    types = [each.get("type") if isinstance(each, Mapping) else None for each in messages]
    if "guild" in one and "channel" in one and all(isinstance(each, str) for each in types):
        return "Discord"
    return "Telegram" if set(types) <= {"message", "service"} else None
