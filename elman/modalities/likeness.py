"""How alike sequences of numbers are, and what can be said of each without a network.

The nearest neighbour, by Euclid or with dynamic time warping, is the yardstick of the UCR/UEA
archives (Bagnall et al. 2017); summary features show how much can be told without looking at order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Series = NDArray[np.floating]

#: Cells of the warping tables beyond which a nearest neighbour by warping is not run: about a
#: minute on one core.
MOST_CELLS = 3e9
#: Steps to which series of unequal length are stretched for the Euclidean distance, at most.
_STEPS = 512


def nearest_neighbour(train: Sequence[Series], others: Sequence[Series]) -> Places:
    """Return the place of the training series nearest to each of `others` by Euclid, `(n,)`.

    Series are `(steps, channels)`; where their lengths differ, all are stretched to the median
    training length by linear interpolation.

    >>> nearest_neighbour([np.zeros((3, 1)), np.ones((3, 1))], [np.array([[0.9], [0.9]])]).tolist()
    [1]
    """
    from sklearn.neighbors import NearestNeighbors

    steps = common_length(train, others)
    model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(flat(train, steps))
    found = model.kneighbors(flat(others, steps), return_distance=False)
    return np.asarray(found[:, 0], dtype=np.int64)


def nearest_neighbour_dtw(train: Sequence[Series], others: Sequence[Series]) -> Places | None:
    """Return the place of the training series nearest by warping; None where it takes too long.

    >>> train = [np.array([[0.], [1], [0]]), np.zeros((3, 1))]
    >>> nearest_neighbour_dtw(train, [np.array([[0.], [0], [0], [1], [0]])]).tolist()
    [0]
    """
    cells = float(sum(map(len, train))) * float(sum(map(len, others)))
    if cells > MOST_CELLS:
        return None
    return np.asarray(dtw_distances(others, train).argmin(1), dtype=np.int64)


def dtw_distances(first: Sequence[Series], second: Sequence[Series]) -> Array:
    """Return the squared Euclidean cost of the best warping of each pair, `(first, second)`.

    Sakoe & Chiba 1978, without a window; the channels of a step are warped together. A row of
    the table is D[j] = c[j] + min(m[j], D[j-1]) with m the better of the two cells of the row
    above, which a running minimum over m minus the sums before it answers for all j at once.

    >>> dtw_distances([np.array([[0.], [2]])], [np.array([[0.], [0], [2]]), np.array([[1.], [2]])])
    array([[0., 1.]])
    """
    widest = max(len(s) for s in second)
    padded = np.zeros((len(second), widest, second[0].shape[1]))
    for place, series in enumerate(second):
        padded[place, : len(series)] = series
    ends = np.array([len(s) for s in second]) - 1
    rows = np.arange(len(second))
    found = np.empty((len(first), len(second)))
    for place, series in enumerate(first):
        above: Array | None = None
        for step in np.asarray(series, dtype=np.float64):
            sums = np.cumsum(np.square(padded - step).sum(2), 1)
            if above is None:
                above = sums
                continue
            best = above.copy()
            np.minimum(best[:, 1:], above[:, :-1], out=best[:, 1:])
            best[:, 1:] -= sums[:, :-1]
            above = sums + np.minimum.accumulate(best, 1)
        if above is not None:
            found[place] = above[rows, ends]
    return found


def summary_features(series: Sequence[Series]) -> Array:
    """Return what can be said of each series without its order, and a little with it: `(n, F)`.

    Its length, and for each channel mean, standard deviation, minimum, quartiles, maximum,
    first and last value, slope over time, mean absolute step and autocorrelation at lag 1.

    >>> summary_features([np.array([[0.0], [1.0], [2.0]])]).round(2).tolist()
    [[3.0, 1.0, 0.82, 0.0, 0.5, 1.0, 1.5, 2.0, 0.0, 2.0, 1.0, 1.0, 0.0]]
    """
    return np.stack([_summary(np.asarray(one, dtype=np.float64)) for one in series])


def _summary(x: Array) -> Array:
    centred = x - x.mean(0)
    time = np.arange(len(x)) - (len(x) - 1) / 2
    power = np.square(centred).sum(0)
    steps = np.abs(np.diff(x, axis=0)).mean(0) if len(x) > 1 else np.zeros(x.shape[1])
    rows = [
        x.mean(0),
        x.std(0),
        *np.quantile(x, [0, 0.25, 0.5, 0.75, 1], axis=0),
        x[0],
        x[-1],
        time @ x / max(float(np.square(time).sum()), 1.0),
        steps,
        (centred[1:] * centred[:-1]).sum(0) / np.where(power > 0, power, 1),
    ]
    return np.concatenate([[float(len(x))], np.stack(rows).T.ravel()])


def common_length(train: Sequence[Series], test: Sequence[Series]) -> int:
    """Return the steps that all series have, or else the median of the training ones."""
    lengths = {len(s) for s in (*train, *test)}
    if len(lengths) == 1:
        return lengths.pop()
    return min(max(int(np.median([len(s) for s in train])), 1), _STEPS)


def flat(series: Sequence[Series], steps: int) -> Array:
    """Return each series stretched to `steps` steps, its numbers in one row, `(n, steps * C)`."""
    return np.stack([_stretched(np.asarray(s, dtype=np.float64), steps).ravel() for s in series])


def _stretched(x: Array, steps: int) -> Array:
    if len(x) == steps:
        return x
    at = np.linspace(0, len(x) - 1, steps)
    return np.stack([np.interp(at, np.arange(len(x)), channel) for channel in x.T], 1)
