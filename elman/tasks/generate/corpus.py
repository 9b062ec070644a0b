"""Text as documents: found, cut into parts by position, and laid out as one row of tokens.

Nothing here holds a whole file: a document is read a piece at a time, as often as it is
needed, and long texts become tokens in a memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import elman.data
from elman.data import Vocabulary, files, memory, reading, repeats, tokens
from elman.data.code_cells import written_in_code
from elman.data.formats.pair_columns import texts_of
from elman.errors import InputError, nearest

if TYPE_CHECKING:
    from elman.data import Table

_PIECE = 1 << 20
# Characters whose tokens are held in memory.
_IN_MEMORY = 50_000_000
_TABLES = {"csv", "json", "parquet", "sheet"}
_SPOKEN = {
    "subtitles": "numbers, times and marks of subtitles",
    "mail": "headers and attachments of messages",
    "chats": "dates and times of messages, and lines of the service",
}
"""Forms of text of which only what is said is learnt, and what is left out."""
# With fewer documents than this a part may begin inside one, else parts hold whole documents.
_MANY = 20
_STRETCHES = 10
"""Stretches of an old text that are read again, evenly spread."""
_FEW_WORDS = 20
"""Different words of a column at most that is no prose."""
_LONG_WORD = 24
"""Letters of a word at most that is a name or a truth value."""
FOLDER = "folder"
"""The label of text files: the name of the folder in which each lies."""


class Piece(NamedTuple):
    """Some text; `begins` says that it is the beginning of a document."""

    begins: bool
    text: str


def pieces_within(texts: Iterable[str], place: int, low: int, high: int) -> Iterator[Piece]:
    """Yield what texts that follow one another hold of the characters from `low` to `high`.

    Args:
        texts: those of a document, in order.
        place: where the first of them begins.
        low, high: the first character, and the one behind the last.

    >>> [tuple(piece) for piece in pieces_within(["abc", "de", "f"], 10, 11, 14)]
    [(True, 'bc'), (False, 'd')]
    """
    begins = True
    for text in texts:
        inside = text[max(0, low - place) : max(0, high - place)]
        place += len(text)
        if inside:
            yield Piece(begins, inside)
            begins = False
        if place >= high:
            return


@dataclass(frozen=True)
class Documents:
    """Texts one after another, from files (one document each) or from rows of a table.

    >>> sonnets = Documents.of_texts(["Full many a", "glorious"])
    >>> list(sonnets.part(5, 14))
    [Piece(begins=True, text='many a'), Piece(begins=True, text='glo')]
    """

    sources: Sequence[str] | Sequence[Path]
    encodings: Sequence[str | None]
    begins: NDArray[np.int64]
    characters: int
    low: int = 0
    high: int | None = None
    doubts: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    """Labels that there could be and that are not read, in words."""

    @classmethod
    def of_texts(cls, texts: Sequence[str], doubts: Sequence[str] = ()) -> Documents:
        """Documents that are in memory already; `doubts` are about the table that held them."""
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        begins = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        about = tuple(doubts)
        return cls(texts, [None] * len(texts), begins, int(lengths.sum()), doubts=about)

    @classmethod
    def of_files(cls, paths: Sequence[Path], encoding: str | None) -> Documents:
        """One document a file.

        Raises:
            InputError: a file is empty, is not text, or not in that encoding.
        """
        # Told once, since finding an encoding reads the whole file.
        encodings = [files.encoding_of(path, encoding) for path in paths]
        lengths = [
            sum(map(len, files.pieces(path, name, _PIECE)))
            for path, name in zip(paths, encodings, strict=True)
        ]
        begins = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
        guessed = {} if encoding else dict(zip(paths, encodings, strict=True))
        doubts = tuple(files.doubts(guessed))
        return cls(paths, encodings, begins, sum(lengths), doubts=doubts)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The code of the label of each document of this part; None where they have none."""
        return None

    @property
    def name(self) -> Path | None:
        """The first file, for messages."""
        source = self.sources[0]
        return source if isinstance(source, Path) else None

    @property
    def size(self) -> int:
        """Characters in this part."""
        return (self.characters if self.high is None else self.high) - self.low

    @property
    def count(self) -> int:
        """How many documents begin in this part (its first always does)."""
        high = self.characters if self.high is None else self.high
        return max(1, int(np.sum((self.begins > self.low) & (self.begins < high))) + 1)

    def part(self, low: int, high: int) -> Documents:
        """The characters from `low` up to `high`."""
        return replace(self, low=low, high=high)

    def stretches(self, share: float) -> list[Documents]:
        """Return stretches of this part, evenly spread, that hold a share of it together."""
        size, apart = int(share * self.size / _STRETCHES), self.size / _STRETCHES
        lows = [self.low + int(number * apart) for number in range(_STRETCHES)]
        return [self.part(low, low + size) for low in lows] if size else []

    def __iter__(self) -> Iterator[Piece]:
        """The pieces of this part, in order; the first begins a document."""
        high = self.characters if self.high is None else self.high
        first = max(0, int(np.searchsorted(self.begins, self.low, side="right")) - 1)
        for number in range(first, len(self.sources)):
            place = int(self.begins[number])
            if place >= high:
                return
            yield from pieces_within(self._read(number), place, self.low, high)

    def whole(self) -> Iterator[str]:
        """The text of each document of this part, one in memory at a time."""
        held: list[str] = []
        for begins, text in self:
            if begins and held:
                yield "".join(held)
                held = []
            held.append(text)
        if held:
            yield "".join(held)

    def texts(self) -> Iterator[str]:
        """The pieces without a word about where documents begin."""
        for piece in self:
            yield piece.text

    def cut(self, fraction: float, whole_words: bool) -> int:
        """The position that leaves about `fraction` of the characters before it.

        Where there are many documents it is the beginning of one; otherwise, with
        `whole_words`, it follows a blank.
        """
        place = int(self.characters * fraction)
        if place in (0, self.characters):
            return place
        if len(self.begins) >= _MANY:
            # A part must not be empty because one document is longer than its share.
            nearest_begin = 1 + int(np.argmin(np.abs(self.begins[1:] - place)))
            return int(self.begins[nearest_begin])
        if whole_words:
            for text in self.part(place, self.characters).texts():
                blank = next((i for i, letter in enumerate(text) if letter.isspace()), len(text))
                place += blank
                if blank < len(text):
                    break
        return place

    def _read(self, number: int) -> Iterator[str]:
        source = self.sources[number]
        if isinstance(source, str):
            yield source
            return
        encoding = self.encodings[number]
        assert encoding is not None  # of a file
        yield from files.pieces(source, encoding, _PIECE)


