"""Parts of pairs by the names of files; copies, repeats, and pairs that stand in two parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from elman.data.seen import key_of

Part = Literal["train", "validation", "test"]
_PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "tst", "testing", "newstest", "heldout"), "test"),
}


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
    same = sum(key_of(one) == key_of(other) for one, other in zip(source, target, strict=True))
    return [f"Targets that copy their source: {same:,} of {len(source):,}."] if same else []


def repeats(source: Sequence[str], target: Sequence[str]) -> list[str]:
    """Return in a sentence how many pairs stand there more than once, or nothing."""
    again = len(source) - len(
        {(key_of(one), key_of(other)) for one, other in zip(source, target, strict=True)}
    )
    return [f"Pairs that repeat another one: {again:,} of {len(source):,}."] if again else []
