"""MiniRocket: how much of a series each of many small patterns matches, and a linear map on it.

With a ridge classifier it is among the most accurate methods for classes of series, and quick: a
recurrent network that loses to it should not be used (Dempster, Schmidt & Webb 2021, "MiniRocket: a
very fast (almost) deterministic transform for time series classification"; Ruiz et al. 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import State

Array = NDArray[Any]
Floats = NDArray[np.float32]
Series = NDArray[np.floating]

LENGTH = 9
"""Weights of a pattern: six are -1 and three are 2, so that their sum is 0."""
PATTERNS = np.array(list(combinations(range(LENGTH), 3)))
"""The places of the three weights of each of the 84 patterns, `(84, 3)`."""
FEATURES = 119
"""Features of each pattern, 9,996 in all: as many as in the paper."""
_DILATIONS = 32
_MOST_CHANNELS = 9
_GOLDEN = (np.sqrt(5) + 1) / 2
_AT_ONCE = 1 << 17
"""Numbers of a channel that are compared at once: they stay in the processor's cache."""
STRENGTHS = np.logspace(-3, 3, 10)
"""Strengths of the penalty that are tried, by the error of each example when it is left out."""


@dataclass(frozen=True, eq=False)
class Transform:
    """The patterns at every dilation, their channels and thresholds.

    Series of another length are compared at their own: a feature is a share of their steps. Where a
    pattern is longer than a series, zeros stand around the series.

    Attributes:
        dilations: steps between the weights of a pattern, `(D,)`.
        counts: features of each pattern at each dilation, `(D,)`.
        channels: the channels that are added up, `(D, 84, C)` of true and false.
        thresholds: ordered by dilation, pattern and number, `(84 * counts.sum(),)`.
    """

    dilations: NDArray[np.int64]
    counts: NDArray[np.int64]
    channels: NDArray[np.bool_]
    thresholds: Floats

    @classmethod
    def fit(cls, series: Sequence[Series], seed: int = 0, features: int = FEATURES) -> Transform:
        """Choose dilations by the length of the series, and thresholds from some of them.

        Args:
            series: of training, each `(steps, channels)`.
            seed: of the channels, and of the series that thresholds are taken from.
            features: of each of the 84 patterns.
        """
        generator = np.random.default_rng(seed)
        steps, width = max(map(len, series)), series[0].shape[1]
        dilations, counts = spread(steps, features)
        channels = _channels(len(dilations), width, generator)
        drawn = generator.integers(0, len(series), (len(dilations), len(PATTERNS)))
        places = np.arange(1, len(PATTERNS) * int(counts.sum()) + 1) * _GOLDEN % 1
        bare = cls(dilations, counts, channels, np.empty(0, np.float32))
        thresholds, first = np.empty(len(places), np.float32), 0
        for level in range(len(dilations)):
            for pattern in range(len(PATTERNS)):
                one = np.asarray(series[drawn[level, pattern]], np.float32)[None]
                matched = bare._match(_shifted(one, int(dilations[level])), level, pattern)
                wanted = slice(first, first + int(counts[level]))
                thresholds[wanted] = np.quantile(matched, places[wanted])
                first = wanted.stop
        return cls(dilations, counts, channels, thresholds)

    def __call__(self, series: Sequence[Series]) -> Floats:
        """Return the share of its steps at which each series is above each threshold, `(n, F)`."""
        found = np.empty((len(series), len(self.thresholds)), np.float32)
        for rows in _alike(series):
            some = [series[row] for row in rows.tolist()]
            lengths = np.array([len(one) for one in some])
            block = np.zeros((len(some), int(lengths.max()), some[0].shape[1]), np.float32)
            for place, one in enumerate(some):
                block[place, : len(one)] = one
            found[rows] = self._of_block(block, lengths)
        return found

    def _of_block(self, block: Floats, lengths: NDArray[np.int64]) -> Floats:
        found = np.empty((len(block), len(self.thresholds)), np.float32)
        first = 0
        for level, dilation in enumerate(self.dilations.tolist()):
            shifted = _shifted(block, dilation)
            whole, inner = _steps(lengths, dilation, block.shape[1])
            for pattern in range(len(PATTERNS)):
                # In turn with what lies beyond the ends, and without.
                counted = inner if (level + pattern) % 2 else whole
                matched = np.where(counted, self._match(shifted, level, pattern), -np.inf)
                total = counted.sum(1)
                for _ in range(int(self.counts[level])):
                    above = np.count_nonzero(matched > self.thresholds[first], axis=1)
                    found[:, first] = above / total
                    first += 1
        return found

    def _match(self, shifted: Floats, level: int, pattern: int) -> Floats:
        """Return the sum of weights times steps at every step, over the channels, `(n, steps)`.

        The weights are -1 everywhere, and 3 more at three places.
        """
        one, two, three = PATTERNS[pattern]
        matched = np.zeros(shifted.shape[2:], np.float32)
        for channel in np.flatnonzero(self.channels[level, pattern]):
            at = shifted[:, channel]
            matched += 3 * (at[one] + at[two] + at[three]) - at[LENGTH]
        return matched

    def to_state(self) -> State:
        """Return the transform as arrays."""
        return {}, {
            "dilations": self.dilations,
            "counts": self.counts,
            "channels": self.channels,
            "thresholds": self.thresholds,
        }

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Array]) -> Transform:
        """Return the transform that `to_state` described."""
        names = ("dilations", "counts", "channels", "thresholds")
        return cls(*(arrays[name] for name in names))


