"""Parallel files: line n of one file is the translation of line n of another.

The ending of a name says the language or the side: `train.en` and `train.de.gz`, `a.src` and
`a.tgt`, `train.en.txt` and `train.de.txt`, `en/train.txt` and `de/train.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.data.formats import FORMATS
from elman.data.formats.sides import (
    NAMES,
    by_direction,
    by_names,
    given_sides,
    is_code,
    is_language,
)
from elman.errors import InputError

_SPLIT = re.compile(r"[._-]")
_SURE = 4.0
"""Standard errors by which shifted lines must fit better than the others."""
_ENOUGH, _SOME = 5, 30
"""Lines below a shift from which it can be told, and lines above it that must fit clearly too."""


@dataclass(frozen=True)
class Bitext:
    """Files with the same lines in several languages.

    Attributes:
        name: what their names have in common.
        sides: language or side → file.
    """

    name: str
    sides: dict[str, Path]


def side_of(path: Path) -> tuple[str, str] | None:
    """Return the common part of a file's name and its side, or None where it has none.

    >>> side_of(Path("data/train.en.gz")), side_of(Path("train_de.txt")), side_of(Path("a.txt"))
    (('data/train', 'en'), ('train', 'de'), None)
    """
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    stem, ending = bare.stem, bare.suffix[1:]
    if ending.casefold() in ("txt", "text", "tok", "sent"):
        parts = _SPLIT.split(stem)
        ending = parts[-1]
        stem = stem[: -len(ending) - 1]
        if len(parts) == 1 or not _is_side(ending):
            folder = bare.parent
            if _is_side(folder.name):
                return (folder.parent / bare.name).as_posix(), folder.name
            return None
    elif not ending or f".{ending.casefold()}" in _OTHERS:
        return None
    return (bare.parent / stem).as_posix(), ending


def bitexts(paths: Sequence[Path]) -> list[Bitext]:
    """Return the groups of files that belong together; files without a side are left out.

    Raises:
        InputError: two files are the same side of one text.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in paths:
        about = side_of(path)
        if about is None:
            continue
        sides = found.setdefault(about[0], {})
        if about[1] in sides:
            raise InputError(
                f"This and {sides[about[1]].name} are the same side of one text.",
                file=path,
                fix="Name those to read.",
            )
        sides[about[1]] = path
    return [Bitext(name, sides) for name, sides in found.items()]


def partners(path: Path) -> dict[str, Path]:
    """Return the files beside one that are other sides of it: side → file."""
    about = side_of(path)
    if about is None:
        return {}
    found = {}
    for other in sorted(path.parent.iterdir()):
        known = side_of(other) if other.is_file() and other != path else None
        # `a.en` and `a.en.gz` are the same side.
        if known is not None and known[0] == about[0] and known[1] != about[1]:
            found[known[1]] = other
    return found


def languages_beside(path: Path) -> dict[str, Path]:
    """Return the files beside one that are surely other languages of it: side → file.

    Both names must end in the code of a language: `notes_us.txt` and `notes_ios.txt` are not one
    text in two languages.
    """
    about = side_of(path)
    if about is None or not is_code(about[1]):
        return {}
    return {side: other for side, other in partners(path).items() if is_code(side)}


def direction(
    texts: Sequence[Bitext], source: str | None, target: str | None, called: str, ordered: bool
) -> tuple[str, str, str]:
    """Return the side that is translated, the one into which, and how that is known, in words.

    Args:
        texts: groups of files.
        source, target: as the settings name them, or None.
        called: the name of the folder or of the file that was given.
        ordered: the files were given in order, the source first.

    Raises:
        InputError: nothing tells the direction, or a file lacks its other side.
    """
    sides = list(dict.fromkeys(side for text in texts for side in text.sides))
    any_file = next(iter(texts[0].sides.values()))
    if len(sides) < 2:
        raise InputError(
            f"There is no other side of this text: only .{sides[0]} was found.",
            file=any_file,
            fix="Add the file with the same lines in the other language.",
        )
    told = given_sides(sides, source, target, "side", any_file.parent)
    if told is not None:
        return *told, "as set"
    if source is None and target is None:
        if (named := by_names(sides)) is not None and len(sides) == 2:
            return *named, "by their names"
        if ordered and len(sides) == 2:
            return sides[0], sides[1], "in the order given"
        names = [called, *(Path(text.name).name for text in texts)]
        for name in names:
            if len(sides) == 2 and (way := by_direction(sides, name)) is not None:
                return *way, f"as {name!r} says"
    shown = ", ".join(f".{side}" for side in sides)
    raise InputError(
        f"The files are {shown}, and nothing says which is the source"
        + (" and which the target." if len(sides) > 2 else "."),
        file=any_file.parent,
        fix=f"Set source={sides[0]}" + (f" and target={sides[1]}." if len(sides) > 2 else "."),
    )


