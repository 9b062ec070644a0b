"""Rules by which moments repeat every week: its days, and its hours of opening."""

from __future__ import annotations

import itertools
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
"""Seconds."""


@dataclass(frozen=True)
class Weekdays:
    """Some days of every week, at one time of day; `mask` is true on them, from Monday on."""

    mask: tuple[bool, ...]

    seconds = None

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return 7 * DAY / sum(self.mask)

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
class Session:
    """Hours of opening: times of day, in seconds, on some days of every week."""

    step: int
    mask: tuple[bool, ...]
    slots: tuple[int, ...]

    seconds = None

    @property
    def mean(self) -> float:
        """The mean length of a step in seconds."""
        return 7 * DAY / (sum(self.mask) * len(self.slots))

    @property
    def season(self) -> int:
        """Steps in a day, or in an hour where steps are short."""
        return min(len(self.slots), of_a_day(self.step))

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
    if len(there) > 2 and there == list(range(there[0], there[-1] + 1)):
        return f"{NAMES[there[0]]} to {NAMES[there[-1]]}"
    return ", ".join(NAMES[i] for i in there)


def seconds_of(clock: str) -> int:
    """Return the seconds since midnight of a time of day."""
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _clock(seconds: int, *, whole: bool = False) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text if whole or seconds % 60 else text[:-3]
