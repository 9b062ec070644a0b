"""Sequences with their answers, out of a table whose layout is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elman.data import Table, transcripts
from elman.modalities import MODALITIES
from elman.tasks import totals, units
from elman.tasks.answers import Answer
from elman.tasks.reading.layout import Layout


@dataclass(frozen=True)
class Examples:
    """Sequences, their answers where they have any, and where each one stands in its file.

    Attributes:
        inputs: a cell each.
        answers: an answer each, or one for each step in a list.
        where: from the number of a sequence to its file and row.
        names: the groups of a long table.
        steps: of a long table, the file and row of each step of each sequence.
        owners: from a column to whom or what each sequence belongs; see `owners_in`.
    """

    inputs: list[Any]
    answers: list[Any] | None
    where: Callable[[int], tuple[Path | None, int]]
    names: list[str] | None = None
    steps: list[list[tuple[Path | None, int]]] | None = None
    owners: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def place(self, number: int, step: int) -> tuple[Path | None, int]:
        """Return the file and row of a step of a sequence."""
        return self.where(number) if self.steps is None else self.steps[number][step]

    def take(self, rows: ArrayLike) -> Examples:
        """Return some of them; they keep their place."""
        chosen = np.asarray(rows, dtype=np.int64)
        return Examples(
            [self.inputs[row] for row in chosen],
            None if self.answers is None else [self.answers[row] for row in chosen],
            lambda row: self.where(int(chosen[row])),
            None if self.names is None else [self.names[row] for row in chosen],
            None if self.steps is None else [self.steps[row] for row in chosen],
            {name: [of[row] for row in chosen] for name, of in self.owners.items()},
        )

    def and_more(self, others: Examples) -> Examples:
        """Return these and others after them; what others do not say of themselves is empty."""
        count = len(self)

        def both(ours: Any, theirs: Any, missing: Any) -> Any:
            if ours is None:
                return None
            return [*ours, *([missing] * len(others) if theirs is None else theirs)]

        return Examples(
            [*self.inputs, *others.inputs],
            both(self.answers, others.answers, None),
            lambda n: self.where(n) if n < count else others.where(n - count),
            both(self.names, others.names, ""),
            both(self.steps, others.steps, []),
            {name: both(of, others.owners.get(name), "") for name, of in self.owners.items()},
        )

    def between(self, shares: Sequence[tuple[float, float]]) -> list[Examples]:
        """Return parts of every sequence in time, each from one share of its steps to another."""
        parts = []
        for low, high in shares:
            cuts = [slice(round(low * len(x)), round(high * len(x))) for x in self.inputs]

            def some(values: Any, cuts: list[slice] = cuts) -> Any:
                if values is None:
                    return None
                return [value[cut] for value, cut in zip(values, cuts, strict=True)]

            steps = some(self.steps)
            where = self.where if steps is None else lambda number, steps=steps: steps[number][0]
            parts.append(Examples(some(self.inputs), some(self.answers), where, self.names, steps))
        return parts


def examples_in(
    table: Table,
    layout: Layout,
    answer: type[Answer] | None,
    *,
    strict: bool = True,
    owners: Sequence[str] = (),
) -> Examples:
    """Return the sequences of a table, and with `answer` the answer of each.

    Args:
        table: typed columns.
        layout: of the training file.
        answer: the kind of answer, where the table is to have answers.
        strict: refuse a sequence that is empty.
        owners: columns of whom or what a sequence belongs to.

    Raises:
        InputError: a value is missing or of the wrong kind, with its file, row and column; the
            answer, or an owner, changes within a group.
    """
    if answer is not None:
        totals.refuse(table, layout)
    units.refuse_others(table, layout)
    modality = MODALITIES[layout.modality]
    rows = groups = None
    if layout.form == "long":
        groups, _ = _rows_of(table, layout)
        rows = list(groups.values())
    inputs = modality.cells(table, layout, rows, strict)
    found = None if answer is None else answer.read(table, layout)
    known = {name: table.labels(name) for name in owners}
    if rows is None:
        return Examples(inputs, found, table.where, owners=known)
    assert groups is not None
    firsts = [members[0] for members in rows]
    if found is not None and layout.aligned:
        found = [[found[row] for row in members] for members in rows]
    elif found is not None:
        assert answer is not None
        _one_a_group(table, layout, groups, found, answer.word, layout.target)
        found = [found[row] for row in firsts]
    for name, of in known.items():
        if layout.group is not None:
            _one_a_group(table, layout, groups, of, name, name)
    known = {name: [of[row] for row in firsts] for name, of in known.items()}
    names = list(groups) if layout.group is not None else None
    steps = [[table.where(row) for row in members] for members in rows] if layout.aligned else None
    return Examples(inputs, found, lambda number: table.where(firsts[number]), names, steps, known)


def _rows_of(table: Table, layout: Layout) -> tuple[dict[str, list[int]], int]:
    """Return the rows of each sequence of a long table, and how many are left out.

    Those are messages of the service in a conversation, unless each row has an answer.
    """
    groups = transcripts.rows_of(table, layout.group, layout.time)
    if layout.aligned or not hasattr(MODALITIES[layout.modality], "transcript"):
        return groups, 0
    return transcripts.of_service(table, groups)


def row_words(table: Table, layout: Layout) -> list[tuple[str, str]]:
    """Return in words which rows of a long table are left out, and that others were put in order.

    Each stands behind the word under which it is said; nothing where there is nothing to say.
    """
    if layout.form != "long":
        return []
    groups, left = _rows_of(table, layout)
    found = [("left out", f"messages of the service: {left:,}")] if left else []
    moved = [name for name, rows in groups.items() if rows != sorted(rows)]
    if layout.time is None or not moved:
        return found
    of = f" of {len(moved):,} of {len(groups):,} {layout.group!r}" if layout.group else ""
    said = f"rows{of} did not stand in the order of {layout.time!r}, and were put in it"
    return [("order", said), *found]


def _one_a_group(
    table: Table,
    layout: Layout,
    groups: dict[str, list[int]],
    found: Sequence[Any],
    word: str,
    column: str,
) -> None:
    instead = ""
    if hasattr(MODALITIES[layout.modality], "transcript"):
        instead = (
            ": correct it. Answers for each utterance are learnt by `elman train tag`; to take "
            f"each utterance alone, set text={quote(layout.inputs[0])}"
        )
    for group, members in groups.items():
        for row in members:
            if found[row] != found[members[0]]:
                first = table.where(members[0])[0]
                apart = first is not None and first != table.where(row)[0]
                raise table.refuse(
                    f"The {word} {found[row]!r} differs from {found[members[0]]!r}, the {word} "
                    f"of other rows of {layout.group} {group!r}"
                    f"{f' in {first.name}' if apart and first is not None else ''}.",
                    row,
                    column,
                    "If each file numbers them anew, write the name of the file before each."
                    if apart
                    else f"Each has one {word}{instead}.",
                )
