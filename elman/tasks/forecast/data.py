"""From tables to series: the shapes a person's series come in, their times and their calendar.

Three shapes: long (a row a moment; several series told apart by a column), wide (a row a
series, its values to the right, short rows left empty at the end), and files whose cells are
whole series (`.tsf`, `.ts`, lists in JSON). All become one `Panel`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.data import read
from elman.errors import InputError, nearest

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
    frequency = _told_frequency(table.meta.get("frequency"))
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
            None if start is None else _steps(start, len(values), frequency),
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


# Time

_SEASONS = {"B": 5, "D": 7, "W": 52, "M": 12, "Q": 4, "Y": 1}
_TOLD = {
    "secondly": "s",
    "minutely": "min",
    "half_hourly": "30min",
    "hourly": "h",
    "daily": "D",
    "weekly": "W",
    "monthly": "MS",
    "quarterly": "QS",
    "yearly": "YS",
}


def frequency_of(times: pd.DatetimeIndex) -> str | None:
    """The step between moments as a pandas offset alias, or None for fewer than three.

    Where steps differ (a holiday, a missing hour), the commonest step counts; days without
    weekends are business days.

    >>> import pandas as pd
    >>> frequency_of(pd.DatetimeIndex(["2024-01-01", "2024-02-01", "2024-03-01"]))
    'MS'
    """
    import pandas as pd

    if len(times) < 3:
        return None
    with warnings.catch_warnings():
        # pandas 3 warns that pandas 4 will return an offset; both are understood here.
        warnings.simplefilter("ignore")
        found: Any = pd.infer_freq(times[:10_000])
    if found is not None:
        return str(getattr(found, "freqstr", found))
    steps, counts = np.unique(np.diff(times.asi8), return_counts=True)
    step = pd.Timedelta(int(steps[np.argmax(counts)]), unit=times.unit)
    days = step / pd.Timedelta(days=1)
    if days == 1 and (times.day_of_week < 5).all():
        return "B"
    if 28 <= days <= 31:
        return "MS" if (times.day == 1).all() else "ME"
    if days == int(days):
        return f"{int(days)}D"
    return str(pd.tseries.frequencies.to_offset(step).freqstr)


def _told_frequency(words: Any) -> str | None:
    """The offset alias of a frequency as `.tsf` files write it: hourly, 10_minutes."""
    if not words:
        return None
    name = str(words).lower()
    if name in _TOLD:
        return _TOLD[name]
    counted = re.fullmatch(r"(\d+)_(second|minute|hour|day)s?", name)
    if counted is None:
        return None
    unit = {"second": "s", "minute": "min", "hour": "h", "day": "D"}[counted[2]]
    return f"{counted[1]}{unit}"


def season_of(frequency: str | None) -> int:
    """Steps in the cycle one expects of a frequency: a day of hours, a week of days; else 1.

    >>> [season_of(f) for f in ("h", "15min", "D", "B", "W-SUN", "MS", "QS-OCT", "YS", None)]
    [24, 96, 7, 5, 52, 12, 4, 1, 1]
    """
    import pandas as pd

    if frequency is None:
        return 1
    offset = pd.tseries.frequencies.to_offset(frequency)
    seconds = _seconds(offset)
    if seconds is not None and seconds < 86_400:
        # A day of five minutes or more; a day of seconds would be longer than most windows.
        cycle = 86_400 if seconds >= 300 else 3600 if seconds >= 60 else 60
        return max(1, round(cycle / seconds))
    if frequency == "7D":
        return _SEASONS["W"]
    prefix = offset.rule_code.split("-")[0].removesuffix("S").removesuffix("E")
    return max(1, _SEASONS.get(prefix[:1] if prefix != "B" else "B", 1) // offset.n)


def _seconds(offset: Any) -> float | None:
    import pandas as pd

    try:
        return float(pd.Timedelta(offset).total_seconds())
    except ValueError:
        return None


def step_of(frequency: str) -> int | None:
    """Return the microseconds of a step, or None where steps differ in length.

    >>> step_of("15min"), step_of("D"), step_of("MS")
    (900000000, 86400000000, None)
    """
    import pandas as pd

    seconds = _seconds(pd.tseries.frequencies.to_offset(frequency))
    return None if seconds is None else round(seconds * 1e6)


_WORDS = (
    ("min", "minutes"),
    ("h", "hours"),
    ("D", "days"),
    ("B", "working days"),
    ("W", "weeks"),
    ("M", "months"),
    ("Q", "quarters"),
    ("Y", "years"),
    ("s", "seconds"),
)
"""The beginnings of pandas' offset aliases, longest first, in words."""


