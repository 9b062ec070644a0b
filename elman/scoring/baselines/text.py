"""What a linear model on counted words makes of labelled texts.

Both baselines are strong on small data: a recurrent network that loses to them is not worth
its training. They are fitted on the training part; the validation part only chooses how
strongly they are regularised, as it chooses the network's best step.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.data.vocabulary import Unit
from elman.scoring.baselines.linear import Codes, Labelled, logistic_regression

Array = NDArray[np.float64]

#: Weight of the learned against the mean weights, and what every count begins with: the values
#: Wang & Manning report to be safe across data sets.
MIX, SMOOTHING = 0.25, 1.0


def tfidf_logistic_regression(
    train: Labelled[str], valid: Labelled[str], test: Sequence[str], unit: Unit
) -> Codes:
    """Predicted classes of `test`: logistic regression on tf-idf weighted n-grams.

    N-grams of 1 and 2 words, or of 1 to 4 characters within words where `unit` is characters.

    >>> texts = ["good film", "fine film", "bad film", "poor film"]
    >>> train = Labelled(texts, np.array([1, 1, 0, 0]))
    >>> none = Labelled([], np.array([], int))
    >>> tfidf_logistic_regression(train, none, ["a fine day", "a bad day"], "words").tolist()
    [1, 0]
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(**_analysis(unit), sublinear_tf=True)
    counted = vectorizer.fit_transform(train.inputs)
    return logistic_regression(
        Labelled(counted, train.labels),
        Labelled(vectorizer.transform(valid.inputs), valid.labels) if len(valid) else None,
        vectorizer.transform(test),
    )


def nb_svm(train: Labelled[str], test: Sequence[str], unit: Unit) -> Codes:
    """Predicted classes of `test`: a linear SVM on log-count ratios, one class against the rest.

    Wang & Manning 2012, "Baselines and bigrams": presence of 1- and 2-grams (1- to 4-grams of
    characters), each multiplied by the log of how much likelier it is in the class than outside;
    the weights of the SVM are mixed with their mean magnitude.

    >>> texts = ["good film", "fine film", "bad film", "poor film"]
    >>> train = Labelled(texts, np.array([1, 1, 0, 0]))
    >>> nb_svm(train, ["a fine day", "a bad day"], "words").tolist()
    [1, 0]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = CountVectorizer(**_analysis(unit), binary=True, dtype=np.float64)
    present = vectorizer.fit_transform(train.inputs)
    asked = vectorizer.transform(test)
    classes = np.unique(train.labels)
    scores = np.zeros((asked.shape[0], len(classes)))
    # Two classes are one question; both sides of it give the same answer.
    for place, one in enumerate(classes if len(classes) > 2 else classes[1:]):
        inside = train.labels == one
        ratio = log_count_ratio(
            np.asarray(present[inside].sum(0)).ravel(), np.asarray(present[~inside].sum(0)).ravel()
        )
        with warnings.catch_warnings():
            # An early end of the optimiser is an answer too; what counts is its accuracy.
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm = LinearSVC(C=1.0).fit(present.multiply(ratio).tocsr(), inside)
        learned = svm.coef_.ravel()
        weights = (1 - MIX) * np.abs(learned).mean() + MIX * learned
        scores[:, place] = asked @ (ratio * weights) + svm.intercept_
    best = scores.argmax(1) if len(classes) > 2 else (scores[:, 0] > 0).astype(np.int64)
    return np.asarray(classes[best], dtype=np.int64)


def log_count_ratio(
    inside: NDArray[np.float64], outside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log((p / |p|) / (q / |q|)) with p and q the smoothed counts inside and outside a class.

    >>> log_count_ratio(np.array([3.0, 0.0]), np.array([1.0, 1.0])).round(3).tolist()
    [0.47, -0.916]
    """
    p, q = inside + SMOOTHING, outside + SMOOTHING
    ratio: Array = np.log((p / p.sum()) / (q / q.sum()))
    return ratio


def _analysis(unit: Unit) -> dict[str, object]:
    if unit == "characters":
        return {"analyzer": "char_wb", "ngram_range": (1, 4)}
    return {"ngram_range": (1, 2), "token_pattern": r"(?u)\w+|[^\w\s]"}
