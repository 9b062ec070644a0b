"""Summaries that are a sentence of the document: the first, the longest, or that of TextRank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.dictionary import words_of
from elman.scoring.baselines.linear import State

Rule = Literal["lead", "longest", "textrank"]
RULES: tuple[Rule, ...] = ("lead", "longest", "textrank")

#: Chance to follow a link in PageRank, and where its iterations end.
DAMPING, STILL, MOST_STEPS = 0.85, 1e-8, 200
#: Sentences of a document that are ranked at most; time grows with their square.
MOST_SENTENCES = 200

_ENDS = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？])|\s*\n\s*")


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text: they end with a mark and a blank, or with a line.

    >>> sentences_of("Hello Ann.  It is 3.5 cm!\\nBye")
    ['Hello Ann.', 'It is 3.5 cm!', 'Bye']
    """
    return [part.strip() for part in _ENDS.split(text) if part and part.strip()]


@dataclass(frozen=True)
class Extract:
    """Takes one sentence out of a document.

    Attributes:
        rule: which sentence: the first, the longest, or the first that TextRank ranks highest.
    """

    kind: ClassVar[str] = "extract"
    rule: Rule

    def __call__(self, sources: Sequence[str]) -> list[str]:
        """Return the summaries of documents."""
        return [self._of(text) for text in sources]

    def _of(self, text: str) -> str:
        sentences = sentences_of(text)
        if not sentences:
            return ""
        chosen = sentences[0]
        if self.rule == "longest":
            chosen = max(sentences, key=lambda sentence: len(words_of(sentence)))
        elif self.rule == "textrank":
            chosen = sentences[int(np.argmax(textrank(sentences)))]
        return chosen

    def to_state(self) -> State:
        """Return the rule."""
        return {"rule": self.rule}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Extract:
        """Return the rule that `to_state` described."""
        return cls(facts["rule"])


def textrank(sentences: Sequence[str]) -> NDArray[np.float64]:
    """Rank sentences by PageRank on how many words they share (Mihalcea & Tarau 2004).

    Two sentences are as similar as the words that both hold, by the sum of the logarithms of their
    lengths. Sentences beyond `MOST_SENTENCES` have rank 0.

    Returns:
        A rank for each sentence, `(n,)`, whose sum is 1.

    >>> textrank(["a dog ran home", "the dog ran", "rain"]).round(3).tolist()
    [0.465, 0.465, 0.07]
    """
    sets = [{word.lower() for word in words_of(one)} for one in sentences[:MOST_SENTENCES]]
    lengths = np.log([max(1, len(words)) for words in sets])
    count = len(sets)
    weights = np.zeros((count, count))
    for one in range(count):
        for other in range(one):
            both, below = len(sets[one] & sets[other]), lengths[one] + lengths[other]
            if both and below:
                weights[one, other] = weights[other, one] = both / below
    sums = weights.sum(0)
    # From a sentence that is like no other the walk goes on anywhere.
    steps = np.where(sums > 0, weights / np.where(sums > 0, sums, 1), 1 / count)
    rank = np.full(count, 1 / count)
    for _ in range(MOST_STEPS):
        following = (1 - DAMPING) / count + DAMPING * steps @ rank
        moved = np.abs(following - rank).sum()
        rank = following
        if moved < STILL:
            break
    return np.concatenate([rank, np.zeros(len(sentences) - count)])
