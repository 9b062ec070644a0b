"""JSON lines: one object a line, whose values carry their types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.data import files
from elman.data.table import Origin, Table, build
from elman.errors import InputError


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read JSON lines: keys become columns; a key that a line lacks is a missing value.

    Texts with spans of characters become the columns `tokens` and `tags`; see `tagged_json`.
    """
    import pandas as pd

    from elman.data.formats import tagged_json

    found: list[dict[str, Any]] = []
    origins = []
    for path in paths:
        numbers: list[int] = []
        for number, record in records(path, encoding):
            numbers.append(number)
            found.append(record)
        if not numbers:
            raise InputError("The file is empty.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    if not any(found):
        raise InputError("The objects have no named values.", file=paths[0])
    spans = [tagged_json.has_spans(record) for record in found]
    if all(spans) or any(tagged_json.marks_spans(record) for record in found):
        return tagged_json.read(paths, columns=columns, types=types, encoding=encoding)
    names = list(dict.fromkeys(name for record in found for name in record))
    frame = pd.DataFrame({name: _column([record.get(name) for record in found]) for name in names})
    return build(frame, origins, columns=columns, types=types)


def records(path: Path, encoding: str | None = None) -> Any:
    """Yield the number of each line and the object that stands on it."""
    for number, line in enumerate(files.lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            whole = number == 1 and line.lstrip()[:1] in "[{" and len(line.strip()) < 3
            raise InputError(
                f"The line is not JSON ({getattr(error, 'msg', error)}).",
                file=path,
                row=number,
                fix="Write every object on a line of its own."
                if whole
                else "Correct or remove the line.",
            ) from None
        if not isinstance(record, dict):
            raise InputError(
                f"The line holds a {type(record).__name__}, not an object with named values.",
                file=path,
                row=number,
                fix='Write {"name": value, ...} on each line.',
            )
        yield number, record


def _column(cells: list[Any]) -> Any:
    import pandas as pd

    plain = all(cell is None or isinstance(cell, int | float) for cell in cells)
    mixed = any(isinstance(cell, bool) for cell in cells)
    return pd.Series(cells) if plain and not mixed else pd.Series(cells, dtype=object)
