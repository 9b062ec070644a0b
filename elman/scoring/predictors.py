"""Baselines that are fitted once, judged, kept with the run, and used in place of the model.

A baseline is a name, a fitted map (constants, nearest neighbours, a linear map, trees, counts),
and what the map is shown of each sequence: the cell, its encoded array, or features of it. A kept
baseline is plain JSON and arrays; features that several of them use are kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError
from elman.registry import Registry
from elman.scoring.baselines.linear import State

if TYPE_CHECKING:
    from elman.modalities.base import Distance, Features

Array = NDArray[Any]
Answered = TypeVar("Answered")
Sees = Literal["all", "cells", "arrays", "features", "counts"]

KINDS = Registry(
    "kind of baseline",
    "elman.baselines",
    {
        "constant": "elman.scoring.predictors:Constant",
        "last": "elman.scoring.predictors:Last",
        "nearest": "elman.scoring.predictors:Nearest",
        "linear": "elman.scoring.baselines.linear:Linear",
        "trees": "elman.scoring.baselines.numbers:Trees",
        "minirocket": "elman.scoring.baselines.rocket:MiniRocket",
        "boosted summaries": "elman.scoring.baselines.summaries:BoostedSummaries",
        "majority": "elman.scoring.baselines.tags:Majority",
        "most frequent tag": "elman.scoring.baselines.tags:MostFrequentTag",
        "crf": "elman.scoring.baselines.tags:Crf",
        "step linear": "elman.scoring.baselines.steps:StepLinear",
        "window linear": "elman.scoring.baselines.tags:WindowLinear",
        "copy source": "elman.scoring.baselines.translations:CopySource",
        "retrieval": "elman.scoring.baselines.translations:Retrieval",
        "target n-gram": "elman.scoring.baselines.translations:TargetNGrams",
        "dictionary": "elman.scoring.baselines.dictionary:Dictionary",
        "extract": "elman.scoring.baselines.extracts:Extract",
        "n-gram": "elman.scoring.baselines.ngram:NGram",
    },
)
"""The fitted maps that can be kept: each has `kind`, `to_state` and `from_state`."""


class CannotSay(InputError):
    """A baseline has no answer to what it is asked; the message says why."""


def answer_of(found: Answered | CannotSay) -> Answered:
    """Return what a predictor said.

    Raises:
        CannotSay: it has no answer.
    """
    if isinstance(found, CannotSay):
        raise found
    return found


class Predictor(Protocol):
    """A baseline, fitted once: it gives what the model gives, and can be kept."""

    name: str
    shared: Any
    """Something that several predictors use and is kept once; it has `state()`. Or None."""

    def outputs(self, asked: Any) -> Any:
        """Return what the task's scores and tables are made of.

        Raises:
            CannotSay: it has no answer to what it is asked.
        """

    def to_state(self) -> State:
        """Return plain JSON values and arrays, of which the task's `kept_predictor` makes it."""


class Asked:
    """Sequences that a baseline is asked about, or windows of them; made as they are needed.

    Args:
        cells: as the modality has them; None where it cannot turn steps back into a cell.
        arrays: returns them encoded.
        distances: of the modality, for nearest neighbours.
        at: of windows, the number of the step that is asked for, `(n,)`; None of whole sequences.
        of: the number of each one's sequence, `(n,)`; None where each is one.
        goes_on: whether each sequence goes on where it ended in training.
    """

    def __init__(
        self,
        cells: Sequence[Any] | None,
        arrays: Callable[[], Sequence[Array]],
        distances: Sequence[Distance] = (),
        *,
        count: int,
        at: NDArray[np.int64] | None = None,
        of: NDArray[np.int64] | None = None,
        goes_on: bool = False,
    ) -> None:
        self.cells, self.distances, self.at, self.goes_on = cells, distances, at, goes_on
        self.of = np.arange(count) if of is None else of
        self._count, self._make = count, arrays
        self._arrays: Sequence[Array] | None = None
        self._features: dict[int, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def arrays(self) -> Sequence[Array]:
        """The sequences, encoded."""
        if self._arrays is None:
            self._arrays = self._make()
        return self._arrays

    def shown(self, sees: Sees, features: Features | None) -> Any:
        """Return what a baseline is shown."""
        if sees == "all":
            return self
        if sees == "arrays":
            return self.arrays
        if sees == "cells":
            return self.cells
        assert features is not None
        if sees == "counts":
            assert features.counts is not None
            return self.described(features.counts)
        return self.described(features)

    def described(self, features: Features) -> Any:
        """Return features of the sequences; of windows the number of steps so far beside them."""
        if id(features) not in self._features:
            found = features.of(self.cells or [])
            self._features[id(features)] = features, self._placed(found)
        return self._features[id(features)][1]

    def are_training(self, features: Features) -> None:
        """Take the features of the training cells, on which they were fitted, as these ones'."""
        self._features[id(features)] = features, self._placed(features.train)

    def _placed(self, found: Any) -> Any:
        if self.at is None:
            return found
        column = (self.at[:, None] + 1) / 100
        if hasattr(found, "toarray"):
            from scipy.sparse import hstack

            return hstack([found, column]).tocsr()
        return np.concatenate([found, column], 1)


@dataclass(eq=False)
class Baseline:
    """A fitted map with its name, and what the task found out about it on the validation part.

    Attributes:
        name: as the tables of scores have it.
        map: the fitted map.
        sees: what the map is shown.
        shared: features that it reads, or counts; None where there are none.
        about: plain JSON values, such as the temperature of its probabilities.
        extra: arrays, such as the quantiles of its errors.
        beside: a second baseline for a second answer, such as the intent beside tags.
    """

    name: str
    map: Any
    sees: Sees = "all"
    shared: Any = None
    about: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Array] = field(default_factory=dict)
    beside: Baseline | None = None

    def outputs(self, asked: Asked) -> Any:
        """Return what the map says."""
        return self.map(self._shown(asked))

    def _shown(self, asked: Asked) -> Any:
        features = self.shared if self.sees in ("features", "counts") else None
        return asked.shown(self.sees, features)

    def chances(self, asked: Asked) -> tuple[list[str], list[Array]]:
        """Return labels, and the probability of each at the steps of each sequence, `(T, K)`.

        Raises:
            CannotSay: the map gives answers alone.
        """
        if not hasattr(self.map, "chances"):
            raise CannotSay(f"{self.name} gives tags without probabilities")
        names, found = self.map.chances(self._shown(asked))
        return names, found

    def to_state(self) -> State:
        """Return plain JSON values and arrays."""
        facts, arrays = self.map.to_state()
        found = {f"map.{name}": array for name, array in arrays.items()}
        found |= {f"extra.{name}": array for name, array in self.extra.items()}
        about: dict[str, Any] = {
            "name": self.name,
            "kind": self.map.kind,
            "sees": self.sees,
            "map": facts,
            "about": self.about,
        }
        if self.beside is not None:
            about["beside"], beside = self.beside.to_state()
            found |= {f"beside.{name}": array for name, array in beside.items()}
        return about, found


