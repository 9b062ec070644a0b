"""Parallel files: one sentence a line in one file, its tags on the same line of another.

A third file may hold one label a line: the intent of the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError

#: Endings of the files of tokens and of tags.
TOKENS, TAGS = ".in", ".out"
#: Names of the file of labels, and endings where the others are not called `seq`.
LABELS = ("label", "labels", "intent", "intents")
#: Folders of parts, and what each part is called here.
PARTS = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


class Files(NamedTuple):
    """The files that belong together; there may be no labels."""

    tokens: Path
    tags: Path
    labels: Path | None


def holds(folder: Path) -> bool:
    """Tell whether a folder has a file of tokens and one of tags beside it.

    Raises:
        InputError: several files of tokens are there; one of them is to be named.
    """
    return folder.is_dir() and bool(_tokens_in(folder))


def parts(folder: Path) -> dict[str, Path]:
    """The parts of a data set by name (`train`, `valid`, `test`), each a folder in this one.

    A folder `dev` or `validation` is the part `valid`.
    """
    if not folder.is_dir():
        return {}
    found = {PARTS[path.name.lower()]: path for path in folder.iterdir() if _is_part(path)}
    return {name: found[name] for name in ("train", "valid", "test") if name in found}


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read parallel files: `seq.in`, `seq.out` and, where it is there, `label`.

    Args:
        paths: folders, or files of tokens (`NAME.in`). The tags are in `NAME.out` beside them,
            the labels in `label`, or in `NAME.label`.
        columns: those to keep.
        types: column → kind.
        encoding: found when `None`.

    Returns:
        The columns `tokens`, `tags` and, where there are labels for all, `label`. A row's number
        is its line, and its file is the one of the tokens.

    Raises:
        InputError: a file is missing, or two of them disagree: the message has the first line.
    """
    import pandas as pd

    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    labels: list[str] = []
    origins = []
    # Tags and labels come with their tokens, where a listing of the folder gives all of them.
    asked = [path for path in paths if path.is_dir() or not _beside(path)]
    if not asked:
        raise InputError("This holds tags; give the file of the tokens.", file=paths[0])
    for path in asked:
        group = group_of(path)
        words, marks = _lines(group.tokens, encoding), _lines(group.tags, encoding)
        _same_count(group.tokens, words, group.tags, marks)
        for number, (one, other) in enumerate(zip(words, marks, strict=True), 1):
            tokens.append(one.split())
            tags.append(other.split())
            if not tokens[-1]:
                raise InputError("The sentence is empty.", file=group.tokens, row=number)
            if len(tokens[-1]) != len(tags[-1]):
                raise InputError(
                    f"The line has {len(tags[-1])} tags for {len(tokens[-1])} tokens.",
                    file=group.tags,
                    row=number,
                    fix=f"Compare it with line {number} of {group.tokens.name}.",
                )
        if group.labels is not None:
            names = [name.strip() for name in _lines(group.labels, encoding)]
            _same_count(group.tokens, words, group.labels, names)
            if "" in names:
                row = names.index("") + 1
                raise InputError("The label is missing.", file=group.labels, row=row)
            labels += names
        origins.append(Origin(group.tokens, len(words)))
        if labels and len(labels) != len(tokens):
            raise InputError(
                "Some of the sentences have a file of labels beside them and some do not.",
                file=group.tokens,
            )
    known: dict[str, Kind] = {"tokens": "tokens", "tags": "tokens"}
    frame = pd.DataFrame({"tokens": objects(tokens), "tags": objects(tags)})
    if labels:
        frame["label"] = pd.Series(labels, dtype=object)
        known["label"] = "category"
    return build(frame, origins, known=known, columns=columns, types=types)


def group_of(path: Path) -> Files:
    """The files that belong to a folder, or to a file of tokens.

    Raises:
        InputError: one of them is missing.
    """
    if path.is_dir():
        found = _tokens_in(path)
        if not found:
            inner = parts(path)
            raise InputError(
                "The folder has no seq.in with a seq.out beside it.",
                file=path,
                fix=f"Its parts have: give {path / next(iter(inner))}." if inner else None,
            )
        path = found[0]
    tags = path.with_suffix(TAGS)
    if not tags.exists():
        raise InputError("There is no file of tags beside it.", file=path, fix=f"Add {tags.name}.")
    named = [path.with_suffix("." + name) for name in LABELS]
    shared = [path.with_name(name) for name in LABELS]
    labels = next((beside for beside in [*named, *shared] if beside.exists()), None)
    return Files(path, tags, labels)


def _beside(path: Path) -> bool:
    """Tell whether a file belongs to a file of tokens."""
    return path.suffix.lower() == TAGS or path.name.lower() in LABELS


def _is_part(path: Path) -> bool:
    return path.is_dir() and path.name.lower() in PARTS and bool(_tokens_in(path))


def _tokens_in(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.glob("*" + TOKENS)) if path.with_suffix(TAGS).exists()]
    if len(found) > 1:
        raise InputError(
            f"The folder has several files of tokens: {', '.join(p.name for p in found)}.",
            file=folder,
            fix="Name the one to read.",
        )
    return found


def _lines(path: Path, encoding: str | None) -> list[str]:
    found = [line.rstrip("\n") for line in files.lines(path, encoding)]
    while found and not found[-1].strip():
        found.pop()
    return found


def _same_count(first: Path, ours: list[str], second: Path, theirs: list[str]) -> None:
    if len(ours) != len(theirs):
        longer = first if len(ours) > len(theirs) else second
        raise InputError(
            f"{first.name} has {len(ours)} lines and {second.name} has {len(theirs)}.",
            file=longer,
            row=min(len(ours), len(theirs)) + 1,
            fix="This is the first line without a partner.",
        )
