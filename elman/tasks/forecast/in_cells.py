"""Tables with a whole series in a cell, as `.tsf`, `.ts` and GluonTS's JSON lines have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.stand_ins import MOST_LOOKED, stand_in_words, stand_ins
from elman.errors import InputError
from elman.tasks.forecast.columns import Columns, read_told, used_in_reading
from elman.tasks.forecast.filling import ADVICE
from elman.tasks.forecast.groups import as_list, names_of
from elman.tasks.forecast.panel import VALUE, Panel, Series
from elman.tasks.forecast.times import begun_at, moments_from, time_told, told_frequency
from elman.tasks.forecast.wide import distinct
from elman.tasks.understood import listed

if TYPE_CHECKING:
    from elman.data import Table

_FREQUENCIES = ("freq", "frequency")
_METADATA = "metadata.json"
FEATURES = "feat_"
"""The beginning of the names that GluonTS gives to what is known beside a series."""


def from_cells(table: Table, cells: list[str], columns: Columns, rule: str | None = None) -> Panel:
    """Return the series in the cells of one column.

    Args:
        table: as it was read.
        cells: the columns that hold series.
        columns: the settings.
        rule: of the times that a model was trained on, for data that do not say theirs.

    Raises:
        InputError: a value is missing, or a setting means nothing here.
    """
    for name, value in (("covariates", columns.covariates), ("layout", columns.layout)):
        if value:
            raise InputError(
                f"{name} has no effect where a cell holds a whole series.",
                file=table.source,
                fix="Leave it out, or write a row a moment.",
            )
    column, doubts = column_of(table, cells, columns)
    arrays = table.series(column, allow_missing=True)
    for row, cell in enumerate(arrays):
        if columns.fill is None and np.isnan(cell).any():
            step = int(np.argmax(np.isnan(cell).any(axis=1)))
            raise table.refuse(f"Value {step + 1} of the series is missing.", row, column, ADVICE)
    name_column, names = names_in(table, columns)
    told = [*read_told(table), ("series", f"Column {column!r} holds a series in each cell.")]
    if name_column is not None:
        told.append(("series", f"They are named in {name_column!r}."))
    begin, starts = _starts(table, columns, len(arrays))
    said, frequency = _frequency(table, starts)
    beside, about = _told_beside(table.source)
    if begin is not None and frequency is None and about:
        words = about["freq"]
        frequency = begun_at(told_frequency(words), starts)
        told.append(("time", f"The step {words!r} is that of {beside.name}, beside the data."))
    frequency = frequency or (rule if begin is not None else None)
    if begin is not None and frequency is None:
        doubts.append(
            f"column {begin!r} says when each series begins, but nothing says how long a step is, "
            "so there are no times, no season and no calendar. Add a column freq, such as D for "
            "days, h for hours or 15min."
        )
    series = [
        Series(
            name,
            values,
            np.empty((len(values), 0)),
            None
            if start is None or frequency is None
            else moments_from(start, len(values), frequency),
        )
        for name, values, start in zip(names, arrays, starts, strict=True)
    ]
    channels = arrays[0].shape[1]
    targets = [VALUE] if channels == 1 else [f"{VALUE} {i + 1}" for i in range(channels)]
    horizon = str(table.meta.get("horizon", about.get("prediction_length", "")))
    asked = int(horizon) if horizon.isdigit() and int(horizon) else None
    doubts = [*table.doubts(), *doubts]
    doubts += [
        stand_in_words(mark, one.name or VALUE, f"step {mark.first + 1}", "take it out of the file")
        for one in series[:MOST_LOOKED]
        for channel in one.values.T
        for mark in stand_ins(channel)
    ]
    where = "" if begin is None or frequency is None else f"column {begin!r}"
    told += time_told([s.times for s in series], frequency, where)
    left = [n for n in table.kinds if n not in (column, name_column, begin, said)]
    if left:
        told.append(("left out", f"{listed([f'{n} ({table.kinds[n]})' for n in left], 8)}."))
    return Panel(
        series,
        targets,
        [],
        frequency,
        table.source,
        horizon=asked,
        used=frozenset(used_in_reading(table)),
        told=told,
        doubts=doubts,
    )


def column_of(table: Table, cells: Sequence[str], columns: Columns) -> tuple[str, list[str]]:
    """Return the column of the series to forecast, and a doubt where it is one of several."""
    if columns.target is not None:
        name = as_list(columns.target)[0]
        # Channels are named after their column: 'prices 1'.
        column = name.rpartition(" ")[0]
        return (column if name not in cells and column in cells else name), []
    usual = [name for name in cells if name.casefold() == "target"]
    plain = [name for name in cells if not name.startswith(FEATURES)] or list(cells)
    chosen = (usual or plain)[0]
    others = [name for name in plain if name != chosen]
    if usual or not others:
        return chosen, []
    return chosen, [
        f"columns {listed([repr(name) for name in plain], 4)} hold series, and {chosen!r} is "
        f"forecast. Set target={others[0]} if that is the one."
    ]


def names_in(table: Table, columns: Columns) -> tuple[str | None, list[str]]:
    """Return the column that names the series, if any, and the names."""
    groups = as_list(columns.group)
    if groups:
        names = names_of(table, groups)
        distinct(table, names, groups[0])
        return groups[0], names
    for name, kind in table.kinds.items():
        words = kind in ("text", "category") and name.casefold() not in _FREQUENCIES
        if words and table.frame[name].is_unique:
            names = table.labels(name)
            distinct(table, names, name)
            return name, names
    return None, [str(row + 1) for row in range(len(table))]


def _starts(table: Table, columns: Columns, count: int) -> tuple[str | None, list[Any]]:
    """Return the column that says when series begin, if any, and the moments."""
    told = as_list(columns.time)
    found = [name for name, kind in table.kinds.items() if kind == "time"]
    if not (told or found):
        return None, [None] * count
    name = told[0] if told else found[0]
    return name, list(table.column(name, "time"))


def _told_beside(source: Path | None) -> tuple[Path, dict[str, Any]]:
    """Return the file beside the data, or beside their folder, that says how long a step is, and
    what it says; nothing where there is none.

    GluonTS keeps `metadata.json` beside its folders train and test, or in a folder of its own.
    """
    if source is None:
        return Path(), {}
    for folder in (source.parent, source.parent.parent):
        for path in (folder / _METADATA, folder / "metadata" / _METADATA):
            try:
                about = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError):
                continue
            words = about.get("freq") if isinstance(about, dict) else None
            if isinstance(words, str) and told_frequency(words) is not None:
                return path, about
    return Path(), {}


def _frequency(table: Table, starts: Sequence[Any]) -> tuple[str | None, str | None]:
    """Return the column that says how long a step is, if any, and the rule.

    Raises:
        InputError: the steps of the series differ, or a word for them is not known.
    """
    words = table.meta.get("frequency")
    if words is not None:
        return None, begun_at(told_frequency(words), starts)
    for name in table.kinds:
        if name.casefold() not in _FREQUENCIES or table.kinds[name] not in ("text", "category"):
            continue
        labels = table.labels(name)
        rule = told_frequency(labels[0])
        if rule is None:
            raise table.refuse(
                f"{labels[0]!r} is no length of a step.", 0, name, "Write D, h, 15min, W or MS."
            )
        odd = next((row for row, label in enumerate(labels) if label != labels[0]), None)
        if odd is not None:
            raise table.refuse(
                f"The step is {labels[odd]!r}, and that of the first series is {labels[0]!r}.",
                odd,
                name,
                "Train one model for each kind of steps.",
            )
        return name, begun_at(rule, starts)
    return None, None