def restored(facts: dict[str, Any], arrays: dict[str, Array], shared: Any) -> Baseline:
    """Return the baseline that `Baseline.to_state` described.

    Args:
        facts, arrays: its state.
        shared: the features or counts that it uses.

    Raises:
        InputError: it is of a kind that this version does not know.
    """
    kind = KINDS[facts["kind"]]
    beside = None
    if "beside" in facts:
        beside = restored(facts["beside"], _under("beside.", arrays), shared)
    return Baseline(
        facts["name"],
        kind.from_state(facts["map"], _under("map.", arrays)),
        facts["sees"],
        shared,
        facts["about"],
        _under("extra.", arrays),
        beside,
    )


def _under(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


@dataclass(frozen=True, eq=False)
class Constant:
    """Says always the same: the mean of training, or how often each class came.

    Attributes:
        value: `(K,)`.
    """

    kind: ClassVar[str] = "constant"
    value: NDArray[np.float64]

    def __call__(self, asked: Asked) -> NDArray[np.float64]:
        """Return `(n, K)`."""
        return np.tile(self.value, (len(asked), 1))

    def to_state(self) -> State:
        """Return the constant."""
        return {}, {"value": self.value}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Array]) -> Constant:
        """Return the constant that `to_state` described."""
        return cls(arrays["value"])


@dataclass(frozen=True, eq=False)
class Last:
    """Says of each sequence the last value before it goes on.

    Attributes:
        values: of each sequence, `(n, K)`.
    """

    kind: ClassVar[str] = "last"
    values: NDArray[np.float64]

    def __call__(self, asked: Asked) -> NDArray[np.float64]:
        """Return `(n, K)`.

        Raises:
            CannotSay: the sequences do not go on where those of training ended.
        """
        if not asked.goes_on:
            raise CannotSay("it is known only where sequences go on after those of training.")
        return np.asarray(self.values[asked.of])

    def to_state(self) -> State:
        """Return the values."""
        return {}, {"values": self.values}

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Array]) -> Last:
        """Return the rule that `to_state` described."""
        return cls(arrays["values"])


@dataclass(frozen=True, eq=False)
class Nearest:
    """Says what the nearest training sequence has, under a distance of the modality.

    Attributes:
        distance: the name of the distance.
        train: the training sequences, encoded.
        values: what each of them has, `(n, K)`.
    """

    kind: ClassVar[str] = "nearest"
    distance: str
    train: Sequence[Array]
    values: NDArray[np.float64]

    def __call__(self, asked: Asked) -> NDArray[np.float64]:
        """Return `(n, K)`.

        Raises:
            CannotSay: it would take too long.
        """
        distance = next(one for one in asked.distances if one.name == self.distance)
        if not len(asked):
            return self.values[:0]
        places = distance.nearest(self.train, asked.arrays)
        if places is None:
            pairs = f"{len(asked):,} sequences beside {len(self.train):,} of training"
            raise CannotSay(f"it would take more than a minute ({pairs}).")
        return np.asarray(self.values[places])

    def to_state(self) -> State:
        """Return the sequences one after another, their lengths, and the values."""
        lengths = np.array([len(one) for one in self.train], np.int32)
        return {"distance": self.distance}, {
            "train": np.concatenate(self.train),
            "lengths": lengths,
            "values": self.values,
        }

    @classmethod
    def from_state(cls, facts: dict[str, Any], arrays: dict[str, Array]) -> Nearest:
        """Return the rule that `to_state` described."""
        ends = np.cumsum(arrays["lengths"])
        train = np.split(arrays["train"], ends[:-1])
        return cls(facts["distance"], train, arrays["values"])


def class_scores(found: Array, classes: Sequence[int] | Array | None, size: int) -> Array:
    """Return scores `(n, size)` of all classes from those of the classes that a map knows.

    A single column is the score of the second of two classes, the first having 0. A class that
    the map does not know has the probability 0.

    >>> class_scores(np.array([[2.0]]), None, 2).tolist()
    [[0.0, 2.0]]
    """
    if found.shape[1] == 1 and (classes is None or len(classes) == 2):
        found = np.concatenate([np.zeros_like(found), found], 1)
    if classes is None or len(classes) == size:
        return found
    every = np.full((len(found), size), -np.inf)
    every[:, np.asarray(classes)] = found
    return every
