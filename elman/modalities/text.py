"""`text`: characters, words or subwords, one after another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Generator, Tensor, nn

from elman.data import Vocabulary
from elman.data.reading import format_of
from elman.data.vocabulary import Unit
from elman.errors import InputError
from elman.modalities import ngrams
from elman.modalities.base import (
    Array,
    Distance,
    Features,
    Indexed,
    Mixture,
    ModalitySettings,
    Padded,
    Place,
    Shown,
    Stepwise,
)
from elman.modalities.steps import front
from elman.nn.dropout import locked

if TYPE_CHECKING:
    from elman.data import Table

Ids = NDArray[np.int64]
LONGEST = 400
"""Steps of a text that are read where no other bound is given."""


class VocabularySettings(BaseModel):
    """Settings of the symbols that a text is made of."""

    anew: ClassVar[frozenset[str]] = frozenset({"vocabulary_size", "min_count"})

    unit: Unit | None = Field(None, description="one step is a character, word or subword; found")
    lower: bool | None = Field(
        None, description="in lower case (words and subwords are, characters are not)"
    )
    vocabulary_size: int | None = Field(
        30000, ge=2, description="different symbols at most, the special ones included"
    )
    min_count: int | None = Field(1, ge=1, description="symbols seen less often are unknown")
    embedding_size: int | None = Field(128, ge=1, description="numbers that stand for a symbol")


class TextSettings(VocabularySettings, ModalitySettings):
    """Settings of text."""

    anew: ClassVar[frozenset[str]] = frozenset({"word_dropout"})

    max_length: int | None = Field(
        None, ge=1, description="steps of a text at most, the rest is cut off (400)"
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="chance that a symbol is made unknown in training"
    )


class TextCodec(Stepwise):
    """Texts as symbols of a vocabulary."""

    modality: ClassVar[str] = "text"
    distances: tuple[Distance, ...] = ()

    def __init__(self, vocabulary: Vocabulary, settings: Any) -> None:
        self.vocabulary, self.settings = vocabulary, settings
        # A language model reads texts to their end and has no such setting.
        self.longest: int | None = getattr(settings, "max_length", None)

    @property
    def unit(self) -> str:
        """One step in words, in the plural."""
        return self.vocabulary.unit

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"vocabulary": self.vocabulary.to_json()}

    def encode(self, cell: Any) -> Array:
        """Return symbols `(T,)`, cut to the longest allowed."""
        return self.vocabulary.encode(cell)[: self.longest]

    def encode_each(self, cells: Iterable[Any]) -> Iterator[Array]:
        """Yield the symbols of each text, cut to the longest allowed."""
        if type(self).encode is not TextCodec.encode:
            return map(
                self.encode, cells
            )  # a codec of another package that reads texts its own way
        return (ids[: self.longest] for ids in self.vocabulary.encode_each(cells))

    def decode(self, array: Array) -> Any:
        """Return the text of symbols."""
        return self.vocabulary.decode(array)

    def refuse(self, cell: Any) -> str | None:
        """Return None: every text can be read."""
        return None

    def batch(self, arrays: Sequence[Array]) -> Padded:
        """Return `(B, T)`, the padding symbol beyond each length."""
        lengths = np.array([len(x) for x in arrays], dtype=np.int64)
        pad = self.vocabulary.pad
        padded = np.full((len(arrays), int(lengths.max(initial=0))), pad, dtype=np.int64)
        for row, x in enumerate(arrays):
            padded[row, : len(x)] = x
        return Padded(torch.from_numpy(padded), torch.from_numpy(lengths))

    def reader(self) -> tuple[nn.Module, int]:
        """Return an embedding of symbols, with word dropout in training."""
        size = int(self.settings.embedding_size)
        return TokenEmbedding(self.vocabulary, self.settings), size

    def grown(self, other: Self) -> Self:
        """Return the codec with the symbols of another one after its own."""
        return type(self)(self.vocabulary.grown(other.vocabulary), self.settings)

    def indexed(self) -> list[Indexed]:
        """Return the symbols, each with a row of the embedding."""
        symbols, unknown = self.vocabulary.symbols, self.vocabulary.unknown
        return [Indexed(self.unit, symbols, {"table.weight": (0,)}, unknown)]

    def front(self, size: int) -> Any:
        """Return convolutions over time, or None."""
        return front(self.settings, size)

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return the batch: words are made unknown by the embedding."""
        return batch

    def mixed(self, batch: Padded) -> Mixture | None:
        """Return None: symbols cannot be mixed."""
        return None

    def features(self, cells: Sequence[Any]) -> Features:
        """Return tf-idf weights of n-grams, and their presence as counts.

        N-grams of 1 and 2 words, or of 1 to 4 characters within words where a step is a character.
        """
        return ngrams.fitted(self._ngrams, cells)

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the features whose n-grams were kept."""
        return ngrams.kept(self._ngrams, arrays)

    @property
    def _ngrams(self) -> dict[str, Any]:
        if self.unit == "characters":
            return {"analyzer": "char_wb", "ngram_range": (1, 4)}
        return {"ngram_range": (1, 2), "token_pattern": r"(?u)\w+|[^\w\s]"}

    def step(self, value: Any) -> Tensor:
        """Return the symbols of a piece of text, `(1, n)`."""
        if not isinstance(value, str):
            raise InputError(
                f"A step of a text is a string, not {type(value).__name__}.",
                fix="Give a word, a character or a longer piece of text.",
            )
        tokens = self.vocabulary.encode(value)
        if not len(tokens):
            raise InputError("There is nothing to read in this step.")
        return torch.from_numpy(tokens)[None]

    def raw(self, data: Any) -> list[Any] | None:
        """Return texts from a text, or a list of strings of which none is the path of a file."""
        if is_text(data):
            return [data]
        if not isinstance(data, list | tuple) or not data:
            return None
        if not all(isinstance(text, str) for text in data) or any(map(is_path, data)):
            return None
        return list(data)

    def cut(self, cell: Any) -> list[Any]:
        """Return words or characters; subwords depend on what is beside them and stay together."""
        if self.unit == "subwords":
            return [cell]
        return list(cell) if self.unit == "characters" else str(cell).split()

    def show(self, array: Array) -> Shown:
        """Return the symbol of each step, and the text that each stands for."""
        symbols = [self.vocabulary.symbols[int(i)] for i in array]
        return Shown(symbols, pieces=self.vocabulary.pieces(array))

    def told_pieces(self, cell: Any) -> list[str]:
        """Return the part of the text that each step stands for, also where it is unknown."""
        return self.vocabulary.written(cell)[: self.longest]

    def told(self, cell: Any) -> str | None:
        """Return the text itself."""
        return str(cell)


class TokenEmbedding(nn.Module):
    """Symbols `(B, T)` to vectors `(B, T, E)`; in training some are made unknown, features dropped.

    Word dropout: Iyyer et al. 2015, "Deep unordered composition"; the dropped features are the
    same in all steps of a sequence (Gal & Ghahramani 2016).
    """

    stepwise = True

    def __init__(self, vocabulary: Vocabulary, settings: Any) -> None:
        super().__init__()
        assert vocabulary.pad is not None
        assert vocabulary.unk is not None
        self.pad, self.unk = vocabulary.pad, vocabulary.unk
        self.word_dropout, self.dropout = settings.word_dropout, settings.input_dropout
        self.table = nn.Embedding(len(vocabulary), settings.embedding_size, padding_idx=self.pad)
        # Small enough that symbols too rare to learn stay quiet beside those that were learnt.
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.table.weight[self.pad] = 0

    def forward(self, tokens: Tensor) -> Tensor:
        """Return `(B, T, E)`."""
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != self.pad), self.unk)
        return locked(self.table(tokens), self.dropout, self.training, time_axis=1)


class Text:
    """Characters, words or subwords; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "text"
    summary: ClassVar[str] = "characters, words or subwords, one after another"
    extra: ClassVar[str | None] = None
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("text", "category")
    forms: ClassVar[tuple[str, ...]] = ("cell",)
    stepped: ClassVar[bool] = False
    Settings = TextSettings
    suited: ClassVar[dict[str, Any]] = {}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[str]:
        """Return the texts; an empty one is refused where something is to be learnt from it."""
        column = place.inputs[0]
        if strict:
            return table.texts(column)
        return [text or "" for text in table.column(column, "text")]

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return unit, case and longest text where they were left to the data."""
        unit = settings.unit or unit_of(cells)
        return {
            "unit": unit,
            "lower": (unit != "characters") if settings.lower is None else settings.lower,
            "max_length": LONGEST if settings.max_length is None else settings.max_length,
        }

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> TextCodec:
        """Return a codec whose vocabulary is counted in the training cells."""
        return TextCodec(vocabulary_of(cells, settings), settings)

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> TextCodec:
        """Return the codec that `to_json` described."""
        return TextCodec(Vocabulary.from_json(about["vocabulary"]), settings)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[str]:
        """Return `n` sentences of 4 to 12 words."""
        words = ["prices", "rise", "fall", "and", "so", "then", "again", "slowly", "today", "here"]
        return [" ".join(generator.choice(words, generator.integers(4, 13))) for _ in range(n)]


def vocabulary_of(texts: Iterable[str], settings: Any) -> Vocabulary:
    """Return the vocabulary of training texts, with symbols for padding and the unknown."""
    unit: Unit = settings.unit or "words"
    return Vocabulary.fit(
        texts,
        unit,
        size=settings.vocabulary_size,
        min_count=settings.min_count or 1,
        lower=bool(settings.lower),
        specials=("pad", "unk"),
        punctuation=unit == "words",
    )


def is_text(data: Any) -> bool:
    """Tell whether what is given is a text as it is, and names no file: it has a blank in it, and
    does not end as the name of a file does.

    >>> is_text("a good film"), is_text("film"), is_text("my films.csv"), is_text(["a film"])
    (True, False, False, False)
    """
    if not isinstance(data, str) or not re.search(r"\S\s+\S", data) or is_path(data):
        return False
    return "\n" in data.strip() or format_of(Path(data)) is None


def is_path(text: str) -> bool:
    """Tell whether a string is the path of a file or folder that is there.

    >>> is_path("/"), is_path("a good film"), is_path("x" * 10_000), is_path("")
    (True, False, False, False)
    """
    try:
        return bool(text) and Path(text).exists()
    except OSError:  # too long, say
        return False


def unit_of(texts: Sequence[str]) -> Unit:
    """Return characters where a text is mostly one or two words, such as a name; else words.

    >>> unit_of(["Ivanov", "de Vries"]), unit_of(["the film was long", "a joy"])
    ('characters', 'words')
    """
    return "characters" if np.median([len(text.split()) for text in texts]) <= 2 else "words"
