"""Sheets of Excel and LibreOffice: `.xlsx`, `.xlsm`, `.xlsb`, `.xls` and `.ods`, by calamine."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import python_calamine as calamine

from elman.data import files
from elman.data.contents import BROKEN_ZIP
from elman.data.formats import formulas, hidden
from elman.data.headers import above, are_units, header_of
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest


class _Sheet(NamedTuple):
    """A sheet: its rows, the place of its first cell from 0, and whether it was asked for or is
    shown."""

    name: str
    rows: list[list[Any]]
    first: tuple[int, int]
    seen: bool


MOST_BYTES = 1 << 29
"""Bytes of a workbook's parts at most when they are unpacked."""
_ZIP = b"PK\x03\x04"


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    sheet: str | None = None,
) -> Table:
    """Read a sheet of each workbook; the first row that is as wide as the table names the columns.

    A cell keeps its type: numbers, dates and texts. Empty rows are left out.

    Args:
        paths: the files; all have the same columns.
        columns: those to keep.
        types: column → kind.
        sheet: the name of the sheet. None takes the only one that is not empty.

    Raises:
        InputError: the file is no workbook or damaged; several sheets hold something and none was
            named; the sheet has no rows.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    origins = []
    notes = []
    doubts = []
    for path in paths:
        name, rows, (above_it, before_it), seen = _chosen(path, sheet)
        numbered = [
            (n, row) for n, row in enumerate(rows, above_it + 1) if any(cell != "" for cell in row)
        ]
        written = [[_written(c) for c in row] for _, row in numbered[:200]]
        title = above(written)
        skipped, written, numbered = numbered[:title], written[title:], numbered[title:]
        first, cells = numbered[0]
        names, headless = header_of(written)
        if not headless:
            numbered = numbered[1:]
        if not numbered:
            raise InputError(f"The sheet {name!r} has a header and no rows.", file=path)
        if not headless and are_units(written[1:]):
            units = ", ".join(cell for cell in written[1] if cell)
            raise InputError(
                f"The row looks like the units of the columns: {units[:60]}.",
                file=path,
                row=numbered[0][0],
                fix="Take it out.",
            )
        twice = next((one for one in names if names.count(one) > 1), None)
        if twice is not None:
            raise InputError(
                "Two columns have this name.", file=path, row=first, column=twice, fix="Rename one."
            )
        if tables and list(tables[0].columns) != names:
            raise InputError(f"Its columns are not those of {paths[0].name}.", file=path)
        width = len(cells)
        tables.append(
            pd.DataFrame(
                {
                    column: pd.Series([_cell(row[place]) for _, row in numbered], dtype=object)
                    for place, column in enumerate(names[:width])
                }
            )
        )
        lines = [n for n, _ in numbered]
        origins.append(Origin(path, len(numbered), lines.__getitem__))
        doubts += hidden.doubts_of(path, name, lines, dict(enumerate(names, before_it + 1)))
        if not seen:
            doubts.append(
                f"sheet {name!r} is hidden in {path.name}, and it is the one that is read."
            )
        notes.append(f"Sheet {name!r}" + (", without a header." if headless else "."))
        if skipped:
            rows_of = [n for n, _ in skipped]
            many = f"row {rows_of[0]}" if title == 1 else f"rows {rows_of[0]} to {rows_of[-1]}"
            told = next(str(cell) for cell in skipped[0][1] if cell != "")
            notes.append(f"Skipped above the table: {many}, {told[:60]!r}.")
    return build(
        pd.concat(tables, ignore_index=True).infer_objects(),
        origins,
        columns=columns,
        types=types,
        meta={"notes": list(dict.fromkeys(notes)), "doubts": doubts},
    )


def _chosen(path: Path, sheet: str | None) -> _Sheet:
    """Return the sheet that was named, or else the only one that holds something."""
    _refuse_foreign(path)
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        names = book.sheet_names
        shown_as = calamine.SheetVisibleEnum.Visible
        unseen = {one.name for one in book.sheets_metadata if one.visible != shown_as}
        if sheet is not None:
            if sheet not in names:
                raise InputError(
                    f"There is no sheet {sheet!r}.", file=path, fix=nearest(sheet, names)
                )
            names = [sheet]
        held = {name: book.get_sheet_by_name(name).to_python() for name in names}
    except (calamine.CalamineError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The file is not a workbook, or damaged ({str(error)[:80]}).",
            file=path,
            fix="Save it again, or as CSV.",
        ) from None
    full = {name: rows for name, rows in held.items() if any(c != "" for row in rows for c in row)}
    if not full:
        formulas.refuse(path, names)
        raise InputError("The sheets of the workbook are empty.", file=path)
    if len(full) > 1:
        shown = ", ".join(
            f"{name!r} ({len(rows)} rows{', hidden' if name in unseen else ''})"
            for name, rows in full.items()
        )
        best = sorted(full, key=unseen.__contains__)[0]
        raise InputError(
            f"The workbook has several sheets: {shown}.",
            file=path,
            fix=f"Name one with sheet={best!r}, or save it alone as a file.",
        )
    [(name, rows)] = full.items()
    formulas.refuse(path, [name])
    first = book.get_sheet_by_name(name).start or (0, 0)
    return _Sheet(name, rows, first, sheet is not None or name not in unseen)


def _refuse_foreign(path: Path) -> None:
    head = next(files.blocks(path, 4096), b"")
    if files.is_gzip(path):
        raise InputError("This is gzip, not a workbook.", file=path, fix="Unpack it.")
    if not head:
        raise InputError("The file is empty.", file=path)
    files.refuse_foreign(path, head, "workbook|sheet|old Office document")
    if head.startswith(_ZIP):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(part.file_size for part in archive.infolist())
        except BROKEN_ZIP as error:
            raise InputError(
                f"The workbook is damaged ({error}).", file=path, fix="Fetch or save it again."
            ) from None
        if size > MOST_BYTES:
            raise InputError(
                f"The workbook unpacks to {size >> 20} MiB.", file=path, fix="Save it as CSV."
            )


def _written(cell: Any) -> str:
    whole = isinstance(cell, float) and cell == cell and cell.is_integer()
    return str(int(cell)) if whole else str(cell)


def _cell(cell: Any) -> Any:
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1 << 53:
        return int(cell)
    if isinstance(cell, datetime.time | datetime.timedelta):
        return str(cell)
    return cell
