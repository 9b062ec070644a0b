"""Several labels an example: lists, cells that a mark parts, or columns of 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from elman.data.table import plain_labels
from elman.errors import InputError
from elman.tasks.answers import TARGETS, natural
from elman.tasks.classify.written_sets import separator_in, written_lists

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.examples import Examples
    from elman.tasks.reading.layout import Layout

KIND = "label sets"
"""The kind of answer that the assets of a run name."""
_YES, _NO = ("1", "true"), ("0", "false")
_SEQUENCES = ("text", "series", "tokens", "image", "sound")
"""Kinds of columns of which one cell may be an input."""


class LabelSets:
    """The labels that an example may have, each or none of them; numbered in natural order.

    An answer is a tuple of names, sorted, each once.

    Args:
        classes: the labels.
        never_empty: every training example has one: so has every answer.

    >>> LabelSets(["a", "b", "c"]).encode([("a", "c")])[0].tolist()
    [1.0, 0.0, 1.0]
    """

    word: ClassVar[str] = "set of labels"
    words: ClassVar[str] = "the labels"

    def __init__(self, classes: Sequence[str], never_empty: bool = True) -> None:
        self.classes, self.never_empty = list(classes), never_empty
        self.codes = {name: code for code, name in enumerate(self.classes)}

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return a column of lists that has the name of an answer, or the only one of words.

        A column of lists that are as long as the lists of another one has an answer for each step.
        """
        by_name = {name.casefold().strip(): name for name in free}
        for name in TARGETS:
            if name in by_name:
                found = by_name[name]
                return [found] if holds_lists(table, found, free) else None
        others = [name for name in free if table.kinds[name] in _SEQUENCES]
        lists = [
            name
            for name in others
            if table.kinds[name] == "tokens" and holds_lists(table, name, free)
        ]
        clear = len(lists) == 1 and len(others) == 2 and "category" not in table.kinds.values()
        return lists if clear else None

    @classmethod
    def read(cls, table: Table, layout: Layout) -> list[tuple[str, ...]]:
        """Return the labels of each row.

        Raises:
            InputError: a cell is missing, is no list where others are, or is neither 0 nor 1.
        """
        if len(layout.answers) > 1:
            return _marked(table, layout.answers)
        name = layout.answers[0]
        kind, mark = table.kinds.get(name), layout.separator
        if mark is not None and kind in ("tokens", "series"):
            raise table.refuse(
                "The labels are in lists already.", 0, name, "Leave label_separator out."
            )
        cells = list(table.column(name))
        if mark is not None:
            return [_parted(cell, mark) for cell in table.column(name, "category")]
        if kind not in ("tokens", "series"):
            found = written_lists(cells)
            if found is None:
                # A file of lines of which each has one label.
                return [(label,) for label in table.labels(name)]
            for row, (cell, one) in enumerate(zip(cells, found, strict=True)):
                if one is None and isinstance(cell, str) and cell.strip():
                    other = next(r for r, there in enumerate(found) if there is not None)
                    raise table.refuse(
                        f"{cell!r} is no list of labels, as {cells[other]!r} in row "
                        f"{table.where(other)[1]} is.",
                        row,
                        name,
                        "Write all lists alike, also those of one label: ['a'].",
                    )
            cells = found
        for row, cell in enumerate(cells):
            if cell is None:
                raise table.refuse(
                    "The list of labels is missing.", row, name, "Write [] where there is none."
                )
        each = [np.ravel(cell).tolist() if kind == "series" else cell for cell in cells]
        return [_set(list(map(_name, one))) for one in _of_places(each, table, name) or each]

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the labels that stand in the training part."""
        answers = found.answers or []
        names = {name for answer in answers for name in answer}
        if len(layout.answers) > 1:
            names |= set(layout.answers)
        return cls(sorted(names, key=natural), all(answers))

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        return cls(plain_labels(about["classes"]), about["never_empty"])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": KIND, "classes": self.classes, "never_empty": self.never_empty}

    def grown(self, other: Self) -> Self:
        """Return the labels with those of another codec after them."""
        names = [*dict.fromkeys([*self.classes, *other.classes])]
        return type(self)(names, self.never_empty and other.never_empty)

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse answers of which training had no label at all: another column was meant.

        A label that training never had counts as one that was missed.
        """
        answers = found.answers or []
        names = {name for answer in answers for name in answer}
        if names and not names & set(self.codes):
            file, number = found.where(next(row for row, one in enumerate(answers) if one))
            raise InputError(
                f"None of the labels, such as {min(names)!r}, is among the {len(self.classes)} of "
                "the training data.",
                file=file,
                row=number,
                column=layout.target,
                fix="Write the labels as in the training data.",
            )

    def encode(self, answers: Sequence[Any]) -> NDArray[np.float32]:
        """Return 1 for each label that an answer has, else 0: `(n, K)`."""
        made = np.zeros((len(answers), len(self.classes)), np.float32)
        for row, answer in enumerate(answers):
            made[row, [self.codes[name] for name in answer if name in self.codes]] = 1
        return made

    def unknown(self, answers: Sequence[Any]) -> NDArray[np.bool_]:
        """Return whether each answer has each label that training never had, `(n, U)`."""
        names = sorted({name for one in answers for name in one} - set(self.codes))
        return np.array([[name in one for name in names] for one in answers], bool).reshape(
            len(answers), len(names)
        )

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return the rarest label of each answer, so that every part has some of each."""
        counts = Counter(name for answer in answers for name in answer)
        rarest = [min(answer, key=lambda n: (counts[n], n), default="") for answer in answers]
        return np.array(rarest, dtype=object)

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return lists of some of three labels in turn."""
        every = [["even"], ["odd", "high"], ["even", "high"], ["odd"]]
        return [every[number % 4] for number in range(len(cells))]


