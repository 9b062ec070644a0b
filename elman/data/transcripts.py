"""Transcripts as tables: a row an utterance, with the call it belongs to, its speaker and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from elman.data import clocks, ordering, turn_names
from elman.data.code_cells import in_code
from elman.data.kinds import objects
from elman.data.recordings import FILE, names_of
from elman.data.table import Table
from elman.data.turns import Conversation, Turn

_WORDY = ("text", "category")
_SERVICE = {
    "subtype": r"(?:channel|group)_\w+|bot_(?:add|remove|enable|disable)|pinned_item|reminder_add",
    "message_type": r"systemEventMessage|unknownFutureValue",
}
"""Names of columns that say the kind of a message, and the kinds that nobody wrote."""


class Transcript(NamedTuple):
    """The columns of a transcript.

    Attributes:
        group: names the conversation of a row; None where all rows of a file are one.
        text: what is said.
        speaker: who says it, where that is known.
        time: what orders the rows; None where they stand in their order.
    """

    group: str | None
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
        asked: whether the rows are meant to be utterances. A table with a speaker and no column
            of conversations is then one in each of its files.
    """
    free = [name for name in table.kinds if name not in taken]
    group = group or _group(table, free, asked)
    others = [name for name in free if name not in (group, time)]
    words = [name for name in others if table.kinds[name] in _WORDY]
    speaker = None
    if text is None:
        text = _likeliest(turn_names.of_text, words)
    if text is None:
        speaker = _likeliest(turn_names.of_speaker, words)
        texts = [name for name in words if table.kinds[name] == "text" and name != speaker]
        text = texts[0] if len(texts) == 1 else None
    others = [name for name in others if name != text]
    speaker = _likeliest(turn_names.of_speaker, others)
    if text is None or (speaker is None and not (asked and group)):
        return None
    others = [name for name in others if name != speaker]
    if group is None:
        named = turn_names.of_text(text) is not None
        if not asked or not named or any(is_prose(table, name) for name in others):
            return None
    return Transcript(group, text, speaker, time or _order(table, others, group))


def by_file(table: Table) -> Table:
    """Return a table with the column `file`, which says of each row the conversation it is of."""
    names = names_of([origin.file for origin in table.origins])
    rows = [origin.rows for origin in table.origins]
    frame = table.frame.assign(**{FILE: objects(np.repeat(np.array(names, object), rows).tolist())})
    note = "No column says which conversation a row is of: each file is one."
    return replace(
        table,
        frame=frame,
        kinds={**table.kinds, FILE: "category"},
        meta={
            **table.meta,
            "notes": [*table.meta.get("notes", ()), note],
            "made": [*table.meta.get("made", ()), FILE],
        },
    )


def rows_of(table: Table, group: str | None, time: str | None) -> dict[str, list[int]]:
    """Return the rows of each group in the order of time; without a group all rows are of one.

    Raises:
        InputError: a row has no group, or its time cannot be read.
    """
    order = np.arange(len(table))
    if time is not None:
        order = ordering.order(table, time)
    if group is None:
        return {"": order.tolist()}
    cells = table.column(group, "category")
    if cells.isna().any():
        row = int(np.argmax(cells.isna()))
        raise table.refuse(
            "Here is no group, so it is not clear which sequence the row belongs to.",
            row,
            group,
            "Fill it in, or take the row out.",
        )
    names = table.labels(group)
    rows: dict[str, list[int]] = {one: [] for one in names}
    for row in order.tolist():
        rows[names[row]].append(row)
    if time is not None and clocks.is_clock(table, time):
        rows = {one: _past_midnight(table, time, members) for one, members in rows.items()}
    return rows


def of_service(table: Table, rows: Mapping[str, list[int]]) -> tuple[dict[str, list[int]], int]:
    """Return the rows of each conversation that somebody wrote, and how many others there are.

    Slack marks a message that somebody joined by a subtype, Teams one of the system by its type.

    Args:
        table: of utterances.
        rows: of each conversation, as `rows_of` gives them; one of which nothing is left is gone.
    """
    marks = np.zeros(len(table), bool)
    for name in table.kinds:
        pattern = _SERVICE.get(turn_names.plain(name))
        if pattern is not None:
            cells = table.frame[name].astype("string").str.strip()
            marks |= cells.str.fullmatch(pattern).fillna(False).to_numpy(bool)
    left = {one: [row for row in members if not marks[row]] for one, members in rows.items()}
    return {one: members for one, members in left.items() if members}, int(marks.sum())


