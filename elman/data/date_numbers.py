"""Numbers that are dates: told by their size, their steps and the name of their column."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data.dates import in_century, parsed

if TYPE_CHECKING:
    import pandas as pd

_SIZES = (("s", 1e8, 5e9), ("ms", 1e11, 5e12), ("us", 1e14, 5e15), ("ns", 1e17, 5e18))
_TICKS = (
    (1, 6.2766e17, 6.6236e17, ".NET"),
    (1601, 1.2276e17, 1.5746e17, "Windows"),
)
"""The year since which ticks count, their number in 1990 and in 2100, and who counts so.

As nanoseconds since 1970 they are of 1990 and of 1974, in which nobody wrote nanoseconds.
"""
SPREADSHEET = "days of a spreadsheet"
_DAYS_OF_1900, _DAYS_OF_1970, _DAYS_OF_2100 = 693_962, 719_529, 767_011
"""Days since year 0, as MATLAB counts them."""
_DIGITS = ((14, "%Y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (10, "%Y%m%d%H"), (8, "%Y%m%d"), (6, "%Y%m"))


def from_numbers(values: NDArray[Any], *, named: bool) -> tuple[pd.Series, str] | None:
    """Read a column of numbers as dates, by their size, their steps and their column's name.

    Args:
        values: numbers; NaN where one is missing.
        named: the name of the column says that it holds times. Without it the steps between
            the different moments must all be alike, and days of a spreadsheet are none.

    Returns:
        The moments and how they were read, in words; None where they are no dates.
    """
    import pandas as pd

    numbers = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(numbers)
    if not there.all():
        found = from_numbers(numbers[there], named=named)
        if found is None:
            return None
        moments = found[0].set_axis(np.flatnonzero(there)).reindex(range(len(numbers)))
        return moments, found[1]
    if not len(numbers) or not np.isfinite(numbers).all():
        return None
    low, high = float(numbers.min()), float(numbers.max())
    whole = bool((numbers == np.round(numbers)).all())
    if whole and low == high and not named:
        return None
    read: tuple[pd.Series, str] | None = None
    if whole and low > 0:
        digits = len(str(int(low)))
        form = dict(_DIGITS).get(digits)
        if form is not None and len(str(int(high))) == digits:
            text = pd.Series(numbers.astype(np.int64)).astype(str)
            moments = parsed(text, form)
            if moments.notna().all() and moments.dt.year.between(1800, 2200).all():
                written = form.replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD")
                written = written.replace("%H", "hh").replace("%M", "mm").replace("%S", "ss")
                read = moments, f"dates written {written}"
    if read is None:
        read = _since(numbers)
    if read is not None:
        return read if named or _steady(read[0]) else None
    if not whole and low >= 1600 and high < 2201:
        read = _decimal_years(numbers)
        if read is not None and (named or _months_on_end(*read)):
            return read
    if low >= _DAYS_OF_1900 and high <= _DAYS_OF_2100 and (named or not whole):
        seconds = np.round((numbers - _DAYS_OF_1970) * 86_400).astype(np.int64)
        moments = pd.Series(seconds.astype("datetime64[s]").astype("datetime64[us]"))
        if named or _steady(moments):
            return moments, "days since year 0, as MATLAB counts them"
    if not named:
        return None
    if whole and (found := _days_of_years(numbers)) is not None:
        return found
    if whole and low >= 1500 and high <= 2200:
        years = (numbers.astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[us]")
        return pd.Series(years), "years"
    if low >= 20_000 and high <= 80_000:
        seconds = np.round(numbers * 86_400).astype("timedelta64[s]")
        return pd.Series(np.datetime64("1899-12-30", "us") + seconds), SPREADSHEET
    return None


def _since(numbers: NDArray[np.float64]) -> tuple[pd.Series, str] | None:
    """Read numbers as time since 1970 by their size; as ticks of Windows where these fit better."""
    import pandas as pd

    low, high = float(numbers.min()), float(numbers.max())
    for unit, least, most in _SIZES:
        if not (least <= low and high <= most):
            continue
        micros = np.round(numbers * {"s": 1e6, "ms": 1e3, "us": 1, "ns": 1e-3}[unit])
        exact = micros.astype(np.int64).astype("datetime64[us]")
        words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}
        said = f"{words.get(unit, 'nanoseconds')} since 1970"
        for year, first, last, who in _TICKS:
            if unit != "ns" or not (first <= low and high <= last):
                continue
            # Doubles are rounded to some ten microseconds here.
            millis = np.round(numbers / 1e4).astype(np.int64)
            begin = np.datetime64(f"{year:04}-01-01", "ms").astype(np.int64)
            ticks = (millis + begin).astype("datetime64[ms]").astype("datetime64[us]")
            unit_of_exact = _unit_of(exact)
            if unit_of_exact < 60 and (_unit_of(ticks) > unit_of_exact or not unit_of_exact):
                exact, said = ticks, f"ticks of 100 nanoseconds since year {year}, as {who} counts"
        return pd.Series(exact), said
    return None


def _unit_of(moments: NDArray[Any]) -> int:
    """Return the seconds of a day, an hour or a minute, or 1, that all moments are whole; or 0."""
    micros = moments.astype(np.int64)
    units = (86_400, 3_600, 60, 1)
    return next((unit for unit in units if not (micros % (unit * 1_000_000)).any()), 0)


def _days_of_years(numbers: NDArray[np.float64]) -> tuple[pd.Series, str] | None:
    """Read a year and the day of it: 2022305 or 22305 for the first of November 2022.

    Five digits are days of a spreadsheet too. They are days of years unless that leads beyond the
    next year, or farther from today than days of a spreadsheet do.
    """
    import pandas as pd

    low, high = int(numbers.min()), int(numbers.max())
    if not (low >= 1_800_001 and high <= 2_200_366) and not (low >= 10_001 and high <= 99_366):
        return None
    days = numbers.astype(np.int64) % 1000
    if days.min() < 1 or days.max() > 366:
        return None
    text = pd.Series(numbers.astype(np.int64)).astype(str)
    if low > 99_999:
        moments = parsed(text, "%Y%j")
        written = "YYYYDDD"
    else:
        moments = in_century(parsed(text, "%y%j"))
        written = "YYDDD"
    if moments.isna().any():
        return None
    if written == "YYDDD" and low >= 20_000 and high <= 80_000:
        today, last = datetime.date.today().year, moments.max().year
        if last > today + 1 or abs(today - 1900 - high / 365.25) < abs(today - last):
            return None
    return moments, f"years and days of the year, written {written}"


def _decimal_years(numbers: NDArray[np.float64]) -> tuple[pd.Series, str] | None:
    """Read years with decimals (1999.917) that rise by months, quarters or days.

    The decimals stand for the beginning of a step or for its middle; they are rounded.
    """
    import pandas as pd

    there = np.unique(numbers)
    if len(there) < 3:
        return None
    step = float(np.median(np.diff(there)))
    for parts, words in ((4, "quarters"), (12, "months"), (365.25, "days")):
        if abs(step * parts - 1) > (0.02 if parts < 300 else 0.5):
            continue
        years = np.floor(numbers + 1e-6)
        leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
        length = parts if parts < 300 else np.where(leap, 366, 365)
        place = (numbers - years) * length
        # Some write the middle of a step: 1999.042 is January.
        middle = np.abs((place[:50] % 1) - 0.5).mean() < 0.25
        counted = np.floor(place + 0.05) if middle else np.round(place)
        counted = np.where(np.abs(place - counted) < 1, counted, np.floor(place)).astype(np.int64)
        begin = (years.astype(np.int64) - 1970).astype("datetime64[Y]")
        if parts < 300:
            moments = begin.astype("datetime64[M]") + counted * (12 // int(parts))
        else:
            moments = begin.astype("datetime64[D]") + counted
        if len(np.unique(moments)) == len(there):
            exact = pd.Series(moments.astype("datetime64[us]"))
            return exact, f"years with decimals, in {words}"
    return None


def _months_on_end(moments: pd.Series, words: str) -> bool:
    """Tell whether years with decimals are one month or quarter after the other, for two years."""
    there = moments.to_numpy().astype("datetime64[M]")
    steps = np.abs(np.diff(there).astype(np.int64))
    wanted = {"months": 1, "quarters": 3}.get(words.rsplit(" ", 1)[-1], 0)
    return wanted > 0 and len(steps) * wanted >= 23 and bool((steps == wanted).all())


def _steady(moments: pd.Series) -> bool:
    """Tell whether numbers run on like times: many of them, by whole minutes or by months."""
    there = np.unique(moments.to_numpy().astype("datetime64[us]"))
    if len(there) < 8:
        return False
    steps, months = np.diff(there), np.diff(there.astype("datetime64[M]")).astype(np.int64)
    if bool((steps == steps[0]).all()):
        return int(steps[0].astype(np.int64)) % 60_000_000 == 0
    return bool(months[0] > 0 and (months == months[0]).all())
