"""The rules by which moments follow one another.

A rule is written as text, so that a run can keep it: an offset of pandas (`h`, `D`, `MS`, `W-SUN`),
or one of those that pandas has no name for:

- `days Mon Tue Wed Thu Fri Sat`: the days of a week on which something is measured,
- `months 1 on 15`: every so many months on one day, the last of a month that has no such day,
- `session 1800 s Mon Tue Wed Thu Fri 09:30:00-16:00:00`: hours of opening, with a step in seconds.

All moments are local times without a zone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = 86_400
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


class Rule(Protocol):
    """How moments follow one another."""

    @property
    def seconds(self) -> float | None:
        """The length of a step where all steps are as long, else None."""

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
        return Weekdays(_mask(rest.split()))
    if kind == "months":
        count, _, day = rest.partition(" on ")
        return Monthly(int(count), int(day))
    if kind == "session":
        step, _, *parts = rest.split(" ")
        days = [part for part in parts if part in DAYS]
        spans = [
            tuple(map(_seconds_of, part.split("-"))) for part in parts[len(days) :] if "-" in part
        ]
        slots = [s for first, last in spans for s in range(first, last + 1, int(step))]
        return Session(int(step), _mask(days), tuple(slots))
    return Offset(text)


@dataclass(frozen=True)
class Offset:
    """An offset of pandas, by its alias."""

    alias: str

    @functools.cached_property
    def _offset(self) -> Any:
        import pandas as pd

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
        if self.seconds is not None and self.seconds < _DAY:
            return _of_a_day(self.seconds)
        if self.alias == "7D":
            return _SEASONS["W"]
        return max(1, _SEASONS.get(self._code[:1], 1) // int(self._offset.n))

    @functools.cached_property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        found = next((word for code, word in _WORDS if self._code.startswith(code)), "steps")
        return int(self._offset.n), found

    @property
    def _code(self) -> str:
        code = str(self._offset.rule_code)
        if "WOM" in code:
            # The third Friday of a month comes once a month.
            return "M"
        # A working month (BMS) is a month.
        return code[1:] if code[:1] == "B" and code != "B" else code

    @property
    def words(self) -> str:
        """The rule in words."""
        count, unit = self.unit
        words = unit if count == 1 else f"steps of {count} {unit}"
        return f"{words} ({self.alias})" if unit == "steps" else words

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`.

        From `last` itself, even where it does not lie on the offset's own grid: months that begin
        on a 15th go on to the 15th.
        """
        import pandas as pd

        offset = self._offset
        if self.seconds is None and not offset.is_on_offset(last):
            months = {"months": 1, "quarters": 3, "years": 12}.get(self.unit[1])
            if months is not None:
                return Monthly(months * int(offset.n), int(last.day)).after(last, periods)
        return pd.DatetimeIndex([last + i * offset for i in range(1, periods + 1)])

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        import pandas as pd

        return pd.DatetimeIndex(moments + self._offset)


