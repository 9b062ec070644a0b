"""The symbols of both sides: texts to integers and back, also words that no vocabulary has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import Vocabulary
from elman.data.vocabulary import Unit

Ids = NDArray[np.int64]
Piece = Unit | Literal["symbols"]
"""The thing that one step of a side is."""

_SPECIALS = ("pad", "unk", "bos", "eos")
_BEFORE_MARK = re.compile(r"\s+(?=[.,;:!?%)\]}»](?:\s|$))|(?<=[(\[{«])\s+")


class Source(NamedTuple):
    """A text that is read.

    Attributes:
        ids: of the source vocabulary, `(S,)`.
        copies: what each symbol is when it is copied, `(S,)`: an id of the target vocabulary, or
            one beyond it for a word of `unknown`.
        unknown: the symbols of the text that the vocabulary lacks.
        split: all symbols as the text has them; empty where none is unknown.
    """

    ids: Ids
    copies: Ids
    unknown: list[str]
    split: list[str]


@dataclass(frozen=True)
class Symbols:
    """The vocabularies of sources and of targets; they may be one.

    Attributes:
        source, target: they have padding, an unknown symbol, a beginning and an end.
        max_source, max_target: symbols that are kept of a text.
    """

    source: Vocabulary
    target: Vocabulary
    max_source: int
    max_target: int

    @classmethod
    def fit(
        cls,
        sources: Sequence[str],
        targets: Sequence[str],
        units: tuple[Piece, Piece],
        *,
        joint: bool,
        size: int | None,
        min_count: int,
        lower: bool,
        max_source: int,
        max_target: int,
    ) -> Self:
        """Count the symbols of the training part.

        Args:
            sources, targets: the texts; symbols stand between blanks.
            units: what one step is, of sources and of targets. One vocabulary needs one unit.
            joint: one vocabulary for both sides.
            size: symbols of a vocabulary at most; symbols beside texts have no such limit.
            min_count: symbols seen less often are unknown.
            lower: without regard to case.
            max_source, max_target: symbols that are kept of a text.

        Raises:
            MissingExtra: subwords need a package that is not installed.
        """

        def fitted(texts: Sequence[str], unit: Piece) -> Vocabulary:
            mixed = unit == "symbols" and len(set(units)) > 1
            return Vocabulary.fit(
                texts,
                "words" if unit == "symbols" else unit,
                size=None if mixed else size,
                min_count=min_count,
                lower=lower,
                specials=_SPECIALS,
                punctuation=unit == "words",
            )

        if joint:
            both = fitted([*sources, *targets], units[0])
            return cls(both, both, max_source, max_target)
        ours, theirs = (
            fitted(texts, unit) for texts, unit in zip((sources, targets), units, strict=True)
        )
        return cls(ours, theirs, max_source, max_target)

    @property
    def units(self) -> tuple[Piece, Piece]:
        """Say what one step is, of sources and of targets."""
        return _unit(self.source), _unit(self.target)

    def grown(self, other: Self) -> Self:
        """Return the symbols with those of others after their own; subwords stay as they are."""
        source = self.source.grown(other.source)
        target = source if self.joint else self.target.grown(other.target)
        return type(self)(source, target, self.max_source, self.max_target)

    @property
    def joint(self) -> bool:
        """True where both sides have one vocabulary."""
        return self.source is self.target

    @property
    def bos(self) -> int:
        """The symbol that is fed to the decoder first."""
        assert self.target.bos is not None
        return self.target.bos

    @property
    def eos(self) -> int:
        """The symbol that ends a target."""
        assert self.target.eos is not None
        return self.target.eos

    @property
    def unk(self) -> int:
        """The symbol of a target that stands for all that the vocabulary lacks."""
        assert self.target.unk is not None
        return self.target.unk

    @property
    def pad(self) -> int:
        """The symbol beyond the end of a target."""
        assert self.target.pad is not None
        return self.target.pad

    def read(self, text: str) -> Source:
        """Return a source, cut to the longest allowed."""
        ids = _plain(self.source, self.source.encode(text)[: self.max_source])
        unknown: list[str] = []
        words: list[str] = []
        copies = ids
        missing = np.flatnonzero(ids == self.source.unk)
        if len(missing):
            words, copies = self.source.split(text), ids.copy()
            for place in missing.tolist():
                if words[place] not in unknown:
                    unknown.append(words[place])
                copies[place] = len(self.target) + unknown.index(words[place])
        return Source(ids, copies, unknown, words)

    def write(self, text: str, source: Source | None = None) -> Ids:
        """Return the symbols of a target with its end; a cut text has none.

        Args:
            text: the target.
            source: with it, words that only the source has are what they are when copied.
        """
        found = _plain(self.target, self.target.encode(text))
        if source is not None and source.unknown:
            words = self.target.split(text)
            for place in np.flatnonzero(found == self.target.unk).tolist():
                if words[place] in source.unknown:
                    found[place] = len(self.target) + source.unknown.index(words[place])
        ended = np.append(found, self.eos)
        return ended[: self.max_target]

    def known(self, text: str) -> NDArray[np.bool_]:
        """Return which symbols of a target the vocabulary has, its end among them."""
        found: NDArray[np.bool_] = self.write(text) != self.unk
        return found

    def text(self, ids: Sequence[int], copied: Sequence[str] = ()) -> str:
        """Return written symbols as a text.

        Args:
            ids: of the target vocabulary, without the end.
            copied: the words that stand in the places of unknown symbols, in their order.
        """
        vocabulary, words = self.target, iter(copied)
        if vocabulary.unit == "subwords":
            return vocabulary.decode(ids).strip()
        special = {vocabulary.pad, vocabulary.bos, vocabulary.eos}
        shown = [
            next(words, vocabulary.symbols[i]) if i == vocabulary.unk else vocabulary.symbols[i]
            for i in ids
            if i not in special
        ]
        if vocabulary.unit == "characters":
            return "".join(shown).strip()
        if self.units[1] == "symbols":
            return " ".join(shown)
        return _BEFORE_MARK.sub("", " ".join(shown))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        sides = {"source": self.source.to_json()}
        if not self.joint:
            sides["target"] = self.target.to_json()
        return {**sides, "max_source": self.max_source, "max_target": self.max_target}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return the symbols that `to_json` described."""
        source = Vocabulary.from_json(about["source"])
        target = Vocabulary.from_json(about["target"]) if "target" in about else source
        return cls(source, target, about["max_source"], about["max_target"])


