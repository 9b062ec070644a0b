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


class Files(NamedTuple):
    """The files that belong together; there may be no labels."""

    tokens: Path
    tags: Path
    labels: Path | None


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read parallel files: `seq.in`, `seq.out` and, where it is there, `label`.

    Args:
        paths: files of tokens (`NAME.in`). The tags are in `NAME.out` beside them, the labels in
            `label`, or in `NAME.label`; these may be named too.
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
    asked = [path for path in paths if not _beside(path)]
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
    """Return the files that belong to a file of tokens.

    Raises:
        InputError: there are no tags.
    """
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
