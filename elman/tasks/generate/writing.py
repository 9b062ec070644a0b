"""Writing with a language model: new texts, the ends of begun ones, one symbol at a time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from elman.data import Vocabulary
from elman.errors import InputError
from elman.kernels.stream import identity
from elman.nn import decoding
from elman.nn import state as states
from elman.scoring.baselines.ngram import KneserNey
from elman.tasks.base import device_of
from elman.tasks.generate import completion
from elman.tasks.generate.language_model import LanguageModel
from elman.tasks.strangers import warn_of_unknown
from elman.tasks.streaming import TaskStream

_SENTENCE_ENDS = {".", "!", "?", "\n"}


@dataclass(frozen=True)
class Counts:
    """N-grams of one order as part of a writer: a history of symbols in, probabilities out."""

    counts: KneserNey
    order: int

    def begin(self, symbol: int | None) -> Tensor:
        """Return the history at the beginning of a document, `(1, order - 1)`."""
        return torch.full((1, self.order - 1), symbol or 0)

    def after(self, history: Tensor, tokens: Tensor) -> Tensor:
        """Return histories `(B, order - 1)` with one more symbol each, `tokens` `(B,)`."""
        longer = torch.cat([history, tokens.cpu()[:, None]], 1)
        return longer[:, longer.shape[1] - self.order + 1 :]

    def chances(self, history: Tensor) -> Tensor:
        """Return the probability of every next symbol, `(B, symbols)`, in float64."""
        rows = [self.counts.distribution(row, self.order) for row in history.numpy()]
        return torch.from_numpy(np.stack(rows))

    @property
    def identity(self) -> str:
        """A short hash of order and counts."""
        keys = [zlib.crc32(level.keys.tobytes()) for level in self.counts.levels[: self.order]]
        raw = [zlib.crc32(level.raw.counts.tobytes()) for level in self.counts.levels[: self.order]]
        return identity(self.order, *keys, *raw)


@dataclass(frozen=True)
class Writer:
    """A language model and its vocabulary, n-grams in its place, or a blend of both.

    Attributes:
        model: the network; None where n-grams write alone.
        vocabulary: of both.
        ends: whether documents come to an end.
        counts: the n-grams, if any.
        share: the weight of the network in the mixture of probabilities.
        label: the code of the label in whose manner the network writes; None where it has none.
    """

    model: LanguageModel | None
    vocabulary: Vocabulary
    ends: bool
    counts: Counts | None = None
    share: float = 1.0
    label: int | None = None

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        samples: int = 1,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> list[str]:
        """Texts that begin with `prompt`, as `elman.Model.generate` gives them.

        Args:
            prompt: how the text begins; nothing: as a document begins.
            length: symbols to add at most; a text ends earlier where its document would.
            samples: how many texts.
            temperature: 1 as learnt, lower is likelier text, 0 the likeliest symbol each time.
            top_k: draw from the `k` likeliest symbols only.
            top_p: draw from the likeliest symbols that have this probability together.
            seed: the same seed gives the same texts.

        Raises:
            InputError: a number out of its range.
        """
        if samples < 1 or length < 0:
            raise InputError(f"samples={samples} and length={length} are not possible.")
        token, state = self._begin(prompt)
        drawn = decoding.sample(
            self.step,
            token.expand(samples),
            states.index(state, [0] * samples),
            max_length=length,
            eos=self.vocabulary.bos if self.ends else None,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            generator=Generator().manual_seed(seed),
        )
        return [self._joined(prompt, ids) for ids in drawn.lists()]

    def complete(self, prompt: str, n: int = 5, *, max_length: int = 200) -> list[dict[str, Any]]:
        """The `n` likeliest next words, and how the sentence would end with each.

        Returns:
            `text` (what to add), `probability` (that exactly this word comes next), and
            `completed` (prompt, word and the likeliest rest of the sentence), likeliest first.
        """
        if n < 1:
            raise InputError(f"n={n}: ask for one suggestion at least.")
        token, state = self._begin(prompt)
        step = self.step
        with torch.inference_mode():
            if self.vocabulary.unit == "words":
                found = completion.next_symbols(step, token, state, n + 1)
                # That the text may end here is no suggestion.
                found = [s for s in found if s.tokens != [self.vocabulary.bos]][:n]
            else:
                letters, end = self.letters_of(token), self.vocabulary.bos
                assert end is not None
                found = completion.next_words(step, token, state, n, *letters, end)
            suggestions = []
            for suggestion in found:
                rest = self._rest_of_sentence(step, token, state, suggestion.tokens, max_length)
                suggestions.append(
                    {
                        "text": self.vocabulary.decode(suggestion.tokens),
                        "probability": suggestion.probability,
                        "completed": self._joined(prompt, [*suggestion.tokens, *rest]).rstrip(),
                    }
                )
        return suggestions

    def _rest_of_sentence(
        self, step: decoding.Step, token: Tensor, state: Any, added: list[int], most: int
    ) -> list[int]:
        for symbol in added:
            _, state = step(token, state)
            token = torch.tensor([symbol], device=token.device)
        ends = [symbol in _SENTENCE_ENDS for symbol in self._shown()]
        return completion.finish(step, token, state, torch.tensor(ends, device=token.device), most)[
            0
        ]

    def letters_of(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return which symbols hold a letter, and which go on with a word, for completion."""
        shown = self._shown()
        opens = [any(in_word(c) for c in text) for text in shown]
        joins = [text[:1] != "" and in_word(text[0]) for text in shown]
        return torch.tensor(opens, device=like.device), torch.tensor(joins, device=like.device)

    def _shown(self) -> list[str]:
        return [self.vocabulary.decode([i]) for i in range(len(self.vocabulary))]

    @torch.inference_mode()
    def _begin(self, prompt: str) -> tuple[Tensor, Any]:
        """The last token of boundary and prompt, `(1,)`, and the state before it."""
        boundary = np.array([self.vocabulary.bos], np.int64)
        if not isinstance(prompt, str):
            raise InputError(f"A beginning is a text, not {type(prompt).__name__} {prompt!r}.")
        warn_of_unknown(self.vocabulary, [prompt])
        read = self.vocabulary.encode(prompt)
        if not self.ends and not len(read):
            # The one document begins once: what follows its beginning is not learnt, what follows
            # the end of a line is.
            read = self.vocabulary.encode("\n")
            read = read[read != self.vocabulary.unk]
        ids = torch.from_numpy(np.concatenate((boundary, read)))
        history = None
        if self.counts is not None:
            history = self.counts.begin(self.vocabulary.bos)
            for symbol in ids[:-1]:
                history = self.counts.after(history, symbol[None])
        if self.model is None:
            return ids[-1:], (None, history)
        tokens = ids.to(device_of(self.model))[:, None]
        self.model.eval()
        if len(tokens) == 1:
            state: Any = self.model.start(self.labels(tokens.device))
        else:
            _, state = self.model.read(tokens[:-1], label=self.labels(tokens.device))
        return tokens[-1], (state, history)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step for decoding; what is not text (and an end where there is none) never comes."""
        (inner, history), scores = state, None
        if self.model is not None:
            label = self.labels(tokens.device, len(tokens))
            every, inner = self.model(tokens[None], inner, label=label)
            scores = every[0]
        history = self.longer(history, tokens)
        return self.of_text(scores, history), (inner, history)

    def longer(self, history: Tensor | None, tokens: Tensor) -> Tensor | None:
        """Return what the n-grams remember after `tokens` `(B,)`; None where there are none."""
        if history is None:
            return None
        assert self.counts is not None
        return self.counts.after(history, tokens)

    def of_text(self, scores: Tensor | None, history: Tensor | None) -> Tensor:
        """Return scores mixed with the n-grams, in which what is not text has no chance.

        Args:
            scores: of the network, `(B, symbols)`, written to; None where there is none.
            history: what the n-grams remember; None where there are none.
        """
        if history is not None:
            scores = self.mixed(scores, history)
        assert scores is not None
        scores[..., self.vocabulary.unk] = -torch.inf
        if not self.ends:
            scores[..., self.vocabulary.bos] = -torch.inf
        return scores

    def labels(self, device: Any, count: int = 1) -> Tensor | None:
        """Return the code of the label for each of `count` rows, or None where it has none."""
        return None if self.label is None else torch.full((count,), self.label, device=device)

    def mixed(self, scores: Tensor | None, history: Tensor) -> Tensor:
        """Return the logarithm of the mixture of network and n-grams, `(B, symbols)`."""
        assert self.counts is not None
        chances = self.counts.chances(history)
        if scores is None:
            return chances.log().float()
        ours = scores.double().softmax(-1)
        mixture = self.share * ours + (1 - self.share) * chances.to(ours.device)
        return mixture.log().float()

    def _joined(self, prompt: str, ids: list[int]) -> str:
        text = self.vocabulary.decode(ids)
        apart = self.vocabulary.unit == "words" and prompt and not prompt[-1].isspace()
        return prompt + (" " if apart and text[:1].strip() else "") + text


class SymbolStream(TaskStream):
    """The model one symbol at a time, begun as a document begins."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.vocabulary, self._writer = writer.vocabulary, writer
        self._stream: Any = None
        self._history: Tensor | None = None
        self._device = torch.device("cpu")
        if writer.model is not None:
            self._stream = writer.model.eval().stream(label=writer.label)
            self._device = device_of(writer.model)
        self._begin()

    @torch.inference_mode()
    def step(self, value: str) -> dict[str, float]:
        """Return the probability of each symbol after one more, given as text.

        Raises:
            InputError: the text is not exactly one symbol.
        """
        if not isinstance(value, str):
            raise InputError(
                f"A step of a text is a string, not {type(value).__name__}.",
                fix=f"Give one of the {self.vocabulary.unit}.",
            )
        ids = self.vocabulary.encode(value)
        if len(ids) != 1:
            raise InputError(
                f"{value!r} is {len(ids)} symbols; a stream of {self.vocabulary.unit} takes one "
                "at a time."
            )
        with self._alone:
            scores = self._read(int(ids[0]))
        return dict(zip(self.vocabulary.symbols, scores.softmax(-1).tolist(), strict=True))

    @property
    def state(self) -> Any:
        """The memory: nested tuples of tensors. Setting None begins a document anew.

        With n-grams it is a pair: what the network remembers, and the last symbols.
        """
        with self._alone:
            inner = None if self._stream is None else self._stream.state
            return inner if self._history is None else (inner, self._history)

    @state.setter
    def state(self, state: Any) -> None:
        with self._alone:
            if state is None:
                self._begin()
                return
            inner = state
            if self._history is not None:
                inner, self._history = state
            if self._stream is not None:
                self._stream.state = inner

    def _named(self) -> Mapping[str, Tensor]:
        tensors = {} if self._stream is None else dict(self._stream.snapshot())
        return tensors if self._history is None else {**tensors, "history": self._history}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        history = tensors.pop("history", None)
        if self._stream is not None:
            self._stream.restore(tensors)
        self._history = history

    def _part(self) -> None:
        if self._stream is not None:
            self._stream = self._stream.copy()

    def _identity(self) -> str:
        counts, parts = self._writer.counts, list[Any]()
        if self._stream is not None:
            parts.append(self._stream.identity)
        if counts is not None:
            parts += [counts.identity, self._writer.share]
        return identity(*parts, *self.vocabulary.symbols)

    @torch.inference_mode()
    def _begin(self) -> None:
        assert self.vocabulary.bos is not None
        if self._stream is not None:
            model, label = self._writer.model, self._writer.labels(self._device)
            self._stream.state = None if model is None or label is None else model.start(label)
        counts = self._writer.counts
        self._history = None if counts is None else counts.begin(self.vocabulary.bos)
        self._read(self.vocabulary.bos)

    def _read(self, symbol: int) -> Tensor:
        token = torch.tensor([symbol], device=self._device)
        scores: Tensor | None = None
        if self._stream is not None:
            scores = self._stream.step(token)
        if self._history is not None:
            assert self._writer.counts is not None
            self._history = self._writer.counts.after(self._history, token)
            scores = self._writer.mixed(scores, self._history)
        assert scores is not None
        return scores[0]


def in_word(letter: str) -> bool:
    """Tell whether a letter may stand inside a word."""
    return letter.isalnum() or letter in "_'’"
