"""Answers that are no modality: labels and numbers; read, fitted on the training part, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import Scaler
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


_NUMBERS = (
    "target",
    "y",
    "value",
    "rul",
    "rating",
    "score",
    "price",
    "amount",
    "total",
    "dose",
    "outcome",
)
"""Names that a column of numbers to learn often has, the likelier ones first."""


class Numbers:
    """One or several numbers, scaled by the training part.

    Args:
        names: of the targets.
        scaler: fitted on the training targets, as they are trained on.
        cap: targets above it are trained and scored as the cap itself; None for none.
        aligned: whether each step has its own.

    >>> codec = Numbers(["y"], Scaler([10.0], [2.0]), cap=14.0)
    >>> codec.encode([12.0, 99.0])
    [array([1.], dtype=float32), array([2.], dtype=float32)]
    """

    word: ClassVar[str] = "target"
    words: ClassVar[str] = "the number to learn"

    def __init__(
        self, names: Sequence[str], scaler: Scaler, cap: float | None, aligned: bool = False
    ) -> None:
        self.names, self.scaler, self.cap, self.aligned = list(names), scaler, cap, aligned

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return a column by its name, or the only column of numbers."""
        by_name = {name.casefold().strip(): name for name in free}
        for name in _NUMBERS:
            if name in by_name:
                return [by_name[name]]
        found = [n for n in free if table.kinds[n] == "number"]
        return found if len(found) == 1 else None

    @classmethod
    def read(cls, table: Table, columns: Sequence[str]) -> list[Any]:
        """Return a number for each row, a tuple where there are several columns.

        Where the columns hold series, return an array `(T, K)` for each row: a number for each of
        its steps.
        """
        if all(table.kinds.get(name) == "series" for name in columns):
            series = [table.series(name) for name in columns]
            for row, cells in enumerate(zip(*series, strict=True)):
                if len({len(cell) for cell in cells}) > 1:
                    raise table.refuse(
                        "The targets of this row have unequal numbers of steps.", row, columns[0]
                    )
            return [np.concatenate(cells, 1) for cells in zip(*series, strict=True)]
        values = [table.numbers(name).tolist() for name in columns]
        return values[0] if len(columns) == 1 else list(zip(*values, strict=True))

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the codec with the training part's mean and deviation.

        Raises:
            InputError: nothing can be learnt: a target is constant, or the cap is below all.
        """
        codec = cls(layout.answers, Scaler([0.0], [1.0], "none"), settings.cap, layout.aligned)
        values = np.concatenate(codec.values(found.answers or []))
        file, _ = found.where(0)
        if settings.cap is not None and values.min() >= settings.cap:
            raise InputError(
                f"cap={settings.cap:g} is not above any target of the training part (the smallest "
                f"is {values.min():g}), so all would be alike.",
                file=file,
                column=layout.target,
                fix="Set a higher cap, or leave it out.",
            )
        for name, column in zip(layout.answers, values.T, strict=True):
            if column.min() == column.max():
                raise InputError(
                    f"Every target of the training part is {column[0]:g}: there is nothing to "
                    "learn.",
                    file=file,
                    column=name,
                    fix="Name another column with --set target=NAME.",
                )
        codec.scaler = Scaler.fit(codec.capped(values))
        return codec

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        scaler = Scaler.from_json(about["scaler"])
        return cls(about["names"], scaler, about["cap"], about["aligned"])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "names": self.names,
            "scaler": self.scaler.to_json(),
            "cap": self.cap,
            "aligned": self.aligned,
        }

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse one number for a whole sequence where each step needs its own."""
        if not self.aligned or found.steps is not None:
            return
        for row, answer in enumerate(found.answers or []):
            if np.ndim(answer) != 2:
                file, number = found.where(row)
                raise InputError(
                    "Here is one target for the whole sequence; each step needs its own.",
                    file=file,
                    row=number,
                    column=layout.target,
                    fix="Give a list of targets, one for each step.",
                )

    def values(self, answers: Sequence[Any]) -> list[NDArray[np.float64]]:
        """Return answers in own units, without the cap: `(T, K)` each, T = 1 of a sequence."""
        return [np.asarray(a, np.float64).reshape(-1, len(self.names)) for a in answers]

    def capped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers in own units, the cap for those above it."""
        return values if self.cap is None else np.minimum(values, self.cap)

    def encode(self, answers: Sequence[Any]) -> list[NDArray[Any]]:
        """Return scaled numbers in float32, `(K,)` of a sequence, `(T, K)` of its steps."""
        made = [
            self.scaler.transform(self.capped(values)).astype(np.float32)
            for values in self.values(answers)
        ]
        return made if self.aligned else [steps[0] for steps in made]

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return None: numbers have no classes whose shares could be kept."""
        return None

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return a number around 10 for each cell."""
        return list(generator.normal(10, 3, len(cells)))
