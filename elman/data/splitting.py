"""Training, validation and test parts, made before anything is fitted.

By time where there is time, by group where rows belong together, stratified where there are
classes, at random otherwise; and a report of rows that stand in more than one part.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.data.kinds import Kind
from elman.data.seen import hashes_of, key_of
from elman.data.table import Table
from elman.errors import InputError, nearest

By = Literal["random", "time", "group", "class"]
WAYS: tuple[By, ...] = ("random", "time", "group", "class")
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The rows of each part, ascending (by time: in the order of time)."""

    train: Indices
    valid: Indices
    test: Indices

    def __iter__(self) -> Iterator[Indices]:
        return iter((self.train, self.valid, self.test))


def split(
    rows: Table | int,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    by: By = "random",
    column: str | ArrayLike | None = None,
    seed: int = 0,
) -> Split:
    """Share rows out to train, valid and test.

    Args:
        rows: a table, or the number of rows.
        fractions: of train, valid and test; they are scaled to sum to 1, and 0 gives no rows.
        by: `"random"`; `"time"`: the earliest rows train, the latest test, and rows of one
            moment stay together (`column` holds the time; without it the order of the rows
            is the order of time); `"group"`: all rows with the same value of `column` are in
            one part; `"class"`: every part has the classes of `column` in about the same
            proportions. The only member of a class trains; of two, one trains and one tests.
        column: a column's name, or its values.
        seed: decides everything that is random.

    >>> s = split(10, by="time", fractions=(0.6, 0.2, 0.2))
    >>> s.train.tolist(), s.valid.tolist(), s.test.tolist()
    ([0, 1, 2, 3, 4, 5], [6, 7], [8, 9])

    Raises:
        InputError: too few rows or groups for the parts asked for, or a missing column.
    """
    n = rows if isinstance(rows, int) else len(rows)
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or (shares < 0).any() or shares[0] <= 0:
        raise InputError(
            f"A split needs three fractions, train, valid and test, not {tuple(fractions)}.",
            fix="Write, for example, (0.8, 0.1, 0.1); train must be above 0.",
        )
    if by not in WAYS:
        raise InputError(f"There is no split by {by!r}.", fix=nearest(by, WAYS))
    shares = shares / shares.sum()
    wanted = int((shares > 0).sum())
    if n < wanted:
        raise InputError(f"{n} rows cannot be split into {wanted} parts.", fix="Give more rows.")
    rng = np.random.default_rng(seed)
    if by == "random":
        order = rng.permutation(n)
        return _parts(np.split(order, _cuts(n, shares)))
    values = _values(rows, by, column)
    if by == "time":
        return _by_time(values, shares)
    codes = _codes(values)
    if by == "group":
        return _by_group(codes, shares, rng)
    return _by_class(codes, shares, rng)


def _codes(values: NDArray[Any]) -> NDArray[Any]:
    """Return the number of each value among the different ones in their order."""
    if values.dtype != object:
        return np.unique(values, return_inverse=True)[1]
    # An array of strings would be as wide as the longest of them.
    names = [str(value) for value in values]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))


def _values(rows: Table | int, by: str, column: str | ArrayLike | None) -> NDArray[Any]:
    n = rows if isinstance(rows, int) else len(rows)
    if column is None:
        if by == "time":
            return np.arange(n)
        raise InputError(f"A split by {by} needs a column.", fix="Pass column=.")
    if isinstance(column, str):
        if isinstance(rows, int):
            raise InputError("The name of a column needs a table.", fix="Pass values.")
        # Words sort by their letters, so times are recognised first.
        words = rows.kinds.get(column) in ("text", "category")
        kind: Kind | None = "category" if by != "time" else "time" if words else None
        values = rows.column(column, kind).to_numpy()
        missing = rows.frame[column].isna().to_numpy()
        if missing.any():
            file, row = rows.where(int(np.argmax(missing)))
            raise InputError(
                f"This cell is empty; a split by {by} needs every one.",
                file=file,
                row=row,
                column=column,
            )
    else:
        values = np.asarray(column)
    if len(values) != n:
        raise InputError(f"{len(values)} values of column= were given for {n} rows.")
    return values


def _cuts(n: int, shares: NDArray[np.float64]) -> list[int]:
    """Return the ends of train and valid; a part that is asked for has at least one row."""
    sizes = np.round(shares * n).astype(int)
    sizes[(shares > 0) & (sizes == 0)] = 1
    while sizes.sum() != n:
        step = 1 if sizes.sum() < n else -1
        # The part that is furthest from its share gives or takes a row.
        lack = np.where(shares > 0, (shares * n - sizes) * step, -np.inf)
        lack = np.where((sizes + step < 1) & (shares > 0), -np.inf, lack)
        sizes[int(np.argmax(lack))] += step
    return [int(sizes[0]), int(sizes[0] + sizes[1])]


def _parts(parts: Sequence[NDArray[Any]], keep_order: bool = False) -> Split:
    train, valid, test = (p.astype(np.int64) if keep_order else np.sort(p) for p in parts)
    return Split(train, valid, test)


