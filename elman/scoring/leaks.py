"""Inputs that tell the answer by themselves: where a score is perfect, there may be a leak.

A small decision tree (Breiman et al. 1984) is grown on each column alone, or on the words of the
texts, with no more leaves than there are classes. Where it is right nearly always on the test part,
a person should ask whether that column would be known in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TELLS = 0.99
"""Share of right answers from which a column tells by itself."""
_WORDS = 5000


def telling_words(
    train: Sequence[str], answers: Sequence[str], test: Sequence[str], truth: Sequence[str]
) -> list[str]:
    """Return the few words of which the presence alone tells the class, or none.

    >>> texts, labels = ["a yes", "b yes", "a", "b"] * 5, ["p", "p", "n", "n"] * 5
    >>> telling_words(texts, labels, texts, labels)
    ['yes']
    """
    from sklearn.feature_extraction.text import CountVectorizer

    found = CountVectorizer(binary=True, max_features=_WORDS, token_pattern=r"\S+")
    tree = _tree(found.fit_transform(train), answers)
    if _share(tree, found.transform(test), truth) < _TELLS:
        return []
    used = sorted({feature for feature in tree.tree_.feature.tolist() if feature >= 0})
    return [str(found.get_feature_names_out()[feature]) for feature in used]


def telling_columns(
    names: Sequence[str],
    train: Sequence[NDArray[Any]],
    answers: Sequence[str],
    test: Sequence[NDArray[Any]],
    truth: Sequence[str],
) -> list[str]:
    """Return the columns of which first, last, mean and extreme values alone tell the class.

    Args:
        names: of the columns.
        train, test: sequences `(T, C)`, a column each of `names`.
        answers, truth: their classes.
    """
    told = []
    for number, name in enumerate(names):
        tree = _tree(_summary(train, number), answers)
        if _share(tree, _summary(test, number), truth) >= _TELLS:
            told.append(name)
    return told


def telling_channels(
    names: Sequence[str],
    by_row: bool,
    train: Sequence[Any],
    answers: Sequence[str],
    test: Sequence[Any],
    truth: Sequence[str],
) -> list[str]:
    """Return `telling_columns` of encoded sequences; none where these are not the columns' numbers.

    Args:
        names: of the columns.
        by_row: a column may be a step, as where a sequence is a row of a file.
        train, test: sequences, `(T, C)` where they are numbers.
        answers, truth: their classes.
    """
    known, new = ([np.asarray(cell) for cell in cells] for cells in (train, test))
    if any(array.ndim != 2 or not len(array) for array in (*known, *new)):
        return []
    if len(names) != known[0].shape[1]:
        if not by_row:
            return []
        known, new = ([array.T for array in some] for some in (known, new))
    return telling_columns(names, known, answers, new, truth)


def _summary(sequences: Sequence[NDArray[Any]], column: int) -> NDArray[np.float64]:
    rows = []
    for sequence in sequences:
        values = np.asarray(sequence, np.float64)[:, column]
        rows.append((values[0], values[-1], values.mean(), values.min(), values.max()))
    return np.array(rows)


def _tree(features: Any, answers: Sequence[str]) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    leaves = max(2, len(set(answers)))
    return DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(features, answers)


def _share(tree: Any, features: Any, truth: Sequence[str]) -> float:
    return float(np.mean(tree.predict(features) == np.asarray(truth, object)))
