"""Translation word by word, by a dictionary that is learnt from pairs of sentences.

IBM model 1 (Brown et al. 1993): each word of the target comes from one word of the source, or from
none, whatever their places. Its likelihood has one maximum, which expectation maximisation finds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import State

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Iterations of expectation maximisation.
ITERATIONS = 10
#: How strongly words are drawn to the diagonal (Dyer et al. 2013), and the share from no word.
TENSION, FROM_NONE = 4.0, 0.08
#: Pairs of words that are counted at most, some 24 bytes each; beyond that sentences are drawn.
MOST_LINKS = 20_000_000
#: Longest sentence that is learnt from, in words.
LONGEST = 100
#: Expected number of target words below which a word is left out of a translation.
FERTILE = 0.5

# A character of a script without blanks between words is a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’-][^\W{_UNSPACED}]+)*|[^\w\s]")
_CLOSING = re.compile(r"\s+([.,!?;:)\]}»”%…]|['’]s\b)")
_OPENING = re.compile(r"([(\[{«“„])\s+")
_BETWEEN = re.compile(rf"(?<=[{_UNSPACED}])\s+(?=[{_UNSPACED}])")


def words_of(text: str) -> list[str]:
    """Return words and marks.

    >>> words_of("It's a well-known dog.")
    ["It's", 'a', 'well-known', 'dog', '.']
    """
    return _WORD.findall(text)


def joined(words: Sequence[str]) -> str:
    """Return words and marks as a text.

    >>> joined(["Ein", "Hund", ",", "ja", "."])
    'Ein Hund, ja.'
    """
    text = _OPENING.sub(r"\1", _CLOSING.sub(r"\1", " ".join(words)))
    return _BETWEEN.sub("", text)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Writes for each word of the source the target word that is likeliest given it.

    Attributes:
        words: source word in lower case → target word; an empty one is left out.
        plain: words stand between blanks, and have no case and no marks beside them.
    """

    kind: ClassVar[str] = "dictionary"
    words: dict[str, str]
    plain: bool = False

    def __call__(self, sources: Sequence[str]) -> list[str]:
        """Return the translations of texts; unknown words are copied."""
        return [self._written(text) for text in sources]

    def _written(self, text: str) -> str:
        if self.plain:
            return " ".join(filter(None, (self.words.get(word, word) for word in text.split())))
        found = [self.words.get(word.lower(), word) for word in words_of(text)]
        written = joined([word for word in found if word])
        begins = next((letter for letter in text if letter.isalpha()), "")
        return written[:1].upper() + written[1:] if begins.isupper() else written

    def to_state(self) -> State:
        """Return the words as JSON."""
        return {"words": self.words, "plain": self.plain}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Dictionary:
        """Return the dictionary that `to_state` described."""
        return cls(facts["words"], facts.get("plain", False))


def dictionary(
    source: Sequence[str],
    target: Sequence[str],
    *,
    diagonal: bool = True,
    seed: int = 0,
    plain: bool = False,
) -> Dictionary:
    """Learn a dictionary from pairs of texts.

    Words of the source count in lower case; the first word of a target is written as it mostly is
    elsewhere. A word that comes with less than half a target word on average is left out.

    Args:
        source, target: the training pairs.
        diagonal: words at like places belong together more likely (Dyer et al. 2013).
        seed: of the draw of sentences, where there are more than fit.
        plain: words are all that stands between blanks, as it is written.

    >>> dictionary(["a dog", "a cat", "the cat"], ["ein Hund", "eine Katze", "die Katze"])(["cat"])
    ['Katze']
    """
    if plain:
        ours, theirs = ([text.split() for text in texts] for texts in (source, target))
    else:
        ours = [[word.lower() for word in words_of(text)] for text in source]
        theirs = _as_elsewhere([words_of(text) for text in target])
    model = Model1.fit(ours, theirs, diagonal=diagonal, seed=seed)
    return Dictionary(model.best(), plain)


