"""Pairs of texts: which train, which choose, which test, and what is decided from them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import split
from elman.data.formats.pairs import Pairs, read_pairs
from elman.data.kinds import objects
from elman.errors import InputError
from elman.modalities.text import is_path, is_text, unit_of
from elman.tasks.translate.symbols import Piece

_SAMPLE = 2000
"""Pairs that are looked at for what is decided."""
_SHORTER = 0.4
"""Words of a target for each of its source, in the median, below which targets are summaries."""
_LONG = 20
"""Words of a source, in the median, from which it can be summed up."""
_MATCHING = 0.5
"""Weight in the loss of telling true replies from others, where replies are chosen from."""
_VALID_AT_MOST, _TEST_AT_MOST = 2000, 5000
"""Pairs that are drawn to choose by, and to test with."""
_PARTS = {"train": "train", "validation": "valid", "test": "test"}


@dataclass(frozen=True)
class Part:
    """Pairs of one part.

    Attributes:
        source, target: the texts; there may be no targets of what is only to be translated.
        places: file and line of each.
        dialogues: the number of the dialogue of each; None of pairs that are no dialogues.
    """

    source: list[str]
    target: list[str]
    places: list[tuple[Path | None, int]]
    dialogues: list[int] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Part:
        """Return some of the pairs."""
        chosen = [int(row) for row in rows]
        return Part(
            [self.source[row] for row in chosen],
            [self.target[row] for row in chosen],
            [self.places[row] for row in chosen],
            None if self.dialogues is None else [self.dialogues[row] for row in chosen],
        )

    def and_more(self, other: Part) -> Part:
        """Return the pairs, and those of another part after them; dialogues stay apart."""
        groups = self.dialogues
        if groups is not None:
            more = other.dialogues or range(len(other))
            first = max(groups, default=-1) + 1
            groups = [*groups, *(first + number for number in more)]
        return Part(
            [*self.source, *other.source],
            [*self.target, *other.target],
            [*self.places, *other.places],
            groups,
        )


def raw(data: Any, unit: Piece = "words") -> list[str] | None:
    """Return texts that were given as they are: a list of strings, or one, that name no file.

    Args:
        data: what was given.
        unit: of the sources; where it is symbols, lists of them are texts with blanks between.

    Raises:
        InputError: the one text is empty, or texts stand beside what is none.
    """
    if is_text(data):
        return [data]
    if isinstance(data, str) and not data.strip():
        raise InputError("The text is empty.", fix="Give a text, a list of texts, or a file.")
    if unit == "symbols" and isinstance(data, list | tuple) and data:
        rows = [row for row in data if isinstance(row, list | tuple)]
        if len(rows) == len(data) and all(isinstance(one, str) for row in rows for one in row):
            return [" ".join(row) for row in rows]
    if not isinstance(data, list | tuple) or not data:
        return None
    wrong = [n for n, text in enumerate(data, 1) if not isinstance(text, str | os.PathLike)]
    if wrong and any(isinstance(text, str) for text in data):
        raise InputError(
            f"Entry {wrong[0]} is {data[wrong[0] - 1]!r:.60}, no text.",
            fix='Give texts alone, "" where there is none.',
        )
    if not all(isinstance(text, str) for text in data) or any(
        text.strip() and is_path(text) for text in data
    ):
        return None
    return list(data)


@dataclass(frozen=True)
class Where:
    """Where sources and targets stand, as found in training, so that later data are read alike.

    Attributes:
        source, target: columns, or endings of parallel files; None of dialogues.
        longest: symbols of an answer at most.
    """

    source: str | None
    target: str | None
    longest: int

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Return the places in what was read."""
        if pairs.groups is not None:
            return cls(None, None, longest=0)
        source, target = pairs.names
        return cls(source, target, longest=0)

    @property
    def talks(self) -> bool:
        """True where the training data are dialogues."""
        return self.source is None and self.target is None