def words_of(vocabulary: Vocabulary, ids: Sequence[int]) -> tuple[list[str], list[int]]:
    """Return the words that symbols are parts of, and for each symbol the number of its word.

    A word begins at a blank; where every symbol is a word, each is one.

    >>> v = Vocabulary.fit(["to be"], unit="characters")
    >>> words_of(v, v.encode("be to").tolist())
    (['be', 'to'], [0, 0, 0, 1, 1])
    """
    if vocabulary.unit == "words":
        return [vocabulary.symbols[i] for i in ids], list(range(len(ids)))
    parts: list[list[int]] = []
    places, fresh = [], True
    for i, piece in zip(ids, vocabulary.pieces(ids), strict=True):
        if fresh or (piece[:1].isspace() and piece.strip()):
            parts.append([])
        parts[-1].append(i)
        places.append(len(parts) - 1)
        fresh = bool(piece) and not piece.strip()
    return [vocabulary.decode(part).strip() for part in parts], places


def _unit(vocabulary: Vocabulary) -> Piece:
    # Words are parted from marks, and symbols are not.
    symbols = vocabulary.unit == "words" and not vocabulary.punctuation
    return "symbols" if symbols else vocabulary.unit


def _plain(vocabulary: Vocabulary, ids: Ids) -> Ids:
    """Return symbols with those of a text that happen to be written like special ones unknown."""
    special = [i for i in (vocabulary.pad, vocabulary.bos, vocabulary.eos) if i is not None]
    assert vocabulary.unk is not None
    return np.where(np.isin(ids, special), vocabulary.unk, ids).astype(np.int64)
