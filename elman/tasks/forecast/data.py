"""From tables to series: the shapes a person's series come in.

Three shapes: long (a row a moment; several series told apart by a column), wide (a row a
series, its values to the right, short rows left empty at the end), and files whose cells are
whole series (`.tsf`, `.ts`, lists in JSON). All become one `Panel`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.data import read
from elman.errors import InputError, nearest
from elman.tasks.forecast.times import frequency_of, moments_from, told_frequency

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Floats = NDArray[np.float64]
VALUE = "value"


class Columns(Protocol):
    """The settings that say which column is what."""

    target: str | list[str] | None
    time: str | None
    group: str | None
    covariates: list[str]
    encoding: str | None

    @property
    def layout(self) -> str | None:
        """Long, wide, or None to find out."""


@dataclass(frozen=True)
class Series:
    """One series in the order of time.

    Attributes:
        name: its id; empty where there is only one series without a name.
        values: `(T, C)` targets.
        known: `(T + F, K)` covariates, F rows of them beyond the last value.
        times: of the `T + F` rows, or None where there is no time column.
    """

    name: str
    values: Floats
    known: Floats
    times: pd.DatetimeIndex | None

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return f"series {self.name!r}" if self.name else "the series"


@dataclass(frozen=True)
class Panel:
    """All series of a data set, with the same targets and covariates.

    `found` holds the settings that say how it was read, so that later data are read alike;
    `horizon` is the one that a `.tsf` file asks for.
    """

    series: list[Series]
    targets: list[str]
    covariates: list[str]
    frequency: str | None
    source: object = None
    found: dict[str, Any] = field(default_factory=dict)
    horizon: int | None = None


def read_panel(data: Any, columns: Columns) -> Panel:
    """Read series of any of the three shapes.

    Args:
        data: what `elman.data.read` takes.
        columns: which column is what; the shape is found where `layout` is None.

    Raises:
        InputError: a cell that is no number or missing, unsorted or repeated times, a gap
            inside a row, a column that is not there. File, row and column are named.
    """
    table = read(data, encoding=columns.encoding)
    cells = [name for name, kind in table.kinds.items() if kind == "series"]
    if cells:
        return _from_cells(table, cells, columns)
    if columns.layout == "wide" or (columns.layout is None and _looks_wide(table, columns)):
        return _from_wide(table, columns)
    return _from_long(table, columns)


def extend(panel: Panel, later: Panel) -> Panel:
    """Each series of `panel` with the values that follow in `later`.

    Raises:
        InputError: a series or a column is not in `panel`, or `later` begins too early.
    """
    if later.targets != panel.targets:
        raise InputError(
            f"the targets are {later.targets}; in the training data they are {panel.targets}.",
            file=later.source,
        )
    follows = {s.name: s for s in later.series}
    names = [s.name for s in panel.series]
    for name in sorted(set(follows) - set(names)):
        raise InputError(
            f"series {name!r} is not in the training data.",
            file=later.source,
            fix=nearest(name, names),
        )
    return replace(panel, series=[_joined(s, follows.get(s.name), later) for s in panel.series])


def _joined(first: Series, then: Series | None, later: Panel) -> Series:
    import pandas as pd

    if then is None:
        return first
    times = None
    known = then.known
    if first.times is not None and then.times is not None:
        last = first.times[len(first) - 1]
        if then.times[0] <= last:
            raise InputError(
                f"{then} begins at {then.times[0]}, but its training data goes on to {last}.",
                file=later.source,
                fix="Give only rows that come after the training data.",
            )
        times = pd.DatetimeIndex(first.times[: len(first)].append(then.times))
    return Series(
        first.name,
        np.concatenate([first.values, then.values]),
        np.concatenate([first.known[: len(first)], known]),
        times,
    )


# Shapes


def _looks_wide(table: Table, columns: Columns) -> bool:
    """A row a series: names that never repeat, then at least eight columns of numbers."""
    if columns.target or columns.time or columns.group or columns.covariates:
        return False
    first, *rest = table.kinds
    names = table.frame[first]
    return (
        len(rest) >= 8
        and table.kinds[first] in ("text", "category")
        and bool(names.notna().all())
        and bool(names.is_unique)
        and all(table.kinds[name] == "number" for name in rest)
    )


def _from_wide(table: Table, columns: Columns) -> Panel:
    id_column = columns.group or next(iter(table.kinds))
    names = table.labels(id_column)
    _distinct(table, names, id_column)
    numbers = [name for name in table.kinds if name != id_column]
    if not numbers:
        raise InputError("there are no values beside the names.", file=table.source)
    cells = np.stack([table.numbers(n, allow_missing=True) for n in numbers], axis=1)
    series = []
    for row, name in enumerate(names):
        there = np.flatnonzero(~np.isnan(cells[row]))
        if not len(there):
            raise table.refuse("the series has no values.", row, numbers[0], "Take the row out.")
        length = int(there[-1]) + 1
        if len(there) < length:
            gap = int(np.argmax(np.isnan(cells[row])))
            raise table.refuse(
                f"series {name!r} misses a value before its end.",
                row,
                numbers[gap],
                "Fill it in; only the end of a row may be empty.",
            )
        values = cells[row, :length, None]
        series.append(Series(name, values, np.empty((length, 0)), None))
    found = {"layout": "wide", "group": id_column}
    return Panel(series, [VALUE], [], None, table.source, found)


def _from_cells(table: Table, cells: list[str], columns: Columns) -> Panel:
    column = cells[0]
    if columns.target is not None:
        column = columns.target if isinstance(columns.target, str) else columns.target[0]
    arrays = table.series(column)
    frequency = told_frequency(table.meta.get("frequency"))
    names = _cell_names(table, columns)
    starts: list[Any] = [None] * len(arrays)
    time = columns.time or next((n for n, k in table.kinds.items() if k == "time"), None)
    if time is not None and frequency is not None:
        starts = list(table.column(time, "time"))
    series = [
        Series(
            name,
            values,
            np.empty((len(values), 0)),
            None if start is None else moments_from(start, len(values), frequency),
        )
        for name, values, start in zip(names, arrays, starts, strict=True)
    ]
    channels = arrays[0].shape[1]
    targets = [VALUE] if channels == 1 else [f"{VALUE} {i + 1}" for i in range(channels)]
    horizon = str(table.meta.get("horizon", ""))
    asked = int(horizon) if horizon.isdigit() and int(horizon) else None
    return Panel(series, targets, [], frequency, table.source, horizon=asked)


def _cell_names(table: Table, columns: Columns) -> list[str]:
    wanted = columns.group
    if wanted is None:
        for name, kind in table.kinds.items():
            if kind in ("text", "category") and table.frame[name].is_unique:
                wanted = name
                break
    if wanted is None:
        return [str(row + 1) for row in range(len(table))]
    names = table.labels(wanted)
    _distinct(table, names, wanted)
    return names


def _distinct(table: Table, names: list[str], column: str) -> None:
    seen: set[str] = set()
    for row, name in enumerate(names):
        if name in seen:
            raise table.refuse(f"series {name!r} is there twice.", row, column)
        seen.add(name)


def _from_long(table: Table, columns: Columns) -> Panel:
    import pandas as pd

    time = columns.time or next((n for n, k in table.kinds.items() if k == "time"), None)
    moments = None if time is None else _moments(table, time)
    aside = {time, columns.group, *columns.covariates}
    if columns.target is None:
        targets = [n for n, k in table.kinds.items() if k == "number" and n not in aside]
        if not targets:
            raise InputError(
                "there is no column of numbers to forecast.",
                file=table.source,
                fix=f"The columns are {', '.join(repr(n) for n in table.kinds)}.",
            )
    else:
        targets = [columns.target] if isinstance(columns.target, str) else list(columns.target)
    both = sorted(set(targets) & set(columns.covariates))
    if both:
        raise InputError(f"column {both[0]!r} is both a target and a covariate.")
    ahead = bool(columns.covariates)
    values = np.stack([table.numbers(n, allow_missing=ahead) for n in targets], axis=1)
    known = np.stack(
        [table.numbers(n) for n in columns.covariates] or [np.empty(len(table))], axis=1
    )[:, : len(columns.covariates)]
    names = [""] * len(table) if columns.group is None else table.labels(columns.group)
    series = []
    for name, rows in pd.Series(range(len(table))).groupby(np.array(names), sort=False):
        index = rows.to_numpy().astype(np.int64)
        length = _observed(table, values[index], index, targets) if ahead else len(index)
        times = None
        if moments is not None:
            whose = moments.iloc[index]
            _in_order(table, pd.Index(whose), index, str(time), str(name), columns)
            times = pd.DatetimeIndex(whose) if whose.dtype.kind == "M" else None
        series.append(Series(str(name), values[index[:length]], known[index], times))
    longest = max(series, key=len)
    frequency = None if longest.times is None else frequency_of(longest.times)
    found = {"layout": "long", "target": targets}
    return Panel(series, targets, list(columns.covariates), frequency, table.source, found)


def _moments(table: Table, column: str) -> pd.Series:
    """The column as times, or as the numbers it holds where those count years or steps."""
    moments = table.column(column)
    if table.kinds.get(column) != "number" or moments.max() > 10_000_000:
        moments = table.column(column, "time")
    if moments.isna().any():
        place = int(np.argmax(moments.isna()))
        raise table.refuse("the time is missing.", place, column, "Fill it in.")
    return moments


def _observed(table: Table, values: Floats, rows: NDArray[np.int64], targets: list[str]) -> int:
    """Rows before the last ones whose targets are all empty: those are the known future."""
    some = np.flatnonzero(~np.isnan(values).all(axis=1))
    length = int(some[-1]) + 1 if len(some) else 0
    holes = np.argwhere(np.isnan(values[:length]))
    if len(holes):
        row, column = holes[0]
        raise table.refuse(
            "A value is missing.",
            int(rows[row]),
            targets[column],
            "Fill it in, or take the row out.",
        )
    return length


def _in_order(
    table: Table,
    times: pd.Index[Any],
    rows: NDArray[np.int64],
    column: str,
    name: str,
    columns: Columns,
) -> None:
    steps = np.diff(times.to_numpy()).astype(np.float64)
    wrong = np.flatnonzero(steps <= 0)
    if not len(wrong):
        return
    at = int(wrong[0])
    whose = f" in series {name!r}" if name else ""
    if steps[at] == 0 or (columns.group is None and times.duplicated().any()):
        if steps[at] != 0:
            at = int(np.argmax(times.duplicated())) - 1
        groups = [n for n, k in table.kinds.items() if k in ("text", "category")]
        fix = "Keep one row a moment."
        if columns.group is None and groups:
            fix = f"If the file holds several series, set group, say group={groups[0]}."
        raise table.refuse(
            f"the time {times[at + 1]} is there twice{whose}.", int(rows[at + 1]), column, fix
        )
    raise table.refuse(
        f"the time {times[at + 1]} comes after {times[at]}{whose}.",
        int(rows[at + 1]),
        column,
        f"Sort the file by {column!r}.",
    )
