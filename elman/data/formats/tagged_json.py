"""JSON of texts with spans of characters: spaCy, Prodigy, doccano, Label Studio and Rasa."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elman.data.formats import label_studio, prodigy
from elman.data.formats.json_lines import records
from elman.data.formats.label_studio import TEXT, unwrapped
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.data.tagging import Span, tags_of
from elman.errors import InputError

# Names that are in use, those of spaCy, Prodigy, doccano and Rasa among them.
SPANS = ("entities", "spans", "label", "labels")
INTENT = ("intent", "label")
_START, _END, _LABEL = (
    ("start", "start_offset"),
    ("end", "end_offset"),
    ("label", "entity", "type", "labels"),
)
_UNANNOTATED = "not annotated"

_TOKEN = re.compile(r"\w+|[^\w\s]")


Record = tuple[Path, int, Mapping[str, Any]]
"""An object, its file, and the line on which it begins."""


class Token(NamedTuple):
    """A word or a punctuation mark, and the characters of the text where it stands."""

    text: str
    start: int
    end: int


def tokenise(text: str) -> list[Token]:
    """Split a text into words and punctuation marks with their places.

    >>> tokenise("Mr. Li's")
    [Token(text='Mr', start=0, end=2), Token(text='.', start=2, end=3), Token(text='Li', start=4, \
end=6), Token(text="'", start=6, end=7), Token(text='s', start=7, end=8)]
    """
    return [Token(match[0], match.start(), match.end()) for match in _TOKEN.finditer(text)]


class Sentence(list[str]):
    """Words that stand in a text, and the characters at which each begins and ends.

    Attributes:
        text: that the words stand in.
        places: of each word.
        tagged: each word has a tag, so it must not be split in another way.

    >>> sentence = Sentence.of("to Oslo.")
    >>> sentence, sentence.places
    (['to', 'Oslo', '.'], [(0, 2), (3, 7), (7, 8)])
    """

    def __init__(self, text: str, tokens: Sequence[Token], *, tagged: bool = False) -> None:
        super().__init__(token.text for token in tokens)
        self.text, self.tagged = text, tagged
        self.places = [(token.start, token.end) for token in tokens]

    @classmethod
    def of(cls, text: str, split: str | None = "words") -> Sentence:
        """Return the words of a text, split at blanks and marks or at blanks alone."""
        if split == "blanks":
            found = re.finditer(r"\S+", text)
            return cls(text, [Token(m[0], m.start(), m.end()) for m in found])
        return cls(text, tokenise(text))

    @classmethod
    def joined(cls, words: Sequence[str]) -> Sentence:
        """Return words as a text, with a blank between two."""
        if isinstance(words, Sentence):
            return words
        found, at = [], 0
        for word in words:
            found.append(Token(word, at, at + len(word)))
            at += len(word) + 1
        return cls(" ".join(words), found)


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read JSON lines of texts with spans.

    A line is `{"text": "...", "entities": [[start, end, label], ...]}` (also `sentence`; `spans`,
    `label`, `labels`; `{"start": …, "end": …, "label": …}`), characters counted from 0, `end` not
    included. Beside them may stand `intent` (or `label`) and `id`. An export of Label Studio, whole
    or JSON-MIN, is read too. What is not annotated there, and what was rejected or ignored in
    Prodigy, is left out and noted.

    Args:
        paths: the files.
        columns: those to keep.
        types: column → kind.
        encoding: found when `None`.

    Returns:
        The columns `tokens` (each cell a `Sentence`) and `tags`, and `label` and `id` where all
        lines have them. Spans of characters are written as BIO tags of the tokens that `tokenise`
        finds.

    Raises:
        InputError: with the line: names are missing, spans overlap, are empty or lie beyond the
            text, or one begins or ends inside a token.
    """
    held = [(path, number, record) for path in paths for number, record in records(path, encoding)]
    return table_of(held, paths, columns, types)


