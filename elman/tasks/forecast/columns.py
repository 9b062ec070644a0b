"""The columns of a table: times, groups, and those that are left out.

A column is never taken for something else in silence. One that is mostly numbers or dates is read
where its cells allow one reading, and refused with row, cell and remedy where they do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from elman.data import date_numbers, dates, kinds, months, zones
from elman.data.date_cells import instead
from elman.data.dates import Order
from elman.data.kinds import Kind
from elman.data.readings import Reading
from elman.data.wide import named_like_a_total
from elman.errors import InputError
from elman.tasks.forecast.counters import counted, cycling, free_numbers, years_without_a_name
from elman.tasks.forecast.date_parts import from_parts, leave_parts, without_averages
from elman.tasks.forecast.groups import as_list
from elman.tasks.forecast.panel import COUNTED
from elman.tasks.reading.groups import filled_down
from elman.tasks.understood import listed

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

_LOOKED_AT = 1000
"""Cells of a column of words in which months of other calendars are looked for."""
_ROWS = 8
"""Rows before a last one that may be a footer."""


class Columns(Protocol):
    """The settings that say which column is what, and how its cells are written."""

    target: str | list[str] | None
    time: str | list[str] | None
    group: str | list[str] | None
    covariates: list[str]
    encoding: str | None
    sheet: str | None
    missing: list[str]
    decimal: Literal[".", ","] | None
    date_order: Order | None

    @property
    def fill(self) -> str | None:
        """Linear, forward, season or mask; None to refuse missing values."""

    @property
    def layout(self) -> str | None:
        """Long, wide, or None to find out."""


@dataclass
class Sorted:
    """A table whose columns are typed, and what each was taken for.

    Attributes:
        table: with written numbers and dates read.
        groups: columns whose values together name a series.
        time: the column of times, or of numbers that count steps.
        moments: its values: datetime64, or numbers; None without one.
        numbers: how numbers were read as times, in words; `COUNTED` where they only count.
        joined: columns that were put together to the times, where there are several.
        counters: columns that are not forecast: they count the rows, are parts of the time, or
            never change.
        plain: columns of numbers in quotes.
        years: column of dates with years of two digits → the first and last year.
        unread: columns named like times that could not be read as such.
        clocks: columns of times of day without a date.
        doubts: columns that are mostly numbers or dates, and the error to raise of each.
        told: how columns were read: what a sentence is about, and the sentence.
        doubtful: what a person should look at, a sentence or two each.
        found: settings with which later data are read alike.
        used: settings of reading that changed something; see `Panel`.
    """

    table: Table
    groups: list[str]
    time: str | None = None
    moments: pd.Series | None = None
    numbers: str | None = None
    joined: list[str] = field(default_factory=list)
    counters: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    years: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    doubts: dict[str, tuple[Kind, InputError]] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def say(self, about: str, sentence: str) -> None:
        """Add a sentence about how columns were read."""
        self.told.append((about, sentence))


def read_told(table: Table) -> list[tuple[str, str]]:
    """Return how the file was read, each sentence under `read`."""
    return [("read", sentence) for sentence in table.notes()]


def sort_out(table: Table, columns: Columns, groups: list[str]) -> Sorted:
    """Return what each column is.

    Args:
        table: as it was read.
        columns: the settings.
        groups: those that the data name themselves.

    Raises:
        InputError: the column of times cannot be read as such, or more than one way.
    """
    table, averages = without_averages(table)
    table, empty = _without_empty_end(table)
    for name in groups:
        table = filled_down(table, name)  # merged cells of a sheet
    averages += empty
    out = Sorted(table, groups, doubtful=table.doubts(), used=used_in_reading(table))
    out.told += [("left out", sentence) for sentence in averages]
    _read_written(out, columns)
    _absent(out, columns)
    _find_time(out, columns)
    leave_parts(out, free_numbers(out, columns))
    counted(out, columns)
    cycling(out, columns)
    _to_come(out)
    return out


def _without_empty_end(table: Table) -> tuple[Table, list[str]]:
    """Return a table without the last rows in which nothing stands, and a sentence about them."""
    there = table.frame.notna().any(axis=1).to_numpy()
    count = int(np.argmax(there[::-1])) if there.any() and len(table.kinds) > 1 else 0
    if not count:
        return table, []
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return table.take(np.arange(len(table) - count)), [f"{rows} at the end without any cell."]


def used_in_reading(table: Table) -> set[str]:
    """Return the settings that the reader of a file heeds, and found something to read by."""
    used = {"encoding", "sheet"} & set(table.meta.get("heeded", ()))
    if "decimal" in table.meta and "number" in table.kinds.values():
        used.add("decimal")
    return used


def _read_written(out: Sorted, columns: Columns) -> None:
    """Read columns of strings as the numbers or dates that they write."""
    table = out.table
    frame, known = table.frame.copy(deep=False), dict(table.kinds)
    named = {*as_list(columns.target), *columns.covariates}
    for name, kind in table.kinds.items():
        if kind not in ("text", "category") or name in out.groups:
            continue
        found = kinds.written(
            table.frame[name],
            missing=columns.missing,
            decimal=columns.decimal,
            date_order=columns.date_order,
        )
        if found is None:
            continue
        if found.unfit is not None:
            out.doubts[name] = (found.kind, _refused(table, name, found))
            continue
        assert found.cells is not None
        written = set(table.frame[name].dropna().astype(str).str.strip()) - kinds.MISSING
        declared = written & set(columns.missing)
        out.used |= {f"missing={word}" for word in declared}
        if found.kind == "number":
            out.used.add("decimal")
        elif columns.date_order is not None:
            _heeded(out, columns.date_order, name, found.settings.get("date_order"))
        if found.kind == "number" and not (found.words or declared or name in named):
            # Numbers in quotes are often names: they are read where nothing else is.
            out.plain.append(name)
            continue
        frame[name], known[name] = found.cells, found.kind
        _doubt_bracket(out, name, found.cells, found.cells.attrs)
        out.found |= found.settings
        if found.words:
            out.say("read", f"Column {name!r}: {found.kind}s, read with {found.words}.")
        if found.years:
            out.years[name] = found.years
    read_so: dict[str, list[str]] = {}
    for name, how_written in table.how.items():
        if known[name] == "number" and "words" in how_written:
            read_so.setdefault(how_written["words"], []).append(repr(name))
            _doubt_bracket(out, name, frame[name], how_written)
        settings = {k: v for k, v in how_written.items() if k in ("date_order", "decimal")}
        if "months" in how_written:
            out.say("read", f"Column {name!r}: times, read with months in {how_written['months']}.")
        if columns.date_order is not None and known[name] == "time":
            _heeded(out, columns.date_order, name, how_written.get("date_order"))
        if "intervals" in how_written:
            out.say("read", f"Column {name!r}: intervals, each dated by its beginning.")
        if "years" in how_written:
            out.years[name] = how_written["years"]
        if settings and known[name] in ("time", "number"):
            out.found |= settings
        if (first := settings.get("date_order")) and known[name] == "time":
            said = f"the {first} first" + instead(how_written.get("others", "").split())
            out.say("read", f"Column {name!r}: times, read with {said}.")
    for words, names in read_so.items():
        many = "Column" if len(names) == 1 else "Columns"
        out.say("read", f"{many} {listed(names)}: numbers, read with {words}.")
    if mark := table.meta.get("decimal"):
        out.found["decimal"] = mark
    for name, years in out.years.items():
        out.say("read", f"Column {name!r}: years of two digits, read as {years}.")
    out.table = replace(table, frame=frame, kinds=known)


def _doubt_bracket(out: Sorted, name: str, cells: pd.Series, told: Mapping[Any, Any]) -> None:
    """Doubt a minus sign that only one pair of brackets stands for."""
    if "bracket" in told:
        place = int(told["bracket"])
        out.doubtful.append(
            f"the number in brackets in row {out.table.where(place)[1]} of column {name!r} is read "
            f"as {cells.iloc[place]:g}, as in accounts, and no other number of the column is below "
            "zero or in brackets. Write it with a minus sign, or without brackets."
        )


def _heeded(out: Sorted, told: Order, name: str, found: str | None) -> None:
    """Note that the order of dates that was told is that of a column.

    Raises:
        InputError: the dates of the column are written in another order, and only in that.
    """
    if found == told:
        out.used.add("date_order")
    elif found is not None:
        raise InputError(
            f"the dates are written with the {found} first, and date_order={told} says otherwise.",
            file=out.table.source,
            column=name,
            fix="Leave it out.",
        )


def _refused(table: Table, name: str, found: Reading) -> InputError:
    """Return the error about a column, with the setting that would settle it."""
    unfit = found.unfit
    assert unfit is not None
    cell = str(table.frame[name].iloc[unfit.place]).strip()
    fix = {
        "missing": f"Correct it; or take the row out; or set missing='[{_quoted(cell)}]' where it "
        "says that the value is missing; or name the columns to forecast with target=.",
        "decimal": "Set decimal=',' or decimal='.'.",
        "date_order": "Say which with date_order=day or date_order=month.",
    }.get(found.asks, unfit.fix or "")
    if found.asks == "date_order" and "year" in str(unfit):
        fix = "Say which with date_order=day, date_order=month or date_order=year."
    if unfit.other is not None:
        return table.unfit(unfit, name)
    what = str(unfit)
    where = at_an_end(table, unfit.place)
    # A first value that is missing is no total.
    ends = unfit.place > 0 or found.kind == "time" or named_like_a_total(cell)
    if where and ends and found.asks in ("", "missing"):
        what += f" {where}"
        fix = "Take the row out of the file."
    return table.refuse(what, unfit.place, name, fix)


def _quoted(cell: str) -> str:
    """Return a cell as an item of a list on the command line, in quotes where marks mean more.

    >>> _quoted("n.a."), _quoted(":"), _quoted("1,5-")
    ('n.a.', '":"', '"1,5-"')
    """
    return cell if re.fullmatch(r"-?[\w/.]+(?: [\w/.]+)*", cell) else f'"{cell}"'


def at_an_end(table: Table, row: int) -> str:
    """Return what to say of a row that cannot be read where it is the last or first of many."""
    if len(table) <= _ROWS:
        return ""
    return {
        0: "It stands in the first row, which looks like a total.",
        len(table) - 1: "It stands in the last row, which looks like a footer or a total.",
    }.get(row, "")


def _absent(out: Sorted, columns: Columns) -> None:
    """Take numbers that were declared to mean a missing value for one."""
    marks = {}
    for word in columns.missing:
        try:
            marks[word] = float(word)
        except ValueError:
            continue
    if not marks:
        return
    frame = out.table.frame.copy(deep=False)
    for name, kind in out.table.kinds.items():
        if kind != "number":
            continue
        cells = frame[name].astype(np.float64)
        met = {word: mark for word, mark in marks.items() if (cells == mark).any()}
        if met:
            out.used |= {f"missing={word}" for word in met}
            frame[name] = cells.where(~cells.isin(met.values()))
    out.table = replace(out.table, frame=frame)


# Times


def _find_time(out: Sorted, columns: Columns) -> None:
    if columns.time is not None:
        _take_told(out, as_list(columns.time))
        return
    table = out.table
    times = [name for name, kind in table.kinds.items() if kind == "time"]
    if times:
        # The beginning and the end of a query are the same in all rows.
        moving = (name for name in times if table.frame[name].nunique() > 1)
        out.time = next(moving, times[0])
        out.moments = table.frame[out.time]
        if out.time != times[0]:
            out.found["time"] = out.time
        if len(times) > 1:
            others = ", ".join(repr(name) for name in times if name != out.time)
            out.say("time", f"Other columns of times were left out: {others}.")
        _find_clock(out)
        return
    for kind, error in out.doubts.values():
        if kind == "time":
            raise error
    numbers = free_numbers(out, columns)
    if from_parts(out, numbers):
        return
    if _from_digits(out, numbers):
        _find_clock(out)
    else:
        _note_unread(out)


def _to_come(out: Sorted) -> None:
    """Doubt dates that have not come yet where their years have two digits."""
    import pandas as pd

    if out.time not in out.years or out.moments is None:
        return
    latest = out.moments.max().tz_localize(None)
    if latest > pd.Timestamp.now():
        out.doubtful.append(
            f"the years of column {out.time!r} have two digits and were read as "
            f"{out.years[out.time]}, so its last date ({latest.date()}) is still to come. Write "
            "years with four digits if that is wrong."
        )


def _take_told(out: Sorted, names: list[str]) -> None:
    """Take the column that was named as the times, or several of which each is a part of them."""
    first, *others = names
    for name in names:
        out.table.column(name)
        if name in out.doubts and out.doubts[name][0] == "time":
            raise out.doubts[name][1]
    if others and out.table.kinds[first] == "number" and from_parts(out, names):
        return
    out.time, out.moments = first, _told_times(out, first)
    for name in others:
        found = dates.clock(out.table.frame[name], name)
        if found is None or out.moments.dtype.kind != "M":
            raise InputError(
                f"columns {first!r} and {name!r} are no date and time of day.",
                file=out.table.source,
                column=name,
                fix="Give a column of dates and one of times of day, such as 08:30 or hours.",
            )
        _join(out, name, *found)


def _find_clock(out: Sorted) -> None:
    """Put dates that repeat together with a column of times of day.

    The column is left alone where dates do not repeat in a series (a daily record of when it was
    taken), or where each name in another column has one time of day.
    """
    table, moments = out.table, out.moments
    assert moments is not None
    if moments.isna().any() or not (moments == moments.dt.normalize()).all():
        return
    groups = [table.names(name).astype(str) for name in out.groups]
    repeated = int(_keys(moments, groups).duplicated().sum())
    if not repeated:
        return
    for name, kind in table.kinds.items():
        if kind not in ("number", "text", "category") or name in (out.time, *out.groups):
            continue
        found = dates.clock(table.frame[name], name)
        if found is None or _each_has_one(out, name):
            continue
        if _keys(moments + found[0], groups).duplicated().sum() < repeated:
            _join(out, name, *found)
            out.found["time"] = out.joined
            return


def _keys(moments: pd.Series, groups: list[pd.Series]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"": moments, **{str(i): cells for i, cells in enumerate(groups)}})


def _each_has_one(out: Sorted, clock: str) -> bool:
    """Tell whether another column's names each have a time of day of their own."""
    frame = out.table.frame
    return any(
        kind in ("text", "category")
        and name != clock
        and frame[name].nunique() > 1
        and dates.clock(frame[name], name) is None  # the end of each step says nothing more
        and frame.groupby(name)[clock].nunique().max() == 1
        for name, kind in out.table.kinds.items()
    )


