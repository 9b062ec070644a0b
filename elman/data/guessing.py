"""The format of a text file whose name does not tell it, by the first lines."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

from elman.data import files
from elman.data.headers import header_of
from elman.errors import InputError

_HEAD = 1 << 16
_BLANKS = re.compile(r"[ \t]+")
_BETWEEN = re.compile(r"[ \t]*[,;\t][ \t]*|[ \t]+")
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
        rows of numbers without a header. "csv": rows of at least three cells, some of numbers,
        where the name says nothing.
    """
    if named not in (None, "text", "csv"):
        return None
    lines = _first_lines(path)
    if not any(line.strip() for line in lines):
        return None
    if _is_tagged(lines, strictly=named == "csv"):
        return "conll"
    filled = [line for line in lines if line.strip()]
    if filled[0].lower().startswith("@relation") or (
        filled[0].startswith("%") and any(x.lower().startswith("@relation") for x in filled)
    ):
        return "arff"
    if all(map(is_row_of_numbers, filled)) and header_of([cells_of(x) for x in filled[:200]])[1]:
        return "numbers"
    if named != "csv" and _is_table(filled):
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


def _is_table(lines: list[str]) -> bool:
    """Tell whether lines have the same number of cells, three or more, and a column of numbers."""
    for mark in ",;\t|":
        rows = [line.split(mark) for line in lines]
        width = len(rows[0])
        if len(rows) < 3 or width < 3 or any(len(cells) != width for cells in rows):
            continue
        inner = rows[1:]
        numeric = [
            all(_is_number(cells[place].strip()) for cells in inner)
            and any(cells[place].strip() for cells in inner)
            for place in range(width)
        ]
        if any(numeric):
            return True
    return False
