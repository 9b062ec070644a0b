"""Examples that are alike and have different labels, which no model can learn."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data.splitting import Duplicates
from elman.tasks.understood import shorter

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples

_SHARED = 0.01
"""Share of the examples, from which it is a doubt."""

Torn = dict[int, list[tuple[str, int]]]
"""The hash of an example that has several labels → the part and the number of each like it."""


def found(task: FromExamples) -> Torn:
    """Return the examples that stand there with different labels; none where steps have answers,
    or answers are numbers."""
    each, counts = np.unique(np.concatenate(list(task._hashes.values())), return_counts=True)
    places: Torn = {one: [] for one in each[counts > 1].tolist()}
    for part, hashes in task._hashes.items():
        for number in np.flatnonzero(np.isin(hashes, each[counts > 1])).tolist():
            places[int(hashes[number])].append((part, number))
    return {
        one: there
        for one, there in places.items()
        if all(isinstance(_answer(task, place), str) for place in there)
        and len({_answer(task, place) for place in there}) > 1
    }


def doubts(task: FromExamples, torn: Torn) -> list[str]:
    """Return a doubt where many examples are alike and have different labels.

    Args:
        task: with its data.
        torn: what `found` gives.
    """
    count = sum(map(len, torn.values()))
    total = sum(map(len, task._hashes.values()))
    if count <= _SHARED * total:
        return []
    there = next(iter(torn.values()))
    first = there[0]
    other = next(place for place in there if _answer(task, place) != _answer(task, first))
    file, row = task._parts[first[0]].where(first[1])
    again = task._parts[other[0]].where(other[1])[1]
    where = f"row {row}" if file is None else f"{file.name}, row {row}"
    return [
        f"{count:,} of {total:,} examples stand there several times with different labels (the "
        f"one of {where} is {shorter(_answer(task, first), 30)!r}, and in row {again} "
        f"{shorter(_answer(task, other), 30)!r}), and no model can tell which is meant. "
        "Where one of the labels is a mistake, correct it."
    ]


def apart(task: FromExamples, torn: Torn) -> Duplicates:
    """Return the examples in more than one part, without those that have different labels."""
    if not torn:
        return task.shared
    others = np.array(list(torn), np.uint64)
    kept: dict[str, NDArray[np.uint64]] = {
        part: hashes[~np.isin(hashes, others)] for part, hashes in task._hashes.items()
    }
    pairs = combinations(kept, 2)
    return Duplicates({(a, b): int(np.isin(kept[b], kept[a]).sum()) for a, b in pairs})


def _answer(task: FromExamples, place: tuple[str, int]) -> Any:
    part, number = place
    return (task._parts[part].answers or [])[number]