def unit_of(frequency: str | None, rows: int = 1) -> str:
    """Return the unit of so many rows, in words and in the plural.

    >>> unit_of("h"), unit_of("h", 24), unit_of("15min"), unit_of("MS"), unit_of(None)
    ('hours', 'steps of 24 hours', 'steps of 15 minutes', 'months', 'steps')
    """
    if frequency is None:
        return "steps" if rows == 1 else f"steps of {rows} rows"
    import pandas as pd

    offset: Any = pd.tseries.frequencies.to_offset(frequency)
    words = next((word for alias, word in _WORDS if offset.rule_code.startswith(alias)), None)
    count = offset.n * rows
    if words is None:
        return unit_of(None, rows)
    return words if count == 1 else f"steps of {count} {words}"


def _steps(start: Any, periods: int, frequency: str | None) -> pd.DatetimeIndex:
    import pandas as pd

    offset: Any = pd.tseries.frequencies.to_offset(frequency)
    # From the start itself, even where it does not lie on the offset's own grid.
    return pd.DatetimeIndex([start + i * offset for i in range(periods)])


def times_after(last: Any, periods: int, frequency: str) -> pd.DatetimeIndex:
    """The next `periods` moments after `last`.

    >>> import pandas as pd
    >>> [str(t.date()) for t in times_after(pd.Timestamp("2024-01-05"), 2, "B")]
    ['2024-01-08', '2024-01-09']
    """
    return _steps(last, periods + 1, frequency)[1:]


# Calendar

CYCLES = {"day": 86_400.0, "week": 604_800.0, "year": 31_556_952.0}


def cycles_of(frequency: str | None, rows: int, lookback: int) -> list[str]:
    """The cycles worth a feature: longer than two steps, and seen twice in `rows` rows.

    Not those that every window of `lookback` rows holds twice: it can see where it stands.

    >>> cycles_of("h", 8640, 72), cycles_of("MS", 120, 12), cycles_of(None, 100, 10)
    (['week'], ['year'], [])
    """
    import pandas as pd

    if frequency is None or rows < 2:
        return []
    span = _steps(pd.Timestamp("2001-01-01"), 8, frequency)
    step = float((span[-1] - span[0]).total_seconds()) / 7
    return [
        name
        for name, length in CYCLES.items()
        if step * 2.5 < length and lookback * step < 2 * length <= rows * step
    ]


def calendar(times: pd.DatetimeIndex, cycles: Sequence[str]) -> Floats:
    """Return where each moment lies in each cycle, as sine and cosine: `(T, 2 * cycles)`."""
    if not cycles:
        return np.empty((len(times), 0))
    return places_in(times.to_numpy().astype("datetime64[us]"), cycles)


def places_in(moments: NDArray[np.datetime64], cycles: Sequence[str]) -> Floats:
    """Return where each moment lies in each cycle, as sine and cosine: `(T, 2 * cycles)`.

    >>> places_in(np.array(["2024-01-01T06:00"], "datetime64[us]"), ["day"]).round(3).tolist()
    [[1.0, 0.0]]
    """
    days = moments.astype("datetime64[D]")
    seconds = (moments - days).astype("timedelta64[s]").astype(np.float64)
    place = {
        "day": seconds / CYCLES["day"],
        # The first day of 1970 was a Thursday.
        "week": ((days.astype(np.int64) + 3) % 7 * 86_400 + seconds) / CYCLES["week"],
        "year": (days - days.astype("datetime64[Y]")).astype(np.float64) / 365.2425,
    }
    turns = [2 * np.pi * place[name] for name in cycles]
    return np.stack([wave(turn) for turn in turns for wave in (np.sin, np.cos)], axis=1)