def holds_lists(table: Table, name: str, others: Sequence[str] = ()) -> bool:
    """Tell whether each cell of a column is a list of names, not one that has one for each step.

    Args:
        table: typed columns.
        name: of the column.
        others: columns whose lists may have the steps.
    """
    cells = table.frame[name].dropna()
    kind = table.kinds[name]
    if not len(cells):
        return False
    if kind == "series":
        if not all(cell.shape[1] == 1 and (cell % 1 == 0).all() for cell in cells):
            return False
    elif kind != "tokens":
        return written_lists(list(cells)) is not None
    lengths = [len(cell) for cell in cells]
    for other in others:
        if other != name and table.kinds[other] in ("tokens", "series"):
            steps = [len(cell) for cell in table.frame[other][cells.index] if cell is not None]
            if steps == lengths:
                return False
    return True


def refuse_sets(answers: Sequence[tuple[str, ...]], table: Table, layout: Layout) -> None:
    """Refuse answers that are all alike, and labels of which nearly each stands there once.

    Raises:
        InputError: there is nothing to tell apart.
    """
    counts = Counter(name for answer in answers for name in answer)
    where: dict[str, Any] = {"file": table.source, "column": layout.target}
    if len(set(answers)) == 1:
        raise InputError(
            f"All {len(answers)} examples have the labels {', '.join(answers[0]) or '(none)'}: "
            "there is nothing to tell apart.",
            fix="Give examples with others, or name another column with --set target=NAME.",
            **where,
        )
    once = sum(count == 1 for count in counts.values())
    if len(counts) > 20 and 2 * once > len(counts) and 2 * len(counts) > len(answers):
        raise InputError(
            f"{len(answers)} examples have {len(counts)} different labels, of which {once} stand "
            f"there once, such as {next(iter(counts))!r}: these are not classes.",
            fix="Name the column of the labels with --set target=NAME.",
            **where,
        )


def refuse_unmarked(answers: Sequence[tuple[str, ...]], table: Table, layout: Layout) -> None:
    """Refuse a mark between labels that stands in no cell.

    Raises:
        InputError: the setting has no effect.
    """
    marks = layout.separator
    if marks is None or any(len(answer) > 1 for answer in answers):
        return
    cells = table.frame[layout.target].dropna().astype(str)
    if cells.map(lambda cell: any(mark in cell for mark in marks)).any():
        return
    found = separator_in(name for answer in answers for name in answer)
    raise InputError(
        f"label_separator={marks} has no effect: no cell holds it.",
        file=table.source,
        column=layout.target,
        fix="Leave it out, or correct it."
        if found is None
        else f"Correct it: {found[1]!r} has {found[0]!r}.",
    )


def _marked(table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the names of the columns that say yes, of each row."""
    columns = []
    for name in names:
        cells = [cell.lower() for cell in table.labels(name)]
        for row, cell in enumerate(cells):
            if cell not in (*_YES, *_NO):
                raise table.refuse(
                    f"{cell!r} is neither 0 nor 1.",
                    row,
                    name,
                    "A column of several labels says 1 where an example has the label, else 0.",
                )
        columns.append([cell in _YES for cell in cells])
    return [
        _set([name for name, yes in zip(names, row, strict=True) if yes])
        for row in zip(*columns, strict=True)
    ]


def _parted(cell: str | None, marks: str) -> tuple[str, ...]:
    """Return the names in a cell; each of the marks parts them, blanks at their ends are dropped.

    >>> _parted("b; a|b", ";|")
    ('a', 'b')
    """
    if cell is None:
        return ()
    for mark in marks[1:]:
        cell = cell.replace(mark, marks[0])
    return _set([name.strip() for name in cell.split(marks[0]) if name.strip()])


def _of_places(rows: Sequence[Sequence[Any]], table: Table, column: str) -> list[list[int]] | None:
    """Return the places of 1 where each row says of every label 1 or 0, or None.

    Raises:
        InputError: each row has a single 1: it has one class.
    """
    told = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
    if len({len(row) for row in rows}) != 1 or any(str(x) not in told for row in rows for x in row):
        return None
    marks = [[told[str(x)] for x in row] for row in rows]
    # A list of labels has each of them once.
    if all(len(set(row)) == len(row) for row in marks):
        return None
    if all(sum(row) == 1 for row in marks):
        raise table.refuse(
            f"Each row of {len(marks[0])} numbers has a single 1, for the class.",
            0,
            column,
            "Write the class itself, or the place of the 1.",
        )
    return [[place for place, yes in enumerate(row) if yes] for row in marks]


def _set(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=natural))


def _name(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
