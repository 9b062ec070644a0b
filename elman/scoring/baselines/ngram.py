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
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import State

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


@dataclass(frozen=True, eq=False)
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
        kept = [int(symbol) for symbol in history[max(0, len(history) - order + 1) :]]
        lower = np.full(self.size, 1 / self.size)
        for length in range(min(order - 1, len(kept)) + 1):
            found = self._number(kept[len(kept) - length :])
            if found is None:
                # A longer history has not been seen either: it adds nothing.
                break
            level = self.levels[length]
            table = level.raw if length == order - 1 else level.before
            assert table is not None  # only the longest strings have no longer ones
            if not table.totals[found]:
                continue
            # The strings that extend a history stand together.
            first, last = np.searchsorted(
                level.keys, [found * self.size, (found + 1) * self.size]
            ).tolist()
            counts = table.counts[first:last]
            taken = counts - table.discounts[np.minimum(counts, 3)]
            lower = table.spare[found] * lower
            lower[level.keys[first:last] % self.size] += taken / table.totals[found]
        return lower

    def _number(self, symbols: list[int]) -> int | None:
        """Return the number of a string among those as long, or None where it was never seen."""
        found = 0
        for depth, symbol in enumerate(symbols):
            keys, wanted = self.levels[depth].keys, found * self.size + symbol
            found = int(np.searchsorted(keys, wanted))
            if found == len(keys) or keys[found] != wanted:
                return None
        return found

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

    def state(self) -> State:
        """Return what `kept` makes the counts of again: about three bytes a string.

        The strings of a level are sorted by the string that they extend: how many extend each,
        and the last symbol, tell them all. The counts of symbols before follow from the strings.
        """
        arrays: dict[str, NDArray[Any]] = {}
        histories = 1
        for length, level in enumerate(self.levels, start=1):
            children = np.bincount(level.keys // self.size, minlength=histories)
            arrays |= _small(f"{length}.children", children)
            arrays |= _small(f"{length}.symbols", level.keys % self.size)
            arrays |= _small(f"{length}.counts", level.raw.counts)
            histories = len(level.keys)
        facts = {"size": self.size, "orders": len(self.levels), "trained_on": self.trained_on}
        return facts, arrays

    @classmethod
    def kept(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Return the counts that `state` described."""
        size, levels = int(facts["size"]), []
        parents, suffixes = np.zeros(1, np.int64), np.zeros(1, np.int64)
        keys, raw, histories = np.zeros(1, np.int64), np.zeros(1, np.int64), 1
        for length in range(1, int(facts["orders"]) + 1):
            children = _large(f"{length}.children", arrays)
            above = np.repeat(np.arange(len(children)), children)
            longer = above * size + _large(f"{length}.symbols", arrays)
            counts = _large(f"{length}.counts", arrays)
            if length > 1:
                # Without its first symbol, a string extends its parent without that symbol.
                wanted = suffixes[above] * size + longer % size
                ends = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
                before = np.bincount(ends[counts > 0], minlength=len(keys))
                of = _Counts.of
                levels.append(
                    _Level(keys, of(raw, parents, histories), of(before, parents, histories))
                )
                histories, suffixes = len(keys), ends
            else:
                suffixes = np.zeros(len(longer), np.int64)
            keys, raw, parents = longer, counts, above
        levels.append(_Level(keys, _Counts.of(raw, parents, histories), None))
        return cls(size, levels, int(facts["trained_on"]))


@dataclass(frozen=True, eq=False)
class NGram:
    """The n-grams of one order, from counts that all orders share.

    Attributes:
        order: length of the longest string.
    """

    kind: ClassVar[str] = "n-gram"
    order: int

    def to_state(self) -> State:
        """Return the order; the counts are kept once for all orders."""
        return {"order": self.order}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Return the order that `to_state` described."""
        return cls(int(facts["order"]))


def _small(name: str, values: Ints) -> dict[str, NDArray[Any]]:
    """Write counts with a byte or two each; the few that are larger stand apart."""
    kind = np.uint8 if len(values) and np.quantile(values, 0.99) < 255 else np.uint16
    most = np.iinfo(kind).max
    places = np.flatnonzero(values >= most)
    return {
        name: np.minimum(values, most).astype(kind),
        f"{name}.large": np.stack([places, values[places]]),
    }


def _large(name: str, arrays: dict[str, NDArray[Any]]) -> Ints:
    values = arrays[name].astype(np.int64)
    places, true = arrays[f"{name}.large"]
    values[places] = true
    return values


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
