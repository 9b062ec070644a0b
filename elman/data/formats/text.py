"""Plain text: lines or whole files as examples, with a class from the name or first word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from elman.data import files
from elman.data.kinds import Kind
from elman.data.table import Origin, Table, build
from elman.errors import InputError


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    each: Literal["line", "file"] | None = None,
    labels: Literal["file", "first"] | None = None,
) -> Table:
    """Read texts, and labels where they have any; `elman.data.read` explains the options."""
    import pandas as pd

    if each not in (None, "line", "file") or labels not in (None, "file", "first"):
        raise InputError("each= is 'line' or 'file', and labels= is 'file' or 'first'.")
    folders = {path.parent for path in paths}
    if each is None:
        each = "file" if len(folders) > 1 else "line"
    if labels is None and len(paths) > 1:
        labels = "file"
    texts: list[str] = []
    names: list[str] = []
    origins = []
    for path in paths:
        label = path.parent.name if len(folders) > 1 else files.stem(path)
        found = [(1, files.whole(path, encoding))] if each == "file" else _lines(path, encoding)
        if not found:
            raise InputError("The file is empty.", file=path)
        for number, text in found:
            if labels == "first":
                label, *rest = text.split(maxsplit=1)
                if not rest:
                    raise InputError(
                        f"The line has a label, {label!r}, and no text.", file=path, row=number
                    )
                text = rest[0]
            texts.append(text)
            names.append(label)
        origins.append(Origin(path, len(found), [number for number, _ in found].__getitem__))
    known: dict[str, Kind] = {"text": "text"}
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    if labels is not None:
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
    return build(frame, origins, known=known, columns=columns, types=types)


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
