"""Sequences and their answers out of a user's files: which column is which, and how it is read.

A sequence is one cell, the numbers of one row, or the rows of a long table that share a group. The
answer is a column (a label, a number, tags). What was found in the training file is kept
(`Layout`), so that every later file is read in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from elman import data as elman_data
from elman.data import Table, files
from elman.data.reading import format_of
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks.answers import Answer

_PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "t10k": "test",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
}
_PART = re.compile(rf"(?<![a-z])({'|'.join(_PARTS)})(?:\d+k?)?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Where sequences and answers stand in a table.

    Attributes:
        modality: the name of what a sequence is made of.
        form: `"cell"`: one cell of `inputs[0]`; `"row"`: the numbers of a row, a step each;
            `"long"`: the rows of one `group`, a step each, with `inputs` as channels.
        inputs: the columns that sequences are read from.
        answers: the columns of the answer.
        group, time: of a long table: which sequence a row belongs to, and what orders its rows.
            Without a group all rows are one sequence.
        first: of plain text: the label is the first word of the line.
        aligned: there is an answer for each step, not for each sequence.
    """

    modality: str
    form: Literal["cell", "row", "long"]
    inputs: tuple[str, ...]
    answers: tuple[str, ...]
    group: str | None = None
    time: str | None = None
    first: bool = False
    aligned: bool = False

    @property
    def target(self) -> str:
        """The column of the answer, or the first of several."""
        return self.answers[0]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"inputs": list(self.inputs), "answers": list(self.answers)}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Layout:
        """Return the layout that `to_json` described."""
        return cls(**about | {"inputs": tuple(about["inputs"]), "answers": tuple(about["answers"])})


