"""CoNLL columns: one token a line with its tag, a blank line between sentences; and CoNLL-U."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")
# Said of a sentence in the comments before it.
_SAID = re.compile(r"#\s*(sent_id|intent)\s*[:=]\s*(.+)")
_COMMENT = re.compile(r"#(\s|(begin|end) document\b|\w+\s*[:=])")
# CoNLL-U (https://universaldependencies.org/format.html): the columns FORM and UPOS, counted
# from 1, of 10.
_UD_COLUMNS, _FORM, _UPOS = 10, 2, 4
_UNIVERSAL = "CoNLL-U"
_UD_NAMES = {"lemma": 3, "xpos": 5, "feats": 6, "head": 7, "deprel": 8, "deps": 9, "misc": 10}
_SPAN_TAG = re.compile(r"O|[BILESU]-\S+")
# Tokens written as several words, and words that are not written, have numbers such as 3-4, 5.1.
_UD_EXTRA = re.compile(r"\d+[-.]\d+")


@dataclass
class _Sentence:
    """The lines of one sentence with their numbers, and what comments say of it."""

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """How a file is laid out; columns are counted from 1."""

    separator: str
    columns: int
    token_column: int
    tag_column: int | None
    form: str = "columns"


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read files of one token a line.

    Columns stand between tabs, or between blanks where some line has no tab. The token is in the
    first column, or the second where the first numbers the tokens; the tag is in the last, or in
    CoNLL-U in the fourth (UPOS). A line that begins with `# ` before a sentence is a comment,
    unless it has as many columns as the others and ends with a tag that stands elsewhere too;
    lines with `-DOCSTART-` are left out.

    Args:
        paths: the files; all have the same columns.
        columns: of the table, those to keep.
        types: column of the table → kind.
        encoding: found when `None`.

    Returns:
        The columns `tokens` and `tags` (where there is more than one column), the other columns of
        the file (`column 2`, in CoNLL-U `lemma`, `xpos` and so on), and `id` and `label` where
        comments before every sentence give them (`# sent_id = …`, `# intent: …`). `meta` says in
        which columns tokens and tags were found. A row's number is the line on which its
        sentence begins.

    Raises:
        InputError: a line has other columns than the rest, or an empty one.
    """
    import pandas as pd

    sentences: list[_Sentence] = []
    origins = []
    layout: Columns | None = None
    for path in paths:
        found, own = _sentences(path, encoding)
        if layout is not None and layout != own:
            raise InputError(
                f"Its lines have {own.columns} columns ({own.form}, {own.separator}); "
                f"{paths[0].name} has {layout.columns} ({layout.form}, {layout.separator}).",
                file=path,
            )
        layout = own
        begins = [sentence.rows[0][0] for sentence in found]
        origins.append(Origin(path, len(found), begins.__getitem__))
        sentences += found
    assert layout is not None
    known: dict[str, Kind] = {}
    cells = {}
    for name, place in _named(layout).items():
        cells[name] = objects([[row[place - 1] for _, row in one.rows] for one in sentences])
        known[name] = "tokens"
    frame = pd.DataFrame(cells)
    for key, name in (("intent", "label"), ("sent_id", "id")):
        if all(key in one.said for one in sentences):
            frame[name] = pd.Series([one.said[key] for one in sentences], dtype=object)
            known[name] = "category" if name == "label" else "text"
    meta = {"conll": dict(vars(layout))}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _named(layout: Columns) -> dict[str, int]:
    """Return the names of a table's columns, and where each stands in the file."""
    named = {"tokens": layout.token_column}
    if layout.tag_column is not None:
        named["tags"] = layout.tag_column
    if layout.form == _UNIVERSAL:
        others = _UD_NAMES
    else:
        # The column before that of the tokens numbers them.
        others = {f"column {n}": n for n in range(layout.token_column + 1, layout.columns)}
    return named | others


