"""The rules by which moments follow one another.

A rule is written as text, so that a run can keep it: an offset of pandas (`h`, `D`, `MS`, `W-SUN`,
  `WOM-3FRI` for the third Friday of a month, `LWOM-FRI` for the last one),
or one of those that pandas has no name for:

- `days Mon Tue Wed Thu Fri Sat`: the days of a week on which something is measured,
- `months 1 on 15`: every so many months on one day, the last of a month that has no such day,
- `monthdays 1 15`: some days of every month, 31 for its last one,
- `session 1800 s Mon Tue Wed Thu Fri 09:30:00-16:00:00`: hours of opening, with a step in seconds,
- `shifts 3600 s Mon22:00:00-Tue05:00:00 Tue22:00:00-Wed05:00:00`: times that repeat every week.

All moments are local times without a zone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.tasks.forecast.weekly import (
    DAY,
    DAYS,
    Session,
    Shifts,
    Stepping,
    Weekdays,
    apart,
    mask_of,
    of_a_day,
    seconds_of,
)

if TYPE_CHECKING:
    import pandas as pd

_SEASONS = {"B": 5, "D": 7, "W": 52, "M": 12, "Q": 4, "Y": 1}
_WORDS = (
    ("min", "minutes"),
    ("ms", "milliseconds"),
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

_PLACES = ("first", "second", "third", "fourth")
_WEEKDAYS = {
    "MON": "Monday",
    "TUE": "Tuesday",
    "WED": "Wednesday",
    "THU": "Thursday",
    "FRI": "Friday",
    "SAT": "Saturday",
    "SUN": "Sunday",
}


class Rule(Protocol):
    """How moments follow one another."""

    @property
    def seconds(self) -> float | None:
        """The length of a step where all steps are as long, else None."""

    @property
    def near(self) -> int:
        """Seconds by which a moment may miss its day, around weekends and holidays."""

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""

    @property
    def season(self) -> int:
        """Steps in the cycle that one expects."""

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""

    @property
    def words(self) -> str:
        """The rule in words."""

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`."""

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""


@functools.cache
def rule_of(text: str) -> Rule:
    """Return the rule that a text writes.

    >>> rule_of("months 1 on 15").words, rule_of("B").season
    ('months, on day 15', 5)
    """
    kind, _, rest = text.partition(" ")
    if kind == "days":
        return Weekdays(mask_of(rest.split()))
    if kind == "months":
        count, _, day = rest.partition(" on ")
        return Monthly(int(count), int(day))
    if kind == "monthdays":
        return Monthdays(tuple(map(int, rest.split())))
    if kind == "shifts":
        return Shifts.of(rest)
    if kind == "session":
        step, _, *parts = rest.split(" ")
        days = [part for part in parts if part in DAYS]
        spans = [
            tuple(map(seconds_of, part.split("-"))) for part in parts[len(days) :] if "-" in part
        ]
        slots = [s for first, last in spans for s in range(first, last + 1, int(step))]
        return Session(int(step), mask_of(days), tuple(slots))
    return Offset(text)


