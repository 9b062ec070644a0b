"""Documents that have labels: a style, an author, a topic.

Each label's documents are cut into parts by themselves, so that every part has some of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import elman.data
from elman.errors import InputError, nearest
from elman.tasks.generate import corpus
from elman.tasks.generate.corpus import FOLDER, Documents, Piece

_MANY = 20
"""Documents of all labels from which on each part holds whole ones."""
_SHOWN = 8
"""Labels that a message names."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled(Documents):
    """Documents of which each has a label, or some of them, whole or in part.

    Attributes:
        names: the labels, in their order.
        codes: the number of the label of each source.
        ranges: `(D, 2)`, the characters of each document of this part, from and up to, counted over
            all sources.

    >>> found = Labelled.of(Documents.of_texts(["abcd", "efg", "hi"]), ["x", "y", "x"])
    >>> found.names, found.labels.tolist(), list(found.whole())
    (('x', 'y'), [0, 1, 0], ['abcd', 'efg', 'hi'])
    """

    names: tuple[str, ...] = ()
    codes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    ranges: Ints = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @classmethod
    def of(
        cls, documents: Documents, labels: Sequence[str], names: Sequence[str] | None = None
    ) -> Self:
        """Give each source of `documents` its label; `names` are all that are known."""
        known = tuple(sorted(set(labels)) if names is None else names)
        numbers = {name: number for number, name in enumerate(known)}
        codes = np.array([numbers[label] for label in labels], np.int64)
        ends = np.append(documents.begins[1:], documents.characters)
        ranges = np.stack([documents.begins, ends], 1)
        about = {one.name: getattr(documents, one.name) for one in fields(Documents)}
        return cls(**about, names=known, codes=codes, ranges=ranges)

    @property
    def size(self) -> int:
        """Characters in this part."""
        return int((self.ranges[:, 1] - self.ranges[:, 0]).sum())

    @property
    def count(self) -> int:
        """How many documents are in this part, whole or not."""
        return len(self.ranges)

    @property
    def labels(self) -> Ints:
        """The code of the label of each document of this part."""
        found: Ints = self.codes[self._numbers]
        return found

    @property
    def _numbers(self) -> Ints:
        """The number of the source of each document."""
        found: Ints = np.searchsorted(self.begins, self.ranges[:, 0], side="right") - 1
        return found

    def __iter__(self) -> Iterator[Piece]:
        """The pieces of this part, in order; the first begins a document."""
        for number, (low, high) in zip(self._numbers, self.ranges.tolist(), strict=True):
            texts = self._read(int(number))
            yield from corpus.pieces_within(texts, int(self.begins[number]), low, high)

    def only(self, ranges: Ints) -> Self:
        """Return the part of these characters; a range lies in one document."""
        about = {one.name: getattr(self, one.name) for one in fields(self)}
        return type(self)(**(about | {"ranges": ranges[ranges[:, 1] > ranges[:, 0]]}))

    def split(
        self, fractions: Sequence[float], words: bool, most: Sequence[int | None]
    ) -> list[Self]:
        """Cut the documents of each label by position, and return the parts of all labels.

        With 20 documents or more in all, each part holds whole ones; a label of a single document
        is in the first part alone then.

        Args:
            fractions: where each part but the first begins, of a label's characters.
            words: a document that is cut is cut between two words.
            most: characters of each part at most, shared out evenly.
        """
        parts: list[list[Ints]] = [[] for _ in range(len(fractions) + 1)]
        whole = len(self.ranges) >= _MANY
        for code in range(len(self.names)):
            own = self.ranges[self.labels == code]
            ends = np.cumsum(own[:, 1] - own[:, 0])
            cuts = [self._cut(own, ends, fraction, words, whole) for fraction in fractions]
            total = int(ends[-1]) if len(ends) else 0
            for part, low, high, held in zip(parts, [0, *cuts], [*cuts, total], most, strict=True):
                high = high if held is None else min(high, low + held // len(self.names))
                part.append(_between(own, ends, low, high))
        return [self.only(np.concatenate(part)) for part in parts]

    def _cut(self, own: Ints, ends: Ints, fraction: float, words: bool, whole: bool) -> int:
        """Return the characters of a label before a cut at about a fraction of them."""
        total = int(ends[-1]) if len(ends) else 0
        place = int(total * fraction)
        if place in (0, total):
            return place
        if whole:
            begins = ends[:-1]
            return int(begins[np.argmin(np.abs(begins - place))]) if len(begins) else total
        if not words:
            return place
        for text in self.only(_between(own, ends, place, total)).texts():
            blank = next((i for i, letter in enumerate(text) if letter.isspace()), len(text))
            place += blank
            if blank < len(text):
                break
        return place


def find(
    source: Any,
    column: str | None,
    label: str,
    encoding: str | None,
    sheet: str | None = None,
    names: Sequence[str] | None = None,
) -> Labelled:
    """The documents of `source` with their labels: text files in folders, or rows of a table.

    Args:
        source: path, paths, or any data in memory.
        column: the column of a table that holds the text; may be left out where one does.
        label: the column of the labels; of text files `folder`.
        encoding: of text; found when None.
        sheet: of a workbook; found when None.
        names: the labels that are known; None where these documents tell them.

    Raises:
        InputError: no such file or column, no text, a label that is missing or not known, or fewer
            than two of them where they are told.
    """
    if column is None and (found := corpus.of_plain_files(source, encoding)) is not None:
        return _in_folders(found, source, label, names)
    table = elman.data.read(source, encoding=encoding, sheet=sheet)
    text = column or corpus.text_column(table, label)
    if text == label:
        raise InputError(
            f"Column {label!r} cannot be both the text and its label.",
            file=table.source,
            fix="Name another column with --set label=NAME.",
        )
    labels = table.labels(label)
    for row, one in enumerate(labels):
        if names is not None and one not in names:
            raise table.refuse(f"The label {one!r} is not known.", row, label, nearest(one, names))
    found = corpus.of_column(table, text, named=column is not None)
    made = Labelled.of(found, labels, names)
    return made if names is not None else _checked(made, f"column {label!r}", table.source)


def _in_folders(found: Documents, source: Any, label: str, names: Sequence[str] | None) -> Labelled:
    """Return text files with the names of their folders."""
    if label != FOLDER:
        raise InputError(
            f"Text files have no column {label!r}.",
            file=found.name,
            fix=f"Set label={FOLDER} for the name of the folder of each file; or text=text and "
            "label=label where each line is a text and the file's name its label.",
        )
    paths = [path for path in found.sources if isinstance(path, Path)]
    labels = [_folder_of(path, source) for path in paths]
    for path, one in zip(paths, labels, strict=True):
        if names is not None and one not in names:
            raise InputError(
                f"The folder {one!r} is no label that is known.",
                file=path,
                fix=nearest(one, names),
            )
    made = Labelled.of(found, labels, names)
    return made if names is not None else _checked(made, "the name of the folder", found.name)


def _folder_of(path: Path, source: Any) -> str:
    """Return the name of the folder below the one that was given, or of the folder of a file."""
    given = elman.data.files.given(source)
    above = next((one for one in given if one.is_dir() and path.is_relative_to(one)), None)
    if above is None:
        return path.resolve().parent.name
    within = path.relative_to(above).parts
    return within[0] if len(within) > 1 else above.resolve().name


def _checked(found: Labelled, what: str, file: Path | None) -> Labelled:
    """Refuse labels that tell nothing apart, because there is one or every document has its own."""
    counts = np.bincount(found.codes, minlength=len(found.names))
    if len(found.names) < 2:
        raise InputError(
            f"There is only one label, {found.names[0]!r} ({what}): with one there is nothing to "
            "tell apart.",
            file=file,
            fix="Leave label out, or name another column.",
        )
    if len(found.names) > len(found.codes) // 2 and counts.max() < 3 < len(found.codes):
        raise InputError(
            f"Nearly every document has a label of its own ({what}: {len(found.names):,} labels of "
            f"{len(found.codes):,} documents).",
            file=file,
            fix="Name a column with few values: --set label=NAME.",
        )
    return found


def shown(found: Labelled) -> str:
    """Return the labels with how many documents each has, the commonest first."""
    counts = np.bincount(found.labels, minlength=len(found.names))
    order = np.argsort(-counts, kind="stable")
    said = [f"{found.names[code]} {counts[code]:,}" for code in order[:_SHOWN]]
    more = len(found.names) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")


def _between(own: Ints, ends: Ints, low: int, high: int) -> Ints:
    """Return the ranges of the characters of a label from `low` up to `high`."""
    before = np.concatenate(([0], ends))[:-1]
    firsts = own[:, 0] + np.clip(low - before, 0, own[:, 1] - own[:, 0])
    lasts = own[:, 0] + np.clip(high - before, 0, own[:, 1] - own[:, 0])
    found: Ints = np.stack([firsts, lasts], 1)[lasts > firsts]
    return found
