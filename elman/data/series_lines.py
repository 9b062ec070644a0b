"""Text files of series: headers that begin with `@`, then a series a line (`.ts`, `.tsf`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.errors import InputError


def parse(path: Path, encoding: str | None) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Return the headers (names in lower case), and the data lines with their numbers."""
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


def channels(dims: list[str], path: Path, number: int) -> NDArray[np.float64]:
    """Return an array `(T, C)` with the values of each dimension as one column."""
    found = []
    for place, dim in enumerate(dims, 1):
        cells = [] if not dim.strip() else dim.split(",")
        found.append([_value(cell, path, number, place) for cell in cells])
    lengths = [len(channel) for channel in found]
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
    return np.array(found, dtype=np.float64).T.copy()


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
