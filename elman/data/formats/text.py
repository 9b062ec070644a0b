"""Plain text: lines or whole files as examples, with a class from the name, a tab or first word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from elman.data import files
from elman.data.headers import names_label_and_text
from elman.data.kinds import Kind
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest

Labels = Literal["file", "first", "before tab", "after tab", "none", "found"]
"""Places of a text's label; see `elman.data.read`."""
LABELS: tuple[Labels, ...] = get_args(Labels)
_LONGEST_LABEL = 64
_OF_SPACY = re.compile(r"^(\w+)\s*=\s*\[[^{}]*\{\s*[\"'](?:entities|cats)\b", re.MULTILINE)
FASTTEXT = "__label__"
"""The mark of a label in files for fastText."""


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    each: Literal["line", "file"] | None = None,
    labels: Labels | None = None,
) -> Table:
    """Read texts, and labels where they have any; `elman.data.read` explains the options."""
    import pandas as pd

    if each not in (None, "line", "file"):
        raise InputError("each= is 'line' or 'file'.")
    if labels not in (None, *LABELS):
        raise InputError(f"labels={labels!r} is not known.", fix=nearest(str(labels), LABELS))
    by_folder = each != "line" and labels in (None, "file", "found")
    _refuse_code(paths)
    strays = files.beside_folders(paths) if by_folder else []
    paths = [path for path in paths if path not in strays]
    folders = {path.parent for path in paths}
    if each is None:
        each = "file" if len(folders) > 1 or strays else "line"
    found = {
        path: [(1, files.whole(path, encoding))] if each == "file" else _lines(path, encoding)
        for path in paths
    }
    place = labels
    if labels in (None, "found"):
        every = [text for lines in found.values() for _, text in lines]
        place = tab_of(every)
        if labels == "found" and each == "line" and every and all(map(_is_marked, every)):
            place = "first"
        if place is None:
            last: Labels = "first" if labels == "found" and each == "line" else "none"
            place = "file" if len(paths) > 1 else last
    texts: list[str] = []
    names: list[Any] = []
    origins = []
    headers: list[str] = []
    marked = False
    for path, lines in found.items():
        label = path.parent.name if len(folders) > 1 else files.stem(path)
        if not lines or not any(text.strip() for _, text in lines):
            raise InputError("The file is empty.", file=path)
        if place in ("file", "none"):
            texts += [text for _, text in lines]
            names += [label] * len(lines)
        else:
            parted = [_parted(text, place, path, number) for number, text in lines]
            sides = [label for label, _ in parted], [text for _, text in parted]
            if names_label_and_text(*sides, strictly=place == "first"):
                headers.append(", ".join(lines[0][1].split("\t"))[:80])
                lines, parted = lines[1:], parted[1:]
            marked = marked or any(label.startswith(FASTTEXT) for label, _ in parted)
            if marked:
                sets, bare = _unmarked(parted, path, [number for number, _ in lines])
                texts += bare
                names += sets
            else:
                texts += [text for _, text in parted]
                names += [label for label, _ in parted]
        origins.append(Origin(path, len(lines), [number for number, _ in lines].__getitem__))
    known: dict[str, Kind] = {"text": "text"}
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    several = marked and any(len(labels) > 1 for labels in names)
    if place != "none":
        if marked and not several:
            names = [label for (label,) in names]
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "tokens" if several else "category"
    encodings = dict.fromkeys(files.encoding_of(path, encoding) for path in paths[:100])
    meta = {
        "each": each,
        "labels": place,
        "marked": marked,
        "notes": [
            _note(each, place, ", ".join(encodings), len(folders), several),
            *(f"The first line is a header: {line}." for line in dict.fromkeys(headers)),
            *([f"{FASTTEXT} was taken off the names of the classes."] if marked else []),
            *_left_out(strays),
        ],
    }
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _refuse_code(paths: Sequence[Path]) -> None:
    """Refuse a Python file with training data of spaCy.

    Raises:
        InputError: it is one.
    """
    for path in paths:
        if path.suffix == ".py" and (found := _OF_SPACY.search(files.whole(path))):
            raise InputError(
                f"This is Python code with the list {found[1]}, training data of spaCy 2.",
                file=path,
                fix=f"Write it as JSON, json.dump({found[1]}, open('train.json', 'w')), and give "
                "that file.",
            )


def _is_marked(line: str) -> bool:
    """Tell whether a line begins with a label as fastText marks it."""
    return line.lstrip().startswith(FASTTEXT)