@dataclass(frozen=True)
class Offset:
    """An offset of pandas, by its alias."""

    alias: str

    near = 0

    @functools.cached_property
    def _offset(self) -> Any:
        import pandas as pd

        if self.alias.startswith("LWOM-"):
            # pandas writes this alias, and cannot read it.
            weekday: Any = list(_WEEKDAYS).index(self.alias[5:])
            return pd.offsets.LastWeekOfMonth(weekday=weekday)
        return pd.tseries.frequencies.to_offset(self.alias)

    @functools.cached_property
    def seconds(self) -> float | None:
        """The length of a step where all steps are as long, else None."""
        import pandas as pd

        try:
            return float(pd.Timedelta(self._offset).total_seconds())
        except ValueError:
            return None

    @functools.cached_property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        import pandas as pd

        # A Monday, and a first of January.
        moments = self.after(pd.Timestamp("2001-01-01"), 7)
        return float((moments[-1] - pd.Timestamp("2001-01-01")).total_seconds()) / 7

    @functools.cached_property
    def season(self) -> int:
        """Steps in the cycle that one expects: a day of hours, a week of days, 12 months."""
        if self.seconds is not None and self.seconds < DAY:
            return of_a_day(self.seconds)
        count, code = int(self._offset.n), self._code[:1]
        if code == "D" and count % 7 == 0:
            count, code = count // 7, "W"
        return max(1, _SEASONS.get(code, 1) // count)

    @functools.cached_property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        found = next((word for code, word in _WORDS if self._code.startswith(code)), "steps")
        return int(self._offset.n), found

    @property
    def _weekday_of_month(self) -> bool:
        return "WOM" in self.alias

    @property
    def _code(self) -> str:
        code = str(self._offset.rule_code)
        if self._weekday_of_month:
            # The third Friday of a month comes once a month.
            return "M"
        # A working month (BMS) is a month.
        return code[1:] if code[:1] == "B" and code != "B" else code

    @property
    def words(self) -> str:
        """The rule in words."""
        count, unit = self.unit
        if self._weekday_of_month:
            kind, _, place = self.alias.partition("-")
            which = "last" if kind == "LWOM" else _PLACES[int(place[0]) - 1]
            return f"{unit}, on the {which} {_WEEKDAYS[place[-3:]]}"
        words = unit if count == 1 else f"steps of {count} {unit}"
        return f"{words} ({self.alias})" if unit == "steps" else words

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`.

        From `last` itself, even where it does not lie on the offset's own grid: months that begin
        on a 15th go on to the 15th.
        """
        import pandas as pd

        offset = self._offset
        if self._weekday_of_month:
            # A day that was moved by a holiday is still that of its month.
            before = last - pd.Timedelta(days=last.day)
            return pd.DatetimeIndex([before + (i + 1) * offset for i in range(1, periods + 1)])
        if self.seconds is None and not offset.is_on_offset(last):
            months = {"months": 1, "quarters": 3, "years": 12}.get(self.unit[1])
            if months is not None:
                return Monthly(months * int(offset.n), int(last.day)).after(last, periods)
        moments = [last + i * offset for i in range(1, periods + 1)]
        # Nanoseconds reach from 1678 to 2261 only.
        return pd.DatetimeIndex(np.array([each.to_datetime64() for each in moments]))

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        import pandas as pd

        if self._weekday_of_month:
            before = moments - pd.to_timedelta(moments.day, unit="D")
            return pd.DatetimeIndex(before + 2 * self._offset)
        return pd.DatetimeIndex(moments + self._offset)


@dataclass(frozen=True)
class Monthly(Stepping):
    """Every `months` months on one `day`; the last one of a month that has no such day."""

    months: int
    day: int

    seconds = None
    near = 6 * DAY

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return self.months * 365.2425 / 12 * DAY

    @property
    def season(self) -> int:
        """Steps in a year."""
        return max(1, 12 // self.months)

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        for size, word in ((12, "years"), (3, "quarters")):
            if self.months % size == 0:
                return self.months // size, word
        return self.months, "months"

    @property
    def words(self) -> str:
        """The rule in words."""
        count, unit = self.unit
        place = "the last day" if self.day == 31 else f"day {self.day}"
        every = unit if count == 1 else f"steps of {count} {unit}"
        return f"{every}, on {place}" + ("" if unit == "months" else " of a month")

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        day, clock = apart(moments)
        months = day.astype("datetime64[M]") + self.months * steps
        ends = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
        days = np.minimum(months.astype("datetime64[D]") + np.timedelta64(self.day - 1, "D"), ends)
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock)


@dataclass(frozen=True)
class Monthdays(Stepping):
    """Some `days` of every month, rising; 31 stands for its last day.

    A moment belongs to the day that is nearest: pay on the 15th and on the last day of a month is
    paid before a weekend.
    """

    days: tuple[int, ...]

    seconds = None

    @property
    def near(self) -> int:
        """Seconds by which a moment may miss its day; none where the days are close together."""
        return 3 * DAY if len(self.days) <= 3 else 0

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return 365.2425 / 12 * DAY / len(self.days)

    @property
    def season(self) -> int:
        """Steps in a year."""
        return 12 * len(self.days)

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        return 1, {2: "half-months", 3: "dekads"}.get(len(self.days), "steps")

    @property
    def words(self) -> str:
        """The rule in words."""
        numbers = [str(day) for day in self.days if day < 31]
        listed = " and ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))
        if self.days[-1] < 31:
            return f"{self.unit[1]}, on days {listed} of each month"
        day = "day" if len(numbers) == 1 else "days"
        return f"{self.unit[1]}, on {day} {listed} and on the last day of each month"

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        day, clock = apart(moments)
        count = len(self.days)
        # Number the days of all months from that of 1970 on, and find the nearest one.
        months = day.astype("datetime64[M]").astype(np.int64)
        tried = months[:, None] * count + np.arange(-1, count + 1)
        away = np.abs((self._dates(tried) - day[:, None]).astype(np.int64))
        nearest = np.take_along_axis(tried, away.argmin(1)[:, None], 1)[:, 0]
        return pd.DatetimeIndex(self._dates(nearest + steps).astype("datetime64[us]") + clock)

    def _dates(self, numbers: NDArray[np.int64]) -> NDArray[np.datetime64]:
        month, place = np.divmod(numbers, len(self.days))
        months = month.astype("datetime64[M]")
        ends = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
        begins = months.astype("datetime64[D]")
        found: NDArray[np.datetime64] = np.minimum(begins + (np.array(self.days) - 1)[place], ends)
        return found
