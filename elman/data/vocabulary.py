"""Vocabularies of characters, words or subwords: text to integers and back.

A vocabulary is fitted on an iterator of texts, in memory that does not grow with their number.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError, nearest, require

Unit = Literal["characters", "words", "subwords"]
UNITS: tuple[Unit, ...] = ("characters", "words", "subwords")

#: The names of the special symbols and how each is written, in the order of their ids.
SPECIALS = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>"}

# Distinct words counted at once. Beyond it the rarest are forgotten (lossy counting, Manku &
# Motwani 2002), so that a file of any size is counted in constant memory.
_COUNTED = 1_000_000
_CHUNK = 1 << 20
# Texts that are encoded at once, what is put between them, and what it and unknown words become.
_TOGETHER = 1 << 12
_MARK = "\0"
_UNSEEN, _END = -1, -2
_WORD_OR_MARK = re.compile(r"<\w+>|\w+(?:['’]\w+)*|[^\w\s]")


class Vocabulary:
    """Symbols numbered from 0: the special ones first, then by falling frequency.

    Args:
        symbols: every symbol; its place is its id.
        unit: what one symbol is: `"characters"`, `"words"` or `"subwords"`.
        lower: texts are put in lower case before they are encoded.
        punctuation: words only: marks are words of their own (`"card?"` is two words);
            otherwise words are what blanks separate.
        line_ends: words only: each line end is one `<eos>` (the Penn Treebank convention:
            it is predicted and counted like a word).
        tokenizer: subwords only: the fitted `tokenizers.Tokenizer`, as JSON text.

    >>> v = Vocabulary.fit(["the cat", "the dog"], unit="words")
    >>> v.symbols
    ['<unk>', 'the', 'cat', 'dog']
    >>> v.encode("the bird").tolist(), v.decode([1, 3])
    ([1, 0], 'the dog')
    """

    def __init__(
        self,
        symbols: Sequence[str],
        unit: Unit = "characters",
        *,
        lower: bool = False,
        punctuation: bool = False,
        line_ends: bool = False,
        tokenizer: str | None = None,
    ) -> None:
        self.symbols = list(symbols)
        self.unit: Unit = unit
        self.lower, self.punctuation, self.line_ends = lower, punctuation, line_ends
        self._ids = {symbol: number for number, symbol in enumerate(self.symbols)}
        self.pad = self._ids.get(SPECIALS["pad"])
        self.unk = self._ids.get(SPECIALS["unk"])
        self.bos = self._ids.get(SPECIALS["bos"])
        self.eos = self._ids.get(SPECIALS["eos"])
        # A line end is looked up like a word.
        self._numbers = {**self._ids, "\n": self.eos} if line_ends else self._ids
        self._tokenizer = _load(tokenizer) if tokenizer is not None else None
        self._codes = self._code_table() if unit == "characters" else None

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        unit: Unit = "characters",
        *,
        size: int | None = None,
        min_count: int = 1,
        lower: bool = False,
        specials: Sequence[str] = ("unk",),
        punctuation: bool = False,
        line_ends: bool = False,
    ) -> Vocabulary:
        """Count the symbols of `texts` (the training part only) and keep the frequent ones.

        Args:
            texts: strings; read once, never held together.
            unit: see the class.
            size: at most so many symbols, the special ones counted; `None` keeps all
                (subwords: 8,000).
            min_count: symbols seen less often are left to `<unk>`.
            specials: which of `"pad"`, `"unk"`, `"bos"`, `"eos"` to have. Without `"unk"`,
                encoding an unseen symbol is an error. `line_ends` adds `"eos"`.

        Raises:
            InputError: no text, or an option that does not fit the unit.
        """
        if isinstance(texts, str):
            raise InputError("A vocabulary is fitted on several texts.", fix="Pass [text].")
        if unit not in UNITS:
            raise InputError(f"There is no unit {unit!r}.", fix=nearest(unit, UNITS))
        if unit != "words" and (punctuation or line_ends):
            raise InputError("punctuation= and line_ends= are for unit='words'.")
        for name in specials:
            if name not in SPECIALS:
                raise InputError(
                    f"There is no special symbol {name!r}.", fix=nearest(name, SPECIALS)
                )
        wanted = {*specials, "eos"} if line_ends else set(specials)
        first = [SPECIALS[name] for name in SPECIALS if name in wanted]
        if unit == "subwords":
            return _fit_subwords(texts, first, size or 8000, min_count, lower)
        if unit == "characters":
            counts = _count_characters(texts, lower)
        else:
            counts = _count_words(texts, lower, punctuation)
        if not counts:
            raise InputError("The texts are empty: there is no vocabulary to fit.")
        for symbol in first:
            counts.pop(symbol, None)
        kept = sorted((-n, symbol) for symbol, n in counts.items() if n >= min_count)
        room = len(kept) if size is None else max(size - len(first), 0)
        symbols = first + [symbol for _, symbol in kept[:room]]
        return cls(symbols, unit, lower=lower, punctuation=punctuation, line_ends=line_ends)

    def grown(self, other: Vocabulary) -> Vocabulary:
        """Return the vocabulary with the symbols of another one after its own.

        Subwords stay as they are: they are made of bytes, of which every text can be written.

        >>> old, new = (Vocabulary.fit([text], unit="words") for text in ("a cat", "a dog"))
        >>> old.grown(new).symbols
        ['<unk>', 'a', 'cat', 'dog']
        """
        if self._tokenizer is not None:
            return self
        return Vocabulary(
            [*dict.fromkeys([*self.symbols, *other.symbols])],
            self.unit,
            lower=self.lower,
            punctuation=self.punctuation,
            line_ends=self.line_ends,
        )

    @property
    def unknown(self) -> str | None:
        """The symbol that stands for all that the vocabulary lacks, if there is one."""
        return None if self.unk is None else self.symbols[self.unk]

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._ids

    def id(self, symbol: str) -> int:
        """Return the number of `symbol`, or the number of `<unk>` where it is unknown.

        Raises:
            InputError: it is not in the vocabulary, which has no `<unk>`.
        """
        number = self._ids.get(symbol, self.unk)
        if number is None:
            raise InputError(f"{symbol!r} is not in the vocabulary, which has no <unk>.")
        return number

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the ids of `text`, `(n,)`, without `bos` or `eos` (but see `line_ends`).

        Raises:
            InputError: a symbol is unknown and the vocabulary has no `<unk>`.
        """
        if self.lower:
            text = text.lower()
        if self._codes is not None:
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
            ids: NDArray[np.int64] = self._codes[np.minimum(codes, len(self._codes) - 1)]
            if self.unk is None and (unseen := np.flatnonzero(ids < 0)).size:
                self.id(text[unseen[0]])
            return ids
        if self._tokenizer is not None:
            encoded = self._tokenizer.encode(text, add_special_tokens=False)
            return np.array(encoded.ids, dtype=np.int64)
        words = self._words(text)
        other = itertools.repeat(_UNSEEN if self.unk is None else self.unk)
        found = np.fromiter(map(self._numbers.get, words, other), np.int64, len(words))
        if self.unk is None and (unseen := np.flatnonzero(found == _UNSEEN)).size:
            self.id(words[unseen[0]])
        return found

    def split(self, text: str) -> list[str]:
        """Return the symbols of `text`, known or not, in the order of `encode`.

        >>> Vocabulary.fit(["to be"], unit="words").split("to see")
        ['to', 'see']
        """
        if self.lower:
            text = text.lower()
        if self._tokenizer is not None:
            return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)
        return list(text) if self.unit == "characters" else self._words(text)

    def encode_each(self, texts: Iterable[str]) -> Iterator[NDArray[np.int64]]:
        """Yield the ids of each text, as `encode` gives them, for many short texts at a time.

        Raises:
            InputError: as `encode`.
        """
        rest = iter(texts)
        while some := list(itertools.islice(rest, _TOGETHER)):
            if self.unit != "words" or self.line_ends or any(_MARK in text for text in some):
                yield from map(self.encode, some)
                continue
            # The mark is no part of a word, and a word of its own.
            between = f" {_MARK} "
            words = self._words(between.join(some).lower() if self.lower else between.join(some))
            numbers = self._numbers | {_MARK: _END}
            other = itertools.repeat(_UNSEEN if self.unk is None else self.unk)
            found = np.fromiter(map(numbers.get, words, other), np.int64, len(words))
            if self.unk is None and (unseen := np.flatnonzero(found == _UNSEEN)).size:
                self.id(words[unseen[0]])
            ends = [*np.flatnonzero(found == _END).tolist(), len(found)]
            for first, end in zip([-1, *ends], ends, strict=False):
                yield found[first + 1 : end]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; `pad`, `bos` and `eos` are not shown (a line end is)."""
        hidden = {self.pad, self.bos, self.eos}
        if self._tokenizer is not None:
            seen = [int(i) for i in ids if int(i) not in hidden]
            return cast(str, self._tokenizer.decode(seen, skip_special_tokens=False))
        if self.line_ends:
            hidden.discard(self.eos)
        symbols = [
            "\n" if self.line_ends and i == self.eos else self.symbols[i]
            for i in map(int, ids)
            if i not in hidden
        ]
        if self.unit == "characters":
            return "".join(symbols)
        return re.sub(r" ?\n ?", "\n", " ".join(symbols))

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the text of each id; joined the pieces are the whole text.

        >>> Vocabulary.fit(["to be or not"], unit="words").pieces([1, 2, 0])
        ['be', ' not', ' <unk>']
        """
        ids = [int(i) for i in ids]
        found = [self.symbols[i] for i in ids]
        if self.unit == "subwords":
            hidden = {self.pad, self.bos, self.eos}
            return [s if i in hidden else self.decode([i]) for i, s in zip(ids, found, strict=True)]
        if self.unit == "characters":
            return found
        if self.line_ends:
            found = ["\n" if i == self.eos else s for i, s in zip(ids, found, strict=True)]
        before = ["\n", *found[:-1]]
        return [s if "\n" in (s, b) else f" {s}" for s, b in zip(found, before, strict=False)]

    def written(self, text: str) -> list[str]:
        """Return the part of `text` that each symbol stands for, also where it is unknown.

        Subwords are returned as `pieces` has them.

        >>> Vocabulary.fit(["to be or not"], unit="words", lower=True).written("To be AND not")
        ['To', ' be', ' AND', ' not']
        """
        pieces = self.pieces(self.encode(text))
        if self.unit == "subwords":
            return pieces
        own = list(text) if self.unit == "characters" else self._words(text)
        if len(own) != len(pieces):
            own = self.split(text)  # a letter may become two in lower case
        if self.unit == "characters":
            return own
        return [
            piece if piece == "\n" else f" {word}" if piece.startswith(" ") else word
            for piece, word in zip(pieces, own, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything that `from_json` needs, as plain JSON values."""
        about: dict[str, Any] = {
            "unit": self.unit,
            "lower": self.lower,
            "punctuation": self.punctuation,
            "line_ends": self.line_ends,
            "symbols": self.symbols,
        }
        if self._tokenizer is not None:
            about["tokenizer"] = json.loads(self._tokenizer.to_str())
        return about

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Vocabulary:
        """Make the vocabulary that `to_json` described."""
        tokenizer = about.get("tokenizer")
        return cls(
            about["symbols"],
            about["unit"],
            lower=about["lower"],
            punctuation=about["punctuation"],
            line_ends=about["line_ends"],
            tokenizer=None if tokenizer is None else json.dumps(tokenizer),
        )

    def _words(self, text: str) -> list[str]:
        if not self.line_ends or "\n" not in text:
            return _split(text, self.punctuation)
        words: list[str] = []
        *lines, rest = text.split("\n")
        for line in lines:
            words += _split(line, self.punctuation)
            words.append("\n")
        return words + _split(rest, self.punctuation)

    def _code_table(self) -> NDArray[np.int64]:
        # One entry a code point and one more for everything beyond the last known one.
        singles = [(ord(s), i) for s, i in self._ids.items() if len(s) == 1]
        last = max((code for code, _ in singles), default=0)
        table = np.full(last + 2, -1 if self.unk is None else self.unk, dtype=np.int64)
        for code, number in singles:
            table[code] = number
        return table


def _split(text: str, punctuation: bool) -> list[str]:
    return _WORD_OR_MARK.findall(text) if punctuation else text.split()


def joined(texts: Iterable[str], between: str) -> Iterator[str]:
    """Join many short texts to a few long ones, so that the cost of a call is paid rarely."""
    held: list[str] = []
    total = 0
    for text in texts:
        held.append(text)
        total += len(text) + 1
        if total >= _CHUNK:
            yield between.join(held)
            held, total = [], 0
    if held:
        yield between.join(held)


def _count_characters(texts: Iterable[str], lower: bool) -> dict[str, int]:
    totals = np.zeros(256, dtype=np.int64)
    for text in joined((text.lower() for text in texts) if lower else texts, ""):
        for start in range(0, len(text), _CHUNK):
            part = text[start : start + _CHUNK]
            counts = np.bincount(np.frombuffer(part.encode("utf-32-le", "surrogatepass"), "<u4"))
            if len(counts) > len(totals):
                totals = np.pad(totals, (0, len(counts) - len(totals)))
            totals[: len(counts)] += counts
    return {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}


def _count_words(texts: Iterable[str], lower: bool, punctuation: bool) -> dict[str, int]:
    counts: Counter[str] = Counter()
    floor = 1
    for text in joined(texts, " "):
        counts.update(_split(text.lower() if lower else text, punctuation))
        while len(counts) > _COUNTED:
            counts = Counter({word: n for word, n in counts.items() if n > floor})
            floor += 1
    return counts


def _fit_subwords(
    texts: Iterable[str], specials: list[str], size: int, min_count: int, lower: bool
) -> Vocabulary:
    """Fit byte-pair encoding over bytes (Sennrich et al. 2016; Radford et al. 2019)."""
    require("tokenizers", "text")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    least = 256 + len(specials)
    if size < least:
        raise InputError(f"{size} subwords are too few.", fix=f"Ask for at least {least}.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((t.lower() if lower else t for t in texts), trainer)
    symbols = [str(tokenizer.id_to_token(i)) for i in range(tokenizer.get_vocab_size())]
    return Vocabulary(symbols, "subwords", lower=lower, tokenizer=tokenizer.to_str())


def _load(text: str) -> Any:
    tokenizer = require("tokenizers", "text").Tokenizer.from_str(text)
    # A text that happens to contain "<eos>" is text, not the end of one.
    tokenizer.encode_special_tokens = True
    return tokenizer
