"""Dates and times as people write them, read in the one way that their whole column allows.

A column is read with one order of day, month and year. Where several orders are possible, the one
in which time runs in one direction is right, then the one whose steps are all alike; where that
leaves two, the column is not read, and the reader is asked for the order.

Years of two digits are those of the hundred years that end ten years from now, unless the dates
only run without a leap in the last century, or in this one.

Names of months are read in the one language that reads most cells of the column.

Times with an offset keep their zone: moments of a column are datetime64 without a zone, or with
one where every cell has an offset.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from elman.data import periods
from elman.data.months import folded, versions
from elman.data.zones import NAMED_ZONES, offset_of, zoned_by

if TYPE_CHECKING:
    import pandas as pd

Order = Literal["day", "month", "year"]
"""The part that stands first in a date of numbers."""
ORDERS: tuple[Order, ...] = get_args(Order)

_MONTHS = (
    *("jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?"),
    *("aug(?:ust)?", "sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?"),
)
_MONTH = f"(?:{'|'.join(_MONTHS)})"
_SHORT = rf"\b{_MONTH}\b"
_DAY_NAME = re.compile(r"^(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?[., ]+")
_CLOCK = re.compile(
    r"^(?P<date>.*?[^:\d])??(?:(?<=[t\s,])|^)\s*"
    r"(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}(?:[.,]\d+)?))?"
    r"\s*(?P<half>[ap]\.?m\.?)?\s*(?P<zone>z|utc|gmt|[+-]\d{2}(?::?\d{2})?"
    rf"|{'|'.join(sorted(NAMED_ZONES, key=len, reverse=True))})?$"
)
_DOTTED = r"\d{1,2}\.[0-5]\d\.[0-5]\d"
"""A time of day with its seconds, as Italian programs write it."""
_LIKE = re.compile(
    rf"""^(?:
      \d{{4}}[-/. ]\d{{1,2}}(?:[-/. ]\d{{1,2}})?(?!\d)      # 2024-01-31, 2024/01
    | \d{{1,2}}[-/. ]\d{{1,2}}[-/. ](?:\d{{4}}|\d{{2}})(?!\d)  # 31/01/2024, 31.1.24
    | \d{{1,2}}[-/]\d{{4}}$                                # 01/2024
    | \d{{4}}[-/. ]\d{{3}}$                                # 2024-031, a day of the year
    | (?:\d{{1,4}}[-/., ]*)?{_MONTH}\b[-/., ]*(?:\d{{1,4}})?  # 31 Jan 2024, Jan-24
    | \d{{8}}t\d{{4,6}}
    | {periods.LIKE}
    )""",
    re.VERBOSE,
)
_ISO = r"^\d{4}-?\d\d(?:-?\d\d(?:[Tt ]\d\d(?::?\d\d){1,2}(?:[.,]\d+)?)?)?$"
_NUMBERS: tuple[tuple[str, Order], ...] = (
    ("%Y %m %d", "year"),
    ("%d %m %Y", "day"),
    ("%m %d %Y", "month"),
    ("%d %m %y", "day"),
    ("%m %d %y", "month"),
    ("%y %m %d", "year"),
    ("%Y %m", "year"),
    ("%m %Y", "month"),
)
_NAMED: tuple[tuple[str, Order], ...] = (
    ("%d %b %Y", "day"),
    ("%b %d %Y", "month"),
    ("%Y %b %d", "year"),
    ("%d %b %y", "day"),
    ("%b %d %y", "month"),
    ("%b %Y", "month"),
    ("%Y %b", "year"),
    ("%b %y", "month"),
    ("%y %b", "year"),
)
_DIGITS_ELSEWHERE = {
    first + digit: str(digit) for first in (0x660, 0x6F0, 0x966) for digit in range(10)
}
"""Arabic, Persian and Indian digits."""


@dataclass(frozen=True)
class Written:
    """A column of written dates.

    Attributes:
        moments: datetime64, NaT where a cell is empty or cannot be read; None where there are
            two readings.
        wrong: positions of the cells that are not empty and cannot be read.
        orders: the orders of day, month and year that are possible, the one that was read first.
        yearless: the dates have no year.
        years: the first and last year where years have two digits, as in `1951 to 1967`.
        languages: those in which the months are named; empty for English and for numbers. Where
            there are no moments, several that read other dates.
        intervals: cells write when something began and ended, and the beginnings were read.
        others: orders that read every cell as well, and that the order and the steps of the rows
            ruled out.
        mixed: positions of a cell with and one without an offset from UTC where there are both.
    """

    moments: pd.Series | None
    wrong: NDArray[np.int64]
    orders: tuple[Order, ...] = ()
    yearless: bool = False
    years: str = ""
    languages: tuple[str, ...] = ()
    mixed: tuple[int, int] | None = None
    intervals: bool = False
    others: tuple[Order, ...] = ()


def like_dates(cells: Sequence[str]) -> bool:
    """Tell whether more than half of some cells are written like dates.

    >>> like_dates(["31.1.2024", "Total"]), like_dates(["31.1.2024", "Jan-24", "Total"])
    (False, True)
    """
    return _like(cells) or any(_like(read) for name, read in versions(cells) if name)


def _like(cells: Sequence[str]) -> bool:
    found = sum(_LIKE.match(_plain(cell)) is not None for cell in cells)
    return 2 * found > len(cells)


def read(cells: pd.Series, order: Order | None = None) -> Written | None:
    """Read a column of strings; empty ones are missing.

    Args:
        cells: stripped strings.
        order: what stands first in a date; found when None.

    Returns:
        What was read, or None where the column does not look like dates.
    """
    import pandas as pd

    cells = cells.str.translate(_DIGITS_ELSEWHERE)
    present = cells[cells != ""]
    step = max(1, len(present) // 200)
    begun = periods.beginnings(present.iloc[::step])
    if begun is not None and (whole := periods.beginnings(cells)) is not None:
        found = read(whole, order)
        return None if found is None else replace(found, intervals=True)
    sample = present.iloc[::step].tolist()
    languages = any(name for name, _ in versions(sample))
    if not len(present) or not (_like(sample) or (languages and like_dates(sample))):
        return None
    if present.iloc[::step].str.match(_ISO).all() and periods.fiscal_years(present) is None:
        try:
            moments = pd.to_datetime(cells.where(cells != "", None), format="ISO8601")
        except (ValueError, OverflowError):
            pass
        else:
            return Written(moments, np.empty(0, np.int64), ("year",))
    unique = pd.Series(present.unique())
    held = []
    for language, written in versions(unique.tolist()) if languages else [("", unique)]:
        body, clock, offset = _split(pd.Series(written))
        index = pd.Index(unique)
        zoned = offset.set_axis(index)
        # A day is read once, however many hours it has.
        alone = pd.Series(body.unique())
        days = [(o, body.map(d.set_axis(alone)), short) for o, d, short in _days(alone)]
        days = [each for each in days if order in (None, each[0])] or days
        for first, day, short in days:
            held.append(_Tried(first, (day + clock).set_axis(index), short, language))
    best = max((each.moments.notna().sum() for each in held), default=0)
    if 2 * best <= len(unique):
        return None
    held = [each for each in held if each.moments.notna().sum() == best]
    wrong = held[0].moments.isna()
    mixed = None
    if zoned.notna().any():
        # With an offset here and none there, nobody can say which came first.
        minority = zoned.isna() if zoned.notna().mean() > 0.5 else zoned.notna()
        if (minority & ~wrong).any():
            there = cells.map(zoned).notna().to_numpy()
            read_there = (cells != "").to_numpy() & ~cells.isin(unique[wrong.to_numpy()]).to_numpy()
            mixed = int(np.argmax(read_there & there)), int(np.argmax(read_there & ~there))
        wrong |= minority
    places = np.flatnonzero(cells.isin(unique[wrong.to_numpy()]).to_numpy())
    placed = [replace(each, moments=present.map(each.moments)) for each in held]
    placed = [
        replace(each, moments=in_century(each.moments)) if each.short else each for each in placed
    ]
    likely = _likelier(placed)
    orders = tuple(dict.fromkeys(each.order for each in likely))
    named = tuple(dict.fromkeys(each.language for each in likely if each.language))
    yearless = _yearless(pd.Series(versions(sample)[0][1]) if named else present)
    if len(likely) > 1 or yearless:
        return Written(None, places, orders, yearless, languages=named, mixed=mixed)
    chosen = likely[0].moments
    moments = chosen.reindex(cells.index)
    if zoned.notna().any():
        moments = zoned_by(moments, cells.map(zoned))
    years = f"{chosen.min().year} to {chosen.max().year}" if likely[0].short else ""
    passed = (each for each in placed if each.order not in orders)
    others = tuple(dict.fromkeys(e.order for e in passed if not e.moments.equals(chosen)))
    return Written(
        moments, places, orders, years=years, languages=named, mixed=mixed, others=others
    )


@dataclass(frozen=True)
class _Tried:
    """A reading of a column: the order, the moments, years of two digits, and the language."""

    order: Order
    moments: pd.Series
    short: bool
    language: str


def _plain(cell: str) -> str:
    return _DAY_NAME.sub("", cell.strip().lower())


def _split(cells: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return dates, times of day and offsets from UTC; NaT where there is no offset."""
    import pandas as pd

    dates: list[str] = []
    clocks = np.zeros(len(cells), dtype="timedelta64[us]")
    offsets = np.full(len(cells), np.timedelta64("NaT"), dtype="timedelta64[us]")
    for place, cell in enumerate(cells):
        text = _plain(cell)
        found = _CLOCK.match(text)
        if found is None:
            dates.append(text)
            continue
        dates.append((found["date"] or "").rstrip("t, "))
        hours, minutes, half = int(found["h"]), int(found["m"]), found["half"]
        seconds = float((found["s"] or "0").replace(",", "."))
        if half and 1 <= hours <= 12:
            hours = hours % 12 + (12 if half[0] == "p" else 0)
        elif half:
            hours = 99
        if hours > 24 or minutes > 59 or seconds >= 61 or (hours == 24 and minutes + seconds):
            clocks[place] = np.timedelta64("NaT")
            continue
        clocks[place] = np.timedelta64(round((hours * 3600 + minutes * 60 + seconds) * 1e6), "us")
        if found["zone"]:
            offsets[place] = np.timedelta64(offset_of(found["zone"]), "m")
    return pd.Series(dates), pd.Series(clocks), pd.Series(offsets)