def read(data: Any, settings: Any, where: Where | None = None, *, answered: bool = True) -> Pairs:
    """Read pairs; those of which a side is empty are left out where both are needed.

    Args:
        data: paths or data in memory.
        settings: of the task.
        where: the places in the training data, for later data.
        answered: the targets are needed; otherwise there may be sources alone.

    Raises:
        InputError: there are no pairs; the message says where.
    """
    source, target = settings.source, settings.target
    if where is not None:
        source, target = where.source, where.target
    return read_pairs(
        data,
        source=source,
        target=target,
        turns=settings.turns,
        encoding=settings.encoding,
        sheet=settings.sheet,
        needs_target=answered,
        talks=where is not None and where.talks,
    )


def part_of(pairs: Pairs, where: Where | None = None) -> Part:
    """Return all pairs as one part; targets are empty where there are none.

    Args:
        pairs: what was read.
        where: of the training data. Where these are dialogues, a pair that is of none is a
            dialogue by itself.
    """
    target, groups = pairs.target or [""] * len(pairs), pairs.groups
    if groups is None and where is not None and where.talks:
        groups = list(range(len(pairs)))
    return Part(pairs.source, target, pairs.places, groups)


def parts_of(pairs: Pairs, settings: Any, told: Collection[str]) -> tuple[dict[str, Part], str]:
    """Share pairs out, as the files say or at random.

    Pairs of one source, or of one dialogue, are in one part.

    Args:
        pairs: all of them.
        settings: shares and seed.
        told: parts that are given by themselves.

    Returns:
        The parts, and how they were made, in words.
    """
    found = part_of(pairs)
    named = np.array([_PARTS[part or "train"] for part in pairs.parts], dtype=object)
    there = {part for part in ("valid", "test") if (named == part).any() and part not in told}
    drawn = [part for part in ("valid", "test") if part not in there and part not in told]
    pool = np.flatnonzero(named == "train")
    parts: dict[str, Part] = {}
    shares = {
        "valid": settings.valid_fraction if "valid" in drawn else 0.0,
        "test": settings.test_fraction if "test" in drawn else 0.0,
    }
    for part, most in (("valid", _VALID_AT_MOST), ("test", _TEST_AT_MOST)):
        if f"{part}_fraction" not in settings.model_fields_set:
            shares[part] = min(shares[part], most / max(1, len(pool)))
    if sum(shares.values()) >= 1:
        raise InputError(
            f"valid_fraction={shares['valid']} and test_fraction={shares['test']} leave nothing to "
            "train on."
        )
    alike = [" ".join(text.casefold().split()) for text in pairs.source]
    if pairs.groups is not None:
        alike = [str(number) for number in pairs.groups]
    texts = objects([alike[i] for i in pool])
    _check_enough(pairs, len(set(texts)), 1 + sum(share > 0 for share in shares.values()))
    fractions = (1 - shares["valid"] - shares["test"], shares["valid"], shares["test"])
    cut = split(len(pool), fractions=fractions, by="group", column=texts, seed=settings.seed)
    parts["train"] = found.take(pool[cut.train])
    for part, rows in (("valid", cut.valid), ("test", cut.test)):
        if part in there:
            parts[part] = found.take(np.flatnonzero(named == part))
        elif len(rows):
            parts[part] = found.take(pool[rows])
    words = []
    if there:
        words.append(f"{' and '.join(sorted(there))} as the files say")
    made = [part for part in drawn if shares[part]]
    if made:
        apart = "sources" if pairs.groups is None else "dialogues"
        words.append(f"{' and '.join(made)} drawn at random (seed {settings.seed}), {apart} apart")
    return parts, "; ".join(words)


