"""Hours that stand beside one another: a column for each hour of a day, or a row for each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from elman.tasks.forecast.rules import rule_of

_PARTS = {24: "hours", 48: "half-hours", 96: "quarter-hours"}
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2})(?::00)?|\s?(?:h|hrs?|uhr)|\s?(?P<half>[ap]m))"
    r"(?:\s?(?:-|–|to|bis)\s?\d{1,2}[\d:.h\s]*(?:[ap]m|uhr)?)?",
    re.IGNORECASE,
)
"""An hour of a clock, with its end or without: `07:00`, `7h`, `7 am`, `07:00-08:00`."""
_NUMBERED = re.compile(r"(?P<word>.*?)[\s_.-]*(?P<number>\d{1,3})")
_HOURS = {
    *("", "h", "hh", "he", "hr", "hrs", "hour", "hours", "hourending", "std", "stunde", "heure"),
    *("hora", "ora", "uur", "godz", "godzina"),
}
"""Words before the number of an hour; numbers alone are hours where a row is a day."""
_SHORTER = {"", "p", "sp", "period", "hh", "q", "qh", "interval", "slot", "periodo", "step", "t"}
"""Words before the number of half an hour or a quarter of one."""


def hours_as_columns(names: Sequence[str], frequency: str | None) -> list[str]:
    """Return a doubt about a table of a row a day whose columns are the parts of the day."""
    return _doubted(names, frequency, "row", "its columns")


def hours_as_series(names: Sequence[str], frequency: str | None) -> list[str]:
    """Return a doubt about a table of a column a day whose rows are the parts of the day."""
    return _doubted(names, frequency, "column", "the rows")


def _doubted(names: Sequence[str], frequency: str | None, day: str, hours: str) -> list[str]:
    parts = parts_of_a_day(names, frequency)
    if parts is None:
        return []
    what = _PARTS[parts]
    return [
        f"each {day} is a day, and {parts} of {hours} are {what}, so each of them is forecast "
        f"from day to day, and the day is no season. For one series of {what}, write a row for "
        "each, with its date and time."
    ]


def parts_of_a_day(names: Sequence[str], frequency: str | None) -> int | None:
    """Return 24, 48 or 96 where as many names in a row are those of a day's parts, else None.

    Args:
        names: of the columns, in order.
        frequency: the rule of the times; None is returned for steps other than days.

    >>> parts_of_a_day([f"{hour:02}:00" for hour in range(24)], "D")
    24
    >>> parts_of_a_day([f"{hour}:{half:02}" for hour in range(24) for half in (0, 30)], "D")
    48
    >>> parts_of_a_day([f"shop {place}" for place in range(24)], "D") is None
    True
    """
    if frequency is None or rule_of(frequency).unit not in ((1, "days"), (1, "working days")):
        return None
    return _clocks(names) or _numbered(names)


def _clocks(names: Sequence[str]) -> int | None:
    """Return how many names are times of a clock that go once round it in equal steps."""
    minutes = [minute for name in names if (minute := _minute(name)) is not None]
    if len(minutes) not in _PARTS:
        return None
    step = 24 * 60 // len(minutes)
    # Some write the end of each part: 01:00 to 24:00, or to 00:00.
    steps = {(after - before) % (24 * 60) for before, after in itertools.pairwise(minutes)}
    return len(minutes) if steps == {step} else None


def _minute(name: str) -> int | None:
    """Return the minute of a day that a name writes, or None."""
    found = _CLOCK.fullmatch(name.strip())
    if found is None:
        return None
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].casefold() == "pm" else 0)
    minute = int(found["minute"] or 0)
    return hour * 60 + minute if hour <= 24 and minute < 60 else None


def _numbered(names: Sequence[str]) -> int | None:
    """Return how many names number the parts of a day: `H1` to `H24`, `hour_0` to `hour_23`."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        if (found := _NUMBERED.fullmatch(name.strip())) is not None:
            numbers.setdefault(found["word"].casefold(), []).append(int(found["number"]))
    for word, given in numbers.items():
        for first in (0, 1):
            # A night in which clocks are put back has one hour more.
            for parts, more in ((24, 1), (48, 2), (96, 4)):
                if word not in (_HOURS if parts == 24 else _HOURS | _SHORTER):
                    continue
                if given in ([*range(first, first + n)] for n in (parts, parts + more)):
                    return parts
    return None