def _days(dates: pd.Series) -> list[tuple[Order, pd.Series, bool]]:
    """Return what the dates are in each order that reads any, and whether years have two digits."""
    import pandas as pd

    if (years := periods.fiscal_years(dates)) is not None:
        return [("year", parsed(years, "%Y %m"), False)]
    if dates.iloc[:50].str.match(_ISO).mean() > 0.5:
        whole = dates.where(dates.str.match(_ISO), None).str.upper()
        read = pd.to_datetime(whole, format="ISO8601", errors="coerce")
        return [("year", _beyond(whole, read, "%Y-%m-%d"), False)]
    text = dates.str.replace(r"[-/., ]+", " ", regex=True).str.strip()
    found = periods.parts_of_years(text)
    if found is not None:
        months, two_digits = found
        return [("year", parsed(months, "%y %m" if two_digits else "%Y %m"), two_digits)]
    text = text.str.replace(r"^(?:w|kw|week) ?(\d{1,2}) (\d{4})$", r"\2 w\1", regex=True)
    if text.str.match(r"^\d{4} ?w\d{1,2}$").mean() > 0.5:
        weeks = text.str.replace(r" ?w", " ", regex=True) + " 1"
        return [("year", parsed(weeks, "%G %V %u"), False)]
    if text.str.match(r"^\d{4} \d{3}$").mean() > 0.5:
        return [("year", parsed(text, "%Y %j"), False)]
    text = text.str.replace(r"^(\d{4}) ?m(\d{1,2})$", r"\1 \2", regex=True)
    text = text.str.replace(r"(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)", " ", regex=True)
    named = text.str.contains(r"[a-z]{3}").mean() > 0.5
    text = text.str.replace(_SHORT, lambda found: found[0][:3], regex=True)
    # Days and months are written with and without a leading zero.
    text = text.str.replace(r"\b(\d)\b", r"0\1", regex=True)
    # Between dots a date of two-digit years ends in its year: 31.1.24.
    dotted = dates.str.contains(".", regex=False).mean() > 0.5
    forms = [f for f in (_NAMED if named else _NUMBERS) if not (dotted and f[0][:2] == "%y")]
    tried = [(order, parsed(text, form), "%y" in form) for form, order in forms]
    return [each for each in tried if each[1].notna().any()]


