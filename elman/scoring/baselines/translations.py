"""Baselines of written answers: the source itself, the answer to the likest training source, and
n-grams of targets.

Beside them stand a dictionary (`dictionary`) and sentences of a document (`extracts`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.dictionary import words_of
from elman.scoring.baselines.linear import State
from elman.scoring.baselines.ngram import KneserNey
from elman.scoring.translations import selection_units

Way = Literal["direct", "neighbours", "both"]
WAYS: tuple[Way, ...] = ("direct", "neighbours", "both")
#: Columns that words and pairs of words are hashed to.
WIDTH = 1 << 18
#: Training sources whose replies speak for a reply.
NEIGHBOURS = 20
#: Texts that are compared with all training sources at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class CopySource:
    """Writes the source as it is."""

    kind: ClassVar[str] = "copy source"

    def __call__(self, sources: Sequence[str]) -> list[str]:
        """Return the sources."""
        return list(sources)

    def to_state(self) -> State:
        """Return nothing: nothing is learnt."""
        return {}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CopySource:
        """Return the rule."""
        return cls()


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Gives the target of the training source that is likest by TF-IDF of words and their pairs.

    It also chooses among replies: by their likeness to the context, or to the replies that the
    likest training contexts had, or by the sum of both.

    Attributes:
        sources, targets: the training pairs.
        rarity: the inverse document frequency of each column, `(WIDTH,)`.
        way: how it chooses among replies.
    """

    kind: ClassVar[str] = "retrieval"
    sources: Sequence[str]
    targets: Sequence[str]
    rarity: NDArray[np.float32]
    way: Way = "direct"

    def __call__(self, sources: Sequence[str]) -> list[str]:
        """Return a training target for each source; of equals, the first."""
        found: list[str] = []
        for start in range(0, len(sources), _AT_ONCE):
            alike = self._vectors(sources[start : start + _AT_ONCE]) @ self._known.T
            found += [self.targets[n] for n in np.asarray(alike.argmax(1)).ravel().tolist()]
        return found

    def nearest(self, source: str, count: int) -> list[str]:
        """Return targets of the training sources that are likest, likest first, no text twice.

        Args:
            source: the text.
            count: of targets, at most; sources that share no word with the text have none.
        """
        alike = self._vectors([source]) @ self._known.T
        order = np.lexsort((alike.indices, -alike.data))
        every = (self.targets[n] for n in alike.indices[order].tolist())
        return list(itertools.islice(dict.fromkeys(every), count))

    def neighbours(self, sources: Sequence[str], count: int) -> list[tuple[list[str], list[float]]]:
        """Return for each source the targets of the likest training sources, and how like they are.

        Args:
            sources: the texts.
            count: of training sources, at most; those that share no word with a text are none.
        """
        found: list[tuple[list[str], list[float]]] = []
        for start in range(0, len(sources), _AT_ONCE):
            alike = self._vectors(sources[start : start + _AT_ONCE]) @ self._known.T
            for row in range(alike.shape[0]):
                inside = slice(alike.indptr[row], alike.indptr[row + 1])
                likeness, numbers = alike.data[inside], alike.indices[inside]
                order = np.lexsort((numbers, -likeness))[:count]
                texts = [self.targets[n] for n in numbers[order].tolist()]
                found.append((texts, likeness[order].tolist()))
        return found

    def choose(
        self, sources: Sequence[str], replies: Sequence[str], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return a score of each candidate, `(n, count)`, more being better.

        Args:
            sources: the contexts.
            replies: those of all contexts.
            candidates: numbers of replies for each context, `(n, count)`, as
                `elman.scoring.translations.candidates` draws them.
        """
        direct, neighbours = self._chosen(sources, replies, candidates)
        return {"direct": direct, "neighbours": neighbours, "both": direct + neighbours}[self.way]

    def _chosen(
        self, sources: Sequence[str], replies: Sequence[str], candidates: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        contexts, answers = self._vectors(sources), self._vectors(replies)
        direct, neighbours = np.empty(candidates.shape), np.empty(candidates.shape)
        spread = np.zeros((candidates.shape[1], WIDTH), np.float32)
        for start in range(0, len(candidates), _AT_ONCE):
            alike = (contexts[start : start + _AT_ONCE] @ self._known.T).toarray()
            few = min(NEIGHBOURS, alike.shape[1]) - 1
            nearest = np.argpartition(-alike, few, axis=1)[:, : few + 1]
            for row, (likeness, near) in enumerate(zip(alike, nearest, strict=True), start):
                chosen = answers[candidates[row]]
                direct[row] = _products(chosen, contexts[row], spread)[:, 0]
                said = _products(chosen, self._replies[near], spread)
                neighbours[row] = (said * likeness[near]).max(1)
        return direct, neighbours

    @cached_property
    def _known(self) -> Any:
        return self._vectors(self.sources)

    @cached_property
    def _replies(self) -> Any:
        return self._vectors(self.targets)

    def _vectors(self, texts: Sequence[str]) -> Any:
        from sklearn.preprocessing import normalize

        found = _counts(texts)
        found.data *= self.rarity[found.indices]
        return normalize(found, copy=False)

    def to_state(self) -> State:
        """Return the texts as bytes, and the rarity of words."""
        return {"way": self.way}, {
            "rarity": self.rarity,
            **_packed("sources", self.sources),
            **_packed("targets", self.targets),
        }

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Retrieval:
        """Return the rule that `to_state` described."""
        sources, targets = (_unpacked(name, arrays) for name in ("sources", "targets"))
        return cls(sources, targets, arrays["rarity"], facts["way"])


def retrieval(
    source: Sequence[str],
    target: Sequence[str],
    choosing: tuple[Sequence[str], Sequence[str], NDArray[np.int64]] | None = None,
) -> Retrieval:
    """Fit TF-IDF on the training sources; for dialogues on their replies too.

    Args:
        source, target: the training pairs.
        choosing: of dialogues, contexts, replies and candidates of the validation part, by which
            it is found how replies are chosen best. None for what is no dialogue.

    >>> near = retrieval(["a red dog", "a blue cat"], ["ein roter Hund", "eine blaue Katze"])
    >>> near(["the blue cat"])
    ['eine blaue Katze']
    """
    texts = list(source) if choosing is None else [*source, *target]
    present = np.bincount(_counts(texts).indices, minlength=WIDTH)
    rarity = (np.log((1 + len(texts)) / (1 + present)) + 1).astype(np.float32)
    found = Retrieval(list(source), list(target), rarity)
    if choosing is None:
        return found
    direct, neighbours = found._chosen(*choosing)
    scores = {"direct": direct, "neighbours": neighbours, "both": direct + neighbours}
    way = max(WAYS, key=lambda one: selection_units(scores[one])["recall_at_1"].mean())
    return Retrieval(found.sources, found.targets, rarity, way)


@dataclass(frozen=True, eq=False)
class TargetNGrams:
    """Gives the nats that each target costs under n-grams of training targets.

    Attributes:
        model: the counts.
        end: the symbol at the end of every target.
    """

    kind: ClassVar[str] = "target n-gram"
    model: KneserNey
    end: int

    def __call__(
        self, targets: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return nats and symbols of each target, `(n,)` each; its end is one of the symbols."""
        each = self.each(targets)
        counts = np.array([len(nats) for nats in each], np.int64)
        return np.array([nats.sum() for nats in each], np.float64), counts

    def each(self, targets: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
        """Return the nats that each symbol of each target costs, its end being the last."""
        nats = self.model.nll(*_stream(targets, self.end))[len(self.model.levels)]
        ends = np.cumsum([len(target) + 1 for target in targets])
        return np.split(nats, ends[:-1])

    def to_state(self) -> State:
        """Return the counts."""
        facts, arrays = self.model.state()
        return {"end": self.end, "model": facts}, arrays

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> TargetNGrams:
        """Return the n-grams that `to_state` described."""
        return cls(KneserNey.kept(facts["model"], arrays), facts["end"])


def target_ngrams(
    targets: Sequence[NDArray[Any]], size: int, end: int, order: int = 5
) -> TargetNGrams:
    """Count n-grams of the targets of training.

    Args:
        targets: symbols of each, without its end.
        size: number of symbols.
        end: the symbol that ends a target.
        order: length of the longest n-gram.
    """
    tokens, starts = _stream(targets, end)
    return TargetNGrams(KneserNey.fit(tokens, size, order, starts), end)


def _stream(
    targets: Sequence[NDArray[Any]], end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all targets in one row, an end before, between and behind them, and where they begin.

    A target's beginning is the end of the one before it.
    """
    parts = [np.array([end])]
    for target in targets:
        parts += [np.asarray(target), np.array([end])]
    tokens = np.concatenate(parts).astype(np.int64)
    lengths = np.array([len(target) + 1 for target in targets], np.int64)
    return tokens, np.cumsum(lengths) - lengths


def _counts(texts: Sequence[str]) -> Any:
    """Return how often words and pairs of words stand in each text, logarithmic, hashed."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=_grams, n_features=WIDTH, alternate_sign=False, norm=None, dtype=np.float32
    )
    found = hashing.transform(texts)
    found.data = 1 + np.log(found.data)
    return found


def _grams(text: str) -> list[str]:
    words = words_of(text.lower())
    return [*words, *(f"{one} {other}" for one, other in itertools.pairwise(words))]


def _products(some: Any, others: Any, spread: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the products of a few sparse rows with others, `(some, others)`.

    Args:
        some, others: sparse matrices.
        spread: zeros `(some, WIDTH)`, and zeros again afterwards. Without it the others would be
            turned round, which takes as long as they have columns.
    """
    rows = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
    spread[rows, some.indices] = some.data
    sums = np.zeros((some.shape[0], others.nnz + 1))
    np.cumsum(spread[:, others.indices] * others.data, axis=1, out=sums[:, 1:])
    spread[rows, some.indices] = 0
    return np.asarray(sums[:, others.indptr[1:]] - sums[:, others.indptr[:-1]])


def _packed(name: str, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    coded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return {
        name: np.frombuffer(b"".join(coded), np.uint8),
        f"{name}.lengths": np.array([len(one) for one in coded], np.int32),
    }


def _unpacked(name: str, arrays: dict[str, NDArray[Any]]) -> list[str]:
    data = arrays[name].tobytes()
    ends = np.cumsum(arrays[f"{name}.lengths"].astype(np.int64))
    starts = np.concatenate([[0], ends[:-1]])
    return [
        data[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
