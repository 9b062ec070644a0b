"""Tables with one series a row, as in the M4 files, turned into one series a cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from elman.data.kinds import Kind, objects
from elman.data.table import Table
from elman.errors import InputError


def series_from_wide(table: Table) -> Table:
    """Turn a table with one series a row (as in the M4 files) into one series a cell.

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
            "A table with one series a row has one column of names, and numbers in all others; "
            f"this one has {len(names)} columns that are not of numbers: {', '.join(names[:5])}.",
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