@dataclass(frozen=True)
class Examples:
    """Sequences, their answers where they have any, and where each one stands in its file.

    Attributes:
        inputs: a cell each.
        answers: an answer each, or one for each step in a list.
        where: from the number of a sequence to its file and row.
        names: the groups of a long table.
        steps: of a long table, the file and row of each step of each sequence.
    """

    inputs: list[Any]
    answers: list[Any] | None
    where: Callable[[int], tuple[Path | None, int]]
    names: list[str] | None = None
    steps: list[list[tuple[Path | None, int]]] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: ArrayLike) -> Examples:
        """Return some of them; they keep their place."""
        chosen = [int(row) for row in np.asarray(rows)]
        return Examples(
            [self.inputs[row] for row in chosen],
            None if self.answers is None else [self.answers[row] for row in chosen],
            lambda row: self.where(chosen[row]),
            None if self.names is None else [self.names[row] for row in chosen],
            None if self.steps is None else [self.steps[row] for row in chosen],
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


def parts(source: Any) -> dict[str, list[Path]] | None:
    """Return the files of a folder by part, where names say train and test (valid, dev, t10k).

    None where the source is no folder, or some file's name says nothing.
    """
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    folder = Path(source)
    found: dict[str, list[Path]] = {}
    for path in files.listing(folder):
        said = _PART.search(path.relative_to(folder).as_posix())
        if said is None:
            return None
        found.setdefault(_PARTS[said[1].lower()], []).append(path)
    return found if "train" in found and len(found) > 1 else None


def labels_first(source: Any) -> bool:
    """Tell whether each line must begin with its label: plain text in one file names no class."""
    if _is_frame(source):
        return False
    chosen = files.given(source)
    return len(chosen) == 1 and _is_text(chosen[0])


def read(source: Any, *, encoding: str | None = None, first: bool = False) -> Table:
    """Return a table of any format; with `first` the first word of each line of text is its label.

    Args:
        source: path, paths, folder or DataFrame.
        encoding: of text files; found when None.
        first: see `labels_first`.
    """
    chosen = source if _is_frame(source) else files.given(source)
    return elman_data.read(chosen, encoding=encoding, labels="first" if first else None)


def find_layout(
    table: Table,
    answer: type[Answer],
    modalities: Sequence[str],
    *,
    modality: str | None = None,
    text: str | None = None,
    target: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    first: bool = False,
    aligned: bool | Callable[[Sequence[str]], bool] = False,
) -> Layout:
    """Return where sequence and answer stand: as given, else by name and by what columns hold.

    Args:
        table: typed columns.
        answer: the kind of answer that the task learns.
        modalities: names of what a sequence can be made of, the likelier ones first.
        modality: the one that is meant, where it was given.
        text, target, columns, group, time: columns that were given.
        first: see `labels_first`.
        aligned: whether each step has an answer, or a function that says so of the columns of
            the answer.

    Raises:
        InputError: a column that was given is missing, or it cannot be guessed; the message
            names the columns and the setting.
    """
    targets = [target] if isinstance(target, str) else list(target or ())
    for name in (text, group, time, *targets, *(columns or ())):
        if name is not None:
            table.column(name)
    known = [MODALITIES[name] for name in ([modality] if modality else modalities)]
    others = [n for n in (text, group, time, *(columns or ())) if n is not None]
    if not targets:
        found = answer.guess(table, [n for n in table.kinds if n not in others])
        if found is None:
            raise _unclear(table, f"which column holds {answer.words}", "target")
        targets = found
    if callable(aligned):
        aligned = aligned(targets)
    free = [n for n in table.kinds if n not in (*targets, group, time)]

    def layout(chosen: Any, form: Any, inputs: Sequence[str]) -> Layout:
        kept: tuple[str | None, str | None] = (None, None)
        if form == "long":
            kept = group, time or _only_time(table, free)
        return Layout(chosen.name, form, tuple(inputs), tuple(targets), *kept, first, aligned)

    def able(form: str, setting: str) -> Any:
        """Return the likeliest modality that is read in this form."""
        # Numbers without an order are never guessed; of cells that may be anything, text is.
        fit = [m for m in known if form in m.forms and (m.kinds or modality)]
        if form == "cell" and any(m.name == "text" for m in fit):
            return MODALITIES["text"]
        if not fit:
            raise InputError(f"{setting} means nothing for a sequence of {known[0].name}.")
        return fit[0]

    if text is not None:
        fit = [m for m in known if table.kinds[text] in m.kinds]
        return layout(fit[0] if fit else able("cell", "text"), "cell", [text])
    if group is not None:
        chosen = able("long", "group")
        channels = columns or _numeric(table, free)
        if not channels:
            raise _unclear(table, "which columns are the channels of the series", "columns")
        return layout(chosen, "long", channels)
    if columns is not None:
        form = "long" if aligned else "row"
        return layout(able(form, "columns"), form, columns)
    numeric = _numeric(table, free)
    cells = [m for m in known if "cell" in m.forms and m.kinds]
    for chosen in cells:
        names = [n for n in free if table.kinds[n] == chosen.kinds[0] and n not in numeric]
        if len(names) > 1:
            usual = getattr(chosen, "usual", ())
            names = [n for n in names if n.casefold().strip() in usual] or names
        if len(names) == 1:
            return layout(chosen, "cell", names)
        if names:
            raise _unclear(table, f"which of the {chosen.kinds[0]} columns to use", "text")
    names = [n for n in free if table.kinds[n] == "category" and n not in numeric]
    if len(names) == 1 and len(numeric) > 1 and table.frame[names[0]].duplicated().any():
        # An id of several rows is no sequence, and its letters would be learnt.
        raise InputError(
            f"It is not clear what a sequence is: {names[0]!r} holds names that repeat, beside "
            f"columns of numbers ({', '.join(numeric[:6])}).",
            file=table.source,
            fix=f"Set group={names[0]} if its rows are the steps of a series, or text={names[0]} "
            "if the names themselves are to be read.",
        )
    for chosen in cells:
        if len(names) == 1 and "category" in chosen.kinds:
            return layout(chosen, "cell", names)
    if aligned and numeric:
        return layout(able("long", "a row for each step"), "long", numeric)
    if not names and len(numeric) >= (1 if modality else 2):
        return layout(able("row", "a row of numbers"), "row", numeric)
    raise _unclear(table, "which column holds the sequence", "text")


def _only_time(table: Table, free: Sequence[str]) -> str | None:
    """Return the one column of times, which orders the steps; None where there is none.

    Raises:
        InputError: there are several.
    """
    times = [name for name in free if table.kinds[name] == "time"]
    if len(times) > 1:
        raise _unclear(table, f"which of {', '.join(times)} orders the steps", "time")
    return times[0] if times else None


def examples(
    table: Table, layout: Layout, answer: type[Answer] | None, *, strict: bool = True
) -> Examples:
    """Return the sequences of a table, and with `answer` the answer of each.

    Raises:
        InputError: a value is missing or of the wrong kind, with its file, row and column; the
            answer changes within a group.
    """
    modality = MODALITIES[layout.modality]
    rows = groups = None
    if layout.form == "long":
        groups = _groups(table, layout)
        rows = list(groups.values())
    inputs = modality.cells(table, layout, rows, strict)
    found = None if answer is None else answer.read(table, layout.answers)
    if rows is None:
        return Examples(inputs, found, table.where)
    firsts = [members[0] for members in rows]
    if found is not None and layout.aligned:
        found = [[found[row] for row in members] for members in rows]
    elif found is not None:
        assert groups is not None
        assert answer is not None
        _one_answer_a_group(table, layout, groups, found, answer.word)
        found = [found[row] for row in firsts]
    names = list(groups) if groups is not None and layout.group is not None else None
    steps = [[table.where(row) for row in members] for members in rows] if layout.aligned else None
    return Examples(inputs, found, lambda number: table.where(firsts[number]), names, steps)


def read_like(
    source: Any,
    layout: Layout,
    answer: type[Answer] | None,
    known: Sequence[str] = (),
    *,
    encoding: str | None = None,
) -> Examples:
    """Return examples of a file that is laid out as the training file was.

    Plain text is read whatever the training file was. Without `answer` its lines may begin with
    a label, as those of training did, or not.

    Args:
        source: path, paths, folder or DataFrame.
        layout: of the training file.
        answer: the kind of answer, where the file is to have answers.
        known: labels of training, by which lines that begin with one are recognised.
        encoding: of text files; found when None.
    """
    first = layout.first
    if first and answer is None:
        table = read(source, encoding=encoding, first=False)
        if _is_text(table.source):
            first = {line.split(" ", 1)[0] for line in table.texts("text")} <= set(known)
    table = read(source, encoding=encoding, first=first)
    # Other modalities may read raw text where training had no such column.
    raw = _is_text(table.source) or "text" not in MODALITIES[layout.modality].kinds
    lacks = layout.form == "cell" and layout.inputs[0] not in table.kinds
    if lacks and raw and "text" in table.kinds:
        layout = replace(layout, inputs=("text",))
    return examples(table, layout, answer, strict=answer is not None)


def _groups(table: Table, layout: Layout) -> dict[str, list[int]]:
    """Return the rows of each group in the order of time."""
    order = np.arange(len(table))
    if layout.time is not None:
        order = np.argsort(table.column(layout.time).to_numpy(), kind="stable")
    if layout.group is None:
        return {"": order.tolist()}
    names = table.labels(layout.group)
    rows: dict[str, list[int]] = {group: [] for group in names}
    for row in order.tolist():
        rows[names[row]].append(row)
    return rows


def _one_answer_a_group(
    table: Table, layout: Layout, groups: dict[str, list[int]], found: Sequence[Any], word: str
) -> None:
    for group, members in groups.items():
        for row in members:
            if found[row] != found[members[0]]:
                raise table.refuse(
                    f"The {word} {found[row]!r} differs from {found[members[0]]!r}, the {word} "
                    f"of other rows of {layout.group} {group!r}.",
                    row,
                    layout.target,
                    f"A series has one {word}.",
                )


def _is_frame(source: Any) -> bool:
    return hasattr(source, "iloc")


def _is_text(path: Path | None) -> bool:
    return path is not None and not path.is_dir() and format_of(path) in (None, "text")


def _numeric(table: Table, names: Sequence[str]) -> list[str]:
    """The columns of numbers. One that is numbers but for a few cells is refused, not dropped."""
    found = []
    for name in names:
        kind = table.kinds[name]
        if kind in ("text", "category"):
            import pandas as pd

            cells = table.frame[name]
            if pd.to_numeric(cells, errors="coerce").notna().mean() <= 0.5:
                continue
            table.numbers(name, allow_missing=True)
        elif kind != "number":
            continue
        found.append(name)
    return found


def _unclear(table: Table, what: str, setting: str) -> InputError:
    columns = ", ".join(f"{name} ({kind})" for name, kind in list(table.kinds.items())[:12])
    more = f" and {len(table.kinds) - 12} more" if len(table.kinds) > 12 else ""
    return InputError(
        f"It is not clear {what}; there are: {columns}{more}.",
        file=table.source,
        fix=f"Say it with --set {setting}=NAME.",
    )
