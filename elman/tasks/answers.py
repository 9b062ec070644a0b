"""Answers that are no modality: a label; each is read, fitted on the training part and encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading import Examples, Layout


class Answer(Protocol):
    """The codec of an answer, fitted on the training part."""

    word: ClassVar[str]
    """One answer in a word, such as "label"."""
    words: ClassVar[str]
    """The answer with its article, for questions: "the label"."""

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return the columns of the answer among `free`, or None where it is not clear."""

    @classmethod
    def read(cls, table: Table, columns: Sequence[str]) -> list[Any]:
        """Return the answer of each row.

        Raises:
            InputError: a cell is empty or of another kind, with file, row and column.
        """

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the codec fitted on training examples."""

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse an answer that training cannot have taught.

        Raises:
            InputError: with file, row and column.
        """

    def encode(self, answers: Sequence[Any]) -> list[NDArray[Any]]:
        """Return one array an answer."""

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return the class of each answer, where a split is to keep their shares; else None."""

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return a made-up answer for each of made-up cells."""


_TARGETS = (
    "label",
    "labels",
    "target",
    "class",
    "category",
    "y",
    "sentiment",
    "intent",
    "language",
    "species",
    "activity",
    "topic",
    "outcome",
)
"""Names that a column of labels often has, the likelier ones first."""


class Labels:
    """The classes of labels, numbered in natural order.

    >>> Labels(["no", "yes"]).encode(["yes"])[0].item()
    1
    """

    word: ClassVar[str] = "label"
    words: ClassVar[str] = "the label"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.codes = {name: code for code, name in enumerate(self.classes)}

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return a column by its name, the only column of categories, or whole numbers of few
        values."""
        by_name = {name.casefold().strip(): name for name in free}
        for name in _TARGETS:
            if name in by_name:
                return [by_name[name]]
        found = [n for n in free if table.kinds[n] == "category"]
        if not found:
            found = [n for n in free if table.kinds[n] == "number" and _few_values(table, n)]
        return found if len(found) == 1 else None

    @classmethod
    def read(cls, table: Table, columns: Sequence[str]) -> list[str]:
        """Return the label of each row."""
        return table.labels(columns[0])

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the classes that stand in the training part."""
        return cls(sorted(set(found.answers or []), key=_natural))

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        return cls(about["classes"])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"classes": self.classes}

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse a label that training has never seen."""
        for row, label in enumerate(found.answers or []):
            if label not in self.codes:
                file, number = found.where(row)
                count = sum(other == label for other in found.answers or [])
                raise InputError(
                    f"The class {label!r} ({count} row{'s' if count > 1 else ''}) is not among the "
                    f"{len(self.classes)} classes of the training data.",
                    file=file,
                    row=number,
                    column=layout.target,
                    fix="Add examples of it to the training data, or take its rows out here.",
                )

    def encode(self, answers: Sequence[Any]) -> list[NDArray[Any]]:
        """Return the number of each label's class, arrays without an axis."""
        return [np.asarray(self.codes[label], dtype=np.int64) for label in answers]

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return the labels themselves."""
        return np.array(answers, dtype=object)

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return one of two labels in turn."""
        return ["even" if number % 2 == 0 else "odd" for number in range(len(cells))]


def _few_values(table: Table, column: str) -> bool:
    """Tell whether a column has whole numbers of few values: codes of classes, it seems."""
    values = table.frame[column]
    distinct = values.dropna().unique()
    return bool(
        2 <= len(distinct) <= min(50, len(values) // 5)
        and all(float(v).is_integer() for v in distinct)
    )


def _natural(label: str) -> tuple[bool, float, str]:
    """Return a key by which labels that are numbers come in their order, then the rest by name."""
    try:
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label)
