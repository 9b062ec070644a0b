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
    """Read columns `series` (arrays `(T, C)`, NaN for `?`) and, with classes, `label`.

    With `@targetLabel true`, as in the files of the regression archive, the last value of a case is
    a number, in the column `target`.
    """
    import pandas as pd

    cells: list[NDArray[np.float64]] = []
    names: list[str] = []
    targets: list[float] = []
    origins = []
    meta: dict[str, Any] = {}
    for path in paths:
        meta, rows = parse(path, encoding)
        numbers = []
        labelled = str(meta.get("classlabel", "false")).lower().startswith("true")
        classes = str(meta.get("classlabel", "")).split()[1:]
        to_number = str(meta.get("targetlabel", "false")).lower().startswith("true")
        for number, line in rows:
            dims = line.split(":")
            if to_number:
                targets.append(_target(dims, path, number))
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
        for found, what in ((names, "class labels"), (targets, "targets")):
            if found and len(found) != len(cells):
                raise InputError(f"Some of the files have {what} and some do not.", file=path)
        origins.append(Origin(path, len(numbers), numbers.__getitem__))
    frame = pd.DataFrame({"series": objects(cells)})
    known: dict[str, Kind] = {"series": "series"}
    if names:
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
    if targets:
        frame["target"] = targets
        known["target"] = "number"
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def _target(dims: list[str], path: Path, number: int) -> float:
    """Take the number at the end of a case."""
    cell = dims.pop().strip() if len(dims) > 1 else ""
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"The target {cell[:40]!r} is not a number.",
            file=path,
            row=number,
            fix="End the line in ':' and the number.",
        ) from None