def _join(out: Sorted, name: str, clock: pd.Series, words: str) -> None:
    assert out.moments is not None
    out.joined = [*(out.joined or [str(out.time)]), name]
    out.moments = out.moments + clock
    out.counters.append(name)
    after = "; hour 24 is the end of the day" if words.endswith("24") else ""
    out.say("time", f"Column {name!r} ({words}) was added to the date{after}.")


def _told_times(out: Sorted, name: str) -> pd.Series:
    """Return the column that was named as the times."""
    table = out.table
    values = table.column(name)
    if table.kinds[name] != "number":
        return table.column(name, "time")
    read = date_numbers.from_numbers(values.to_numpy(), named=True)
    if read is not None:
        _say_numbers(out, name, *read)
        out.numbers = read[1]
        return read[0].set_axis(values.index)
    # Anything else counts years, steps or seconds of an experiment.
    out.numbers = COUNTED
    return values


def _from_digits(out: Sorted, numbers: list[str]) -> bool:
    """Take numbers for times by their size, their steps and their name."""
    for name in sorted(numbers, key=lambda n: not dates.named_like_a_time(n)):
        values = out.table.frame[name]
        named = dates.named_like_a_time(name)
        years = years_without_a_name(out, name)
        read = date_numbers.from_numbers(values.to_numpy(), named=named or years)
        if read is None:
            continue
        out.time, out.moments, out.numbers = name, read[0].set_axis(values.index), read[1]
        out.found["time"] = name
        _say_numbers(out, name, *read)
        if years:
            out.say("time", "If they count the rows, take the column out of the file.")
        return True
    return False


