"""Baselines of a label for each token of a sentence, or each step of a series.

The most frequent tag of a word needs nothing but counts; a linear-chain conditional random field
on features of the words around (Lafferty et al. 2001; Okazaki's CRFsuite, 2007) is what named
entities were found with before networks. All choices are made on the validation part.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import require
from elman.scoring.baselines.linear import Labelled, logistic_regression
from elman.scoring.entities import token_accuracy

Words = Sequence[str]
Sentences = Sequence[Words]
Series = NDArray[np.floating]
Score = Callable[[list[list[str]]], float]

#: Strengths of the squared penalty of the CRF that are tried; without validation data the first.
PENALTIES = (0.1, 0.01, 1.0)
#: Most iterations of L-BFGS.
ITERATIONS = 100
#: Pairs of tags that all iterations may go through, tokens times the square of the tags each: some
#: two minutes on one core.
MOST_PAIRS = 2e10
#: Longest ending by which the tag of an unknown word is guessed.
SUFFIX = 4
#: Steps before and after that a step of a series is judged with.
REACH = 5
#: Most steps that are learnt from, drawn at random from all.
MOST_STEPS = 20_000

T = TypeVar("T")
_RUNS = re.compile(r"(.)\1+")


@dataclass(frozen=True)
class TaggedPart(Generic[T]):
    """Sentences or series of one part, and the label of each token or step."""

    inputs: Sequence[T]
    tags: Sentences

    def __len__(self) -> int:
        return len(self.tags)


def most_frequent_tag(
    train: TaggedPart[Words], valid: TaggedPart[Words] | None, test: Sentences
) -> list[list[str]]:
    """Give each word the tag that it has most often in training.

    An unknown word gets the commonest tag of all, or that of training words with its longest
    known ending; whichever gives more tokens of the validation part their tag.

    >>> train = TaggedPart([["a", "dog", "ran"]], [["DET", "NOUN", "VERB"]])
    >>> most_frequent_tag(train, None, [["a", "ran", "?"]])
    [['DET', 'VERB', 'DET']]
    """
    words: dict[str, Counter[str]] = defaultdict(Counter)
    endings: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence, tags in zip(train.inputs, train.tags, strict=True):
        for word, tag in zip(sentence, tags, strict=True):
            words[word][tag] += 1
    overall: Counter[str] = sum(words.values(), Counter())
    for word, counter in words.items():
        # Each word counts once, as an unknown one will.
        for size in range(min(SUFFIX, len(word)) + 1):
            endings[word[len(word) - size :]][_commonest(counter)] += 1
    known = {word: _commonest(counter) for word, counter in words.items()}
    guesses = {ending: _commonest(counter) for ending, counter in endings.items()}

    def commonest(_: str) -> str:
        return _commonest(overall)

    def by_ending(word: str) -> str:
        sizes = range(min(SUFFIX, len(word)), -1, -1)
        return next(guesses[end] for size in sizes if (end := word[len(word) - size :]) in guesses)

    def tagged(sentences: Sentences, unknown: Callable[[str], str]) -> list[list[str]]:
        return [[known.get(word) or unknown(word) for word in words] for words in sentences]

    if valid is None or not len(valid):
        return tagged(test, commonest)
    rules = [commonest, by_ending]
    rights = [token_accuracy(tagged(valid.inputs, rule), valid.tags) for rule in rules]
    return tagged(test, rules[int(np.argmax(rights))])


def crf(
    train: TaggedPart[Words],
    valid: TaggedPart[Words] | None,
    test: Sentences,
    *,
    score: Score | None = None,
) -> list[list[str]]:
    """Tag with a linear-chain CRF on window features, trained by L-BFGS (python-crfsuite).

    With many tags an iteration is slow: then one penalty is tried, and fewer iterations are made
    (`iterations`).

    Args:
        train: learnt from.
        valid: the squared penalty (`c2`) of `PENALTIES` with the best score on it is taken.
        test: the sentences to tag.
        score: of tags for the sentences of `valid`, more being better; `None` is the share of
            tokens that are right.

    Raises:
        MissingExtra: python-crfsuite is not installed; it comes with the extra `tag`.
    """
    pycrfsuite = require("pycrfsuite", "tag")
    chosen = valid if valid is not None and len(valid) else None
    trainer = pycrfsuite.Trainer(verbose=False)
    for sentence, tags in zip(train.inputs, train.tags, strict=True):
        trainer.append(pycrfsuite.ItemSequence(window_features(sentence)), tags)
    best: tuple[float, list[list[str]]] | None = None
    asked = [pycrfsuite.ItemSequence(window_features(sentence)) for sentence in test]
    tried = (
        [pycrfsuite.ItemSequence(window_features(s)) for s in chosen.inputs]
        if chosen is not None
        else []
    )
    most = iterations(train)
    alone = chosen is None or most < ITERATIONS
    for penalty in PENALTIES[:1] if alone else PENALTIES:
        trainer.set_params({"c1": 0.0, "c2": penalty, "max_iterations": most})
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model")
            trainer.train(path)
            tagger = pycrfsuite.Tagger()
            tagger.open(path)
            found = 0.0
            if chosen is not None:
                given = [tagger.tag(one) for one in tried]
                found = token_accuracy(given, chosen.tags) if score is None else score(given)
            if best is None or found > best[0]:
                best = found, [tagger.tag(one) for one in asked]
            tagger.close()
    assert best is not None
    return best[1]


def iterations(train: TaggedPart[Words]) -> int:
    """Return how many iterations of L-BFGS `crf` makes at most.

    >>> iterations(TaggedPart([["a", "b"]], [["X", "Y"]]))
    100
    """
    tokens = sum(map(len, train.tags))
    kinds = len({tag for tags in train.tags for tag in tags})
    pairs = max(1, tokens * kinds * kinds)
    return int(min(ITERATIONS, max(10, MOST_PAIRS // pairs)))


def window_features(words: Sequence[str]) -> list[list[str]]:
    """Describe each word: itself, its form, beginnings and endings, and two neighbours a side.

    >>> [f for f in window_features(["In", "1999"])[1] if not f.startswith(("p", "s"))]
    ['bias', 'w=1999', 'l=1999', 'f=dddd', 'F=d', '-1:l=in', '-1:f=Xx', '-1|0=in|1999', 'last']
    """
    lower = [word.lower() for word in words]
    forms = [_form(word) for word in words]
    found = []
    for at, word in enumerate(words):
        one = ["bias", f"w={word}", f"l={lower[at]}", f"f={forms[at]}"]
        one.append("F=" + _RUNS.sub(r"\1", forms[at]))
        for size in range(1, min(SUFFIX, len(word)) + 1):
            one += [f"p={lower[at][:size]}", f"s={lower[at][-size:]}"]
        for step in (-2, -1, 1, 2):
            if 0 <= at + step < len(words):
                one += [f"{step}:l={lower[at + step]}", f"{step}:f={forms[at + step]}"]
        if at > 0:
            one.append(f"-1|0={lower[at - 1]}|{lower[at]}")
        else:
            one.append("first")
        if at + 1 < len(words):
            one.append(f"0|1={lower[at]}|{lower[at + 1]}")
        else:
            one.append("last")
        found.append(one)
    return found


def majority(train: Sentences, test: Sequence[Sequence[T]]) -> list[list[str]]:
    """Give every step the label that most steps of training have.

    >>> majority([["sit", "walk", "walk"]], [[0.1, 0.2]])
    [['walk', 'walk']]
    """
    commonest = _commonest(Counter(label for labels in train for label in labels))
    return [[commonest] * len(one) for one in test]


def window_logistic_regression(
    train: TaggedPart[Series], valid: TaggedPart[Series] | None, test: Sequence[Series]
) -> list[list[str]]:
    """Label each step of a series by logistic regression on the values `REACH` steps around.

    Values are scaled by what training has. At most `MOST_STEPS` steps are learnt from; the penalty
    is chosen on `valid`.
    """
    windows = _Windows.fit(train)
    held: Labelled[Series] | None = None
    if valid is not None and len(valid):
        codes = {label: code for code, label in enumerate(windows.names)}
        # A label that training does not have cannot be right.
        held = Labelled(
            windows.of(valid.inputs),
            np.array([codes.get(tag, -1) for tags in valid.tags for tag in tags]),
        )
    learnt: Labelled[Series] = Labelled(windows.inputs, windows.codes)
    return windows.labels_of(lambda asked: logistic_regression(learnt, held, asked), test)


def _commonest(counter: Counter[str]) -> str:
    """The commonest; of equals, the first in the alphabet."""
    return min(counter, key=lambda name: (-counter[name], name))


def _form(word: str) -> str:
    """Capitals, small letters and digits as X, x and d, for at most 10 characters.

    >>> _form("iPhone-7")
    'xXxxxx-d'
    """
    return "".join(
        "X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word[:10]
    )


@dataclass(frozen=True)
class _Windows:
    """Steps of training series with the values around them, scaled, and the codes of labels."""

    inputs: NDArray[np.float64]
    codes: NDArray[np.int64]
    names: list[str]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, train: TaggedPart[Series]) -> _Windows:
        steps = np.concatenate([np.asarray(one, np.float64) for one in train.inputs])
        deviation = steps.std(0)
        names, codes = np.unique([tag for tags in train.tags for tag in tags], return_inverse=True)
        empty = cls(
            np.empty((0, 0)),
            codes,
            [str(name) for name in names],
            steps.mean(0),
            np.where(deviation > 0, deviation, 1),
        )
        inputs = empty.of(train.inputs)
        kept = np.arange(len(inputs))
        if len(kept) > MOST_STEPS:
            kept = np.random.default_rng(0).choice(len(kept), MOST_STEPS, replace=False)
        return cls(inputs[kept], codes[kept], empty.names, empty.mean, empty.deviation)

    def of(self, series: Sequence[Series]) -> NDArray[np.float64]:
        """The window of every step of all series, `(steps, (2 REACH + 1) channels)`."""
        width = (2 * REACH + 1) * len(self.mean)
        found = [np.empty((0, width))]
        for one in series:
            if not len(one):
                continue
            scaled = (np.asarray(one, np.float64) - self.mean) / self.deviation
            # The ends are repeated: a window is everywhere as long.
            padded = np.pad(scaled, ((REACH, REACH), (0, 0)), mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=0)
            found.append(windows.reshape(len(one), width))
        return np.concatenate(found)

    def labels_of(
        self, predict: Callable[[NDArray[np.float64]], NDArray[np.int64]], series: Sequence[Series]
    ) -> list[list[str]]:
        """Return the label of every step, as `predict` gives it."""
        asked = self.of(series)
        codes = iter(predict(asked).tolist() if len(asked) else [])
        return [[self.names[next(codes)] for _ in range(len(one))] for one in series]
