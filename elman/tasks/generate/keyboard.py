"""The next words for someone who types: after every letter, from what was read before it."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
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
    step. Where symbols are words, it costs a step only when a word is over.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        vocabulary = writer.vocabulary
        assert vocabulary.bos is not None
        self._stream: Any = None
        self._device = torch.device("cpu")
        if writer.model is not None:
            # A stream is compiled for one step, and does not look at the weights again.
            self._stream = writer.model.eval().stream(label=writer.label)
            self._device = device_of(writer.model)
        self._ids = [vocabulary.bos]
        self._states: list[Any] = [self._begin()]
        """Before each of the symbols read last, and behind them where that is known."""
        self._first = 0
        """The place of the symbol before which the first of the states is."""
        self._next: tuple[list[int], NDArray[np.float64]] | None = None
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
            InputError: `n` below 1.
        """
        if n < 1:
            raise InputError(f"n={n}: ask for one word at least.")
        if self._writer.vocabulary.unit == "words":
            return self._whole(text, n)
        return self._spelt(text, n)

    def _whole(self, text: str, n: int) -> list[Word]:
        vocabulary = self._writer.vocabulary
        begun = _begun(text, vocabulary.punctuation)
        head = text[: len(text) - len(begun)]
        p = self._chances(head)
        prefix = begun.lower() if vocabulary.lower else begun
        first = bisect.bisect_left(self._words, prefix)
        last = len(self._words)
        if prefix:
            last = bisect.bisect_left(self._words, prefix + chr(0x10FFFF), first)
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
    def _chances(self, text: str) -> NDArray[np.float64]:
        """Return the probability of every symbol after a text."""
        token, state = self._read(text)
        if self._next is None or self._next[0] != self._ids:
            scores, after = self._step(token, state)
            self._keep(after)
            p = scores[0].float().softmax(-1).cpu().numpy().astype(np.float64)
            self._next = list(self._ids), p
        return self._next[1]

    @torch.inference_mode()
    def _spelt(self, text: str, n: int) -> list[Word]:
        writer = self._writer
        token, state = self._read(text)
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
    def _read(self, text: str) -> tuple[Tensor, Any]:
        """Return the last symbol of a text, `(1,)`, and the state before it."""
        vocabulary = self._writer.vocabulary
        assert vocabulary.bos is not None
        ids = [vocabulary.bos, *vocabulary.encode(text).tolist()]
        # The state behind what both texts have in common is known, if it is still kept.
        kept = self._first + len(self._states) - 1
        known = min(_same(ids, self._ids), len(ids) - 1, kept)
        if known < self._first:
            self._states, self._first, known = [self._begin()], 0, 0
        del self._states[known - self._first + 1 :]
        for symbol in ids[known:-1]:
            token = torch.tensor([symbol], device=self._device)
            self._keep(self._step(token, self._states[-1])[1])
        self._ids = ids
        return torch.tensor(ids[-1:], device=self._device), self._states[len(ids) - 1 - self._first]

    def _keep(self, state: Any) -> None:
        """Keep the state behind the last one, and not too many."""
        self._states.append(state)
        if len(self._states) > 2 * _KEPT:
            del self._states[:_KEPT]
            self._first += _KEPT

    def _begin(self) -> Any:
        """Return the state before the first symbol of a document."""
        counts, model = self._writer.counts, self._writer.model
        label = self._writer.labels(self._device)
        inner = None if model is None or label is None else model.start(label)
        return inner, None if counts is None else counts.begin(self._writer.vocabulary.bos)

    def _step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Do as `Writer.step`, for one row."""
        (inner, history), scores = state, None
        if self._stream is not None:
            self._stream.state = inner
            scores, inner = self._stream.step(tokens), self._stream.state
        return self._writer.with_counts(scores, tokens, inner, history)


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


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many symbols two texts have in common from their beginning."""
    count = 0
    for ours, theirs in zip(one, other, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
