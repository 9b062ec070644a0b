"""Recordings of numbers: each file is a sequence, and each of its rows a step.

Sensors and games leave a CSV file a recording, with its class in the name of its folder or in a
list of files. Such files become one long table: a row a step, the column `file` for the sequence
it belongs to, and what the folder or the list says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.data.formats.sound import ABOUT, PARTS
from elman.data.formats.sound import SUFFIXES as SOUNDS
from elman.data.kinds import Kind, objects
from elman.data.table import Table
from elman.errors import InputError

FILE = "file"
"""The column that says which recording a row belongs to."""

LABEL = "label"
SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".pq")
_OTHER_TABLES = (".jsonl", ".ndjson")
_LISTS = ("labels", "label", "manifest", "metadata", "index", "annotations", "classes", "targets")


def of_folders(table: Table) -> Table | None:
    """Return files in several folders as recordings whose class is the folder's name.

    None where the files lie in one folder, or have columns of anything but numbers and times, one
    of which may be the answer.
    """
    folders = {origin.file.parent for origin in table.origins if origin.file is not None}
    names = {folder.name for folder in folders if folder.name.casefold() not in PARTS}
    plain = all(kind in ("number", "time") for kind in table.kinds.values())
    if len(names) < 2 or not plain or {FILE, LABEL} & set(table.kinds):
        return None
    return with_labels(by_file(table))


def with_labels(table: Table) -> Table:
    """Return a table of recordings with the name of each one's folder as its label, where they lie
    in several that do not only say train and test."""
    folders = {origin.file.parent.name for origin in table.origins if origin.file is not None}
    if len({name for name in folders if name.casefold() not in PARTS}) < 2 or LABEL in table.kinds:
        return table
    labels = [origin.file.parent.name for origin in table.origins if origin.file is not None]
    rows = [origin.rows for origin in table.origins]
    own = objects(np.repeat(np.array(labels, object), rows).tolist())
    first = table.origins[0].file
    assert first is not None
    note = f"The label is the name of a file's folder: {labels[0]!r} of {first.name}."
    return replace(
        table,
        frame=table.frame.assign(**{LABEL: own}),
        kinds={**table.kinds, LABEL: "category"},
        meta={**table.meta, "notes": [*table.meta.get("notes", ()), note]},
    )


def by_file(table: Table) -> Table:
    """Return a table with the column `file`, without the columns that only count time."""
    names = names_of([origin.file for origin in table.origins])
    rows = [origin.rows for origin in table.origins]
    owner = np.repeat(np.array(names, object), rows)
    counting = [
        n
        for n, kind in table.kinds.items()
        if kind == "number" and counts(table.frame[n].to_numpy(float), rows)
    ]
    kept = [n for n in table.kinds if n not in counting]
    frame = table.frame[kept if kept else list(table.kinds)].copy()
    kinds: dict[str, Kind] = {n: table.kinds[n] for n in frame.columns}
    notes = [*table.meta.get("notes", ())]
    notes.append(f"Each file is a sequence, and each of its rows a step: {len(names)} files.")
    if kept and counting:
        shown = ", ".join(repr(name) for name in counting)
        notes.append(f"{shown} left out: in each file it only counts the time.")
    frame[FILE] = objects(owner.tolist())
    return replace(
        table,
        frame=frame,
        kinds={**kinds, FILE: "category"},
        meta={**table.meta, "notes": notes, "made": [FILE]},
    )


def path_column(table: Table) -> str | None:
    """Return the column in which every cell names a table's file, or None: the mark of a list."""
    found = files.columns_of(table, SUFFIXES)
    return found[0] if len(found) == 1 else None