def _say_numbers(out: Sorted, name: str, moments: pd.Series, words: str) -> None:
    """Say how numbers were read as times; doubt days of a spreadsheet that are long ago."""
    out.say("time", f"Column {name!r}: numbers read as {words}.")
    if words == date_numbers.SPREADSHEET and (last := moments.max()).year < 1980:
        since = last + (np.datetime64("1960-01-01", "D") - np.datetime64("1899-12-30", "D"))
        out.doubtful.append(
            f"the numbers of column {name!r} are read as {words}, so its last date is "
            f"{last.date()}. If they count from 1960 (SAS, Stata), it is {since.date()}: write "
            "dates, such as 2024-01-31."
        )


def unread(out: Sorted, otherwise: str) -> InputError:
    """Return the error about the first column that is named like times and cannot be read as such.

    Args:
        out: the columns.
        otherwise: what to do where they are no times.
    """
    name = out.unread[0]
    if name in out.doubts:
        return out.doubts[name][1]
    cells = out.table.frame[name]
    place = int(np.argmax(cells.notna()))
    calendar = months.calendar_of(cells.dropna().astype(str).tolist())
    if calendar is not None:
        what = f"{cells.iloc[place]!r} is a date of the {calendar} calendar, which is not read."
        fix = f"Write it in the common (Gregorian) calendar, such as 2024-01-31; or {otherwise}."
        return out.table.refuse(what, place, name, fix)
    what = f"{cells.iloc[place]!r} could not be read as a date, and the column is named like one."
    if (zone := zones.zone_of_several(cells.dropna().astype(str))) is not None:
        fix = (
            f"Write the offset from UTC, such as 2024-01-31T12:00+01:00; {zone} is the name of "
            "more than one zone, or is not known."
        )
        return out.table.refuse(what, place, name, fix)
    if (other := _written_otherwise(cells)) is not None:
        what = (
            f"{cells.iloc[other]!r} is written in another way than the dates before it, such as "
            f"{cells.iloc[place]!r} in row {out.table.where(place)[1]}."
        )
        fix = f"Write all dates of the column alike, such as 2024-01-31; or {otherwise}."
        return out.table.refuse(what, other, name, fix)
    if months.like_a_name(str(cells.iloc[place])):
        what += f" Months were looked for in {months.looked_for()}."
    return out.table.refuse(
        what,
        place,
        name,
        f"Write 2024-01-31 or 2024-01-31 12:00:00; or {otherwise}.",
    )


