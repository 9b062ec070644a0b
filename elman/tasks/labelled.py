"""Labelled sequences out of a user's files: which column is the label, which the sequence.

A sequence is a text, a series `(steps, channels)` or the rows of a picture. It may be one cell,
the numbers of one row, or the rows of a long table that share a group. What was found in the
training file is kept (`Layout`), so that every later file is read in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman import data as elman_data
from elman.data import Table, files
from elman.data.reading import format_of
from elman.errors import InputError

Modality = Literal["text", "series", "image"]

#: Names that a column of labels often has, the likelier ones first.
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
    """Where the sequence and the label stand in a table.

    Attributes:
        modality: what a sequence is.
        form: `"cell"`: one cell of `inputs[0]`; `"row"`: the numbers of a row, a step each;
            `"long"`: the rows of one `group`, a step each, with `inputs` as channels.
        inputs: the columns the sequence is read from.
        target: the column of the label.
        group, time: of a long table: which series a row belongs to, and what orders its rows.
        first: of plain text: the label is the first word of the line.
    """

    modality: Modality
    form: Literal["cell", "row", "long"]
    inputs: tuple[str, ...]
    target: str
    group: str | None = None
    time: str | None = None
    first: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"inputs": list(self.inputs)}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Layout:
        """What `to_json` gave."""
        return cls(**about | {"inputs": tuple(about["inputs"])})


@dataclass(frozen=True)
class Examples:
    """Sequences, their labels where they have any, and where each one stands in its file.

    `names` are the groups of a long table.
    """

    inputs: list[Any]
    labels: list[str] | None
    where: Callable[[int], tuple[Path | None, int]]
    names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: ArrayLike) -> Examples:
        """Some of them; they keep their place."""
        chosen = [int(row) for row in np.asarray(rows)]
        return Examples(
            [self.inputs[row] for row in chosen],
            None if self.labels is None else [self.labels[row] for row in chosen],
            lambda row: self.where(chosen[row]),
            None if self.names is None else [self.names[row] for row in chosen],
        )


def parts(source: Any) -> dict[str, list[Path]] | None:
    """The files of a folder by part, where their names say train and test (or valid, dev, t10k).

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
    """Whether each line must begin with its label: plain text in one file names no class."""
    if _is_frame(source):
        return False
    chosen = files.given(source)
    return len(chosen) == 1 and _is_text(chosen[0])


def read(source: Any, *, encoding: str | None = None, first: bool = False) -> Table:
    """A table of any format; with `first` the first word of each line of text is its label.

    Args:
        source: path, paths, folder or DataFrame.
        encoding: of text files; found when None.
        first: see `labels_first`.
    """
    chosen = source if _is_frame(source) else files.given(source)
    return elman_data.read(chosen, encoding=encoding, labels="first" if first else None)


def find_layout(
    table: Table,
    *,
    text: str | None = None,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    first: bool = False,
) -> Layout:
    """Where sequence and label stand: as told, else by name and by what the columns hold.

    Raises:
        InputError: a column that was told is missing, or it cannot be guessed; the message
            names the columns and the setting.
    """
    for name in (text, target, group, time, *(columns or ())):
        if name is not None:
            table.column(name)
    others = [n for n in (text, group, time, *(columns or ())) if n is not None]
    target = target or _guess_target(table, others)
    free = [n for n in table.kinds if n not in (target, group, time)]
    if text is not None:
        kind = table.kinds[text]
        return Layout(
            kind if kind == "series" or kind == "image" else "text",
            "cell",
            (text,),
            target,
            first=first,
        )
    if group is not None:
        channels = tuple(columns or _numeric(table, free))
        if not channels:
            raise _unclear(table, "which columns are the channels of the series", "columns")
        return Layout("series", "long", channels, target, group, time)
    if columns is not None:
        return Layout("series", "row", tuple(columns), target)
    numeric = _numeric(table, free)
    for kind in ("image", "series", "text"):
        found = [n for n in free if table.kinds[n] == kind and n not in numeric]
        if len(found) == 1:
            return Layout(kind, "cell", (found[0],), target, first=first)  # type: ignore[arg-type]
        if found:
            raise _unclear(table, f"which of the {kind} columns to use", "text")
    words = [n for n in free if table.kinds[n] == "category" and n not in numeric]
    if len(words) == 1:
        return Layout("text", "cell", (words[0],), target, first=first)
    if len(numeric) >= 2 and not words:
        return Layout("series", "row", tuple(numeric), target)
    raise _unclear(table, "which column holds the sequence", "text")


def examples(table: Table, layout: Layout, *, labelled: bool = True) -> Examples:
    """The sequences of a table, and with `labelled` the label of each.

    Raises:
        InputError: a value is missing or of the wrong kind, with its file, row and column; the
            label changes within a group.
    """
    if layout.form == "long":
        return _from_long(table, layout, labelled)
    labels = table.labels(layout.target) if labelled else None
    if layout.form == "row":
        return Examples(_from_rows(table, layout.inputs), labels, table.where)
    column = layout.inputs[0]
    inputs: list[Any]
    if layout.modality == "text":
        # Nothing can be learnt from an empty text, but it can be given an answer.
        inputs = (
            table.texts(column) if labelled else [t or "" for t in table.column(column, "text")]
        )
    elif layout.modality == "series":
        inputs = [np.asarray(series, np.float32) for series in table.series(column)]
    else:
        inputs = _pictures(table, column)
    return Examples(inputs, labels, table.where)


