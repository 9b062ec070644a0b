"""Parts of pairs by the names of files; copies, repeats, pairs in two parts; what is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from elman.data import files
from elman.data.seen import key_of
from elman.data.written_for import written_for
from elman.errors import InputError

Part = Literal["train", "validation", "test"]
_PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "tst", "testing", "newstest", "heldout"), "test"),
}


TALK = ("context", "reply")
"""Names of the sides of dialogues, which have no columns of their own."""
_HEAD = 200
"""Lines by which a file that was written for a program is known."""


def refuse_names(source: str | None, target: str | None, path: Path | None) -> None:
    """Refuse names of columns for data that have none.

    Raises:
        InputError: a setting names a column.
    """
    names = {"source": source, "target": target}
    for (setting, name), usual in zip(names.items(), TALK, strict=True):
        if name not in (None, usual):
            raise InputError(
                f"{setting}={name} names a column, and these are lists of turns.",
                file=path,
                fix="Leave it out.",
            )


def refuse_other_files(paths: Sequence[Path], encoding: str | None) -> None:
    """Refuse files with blank lines that were written for a program, and hold no turns.

    Raises:
        InputError: a file is one.
    """
    for path in paths:
        head = list(itertools.islice(files.lines(path, encoding), _HEAD))
        found = written_for(path, head, talk=True)
        if found is not None:
            raise InputError(
                f"The file looks like {found}, and its lines are no turns of dialogues.",
                file=path,
                fix="Give pairs in a table with the columns source and target, or dialogues "
                "in a .txt file with a blank line between them.",
            )


def part_of(path: Path) -> Part | None:
    """Return the part that a file's name, or its folder's, says.

    >>> part_of(Path("test_2016_flickr.en.gz")), part_of(Path("valid/a.csv")), part_of(Path("a"))
    ('test', 'validation', None)
    """
    for name in (path.name, path.parent.name):
        for word in re.findall(r"[a-z]+", name.casefold()):
            if word in _PARTS:
                return _PARTS[word]
    return None


def across_parts(
    source: Sequence[str], target: Sequence[str], parts: Sequence[Part | None]
) -> list[str]:
    """Return in sentences how many pairs of the held-out parts stand in training too.

    >>> across_parts(["a", "A", "b"], ["x", "x", "y"], ["train", "test", "test"])
    ['Pairs of test that stand in train too: 1 of 2; with the source alone or whole: 1.']
    """
    keys = [(key_of(one), key_of(other)) for one, other in zip(source, target, strict=True)]
    trained = {key for key, part in zip(keys, parts, strict=True) if part == "train"}
    sources = {one for one, _ in trained}
    said = []
    for name in ("validation", "test"):
        held = [key for key, part in zip(keys, parts, strict=True) if part == name]
        alone = sum(one in sources for one, _ in held)
        if alone:
            said.append(
                f"Pairs of {name} that stand in train too: {sum(k in trained for k in held):,} of "
                f"{len(held):,}; with the source alone or whole: {alone:,}."
            )
    return said


def copies(source: Sequence[str], target: Sequence[str]) -> list[str]:
    """Return in a sentence how many targets are their source, or nothing where none is."""
    same = sum(one.split() == other.split() for one, other in zip(source, target, strict=True))
    return [f"Targets that copy their source: {same:,} of {len(source):,}."] if same else []


def repeats(source: Sequence[str], target: Sequence[str]) -> list[str]:
    """Return in a sentence how many pairs stand there more than once, or nothing."""
    again = len(source) - len(
        {(key_of(one), key_of(other)) for one, other in zip(source, target, strict=True)}
    )
    return [f"Pairs that repeat another one: {again:,} of {len(source):,}."] if again else []
