"""Tables with a whole series in a cell, and the time of each of its values in another list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data import dates
from elman.data.kinds import objects
from elman.data.table import build
from elman.tasks.forecast.columns import Columns
from elman.tasks.forecast.groups import as_list
from elman.tasks.forecast.in_cells import FEATURES, column_of, names_in

if TYPE_CHECKING:
    from elman.data import Table

_TIMES = ("time", "date", "timestamp", "moment")
"""Names of which a column of times that had none gets the first that is free."""
NAME = "series"
"""The column of the names, where the table has none."""


def times_in(table: Table, cells: Sequence[str], columns: Columns) -> str | None:
    """Return the column whose lists hold times, one for each value of a series, or None.

    Args:
        table: as it was read.
        cells: the columns that hold series.
        columns: the settings.
    """
    told = as_list(columns.time)
    for name in told or table.kinds:
        kind = table.kinds.get(name)
        if kind == "series":
            # Numbers that count time, beside the series itself.
            like = dates.named_like_a_time(name) or dates.named_like_a_time(name.removesuffix("s"))
            if len(cells) > 1 and (told or like):
                return name
        elif kind == "tokens":
            some: list[Any] = next((cell for cell in table.frame[name] if cell), [])
            if told or dates.like_dates(list(map(str, some))):
                return name
    return None


def split_times(table: Table, cells: Sequence[str], columns: Columns) -> tuple[Table, str] | None:
    """Return a table whose pairs of a moment and a value are a column of times and one of values.

    Charts and services write a series so: `[[1704067200000, 21.3], …]`, since 1970 in seconds or
    milliseconds.

    Args:
        table: as it was read.
        cells: the columns that hold series.
        columns: the settings.

    Returns:
        The table and the name of its column of times; None where the first numbers are no times.
    """
    target, _ = column_of(table, cells, columns)
    free = [name for name in _TIMES if name not in table.kinds]
    told = as_list(columns.time) or free[:1]
    if target not in cells or len(told) != 1 or told[0] not in free:
        return None
    timed = [name for name in cells if _begin_with_times(list(table.frame[name]))]
    if target not in timed:
        return None
    time = told[0]
    own = list(table.frame[target])
    frame = table.frame.assign(
        **{name: objects([cell[:, 1:] for cell in table.frame[name]]) for name in timed},
        **{time: objects([cell[:, :1] for cell in own])},
    )
    note = f"The first number of each step of {target!r} is its time, counted since 1970."
    meta = {**table.meta, "notes": [*table.meta.get("notes", ()), note]}
    return replace(table, frame=frame, kinds={**table.kinds, time: "series"}, meta=meta), time


def _begin_with_times(cells: Sequence[Any]) -> bool:
    """Tell whether the first channel of each series counts seconds or milliseconds since 1970."""
    for cell in cells:
        if cell is None or len(cell) < 2 or cell.shape[1] < 2:
            return False
        first = cell[:, 0]
        if not np.isfinite(first).all() or (first % 1).any():
            return False
        steps = np.diff(first) * np.sign(first[-1] - first[0])
        # Since 1980, as other counts are seldom so large; milliseconds need not be whole minutes.
        seconds = first.min() >= 3.1e8 and first.max() <= 4.2e9 and not (steps % 60).any()
        millis = first.min() >= 3.1e11 and first.max() <= 4.2e12
        if steps.min() <= 0 or not (seconds or millis):
            return False
    return len(cells) > 0


def in_rows(table: Table, time: str, cells: Sequence[str], columns: Columns) -> Table:
    """Return a table with a row for each value of each series, beside its time and its series.

    Args:
        table: as it was read.
        time: the column of the times.
        cells: the columns that hold series.
        columns: the settings.

    Raises:
        InputError: a list has no times, or not one for each value.
    """
    import pandas as pd

    others = [name for name in cells if name != time and not name.startswith(FEATURES)]
    target, doubts = column_of(table, others, columns)
    values = table.series(target, allow_missing=True)
    moments: list[list[Any]] = []
    for row, (cell, own) in enumerate(zip(table.frame[time], values, strict=True)):
        known = [] if cell is None else np.ravel(cell).tolist()
        if len(known) != len(own):
            raise table.refuse(
                f"There are {len(known):,} times for the {len(own):,} values of {target!r}.",
                row,
                time,
                "Give one time for each value.",
            )
        moments.append(known)
    name, names = names_in(table, columns)
    sizes = [len(own) for own in values]
    channels = np.concatenate(values).T
    called = [target] if len(channels) == 1 else [f"{target} {k + 1}" for k in range(len(channels))]
    frame = pd.DataFrame(
        {
            **({name or NAME: np.repeat(np.array(names, object), sizes)} if len(table) > 1 else {}),
            time: [moment for known in moments for moment in known],
            **dict(zip(called, channels, strict=True)),
        }
    )
    note = f"Column {time!r} holds the times of the values in {target!r}."
    meta = {
        **table.meta,
        "notes": [*table.meta.get("notes", ()), note],
        "doubts": [*table.meta.get("doubts", ()), *doubts],
    }
    made = build(frame, [], known={name or NAME: "category"} if len(table) > 1 else None)
    index = np.repeat(np.arange(len(table)), sizes)
    if table.index is not None:
        index = table.index[index]
    return replace(
        made, source=table.source, meta={**made.meta, **meta}, origins=table.origins, index=index
    )


def group_of(table: Table, columns: Columns) -> list[str]:
    """Return the column of `in_rows` that names the series, if there are several."""
    if len(table) < 2:
        return []
    return [names_in(table, columns)[0] or NAME]
