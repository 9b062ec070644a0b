"""What simple methods make of labelled series and pictures.

The nearest neighbour, by Euclid or with dynamic time warping, is the yardstick of the UCR/UEA
archives (Bagnall et al. 2017); logistic regression on summary features shows how much can be
told without looking at order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import Codes, Labelled, logistic_regression

Array = NDArray[np.float64]
Series = NDArray[np.floating]

#: Cells of the warping tables beyond which a nearest neighbour by warping is not run: about a
#: minute on one core.
MOST_CELLS = 3e9
#: Steps to which series of unequal length are stretched for the Euclidean distance, at most.
_STEPS = 512


def nearest_neighbour(train: Labelled[Series], test: Sequence[Series]) -> Codes:
    """The class of the training series nearest to each one of `test` by Euclid.

    Series are `(steps, channels)`; where their lengths differ, all are stretched to the median
    training length by linear interpolation.

    >>> train = Labelled([np.zeros((3, 1)), np.ones((3, 1))], np.array([0, 1]))
    >>> nearest_neighbour(train, [np.array([[0.9], [0.9]])]).tolist()
    [1]
    """
    from sklearn.neighbors import KNeighborsClassifier

    steps = common_length(train.inputs, test)
    model = KNeighborsClassifier(1, algorithm="brute")
    model.fit(_flat(train.inputs, steps), train.labels)
    return np.asarray(model.predict(_flat(test, steps)), dtype=np.int64)


def nearest_neighbour_dtw(train: Labelled[Series], test: Sequence[Series]) -> Codes | None:
    """The class of the training series nearest by warping; None where that would take too long.

    >>> train = Labelled([np.array([[0.], [1], [0]]), np.zeros((3, 1))], np.array([1, 0]))
    >>> nearest_neighbour_dtw(train, [np.array([[0.], [0], [0], [1], [0]])]).tolist()
    [1]
    """
    cells = float(sum(map(len, train.inputs))) * float(sum(map(len, test)))
    if cells > MOST_CELLS:
        return None
    nearest = dtw_distances(test, train.inputs).argmin(1)
    return np.asarray(train.labels[nearest], dtype=np.int64)


def dtw_distances(first: Sequence[Series], second: Sequence[Series]) -> Array:
    """Squared Euclidean cost of the best warping between each pair, `(len(first), len(second))`.

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


def summary_logistic_regression(
    train: Labelled[Series], valid: Labelled[Series], test: Sequence[Series]
) -> Codes:
    """Predicted classes of `test`: logistic regression on `summary_features`."""
    return _scaled_logistic_regression(
        Labelled(summary_features(train.inputs), train.labels),
        Labelled(summary_features(valid.inputs), valid.labels) if len(valid) else None,
        summary_features(test),
    )


def pixel_logistic_regression(
    train: Labelled[Series], valid: Labelled[Series], test: Sequence[Series]
) -> Codes:
    """Predicted classes of pictures `(rows, columns)`: logistic regression on their pixels."""
    steps = common_length(train.inputs, test)
    return logistic_regression(
        Labelled(_flat(train.inputs, steps), train.labels),
        Labelled(_flat(valid.inputs, steps), valid.labels) if len(valid) else None,
        _flat(test, steps),
    )


def summary_features(series: Sequence[Series]) -> Array:
    """What can be said of each series without its order, and a little with it: `(n, features)`.

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
    """The steps all series have, or else the median of the training ones."""
    lengths = {len(s) for s in (*train, *test)}
    if len(lengths) == 1:
        return lengths.pop()
    return min(max(int(np.median([len(s) for s in train])), 1), _STEPS)


def _flat(series: Sequence[Series], steps: int) -> Array:
    return np.stack([_stretched(np.asarray(s, dtype=np.float64), steps).ravel() for s in series])


def _stretched(x: Array, steps: int) -> Array:
    if len(x) == steps:
        return x
    at = np.linspace(0, len(x) - 1, steps)
    return np.stack([np.interp(at, np.arange(len(x)), channel) for channel in x.T], 1)


def _scaled_logistic_regression(
    train: Labelled[Array], valid: Labelled[Array] | None, test: Array
) -> Codes:
    from elman.data.scaler import Scaler

    scaler = Scaler.fit(train.inputs)
    return logistic_regression(
        Labelled(scaler.transform(train.inputs), train.labels),
        None if valid is None else Labelled(scaler.transform(valid.inputs), valid.labels),
        scaler.transform(test),
    )