def table_of(
    held: Sequence[Record],
    paths: Sequence[Path],
    columns: Sequence[str] | None,
    types: Mapping[str, str] | None,
) -> Table:
    """Return a table of texts with spans.

    Args:
        held: objects of all files.
        paths: the files, each of which has some.
        columns, types: as for `read`.

    Raises:
        InputError: as `read`.
    """
    import pandas as pd

    tokens: list[Sentence] = []
    tags: list[list[str]] = []
    others: dict[str, list[str]] = {"label": [], "id": []}
    origins = []
    kept, left_out = _examples(held)
    of_file: dict[Path, list[Record]] = {path: [] for path in paths}
    for one in kept:
        of_file[one[0]].append(one)
    for path in paths:
        numbers: list[int] = []
        for _, number, record in of_file[path]:
            try:
                words, marks = _sentence(record)
            except InputError as error:
                what = str(error).removesuffix(f" {error.fix}")
                raise InputError(what, file=path, row=number, fix=error.fix) from None
            numbers.append(number)
            tokens.append(words)
            tags.append(marks)
            for name, keys in (("label", INTENT), ("id", ("id",))):
                value = next((record[key] for key in keys if _is_name(record.get(key))), None)
                if value is not None:
                    others[name].append(str(value))
        if not numbers:
            none = "The file is empty."
            if any(one[0] == path for one in held):
                none = "Nothing in the file is annotated."
            raise InputError(none, file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    known: dict[str, Kind] = {"tokens": "tokens", "tags": "tokens"}
    frame = pd.DataFrame({"tokens": objects(tokens), "tags": objects(tags)})
    for name, kind in (("label", "category"), ("id", "text")):
        if len(others[name]) == len(tokens):
            frame[name] = pd.Series(others[name], dtype=object)
            known[name] = kind  # type: ignore[assignment]
    told, doubts = label_studio.several(held)
    meta = {"notes": told, "left_out": left_out, "doubts": doubts}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _examples(held: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Return the objects to learn from as texts with spans, and in words what was left out."""
    kept: list[Record] = []
    left: list[tuple[str, Record]] = []
    for path, number, record in held:
        flat = unwrapped(record)
        why = _no_example(record)
        if why is None:
            kept.append((path, number, flat))
        else:
            left.append((why, (path, number, flat)))
    if not kept and all(why == _UNANNOTATED for why, _ in left):
        return [one for _, one in left], []  # texts to find spans in
    counts = Counter(why for why, _ in left)
    first = dict(reversed(left))
    return kept, [
        f"{count:,} of {len(held):,} texts were left out: {why} (the first in "
        f"{first[why][0].name}, row {first[why][1]})."
        for why, count in counts.items()
    ]


def _no_example(record: Mapping[str, Any]) -> str | None:
    """Return why an object is nothing to learn from, or None."""
    answer = record.get("answer")
    if answer in prodigy.LEFT_OUT and has_spans(record):
        return f'their answer is "{answer}"'
    if label_studio.wrote(record) and label_studio.annotation(record) is None:
        return _UNANNOTATED
    return None


def has_spans(record: Mapping[str, Any]) -> bool:
    """Tell whether an object is a text with spans of characters.

    >>> has_spans({"text": "a", "spans": [[0, 1, "b"]]}), has_spans({"text": "a", "spans": [2]})
    (True, False)
    """
    text = any(isinstance(record.get(key), str) for key in TEXT)
    lists = [record[key] for key in SPANS if isinstance(record.get(key), list)]
    return text and any(not cells or isinstance(cells[0], list | dict) for cells in lists)


def marks_spans(record: Mapping[str, Any]) -> bool:
    """Tell whether an object has a span that can be nothing else.

    >>> marks_spans({"text": "a", "label": [[0, 1, "b"]]}), marks_spans({"text": "a", "spans": []})
    (True, False)
    """
    lists = [record[key] for key in SPANS if isinstance(record.get(key), list)]
    return has_spans(record) and any(cells and _is_span(cells[0]) for cells in lists)


def tags_of_spans(text: str, spans: Sequence[Span]) -> tuple[list[Token], list[str]]:
    """The tokens of a text, and BIO tags for spans of its characters.

    >>> tags_of_spans("to Oslo.", [Span(3, 7, "city")])[1]
    ['O', 'B-city', 'O']

    Raises:
        InputError: spans overlap, or one begins or ends inside a token or between two.
    """
    tokens = tokenise(text)
    starts = {token.start: place for place, token in enumerate(tokens)}
    ends = {token.end: place + 1 for place, token in enumerate(tokens)}
    found = []
    before: Span | None = None
    for span in sorted(spans):
        if span.start == span.end:
            raise InputError(
                f"The span {span.start}:{span.end} ({span.label}) is empty.",
                fix="Correct its end, which is not included, or take it out.",
            )
        if not 0 <= span.start < span.end <= len(text):
            raise InputError(
                f"The span {span.start}:{span.end} ({span.label}) does not lie in the text, which "
                f"has {len(text)} characters."
            )
        shown = f"The span {span.start}:{span.end}, {text[span.start : span.end]!r},"
        if before is not None and span.start < before.end:
            raise InputError(
                f"{shown} overlaps {before.start}:{before.end}, "
                f"{text[before.start : before.end]!r}.",
                fix="Keep one of them.",
            )
        if span.start not in starts or span.end not in ends:
            touched = [one for one in tokens if one.end > span.start and one.start < span.end]
            raise InputError(
                f"{shown} does not begin and end with a word.",
                fix=f"The nearest that does is {touched[0].start}:{touched[-1].end}, "
                f"{text[touched[0].start : touched[-1].end]!r}."
                if touched
                else "It holds no word.",
            )
        found.append(Span(starts[span.start], ends[span.end], span.label))
        before = span
    return tokens, tags_of(found, len(tokens), "BIO")


def _sentence(record: Mapping[str, Any]) -> tuple[Sentence, list[str]]:
    key = next((key for key in TEXT if isinstance(record.get(key), str)), None)
    span_key = next((name for name in SPANS if isinstance(record.get(name), list)), None)
    if key is None or span_key is None:
        lacks = "text" if key is None else "spans"
        raise InputError(
            f"Other lines have a text with spans, this one has no {lacks}.",
            fix='Write {"text": …, "entities": [[start, end, label], …]}, and "entities": [] where '
            "there are none.",
        )
    tokens, marks = tags_of_spans(record[key], [_span(one) for one in record[span_key]])
    if not tokens:
        raise InputError("The text is empty.", fix="Take the line out.")
    return Sentence(record[key], tokens, tagged=True), marks


def _is_span(one: Any) -> bool:
    try:
        _span(one)
    except InputError:
        # One with several labels is a span, which its reader refuses by its line.
        return isinstance(one, dict) and isinstance(one.get("labels"), list) and "start" in one
    return True


def _span(one: Any) -> Span:
    parts: Sequence[Any] = ()
    if isinstance(one, dict):
        parts = [
            next((one[name] for name in names if name in one), None)
            for names in (_START, _END, _LABEL)
        ]
        if isinstance(parts[2], list):
            if len(parts[2]) > 1:
                raise InputError(
                    f"The span {parts[0]}:{parts[1]} has {len(parts[2])} labels "
                    f"({', '.join(map(str, parts[2]))}), and can have one.",
                    fix="Keep one of them.",
                )
            parts = [*parts[:2], *parts[2]]
    elif isinstance(one, list):
        parts = one
    if len(parts) == 3 and isinstance(parts[2], str):
        start, end, label = parts
        # JSON has no whole numbers of its own: true would pass for 1.
        if type(start) is int and type(end) is int and label:
            return Span(start, end, label)
    raise InputError(
        f"{one!r} is no span.", fix='Write [start, end, "label"], characters counted from 0.'
    )


def _is_name(value: Any) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or type(value) is int
