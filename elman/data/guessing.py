"""The format of a text file whose name does not tell it, by the first lines."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

from elman.data import comments, dates, files
from elman.data.formats import chats, delimited, mail, subtitles
from elman.data.headers import above, header_of, is_usual_name, is_written_number
from elman.data.kinds import MISSING
from elman.data.turns import END
from elman.errors import InputError

_HEAD = 1 << 16
_BLANKS = re.compile(r"[ \t]+")
_BETWEEN = re.compile(r"[ \t]*[,;\t][ \t]*|[ \t]+")
_DECIMALS = re.compile(r"\d,\d.*[;\t]|[;\t].*\d,\d")
"""Commas within a row whose cells another mark keeps apart."""
_MARKS = ",;\t"
_TAG = re.compile(r"[BIESLU]-\S+")
_WIDEST = 14
"""Columns of a file of tagged tokens at most."""


def format_in(path: Path, named: str | None) -> str | None:
    """Return the format that the first lines show, or None where `named` is right.

    Args:
        path: the file.
        named: the format that its name says; None and "text" say little.

    Returns:
        "conll": a token a line with its tag, and blank lines between sentences. "arff". "numbers":
        rows of numbers without a header. "csv": rows of a table, where the name says nothing, and
        rows of numbers with commas before decimals. "dialogues": a mark after each utterance.
        "chats": a date, a time and a sender before each message. "subtitles": times above each cue.
        "mail": a mailbox.
    """
    if named not in (None, "text", "csv"):
        return None
    lines = _first_lines(path)
    if not any(line.strip() for line in lines):
        return None
    if _is_tagged(lines, strictly=named == "csv"):
        return "conll"
    filled = [line for line in lines if line.strip()]
    if named != "csv" and 2 * sum(END in line for line in filled) > len(filled):
        return "dialogues"
    if named != "csv" and chats.is_chat(filled):
        return "chats"
    if named != "csv" and mail.is_mailbox(lines):
        return "mail"
    if named != "csv" and subtitles.are_cues(filled):
        return "subtitles"
    if filled[0].lower().startswith("@relation") or (
        filled[0].startswith("%") and any(x.lower().startswith("@relation") for x in filled)
    ):
        return "arff"
    noted = comments.count(filled)
    rows = [line for line in filled[noted:] if not comments.is_comment(line)]
    apart = not noted or (bool(rows) and not any(mark in rows[0] for mark in _MARKS))
    numbers = bool(rows) and apart and all(map(is_row_of_numbers, rows))
    if numbers and any(_DECIMALS.search(line) for line in filled):
        return "csv"
    named_above = delimited.named_in_comment(filled[:noted], filled[noted:]) is not None
    if numbers and not named_above and header_of([cells_of(x) for x in rows[:200]])[1]:
        return "numbers"
    if named != "csv" and _is_table(path, filled):
        return "csv"
    return None


def is_row_of_numbers(line: str) -> bool:
    """Return true for numbers with commas, semicolons, tabs or blanks between them.

    >>> is_row_of_numbers("  1.0e+00  -3.5"), is_row_of_numbers("1,NaN,"), is_row_of_numbers("a,1")
    (True, True, False)
    """
    cells = cells_of(line)
    return any(cells) and all(map(_is_number, cells))


def cells_of(line: str) -> list[str]:
    """Return the cells of a row of numbers; a cell may be empty between two marks.

    >>> cells_of(" 1, 2 3,,4 ")
    ['1', '2', '3', '', '4']
    """
    return _BETWEEN.split(line.strip(" \t\n\r"))


def _is_number(cell: str) -> bool:
    if cell in ("", "?"):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _first_lines(path: Path) -> list[str]:
    """Return the lines of the beginning of a text file; nothing where it is no text."""
    head = b""
    try:
        for block in files.blocks(path, _HEAD):
            head += block
            if len(head) >= _HEAD:
                break
    except InputError:
        return []  # its reader says what is wrong
    encoding = next((name for mark, name in files.MARKS if head.startswith(mark)), None)
    encoding = encoding or files.utf16_of(head[:4096]) or "utf-8"
    if b"\0" in head and not encoding.startswith("utf-16") and encoding != "utf-32":
        return []
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    lines = re.split(r"\r\n|\r|\n", text)
    return lines[:-1] if len(head) >= _HEAD and len(lines) > 1 else lines


def _is_tagged(lines: list[str], strictly: bool) -> bool:
    """Tell whether lines are tokens with their tags.

    Args:
        lines: the first ones.
        strictly: ask for tags of spans, as B-PER, where the name says a table.
    """
    rows = [
        line for line in lines if not line.startswith("-DOCSTART-") and not line.startswith("# ")
    ]
    filled = [line for line in rows if line.strip()]
    tabs = all("\t" in line for line in filled)
    if strictly and not tabs:
        return False
    split = [line.split("\t") if tabs else _BLANKS.split(line.strip()) for line in filled]
    if len(split) < 4 or any(len(cells) != len(split[0]) for cells in split):
        return False
    if not 2 <= len(split[0]) <= _WIDEST:
        return False
    last = Counter(cells[-1] for cells in split)
    spans = "O" in last and any(_TAG.fullmatch(tag) for tag in last)
    sizes = [len(list(run)) for full, run in groupby(rows, lambda x: bool(x.strip())) if full]
    if strictly:
        return spans and len(sizes) > 1
    # Without tags of spans a blank line between sentences tells tokens from other pairs.
    few = 2 * len(last) <= len(split) and not all(map(is_row_of_numbers, filled))
    return spans or (few and len(sizes) > 1 and len(filled) >= 2 * len(sizes))


def _is_table(path: Path, lines: list[str]) -> bool:
    """Tell whether lines are rows of a table: as many cells in each, below its names.

    Two columns hold numbers or dates both, or have usual names; of more, one holds them.
    """
    if delimited.EXCEL.fullmatch(lines[0].strip()):
        return True
    noted = comments.count(lines)
    kept = lines[noted:]
    if len(kept) < 3:
        return False
    mark = delimited.separator_of(path, kept)
    if mark == delimited.BLANKS or delimited.named_in_comment(lines[:noted], kept) is not None:
        return True
    try:
        rows = list(csv.reader(kept, delimiter=mark))
    except csv.Error:
        return False
    first, *below = rows[above(rows) :]
    width = len(first)
    if width < 2 or len(below) < 2 or any(len(cells) != width for cells in below):
        return False
    # With a tab between them they are a text and its label, which the reader of text takes.
    if mark != "\t" and all(map(is_usual_name, first)):
        return True
    columns = [[cells[place].strip() for cells in below] for place in range(width)]
    filled = [[cell for cell in column if cell not in MISSING] for column in columns]
    written = [bool(c) and (all(map(is_written_number, c)) or dates.like_dates(c)) for c in filled]
    if width == 2:
        return all(written) and not any(map(is_written_number, first))
    return any(written)