def find(
    source: Any, column: str | None, encoding: str | None, sheet: str | None = None
) -> Documents:
    """The documents of `source`: text files, a folder of them, or rows of a table.

    Args:
        source: path, paths, a list of texts, or any other data in memory.
        column: the column of a table that holds the text; may be left out where one does.
        encoding: of text; found when None.
        sheet: of a workbook; found when None.

    Raises:
        InputError: no such file or column, or no text in it.
    """
    if column is None and (found := of_plain_files(source, encoding)) is not None:
        return replace(found, unread=unread_folders(found.sources))
    table = elman.data.read(source, encoding=encoding, sheet=sheet)
    name = column or text_column(table)
    found = of_column(table, name, named=column is not None)
    return replace(found, unread=unread_labels(table, name))


def of_plain_files(source: Any, encoding: str | None) -> Documents | None:
    """Return the documents of text files, or None where `source` is a table.

    Raises:
        InputError: as `find`.
    """
    if not memory.names_files(source):
        return None
    paths, left_out = _files(source)
    paths, repeated = repeats.once(paths)
    if all(reading.format_of(path) in _TABLES for path in paths):
        return None
    kinds = {path: reading.format_found(path) for path in paths}
    spoken = {path: kind for path, kind in kinds.items() if kind in _SPOKEN}
    if spoken and len(set(kinds.values())) > 1:
        one = next(iter(spoken))
        other = next(path for path in paths if kinds[path] != spoken[one])
        raise InputError(
            f"The files are of several forms: {one.name} holds {spoken[one]}, and {other.name} "
            "does not.",
            file=one.parent,
            fix="Name those to read.",
        )
    if spoken:
        kind = spoken[paths[0]]
        found = _said_in(paths, encoding, kind)
        left_out.append(_SPOKEN[kind])
    else:
        found = Documents.of_files(paths, encoding)
        if marked := files.marks_within(dict(zip(paths, map(str, found.encodings), strict=True))):
            left_out.append(f"byte order marks within {marked[0].name}")
    return replace(found, doubts=(*found.doubts, *repeated), left_out=tuple(left_out))


