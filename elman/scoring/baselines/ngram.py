"""Interpolated modified Kneser–Ney n-grams, the language model to beat.

Every string of up to n symbols that occurs in the text gets a number, level by
level: a string of k symbols is a pair (number of its first k-1 symbols, last
symbol), so one sort a level counts them, and looking a string up is one binary
search a level. All orders up to n come from one pass, since they share their
lower levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Used where a level has too few rare strings to estimate discounts from.
_FALLBACK = np.array([0.0, 0.5, 1.0, 1.5])


@dataclass(frozen=True)
class _Counts:
    """Discounted counts of one level: a probability given the level below."""

    counts: Ints
    discounts: Floats
    totals: Floats
    spare: Floats

    @classmethod
    def of(cls, counts: Ints, parents: Ints, histories: int) -> Self:
        """From the count of each string and the number of the history it extends."""
        discounts = _discounts(counts)
        taken = discounts[np.minimum(counts, 3)]
        totals = np.bincount(parents, counts, minlength=histories).astype(np.float64)
        freed = np.bincount(parents, taken, minlength=histories)
        spare = np.divide(freed, totals, out=np.ones(histories), where=totals > 0)
        return cls(counts, discounts, totals, spare)

    def probability(self, strings: Ints, histories: Ints, lower: Floats) -> Floats:
        """Return the count of each string and of its history; -1 marks a string never seen."""
        counts = np.where(strings < 0, 0, self.counts[strings])
        totals = np.where(histories < 0, 0.0, self.totals[histories])
        kept = counts - self.discounts[np.minimum(counts, 3)]
        seen = np.divide(kept, totals, out=np.zeros_like(lower), where=totals > 0)
        return seen + np.where(totals > 0, self.spare[histories], 1.0) * lower


@dataclass(frozen=True)
class _Level:
    """Strings of one length: `keys` sorted, `raw` counts, and counts of distinct symbols before."""

    keys: Ints
    raw: _Counts
    before: _Counts | None

    def find(self, keys: Ints) -> Ints:
        """The number of each string, or -1."""
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


@dataclass(frozen=True)
class KneserNey:
    """Interpolated modified Kneser–Ney smoothing (Chen & Goodman 1999, section 3).

    p(w | h) = (c(hw) - D(c(hw))) / c(h·) + spare(h) p(w | h without its first symbol)

    where c counts occurrences at the highest order and distinct preceding symbols
    below it, and the recursion ends in the uniform distribution. At a document's
    start the history is the document's first symbol, repeated.

    >>> model = KneserNey.fit(np.array([0, 1, 2, 1, 2, 1, 0]), size=3, order=2)
    >>> model.distribution(np.array([1])).round(3)
    array([0.312, 0.208, 0.479])
    """

    size: int
    levels: list[_Level]
    trained_on: int

    @classmethod
    def fit(
        cls,
        tokens: NDArray[Any],
        size: int,
        order: int,
        starts: NDArray[Any] | None = None,
        limit: int = 4_000_000,
    ) -> Self:
        """Count strings of up to `order` symbols.

        Args:
            tokens: `(N,)` symbols in `range(size)`.
            size: number of symbols.
            order: length of the longest string.
            starts: positions where a document begins; 0 always does. The symbol
                there also ends the document before.
            limit: at most this many of the last symbols are counted, so that
                memory stays bounded (about 300 bytes a symbol at order 9).
        """
        first = max(0, len(tokens) - limit)
        symbols, begins = _unroll(tokens[first:], starts, first)
        target = ~begins
        back = np.arange(len(symbols)) - target
        levels: list[_Level] = []
        numbers = np.zeros(len(symbols), np.int64)
        keys = parents = raw = np.zeros(1, np.int64)
        histories = 1
        for length in range(1, order + 1):
            longer, inverse = np.unique(numbers[back] * size + symbols, return_inverse=True)
            counted = np.bincount(inverse[target], minlength=len(longer))
            if length > 1:
                suffix = np.zeros(len(longer), np.int64)
                suffix[inverse[target]] = numbers[target]
                before = np.bincount(suffix[counted > 0], minlength=len(keys))
                levels.append(
                    _Level(
                        keys,
                        _Counts.of(raw, parents, histories),
                        _Counts.of(before, parents, histories),
                    )
                )
            histories = len(keys)
            keys, parents, raw, numbers = longer, longer // size, counted, inverse
        levels.append(_Level(keys, _Counts.of(raw, parents, histories), None))
        return cls(size, levels, len(tokens) - first)

    def nll(
        self, tokens: NDArray[Any], starts: NDArray[Any] | None = None
    ) -> dict[int, NDArray[np.float64]]:
        """Nats each of `tokens[1:]` costs, `(N - 1,)`, for every order from 1 up.

        Each symbol is given all symbols before it in its document.
        """
        symbols, begins = _unroll(tokens, starts, 0)
        target = np.flatnonzero(~begins)
        back = np.arange(len(symbols)) - ~begins
        return {
            order: -np.log(p[target]) for order, p in enumerate(self._walk(symbols, back), start=1)
        }

    def distribution(self, history: NDArray[Any], order: int | None = None) -> Floats:
        """Probability of every next symbol after `history`, `(size,)`."""
        order = order or len(self.levels)
        kept = history[len(history) - order + 1 :] if order > 1 else history[:0]
        rows = np.arange(self.size, dtype=np.int64)
        states = [np.zeros(self.size, np.int64)]
        for length in range(1, order):
            state = np.zeros(self.size, np.int64)
            for depth, symbol in enumerate(kept[len(kept) - length :]):
                state = self._longer(depth, state, np.full(self.size, symbol))
            states.append(state)
        lower = np.full(self.size, 1 / self.size)
        for depth, histories in enumerate(states):
            level = self.levels[depth]
            strings = self._longer(depth, histories, rows)
            table = level.raw if depth == order - 1 else level.before
            assert table is not None  # only the longest strings have no longer ones
            lower = table.probability(strings, histories, lower)
        return lower

    def _longer(self, depth: int, strings: Ints, symbols: Ints) -> Ints:
        """Numbers of the strings of `depth` symbols with one more symbol behind; -1 if unseen."""
        found = self.levels[depth].find(strings * self.size + symbols)
        return np.where(strings < 0, -1, found)

    def _walk(self, symbols: Ints, back: Ints) -> Iterator[Floats]:
        """The probability of each symbol, order after order."""
        strings = np.zeros(len(symbols), np.int64)
        lower = np.full(len(symbols), 1 / self.size)
        for depth, level in enumerate(self.levels):
            histories = strings[back]
            strings = self._longer(depth, histories, symbols)
            yield level.raw.probability(strings, histories, lower)
            if level.before is not None:
                lower = level.before.probability(strings, histories, lower)


def _unroll(
    tokens: NDArray[Any], starts: NDArray[Any] | None, first: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Write each symbol that begins a document twice: where it ends one, and as a history.

    Returns the symbols and a mask of the histories, which are not predicted.
    """
    symbols = np.asarray(tokens).astype(np.int64)
    begins = np.zeros(len(symbols), bool)
    if starts is not None:
        inside = np.asarray(starts) - first
        begins[inside[inside > 0]] = True
    twice = 1 + begins
    symbols = np.repeat(symbols, twice)
    marks = np.zeros(len(symbols), bool)
    marks[:1] = True
    marks[np.cumsum(twice)[begins] - 1] = True
    return symbols, marks


def _discounts(counts: Ints) -> Floats:
    """Return the discounts of a count of 0, 1, 2 and of 3 or more (Chen & Goodman 1999, eq. 26)."""
    n = np.bincount(np.minimum(counts, 5), minlength=5).astype(float)
    if (n[1:5] == 0).any():
        return _FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    found = np.array([0.0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))])
    return found if (found[1:] > 0).all() and (found <= np.arange(4)).all() else _FALLBACK
