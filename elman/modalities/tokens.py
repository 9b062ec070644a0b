"""`tokens`: the words of a sentence, each read as a whole and letter by letter.

A known word has a vector of its own, and its form (capitals, digits, marks) has one; beside them a
small bidirectional recurrence reads its characters (Lample et al. 2016), so that a word that
training never had is read too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.data.formats.tagged_json import Sentence
from elman.data.formats.vectors import read_vectors
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
from elman.modalities.text import is_text
from elman.needs import Need
from elman.nn import Recurrent
from elman.nn.dropout import locked

if TYPE_CHECKING:
    from elman.data import Table

PAD, UNKNOWN = 0, 1
"""Codes of padding and of an unknown word or character; known ones follow."""
_DIGIT = re.compile(r"\d")
_RUN = re.compile(r"(.)\1{2,}")
_FORM = 8
"""Marks of a form at most."""
_STRANGE = "\N{REPLACEMENT CHARACTER}"
_VECTORS = 200_000
"""Words at most that are taken from a file of word vectors, the first ones."""
_MARKED = 0.005
"""Share of tokens that are lone marks, above which texts are split at marks."""


_LOOKED_AT = 1000
"""Cells and words that are looked at to tell words from sentences."""
_SENTENCE = 3
"""Parts apart by blanks from which a word is a sentence."""


class TokensSettings(ModalitySettings):
    """Settings of words."""

    anew: ClassVar[frozenset[str]] = frozenset({"min_count", "rare_dropout", "word_dropout"})

    needs: ClassVar[Mapping[str, Need]] = {
        "character_embedding": Need("character_size", bool, "character_size"),
        "max_characters": Need("character_size", bool, "character_size"),
    }

    split: Literal["words", "blanks"] | None = Field(
        None, description="raw text is split at blanks and marks, or at blanks alone; found"
    )
    min_count: int | None = Field(1, ge=1, description="words seen less often are unknown")
    embedding_size: int | None = Field(100, ge=1, description="numbers that stand for a word")
    vectors: str | None = Field(
        None,
        description="file of word vectors as text (GloVe, word2vec), beside those that are learnt",
    )
    rare_dropout: float = Field(
        0.5, ge=0, le=1, description="chance that a word seen once is made unknown in training"
    )
    word_dropout: float = Field(
        0.05, ge=0, lt=1, description="chance that any word is made unknown in training"
    )
    form_size: int = Field(
        16, ge=0, description="numbers that stand for a word's form: capitals, digits and marks"
    )
    character_embedding: int = Field(25, ge=1, description="numbers that stand for a character")
    character_size: int = Field(
        25, ge=0, description="units that read a word's characters, each way; 0: words alone"
    )
    max_characters: int = Field(20, ge=1, description="characters of a word that are read")
    input_dropout: float = Field(
        0.5, ge=0, lt=1, description="dropout of what the recurrence reads, one mask a sequence"
    )


class TokensCodec(Stepwise):
    """Sentences as rows of integers: the word, its form, then its characters.

    Where vectors were given, the last number is that of the word's vector.

    Args:
        words: those that have a vector, in lower case and with digits as 0.
        once: the words among them that training had only once.
        forms: those that have a vector.
        characters: those that have a vector.
        settings: a task's, joined with `TokensSettings`.
        given: the words that have a vector in a file, as it writes them.
        vectors: of those, `(words, dimensions)`; their shape alone matters where the model is
            loaded, which has them.
    """

    modality: ClassVar[str] = "tokens"
    unit = "words"
    distances: tuple[Distance, ...] = ()

    def __init__(
        self,
        words: Sequence[str],
        once: Sequence[str],
        forms: Sequence[str],
        characters: str,
        settings: Any,
        given: Sequence[str] = (),
        vectors: Array | None = None,
    ) -> None:
        self.given, self.vectors = list(given), vectors
        self._given = {word: code for code, word in enumerate(given, PAD + 1)}
        self.words, self.once, self.forms = list(words), list(once), list(forms)
        self.characters, self.settings = characters, settings
        self._word = {word: code for code, word in enumerate(words, UNKNOWN + 1)}
        self._form = {shape: code for code, shape in enumerate(forms, UNKNOWN + 1)}
        self._character = {c: code for code, c in enumerate(characters, UNKNOWN + 1)}
        self._rows: dict[str, Array] = {}

    @property
    def width(self) -> int:
        """Characters of a word that are kept."""
        return int(self.settings.max_characters) if self.settings.character_size else 0

    @property
    def columns(self) -> int:
        """Numbers that stand for a word."""
        return 2 + self.width + bool(self.given)

    @property
    def rare(self) -> list[int]:
        """The codes of words that training had only once."""
        return [self._word[word] for word in self.once if word in self._word]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "words": self.words,
            "once": self.once,
            "forms": self.forms,
            "characters": self.characters,
            **({"given": self.given, "dimensions": self.dimensions} if self.given else {}),
        }

    @property
    def dimensions(self) -> int:
        """Numbers of a given vector; 0 where there are none."""
        return 0 if self.vectors is None else int(self.vectors.shape[1])

    def encode(self, cell: Any) -> Array:
        """Return `(T, 2 + W)`: codes of the word, its form and its first W characters, or 0.

        Where vectors were given there is one number more, the code of the word's vector.
        """
        rows = [self._row(word) for word in cell[: self.settings.max_length]]
        return np.stack(rows) if rows else np.zeros((0, self.columns), np.int64)

    def _row(self, word: str) -> Array:
        if word not in self._rows:
            row = np.zeros(self.columns, np.int64)
            row[0] = self._word.get(plain(word), UNKNOWN)
            row[1] = self._form.get(form(word[: self.settings.max_characters]), UNKNOWN)
            known = [self._character.get(c, UNKNOWN) for c in word[: self.width]]
            row[2 : 2 + len(known)] = known
            if self.given:
                row[-1] = self._given_code(word)
            if len(self._rows) > 200_000:  # a long stream of new words must not fill the memory
                self._rows.clear()
            self._rows[word] = row
        return self._rows[word]

    def _given_code(self, word: str) -> int:
        """Return the code of a word in the file of vectors, or of the nearest way to write it."""
        bare = word.lstrip("@#")
        for form_of in (word, word.lower(), plain(word), bare, bare.lower(), plain(bare)):
            if form_of in self._given:
                return self._given[form_of]
        return PAD

    def decode(self, array: Array) -> Any:
        """Return the words: their characters, and of what is not kept what the vocabulary says."""
        return [self._written(row) for row in np.asarray(array).tolist()]

    def _written(self, row: Sequence[int]) -> str:
        known = self.words[row[0] - UNKNOWN - 1] if row[0] > UNKNOWN else ""
        if not self.width:
            return known or _STRANGE
        said = ""
        for place, code in enumerate(code for code in row[2 : 2 + self.width] if code != PAD):
            if code > UNKNOWN:
                said += self.characters[code - UNKNOWN - 1]
            else:
                said += known[place] if place < len(known) else _STRANGE
        return said + known[self.width :]

    def refuse(self, cell: Any) -> str | None:
        """Return None: every word can be read."""
        return None

    def adapt(self, cell: Any) -> Any:
        """Return a raw text's words, split as the words of training were."""
        raw = isinstance(cell, Sentence) and not cell.tagged
        return Sentence.of(cell.text, self.settings.split) if raw else cell

    def places(self, cell: Any) -> list[tuple[int, int]]:
        """Return the characters of the text of `told` where each word begins and ends."""
        return Sentence.joined(cell).places

    def batch(self, arrays: Sequence[Array]) -> Padded:
        """Return `(B, T, 2 + W)`, zero beyond each length."""
        lengths = np.array([len(x) for x in arrays], dtype=np.int64)
        shape = (len(arrays), int(lengths.max(initial=0)), self.columns)
        padded = np.zeros(shape, dtype=np.int64)
        for row, x in enumerate(arrays):
            padded[row, : len(x)] = x
        return Padded(torch.from_numpy(padded), torch.from_numpy(lengths))

    def reader(self) -> tuple[nn.Module, int]:
        """Return the vectors of words beside what is read of their characters."""
        reader = WordReader(self)
        return reader, reader.output_size

    def grown(self, other: Self) -> Self:
        """Return the codec with the words, forms and characters of another one after its own."""
        words, forms, characters = (
            [*dict.fromkeys([*ours, *theirs])]
            for ours, theirs in (
                (self.words, other.words),
                (self.forms, other.forms),
                (self.characters, other.characters),
            )
        )
        rare = [word for word in self.once if word not in other._word]
        rare += [word for word in other.once if word not in self._word]
        letters = "".join(characters)
        return type(self)(words, rare, forms, letters, self.settings, self.given, self.vectors)

    def indexed(self) -> list[Indexed]:
        """Return the words, forms and characters, each with a row of its embedding."""
        found = [Indexed("words", [PAD, UNKNOWN, *self.words], {"table.weight": (0,)}, UNKNOWN)]
        if self.settings.form_size:
            forms = [PAD, UNKNOWN, *self.forms]
            found.append(Indexed("forms of words", forms, {"forms.weight": (0,)}, UNKNOWN))
        if self.width:
            letters = [PAD, UNKNOWN, *self.characters]
            found.append(Indexed("characters", letters, {"characters.weight": (0,)}, UNKNOWN))
        return found

    def front(self, size: int) -> Any:
        """Return convolutions over time, or None."""
        return front(self.settings, size)

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return the batch: words are made unknown by the reader."""
        return batch

    def mixed(self, batch: Padded) -> Mixture | None:
        """Return None: words cannot be mixed."""
        return None

    def features(self, cells: Sequence[Any]) -> Features:
        """Return tf-idf weights of words and pairs of words, and their presence as counts."""
        return ngrams.fitted({"analyzer": _words_and_pairs}, cells)

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the features whose words and pairs were kept."""
        return ngrams.kept({"analyzer": _words_and_pairs}, arrays)

    def raw(self, data: Any) -> list[Any] | None:
        """Return sentences from strings or lists of words; None where `data` names files."""
        if is_text(data):
            return [Sentence.of(data, self.settings.split)]
        if not isinstance(data, list) or not data:
            return None
        if all(isinstance(one, str) for one in data):
            if any(os.path.exists(one) for one in data):
                return None
            return [Sentence.of(one, self.settings.split) for one in data]
        if all(isinstance(one, list) and all(isinstance(w, str) for w in one) for one in data):
            return data
        return None

    def step(self, value: Any) -> Tensor:
        """Return a word, several in a list, or a piece of text, as `(1, n, 2 + W)`."""
        words = Sentence.of(value, self.settings.split) if isinstance(value, str) else value
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise InputError(
                f"A step is a word, not {type(value).__name__}.",
                fix="Give a word, or a list of words.",
            )
        if not words:
            raise InputError("There is no word in this step.")
        return torch.from_numpy(np.stack([self._row(word) for word in words]))[None]

    def cut(self, cell: Any) -> list[Any]:
        """Return the words, each in a list, for a word may have blanks or marks in it."""
        return [[word] for word in cell[: self.settings.max_length]]

    def show(self, array: Array) -> Shown:
        """Return the words, and the text that they make."""
        words = self.decode(array)
        return Shown(words, pieces=[word + " " for word in words])

    def told_cells(self, cells: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return a doubt where a word holds a whole sentence."""
        words = [word for cell in cells[:_LOOKED_AT] for word in cell][:_LOOKED_AT]
        whole = [word for word in words if len(word.split()) >= _SENTENCE]
        if 2 * len(whole) <= len(words):
            return [], []
        return [], [
            "each cell counts as one word, and most hold several, such as "
            f"{whole[0][:60]!r}: it is learnt as a whole. Write a word a cell; or set "
            "modality=text or modality=turns to read sentences."
        ]

    def told_pieces(self, cell: Any) -> list[str]:
        """Return each word with a blank behind it, also those that are unknown."""
        return [f"{word} " for word in cell[: self.settings.max_length]]

    def told(self, cell: Any) -> str | None:
        """Return the text."""
        return Sentence.joined(cell).text

    def told_steps(self, cell: Any) -> dict[str, list[Any]]:
        """Return the words."""
        return {"token": list(cell)}


class WordReader(nn.Module):
    """Words `(B, T, 2 + W)` or `(B, 2 + W)` to vectors of words, forms and characters.

    Vectors that were given stay as they are: a word that training lacks has one of the same kind.
    In training rare words, and a few of all, are made unknown, so that the unknown word's vector
    is learnt (Lample et al. 2016), and features are dropped, one mask a sequence.
    """

    stepwise = True

    def __init__(self, codec: TokensCodec) -> None:
        super().__init__()
        settings = codec.settings
        self.form_size = settings.form_size
        self.width, size = codec.width, int(settings.embedding_size)
        self.dropout, self.word_dropout = settings.input_dropout, settings.word_dropout
        self.rare_dropout = settings.rare_dropout
        self.table = nn.Embedding(len(codec.words) + UNKNOWN + 1, size, padding_idx=PAD)
        # Unit variance beside characters (Lample et al. 2016: uniform, bound √(3 / size)).
        bound = (3 / size) ** 0.5
        nn.init.uniform_(self.table.weight, -bound, bound)
        with torch.no_grad():
            self.table.weight[PAD] = 0
        rare = torch.zeros(self.table.num_embeddings, dtype=torch.bool)
        rare[codec.rare] = True
        self.rare: Tensor
        self.register_buffer("rare", rare, persistent=False)
        self.output_size = size + settings.form_size + codec.dimensions
        self.given: Tensor | None
        self.register_buffer("given", None)
        if codec.vectors is not None:
            given = torch.from_numpy(np.asarray(codec.vectors, np.float32))
            # Unit variance, as of the vectors that are learnt; an unknown word has zeros.
            given = given / given.std().clamp(min=1e-12)
            self.given = torch.cat((given.new_zeros(1, given.shape[1]), given))
        if settings.form_size:
            self.forms = nn.Embedding(
                len(codec.forms) + UNKNOWN + 1, settings.form_size, padding_idx=PAD
            )
        if self.width:
            self.characters = nn.Embedding(
                len(codec.characters) + UNKNOWN + 1, settings.character_embedding, padding_idx=PAD
            )
            self.letters = Recurrent(
                "lstm",
                settings.character_embedding,
                settings.character_size,
                bidirectional=True,
                batch_first=True,
            )
            self.output_size += 2 * settings.character_size

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, T, F)` or `(B, F)`."""
        words = x[..., 0]
        if self.training:
            chance = self.word_dropout + (self.rare_dropout - self.word_dropout) * self.rare[words]
            drawn = torch.rand(words.shape, device=words.device) < chance
            words = words.masked_fill(drawn & (words != PAD), UNKNOWN)
        vectors: Tensor = self.table(words)
        if self.form_size:
            vectors = torch.cat((vectors, self.forms(x[..., 1])), -1)
        if self.given is not None:
            vectors = torch.cat((vectors, F.embedding(x[..., -1], self.given)), -1)
        if self.width:
            vectors = torch.cat((vectors, self._spelt(x[..., 2 : 2 + self.width])), -1)
        if x.dim() == 2:
            return vectors
        return locked(vectors, self.dropout, self.training, time_axis=1)

    def _spelt(self, characters: Tensor) -> Tensor:
        """Return the last state of each direction over the characters of each word."""
        # A word that comes several times is read once.
        flat = characters.reshape(-1, self.width)
        different, which = torch.unique(flat, dim=0, return_inverse=True)
        lengths = (different != PAD).sum(1)
        longest = max(1, int(lengths.max())) if len(lengths) else 1
        # Padding is read as one character, so that every row has a step, and counts as nothing.
        ends = lengths.clamp(min=1)
        y, _ = self.letters(self.characters(different[:, :longest]), lengths=ends)
        half = y.shape[-1] // 2
        rows = torch.arange(len(y), device=y.device)
        read: Tensor = torch.cat((y[rows, ends - 1, :half], y[:, 0, half:]), -1)
        read = read * (lengths > 0).unsqueeze(1)
        return read[which].view(*characters.shape[:-1], 2 * half)


class Tokens:
    """Words of a sentence; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "tokens"
    summary: ClassVar[str] = "words of a sentence, read as a whole and letter by letter"
    extra: ClassVar[str | None] = None
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("tokens",)
    forms: ClassVar[tuple[str, ...]] = ("cell", "long")
    usual: ClassVar[tuple[str, ...]] = ("tokens", "words", "input")
    each_row: ClassVar[tuple[str, ...]] = ("word", "words", "token", "tokens", "form", "wordform")
    """Names of a column that has a word in each row, without blanks and marks."""
    stepped: ClassVar[bool] = True
    Settings = TokensSettings
    suited: ClassVar[dict[str, Any]] = {}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[list[str]]:
        """Return the words of each sentence; of a column of text, with their places in it.

        Raises:
            InputError: a sentence is missing, or has no words where something is to be learnt.
        """
        column = place.inputs[0]
        if rows is not None:
            words = table.labels(column, "word")
            return [[words[row] for row in members] for members in rows]
        if table.kinds[column] in ("text", "category"):
            texts = table.texts(column) if strict else [text or "" for text in table.column(column)]
            return [Sentence.of(text) for text in texts]
        found: list[list[str]] = [cell or [] for cell in table.column(column, "tokens")]
        if strict:
            empty = [row for row, cell in enumerate(found) if not cell]
            table.refuse_missing(empty, column, "The sentence is empty")
        return found

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return how texts are split: at marks, where training has marks as words of their own."""
        if settings.split is not None:
            return {}
        if any(isinstance(cell, Sentence) and cell.tagged for cell in cells):
            return {"split": "words"}  # as the words with spans were
        words = [word for cell in cells for word in cell]
        marks = sum(not any(c.isalnum() for c in word) for word in words)
        return {"split": "words" if marks > _MARKED * len(words) else "blanks"}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> TokensCodec:
        """Return a codec with the words and characters of the training cells."""
        counts = Counter(plain(word) for cell in cells for word in cell)
        least = settings.min_count or 1
        shapes = Counter(form(word[: settings.max_characters]) for cell in cells for word in cell)
        letters = Counter(c for cell in cells for word in cell for c in word)
        given: list[str] = []
        vectors: Array | None = None
        if settings.vectors is not None:
            given, vectors = read_vectors(settings.vectors, _VECTORS)
        return TokensCodec(
            [word for word, count in counts.most_common() if count >= least],
            [word for word, count in counts.items() if count == 1 >= least],
            [shape for shape, count in shapes.most_common() if count > 1],
            # One that came once is unknown, so that the vector of the unknown is learnt.
            "".join(c for c, count in letters.most_common() if count > 1),
            settings,
            given,
            vectors,
        )

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> TokensCodec:
        """Return the codec that `to_json` described."""
        words, once, forms = about["words"], about["once"], about["forms"]
        given = about.get("given", [])
        vectors = np.ones((len(given), about["dimensions"]), np.float32) if given else None
        return TokensCodec(words, once, forms, about["characters"], settings, given, vectors)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[list[str]]:
        """Return `n` sentences of 4 to 12 words, some of them with capitals."""
        words = ["Ada", "met", "Bo", "in", "Oslo", "on", "Monday", "and", "left", "again", "."]
        return [
            [str(word) for word in generator.choice(words, generator.integers(4, 13))]
            for _ in range(n)
        ]


def plain(word: str) -> str:
    """Return a word as the vocabulary has it: in lower case, each digit 0.

    >>> plain("B747")
    'b000'
    """
    return _DIGIT.sub("0", word.lower())


def form(word: str) -> str:
    """Return a word's form: capitals as X, other letters as x, digits as d; runs are shortened.

    >>> form("McDonald's"), form("2017")
    ("XxXxx'x", 'dd')
    """
    marks = "".join(
        "X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word
    )
    return _RUN.sub(r"\1\1", marks)[:_FORM]


def _words_and_pairs(cell: Sequence[str]) -> list[str]:
    words = [plain(word) for word in cell]
    return words + [f"{one} {two}" for one, two in pairwise(words)]
