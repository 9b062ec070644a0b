"""The annotations of brat: `NAME.ann` with spans of characters of `NAME.txt` beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elman.data import files
from elman.data.formats.tagged_json import Sentence, tags_of_spans
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.data.tagging import Span
from elman.errors import InputError

ENDING = ".ann"
_PIECES = re.compile(r"\d+ \d+(;\d+ \d+)*")
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_KINDS = {"R": "relations", "*": "relations", "E": "events", "A": "attributes", "M": "attributes"}
_KINDS |= {"N": "references", "#": "notes"}
_APART = "spans in several pieces"
_WITHIN = "spans within or across another one"
_LONG = "spans over several lines"


class _Line(NamedTuple):
    """A line of the text, its number, and the character at which it begins."""

    text: str
    number: int
    start: int


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read the spans of texts: a line of a text is a sentence.

    Spans in several pieces, those within another one and those over several lines are left out and
    counted, as are relations, events, attributes and notes.

    Args:
        paths: the files of annotations; the text of each lies beside it.
        columns: those to keep.
        types: column → kind.
        encoding: of texts and annotations; found when `None`.

    Returns:
        The columns `tokens` (each cell a `Sentence`) and `tags` (BIO). A row's file and number are
        those of the text.

    Raises:
        InputError: a text is missing, a line of annotations cannot be read or does not fit the
            text, a span begins or ends inside a word, or nothing is annotated.
    """
    import pandas as pd

    sentences: list[Sentence] = []
    tags: list[list[str]] = []
    origins: list[Origin] = []
    encodings: dict[Path, str] = {}
    left: Counter[str] = Counter()
    marked = 0
    for path in paths:
        beside = path.with_suffix(".txt")
        if not beside.is_file():
            fix = f"Put {beside.name} beside it."
            raise InputError("There is no text to these annotations of brat.", file=path, fix=fix)
        name = encodings[beside] = files.encoding_of(beside, encoding)
        # The places of spans count every character of the file, those of line ends too.
        text = files.whole(beside, name)
        spans = _outermost(_spans(path, text, encoding, left), left)
        numbers = []
        for line in _lines(text):
            inside = [s for s in spans if line.start <= s.start < line.start + len(line.text)]
            whole = [s for s in inside if s.end <= line.start + len(line.text)]
            left[_LONG] += len(inside) - len(whole)
            marked += len(whole)
            own = [s._replace(start=s.start - line.start, end=s.end - line.start) for s in whole]
            try:
                tokens, marks = tags_of_spans(line.text, own)
            except InputError as error:
                what = str(error).removesuffix(f" {error.fix}")
                raise InputError(what, file=beside, row=line.number, fix=error.fix) from None
            if tokens:
                sentences.append(Sentence(line.text, tokens, tagged=True))
                tags.append(marks)
                numbers.append(line.number)
        origins.append(Origin(beside, len(numbers), numbers.__getitem__))
    if not marked:
        raise InputError("No span is annotated in these files of brat.", file=paths[0])
    alone = sum(not p.with_suffix(ENDING).exists() for p in _texts_beside(paths))
    left["texts without annotations"] += alone
    told = ", ".join(f"{what} {count:,}" for what, count in left.items() if count)
    known: dict[str, Kind] = {"tokens": "tokens", "tags": "tokens"}
    frame = pd.DataFrame({"tokens": objects(sentences), "tags": objects(tags)})
    meta: dict[str, list[str]] = {"notes": ["Annotations of brat: a line of a text is a sentence."]}
    if encoding is None and (doubts := files.doubts(encodings)):
        meta["doubts"] = doubts
    if told:
        meta["left_out"] = [f"Left out: {told}."]
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _texts_beside(paths: Sequence[Path]) -> list[Path]:
    folders = dict.fromkeys(path.parent for path in paths) if len(paths) > 1 else {}
    return [path for folder in folders for path in folder.glob("*.txt")]


def _lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(_LINE.finditer(text), 1):
        if line[1].strip():
            yield _Line(line[1], number, line.start())


def _spans(path: Path, text: str, encoding: str | None, left: Counter[str]) -> list[Span]:
    """Return the spans of one piece; the rest is counted in `left`."""
    found = []
    empty = path.stat().st_size == 0
    for number, line in enumerate(() if empty else files.lines(path, encoding), 1):
        if not line.strip():
            continue
        if line[0] != "T":
            if line[0] not in _KINDS:
                raise _unread(path, number)
            left[_KINDS[line[0]]] += 1
            continue
        cells = line.rstrip("\n").split("\t")
        label, _, places = cells[1].partition(" ") if len(cells) > 1 else ("", "", "")
        if not label or _PIECES.fullmatch(places) is None:
            raise _unread(path, number)
        if ";" in places:
            left[_APART] += 1
            continue
        start, end = map(int, places.split())
        said = cells[2] if len(cells) > 2 else ""
        if said and "".join(text[start:end].split()) != "".join(said.split()):
            raise InputError(
                f"{cells[0]} is {said[:40]!r}, and at {start} to {end} of the text stands "
                f"{text[start:end][:40]!r}.",
                file=path,
                row=number,
                fix="The text has changed since it was annotated: take the one of then.",
            )
        found.append(Span(start, end, label))
    return found


def _unread(path: Path, number: int) -> InputError:
    return InputError(
        "The line is no annotation of brat.",
        file=path,
        row=number,
        fix="Write T1, a tab, the label and the characters at which it begins and ends: "
        "T1\tPER 0 4\tAnna.",
    )


def _outermost(spans: Sequence[Span], left: Counter[str]) -> list[Span]:
    """Return spans of which none shares a character with another; the longer of two is kept where
    one lies in the other, else the first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if kept and span.start < kept[-1].end:
            left[_WITHIN] += 1
        else:
            kept.append(span)
    return kept