def read_like(
    source: Any,
    layout: Layout,
    classes: Sequence[str],
    *,
    labels: bool,
    encoding: str | None = None,
) -> Examples:
    """Examples of a file that is laid out as the training file was.

    Plain text is read whatever the training file was. Without `labels` its lines may begin with
    a label, as those of training did, or not.
    """
    first = layout.first
    if first and not labels:
        table = read(source, encoding=encoding, first=False)
        if _is_text(table.source):
            first = {line.split(" ", 1)[0] for line in table.texts("text")} <= set(classes)
    table = read(source, encoding=encoding, first=first)
    if layout.modality == "text" and layout.inputs[0] not in table.kinds and _is_text(table.source):
        layout = replace(layout, inputs=("text",))
    return examples(table, layout, labelled=labels)


def check_channels(found: Examples, channels: int) -> None:
    """Refuse series that do not have so many channels.

    Raises:
        InputError: with file and row of the first such example.
    """
    for row, series in enumerate(found.inputs):
        if series.shape[1] != channels:
            file, number = found.where(row)
            raise InputError(
                f"This sequence has {series.shape[1]} values a step; those of training have "
                f"{channels}.",
                file=file,
                row=number,
            )


def check_classes(classes: Iterable[str], found: Examples, column: str) -> None:
    """Refuse a label that training has never seen.

    Raises:
        InputError: naming the class, its file, row and column.
    """
    known = set(classes)
    for row, label in enumerate(found.labels or []):
        if label not in known:
            file, number = found.where(row)
            count = sum(other == label for other in found.labels or [])
            raise InputError(
                f"The class {label!r} ({count} row{'s' if count > 1 else ''}) is not among the "
                f"{len(known)} classes of the training data.",
                file=file,
                row=number,
                column=column,
                fix="Add examples of it to the training data, or take its rows out here.",
            )


def _is_frame(source: Any) -> bool:
    return hasattr(source, "iloc")


def _is_text(path: Path | None) -> bool:
    return path is not None and not path.is_dir() and format_of(path) in (None, "text")


def _guess_target(table: Table, others: Sequence[str]) -> str:
    free = [name for name in table.kinds if name not in others]
    by_name = {name.casefold().strip(): name for name in free}
    for name in _TARGETS:
        if name in by_name:
            return by_name[name]
    categories = [n for n in free if table.kinds[n] == "category"]
    if len(categories) == 1:
        return categories[0]
    if not categories:
        few = [n for n in free if table.kinds[n] == "number" and _few_values(table, n)]
        if len(few) == 1:
            return few[0]
    raise _unclear(table, "which column holds the label", "target")


def _few_values(table: Table, column: str) -> bool:
    """Whole numbers with few different values: codes of classes, it seems."""
    values = table.frame[column]
    distinct = values.dropna().unique()
    return bool(
        2 <= len(distinct) <= min(50, len(values) // 5)
        and all(float(v).is_integer() for v in distinct)
    )


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


def _from_rows(table: Table, columns: Sequence[str]) -> list[NDArray[np.float32]]:
    values = np.stack([table.numbers(name, allow_missing=True) for name in columns], 1)
    present = ~np.isnan(values)
    # A series may end early; within it nothing may be missing.
    ends = np.where(present.any(1), values.shape[1] - np.argmax(present[:, ::-1], 1), 0)
    found = []
    for place, end in enumerate(ends.tolist()):
        holes = np.flatnonzero(~present[place, :end])
        if not end or len(holes):
            raise table.refuse(
                "A value is missing." if end else "The series has no values.",
                place,
                columns[int(holes[0]) if end else 0],
                "Fill it in, or take the row out.",
            )
        found.append(values[place, :end, None].astype(np.float32))
    return found


def _from_long(table: Table, layout: Layout, labelled: bool) -> Examples:
    assert layout.group is not None
    groups = np.array(table.labels(layout.group), dtype=object)
    values = np.stack([table.numbers(name) for name in layout.inputs], 1).astype(np.float32)
    labels = table.labels(layout.target) if labelled else None
    order = np.arange(len(table))
    if layout.time is not None:
        order = np.argsort(table.column(layout.time).to_numpy(), kind="stable")
    rows: dict[str, list[int]] = {group: [] for group in groups}
    for row in order.tolist():
        rows[groups[row]].append(row)
    if labels is not None:
        for group, members in rows.items():
            for row in members:
                if labels[row] != labels[members[0]]:
                    raise table.refuse(
                        f"The label {labels[row]!r} differs from {labels[members[0]]!r}, the label "
                        f"of other rows of {layout.group} {group!r}.",
                        row,
                        layout.target,
                        "A series has one label.",
                    )
    firsts = [members[0] for members in rows.values()]
    return Examples(
        [values[members] for members in rows.values()],
        None if labels is None else [labels[row] for row in firsts],
        lambda number: table.where(firsts[number]),
        list(rows),
    )


def _pictures(table: Table, column: str) -> list[NDArray[np.float32]]:
    """Rows of brightness between 0 and 1; colours are averaged."""
    pictures = []
    for row, cell in enumerate(table.column(column, "image")):
        if cell is None or not np.size(cell):
            raise table.refuse("The picture is empty.", row, column, "Take the row out.")
        picture = np.asarray(cell, np.float32)
        picture = picture.mean(-1) if picture.ndim > 2 else picture
        pictures.append(picture / 255.0 if np.asarray(cell).dtype == np.uint8 else picture)
    return pictures


def _unclear(table: Table, what: str, setting: str) -> InputError:
    columns = ", ".join(f"{name} ({kind})" for name, kind in list(table.kinds.items())[:12])
    more = f" and {len(table.kinds) - 12} more" if len(table.kinds) > 12 else ""
    return InputError(
        f"It is not clear {what}; there are: {columns}{more}.",
        file=table.source,
        fix=f"Say it with --set {setting}=NAME.",
    )