@dataclass(frozen=True)
class Weekdays:
    """Some days of every week, at one time of day; `mask` is true on them, from Monday on."""

    mask: tuple[bool, ...]

    seconds = None

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return 7 * _DAY / sum(self.mask)

    @property
    def season(self) -> int:
        """Steps in a week."""
        return sum(self.mask)

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        return 1, "days"

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"days, {_week(self.mask)}"

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`."""
        import pandas as pd

        day, clock = _apart(pd.DatetimeIndex([last]))
        days = np.busday_offset(
            day[0], np.arange(1, periods + 1), roll="backward", weekmask=list(self.mask)
        )
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock[0])

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        import pandas as pd

        day, clock = _apart(moments)
        days = np.busday_offset(day, 1, roll="backward", weekmask=list(self.mask))
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock)


@dataclass(frozen=True)
class Monthly:
    """Every `months` months on one `day`; the last one of a month that has no such day."""

    months: int
    day: int

    seconds = None

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return self.months * 365.2425 / 12 * _DAY

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

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`."""
        return self._moved(last, np.arange(1, periods + 1))

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        return self._moved(moments, np.ones(len(moments), np.int64))

    def _moved(self, moments: Any, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        day, clock = _apart(pd.DatetimeIndex(np.atleast_1d(moments)))
        months = day.astype("datetime64[M]") + self.months * steps
        ends = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
        days = np.minimum(months.astype("datetime64[D]") + np.timedelta64(self.day - 1, "D"), ends)
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock)


@dataclass(frozen=True)
class Session:
    """Hours of opening: times of day, in seconds, on some days of every week."""

    step: int
    mask: tuple[bool, ...]
    slots: tuple[int, ...]

    seconds = None

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return 7 * _DAY / (sum(self.mask) * len(self.slots))

    @property
    def season(self) -> int:
        """Steps in a day, or in an hour where steps are short."""
        return min(len(self.slots), _of_a_day(self.step))

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        for size, word in ((3600, "hours"), (60, "minutes")):
            if self.step % size == 0:
                return self.step // size, word
        return self.step, "seconds"

    @property
    def words(self) -> str:
        """The rule in words."""
        count, unit = self.unit
        every = unit if count == 1 else f"steps of {count} {unit}"
        hours = " and ".join(f"{_clock(a)} to {_clock(b)}" for a, b in self.spans())
        return f"{every}, {hours}, {_week(self.mask)}"

    def spans(self) -> list[tuple[int, int]]:
        """Return the first and last time of day of each stretch without a break."""
        cuts = [
            i for i in range(1, len(self.slots)) if self.slots[i] - self.slots[i - 1] > self.step
        ]
        edges = [0, *cuts, len(self.slots)]
        return [(self.slots[a], self.slots[b - 1]) for a, b in itertools.pairwise(edges)]

    def __str__(self) -> str:
        days = " ".join(day for day, there in zip(DAYS, self.mask, strict=True) if there)
        spans = " ".join(
            f"{_clock(a, whole=True)}-{_clock(b, whole=True)}" for a, b in self.spans()
        )
        return f"session {self.step} s {days} {spans}"

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`."""
        import pandas as pd

        return self._moved(pd.DatetimeIndex([last]), np.arange(1, periods + 1))

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        return self._moved(moments, np.ones(len(moments), np.int64))

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        day, clock = _apart(moments)
        slots = np.array(self.slots, np.int64)
        place = np.searchsorted(slots, clock.astype("timedelta64[s]").astype(np.int64), "right") - 1
        mask = list(self.mask)
        # A day on which nothing is measured counts as the end of the one before.
        place = np.where(np.is_busday(day, weekmask=mask), place, len(slots) - 1)
        ahead, slot = np.divmod(place + steps, len(slots))
        days = np.busday_offset(day, ahead, roll="backward", weekmask=mask)
        return pd.DatetimeIndex(
            days.astype("datetime64[us]") + slots[slot].astype("timedelta64[s]")
        )


def weekdays(mask: Sequence[bool]) -> str:
    """Return the text of the rule of some days of a week.

    >>> weekdays([True] * 6 + [False]), weekdays([True] * 5 + [False] * 2), weekdays([True] * 7)
    ('days Mon Tue Wed Thu Fri Sat', 'B', 'D')
    """
    if all(mask):
        return "D"
    if list(mask) == [True] * 5 + [False] * 2:
        return "B"
    return "days " + " ".join(day for day, there in zip(DAYS, mask, strict=True) if there)


def _of_a_day(seconds: float) -> int:
    # A day of five minutes or more; a day of seconds would be longer than most windows.
    cycle = _DAY if seconds >= 300 else 3600 if seconds >= 60 else 60
    return max(1, round(cycle / seconds))


def _apart(moments: pd.DatetimeIndex) -> tuple[NDArray[np.datetime64], NDArray[np.timedelta64]]:
    """Days and times of day."""
    exact = moments.to_numpy().astype("datetime64[us]")
    days = exact.astype("datetime64[D]")
    return days, exact - days


def _mask(days: Sequence[str]) -> tuple[bool, ...]:
    return tuple(day in days for day in DAYS)


def _week(mask: Sequence[bool]) -> str:
    there = [i for i, day in enumerate(mask) if day]
    if len(there) > 2 and there == list(range(there[0], there[-1] + 1)):
        return f"{_NAMES[there[0]]} to {_NAMES[there[-1]]}"
    return ", ".join(_NAMES[i] for i in there)


def _seconds_of(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _clock(seconds: int, *, whole: bool = False) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text if whole or seconds % 60 else text[:-3]