def _said_in(paths: Sequence[Path], encoding: str | None, kind: str) -> Documents:
    """Return what is said in each file of subtitles, or on each day of a chat and by whom."""
    table = elman.data.read(paths, encoding=encoding)
    if kind == "mail":
        return Documents.of_texts(table.texts("text"), table.doubts())
    if kind == "chats":
        return Documents.of_texts([f"{text}\n" for text in texts_of(table, "turns")])
    cells = table.column("turns")
    return Documents.of_texts(["\n".join(turn.text for turn in cell) + "\n" for cell in cells])


def of_column(table: Table, name: str, *, named: bool) -> Documents:
    """Return the documents in a column of a table.

    Args:
        table: the table.
        name: of the column.
        named: whether a person named the column.

    Raises:
        InputError: a cell is empty, or the column holds no texts and was not named.
    """
    spoken = table.kinds.get(name) == "turns"
    texts = texts_of(table, name) if spoken else table.texts(name)
    doubts = table.doubts()
    if (what := written_in_code(table).get(name)) is not None:
        doubts.append(
            f"column {name!r} holds {what}: they are learnt as they are written, with names and "
            "brackets. For the texts in them write a column of texts, a row each."
        )
    if (what := _no_prose(texts)) is not None:
        if not named and name.casefold() != "text":
            raise InputError(
                f"Column {name!r} holds {what}: that is no text to learn from.",
                file=table.source,
                fix="Name the column of the texts: --set text=NAME.",
            )
        doubts = [*doubts, f"column {name!r} holds {what}, from which no writing can be learnt."]
    return Documents.of_texts(texts, doubts)


def _no_prose(texts: Sequence[str]) -> str | None:
    """Return in words what a column holds that are a few single words again and again."""
    words = sorted(set(map(str.strip, texts)))
    if len(words) > _FEW_WORDS or 3 * len(words) > len(texts):
        return None
    if any(" " in word or len(word) > _LONG_WORD for word in words):
        return None
    shown = ", ".join(words[:3])
    return f"{len(words)} different words ({shown}{', …' if len(words) > 3 else ''})"


def unread_labels(table: Table, text: str) -> tuple[str, ...]:
    """Return in words the columns that could be the labels of the documents, and are not read."""
    found = []
    for name, kind in table.kinds.items():
        if kind != "category" or name == text:
            continue
        different = table.frame[name].nunique()
        if 2 <= different <= len(table) // 2:
            found.append(f"column {name!r} ({different} values), with --set label={name}")
    return tuple(found)


def unread_folders(sources: Sequence[Any]) -> tuple[str, ...]:
    """Return in words that the folders of files could be their labels, and are not read."""
    folders = {source.parent for source in sources if isinstance(source, Path)}
    if len(folders) < 2 or len(folders) > len(sources) // 2:
        return ()
    return (f"the names of {len(folders)} folders, with --set label={FOLDER}",)


def _files(source: Any) -> tuple[list[Path], list[str]]:
    """Return files, those of folders that may be text, and in words the others of folders."""
    found: list[Path] = []
    left_out: list[str] = []
    for path in files.given(source):
        if path.is_dir():
            text, others = files.that_may_be_text(files.listing(path))
            found += text
            left_out += others
        else:
            found.append(path)
    return found, left_out