def lines_of(source: Path, target: Path, encoding: str | None) -> tuple[list[str], list[str]]:
    """Return the lines of two files, equally many.

    Blank lines count, but for those at the end of the longer file.

    Raises:
        InputError: one has more lines; the message has both counts, and the line from which they
            seem shifted where lengths and marks tell it.
    """
    ours, theirs = (_lines(path, encoding) for path in (source, target))
    if len(ours) != len(theirs):
        for some in (ours, theirs):
            while some and not some[-1].strip():
                some.pop()
    for path, some in ((source, ours), (target, theirs)):
        if not any(line.strip() for line in some):
            raise InputError("The file is empty.", file=path)
    if len(ours) == len(theirs):
        return ours, theirs
    longer = source if len(ours) > len(theirs) else target
    few = min(len(ours), len(theirs))
    what = f"{source.name} has {len(ours):,} lines and {target.name} has {len(theirs):,}."
    place = shifted(ours, theirs)
    if place is None:
        raise InputError(
            what, file=longer, row=few + 1, fix="This is the first line without a partner."
        )
    raise InputError(
        what,
        file=longer,
        row=place + 1,
        fix=f"From about here on the lines seem shifted by {abs(len(ours) - len(theirs))}: "
        f"{ours[place].strip()[:40]!r} stands beside {theirs[place].strip()[:40]!r}.",
    )


def shifted(ours: Sequence[str], theirs: Sequence[str]) -> int | None:
    """Return the line (from 0) from which two texts of unequal length seem shifted, or None.

    Partners have lengths in one proportion, the same numbers and end in the same kind of mark
    (Gale & Church 1993 align by length). Lines above the place fit as they stand, those below it
    with the surplus lines taken out there, each clearly better than the other way.

    >>> long = [f"line {n} " + "x" * (n * 7 % 50) for n in range(60)]
    >>> shifted(long, long[:20] + long[21:])
    20
    """
    if len(ours) < len(theirs):
        return shifted(theirs, ours)
    surplus, few = len(ours) - len(theirs), len(theirs)
    if not few or not surplus:
        return None
    stay = _unlike(ours[:few], theirs)
    move = _unlike(ours[surplus:], theirs)
    gain = np.concatenate([[0.0], np.cumsum(move - stay)])  # of leaving the first p as they are
    place = int(np.argmax(gain))
    above, below = (move - stay)[:place], (stay - move)[place:]
    if len(below) < _ENOUGH or not _clear(below) or (len(above) >= _SOME and not _clear(above)):
        return None
    return place


def _clear(gains: NDArray[np.float64]) -> bool:
    spread = gains.std() / np.sqrt(len(gains))
    return bool(gains.mean() > _SURE * spread)


def _unlike(ours: Sequence[str], theirs: Sequence[str]) -> NDArray[np.float64]:
    """Return how little each line looks like its partner."""
    one, other = (np.array([len(line.strip()) + 1 for line in some]) for some in (ours, theirs))
    ratio = np.log(one / other) - np.log(one.sum() / other.sum())
    found = np.minimum(4 * ratio**2, 4.0)
    for place, (first, second) in enumerate(zip(ours, theirs, strict=True)):
        found[place] += _marks(first) != _marks(second)
    return np.asarray(found, np.float64)


def _marks(line: str) -> tuple[str, ...]:
    last = line.rstrip()[-1:]
    return (*re.findall(r"\d+", line), last if last in "?!:" else ".")


def _lines(path: Path, encoding: str | None) -> list[str]:
    return [line.rstrip("\n") for line in files.lines(path, encoding)]


def _is_side(name: str) -> bool:
    return name.casefold() in NAMES or is_language(name)


_OTHERS = frozenset(
    suffix for name, known in FORMATS.items() if name != "parallel" for suffix in known.suffixes
) | {".yml", ".yaml", ".md", ".xml", ".py", ".sh", ".zip", ".log"}
"""Endings that say a format, not a language."""
