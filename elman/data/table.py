"""A table of typed columns that knows which line of which file each of its rows came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.data import dialogues, large, nested
from elman.data import kinds as kinds_of
from elman.data.kinds import KINDS, Kind
from elman.data.readings import OTHER, Unfit
from elman.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd


_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?")
_SHOWN = 3
"""Rows that a message names where there are more."""
_NO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff \t\r\n"
"""Characters without a width, as web pages and chats leave them, and blanks between them."""
_WHOLE = re.compile(r"\.0+$")


@dataclass(frozen=True)
class Origin:
    """The origin of consecutive rows: `rows` of them from `file`; `line` numbers them.

    A row's number is the line of the file on which it begins, the first line being 1 (so that
    the first row under a header is row 2); where a file has no lines (Parquet, IDX, a
    DataFrame), or several rows stand on one (JSON), it is the row itself, counted from 1.
    """

    file: Path | None
    rows: int
    line: Callable[[int], int] = lambda row: row + 1


@dataclass(frozen=True)
class Table:
    """Columns of one kind each.

    Attributes:
        frame: the cells; see `elman.data.kinds` for the form of each kind.
        kinds: column → kind.
        source: the file, or the first of several; None for a DataFrame.
        meta: what a file says about itself (the headers of `.ts` and `.tsf`).
        how: column → how its numbers or dates were written, as arguments of `kinds.written`;
            `years`, the first and last year where years have two digits; `others`, the orders of
            day and month that the rows ruled out; and what `Numerals.told` tells of numbers.
        spelt: column of numbers → its cells as the file writes them, where the numbers do not tell
            (1.10, 1E5, 21 digits): a name that is made of digits keeps its text.
    """

    frame: pd.DataFrame
    kinds: dict[str, Kind]
    source: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    index: NDArray[np.int64] | None = None
    how: dict[str, dict[str, str]] = field(default_factory=dict)
    spelt: dict[str, pd.Series] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, row: int) -> tuple[Path | None, int]:
        """Return the file of a row (counted from 0), and the row's number there (see `Origin`)."""
        number = int(self.index[row]) if self.index is not None else row
        for origin in self.origins:
            if number < origin.rows:
                return origin.file, origin.line(number)
            number -= origin.rows
        return self.source, row + 1

    def take(self, rows: ArrayLike) -> Table:
        """Return some of the rows, in the given order; they keep their origin."""
        chosen = np.asarray(rows, dtype=np.int64)
        index = chosen if self.index is None else self.index[chosen]
        frame = self.frame.iloc[chosen].reset_index(drop=True)
        spelt = {n: c.iloc[chosen].reset_index(drop=True) for n, c in self.spelt.items()}
        return replace(self, frame=frame, index=index, spelt=spelt)

    def notes(self) -> list[str]:
        """Return in sentences how the table was read: format, encoding, header, and its rows."""
        told = [*(str(note) for note in self.meta.get("notes", ())), *self.left_out()]
        places = list(dict.fromkeys(origin.file for origin in self.origins if origin.file))
        where = "in memory"
        if places:
            where = f"from {places[0].name}"
            if len(places) > 1:
                where = f"from {len(places)} files, {places[0].name} to {places[-1].name}"
        rows = "1 row" if len(self) == 1 else f"{len(self)} rows"
        shown = [f"{name} ({kind})" for name, kind in list(self.kinds.items())[:8]]
        more = f" and {len(self.kinds) - 8} more" if len(self.kinds) > 8 else ""
        return [*told, f"{rows} {where}; columns: {', '.join(shown)}{more}."]

    def left_out(self) -> list[str]:
        """Return in sentences how many rows of the files were left out, and why."""
        return [str(note) for note in self.meta.get("left_out", ())]

    def doubts(self) -> list[str]:
        """Return what is doubtful about how the files were read, in sentences."""
        return [str(doubt) for doubt in self.meta.get("doubts", ())]

    def column(self, name: str, kind: Kind | None = None) -> pd.Series:
        """Return a column, converted to `kind` if it is of another kind.

        Raises:
            InputError: there is no such column, or a cell cannot be of that kind.
        """
        if name not in self.kinds:
            raise InputError(
                f"There is no column {name!r}.", file=self.source, fix=nearest(name, self.kinds)
            )
        if kind is None or kind == self.kinds[name]:
            return self.frame[name]
        if kind in ("category", "text"):
            return kinds_of.convert(self.names(name), kind)
        try:
            if kind == "series":
                return kinds_of.to_series(self.frame[name], self.meta.get("decimal"))
            return kinds_of.convert(self.frame[name], kind)
        except Unfit as error:
            raise self.unfit(error, name) from None

    def names(self, name: str) -> pd.Series:
        """Return the cells of a column by which rows are told apart: of numbers, as the file writes
        them. (1.1 and 1.10 are one number and two names).
        """
        cells = self.column(name)
        if self.kinds[name] != "number" or name not in self.spelt:
            return cells
        return self.spelt[name].astype(object).where(cells.notna(), None)

    def numbers(self, name: str, *, allow_missing: bool = False) -> NDArray[np.float64]:
        """Return a column as float64, `(rows,)`.

        Raises:
            InputError: a cell is text, infinite, or missing (unless that is allowed).
        """
        values = self.column(name, "number").to_numpy(dtype=np.float64)
        wrong = np.isinf(values) if allow_missing else ~np.isfinite(values)
        if wrong.any():
            row = int(np.argmax(wrong))
            if np.isnan(values[row]):
                self.refuse_missing(
                    np.flatnonzero(np.isnan(values)).tolist(), name, "A value is missing"
                )
            what = f"{values[row]} is not a finite number."
            raise self.refuse(what, row, name, "Fill it in, or take the row out.")
        return values

    def texts(self, name: str) -> list[str]:
        """Return a column as strings.

        Raises:
            InputError: a cell is empty: there is no sequence in it.
        """
        cells = list(self.column(name, "text"))
        empty = [row for row, cell in enumerate(cells) if cell is None or is_blank(cell)]
        self.refuse_missing(empty, name, "The text is empty")
        return cells

    def labels(self, name: str, word: str = "label") -> list[str]:
        """Return a column as the names of classes, as `plain_labels` writes them.

        Args:
            name: of the column.
            word: what a cell is, for the message.

        Raises:
            InputError: a cell is empty.
        """
        cells = list(self.column(name, "category"))
        self.refuse_missing(
            [row for row, cell in enumerate(cells) if cell is None or cell != cell],
            name,
            f"The {word} is missing",
        )
        return plain_labels(cells)

    def refuse_missing(self, rows: Sequence[int], name: str, what: str) -> None:
        """Refuse a column some of whose cells are missing, and say how many and where.

        Args:
            rows: the missing cells, counted from 0.
            name: of the column.
            what: the beginning of the message, such as "A value is missing".

        Raises:
            InputError: there are any.
        """
        if not len(rows):
            return
        count = ""
        if len(rows) > 1:
            first = ", ".join(str(self.where(int(row))[1]) for row in rows[:_SHOWN])
            more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
            count = f" in {len(rows):,} of {len(self):,} rows (rows {first}{more})"
        them = "it" if len(rows) == 1 else "them"
        out = "row" if len(rows) == 1 else "rows"
        fix = f"Fill {them} in, or take the {out} out."
        raise self.refuse(f"{what}{count}.", int(rows[0]), name, fix)

    def series(
        self, name: str, *, allow_missing: bool = False, allow_empty: bool = False
    ) -> list[NDArray[np.float64]]:
        """Return a column of series, arrays `(T, C)` with the same C.

        Raises:
            InputError: a series is empty or misses a value (unless that is allowed), or has
                another number of channels than the first.
        """
        cells = list(self.column(name, "series"))
        first = next((cell for cell in cells if cell is not None and len(cell)), np.empty((0, 1)))
        for row, cell in enumerate(cells):
            if cell is None or len(cell) == 0:
                if allow_empty:
                    cells[row] = first[:0]
                    continue
                raise self.refuse("The series has no values.", row, name, "Take the row out.")
            if cell.shape[1] != first.shape[1]:
                raise self.refuse(
                    f"The series has {cell.shape[1]} channels; the first one has {first.shape[1]}.",
                    row,
                    name,
                )
            wrong = np.isinf(cell) if allow_missing else ~np.isfinite(cell)
            if wrong.any():
                step = int(np.argmax(wrong.any(axis=1)))
                raise self.refuse(
                    f"Value {step + 1} of the series is missing or infinite.",
                    row,
                    name,
                    "Fill it in, or take the row out.",
                )
        return cells

    def refuse(self, what: str, row: int, column: str, fix: str | None = None) -> InputError:
        """Return the error to raise about the cell in `row` (counted from 0) of `column`."""
        file, number = self.where(row)
        return InputError(what, file=file, row=number, column=column, fix=fix)

    def unfit(self, error: Unfit, column: str) -> InputError:
        """Return the error to raise about a cell that does not fit its column."""
        what = str(error)
        if error.other is not None:
            what = what.replace(OTHER, str(self.where(error.other)[1]))
        return self.refuse(what, error.place, column, error.fix)


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing to read: blanks alone, also those without a width.

    >>> is_blank("  "), is_blank(chr(0x200B)), is_blank(" a")
    (True, True, False)
    """
    return not text.strip().strip(_NO_WIDTH)


def plain_labels(labels: Sequence[str]) -> list[str]:
    """Return labels as they are written everywhere, whatever kind of file or table they came from.

    Where all are truth values they are in lower case (pandas writes `True`, JSON `true`, Excel
    `TRUE`); where all are numbers, whole ones have no point.

    >>> plain_labels(["True", "False"]), plain_labels(["1.0", "2"]), plain_labels(["01", "1.0"])
    (['true', 'false'], ['1', '2'], ['01', '1.0'])
    """
    names = set(labels)
    if {name.lower() for name in names} <= {"true", "false"}:
        return [label.lower() for label in labels]
    if names and all(_NUMBER.fullmatch(name) for name in names):
        return [_WHOLE.sub("", label) for label in labels]
    return list(labels)


def build(
    frame: pd.DataFrame,
    origins: Sequence[Origin],
    *,
    known: Mapping[str, Kind] | None = None,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    meta: dict[str, Any] | None = None,
    spelt: Mapping[str, pd.Series] | None = None,
) -> Table:
    """Make a table: find the kind of every column whose kind is neither known nor given.

    A column of objects becomes a column for each of their values (`elman.data.nested`), unless its
    kind is given.

    Args:
        frame: the cells.
        origins: where the rows came from, in order.
        known: column → kind, as the format of the file says.
        columns: the columns to keep, in that order; all when None.
        types: column → kind, as the user says; it comes before `known`.
        meta: what a file says about itself.
        spelt: columns of numbers as the file writes them; see `Table`.

    Raises:
        InputError: two columns have one name, or a cell does not fit its column.
    """
    import pandas as pd

    source = origins[0].file if origins else None
    if not frame.columns.is_unique:
        twice = str(frame.columns[frame.columns.duplicated()][0])
        raise InputError(
            "Two columns have this name.", file=source, column=twice, fix="Rename one of them."
        )
    given = dict(types or {})
    frame, note, doubts = _unfolded(frame, {*given, *(known or {})}, source, origins)
    meta = dict(meta or {})
    if note:
        meta["notes"] = [*meta.get("notes", ()), note]
    raw = Table(frame, dict.fromkeys(frame.columns, "text"), source, meta, tuple(origins))
    _refuse_names_again(raw)
    for name, given_kind in given.items():
        raw.column(name)
        if given_kind not in KINDS:
            raise InputError(
                f"There is no type {given_kind!r}.", column=name, fix=nearest(given_kind, KINDS)
            )
    chosen = list(frame.columns) if columns is None else list(columns)
    made: dict[str, pd.Series] = {}
    found: dict[str, Kind] = {}
    how: dict[str, dict[str, str]] = {}
    for name in chosen:
        values = raw.column(name)
        kind = given.get(name, (known or {}).get(name))
        try:
            if kind is None:
                made[name], found[name] = kinds_of.infer(values)
                how[name] = {str(key): str(value) for key, value in made[name].attrs.items()}
            else:
                found[name] = kind  # type: ignore[assignment]
                made[name] = kinds_of.convert(values, found[name])
        except Unfit as error:
            raise raw.unfit(error, name) from None
    spelt = dict(spelt or {})
    for name, kind in found.items():
        if kind == "number" and large.are(made[name]):
            words = large.alike(spelt.get(name, raw.frame[name]), name, lambda r: raw.where(r)[1])
            doubts += [words] if words else []
    if doubts:
        meta["doubts"] = [*meta.get("doubts", ()), *doubts]
    for name, kind in found.items():
        texts = kind == "number" and pd.api.types.infer_dtype(frame[name], skipna=True) == "string"
        if texts and name not in spelt:
            spelt[name] = frame[name].astype(str).str.strip().astype("category")
    spelt = {name: cells for name, cells in spelt.items() if found.get(name) == "number"}
    frame = pd.DataFrame(made)
    return Table(frame, found, source, meta, tuple(origins), how=how, spelt=spelt)


def _refuse_names_again(raw: Table) -> None:
    """Refuse a row whose cells are the names of the columns, as where files were put together."""
    names = [str(name) for name in raw.frame.columns]
    if len(names) < 2:
        return
    first = raw.frame.iloc[:, 0]
    if first.dtype.kind in "iufbM":
        return
    for row, cell in enumerate(first):
        if not isinstance(cell, str) or _shown(cell) != names[0]:
            continue
        cells = [_shown(cell) for cell in raw.frame.iloc[row]]
        if cells == names:
            file, number = raw.where(row)
            raise InputError(
                "The row repeats the names of the columns.",
                file=file,
                row=number,
                fix="Take it out.",
            )


def _shown(cell: object) -> str:
    """Return a cell without blanks, and without the byte order mark of a file that was put after
    another."""
    return str(cell).strip(" \t\ufeff")


def _unfolded(
    frame: pd.DataFrame, told: Collection[str], source: Path | None, origins: Sequence[Origin]
) -> tuple[pd.DataFrame, str, list[str]]:
    """Return a frame whose columns of objects, but for those `told` of, are columns of their own,
    what is to be said of it, and doubts."""
    import pandas as pd

    raw = Table(frame, dict.fromkeys(frame.columns, "text"), source, {}, tuple(origins))
    parts: dict[str, pd.DataFrame] = {}
    for name in frame.columns:
        if name in told:
            continue
        try:
            own = nested.unfolded(frame[name])
            own = dialogues.unfolded(frame[name]) if own is None else own
        except Unfit as error:
            raise raw.unfit(error, str(name)) from None
        if own is not None:
            parts[name] = own
    if not parts:
        return frame, "", []
    made = pd.concat([parts.get(n, frame[[n]]) for n in frame.columns], axis=1)
    if not made.columns.is_unique:
        twice = str(made.columns[made.columns.duplicated()][0])
        raise InputError(
            "A column has this name, and so has a value within an object.",
            file=source,
            column=twice,
            fix="Rename one of them.",
        )
    doubts = [doubt for own in parts.values() for doubt in own.attrs.get("doubts", ())]
    names = [column for own in parts.values() for column in own.columns]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
    several = len(parts) > 1
    objects = ", ".join(f"'{name}'" for name in parts)
    return (
        made,
        f"{objects} {'hold' if several else 'holds'} objects; "
        + (f"a column each for their values: {shown}." if names else "they are all empty."),
        doubts,
    )
