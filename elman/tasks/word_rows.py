"""Tables with a row for each word: which column holds the words, and which names their sentence."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.table import plain_labels
from elman.errors import InputError

if TYPE_CHECKING:
    from elman.data import Table

_SENTENCES = ("sentence", "sent", "utterance", "utt", "sequence", "seq", "segment", "line")
_NUMBERED = ("", "id", "idx", "index", "no", "nr", "num", "number")
_NAMES = {name + end for name in _SENTENCES for end in _NUMBERED}


def found(table: Table, free: Sequence[str], usual: Sequence[str]) -> tuple[str, str] | None:
    """Return the column of words and the one that names the sentence of each; None where a row is
    no word.

    Args:
        table: typed columns.
        free: columns that are not the answer.
        usual: names of a column with a word in each row.

    Raises:
        InputError: a row is a word, and nothing tells where a sentence ends; or sentences have the
            same name in several places.
    """
    word = word_column(table, free, usual)
    if word is None:
        return None
    others = [n for n in free if n != word and table.kinds[n] in ("text", "category", "number")]
    named = [n for n in others if _plain(n) in _NAMES and _repeats(table, n)]
    if not named:
        named = [n for n in others if table.kinds[n] == "number" and _counts_up(table, n)]
    if len(named) == 1:
        check_runs(table, named[0])
        return word, named[0]
    if named:
        which = f"{', '.join(map(repr, named))} may each name it"
    else:
        which = "no column tells which sentence it is of"
    raise InputError(
        f"Each row is a word (column {word!r}), and {which}.",
        file=table.source,
        fix=f"Name it: --set modality=tokens --set 'columns=[{word}]' --set "
        f"group={quote(named[0]) if named else 'NAME'}; or write a word and its tag a line, with a "
        "blank line between sentences, into a .conll file.",
    )


def word_column(table: Table, free: Sequence[str], usual: Sequence[str]) -> str | None:
    """Return the one column that is called so and has a word in each row, or None."""
    named = [n for n in free if _plain(n) in usual and table.kinds[n] in ("text", "category")]
    if len(named) != 1 or table.frame[named[0]].dropna().str.strip().str.contains(r"\s").any():
        return None
    return named[0]


def check_runs(table: Table, group: str) -> None:
    """Refuse sentences whose rows do not follow each other: two would be read as one.

    Raises:
        InputError: with the row where a name comes again.
    """
    cells = table.names(group).replace("", None).ffill()
    begins = np.flatnonzero((cells != cells.shift()).to_numpy())
    again = cells.iloc[begins].duplicated().to_numpy()
    if again.any():
        row = int(begins[int(np.argmax(again))])
        raise table.refuse(
            f"{plain_labels([str(cells.iloc[row])])[0]!r} comes again after other rows, so several "
            "sentences have this name, and they would be read as one.",
            row,
            group,
            "Give each sentence a name of its own (of its document and its number, say).",
        )


def refuse_tags_within(table: Table, name: str) -> None:
    """Refuse texts in which each word has its tag behind a mark, as `Paris/B-LOC`.

    Raises:
        InputError: with the row of the first.
    """
    cells = table.frame[name].dropna().str.split()
    for mark in "/_|":
        if len(cells) and all(0 < word.find(mark) < len(word) - 1 for own in cells for word in own):
            raise table.refuse(
                f"Each word has something behind {mark!r}, such as {cells.iloc[0][0]!r}: its tag, "
                "it seems.",
                0,
                name,
                "Write a word, a blank and its tag a line, with a blank line between sentences, "
                "into a .conll file.",
            )


def _plain(name: Any) -> str:
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


def _repeats(table: Table, name: str) -> bool:
    """Tell whether a name stands in several rows, or in the first one of several."""
    cells = table.names(name).replace("", None)
    return bool(cells.ffill().duplicated().any()) and not bool(cells.isna().all())


def _counts_up(table: Table, name: str) -> bool:
    """Tell whether whole numbers never fall, stay for some rows and then rise."""
    cells = table.frame[name].dropna()
    steps = cells.diff().dropna()
    whole = bool((cells % 1 == 0).all()) and len(cells) == len(table)
    return whole and bool((steps >= 0).all() and (steps == 0).any() and (steps == 1).any())
