"""`.ts`, the format of sktime and of the UCR and UEA archives: series and their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.kinds import Kind, objects
from elman.data.series_lines import channels, parse
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read columns `series` (arrays `(T, C)`, NaN for `?`) and, with classes, `label`."""
    import pandas as pd

    cells: list[NDArray[np.float64]] = []
    names: list[str] = []
    origins = []
    meta: dict[str, Any] = {}
    for path in paths:
        meta, rows = parse(path, encoding)
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
            cells.append(channels(dims, path, number))
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