def tab_of(lines: Sequence[str]) -> Labels | None:
    """Return on which side of a tab the labels of lines stand, or None.

    Each line has one tab, and on one side are few different words, on the other many texts.

    >>> tab_of([f"a phone of {n} days\\t{n % 2}" for n in range(9)])
    'after tab'
    """
    if not lines or any(line.count("\t") != 1 for line in lines):
        return None
    sides = list(zip(*(line.split("\t") for line in lines), strict=True))
    different = [len(set(side)) for side in sides]
    place = int(different[1] <= different[0])
    if 2 * different[place] > different[1 - place]:
        return None
    if not all(cell.strip() and len(cell) <= _LONGEST_LABEL for cell in sides[place]):
        return None
    return "after tab" if place else "before tab"


def _parted(text: str, place: Labels | None, path: Path, number: int) -> tuple[str, str]:
    """Return the label and the text of a line."""
    if place == "first":
        label, *rest = text.split(maxsplit=1)
        if not rest:
            raise InputError(
                f"The line has a label, {label!r}, and no text.",
                file=path,
                row=number,
                fix="Write the label, a tab and the text on each line.",
            )
        return label, rest[0]
    before, tab, after = text.partition("\t")
    label, rest_of = (before, after) if place == "before tab" else (after, before)
    if not tab or not label.strip() or not rest_of.strip():
        order = "the label, a tab and the text"
        if place == "after tab":
            order = "the text, a tab and the label"
        raise InputError(
            "The line has no tab with a text and a label beside it.",
            file=path,
            row=number,
            fix=f"Write {order}.",
        )
    return label.strip(), rest_of


def _unmarked(
    parted: Sequence[tuple[str, str]], path: Path, numbers: Sequence[int]
) -> tuple[list[list[str]], list[str]]:
    """Return the labels of each line without fastText's mark, and the texts.

    Raises:
        InputError: a line has no label, or nothing else.
    """
    sets, texts = [], []
    for (label, text), number in zip(parted, numbers, strict=True):
        if not label.startswith(FASTTEXT):
            raise InputError(
                f"The line has no label that begins with {FASTTEXT}, as other lines have.",
                file=path,
                row=number,
                fix="Write its label, or take the line out.",
            )
        labels = label.split()
        while text.startswith(FASTTEXT):
            another, _, text = text.partition(" ")
            labels.append(another)
            text = text.lstrip()
        if not text:
            raise InputError(
                "The line has labels and no text.",
                file=path,
                row=number,
                fix="Write the text behind its labels, or take the line out.",
            )
        sets.append([one.removeprefix(FASTTEXT) for one in labels])
        texts.append(text)
    return sets, texts


def _note(each: str, place: Labels | None, encoding: str, folders: int, several: bool) -> str:
    one = "a file is one text" if each == "file" else "a line is one text"
    said = {
        "file": f"its label is the name of its {'folder' if folders > 1 else 'file'}",
        "first": f"its labels are its first words, each behind {FASTTEXT}"
        if several
        else "its label is its first word",
        "before tab": "its label stands before the tab",
        "after tab": "its label stands after the tab",
    }.get(str(place))
    return f"Text in {encoding}: {one}" + (f", {said}." if said else ".")


def _left_out(strays: Sequence[Path]) -> list[str]:
    if not strays:
        return []
    shown = ", ".join(path.name for path in strays[:3])
    more = f" and {len(strays) - 3} more" if len(strays) > 3 else ""
    return [f"Left out, beside the folders of the classes: {shown}{more}."]


def _lines(path: Path, encoding: str | None) -> list[tuple[int, str]]:
    return [
        (number, line.rstrip("\n"))
        for number, line in enumerate(files.lines(path, encoding), 1)
        if line.strip()
    ]


def lines(
    source: files.Source | Iterable[files.Source], *, encoding: str | None = None
) -> Iterator[str]:
    r"""Yield every line of one or many text files with its `\n`, blank lines included.

    Raises:
        InputError: a file is missing, empty, not text or in another encoding.
    """
    for path in _text_files(source):
        yield from files.lines(path, encoding)


def documents(
    source: files.Source | Iterable[files.Source], *, encoding: str | None = None
) -> Iterator[str]:
    r"""Yield the text of one or many files, a file at a time, line ends as `\n`.

    Raises:
        InputError: as `lines`.
    """
    for path in _text_files(source):
        yield "".join(files.lines(path, encoding))


def _text_files(source: files.Source | Iterable[files.Source]) -> Iterator[Path]:
    """Yield files, and the files of folders: the `.txt` and `.text` ones if any, else all."""
    for path in files.given(source):
        if not path.is_dir():
            yield path
            continue
        found = files.listing(path)
        yield from [p for p in found if files.suffix(p) in (".txt", ".text")] or found
