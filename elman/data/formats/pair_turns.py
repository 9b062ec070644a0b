"""Tables of pairs whose rows are turns of conversations: which columns are no side, and doubts."""

from __future__ import annotations

from collections.abc import Mapping

from elman.data import transcripts
from elman.data.formats.pair_columns import WRITTEN, few, texts_of
from elman.data.table import Table
from elman.errors import InputError


def no_sides(table: Table) -> dict[str, str]:
    """Return the columns of a table of turns that are surely no side of a pair, and what they are.

    >>> from elman.data import read
    >>> rows = {"conversation": [1, 1, 2, 2], "speaker": list("abab"), "text": list("wxyz")}
    >>> no_sides(read(rows))
    {'conversation': 'the conversation', 'speaker': 'the speaker'}
    """
    there = transcripts.transcript_of(table)
    if there is None:
        return {}
    held = {there.group: "the conversation", there.speaker: "the speaker", there.time: "the order"}
    return {name: what for name, what in held.items() if name is not None}


def doubts(table: Table, source: str, target: str, turns: Mapping[str, str]) -> list[str]:
    """Return doubts about a table read as pairs: its rows are turns of conversations, or an
    instruction is read without the input that stands beside it.

    Args:
        table: typed columns.
        source, target: the columns that were found.
        turns: columns of the turns, as `no_sides` gives them.

    Raises:
        InputError: the target says one and the same in all turns of each conversation.
    """
    if not turns:
        return _unread_input(table, source, target)
    group = next(name for name, what in turns.items() if what == "the conversation")
    by_conversation = table.frame.groupby(table.names(group))[target]
    if (by_conversation.nunique() <= 1).all() and (by_conversation.size() > 1).any():
        raise InputError(
            f"It says the same in all turns of each {group!r}, so it is about the whole.",
            file=table.source,
            column=target,
            fix=f"Write a line for each {group}: "
            f'{{"turns": [{{"speaker": …, "text": …}}, …], "{target}": …}}. '
            f"To learn it from each turn alone, set source={source} and target={target}.",
        )
    shown = few([repr(name) for name in turns])
    return [
        f"the rows look like turns of conversations ({shown}), and each is read by itself, source "
        f"{source!r} and target {target!r}. If so, set source={source} and target={target}. To "
        f"learn replies, take {target!r} out."
    ]


def _unread_input(table: Table, source: str, target: str) -> list[str]:
    """Return a doubt where an instruction has an input in another column."""
    others = {name.casefold(): name for name in table.kinds if name not in (source, target)}
    name = others.get("input")
    if source.casefold() != "instruction" or name is None or table.kinds[name] not in WRITTEN:
        return []
    filled = sum(bool(cell.strip()) for cell in texts_of(table, name))
    return [
        f"column {name!r} is filled in {filled:,} of {len(table):,} rows and is not read, though "
        f"{source!r} may be about it. Write both into one column, and name it with source=."
    ] * (filled > 0)


def unread_texts(table: Table, turns: Mapping[str, str]) -> list[str]:
    """Return a doubt about columns of texts beside the turns, from which replies are learnt."""
    there = transcripts.transcript_of(table, asked=True)
    if there is None:
        return []
    others = [
        name
        for name, kind in table.kinds.items()
        if kind == "text" and name not in (*turns, there.text, there.speaker, there.time)
    ]
    # What tells one row from another, such as an id, is no text.
    others = [n for n in others if transcripts.is_prose(table, n)]
    if not others:
        return []
    shown = few([repr(name) for name in others])
    return [
        f"each turn of {there.text!r} is the reply to the one before it, and {shown} is not read. "
        f"If {others[0]!r} is to be written or read, set source= and target=."
    ]