@dataclass(frozen=True, eq=False)
class MiniRocket:
    """The transform, and a linear map with a penalty on it; it gives margins of classes.

    Attributes:
        transform: from series to features.
        weights, bias: of each class, `(F, K)` and `(K,)`.
        classes: the code of each class that training had, `(K,)`.
    """

    kind: ClassVar[str] = "minirocket"
    transform: Transform
    weights: Floats
    bias: NDArray[np.float64]
    classes: NDArray[np.int64]

    @classmethod
    def fit(
        cls,
        series: Sequence[Series],
        labels: NDArray[np.int64],
        seed: int = 0,
        features: int = FEATURES,
    ) -> MiniRocket:
        """Fit both to series `(steps, channels)` and the code of each one's class.

        Of several labels, `labels` says 1 where a series has one, else 0: `(n, K)`.

        >>> x = [np.sin(np.arange(40.0) * (1 + i % 2))[:, None] for i in range(20)]
        >>> model = MiniRocket.fit(x, np.arange(20) % 2, features=4)
        >>> model.codes(x[:4]).tolist()
        [0, 1, 0, 1]
        """
        from sklearn.linear_model import RidgeClassifierCV

        transform = Transform.fit(series, seed, features)
        shares = transform(series)
        deviation = shares.std(0)
        # A feature that is the same for all says nothing.
        scale = np.where(deviation > 1e-6, deviation, np.inf).astype(np.float32)
        model = RidgeClassifierCV(alphas=STRENGTHS).fit(shares / scale, labels)
        weights, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
        if len(weights) == 1:
            weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
        weights = (weights / scale).T.astype(np.float32)
        return cls(transform, weights, bias.astype(np.float64), np.asarray(model.classes_))

    def __call__(self, series: Sequence[Series]) -> NDArray[np.float64]:
        """Return the margin of each class, `(n, K)`."""
        if not len(series):
            return np.empty((0, len(self.classes)))
        return self.transform(series) @ self.weights.astype(np.float64) + self.bias

    def codes(self, series: Sequence[Series]) -> NDArray[np.int64]:
        """Return the code of the likeliest class of each series."""
        return np.asarray(self.classes[self(series).argmax(1)], np.int64)

    def to_state(self) -> State:
        """Return both as arrays."""
        facts, arrays = self.transform.to_state()
        own: dict[str, Array] = {"weights": self.weights, "bias": self.bias}
        return facts, arrays | own | {"classes": self.classes}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Array]) -> MiniRocket:
        """Return what `to_state` described."""
        transform = Transform.from_state(facts, arrays)
        return cls(transform, arrays["weights"], arrays["bias"], arrays["classes"])


def spread(steps: int, features: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return dilations up to the longest that fits, evenly on the scale of logarithms, and how many
    of the features of a pattern each one has.

    >>> spread(100, 10)
    (array([ 1,  2,  3,  4,  5,  7,  9, 12]), array([3, 1, 1, 1, 1, 1, 1, 1]))
    """
    most = min(features, _DILATIONS)
    longest = np.log2(max(steps - 1, LENGTH - 1) / (LENGTH - 1))
    found = np.floor(2.0 ** np.linspace(0, longest, most) + 1e-9).astype(np.int64)
    dilations, times = np.unique(found, return_counts=True)
    # What is left over by rounding down goes to the shortest ones, one each.
    counts = times * features // most
    counts[: features - int(counts.sum())] += 1
    return dilations, counts


def _channels(levels: int, width: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Draw 1 to 9 channels for each dilation and pattern, few as likely as many on the scale of
    logarithms."""
    shape = (levels, len(PATTERNS))
    most = np.log2(min(width, _MOST_CHANNELS) + 1)
    sizes = np.floor(2 ** generator.uniform(0, most, shape)).astype(np.int64)
    ranks = generator.random((*shape, width)).argsort(-1).argsort(-1)
    return np.asarray(ranks < np.minimum(sizes, width)[..., None])


def _shifted(block: Floats, dilation: int) -> Floats:
    """Return the steps under each weight of a pattern, and last their sum: `(10, C, n, steps)`.

    Zeros stand beyond the ends.
    """
    count, steps, width = block.shape
    reach = dilation * (LENGTH // 2)
    padded = np.zeros((width, count, steps + 2 * reach), np.float32)
    padded[:, :, reach : reach + steps] = block.transpose(2, 0, 1)
    found = np.empty((LENGTH + 1, width, count, steps), np.float32)
    for place in range(LENGTH):
        found[place] = padded[:, :, place * dilation : place * dilation + steps]
    found[:LENGTH].sum(0, out=found[LENGTH])
    return found


def _steps(
    lengths: NDArray[np.int64], dilation: int, longest: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the steps of each series, and those around which a whole pattern lies within it.

    Where there are none of the latter, all steps stand for them.
    """
    reach = dilation * (LENGTH // 2)
    step, ends = np.arange(longest), lengths[:, None]
    whole = step < ends
    inner = (step >= reach) & (step < ends - reach)
    some: NDArray[np.bool_] = (lengths > 2 * reach)[:, None]
    return whole, np.where(some, inner, whole)


def _alike(series: Sequence[Series]) -> Iterator[NDArray[np.int64]]:
    """Yield the places of series of about one length, so many as fit into the cache."""
    lengths = np.fromiter(map(len, series), np.int64, len(series))
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        # The longest of a block is its last.
        most = _AT_ONCE // max(int(lengths[order[first]]), 1)
        while most > 1 and most * int(lengths[order[min(first + most, len(order)) - 1]]) > _AT_ONCE:
            most = most * 3 // 4
        yield order[first : first + max(most, 1)]
        first += max(most, 1)