def in_century(moments: pd.Series) -> pd.Series:
    """Return dates whose years have two digits in the century that they were meant in."""
    import pandas as pd

    there = moments.dropna()
    exact = there.to_numpy().astype("datetime64[us]")
    months = exact.astype("datetime64[M]")
    short = (months.astype(np.int64) // 12 + 1970) % 100
    last = datetime.date.today().year + 10
    # The hundred years up to `last`; else all of one century, where the dates then do not leap.
    readings = [last - (last - short) % 100, 1900 + short, 2000 + short]
    leaps = [int((np.abs(np.diff(years)) >= 50).sum()) for years in readings]
    years = readings[int(np.argmin(leaps))]
    moved = months + 12 * (years - (months.astype(np.int64) // 12 + 1970))
    right = moved.astype("datetime64[us]") + (exact - months.astype("datetime64[us]"))
    return pd.Series(right, there.index).reindex(moments.index)


def parsed(cells: pd.Series, form: str) -> pd.Series:
    """Return cells read in one form; NaT where one is not written so."""
    import pandas as pd

    return _beyond(cells, pd.to_datetime(cells, format=form, errors="coerce"), form)


def _beyond(cells: pd.Series, read: pd.Series, form: str) -> pd.Series:
    """Return moments with those added that lie outside of nanoseconds: before 1678, after 2261."""
    import pandas as pd

    places = np.flatnonzero(read.isna() & cells.notna())
    if "%Y" not in form or not len(places):
        return read
    unread = cells.iloc[places]
    far = {}
    for cell in unread.unique():
        try:
            far[cell] = np.datetime64(datetime.datetime.strptime(cell, form), "us")
        except ValueError:
            continue
    if not far:
        return read
    moments = read.to_numpy().astype("datetime64[us]")
    nothing = np.datetime64("NaT", "us")
    moments[places] = np.array([far.get(cell, nothing) for cell in unread])
    return pd.Series(moments, read.index)


def _likelier(found: list[_Tried]) -> list[_Tried]:
    """Leave the readings in which time runs in one direction, then those of equal steps."""
    first = found[0].moments
    if all(first.equals(each.moments) for each in found[1:]):
        return found[:1]
    for test in (_one_way, even):
        if len(found) > 1:
            found = [each for each in found if test(each.moments.dropna())] or found
    return found


def _one_way(moments: pd.Series) -> bool:
    return moments.is_monotonic_increasing or moments.is_monotonic_decreasing


def even(moments: pd.Series) -> bool:
    """Tell whether the different moments are equally far apart, or a number of months."""
    there = np.unique(moments.to_numpy().astype("datetime64[us]"))
    steps = np.diff(there)
    if len(steps) < 2 or bool((steps == steps[0]).all()):
        return True
    months = there.astype("datetime64[M]")
    same_day = len(np.unique(there - months.astype("datetime64[us]"))) == 1
    return same_day and len(np.unique(np.diff(months).astype(np.int64))) == 1


def exchanged(moments: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return moments with day and month in each other's place where the day is twelve at most.

    A program that wants the month first reads dates that have the day first so, and those that it
    cannot read so as they are.

    >>> exchanged(np.array(["2020-02-01", "2020-01-13"], "datetime64[us]")).astype("datetime64[D]")
    array(['2020-01-02', '2020-01-13'], dtype='datetime64[D]')
    """
    days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
    years = moments.astype("datetime64[Y]")
    begin = years.astype("datetime64[M]")
    day, month = (days - months).astype(np.int64), (months - begin).astype(np.int64)
    other = (begin + day).astype("datetime64[D]") + month
    moved = other.astype("datetime64[us]") + (moments - days.astype("datetime64[us]"))
    return np.where(day < 12, moved, moments.astype("datetime64[us]"))


def _yearless(present: pd.Series) -> bool:
    """Tell whether `Jan-16` is a day of no year: then the month stays and the number runs on."""
    text = present.map(_plain).str.replace(r"[-/., ]+", " ", regex=True)
    if not text.str.match(r"^(?:[a-z]{3,9} ?\d{1,2}|\d{1,2} ?[a-z]{3,9})$").mean() > 0.5:
        return False
    months = text.str.replace(r"[\d ]", "", regex=True).to_numpy()
    return len(months) > 1 and bool((months[1:] == months[:-1]).mean() > 0.5)


# Names of columns, and times of day

_NAMES = re.compile(
    r"(?:^|[^a-z])(date|datenum|fy|datetime|time|timestamp|ts|day|month|year|yr|week|period|ds|epoch|unix"
    r"|when|dt|datum|dato|fecha|jahr|monat|zeit|unixtime|fiscal_?year|created|updated|mois|annee"
    r"|mes|mese|ano|anno|maand|jaar|tarih|tanggal|дата|месяц|год)(?:[^a-z]|$)"
)


def named_like_a_time(name: str) -> bool:
    """Tell whether a column's name says that it holds times.

    >>> [named_like_a_time(n) for n in ("Order Date", "createdAt", "Année", "dated", "y")]
    [True, True, True, False, False]
    """
    words = folded(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    return _NAMES.search(words) is not None


_HOURS = re.compile(r"h|hh|he|hrs?|hours?|stunden?|heures?|horas?|ora|ore|uur|godzina")
_TIMES = re.compile(r"(?:.*[^a-z])?(?:time|uhrzeit|zeit|clock|hhmm|hhmmss|hora|heure)(?:[^a-z].*)?")


def named_like_hours(name: str) -> bool:
    """Tell whether a column's name says that it holds hours or times of day.

    >>> [named_like_hours(n) for n in ("Hora", "HourEnding", "hora inicio", "shop")]
    [True, True, True, False]
    """
    words = _plain_words(name)
    hours = any(_HOURS.fullmatch(word) for word in re.split(r"[^a-z]+", words))
    return hours or _TIMES.fullmatch(words) is not None


def _plain_words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().strip()


def clock(values: pd.Series, name: str) -> tuple[pd.Series, str] | None:
    """Read a column as times of day: `08:30`, `8.30.00`, `8 PM`, hours 0 to 23 or 1 to 24, 830.

    Args:
        values: strings or numbers, none of them missing.
        name: of the column; numbers are times of day only where it says so.

    Returns:
        The time since midnight, timedelta64, and how it was read in words; None where the column
        holds no times of day.

    >>> import pandas as pd
    >>> clock(pd.Series([1, 2, 24]), "Hour Ending")[0].dt.total_seconds().tolist()
    [3600.0, 7200.0, 86400.0]
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(np.float64)
        if not len(numbers) or not np.isfinite(numbers).all() or (numbers % 1).any():
            return None
        return _clock_of(numbers.astype(np.int64), values.index, name)
    cells = values.astype(str).str.strip().str.lower()
    cells = cells.str.replace(r"^0 days |\s*[-\u2013]\s*\d{1,2}:\d{2}(?::\d{2})?$", "", regex=True)
    cells = cells.str.replace(r"^(\d{1,2})\s*([ap]\.?m\.?)$", r"\1:00 \2", regex=True)
    if cells.str.fullmatch(_DOTTED).all():
        cells = cells.str.replace(".", ":", regex=False)
    if not len(cells) or values.isna().any():
        return None
    if cells.str.fullmatch(r"\d{4}|\d{6}").all():
        return _clock_of(np.asarray(cells, np.int64), values.index, "time")
    unique = pd.Series(cells.unique())
    if not unique.str.fullmatch(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?").all():
        return None
    _, clocks, _ = _split(unique)
    if clocks.isna().any():
        return None
    return cells.map(clocks.set_axis(unique)).astype("timedelta64[us]"), "times of day"


def _clock_of(numbers: NDArray[np.int64], index: Any, name: str) -> tuple[pd.Series, str] | None:
    import pandas as pd

    words = _plain_words(name)
    hours = any(_HOURS.fullmatch(word) for word in re.split(r"[^a-z]+", words))
    if not (hours or _TIMES.fullmatch(words)) or numbers.min() < 0:
        return None
    high = int(numbers.max())
    # The first minutes of a day (1, 2, 3 for 00:01, 00:02, 00:03) are no hours.
    alone = len(np.unique(numbers)) == len(numbers)
    for size, form in ((0, ""), (2, "hhmm"), (4, "hhmmss")):
        parts = [numbers // 100**k % 100 for k in range(size // 2)]
        hour = numbers // 10**size
        if hour.max() > 24 or any((part > 59).any() for part in parts):
            continue
        if 0 < high < 10**size or (size == 0 and high and not hours and alone):
            continue
        seconds = hour * 3600
        if size == 2:
            seconds = seconds + parts[0] * 60
        elif size == 4:
            seconds = seconds + parts[1] * 60 + parts[0]
        if seconds.max() > 86_400:
            continue
        moments = pd.Series(seconds.astype("timedelta64[s]").astype("timedelta64[us]"), index)
        first = f"{'1 to 24' if numbers.min() and high == 24 else '0 to 23'}"
        return moments, f"times written {form}" if form else f"hours {first}"
    return None
