"""Subtitles, WebVTT and SubRip (SRT): a file is a conversation, a cue an utterance.

The speaker stands in a voice tag (`<v Name>`) or before a colon. A cue that names nobody is of the
speaker before it, in a file that names any.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from elman.data import files
from elman.data.formats.sound import PARTS
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.data.turns import Conversation, Turn, before_colons
from elman.errors import InputError

SUFFIXES = frozenset([".vtt", ".srt"])
"""Endings of the names of subtitles, in lower case."""

_TIME = r"(?:(\d{1,6}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_ARROW = "-->"
_VOICE = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^>]*)>", re.IGNORECASE)
_LONGEST_CUE = 12
"""Lines of a cue at most, on average."""
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")


class Cue(NamedTuple):
    """A cue: the line of its times, when it begins in seconds, its speaker and its text."""

    line: int
    start: float
    speaker: str
    text: str


def are_cues(lines: Sequence[str]) -> bool:
    """Tell whether the first lines of a file are those of subtitles, whatever its name says.

    They begin with the mark of WebVTT, or with the times of a cue, maybe below its number.

    >>> times = "00:00:0{}.000 --> 00:00:02.000"
    >>> are_cues(["1", times.format(1), "So.", "", "2", times.format(2), "Yes."])
    True
    >>> are_cues(["1", "--> so", "", times.format(1)])
    False
    """
    filled = [line.strip("\ufeff \t\r\n") for line in lines if line.strip("\ufeff \t\r\n")]
    if not filled:
        return False
    begun = 1 if filled[0].isdigit() else 0
    if filled[0].split()[0] == "WEBVTT":
        return any(map(_TIMES.match, filled))
    if len(filled) <= begun or _TIMES.match(filled[begun]) is None:
        return False
    # A cue at the top of prose makes no subtitles of it.
    return _LONGEST_CUE * sum(_TIMES.match(line) is not None for line in filled) >= len(filled)


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read a conversation from each file, and from its folder's name a label.

    The columns are `turns` and, where the files lie in several folders that do not only say train
    and test, `label`.

    Raises:
        InputError: a file has no cues, or one ends before it begins.
    """
    import pandas as pd

    cells, notes = [], []
    for path in paths:
        found, told = conversation(path, encoding)
        cells.append(found)
        notes += told
    frame = pd.DataFrame({"turns": objects(cells)})
    known: dict[str, Kind] = {"turns": "turns"}
    folders = [path.parent.name for path in paths]
    if len({name for name in folders if name.casefold() not in PARTS}) > 1:
        frame["label"] = pd.Series(folders, dtype=object)
        known["label"] = "category"
        notes.append(
            f"The label is the name of a file's folder: {folders[0]!r} of {paths[0].name}."
        )
    origins = [Origin(path, 1) for path in paths]
    return build(
        frame, origins, known=known, columns=columns, types=types, meta={"notes": _few(notes)}
    )


def path_column(table: Table) -> str | None:
    """Return the column in which every cell names a file of subtitles, or None."""
    found = files.columns_of(table, SUFFIXES)
    return found[0] if len(found) == 1 else None


def from_manifest(table: Table, column: str) -> Table:
    """Return a table with the conversations of the files that a column names beside it.

    Raises:
        InputError: a file is not there, or as `read`.
    """
    cells, notes = [], []
    for row, cell in enumerate(table.column(column, "text")):
        beside = table.where(row)[0]
        place = (Path() if beside is None else beside.parent) / cell.strip()
        if not place.is_file():
            raise table.refuse(
                f"There is no file {str(place)!r}.", row, column, "Paths are relative to this file."
            )
        found, told = conversation(place)
        cells.append(found)
        notes += told
    frame = table.frame.assign(turns=objects(cells))
    kinds: dict[str, Kind] = {**table.kinds, "turns": "turns"}
    meta = {**table.meta, "notes": [*table.meta.get("notes", ()), *_few(notes)]}
    return Table(frame, kinds, table.source, meta, table.origins, table.index)


def conversation(path: Path, encoding: str | None = None) -> tuple[Conversation, list[str]]:
    """Return the utterances of a file in the order of their times, and what is to be said of it.

    Raises:
        InputError: there are no cues, a line of times cannot be read, or a cue ends before it
            begins.
    """
    cues = cues_of(path, encoding)
    if not cues:
        raise InputError(
            "There are no cues with words in this file.",
            file=path,
            fix="Write a line of times, 00:00:01.000 --> 00:00:02.000, and the words below it.",
        )
    notes = []
    back = [cue for one, cue in pairwise(cues) if cue.start < one.start]
    if back:
        notes.append(
            f"In {path.name} times go backwards ({len(back):,} of {len(cues):,} cues, first in row "
            f"{back[0].line}); cues were put in the order of their times."
        )
        cues.sort(key=lambda cue: cue.start)
    if not any(cue.speaker for cue in cues):
        said_by = before_colons([cue.text for cue in cues])
        cues = [
            cue._replace(speaker=one.speaker, text=one.text)
            for cue, one in zip(cues, said_by, strict=True)
        ]
    said, speaker = [], ""
    for cue in cues:
        speaker = cue.speaker or speaker
        said.append(Turn(speaker, cue.text))
    return Conversation(said, [cue.line for cue in cues]), notes


def cues_of(path: Path, encoding: str | None = None) -> list[Cue]:
    """Return the cues with words of a file, as they stand; of several voices in one each.

    Raises:
        InputError: a line of times cannot be read, or a cue ends before it begins.
    """
    lines = [line.rstrip("\n") for line in files.lines(path, encoding)]
    found: list[Cue] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if _ARROW not in line:
            continue  # a header, a note, a number, or the name of a cue
        number, times = place, _TIMES.match(line)
        if times is None:
            raise InputError(
                f"{line.strip()[:60]!r} are no times of a cue.",
                file=path,
                row=number,
                fix="Write 00:00:01.000 --> 00:00:02.000.",
            )
        start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        if end < start:
            raise InputError(
                "The cue ends before it begins.", file=path, row=number, fix="Correct its times."
            )
        words = []
        while place < len(lines) and lines[place].strip() and _ARROW not in lines[place]:
            words.append(lines[place].strip())
            place += 1
        if place < len(lines) and _ARROW in lines[place] and words and words[-1].isdigit():
            words.pop()  # the number of the next cue, without a blank line before it
        found += [Cue(number, start, who, text) for who, text in _voices(" ".join(words)) if text]
    return found


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, rest = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{rest}")


def _voices(text: str) -> list[tuple[str, str]]:
    """Return who speaks and what: of several voice tags each, else the whole text.

    >>> _voices("<v Ann>Hi.</v> <v Bo>Hello <i>you</i>.")
    [('Ann', 'Hi.'), ('Bo', 'Hello you.')]
    """
    parts = _VOICE.split(text)
    found = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    plain = [(html.unescape(w).strip(), _plain(said)) for w, said in found]
    return [pair for pair in plain if pair[1]]


def _plain(text: str) -> str:
    return " ".join(html.unescape(_MARKUP.sub("", text)).split())


def _few(notes: Sequence[str]) -> list[str]:
    more = [f"So it is in {len(notes) - 3} more files."] if len(notes) > 4 else []
    return [*notes[: len(notes) if not more else 3], *more]
