"""Files that are given twice: by one path, by two links, or as a copy of another name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from elman.data import files

_COMPARED = 500
"""Files at most whose bytes are compared; of more, examples that are alike are told in any case."""
_SHOWN = 3


def once(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return each file once, and doubts: files that were given twice, and copies of others.

    A file that was given twice, also by two links, is read once. A copy is read, since two days or
    two persons may have the same values.
    """
    known: dict[tuple[int, int], Path] = {}
    kept: list[Path] = []
    same: list[str] = []
    for path in paths:
        about = path.stat()
        place = (about.st_dev, about.st_ino) if about.st_ino else (0, hash(path.resolve()))
        first = known.setdefault(place, path)
        if first is path:
            kept.append(path)
        elif first.resolve() == path.resolve() and first.name == path.name:
            same.append(str(path))
        else:
            same.append(f"{path}, which is {first}")
    said = []
    if same:
        is_are = "is" if len(same) == 1 else "are"
        said.append(f"{_listed(same)} {is_are} given twice and read once.")
    return kept, said + _copies(kept)


def _copies(paths: Sequence[Path]) -> list[str]:
    """Return a doubt where files have the same bytes."""
    sizes = defaultdict[int, list[Path]](list)
    for path in paths if 1 < len(paths) <= _COMPARED else ():
        sizes[path.stat().st_size].append(path)
    pairs = []
    for alike in sizes.values():
        held: dict[str, Path] = {}
        for path in alike if len(alike) > 1 else ():
            first = held.setdefault(files.fingerprint(path), path)
            if first is not path:
                pairs.append(f"{path} is a copy of {first}")
    if not pairs:
        return []
    return [
        f"{_listed(pairs)}: its rows are read twice, so the scores flatter where one trains and "
        "the other tests. Take one of them out."
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
