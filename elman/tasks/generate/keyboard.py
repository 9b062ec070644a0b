"""The next words for someone who types: after every letter, from what was read before it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.errors import InputError
from elman.tasks.base import device_of
from elman.tasks.generate import completion
from elman.tasks.generate.writing import Writer, in_word
from elman.tasks.strangers import warn_of_unknown

Ids = NDArray[np.int64]
_KEPT = 512
"""Symbols back to which a text can be taken without reading it again from its beginning."""


@dataclass(frozen=True)
class Word:
    """A word that may come next, or that what was typed of a word may become.

    Attributes:
        text: the whole word.
        adds: what is still to be typed of it.
        probability: that it is exactly this word, given what was typed of it.
    """

    text: str
    adds: str
    probability: float


class Keyboard:
    """Suggests words while a text grows, or is taken back, by a letter at a time.

    States of the network are kept for the symbols read last, so that a letter costs at most one
    step. Where symbols are words, the step of a word is taken with the letter that makes it one of
    the vocabulary, or one that the vocabulary lacks: a blank behind it is left with the scores of
    all words, and a mark, which is a word too, with a step and the scores.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        vocabulary = writer.vocabulary
        assert vocabulary.bos is not None
        self._stream: Any = None
        self._device = torch.device("cpu")
        if writer.model is not None:
            # A stream is compiled for one step. Scores cost as much, and only some are needed.
            self._stream = writer.model.eval().stream(label=writer.label, scored=False)
            self._device = device_of(writer.model)
        self._settled = "", np.array([vocabulary.bos], np.int64)
        """A beginning of the text that ends with a blank, and its symbols."""
        self._ids: Ids = np.empty(0, np.int64)
        """The symbols that were read."""
        self._states: list[tuple[Any, Any]] = [(None, self._begin())]
        """Behind each of those read last: what scores are made of, and the state."""
        self._first = 0
        """How many symbols stand before the first of the states."""
        self._next: tuple[Ids, NDArray[np.float64]] | None = None
        """The probability of every symbol behind some others."""
        special = {vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos}
        words = [(word, i) for i, word in enumerate(vocabulary.symbols) if i not in special]
        words.sort()
        self._words = [word for word, _ in words]
        self._numbers = np.array([i for _, i in words], np.int64)

    def suggest(self, text: str, n: int = 5) -> list[Word]:
        """Return the `n` likeliest words after a text, or those that its last word may become.

        Fewer are returned where no more are known.

        Args:
            text: all that was typed. Where symbols are words, the last word is over only when
                something stands behind it.
            n: words at most.

        Raises:
            InputError: `n` below 1, or what is no text or no whole number.
        """
        if not isinstance(text, str):
            raise InputError(
                f"text={text!r:.60} is no text.", fix='Give what was typed, "" where it is nothing.'
            )
        if not isinstance(n, int | np.integer):
            raise InputError(f"n={n!r:.60} is no whole number.", fix="Give one, such as n=5.")
        if n < 1:
            raise InputError(f"n={n}: ask for one word at least.")
        if self._writer.vocabulary.unit == "words":
            return self._whole(text, n)
        return self._spelt(text, n)

    def warn_of_unknown(self, text: str) -> None:
        """Warn where most of a text is unknown; a last word that may become a known one is not."""
        vocabulary = self._writer.vocabulary
        if vocabulary.unit == "words" and self.suggest(text, 1):
            text = text[: len(text) - len(_begun(text, vocabulary.punctuation))]
        warn_of_unknown(vocabulary, [text])

    def _whole(self, text: str, n: int) -> list[Word]:
        vocabulary = self._writer.vocabulary
        begun = _begun(text, vocabulary.punctuation)
        p = self._chances(self._encoded(text[: len(text) - len(begun)]))
        prefix = begun.lower() if vocabulary.lower else begun
        first = bisect.bisect_left(self._words, prefix)
        last = len(self._words)
        if prefix:
            last = bisect.bisect_left(self._words, prefix + chr(0x10FFFF), first)
        if begun and (first == last or self._words[first] == prefix):
            self._behind(self._encoded(text))
        numbers = self._numbers[first:last]
        found = p[numbers]
        # What is typed of a word leaves fewer words, of which one it is.
        total = float(found.sum()) if prefix else 1.0
        few = min(n, len(found))
        if not few or not total:
            return []
        best = np.argpartition(-found, few - 1)[:few]
        best = best[np.argsort(-found[best], kind="stable")]
        return [
            Word(word, word[len(prefix) :], float(found[place]) / total)
            for place, word in ((int(place), self._words[first + int(place)]) for place in best)
            if found[place] > 0
        ]

    @torch.inference_mode()
    def _chances(self, ids: Ids) -> NDArray[np.float64]:
        """Return the probability of every symbol after others."""
        if self._next is None or not np.array_equal(self._next[0], ids):
            scores = self._scores(*self._behind(ids))
            self._next = ids, scores[0].float().softmax(-1).cpu().numpy().astype(np.float64)
        return self._next[1]

    @torch.inference_mode()
    def _spelt(self, text: str, n: int) -> list[Word]:
        writer = self._writer
        ids = self._encoded(text)
        token, (_, state) = self._token(ids[-1]), self._behind(ids[:-1])
        end = writer.vocabulary.bos
        assert end is not None
        found = completion.next_words(self._step, token, state, n, *self._letters, end)
        begun = _begun(text, punctuation=True)
        words = []
        for one in found:
            adds = writer.vocabulary.decode(one.tokens)
            goes_on = bool(adds) and in_word(adds[0])
            words.append(Word((begun if goes_on else "") + adds.strip(), adds, one.probability))
        return words

    @cached_property
    def _letters(self) -> tuple[Tensor, Tensor]:
        """Marks of the symbols that hold a letter, and of those that go on with a word."""
        return self._writer.letters_of(torch.empty(0, device=self._device))

    @torch.inference_mode()
    def _behind(self, ids: Ids) -> tuple[Any, Any]:
        """Return what scores after symbols are made of, and the state there."""
        same = _same(ids, self._ids)
        if same < self._first:  # of what both have in common no state is kept
            same, self._first = 0, 0
            self._ids, self._states = ids, [(None, self._begin())]
        elif same < len(ids):
            self._ids = ids
            del self._states[same + 1 - self._first :]
        for symbol in ids[same:]:
            self._states.append(self._advance(self._token(symbol), self._states[-1][1]))
            if len(self._states) > 2 * _KEPT:
                del self._states[:_KEPT]
                self._first += _KEPT
        return self._states[len(ids) - self._first]

    def _encoded(self, text: str) -> Ids:
        """Return the symbols of a text from its beginning on, each word encoded once."""
        vocabulary = self._writer.vocabulary
        begun, ids = self._settled
        if not text.startswith(begun):
            begun, ids = "", ids[:1]
        if vocabulary.unit == "words":
            # No word reaches over a blank.
            end = len(text)
            while end > len(begun) and not text[end - 1].isspace():
                end -= 1
            ids = np.concatenate((ids, vocabulary.encode(text[len(begun) : end])))
            begun = text[:end]
            self._settled = begun, ids
        return np.concatenate((ids, vocabulary.encode(text[len(begun) :])))

    def _begin(self) -> Any:
        """Return the state before the first symbol of a document."""
        counts, model = self._writer.counts, self._writer.model
        label = self._writer.labels(self._device)
        inner = None if model is None or label is None else model.start(label)
        return inner, None if counts is None else counts.begin(self._writer.vocabulary.bos)

    def _step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Do as `Writer.step`, for one row."""
        output, after = self._advance(tokens, state)
        return self._scores(output, after), after

    def _advance(self, tokens: Tensor, state: Any) -> tuple[Any, Any]:
        """Return what scores are made of, None without a network, and the state after a symbol."""
        (inner, history), output = state, None
        if self._stream is not None:
            self._stream.state = inner
            output, inner = self._stream.step(tokens), self._stream.state
        return output, (inner, self._writer.longer(history, tokens))

    def _scores(self, output: Any, state: Any) -> Tensor:
        """Return the scores of all symbols, `(1, symbols)`."""
        model, (_, history) = self._writer.model, state
        return self._writer.of_text(None if model is None else model.scores(output), history)

    def _token(self, symbol: Any) -> Tensor:
        """Return a symbol as a batch of one."""
        return torch.tensor([int(symbol)], device=self._device)


def _begun(text: str, punctuation: bool) -> str:
    """Return what stands of a word at the end of a text.

    >>> _begun("so far, so goo", False), _begun("so far,", False), _begun("so far,", True)
    ('goo', 'far,', '')
    """
    inside = in_word if punctuation else lambda letter: not letter.isspace()
    place = len(text)
    while place and inside(text[place - 1]):
        place -= 1
    return text[place:]


def _same(one: Ids, other: Ids) -> int:
    """Return how many symbols two texts have in common from their beginning."""
    least = min(len(one), len(other))
    differ = np.flatnonzero(one[:least] != other[:least])
    return int(differ[0]) if len(differ) else least
