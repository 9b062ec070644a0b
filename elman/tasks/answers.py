"""Answers that are no modality: labels and numbers; read, fitted on the training part, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from elman.data import Scaler
from elman.data.table import plain_labels
from elman.data.tagging import (
    Scheme,
    Span,
    first_illegal,
    scheme_of,
    spans,
    tags_of,
)
from elman.errors import InputError
from elman.tasks import alike, called
from elman.tasks.strangers import warn_of_targets

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.examples import Examples
    from elman.tasks.reading.layout import Layout


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
    def read(cls, table: Table, layout: Layout) -> list[Any]:
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

    def grown(self, other: Self) -> Self:
        """Return the codec with what one that was fitted on new data has and it lacks."""

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse an answer that training cannot have taught.

        Raises:
            InputError: with file, row and column.
        """

    def encode(self, answers: Sequence[Any]) -> Sequence[NDArray[Any]]:
        """Return one array an answer."""

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return the class of each answer, where a split is to keep their shares; else None."""

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return a made-up answer for each of made-up cells.

        Where each step has an answer, `cells` are lists with a word or a number for each step.
        """


TARGETS = (
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

    Args:
        classes: their names.
        outside: the label of examples that are of no class; its number comes after all others.

    >>> Labels(["no", "yes"]).encode(["yes"])[0].item()
    1
    """

    word: ClassVar[str] = "label"
    words: ClassVar[str] = "the label"

    def __init__(self, classes: Sequence[str], outside: str | None = None) -> None:
        self.classes, self.outside = list(classes), outside
        self.codes = {name: code for code, name in enumerate(self.classes)}
        if outside is not None:
            self.codes[outside] = len(self.classes)

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return a column by its name, the only column of categories, or whole numbers of few
        values."""
        by_name = {name.casefold().strip(): name for name in free}
        for name in TARGETS:
            if name in by_name:
                return [by_name[name]]
        found = [n for n in free if table.kinds[n] == "category"]
        if not found:
            found = [n for n in free if table.kinds[n] == "number" and _few_values(table, n)]
        return found if len(found) == 1 else None

    @classmethod
    def read(cls, table: Table, layout: Layout) -> list[str]:
        """Return the label of each row.

        Raises:
            InputError: it is missing, or is several numbers that are no labels.
        """
        if table.kinds.get(layout.target) == "series":
            for row, cell in enumerate(table.frame[layout.target]):
                if cell is not None and np.size(cell) > 1 and (cell % 1).any():
                    shown = ", ".join(f"{number:g}" for number in np.ravel(cell)[:4])
                    raise table.refuse(
                        f"The label is {np.size(cell)} numbers ({shown}{', …' * (cell.size > 4)}), "
                        "and they are no name of a class.",
                        row,
                        layout.target,
                        "Give one class for each example (y.argmax(1) where these are chances of "
                        "classes), or a column of 0 and 1 for each of several labels; where the "
                        "numbers themselves are wanted, give each a column, and train regress.",
                    )
        return table.labels(layout.target)

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the classes that stand in the training part."""
        outside: str | None = settings.outside_label
        return cls(sorted(set(found.answers or []) - {outside}, key=natural), outside)

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        return cls(plain_labels(about["classes"]), about.get("outside"))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        outside = {} if self.outside is None else {"outside": self.outside}
        return {"classes": self.classes, **outside}

    def grown(self, other: Self) -> Self:
        """Return the classes with those of another codec after them."""
        return type(self)([*dict.fromkeys([*self.classes, *other.classes])], self.outside)

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse a label that training has never seen."""
        for row, label in enumerate(found.answers or []):
            if label not in self.codes:
                file, number = found.where(row)
                count = sum(other == label for other in found.answers or [])
                meant = next(
                    (n for n in self.classes if alike.plain(n) == alike.plain(label)), None
                )
                fix = "Add examples of it to the training data, or take its rows out here."
                if meant is not None:
                    fix = f"Training has {meant!r}: write it so here."
                raise InputError(
                    f"The class {label!r} ({count} row{'s' if count > 1 else ''}) is not among the "
                    f"{len(self.classes)} classes of the training data.",
                    file=file,
                    row=number,
                    column=layout.target,
                    fix=fix,
                )

    def encode(self, answers: Sequence[Any]) -> NDArray[Any]:
        """Return the number of each label's class, `(n,)`."""
        return np.fromiter(map(self.codes.__getitem__, answers), np.int64, len(answers))

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return the labels themselves."""
        return np.array(answers, dtype=object)

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return one of two labels in turn."""
        return ["even" if number % 2 == 0 else "odd" for number in range(len(cells))]


_TAGS = ("tags", "tag", "ner_tags", "ner", "slots", "labels", "pos_tags", "upos", "pos", "target")
"""Names that a column of tags often has, the likelier ones first."""
_OF_TURNS = (*_TAGS, "label", "act", "acts", "emotion", "emotions", "dialogue_act")
"""Names that the labels of utterances often have."""
ANSWERS = frozenset([*TARGETS, *_OF_TURNS])
"""Names that a column of answers often has."""
_INTENTS = ("intent", "intents", "label")
"""Names that a column of intents beside tags often has."""


class Tags:
    """The tags of steps, and where there are any the intents of whole sentences.

    An answer is a list with a pair for each step: its tag, and the intent of its sentence ("" where
    there are none). Tags of spans are learnt in a scheme that may differ from that of the data.

    Args:
        scheme: in which the data's tags are written; "plain" for labels that are no spans.
        learnt: the scheme that the model learns, BIO or BIOES; "plain" as well.
        tags: of the scheme that is learnt.
        intents: names, none where no intents are learnt.
        repair: read illegal sequences as conlleval does, and do not refuse them.
    """

    word: ClassVar[str] = "tag"
    words: ClassVar[str] = "the tags"

    def __init__(
        self,
        scheme: Scheme,
        learnt: Scheme,
        tags: Sequence[str],
        intents: Sequence[str],
        repair: bool,
    ) -> None:
        self.scheme, self.learnt, self.repair = scheme, learnt, repair
        self.tags, self.intents = list(tags), list(intents)
        self.codes = {tag: code for code, tag in enumerate(self.tags)}
        self.intent_codes = {name: code for code, name in enumerate(self.intents)}
        self.labels = {tag.partition("-")[2] for tag in self.tags if tag != "O"}

    @property
    def has_spans(self) -> bool:
        """Tell whether tags stand for spans."""
        return self.scheme != "plain"

    @classmethod
    def guess(cls, table: Table, free: Sequence[str]) -> list[str] | None:
        """Return a column of lists of tags with the intents beside it, or a column of labels."""
        if "turns" in table.kinds.values():
            able = [n for n in free if table.kinds[n] in ("tokens", "series")]
            named = [n for n in able if n.rpartition(".")[2].casefold().strip() in _OF_TURNS]
            names_alone = [n for n in able if table.kinds[n] == "tokens"]
            found = next((some for some in (named, names_alone, able) if some), [])
            return found if len(found) == 1 else None
        # Lists of numbers beside words can only be meant for tags: `read` says what is wrong.
        words = any(kind == "tokens" for kind in table.kinds.values())
        kinds = ("tokens", "series") if words else ("tokens",)
        lists = {n.casefold().strip(): n for n in free if table.kinds[n] in kinds}
        chosen = next((lists[name] for name in _TAGS if name in lists), None)
        if chosen is None:
            names = {n.casefold().strip(): n for n in free if table.kinds[n] == "category"}
            named = [names[name] for name in _TAGS if name in names]
            return named[:1] or Labels.guess(table, free)
        others = {n.casefold().strip(): n for n in free if table.kinds[n] in ("category", "text")}
        return [chosen, *[others[name] for name in _INTENTS if name in others][:1]]

    @classmethod
    def read(cls, table: Table, layout: Layout) -> list[Any]:
        """Return pairs of tag and intent: a list of them a row, or one a row of a long table.

        Raises:
            InputError: tags or an intent are missing, or tags are numbers.
        """
        columns, name = layout.answers, layout.target
        table.column(name)
        if table.kinds[name] == "series" and "turns" in table.kinds.values():
            return [[(tag, "") for tag in one] for one in _codes_of(table, name)]
        if table.kinds[name] == "series":
            raise table.refuse(
                "The tags are numbers.", 0, name, "Write the names of tags, in a list of strings."
            )
        if table.kinds[name] != "tokens":
            return [(label, "") for label in table.labels(name)]
        intents = table.labels(columns[1]) if len(columns) > 1 else [""] * len(table)
        column = list(table.column(name))
        empty = [row for row, tags in enumerate(column) if not tags]
        table.refuse_missing(empty, name, "The tags are missing")
        pairs = zip(column, intents, strict=True)
        return [[(tag, intent) for tag in tags] for tags, intent in pairs]

    @classmethod
    def fit(cls, found: Examples, layout: Layout, settings: Any) -> Self:
        """Return the tags and intents that stand in the training part."""
        answers = found.answers or []
        scheme: Scheme = settings.scheme or scheme_of(only_tags(answer) for answer in answers)
        intents = sorted({intent for answer in answers for _, intent in answer} - {""})
        bare = cls(scheme, "plain", [], intents, settings.repair)
        if scheme == "plain":
            names = {tag for answer in answers for tag, _ in answer}
            return cls(scheme, "plain", sorted(names, key=natural), intents, settings.repair)
        bare.check(found, layout)
        learnt: Scheme = settings.model_scheme
        kept = [(bare.spans(only_tags(answer)), len(answer)) for answer in answers]
        seen = {tag for read, size in kept for tag in tags_of(read, size, learnt)} - {"O"}
        if learnt == "BIOES":
            labels = {tag.partition("-")[2] for tag in seen}
            seen = {f"{p}-{label}" if label else p for label in labels for p in "BIES"}
        return cls(scheme, learnt, ["O", *sorted(seen)], intents, settings.repair)

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        return cls(**about)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "scheme": self.scheme,
            "learnt": self.learnt,
            "tags": self.tags,
            "intents": self.intents,
            "repair": self.repair,
        }

    def grown(self, other: Self) -> Self:
        """Return the tags and intents with those of another codec after them."""
        tags, intents = (
            [*dict.fromkeys([*ours, *theirs])]
            for ours, theirs in ((self.tags, other.tags), (self.intents, other.intents))
        )
        return type(self)(self.scheme, self.learnt, tags, intents, self.repair)

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse a sequence that is illegal in the scheme, unless such are repaired.

        A tag that training never had is not refused: it counts as one that was missed.
        """
        if self.repair or not self.has_spans:
            return
        for row, answer in enumerate(found.answers or []):
            wrong = first_illegal(only_tags(answer), self.scheme)
            if wrong is not None:
                file, number = found.where(row)
                raise InputError(
                    f"Token {wrong.token + 1} of the sentence: {wrong.reason}",
                    file=file,
                    row=number,
                    column=layout.target,
                    fix="Correct the tag; or train with --set scheme=NAME, or with --set "
                    "repair=true, which repairs all such sequences as conlleval does.",
                )

    def encode(self, answers: Sequence[Any]) -> list[NDArray[Any]]:
        """Return the code of each step's tag `(T,)`, or with intents also the intent's `(T, 2)`.

        A label that training never had is outside of spans; among plain labels, and of intents, it
        is -100, which no loss counts.
        """
        return [self._encoded(answer) for answer in answers]

    def _encoded(self, answer: Any) -> NDArray[Any]:
        tags = only_tags(answer)
        if self.has_spans:
            known = [span for span in self.spans(tags) if span.label in self.labels]
            tags = tags_of(known, len(tags), self.learnt)
            codes = np.array([self.codes.get(tag, 0) for tag in tags], np.int64)
        else:
            codes = np.array([self.codes.get(tag, -100) for tag in tags], np.int64)
        if not self.intents:
            return codes
        intent = self.intent_codes.get(answer[0][1] if len(answer) else "", -100)
        return np.stack([codes, np.full_like(codes, intent)], 1)

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """Return the spans of one sentence's tags, written in the scheme of the data."""
        return spans(tags, self.scheme, illegal="repair" if self.repair else "refuse")

    def said(self, codes: Sequence[int]) -> tuple[list[str], list[Span]]:
        """Return the tags of one sentence in the scheme of the data, and their spans."""
        tags = [self.tags[code] for code in codes]
        if not self.has_spans:
            return tags, []
        # Without a CRF the tags may be illegal.
        found = spans(tags, self.learnt, illegal="repair")
        return tags_of(found, len(tags), self.scheme), found

    def mended(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return codes of a piece that was cut out of a sentence, legal at both ends."""
        tags = codes if codes.ndim == 1 else codes[:, 0]
        found = spans([self.tags[code] for code in tags], self.learnt, illegal="repair")
        legal = [self.codes.get(tag, 0) for tag in tags_of(found, len(tags), self.learnt)]
        fixed = np.array(legal, np.int64)
        return fixed if codes.ndim == 1 else np.stack([fixed, codes[:, 1]], 1)

    @classmethod
    def strata(cls, answers: Sequence[Any]) -> NDArray[Any] | None:
        """Return None: a sentence has many tags."""
        return None

    @classmethod
    def example(cls, cells: Sequence[Any], aligned: bool, generator: np.random.Generator) -> Any:
        """Return names for words with capitals, and "high" or "low" for steps of numbers."""
        return [_example_tags(steps) for steps in cells]


def refuse_labels(labels: Sequence[str], table: Table, layout: Layout) -> None:
    """Refuse a single class, and a class for nearly every example.

    Args:
        labels: of each example.
        table, layout: where they stand.

    Raises:
        InputError: these are no classes to tell apart.
    """
    names = set(labels)
    if len(names) == 1:
        raise InputError(
            f"All {len(labels)} examples are of one class, {names.pop()!r}: there is nothing to "
            "tell apart.",
            file=table.source,
            column=layout.target,
            fix="Give examples of another class, or name another column with --set target=NAME.",
        )
    if 2 * len(names) > len(labels) and len(names) > 2:
        raise InputError(
            f"{len(labels)} examples have {len(names)} different labels, such as "
            f"{labels[0]!r}: these are not classes.",
            file=table.source,
            column=layout.target,
            fix="Begin each line with its label, then a tab and the text."
            if layout.labels == "first"
            else "Name the column of the label with --set target=NAME.",
        )


def only_tags(answer: Sequence[tuple[str, str]]) -> list[str]:
    """Return the tags of an answer of `Tags`, without the intents."""
    return [tag for tag, _ in answer]


def _codes_of(table: Table, column: str) -> list[list[str]]:
    """Return lists of whole numbers as the names of tags.

    Raises:
        InputError: a number is missing, or is not whole.
    """
    found = []
    for row, cell in enumerate(table.series(column)):
        if cell.shape[1] != 1 or (cell % 1 != 0).any():
            raise table.refuse(
                "The tags are numbers that are not whole.",
                row,
                column,
                "Write the names of tags, in a list of strings; to learn numbers: elman train "
                "regress DATA.",
            )
        found.append([str(int(value)) for value in cell[:, 0]])
    return found


def _example_tags(steps: Sequence[Any]) -> list[str]:
    if isinstance(steps[0], str):
        capitals = [word[0].isupper() for word in steps]
        before = [False, *capitals[:-1]]
        pairs = zip(capitals, before, strict=True)
        return [("I-name" if last else "B-name") if now else "O" for now, last in pairs]
    return ["high" if value > np.mean(steps) else "low" for value in steps]


def _few_values(table: Table, column: str) -> bool:
    """Tell whether a column has whole numbers of few values: codes of classes, it seems."""
    values = table.frame[column]
    distinct = values.dropna().unique()
    return bool(
        2 <= len(distinct) <= min(50, len(values) // 5)
        and all(float(v).is_integer() for v in distinct)
    )


def natural(label: str) -> tuple[bool, float, str]:
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
        """Return a column by its name, or the only column of numbers, but none that counts rows."""
        by_name = {name.casefold().strip(): name for name in free}
        for name in _NUMBERS:
            if name in by_name:
                return [by_name[name]]
        found = [
            n
            for n in free
            if table.kinds[n] == "number"
            and not (table.frame[n].diff()[1:] == 1).all()
            and not called.owns(table, n)
        ]
        return found if len(found) == 1 else None

    @classmethod
    def read(cls, table: Table, layout: Layout) -> list[Any]:
        """Return a number for each row, a tuple where there are several columns.

        Where the columns hold series, return an array `(T, K)` for each row: a number for each of
        its steps.
        """
        columns = layout.answers
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

    def grown(self, other: Self) -> Self:
        """Return the codec itself: its scale stays as it was."""
        return self

    def check(self, found: Examples, layout: Layout) -> None:
        """Refuse one number for a whole sequence where each step needs its own.

        Numbers that may be in another unit than those of training are warned of.
        """
        self._refuse_one_a_sequence(found, layout)
        if found.answers:
            warn_of_targets(self.names, self.scaler, np.concatenate(self.values(found.answers)))

    def _refuse_one_a_sequence(self, found: Examples, layout: Layout) -> None:
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
