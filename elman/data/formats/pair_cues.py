"""Subtitles of one film in two languages: cues that are shown at the same times are a pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from elman.data.formats import subtitles
from elman.data.formats.bitext import Bitext
from elman.data.formats.sides import is_code
from elman.errors import InputError

_NAME = re.compile(r"(?P<film>.+?)[._ -](?P<code>[A-Za-z]{2,3}(-[A-Za-z]{2})?)")
_APART = 0.3
"""Seconds at most between the beginnings of two cues that are a pair."""


def films(paths: Sequence[Path]) -> list[Bitext]:
    """Return the groups of subtitles that are one film in several languages, by their names.

    A name ends in the code of its language: `film.en.srt` and `film.de.srt`. Where no film has two
    languages there are none, and each file is a conversation.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in paths:
        bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        named = _NAME.fullmatch(bare.stem)
        if named is not None and is_code(named["code"]):
            name = (path.parent / named["film"]).as_posix()
            found.setdefault(name, {})[named["code"]] = path
    groups = [Bitext(name, sides) for name, sides in found.items()]
    return groups if any(len(group.sides) > 1 for group in groups) else []


def lines_of(
    source: Path, target: Path, encoding: str | None
) -> tuple[list[str], list[str], list[int]]:
    """Return the words of the cues of two files, and the line of each source.

    Raises:
        InputError: the files do not have as many cues, or two begin at different times.
    """
    ours, theirs = (subtitles.cues_of(path, encoding) for path in (source, target))
    fix = (
        "Give a table with the columns source and target; or one language alone, to learn what "
        "is said next."
    )
    if len(ours) != len(theirs):
        raise InputError(
            f"{source.name} has {len(ours):,} cues and {target.name} has {len(theirs):,}: they are "
            "pairs only where they are shown at the same times.",
            file=source.parent,
            fix=fix,
        )
    for one, other in zip(ours, theirs, strict=True):
        if abs(one.start - other.start) > _APART:
            raise InputError(
                f"The cue begins at {one.start:.1f} s, and the one of {target.name} (row "
                f"{other.line}) at {other.start:.1f} s: cues are pairs only where they are shown "
                "at the same times.",
                file=source,
                row=one.line,
                fix=fix,
            )
    return [cue.text for cue in ours], [cue.text for cue in theirs], [cue.line for cue in ours]