def _written_otherwise(cells: pd.Series) -> int | None:
    """Return the place of the first date that has other marks, or the year elsewhere, than those
    before it; None where these or it are no dates."""
    import pandas as pd

    words = cells.fillna("").astype(str).str.strip()
    forms = words.str.replace(r"\d{4,}", "Y", regex=True).str.replace(r"\d+", "9", regex=True)
    there = np.flatnonzero(words != "")
    others = [place for place in there.tolist() if forms.iloc[place] != forms.iloc[there[0]]]
    if not others:
        return None
    before = dates.read(words.iloc[: others[0]].reset_index(drop=True))
    then = dates.read(pd.Series([words.iloc[others[0]]]))
    if before is None or len(before.wrong) or then is None or len(then.wrong):
        return None
    return int(others[0])


def _note_unread(out: Sorted) -> None:
    """Note words in a column that is named like times and tells the rows apart."""
    for name, kind in out.table.kinds.items():
        if kind not in ("text", "category") or name in out.groups:
            continue
        cells = out.table.frame[name]
        if dates.clock(cells, name) is not None:
            out.clocks.append(name)
            out.say(
                "time",
                f"Column {name!r} holds times of day without a date: the order of the rows counts.",
            )
        elif 2 * cells.nunique() <= len(cells) or len(cells) <= 2:
            continue
        elif dates.named_like_a_time(name) or months.calendar_of(
            [*cells.dropna().head(_LOOKED_AT).astype(str)]
        ):
            out.unread.append(name)
        elif _runs_by_years(cells):
            place = int(np.argmax(cells.notna()))
            out.doubtful.append(
                f"column {name!r} looks like times, and {cells.iloc[place]!r} in row "
                f"{out.table.where(place)[1]} cannot be read as one, so the order of the rows "
                "counts, and there is no season and no calendar. Write 2024-01-31 or "
                "2024-01-31 12:00:00."
            )


_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|2[01])\d\d(?!\d)")


def _runs_by_years(cells: pd.Series) -> bool:
    """Tell whether nearly all of some words hold one year, and the years run in one direction."""
    found = [_YEAR.findall(str(cell)) for cell in cells]
    years = [int(each[0]) for each in found if len(set(each)) == 1]
    steps = np.diff(years)
    one_way = bool((steps >= 0).all() or (steps <= 0).all())
    return 10 * len(years) >= 9 * len(found) and one_way and bool(steps.any())
