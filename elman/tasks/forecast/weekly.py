"""Rules by which moments repeat every week: its days, hours of opening, and shifts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY = 86_400
WEEK = 7 * DAY
"""Seconds."""
_MOST_OF_A_WEEK = 400
"""Steps of a week that are a season, where its days differ."""


class Stepping:
    """A rule that goes so many steps on from each of some moments: `_moved` says how."""

    def after(self, last: Any, periods: int) -> pd.DatetimeIndex:
        """Return the moments that follow `last`."""
        import pandas as pd

        return self._moved(pd.DatetimeIndex([last]), np.arange(1, periods + 1))

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        return self._moved(moments, np.ones(len(moments), np.int64))

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        raise NotImplementedError


@dataclass(frozen=True)
class Weekdays:
    """Some days of every week, at one time of day; `mask` is true on them, from Monday on."""

    mask: tuple[bool, ...]

    seconds = None
    near = 0

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return WEEK / sum(self.mask)

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

        day, clock = apart(pd.DatetimeIndex([last]))
        days = np.busday_offset(
            day[0], np.arange(1, periods + 1), roll="backward", weekmask=list(self.mask)
        )
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock[0])

    def following(self, moments: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the moment that should follow each of `moments`."""
        import pandas as pd

        day, clock = apart(moments)
        days = np.busday_offset(day, 1, roll="backward", weekmask=list(self.mask))
        return pd.DatetimeIndex(days.astype("datetime64[us]") + clock)


@dataclass(frozen=True)
class Session(Stepping):
    """Hours of opening: times of day, in seconds, on some days of every week."""

    step: int
    mask: tuple[bool, ...]
    slots: tuple[int, ...]

    seconds = None
    near = 0

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return WEEK / (sum(self.mask) * len(self.slots))

    @property
    def season(self) -> int:
        """Steps in a day, or in an hour where steps are short."""
        return min(len(self.slots), of_a_day(self.step))

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        return _unit(self.step)

    @property
    def words(self) -> str:
        """The rule in words."""
        every = _steps(self.step)
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

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        day, clock = apart(moments)
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


