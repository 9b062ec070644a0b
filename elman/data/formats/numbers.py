"""Rows of numbers without a header, as the UCR archive has them: the label first, then a series.

Between numbers stand commas, semicolons, tabs or blanks. Lines that begin with `#` are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.data.comments import is_comment
from elman.data.guessing import cells_of
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError

_LEAST = 4
"""Numbers of a row with a label and a series at least."""
_SHORT = 10
"""Rows up to which the first number is a label though each stands there once."""


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read rows of numbers.

    Where the first number of each row is whole and has few values, and no other column is so, it
    is a label, and the rest of the row a series, as in the UCR archive; missing values (`NaN`) at
    its end are no values. Otherwise the columns are `column 1`, `column 2`, and so on.

    Args:
        paths: the files.
        columns: those to keep.
        types: column → kind.
        encoding: found when `None`.

    Raises:
        InputError: a cell is no number, or rows without a label have unequal lengths.
    """
    import pandas as pd

    rows: list[NDArray[np.float64]] = []
    origins, noted = [], []
    for path in paths:
        numbers = []
        for number, line in enumerate(files.lines(path, encoding), 1):
            if is_comment(line):
                noted.append((number, line))
            elif line.strip():
                numbers.append(number)
                rows.append(_row(line, path, number))
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    width = max(map(len, rows))
    table = np.full((len(rows), width), np.nan)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    known: dict[str, Kind]
    if _labels_first(table):
        known = {"label": "category", "series": "series"}
        labels = [str(int(row[0])) for row in rows]
        frame = pd.DataFrame(
            {
                "label": pd.Series(labels, dtype=object),
                "series": objects([_ended(row[1:])[:, None] for row in rows]),
            }
        )
        note = "No header: the first number of a row is its label, the others are its series."
    else:
        for place, row in enumerate(rows):
            if len(row) != len(rows[0]):
                file, number = _place(origins, place)
                raise InputError(
                    f"The row has {len(row)} numbers; the first one has {len(rows[0])}.",
                    file=file,
                    row=number,
                    fix="Write NaN where a value is missing.",
                )
        known = {f"column {place + 1}": "number" for place in range(width)}
        frame = pd.DataFrame(dict(zip(known, table.T, strict=True)))
        for name in known:
            if np.isfinite(frame[name]).all() and (frame[name] % 1 == 0).all():
                frame[name] = frame[name].astype(np.int64, errors="ignore")
        note = "No header: the columns are numbered from 1."
    notes = [note]
    if noted:
        where = f"row {noted[0][0]}, {noted[0][1].strip()[:60]!r}"
        notes.append(f"Lines that begin with # left out: {len(noted):,}, the first is {where}.")
    meta: dict[str, Any] = {"notes": notes}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _row(line: str, path: Path, number: int) -> NDArray[np.float64]:
    if re.search(r"\d,\d", line) and re.search(r"[\d.][ \t]+[-+.\d]", line):
        raise InputError(
            "Both commas and blanks stand between digits: a comma may stand before decimals or "
            "between numbers.",
            file=path,
            row=number,
            fix="Write decimals with a point, and one mark between numbers.",
        )
    cells = cells_of(line)
    if cells[-1] == "":
        cells = cells[:-1]  # a mark at the end of the line
    found = np.empty(len(cells))
    for place, cell in enumerate(cells):
        try:
            found[place] = np.nan if cell in ("", "?") else float(cell)
        except ValueError:
            raise InputError(
                f"{cell[:40]!r} is not a number. The rows before it are numbers without a header.",
                file=path,
                row=number,
                column=f"column {place + 1}",
                fix="Correct it, or put a row with the names of columns first.",
            ) from None
    return found


def _labels_first(table: NDArray[np.float64]) -> bool:
    if table.shape[1] < _LEAST:
        return False
    if len(table) <= _SHORT:
        # A few rows to predict on: their labels need not come twice, but they do not count up.
        counts = len(table) > 1 and bool((np.diff(table[:, 0]) == 1).all())
        return _whole(table[:, 0]) and not counts and not any(map(_whole, table[:, 1:].T))
    return _few(table[:, 0]) and not any(map(_few, table[:, 1:].T))


def _few(column: NDArray[np.float64]) -> bool:
    """Return true for whole numbers of which each stands there twice or more on average."""
    return _whole(column) and 1 < len(np.unique(column)) <= len(column) / 2


def _whole(column: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(column).all() and (column % 1 == 0).all())


def _ended(row: NDArray[np.float64]) -> NDArray[np.float64]:
    present = np.flatnonzero(~np.isnan(row))
    return row[: present[-1] + 1 if len(present) else 0]


def _place(origins: Sequence[Origin], row: int) -> tuple[Path | None, int]:
    for origin in origins:
        if row < origin.rows:
            return origin.file, origin.line(row)
        row -= origin.rows
    raise IndexError(row)
