"""A linear model made for counted words.

It is strong on small data: a recurrent network that loses to it is not worth its training.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import Labelled, Linear

Array = NDArray[np.float64]

#: Weight of the learned against the mean weights, and what every count begins with: the values
#: Wang & Manning report to be safe across data sets.
MIX, SMOOTHING = 0.25, 1.0


def nb_svm(train: Labelled[Any]) -> Linear:
    """Fit a linear SVM on log-count ratios, one class against the rest; it gives margins.

    Wang & Manning 2012, "Baselines and bigrams": presence of 1- and 2-grams (1- to 4-grams of
    characters), each multiplied by the log of how much likelier it is in the class than outside;
    the weights of the SVM are mixed with their mean magnitude.

    Args:
        train: presence of each feature, a sparse matrix `(n, F)`, and the classes.

    >>> from scipy.sparse import csr_matrix
    >>> train = Labelled(csr_matrix([[1.0, 0], [1, 0], [0, 1], [0, 1]]), np.array([1, 1, 0, 0]))
    >>> nb_svm(train).codes(csr_matrix([[1.0, 0], [0, 1]])).tolist()
    [1, 0]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    present: Any = train.inputs
    classes = np.unique(train.labels)
    rows, biases = [], []
    # Two classes are one question; both sides of it give the same answer.
    for one in classes if len(classes) > 2 else classes[1:]:
        inside = train.labels == one
        ratio = log_count_ratio(
            np.asarray(present[inside].sum(0)).ravel(), np.asarray(present[~inside].sum(0)).ravel()
        )
        with warnings.catch_warnings():
            # An early end of the optimiser is an answer too; what counts is its accuracy.
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm = LinearSVC(C=1.0).fit(present.multiply(ratio).tocsr(), inside)
        learned = svm.coef_.ravel()
        rows.append(ratio * ((1 - MIX) * np.abs(learned).mean() + MIX * learned))
        biases.append(float(svm.intercept_[0]))
    return Linear.of_classes(np.stack(rows), np.array(biases), classes)


def log_count_ratio(
    inside: NDArray[np.float64], outside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return log((p / |p|) / (q / |q|)); p and q are smoothed counts inside and outside a class.

    >>> log_count_ratio(np.array([3.0, 0.0]), np.array([1.0, 1.0])).round(3).tolist()
    [0.47, -0.916]
    """
    p, q = inside + SMOOTHING, outside + SMOOTHING
    ratio: Array = np.log((p / p.sum()) / (q / q.sum()))
    return ratio
