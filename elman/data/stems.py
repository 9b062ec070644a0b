"""Lists of recordings that name files without their endings: `rec1` for `rec1.wav`."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from elman.data import files
from elman.data.kinds import objects
from elman.data.table import Table
from elman.errors import InputError

_LONGEST = 120
_SOME = 0.5
"""Share of the names that are files from which the others are wrong."""
_FOLDERS = 100
"""Folders beside a list that are looked into at most."""
_LEAST = 3
"""Files that are named at least, or names are alike by chance."""


def with_endings(table: Table, suffixes: Collection[str]) -> Table:
    """Return a table whose column of names of files has their endings; else the table itself.

    Each cell of such a column stands there once and is the name of a file beside the list, or in a
    folder beside it, but for its ending.

    Args:
        table: the list, of one file.
        suffixes: endings of the files that are looked for.

    Raises:
        InputError: a name is that of several files, or of none where most are of one.
    """
    if table.source is None or len(table.origins) != 1:
        return table
    able = [name for name in table.kinds if _may_name(table, name)]
    beside = _stems(table.source, suffixes) if able else {}
    for name in able if len(beside) >= _LEAST else ():
        cells = [cell.strip() for cell in table.labels(name)]
        known = sum(cell in beside for cell in cells)
        if known < max(_LEAST, _SOME * len(cells)):
            continue
        for row, cell in enumerate(cells):
            found = beside.get(cell, [])
            if len(found) != 1:
                raise _unclear(table, row, name, cell, found)
        folder = table.source.parent
        paths = [beside[cell][0].relative_to(folder).as_posix() for cell in cells]
        note = f"{name!r} names files without their endings: {cells[0]!r} is {paths[0]}."
        return replace(
            table,
            frame=table.frame.assign(**{name: objects(paths)}),
            kinds={**table.kinds, name: "text"},
            meta={**table.meta, "notes": [*table.meta.get("notes", ()), note]},
            spelt={other: of for other, of in table.spelt.items() if other != name},
        )
    return table


def _may_name(table: Table, name: str) -> bool:
    """Tell whether the cells of a column may be names of files, each of another one."""
    if table.kinds[name] not in ("text", "category", "number"):
        return False
    cells = table.names(name)
    if cells.isna().any() or cells.duplicated().any():
        return False
    shown = cells.astype(str)
    return bool(shown.str.len().between(1, _LONGEST).all() and not shown.str.contains(r"\s").any())


def _stems(source: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    """Return the files beside a list, and in the folders beside it, by their names without
    ending."""
    found: dict[str, list[Path]] = {}
    beside = _names(source.parent)
    folders = [path for path in beside if not path.suffix and path.is_dir()][:_FOLDERS]
    for path in (*beside, *(path for folder in folders for path in _names(folder))):
        if path != source and files.suffix(path) in suffixes:
            found.setdefault(path.name.removesuffix(".gz").rpartition(".")[0], []).append(path)
    return found


def _names(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _unclear(table: Table, row: int, name: str, cell: str, found: list[Path]) -> InputError:
    if found:
        shown = ", ".join(f"{path.parent.name}/{path.name}" for path in found[:3])
        what = f"{cell!r} is the name of several files: {shown}."
        return table.refuse(what, row, name, "Write the names with their endings and folders.")
    what = f"There is no file of the name {cell!r}, with any ending, beside this one."
    return table.refuse(what, row, name, "Correct the name, or take the row out.")