@dataclass(frozen=True, eq=False)
class Model1:
    """Probabilities of target words given a source word.

    Attributes:
        source, target: the words; the first of `source` is none at all.
        pairs: numbers of a source and a target word that occur in one pair, `(P, 2)`, sorted.
        probability: of the target word given the source word, `(P,)`.
        fertility: target words that come from each source word on average, `(source words,)`.
        likelihoods: log-likelihood of the corpus before each iteration, without what is constant.
    """

    source: list[str]
    target: list[str]
    pairs: Ints
    probability: Floats
    fertility: Floats
    likelihoods: list[float]

    @classmethod
    def fit(
        cls,
        source: Sequence[Sequence[str]],
        target: Sequence[Sequence[str]],
        *,
        iterations: int = ITERATIONS,
        diagonal: bool = False,
        seed: int = 0,
    ) -> Model1:
        """Estimate the probabilities by expectation maximisation.

        Time and memory follow the number of pairs of words that stand in one pair of sentences.
        """
        chosen = _chosen(source, target, seed)
        ours, source_names = _numbered([["", *source[n]] for n in chosen])
        theirs, target_names = _numbered([target[n] for n in chosen])
        links, words, weights = _links(ours, theirs, len(target_names), diagonal)
        keys, link_pairs = np.unique(links, return_inverse=True)
        pairs = np.stack(np.divmod(keys, len(target_names)), 1)
        spread = np.bincount(pairs[:, 0])
        probability = 1.0 / spread[pairs[:, 0]]
        likelihoods = []
        counts = probability
        for _ in range(iterations):
            shares = probability[link_pairs] * weights
            sums = np.bincount(words, shares)
            likelihoods.append(float(np.log(sums).sum()))
            counts = np.bincount(link_pairs, shares / sums[words])
            totals = np.bincount(pairs[:, 0], counts)
            probability = counts / np.maximum(totals, np.finfo(float).tiny)[pairs[:, 0]]
        occurrences = np.bincount(np.concatenate(ours), minlength=len(source_names))
        fertility = np.bincount(pairs[:, 0], counts, minlength=len(source_names))
        return cls(
            source_names, target_names, pairs, probability, fertility / occurrences, likelihoods
        )

    def best(self) -> dict[str, str]:
        """Return the likeliest target word of each source word; an empty one where it has few."""
        # Sorted by source and probability, the last of each source word is its likeliest.
        order = np.lexsort((self.probability, self.pairs[:, 0]))
        first = self.pairs[order, 0]
        last = order[np.flatnonzero(np.r_[first[1:] != first[:-1], True])]
        found = {}
        for one, other in self.pairs[last].tolist():
            if one:
                few = self.fertility[one] < FERTILE
                found[self.source[one]] = "" if few else self.target[other]
        return found

    def of(self, word: str) -> dict[str, float]:
        """Return target words with their probabilities given a source word."""
        number = self.source.index(word)
        rows = np.flatnonzero(self.pairs[:, 0] == number)
        return {self.target[self.pairs[row, 1]]: float(self.probability[row]) for row in rows}


def _chosen(
    source: Sequence[Sequence[str]], target: Sequence[Sequence[str]], seed: int
) -> list[int]:
    """Return the numbers of the pairs to learn from, as many as `MOST_LINKS` allows."""
    fit = [
        n
        for n, (one, other) in enumerate(zip(source, target, strict=True))
        if 0 < len(one) <= LONGEST and 0 < len(other) <= LONGEST
    ]
    sizes = np.array([(len(source[n]) + 1) * len(target[n]) for n in fit], np.int64)
    if sizes.sum() <= MOST_LINKS:
        return fit
    order = np.random.default_rng(seed).permutation(len(fit))
    kept = order[: np.searchsorted(np.cumsum(sizes[order]), MOST_LINKS)]
    return [fit[n] for n in np.sort(kept).tolist()]


def _numbered(sentences: Sequence[Sequence[str]]) -> tuple[list[Ints], list[str]]:
    names: dict[str, int] = {}
    numbers = [
        np.array([names.setdefault(word, len(names)) for word in words], np.int64)
        for words in sentences
    ]
    return numbers, list(names)


def _links(
    source: Sequence[Ints], target: Sequence[Ints], size: int, diagonal: bool
) -> tuple[Ints, Ints, Floats]:
    """Return every pair of words of each pair of sentences: its key, the number of its target word
    in the corpus, and its weight before anything is known of words."""
    keys, words, weights = [], [], []
    done = 0
    for one, other in zip(source, target, strict=True):
        keys.append((one[None, :] * size + other[:, None]).ravel())
        words.append(np.repeat(np.arange(done, done + len(other)), len(one)))
        weights.append(_weights(len(one) - 1, len(other), diagonal).ravel())
        done += len(other)
    return np.concatenate(keys), np.concatenate(words), np.concatenate(weights)


def _weights(ours: int, theirs: int, diagonal: bool) -> Floats:
    """Return how likely a place of the source is for each of the target, `(theirs, 1 + ours)`."""
    if not diagonal:
        return np.full((theirs, 1 + ours), 1 / (1 + ours))
    apart = np.abs(
        (np.arange(ours) + 0.5)[None] / ours - ((np.arange(theirs) + 0.5) / theirs)[:, None]
    )
    drawn = np.exp(-TENSION * apart)
    drawn *= (1 - FROM_NONE) / drawn.sum(1, keepdims=True)
    return np.concatenate([np.full((theirs, 1), FROM_NONE), drawn], 1)


def _as_elsewhere(sentences: list[list[str]]) -> list[list[str]]:
    """Return sentences whose first word has the case that it mostly has within sentences."""
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for words in sentences:
        for word in words[1:]:
            forms[word.lower()][word] += 1
    return [
        [_usual(forms.get(words[0].lower()), words[0]), *words[1:]] if words else words
        for words in sentences
    ]


def _usual(forms: Counter[str] | None, word: str) -> str:
    return max(forms, key=lambda form: (forms[form], form)) if forms else word