def text_column(table: Table, label: str | None = None) -> str:
    """Return the one column of a table that holds texts, beside that of a label.

    Raises:
        InputError: there is none, or more than one.
    """
    code = written_in_code(table)
    kinds = {n: kind for n, kind in table.kinds.items() if n != label and n not in code}
    found = [name for name, kind in kinds.items() if kind == "text"]
    talks = [name for name, kind in kinds.items() if kind == "turns"]
    if [name.casefold() for name in found] != ["text"]:
        found += talks
    found = found or [name for name, kind in kinds.items() if kind == "category"]
    if len(found) != 1:
        raise InputError(
            f"{'no column' if not found else 'more than one column'} of this table holds text.",
            file=table.source,
            fix=f"Set text=COLUMN. {nearest('', found or kinds or table.kinds)}",
        )
    return found[0]


@dataclass(frozen=True)
class Tokens:
    """Documents in one row: `ids` `(N,)` and the positions where documents begin.

    Each document begins with the boundary symbol, which also ends the one before.

    Attributes:
        labels: the code of each document's label, `(D,)`; None where documents have none.
    """

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None

    @property
    def predicted(self) -> int:
        """How many of them are predicted: all but the first."""
        return max(0, len(self.ids) - 1)

    def first(self, count: int | None) -> Tokens:
        """Return the first tokens, of which `count` are predicted; all of them where None.

        Where documents have labels, they are the first documents of each label, by its share.
        """
        if count is None or count >= self.predicted:
            return self
        if self.labels is None:
            return Tokens(self.ids[: count + 1], self.starts[self.starts < count])
        lengths, share = self.lengths, count / self.predicted
        most = np.zeros(len(lengths), np.int64)
        for code in np.unique(self.labels):
            own = np.flatnonzero(self.labels == code)
            before = np.cumsum(lengths[own]) - lengths[own]
            most[own] = np.clip(share * lengths[own].sum() - before, 0, None)
        kept = np.flatnonzero(most)
        return self.documents(kept, most[kept])[0]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens of each document are predicted, `(D,)`: its end is one of them."""
        found: NDArray[np.int64] = np.diff(self.starts, append=self.predicted)
        return found

    def documents(
        self, chosen: NDArray[np.int64], most: NDArray[np.int64] | None = None
    ) -> tuple[Tokens, NDArray[np.int64]]:
        """Return some documents, or their beginnings, and where each predicted token stood.

        Args:
            chosen: numbers of documents.
            most: tokens of each that are predicted, at most.

        Returns:
            The tokens, and for each predicted one its number among those predicted here.
        """
        sizes = self.lengths[chosen]
        sizes = sizes if most is None else np.minimum(sizes, most)
        firsts = self.starts[chosen]
        places = np.concatenate(
            [np.arange(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
            or [np.zeros(0, np.int64)]
        )
        ids = np.concatenate((self.ids[places], self.ids[-1:]))
        labels = None if self.labels is None else self.labels[chosen]
        return Tokens(ids, np.cumsum(sizes) - sizes, labels), places


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Return several parts one after another, each of which begins a document."""
    begins = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
    starts = [part.starts + begin for part, begin in zip(parts, begins, strict=True)]
    return Tokens(np.concatenate([part.ids for part in parts]), np.concatenate(starts))


def encode(documents: Documents, vocabulary: Vocabulary, *, ended: bool) -> Tokens:
    """Tokens of a part; those of a long one lie in a memory-mapped temporary file.

    Args:
        documents: a part of some text.
        vocabulary: has `bos`, which is used as the boundary between documents.
        ended: the last document ends with the part, and this is to be predicted.
    """
    pieces = _encoded(documents, vocabulary, ended)
    on_disk = documents.size > _IN_MEMORY
    found = tokens.gather(pieces, len(vocabulary), on_disk=on_disk)
    return Tokens(*found, documents.labels)


def _encoded(
    documents: Documents, vocabulary: Vocabulary, ended: bool
) -> Iterator[tuple[bool, NDArray[np.int64]]]:
    boundary = np.array([vocabulary.bos], dtype=np.int64)
    for begins, text in documents:
        ids = vocabulary.encode(text)
        yield begins, np.concatenate((boundary, ids)) if begins else ids
    if ended:
        yield False, boundary