def from_list(table: Table, column: str, read: Callable[[list[Path]], Table]) -> Table:
    """Return the recordings that a list names, with what it says of each.

    Args:
        table: the list, a row a recording.
        column: of the names of files; they lie beside the list or in a folder below it.
        read: what reads them into one table.

    Raises:
        InputError: a file is not there, is named twice, or has a column of the list's.
    """
    import pandas as pd

    below: dict[Path, dict[str, list[Path]]] = {}
    places = [_place(table, row, column, below) for row in range(len(table))]
    if len(set(places)) < len(places):
        row = next(row for row, place in enumerate(places) if place in places[:row])
        raise table.refuse("The file is named twice.", row, column, "Take one of the rows out.")
    found = by_file(read(places))
    said = [name for name in table.kinds if name != column]
    for name in said:
        if name in found.kinds:
            raise InputError(
                f"{table.source.name if table.source else 'The list'} and the files that it names "
                "both have this column.",
                file=table.source,
                column=name,
                fix="Rename one of them.",
            )
    sizes = [origin.rows for origin in found.origins]

    def each(cells: pd.Series) -> pd.Series:
        return pd.Series(np.repeat(np.array(cells, object), sizes))

    frame = found.frame.assign(**{name: each(table.frame[name]) for name in said})
    spelt = {name: each(table.spelt[name]) for name in said if name in table.spelt}
    kinds = {**found.kinds, **{name: table.kinds[name] for name in said}}
    listed = f"{table.source.name if table.source else 'The list'} says of each file: "
    notes = [*dict.fromkeys([*table.meta.get("notes", ()), *found.meta["notes"]])]
    notes += [listed + ", ".join(said) + "."] if said else []
    return replace(
        found,
        frame=frame,
        kinds=kinds,
        meta={**found.meta, "notes": notes},
        spelt={**found.spelt, **spelt},
    )


def list_in(folder: Path) -> Path | None:
    """Return the one file of a folder that may list its recordings, or None."""
    found = [p for p in files.listing(folder) if files.suffix(p) in SUFFIXES]
    named = [p for p in found if p.name.split(".")[0].lower() in _LISTS]
    top = [p for p in found if p.parent == folder]
    if len(found) < 3:
        return None
    if len(named) == 1:
        return named[0]
    return top[0] if len(top) == 1 else None


def list_of_sounds(folder: Path) -> Path | None:
    """Return the one table in a folder of sound, beside the recordings that it may list, or None.

    It lies in the folder itself or in one such as `meta`; several tables are none.
    """
    found = files.listing(folder)
    tables = [path for path in found if files.suffix(path) in (*SUFFIXES, *_OTHER_TABLES)]
    sounds = [path for path in found if files.suffix(path) in SOUNDS]
    alone = len(tables) == 1 and (
        tables[0].parent == folder
        or (tables[0].parent.parent == folder and tables[0].parent.name.casefold() in ABOUT)
    )
    return tables[0] if sounds and alone else None


def _place(table: Table, row: int, column: str, known: dict[Path, dict[str, list[Path]]]) -> Path:
    """Return the file that a row names; `known` keeps the files below each folder by name."""
    cell = str(table.frame[column].iloc[row]).strip()
    beside = table.where(row)[0]
    folder = Path() if beside is None else beside.parent
    if (folder / cell).is_file():
        return folder / cell
    if folder not in known:
        known[folder] = {}
        for path in folder.rglob("*"):
            known[folder].setdefault(path.name, []).append(path)
    named = known[folder].get(Path(cell).name, [])
    below = [path for path in named if path.as_posix().endswith(cell)]
    if len(below) == 1:
        return below[0]
    what = f"There is no file {cell!r} beside this one" + (
        ", and there are several below it." if below else ", nor in a folder below it."
    )
    raise table.refuse(what, row, column, "Correct the name, or take the row out.")


def names_of(paths: Sequence[Path | None]) -> list[str]:
    """Return short names that tell files apart."""
    known = [path or Path("in memory") for path in paths]
    short = [path.name for path in known]
    if len(set(short)) == len(short):
        return short
    near = [f"{path.parent.name}/{path.name}" for path in known]
    return near if len(set(near)) == len(near) else [str(path) for path in known]


def counts(values: NDArray[np.float64], sizes: Sequence[int]) -> bool:
    """Say whether a column rises by one and the same in every row of every sequence: it tells the
    time, and by its end the length.

    Args:
        values: of all sequences, one after another.
        sizes: rows of each.

    >>> counts(np.array([0.0, 1, 2, 5, 6, 7, 8]), [3, 4])
    True
    """
    first = 0
    steps: set[float] = set()
    for size in sizes:
        rises = np.diff(values[first : first + size])
        first += size
        if len(rises):
            if not np.allclose(rises, rises[0], rtol=1e-3, atol=0) or rises[0] <= 0:
                return False
            steps.add(float(f"{rises[0]:.3g}"))
    return len(values) > 2 * len(sizes) and len(steps) == 1
