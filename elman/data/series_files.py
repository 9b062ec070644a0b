"""Files of series: `.ts` (sktime) and `.tsf` (Monash), and CSV with one series a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest


def read_ts(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Columns `series` (arrays `(T, C)`, NaN for `?`) and, where the file has classes, `label`."""
    import pandas as pd

    cells: list[NDArray[np.float64]] = []
    names: list[str] = []
    origins = []
    meta: dict[str, Any] = {}
    for path in paths:
        meta, rows = _parse(path, encoding)
        numbers = []
        labelled = str(meta.get("classlabel", "false")).split()[0].lower() == "true"
        classes = str(meta.get("classlabel", "")).split()[1:]
        for number, line in rows:
            dims = line.split(":")
            if labelled:
                if len(dims) < 2:
                    raise InputError(
                        "The case has no class label.",
                        file=path,
                        row=number,
                        fix="End the line in ':' and the label.",
                    )
                label = dims.pop().strip()
                if classes and label not in classes:
                    raise InputError(
                        f"The label {label!r} is not among the classes of @classLabel.",
                        file=path,
                        row=number,
                        fix=nearest(label, classes),
                    )
                names.append(label)
            cells.append(_channels(dims, path, number))
            if cells[-1].shape[1] != cells[0].shape[1]:
                raise InputError(
                    f"The case has {cells[-1].shape[1]} dimensions; the first one has "
                    f"{cells[0].shape[1]}.",
                    file=path,
                    row=number,
                )
            numbers.append(number)
        if names and len(names) != len(cells):
            raise InputError("Some of the files have class labels and some do not.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({"series": objects(cells)})
    known: dict[str, Kind] = {"series": "series"}
    if names:
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def read_tsf(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """The file's attributes as columns, and `series` (arrays `(T, 1)`, NaN for `?`)."""
    import pandas as pd

    held: dict[str, list[Any]] = {}
    known: dict[str, Kind] = {"series": "series"}
    origins = []
    meta: dict[str, Any] = {}
    for path in paths:
        meta, rows = _parse(path, encoding)
        attributes = meta.get("attribute", [])
        numbers = []
        for number, line in rows:
            *fields, values = line.split(":")
            if len(fields) != len(attributes):
                raise InputError(
                    f"The row has {len(fields)} attributes; the header names {len(attributes)}.",
                    file=path,
                    row=number,
                )
            for (name, kind), cell in zip(attributes, fields, strict=True):
                known[name] = _TSF_KINDS.get(kind, "category")
                if kind == "date":
                    day, _, clock = cell.strip().partition(" ")
                    cell = f"{day} {clock.replace('-', ':')}".strip()
                held.setdefault(name, []).append(cell)
            held.setdefault("series", []).append(_channels([values], path, number))
            numbers.append(number)
        if len({len(cells) for cells in held.values()}) > 1:
            raise InputError(f"Its attributes are not those of {paths[0].name}.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({name: objects(cells) for name, cells in held.items()})
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def series_from_wide(table: Table) -> Table:
    """From one series a row (as in the M4 files) to one series a cell.

    The first column that is not of numbers names the series; all columns of numbers are its
    values in order. Empty cells at the end of a row are no values (series of unequal length);
    one between values is a missing value.

    Returns:
        The naming column (or `name`, counted from 1, where there is none) and `series`.

    Raises:
        InputError: a row has no value, or there are two columns that are not of numbers.
    """
    import pandas as pd

    names = [name for name, kind in table.kinds.items() if kind != "number"]
    numeric = [name for name, kind in table.kinds.items() if kind == "number"]
    if len(names) > 1 or not numeric:
        raise InputError(
            "A table with one series a row has one column of names and else numbers; this one "
            f"has {len(names)} columns that are not of numbers: {', '.join(names[:5])}.",
            file=table.source,
        )
    values = table.frame[numeric].to_numpy(dtype=np.float64)
    present = ~np.isnan(values)
    lengths = values.shape[1] - np.argmax(present[:, ::-1], axis=1)
    if not present.any(axis=1).all():
        file, row = table.where(int(np.argmin(present.any(axis=1))))
        raise InputError("The series has no values.", file=file, row=row)
    cells = [row[:length, None].copy() for row, length in zip(values, lengths, strict=True)]
    label = names[0] if names else "name"
    held = table.labels(label) if names else [str(place + 1) for place in range(len(table))]
    frame = pd.DataFrame({label: pd.Series(held, dtype=object), "series": objects(cells)})
    kinds: dict[str, Kind] = {label: "category", "series": "series"}
    return replace(table, frame=frame, kinds=kinds)


_TSF_KINDS: dict[str, Kind] = {"numeric": "number", "date": "time", "string": "category"}


def _parse(path: Path, encoding: str | None) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """The headers (names in lower case), and the data lines with their numbers."""
    meta: dict[str, Any] = {}
    rows: list[tuple[int, str]] = []
    in_data = False
    for number, line in enumerate(files.lines(path, encoding), 1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if in_data:
            rows.append((number, line))
        elif not line.startswith("@"):
            raise InputError(
                "Data come before @data.", file=path, row=number, fix="Write a line @data."
            )
        else:
            name, _, value = line[1:].replace("\t", " ").partition(" ")
            name, value = name.lower(), value.strip()
            if name == "attribute":
                attribute, _, kind = value.rpartition(" ")
                meta.setdefault("attribute", []).append((attribute.strip(), kind.lower()))
            elif name == "data":
                in_data = True
            else:
                meta[name] = value
            if name == "timestamps" and value.lower() == "true":
                raise InputError(
                    "Series with time stamps are not read.",
                    file=path,
                    row=number,
                    fix="Write the values alone, with @timeStamps false.",
                )
    if not rows:
        what = "There is no case after @data." if in_data else "There is no line @data."
        raise InputError(what, file=path)
    return meta, rows


def _channels(dims: list[str], path: Path, number: int) -> NDArray[np.float64]:
    """Each dimension's values as one column of an array `(T, C)`."""
    channels = []
    for place, dim in enumerate(dims, 1):
        cells = [] if not dim.strip() else dim.split(",")
        channels.append([_value(cell, path, number, place) for cell in cells])
    lengths = [len(channel) for channel in channels]
    if not lengths or min(lengths) == 0:
        raise InputError("The series has no values.", file=path, row=number)
    if len(set(lengths)) > 1:
        odd = next(place for place, n in enumerate(lengths) if n != lengths[0])
        raise InputError(
            f"Dimension {odd + 1} has {lengths[odd]} values; dimension 1 has {lengths[0]}.",
            file=path,
            row=number,
            fix="Write '?' where a value is missing.",
        )
    return np.array(channels, dtype=np.float64).T.copy()


def _value(cell: str, path: Path, number: int, place: int) -> float:
    cell = cell.strip()
    if cell in ("?", "NaN", "nan"):
        return np.nan
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"{cell!r} is not a number (dimension {place}).",
            file=path,
            row=number,
            fix="Write '?' where a value is missing.",
        ) from None