def _sentences(path: Path, encoding: str | None) -> tuple[list[_Sentence], Columns]:
    lines = [
        (number, line.rstrip("\n"))
        for number, line in enumerate(files.lines(path, encoding), 1)
        if _DOCUMENT not in line[: len(_DOCUMENT)]
    ]
    filled = [line for _, line in lines if line.strip()]
    plain = [line for line in filled if not line.startswith("#")]
    if not filled:
        raise InputError("The file has no tokens.", file=path)
    tabs = all("\t" in line for line in plain or filled)
    counted = Counter(len(_fields(line, tabs)) for line in plain or filled)
    # Of counts that are equally common, the larger: a field is more often lost than added.
    width = max(counted, key=lambda size: (counted[size], size))
    tags = {_fields(line, tabs)[-1] for line in plain}
    numbered = [_fields(line, tabs)[0] for line in plain]
    universal = width == _UD_COLUMNS and all(
        re.fullmatch(r"\d+([-.]\d+)?", first) for first in numbered
    )
    found = []
    for sentence in _split(lines, tabs, width, tags, universal):
        for number, row in sentence.rows:
            _check(path, number, row, width)
        if universal:
            sentence.rows = [row for row in sentence.rows if not _UD_EXTRA.fullmatch(row[1][0])]
        if sentence.rows:
            found.append(sentence)
    if not found:
        raise InputError("The file has no tokens.", file=path)
    counts = width > 2 and all(
        row[0] == str(place) for one in found for place, (_, row) in enumerate(one.rows, 1)
    )
    if width == 2:
        _refuse_turned(path, found)
    tag = None if width == 1 else _UPOS if universal else width
    form = _UNIVERSAL if universal else "columns"
    token = _FORM if universal or counts else 1
    return found, Columns("tab" if tabs else "blanks", width, token, tag, form)


def _refuse_turned(path: Path, sentences: Sequence[_Sentence]) -> None:
    """Refuse a file with tags of spans where the words should be."""
    rows = [row for one in sentences for row in one.rows]
    # One who types "O" or "B-2" in a text types other words too.
    if any(_SPAN_TAG.fullmatch(first) is None for _, (first, _) in rows):
        return
    number, (tag, word) = next(
        (row for row in rows if row[1][0] != "O" and row[1][1] != "O"), rows[0]
    )
    if tag == "O" or all(_SPAN_TAG.fullmatch(last) for _, (_, last) in rows):
        return
    raise InputError(
        f"The first column holds tags ({tag!r}) and the second words ({word!r}).",
        file=path,
        row=number,
        fix="Put the word first and its tag second.",
    )


def _split(
    lines: list[tuple[int, str]], tabs: bool, width: int, tags: set[str], universal: bool
) -> Iterator[_Sentence]:
    sentence = _Sentence()
    for number, line in lines:
        if not line.strip():
            if sentence.rows:
                yield sentence
                sentence = _Sentence()
            continue
        fields = _fields(line, tabs)
        token = len(fields) == width and fields[-1] in tags and not universal
        if not sentence.rows and not token and _COMMENT.match(line):
            if said := _SAID.match(line):
                sentence.said[said[1]] = said[2].strip()
            continue
        sentence.rows.append((number, fields))
    if sentence.rows:
        yield sentence


def _fields(line: str, tabs: bool) -> list[str]:
    return line.split("\t") if tabs else _BLANKS.split(line.strip(" \t"))


def _check(path: Path, number: int, row: list[str], width: int) -> None:
    if len(row) != width:
        raise InputError(
            f"The line has {len(row)} {'column' if len(row) == 1 else 'columns'}, the others have "
            f"{width}.",
            file=path,
            row=number,
            fix="Give the token and its tag on one line, and a blank line between sentences.",
        )
    if not all(cell.strip() for cell in row):
        place = next(at for at, cell in enumerate(row, 1) if not cell.strip())
        raise InputError(f"Column {place} of the line is empty.", file=path, row=number)
