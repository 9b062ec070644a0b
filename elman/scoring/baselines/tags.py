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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import require
from elman.scoring.baselines.linear import Labelled, Linear, State, logistic_regression
from elman.scoring.entities import token_accuracy

Words = Sequence[str]
Sentences = Sequence[Words]
Series = NDArray[np.floating]
Score = Callable[[list[list[str]]], float]

#: Strengths of the squared penalty of the CRF that are tried; without validation data the first.
PENALTIES = (0.1, 0.01, 1.0)
#: Most iterations of L-BFGS.
ITERATIONS = 100
#: Tokens times tags that an iteration goes through in a second, on one core.
A_SECOND = 6e6
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


@dataclass(frozen=True)
class MostFrequentTag:
    """Gives each word the tag that it has most often in training.

    Attributes:
        words: each word's tag.
        endings: the tag of an unknown word by its longest known ending; None where every unknown
            word gets the commonest tag.
        commonest: the commonest tag of all.
    """

    kind: ClassVar[str] = "most frequent tag"
    words: dict[str, str]
    endings: dict[str, str] | None
    commonest: str

    def __call__(self, sentences: Sentences) -> list[list[str]]:
        """Return the tags of sentences."""
        return [[self.words.get(word) or self._unknown(word) for word in s] for s in sentences]

    def _unknown(self, word: str) -> str:
        if self.endings is None:
            return self.commonest
        ends = (word[len(word) - size :] for size in range(min(SUFFIX, len(word)), -1, -1))
        return next(self.endings[end] for end in ends if end in self.endings)

    def to_state(self) -> State:
        """Return the words and endings as JSON."""
        return {"words": self.words, "endings": self.endings, "commonest": self.commonest}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> MostFrequentTag:
        """Return the rule that `to_state` described."""
        return cls(facts["words"], facts["endings"], facts["commonest"])


def most_frequent_tag(train: TaggedPart[Words], valid: TaggedPart[Words] | None) -> MostFrequentTag:
    """Count the tags of each word.

    An unknown word gets the commonest tag of all, or that of training words with its longest
    known ending; whichever gives more tokens of the validation part their tag.

    >>> train = TaggedPart([["a", "dog", "ran"]], [["DET", "NOUN", "VERB"]])
    >>> most_frequent_tag(train, None)([["a", "ran", "?"]])
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
    rules = [MostFrequentTag(known, None, _commonest(overall))]
    if valid is None or not len(valid):
        return rules[0]
    guesses = {ending: _commonest(counter) for ending, counter in endings.items()}
    rules.append(replace(rules[0], endings=guesses))
    rights = [token_accuracy(rule(valid.inputs), valid.tags) for rule in rules]
    return rules[int(np.argmax(rights))]


@dataclass(frozen=True, eq=False)
class Crf:
    """A linear-chain CRF on window features, kept as the bytes of python-crfsuite's own file."""

    kind: ClassVar[str] = "crf"
    file: bytes

    def __call__(self, sentences: Sentences) -> list[list[str]]:
        """Return the tags of sentences.

        Raises:
            MissingExtra: python-crfsuite is not installed.
        """
        pycrfsuite = require("pycrfsuite", "tag")
        return self.tagged([pycrfsuite.ItemSequence(window_features(s)) for s in sentences])

    def tagged(self, described: Sequence[Any]) -> list[list[str]]:
        """Return the tags of sentences whose words are described already."""
        tagger = require("pycrfsuite", "tag").Tagger()
        tagger.open_inmemory(self.file)
        found = [tagger.tag(one) for one in described]
        tagger.close()
        return found

    def chances(self, sentences: Sentences) -> tuple[list[str], list[NDArray[np.float32]]]:
        """Return the tags, and the probability of each at each word of each sentence.

        Raises:
            MissingExtra: python-crfsuite is not installed.
        """
        pycrfsuite = require("pycrfsuite", "tag")
        tagger = pycrfsuite.Tagger()
        tagger.open_inmemory(self.file)
        names = tagger.labels()
        found = []
        for sentence in sentences:
            tagger.set(pycrfsuite.ItemSequence(window_features(sentence)))
            every = [[tagger.marginal(n, at) for n in names] for at in range(len(sentence))]
            found.append(np.array(every, np.float32).reshape(len(sentence), len(names)))
        tagger.close()
        return names, found

    def to_state(self) -> State:
        """Return the file as an array of bytes."""
        return {}, {"file": np.frombuffer(self.file, np.uint8)}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Crf:
        """Return the CRF that `to_state` described."""
        return cls(arrays["file"].tobytes())