def _check_enough(pairs: Pairs, different: int, wanted: int) -> None:
    """Refuse fewer different dialogues, or sources, than parts that are to be drawn from them.

    Raises:
        InputError: with the first file, and what to give or to set.
    """
    if different >= wanted:
        return
    what = "source" if pairs.groups is None else "dialogue"
    # Dialogues of the same content are one: each of their turns is there as often as they are.
    times = min(Counter(zip(pairs.source, pairs.target or pairs.source, strict=True)).values())
    there = f"is one {what}" if different == 1 else f"are {different} different {what}s"
    if different == 1 and times > 1 and pairs.groups is not None:
        there = f"are {times:,} dialogues, all alike, which count as one"
    more = "Give more pairs"
    if pairs.groups is not None:
        more = (
            "Give more dialogues (several files, or a column such as conversation that says which "
            "one a turn is of)"
        )
    raise InputError(
        f"There {there}, too few to share out to {wanted} parts: what is of one {what} stays in "
        "one part.",
        file=pairs.places[0][0],
        fix=f"{more}; or give the other parts by themselves (--valid F --test F), or do without "
        "them (--set valid_fraction=0 --set test_fraction=0).",
    )


def units_of(settings: Any, train: Part, listed: Collection[str]) -> tuple[Piece, Piece]:
    """Return what one step of each side is.

    A unit of texts that is set is for the side that is no list; where both are lists, these are
    read as texts.

    Args:
        settings: as given.
        train: the pairs.
        listed: the sides that are lists.
    """
    asked: Piece | None = settings.unit
    if asked == "symbols" or (asked is None and len(listed) == 2):
        return "symbols", "symbols"
    texts = [
        text
        for side, some in (("source", train.source), ("target", train.target))
        if side not in listed
        for text in some[:_SAMPLE]
    ]
    if asked is None:
        asked = "characters" if unit_of(texts) == "characters" else "subwords"
    if len(listed) == 2:
        return asked, asked
    return (
        "symbols" if "source" in listed else asked,
        "symbols" if "target" in listed else asked,
    )


def decided(
    settings: Any, train: Part, talks: bool, chooses: bool, units: tuple[Piece, Piece]
) -> Any:
    """Return settings with metric, unit, vocabulary and blocking filled in from training pairs.

    Args:
        settings: as given.
        train: the pairs.
        talks: they are of dialogues.
        chooses: there are enough replies in the test part to choose from.
        units: what one step of each side is.
    """
    sources, targets = train.source[:_SAMPLE], train.target[:_SAMPLE]
    summed_up = not talks and units[1] != "symbols" and is_summary(sources, targets)
    metric = "rouge1" if summed_up else "accuracy" if units[1] == "symbols" else "bleu"
    if talks:
        metric = "recall_at_1" if chooses else "perplexity"
    mixed = units[0] != units[1]
    tells = (settings.metric or metric) == "recall_at_1" and settings.vocabulary == "joint"
    unit = units[1] if mixed and units[0] == "symbols" else units[0]
    letters = sum(map(len, train.source)) + sum(map(len, train.target))
    sizes = {
        "subwords": int(np.clip(letters // 400, 500, 8000)),
        "words": 30_000,
        "symbols": 30_000,
        "characters": 5000,
    }
    found = {
        "metric": metric,
        "unit": unit,
        "lower": False,
        "vocabulary_size": sizes[unit],
        "embedding_size": settings.hidden_size,
        "min_count": 1,
        "block_repeats": 3 if summed_up else 0,
        "matching": _MATCHING if tells else 0.0,
    }
    found = {name: value for name, value in found.items() if getattr(settings, name) is None}
    if mixed:
        found["vocabulary"] = "separate"
    return settings.model_copy(update=found)


def is_summary(sources: Sequence[str], targets: Sequence[str]) -> bool:
    """Tell whether targets are much shorter than sources that are long enough to be summed up.

    >>> is_summary(["a b c d e f g h i j " * 3], ["a b"]), is_summary(["a b c"], ["a"])
    (True, False)
    """
    ours = np.array([len(text.split()) for text in sources])
    theirs = np.array([len(text.split()) for text in targets])
    ratio = float(np.median(theirs / np.maximum(ours, 1)))
    return bool(np.median(ours) >= _LONG and ratio < _SHORTER)