@dataclass(frozen=True)
class Shifts(Stepping):
    """Times of a week that repeat from week to week, where its days are not alike.

    A shift may go on after midnight: one that begins on a Friday evening ends on a Saturday.

    Attributes:
        step: seconds between the moments of a shift.
        slots: seconds since Monday at midnight, rising.
    """

    step: int
    slots: tuple[int, ...]

    seconds = None
    near = 0

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return WEEK / len(self.slots)

    @property
    def season(self) -> int:
        """Steps of a day where all days with shifts have as many, else of the week."""
        if self.step >= DAY:
            return len(self.slots)
        of_days = Counter[int]()
        for first, last in self.spans():
            of_days[first // DAY] += (last - first) // self.step + 1
        whole = len(set(of_days.values())) > 1 and len(self.slots) <= _MOST_OF_A_WEEK
        return len(self.slots) if whole else min(max(of_days.values()), of_a_day(self.step))

    @property
    def unit(self) -> tuple[int, str]:
        """How many of what a step is, in the plural."""
        return _unit(self.step)

    @property
    def words(self) -> str:
        """The rule in words."""
        alike: dict[str, list[int]] = {}
        shifts = []
        for first, last in self.spans():
            days = last // DAY - first // DAY
            begin, end = (_clock(time % DAY) for time in (first, last))
            if days > 1:
                shifts.append(f"{NAMES[first // DAY]} {begin} to {NAMES[last // DAY % 7]} {end}")
                continue
            until = f" to {end}{' of the next day' if days else ''}" if last > first else ""
            alike.setdefault(f"{begin}{until}", []).append(first // DAY)
        for hours, begun in alike.items():
            shifts.append(f"{hours}, {_week([day in begun for day in range(7)])}")
        return f"{_steps(self.step)}, {'; '.join(shifts)}"

    def spans(self) -> list[tuple[int, int]]:
        """Return the first and last time of each shift; one over the week's end goes on."""
        cuts = [
            i for i in range(1, len(self.slots)) if self.slots[i] - self.slots[i - 1] > self.step
        ]
        edges = [0, *cuts, len(self.slots)]
        found = [(self.slots[a], self.slots[b - 1]) for a, b in itertools.pairwise(edges)]
        (begin, end), last = found[0], found[-1]
        if len(found) > 1 and begin + WEEK - last[1] <= self.step:
            found = [*found[1:-1], (last[0], end + WEEK)]
        return found

    def __str__(self) -> str:
        spans = " ".join(f"{_in_week(a)}-{_in_week(b)}" for a, b in self.spans())
        return f"shifts {self.step} s {spans}"

    @classmethod
    def of(cls, text: str) -> Shifts:
        """Return the shifts that a text writes after its first word."""
        step, _, *parts = text.split(" ")
        slots: set[int] = set()
        for part in parts:
            first, last = (DAYS.index(t[:3]) * DAY + seconds_of(t[3:]) for t in part.split("-"))
            last += WEEK if last < first else 0
            slots |= {slot % WEEK for slot in range(first, last + 1, int(step))}
        return cls(int(step), tuple(sorted(slots)))

    def _moved(self, moments: pd.DatetimeIndex, steps: NDArray[np.int64]) -> pd.DatetimeIndex:
        import pandas as pd

        mondays, within = in_weeks(moments)
        slots = np.array(self.slots, np.int64)
        # Before the first shift of a week comes the last one of the week before.
        place = np.searchsorted(slots, within, "right") - 1
        ahead, slot = np.divmod(place + steps, len(slots))
        begins = (mondays + 7 * ahead).astype("datetime64[us]")
        return pd.DatetimeIndex(begins + slots[slot].astype("timedelta64[s]"))


def in_weeks(moments: pd.DatetimeIndex) -> tuple[NDArray[np.datetime64], NDArray[np.int64]]:
    """Return the Monday of each moment's week, and the seconds since then."""
    days, clocks = apart(moments)
    of_week = day_of_week(days)
    return days - of_week, of_week * DAY + clocks.astype("timedelta64[s]").astype(np.int64)


def day_of_week(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the day of the week of each day; 0 is Monday."""
    # The first day of 1970 was a Thursday.
    return (days.astype(np.int64) + 3) % 7


def weekdays(mask: Sequence[bool]) -> str:
    """Return the text of the rule of some days of a week.

    >>> weekdays([True] * 6 + [False]), weekdays([True] * 5 + [False] * 2), weekdays([True] * 7)
    ('days Mon Tue Wed Thu Fri Sat', 'B', 'D')
    >>> weekdays([False] * 6 + [True])
    'W-SUN'
    """
    if all(mask):
        return "D"
    if list(mask) == [True] * 5 + [False] * 2:
        return "B"
    there = [day for day, measured in zip(DAYS, mask, strict=True) if measured]
    return f"W-{there[0].upper()}" if len(there) == 1 else f"days {' '.join(there)}"


def of_a_day(seconds: float) -> int:
    """Return the steps of a day, or of an hour or minute where they are short."""
    # A day of five minutes or more; a day of seconds would be longer than most windows.
    cycle = DAY if seconds >= 300 else 3600 if seconds >= 60 else 60
    return max(1, round(cycle / seconds))


def apart(moments: pd.DatetimeIndex) -> tuple[NDArray[np.datetime64], NDArray[np.timedelta64]]:
    """Return days and times of day."""
    exact = moments.to_numpy().astype("datetime64[us]")
    days = exact.astype("datetime64[D]")
    return days, exact - days


def mask_of(days: Sequence[str]) -> tuple[bool, ...]:
    """Return which days of the week, from Monday on, are named."""
    return tuple(day in days for day in DAYS)


def _week(mask: Sequence[bool]) -> str:
    there = [i for i, day in enumerate(mask) if day]
    begins = [i for i in there if not mask[i - 1]]
    if len(there) > 2 and len(begins) == 1:
        return f"{NAMES[begins[0]]} to {NAMES[(begins[0] + len(there) - 1) % 7]}"
    if len(there) > 2 and not begins:
        return "every day"
    return ", ".join(NAMES[i] for i in there)


def seconds_of(clock: str) -> int:
    """Return the seconds since midnight of a time of day."""
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _unit(step: int) -> tuple[int, str]:
    for size, word in ((DAY, "days"), (3600, "hours"), (60, "minutes")):
        if step % size == 0:
            return step // size, word
    return step, "seconds"


def _steps(step: int) -> str:
    count, unit = _unit(step)
    return unit if count == 1 else f"steps of {count} {unit}"


def _in_week(seconds: int) -> str:
    return f"{DAYS[seconds // DAY % 7]}{_clock(seconds % DAY, whole=True)}"


def _clock(seconds: int, *, whole: bool = False) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text if whole or seconds % 60 else text[:-3]