def crf(
    train: TaggedPart[Words],
    valid: TaggedPart[Words] | None,
    *,
    seconds: float = 60.0,
    score: Score | None = None,
) -> Crf:
    """Train a linear-chain CRF on window features by L-BFGS (python-crfsuite).

    Where there is no time for all penalties one is tried, and where there is less fewer iterations
    are made (`iterations`): as many on every machine.

    Args:
        train: learnt from.
        valid: the squared penalty (`c2`) of `PENALTIES` with the best score on it is taken.
        seconds: what it may take, about.
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
    best: tuple[float, Crf] | None = None
    tried = (
        [pycrfsuite.ItemSequence(window_features(s)) for s in chosen.inputs]
        if chosen is not None
        else []
    )
    most = iterations(train, seconds)
    alone = chosen is None or most < len(PENALTIES) * ITERATIONS
    most = min(most, ITERATIONS)
    for penalty in PENALTIES[:1] if alone else PENALTIES:
        trainer.set_params({"c1": 0.0, "c2": penalty, "max_iterations": most})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            trainer.train(str(path))
            made = Crf(path.read_bytes())
        found = 0.0
        if chosen is not None:
            given = made.tagged(tried)
            found = token_accuracy(given, chosen.tags) if score is None else score(given)
        if best is None or found > best[0]:
            best = found, made
    assert best is not None
    return best[1]


def iterations(train: TaggedPart[Words], seconds: float) -> int:
    """Return how many iterations of L-BFGS there is time for, 10 at least.

    >>> iterations(TaggedPart([["a", "b"] * 50_000], [["X", "Y"] * 50_000]), 10.0)
    300
    """
    tokens = sum(map(len, train.tags))
    kinds = len({tag for tags in train.tags for tag in tags})
    return int(max(10, seconds * A_SECOND / max(1, tokens * kinds)))


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


@dataclass(frozen=True)
class Majority:
    """Gives every step the same label."""

    kind: ClassVar[str] = "majority"
    label: str

    def __call__(self, sequences: Sequence[Any]) -> list[list[str]]:
        """Return the label of every step."""
        return [[self.label] * len(one) for one in sequences]

    def to_state(self) -> State:
        """Return the label as JSON."""
        return {"label": self.label}, {}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Majority:
        """Return the rule that `to_state` described."""
        return cls(facts["label"])


def majority(train: Sentences) -> Majority:
    """Find the label that most steps of training have.

    >>> majority([["sit", "walk", "walk"]])([[0.1, 0.2]])
    [['walk', 'walk']]
    """
    return Majority(_commonest(Counter(label for labels in train for label in labels)))


def window_logistic_regression(
    train: TaggedPart[Series], valid: TaggedPart[Series] | None
) -> WindowLinear:
    """Fit logistic regression on the values `REACH` steps around each step of a series.

    Values are scaled by what training has. At most `MOST_STEPS` steps are learnt from; the penalty
    is chosen on `valid`.
    """
    steps = np.concatenate([np.asarray(one, np.float64) for one in train.inputs])
    deviation = steps.std(0)
    scaled = _Windows(steps.mean(0), np.where(deviation > 0, deviation, 1))
    names, codes = np.unique([tag for tags in train.tags for tag in tags], return_inverse=True)
    named = [str(name) for name in names]
    held: Labelled[Series] | None = None
    if valid is not None and len(valid):
        known = {label: code for code, label in enumerate(named)}
        # A label that training does not have cannot be right.
        held = Labelled(
            scaled.of(valid.inputs),
            np.array([known.get(tag, -1) for tags in valid.tags for tag in tags]),
        )
    inputs = scaled.of(train.inputs)
    kept = np.arange(len(inputs))
    if len(kept) > MOST_STEPS:
        kept = np.random.default_rng(0).choice(len(kept), MOST_STEPS, replace=False)
    linear = logistic_regression(Labelled(inputs[kept], codes[kept]), held)
    return WindowLinear(scaled, linear, named)


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


@dataclass(frozen=True, eq=False)
class _Windows:
    """The values around each step, scaled by what training has."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

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


@dataclass(frozen=True, eq=False)
class WindowLinear:
    """Logistic regression on the values around each step of a series.

    Attributes:
        windows: the values around a step.
        linear: their map to a logit for each label.
        names: the labels, by code.
    """

    kind: ClassVar[str] = "window linear"
    windows: _Windows
    linear: Linear
    names: list[str]

    def __call__(self, series: Sequence[Series]) -> list[list[str]]:
        """Return the label of every step of series `(T, C)`."""
        asked = self.windows.of(series)
        codes = iter(self.linear.codes(asked).tolist() if len(asked) else [])
        return [[self.names[next(codes)] for _ in range(len(one))] for one in series]

    def chances(self, series: Sequence[Series]) -> tuple[list[str], list[NDArray[np.float32]]]:
        """Return the labels, and the probability of each at each step of each series."""
        assert self.linear.classes is not None
        names = [self.names[code] for code in self.linear.classes]
        ends = np.cumsum([len(one) for one in series])
        return names, np.split(self.linear.chances(self.windows.of(series)), ends[:-1])

    def to_state(self) -> State:
        """Return the scale and the map as arrays, the labels as JSON."""
        arrays = self.linear.to_state()[1]
        scale = {"mean": self.windows.mean, "deviation": self.windows.deviation}
        return {"names": self.names}, arrays | scale

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> WindowLinear:
        """Return the rule that `to_state` described."""
        windows = _Windows(arrays["mean"], arrays["deviation"])
        return cls(windows, Linear.from_state({}, arrays), facts["names"])