def said(
    table: Table, text: str, speaker: str | None, time: str | None, rows: Sequence[Sequence[int]]
) -> list[Conversation]:
    """Return conversations out of the rows of each, in the order given.

    Raises:
        InputError: the time of a row is missing.
    """
    texts = [one or "" for one in table.column(text, "text")]
    names = [None] * len(texts) if speaker is None else list(table.column(speaker, "category"))
    if time is not None and (gone := table.column(time).isna()).any():
        row = int(np.argmax(gone))
        what = "The time of this utterance is missing, so its place is not clear."
        raise table.refuse(what, row, time, "Fill it in, or take the row out.")
    turns = [
        Turn("" if name is None or name != name else str(name).strip(), one)
        for name, one in zip(names, texts, strict=True)
    ]
    return [
        Conversation((turns[row] for row in members), [table.where(row)[1] for row in members])
        for members in rows
    ]


def unread_times(table: Table, found: Transcript) -> list[str]:
    """Return a doubt for a column that is called like times and cannot order the rows, where
    nothing else does.

    Args:
        table: of utterances.
        found: its columns.
    """
    if found.time is not None:
        return []
    used = {found.group, found.text, found.speaker}
    names = [
        name
        for name, kind in table.kinds.items()
        if name not in used and kind in _WORDY and turn_names.of_time(name) is not None
    ]
    words = []
    for name in names:
        there = table.frame[name].dropna()
        if len(there):
            words.append(
                f"column {name!r} is called like a time and holds no times that could be read "
                f"({str(there.iloc[0])!r}): the rows of a conversation stay in the order of the "
                "file. Write times such as 2024-03-01 09:00 or 00:01:03, or numbers."
            )
    return words


def in_several_files(table: Table, group: str | None) -> list[str]:
    """Return a doubt where the rows of one sequence stand in several files."""
    import pandas as pd

    apart = [origin for origin in table.origins if origin.file is not None]
    if group is None or group in table.meta.get("made", ()) or len(apart) < 2:
        return []
    files = np.repeat(np.arange(len(table.origins)), [origin.rows for origin in table.origins])
    if table.index is not None:
        files = files[table.index]
    names = table.names(group)
    several = pd.Series(files).groupby(names.to_numpy()).nunique() > 1
    if not several.any():
        return []
    first = several.index[several][0]
    return [
        f"{int(several.sum()):,} of {len(several):,} {group!r} stand in several files (such as "
        f"{str(first)!r}), and the rows of each are read as one. If files number them anew, write "
        "the name of the file before each."
    ]


def _past_midnight(table: Table, time: str, rows: list[int]) -> list[int]:
    """Return the rows of a conversation as they stand where only midnight divides their times."""
    there = sorted(rows)
    if there == rows or len(rows) < 2:
        return rows
    seconds = clocks.seconds(table, time)[there]
    back = np.flatnonzero(np.diff(seconds) < 0)
    once = len(back) == 1 and seconds[back[0]] - seconds[back[0] + 1] > clocks.DAY / 2
    within = once and seconds[-1] <= seconds[0] and seconds.max() < clocks.DAY
    return there if within else rows


def _order(table: Table, names: Sequence[str], group: str | None) -> str | None:
    """Return the column that surely orders the rows, or None."""
    able = []
    for name in names:
        if table.kinds[name] not in ("time", "number") and not ordering.tells(table, name):
            continue
        if turn_names.plain(name) in turn_names.UNSURE:
            times = table.frame[[name]]
            if group is not None:
                times = times.assign(**{group: table.names(group)})
            if times.duplicated().any():
                continue
        able.append(name)
    return _likeliest(turn_names.of_time, able)


def _likeliest(rank: Callable[[str], int | None], names: Sequence[str]) -> str | None:
    """Return the name that a function ranks first, or None where it ranks none."""
    found = [(place, name) for name in names if (place := rank(name)) is not None]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def is_prose(table: Table, name: str) -> bool:
    """Tell whether a column holds texts of several words, no times and no objects."""
    if table.kinds[name] != "text" or turn_names.of_time(name) is not None:
        return False
    if in_code(table, name) is not None:
        return False
    cells = table.frame[name].dropna().astype(str).str.strip()
    return bool(2 * cells.str.contains(r"\s").sum() > len(cells))


def _group(table: Table, names: Sequence[str], asked: bool) -> str | None:
    """Return the column that names the conversation of a row: it repeats, or at least holds names
    where rows are meant to be utterances."""
    able = [name for name in names if table.kinds[name] in ("category", "text", "number")]
    cells = {name: table.names(name).dropna() for name in able}
    repeat = [name for name in able if cells[name].duplicated().any()]
    found = _likeliest(turn_names.of_conversation, repeat)
    if found is not None or not asked:
        return found
    words = [name for name in able if not cells[name].astype(str).str.contains(r"\s").any()]
    return _likeliest(turn_names.of_conversation, words)
