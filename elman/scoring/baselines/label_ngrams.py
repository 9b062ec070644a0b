"""N-grams of each label of a text: one model for each style, author or topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.scoring.baselines.linear import State
from elman.scoring.baselines.ngram import KneserNey

Part = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]
"""Tokens of some documents, where these begin, and the numbers of the predicted ones in all."""


@dataclass(frozen=True, eq=False)
class LabelledKneserNey:
    """Kneser–Ney counts of each label, by the number of the label."""

    of: tuple[KneserNey, ...]

    @classmethod
    def fit(cls, parts: Sequence[Part], size: int, order: int) -> Self:
        """Count strings of up to `order` symbols in the documents of each label.

        Args:
            parts: the documents of each label.
            size: number of symbols.
            order: length of the longest string.
        """
        return cls(tuple(KneserNey.fit(ids, size, order, starts) for ids, starts, _ in parts))

    @property
    def trained_on(self) -> int:
        """How many tokens were counted, of all labels."""
        return sum(one.trained_on for one in self.of)

    def nll(self, part: Callable[[int], Part], count: int) -> dict[int, NDArray[np.float64]]:
        """Nats each of `count` tokens costs, `(count,)`, for every order from 1 up.

        Args:
            part: gives the documents of a label.
            count: the tokens of all labels that are predicted.
        """
        orders = range(1, len(self.of[0].levels) + 1)
        found = {order: np.zeros(count) for order in orders}
        for code, counted in enumerate(self.of):
            ids, starts, places = part(code)
            if len(places):
                for order, nats in counted.nll(ids, starts).items():
                    found[order][places] = nats
        return found

    def state(self) -> State:
        """Return what `kept` makes the counts of again."""
        facts: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {}
        for code, counted in enumerate(self.of):
            own, held = counted.state()
            facts.append(own)
            arrays |= {f"{code}/{name}": array for name, array in held.items()}
        return {"labels": facts}, arrays

    @classmethod
    def kept(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Return the counts that `state` described."""
        parted: list[dict[str, NDArray[Any]]] = [{} for _ in facts["labels"]]
        for name, array in arrays.items():
            code, _, rest = name.partition("/")
            parted[int(code)][rest] = array
        pairs = zip(facts["labels"], parted, strict=True)
        return cls(tuple(KneserNey.kept(own, held) for own, held in pairs))
