"""`.tsf`, the format of the Monash archive: series and their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.data.kinds import Kind, objects
from elman.data.series_lines import channels, parse
from elman.data.table import Origin, Table, build
from elman.errors import InputError

_KINDS: dict[str, Kind] = {"numeric": "number", "date": "time", "string": "category"}


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read the file's attributes as columns, and `series` (arrays `(T, 1)`, NaN for `?`)."""
    import pandas as pd

    held: dict[str, list[Any]] = {}
    known: dict[str, Kind] = {"series": "series"}
    origins = []
    meta: dict[str, Any] = {}
    for path in paths:
        meta, rows = parse(path, encoding)
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
                known[name] = _KINDS.get(kind, "category")
                if kind == "date":
                    day, _, clock = cell.strip().partition(" ")
                    cell = f"{day} {clock.replace('-', ':')}".strip()
                held.setdefault(name, []).append(cell)
            held.setdefault("series", []).append(channels([values], path, number))
            numbers.append(number)
        if len({len(cells) for cells in held.values()}) > 1:
            raise InputError(f"Its attributes are not those of {paths[0].name}.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({name: objects(cells) for name, cells in held.items()})
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)