def _by_time(values: NDArray[Any], shares: NDArray[np.float64]) -> Split:
    order = np.argsort(values, kind="stable")
    moments = values[order]
    cuts = []
    for cut in _cuts(len(values), shares):
        # A moment that the cut would divide goes to the earlier part.
        while 0 < cut < len(moments) and moments[cut] == moments[cut - 1]:
            cut += 1
        cuts.append(cut)
    parts = np.split(order, cuts)
    if any(share > 0 and not len(part) for share, part in zip(shares, parts, strict=True)):
        raise InputError(
            f"There are too few different times ({len(np.unique(values))}) for such a split."
        )
    return _parts(parts, keep_order=True)


def _by_group(codes: NDArray[Any], shares: NDArray[np.float64], rng: np.random.Generator) -> Split:
    sizes = np.bincount(codes)
    wanted = int((shares > 0).sum())
    if len(sizes) < wanted:
        raise InputError(
            f"{len(sizes)} groups cannot be split into {wanted} parts.",
            fix="Give more groups, or set the shares of the other parts to 0.",
        )
    target, have = shares * len(codes), np.zeros(3)
    part_of = np.full(len(sizes), -1)
    order = rng.permutation(len(sizes))
    # A part without a group takes the next one; then the part that lacks most does.
    for turn, group in enumerate(order):
        empty = (shares > 0) & (have == 0)
        must = len(sizes) - turn <= int(empty.sum())
        lack = np.where(shares > 0, target - have, -np.inf)
        part = int(np.argmax(np.where(empty, lack, -np.inf) if must else lack))
        part_of[group] = part
        have[part] += sizes[group]
    return _parts([np.flatnonzero(part_of[codes] == part) for part in range(3)])


def _by_class(codes: NDArray[Any], shares: NDArray[np.float64], rng: np.random.Generator) -> Split:
    parts: list[list[int]] = [[], [], []]
    owed = np.zeros(3)
    ends = np.cumsum(np.bincount(codes))
    for found in np.split(np.argsort(codes, kind="stable"), ends[:-1]):
        members = rng.permutation(found)
        owed += shares * len(members)
        sizes = np.floor(shares * len(members)).astype(int)
        sizes[0] = max(sizes[0], 1)
        have = np.array([len(p) for p in parts])
        if len(members) == 2:
            last = 2 if shares[2] > 0 else 1 if shares[1] > 0 else 0
            sizes = np.array([1, 0, 0])
            sizes[last] += 1
        while sizes.sum() < len(members):
            # What rounding left over goes where all classes together have been short-changed.
            lack = np.where(shares > 0, owed - have - sizes, -np.inf)
            sizes[int(np.argmax(lack))] += 1
        pieces = np.split(members, np.cumsum(sizes)[:2])
        for part, piece in zip(parts, pieces, strict=True):
            part.extend(int(i) for i in piece)
    return _parts([np.array(p, dtype=np.int64) for p in parts])


@dataclass(frozen=True)
class Duplicates:
    """How many rows of one part stand in another, and some of them.

    Attributes:
        counts: (earlier part, later part) → rows of the later one that the earlier one has.
        examples: (earlier part, later part) → up to five such values, shortened.
    """

    counts: dict[tuple[str, str], int]
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        lines = [
            f"{n} {'rows' if n > 1 else 'row'} of {later} {'are' if n > 1 else 'is'} "
            f"also in {earlier}, "
            f"such as {self.examples[earlier, later][0]}"
            for (earlier, later), n in self.counts.items()
            if n
        ]
        return "\n".join(lines) or "No row is in more than one part."


def duplicates(
    parts: Mapping[str, Table | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    hashes: Mapping[str, NDArray[np.uint64]] | None = None,
) -> Duplicates:
    """Find the rows that stand in more than one part: a model need not predict what it has seen.

    Args:
        parts: name → a table, or the values (texts, arrays) themselves.
        columns: of the tables, what makes two rows the same; `None` is every column. Texts are
            compared without regard to case and blanks.
        hashes: name → the hash of each value, of the parts whose `hashes_of` is known already.

    >>> d = duplicates({"train": ["a cat", "a dog"], "test": ["A  cat", "a cow"]})
    >>> d.counts
    {('train', 'test'): 1}
    """
    hashes = dict(hashes or {})
    for name, part in parts.items():
        if name not in hashes:
            hashes[name] = hashes_of(_values_of(part, columns))
    counts: dict[tuple[str, str], int] = {}
    examples: dict[tuple[str, str], list[str]] = {}
    for earlier, later in combinations(parts, 2):
        common = np.flatnonzero(np.isin(hashes[later], hashes[earlier]))
        counts[earlier, later] = len(common)
        if len(common):
            _, firsts = np.unique(hashes[later][common], return_index=True)
            values = _values_of(parts[later], columns)
            some = [key_of(values[place]) for place in common[np.sort(firsts)[:5]].tolist()]
            examples[earlier, later] = [_shown(key) for key in some]
    return Duplicates(counts, examples)


def _values_of(part: Table | Sequence[Any], columns: Sequence[str] | None) -> Sequence[Any]:
    """Return the values that are compared: those of one column, or the cells of each row."""
    if not isinstance(part, Table):
        return part
    chosen = list(part.frame.columns) if columns is None else list(columns)
    if len(chosen) == 1:
        return list(part.column(chosen[0]))
    return [list(row) for row in zip(*(part.column(name) for name in chosen), strict=True)]


def _shown(key: Hashable) -> str:
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], bytes):
        return f"an array of shape {key[0]}"
    text = repr(key)
    return text if len(text) <= 80 else text[:77] + "…'"
