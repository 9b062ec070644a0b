"""Times: the moments that follow, where a moment lies in its day, and both in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.tasks.forecast.finding import (
    commonest_step,
    local,
    microseconds,
    odd_steps,
    short,
)
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.weekly import DAYS
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

# Time

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
_ALIASES = {
    **{"H": "h", "T": "min", "S": "s", "L": "ms", "M": "MS", "Q": "QS", "A": "YS", "Y": "YS"},
    **{name: name for name in ("h", "min", "s", "D", "B", "W", "MS", "QS", "YS")},
}
MOST_COUNTED = 500
"""Series whose steps are compared with the rule."""


def step_in_words(seconds: float) -> str:
    """Return a length of time in words.

    >>> step_in_words(3600), step_in_words(2 * 86400), step_in_words(0.5)
    ('1 hour', '2 days', '0.5 seconds')
    """
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds / size
            return f"{written(count)} {unit}{'' if count == 1 else 's'}"
    return f"{written(seconds)} second{'' if seconds == 1 else 's'}"


def clocks_went_back(first: Any, second: Any) -> bool:
    """Tell whether an hour comes twice because clocks were put back in that night.

    >>> import pandas as pd
    >>> clocks_went_back(pd.Timestamp("2023-10-29 02:00"), pd.Timestamp("2023-10-29 02:00"))
    True
    """
    import pandas as pd

    if not isinstance(second, pd.Timestamp) or second.tz is not None:
        return False
    back = first - second
    night = second.day_of_week == 6 and second.hour <= 3 and second.month in (3, 4, 9, 10, 11)
    return bool(night and pd.Timedelta(0) <= back <= pd.Timedelta(hours=1))


def time_told(
    series: Sequence[pd.DatetimeIndex | None], frequency: str | None, where: str = ""
) -> list[tuple[str, str]]:
    """Return the first and last time of some series and how times run, each under `time`.

    Args:
        series: times of each.
        frequency: the rule of their steps.
        where: the place where the times stand, such as `column 'date'`; empty for no word of it.
    """
    known = [times for times in series if times is not None and len(times)]
    if not known:
        return [("time", f"{where[:1].upper()}{where[1:]}.")] if where else []
    first, last = min(times[0] for times in known), max(times[-1] for times in known)
    days = all(bool((times == times.normalize()).all()) for times in known[:MOST_COUNTED])
    begin, end = (str(time.date() if days else time) for time in (first, last))
    span = f"{begin} to {end}{f', in {where}' if where else ''}."
    return [("time", sentence) for sentence in (span, *time_notes(series, frequency))]


def time_notes(series: Sequence[pd.DatetimeIndex | None], frequency: str | None) -> list[str]:
    """Return how the times of some series run, in sentences."""
    known = [times for times in series if times is not None and len(times) > 1]
    if not known:
        return []
    notes = []
    longest = max(known, key=len)
    if frequency is None and len(longest) > 2:
        steps = np.diff(microseconds(longest)) / 1e6
        common = commonest_step(longest)
        notes.append(
            f"The times follow no rule: {int((steps != common).sum()):,} of {len(steps):,} steps "
            f"differ from the commonest ({step_in_words(common)}). Each row counts as one step; "
            "forecasts are numbered, not dated, and there is no season and no calendar."
        )
    elif frequency is not None:
        season = season_of(frequency)
        cycle = f"; a season is {season} steps" if season > 1 else ""
        notes.append(f"A step: {rule_of(frequency).words}{cycle}.")
        notes += _odd_notes(known, frequency)
    if longest.tz is not None:
        notes.append(f"Times stay in their zone ({longest.tz}){_changes(longest)}.")
    return notes


def _odd_notes(series: Sequence[pd.DatetimeIndex], frequency: str) -> list[str]:
    odd, count, first, clocks = 0, 0, None, None
    for times in series[:MOST_COUNTED]:
        wrong = np.flatnonzero(odd_steps(times, frequency))
        odd, count = odd + len(wrong), count + len(times) - 1
        if not len(wrong):
            continue
        first = first or times[wrong[0]]
        for at in wrong.tolist():
            if clocks is None and hour_left_out(times[at], times[at + 1]):
                clocks = times[at]
    notes = []
    few = f"of the first {MOST_COUNTED} series " if len(series) > MOST_COUNTED else ""
    if odd:
        notes.append(
            f"{odd:,} of {count:,} steps {few}are not of that length (the first after {first}): "
            "rows on both sides of a gap count as neighbours."
        )
    if clocks is not None:
        notes.append(f"The hour after {clocks} is missing because clocks were put forward.")
    return notes


def hour_left_out(first: Any, second: Any) -> bool:
    """Tell whether an hour is missing because clocks were put forward in that night."""
    import pandas as pd

    night = first.day_of_week == 6 and first.hour <= 3 and first.month in (3, 4, 9, 10, 11)
    gap = second - first
    return bool(first.tz is None and night and pd.Timedelta(hours=1) < gap <= pd.Timedelta(hours=2))


def _changes(times: pd.DatetimeIndex) -> str:
    """Return when clocks were changed, in words that go on a sentence."""
    offsets = (microseconds(times.tz_localize(None)) - microseconds(times)) // 60_000_000
    places = np.flatnonzero(np.diff(offsets))
    if not len(places):
        return ""
    days = ", ".join(str(times[place].date()) for place in places[:4].tolist())
    return f"; clocks were changed on {days}" + (" and later" if len(places) > 4 else "")


def told_frequency(words: Any) -> str | None:
    """Return the rule of a frequency, as `.tsf` files write it or as an alias of pandas.

    None where it is not known. Months, quarters and years begin on their first day.

    >>> [told_frequency(words) for words in ("hourly", "10_minutes", "H", "15T", "M", "W-MON", "x")]
    ['h', '10min', 'h', '15min', 'MS', 'W-MON', None]
    """
    if not words:
        return None
    name = str(words).strip()
    if name.lower() in _TOLD:
        return _TOLD[name.lower()]
    counted = re.fullmatch(r"(\d+)_(second|minute|hour|day)s?", name.lower())
    if counted is not None:
        unit = {"second": "s", "minute": "min", "hour": "h", "day": "D"}[counted[2]]
        return f"{counted[1]}{unit}"
    alias = re.fullmatch(r"(\d*)([A-Za-z]+)((?:-[A-Z]{3})?)", name)
    if alias is None:
        return None
    # Older names of pandas, as GluonTS writes them.
    unit = _ALIASES.get(alias[2], alias[2])
    if unit not in {*_ALIASES.values(), "ms", "us", "ME", "QE", "YE", "BMS", "BME"}:
        return None
    count = "" if alias[1] in ("", "1") else alias[1]
    return f"{count}{unit}{alias[3]}"


def begun_at(frequency: str | None, starts: Sequence[Any]) -> str | None:
    """Return a rule that the first moments of series follow.

    >>> import pandas as pd
    >>> begun_at("W", [pd.Timestamp("2024-01-03")]), begun_at("MS", [pd.Timestamp("2024-01-15")])
    ('W-WED', 'months 1 on 15')
    """
    there = [start for start in starts if start is not None]
    if frequency is None or not there:
        return frequency
    if frequency == "W":
        days = {start.day_of_week for start in there}
        return f"W-{DAYS[days.pop()].upper()}" if len(days) == 1 else "7D"
    months = {"MS": 1, "QS": 3, "YS": 12}.get(frequency)
    days = {start.day for start in there}
    if months is None or days == {1}:
        return frequency
    ends = all(start.is_month_end for start in there)
    return f"months {months} on {31 if ends else max(days)}"


def season_of(frequency: str | None) -> int:
    """Return the steps in the cycle one expects: a day of hours, a week of days; else 1.

    >>> [season_of(f) for f in ("h", "15min", "D", "B", "W-SUN", "MS", "QS-OCT", "YS", None)]
    [24, 96, 7, 5, 52, 12, 4, 1, 1]
    >>> season_of("days Mon Tue Wed Thu Fri Sat"), season_of("session 3600 s Mon 09:00:00-16:00:00")
    (6, 8)
    """
    return 1 if frequency is None else rule_of(frequency).season


def step_of(frequency: str) -> int | None:
    """Return the microseconds of a step, or None where steps differ in length.

    >>> step_of("15min"), step_of("D"), step_of("MS")
    (900000000, 86400000000, None)
    """
    seconds = rule_of(frequency).seconds
    return None if seconds is None else round(seconds * 1e6)


def unit_of(frequency: str | None, rows: int = 1) -> str:
    """Return the unit of so many rows, in words and in the plural.

    >>> unit_of("h"), unit_of("h", 24), unit_of("15min"), unit_of("MS"), unit_of(None)
    ('hours', 'steps of 24 hours', 'steps of 15 minutes', 'months', 'steps')
    """
    count, words = (1, "steps") if frequency is None else rule_of(frequency).unit
    if words == "steps":
        return "steps" if rows == 1 else f"steps of {rows} rows"
    count *= rows
    return words if count == 1 else f"steps of {count} {words}"


def moments_from(start: Any, periods: int, frequency: str | None) -> pd.DatetimeIndex:
    """Return `start` and the moments that follow it, `periods` in all."""
    import pandas as pd

    assert frequency is not None
    first = pd.DatetimeIndex([start])
    if periods == 1:
        return first
    return pd.DatetimeIndex(first.append(times_after(start, periods - 1, frequency)))


def times_after(last: Any, periods: int, frequency: str) -> pd.DatetimeIndex:
    """Return the next `periods` moments after `last`, in its zone.

    Days and longer steps keep the time of day when clocks change; shorter ones are of equal length.

    >>> import pandas as pd
    >>> [str(t.date()) for t in times_after(pd.Timestamp("2024-01-05"), 2, "B")]
    ['2024-01-08', '2024-01-09']
    """
    rule = rule_of(frequency)
    if last.tz is None:
        return rule.after(last, periods)
    if short(frequency):
        exact = rule.after(last.tz_convert("UTC").tz_localize(None), periods)
        return exact.tz_localize("UTC").tz_convert(last.tz)
    moments = rule.after(last.tz_localize(None), periods)
    # Of an hour that comes twice the later one; for an hour that is left out the next.
    later = np.zeros(len(moments), dtype=bool)
    return moments.tz_localize(last.tz, ambiguous=later, nonexistent="shift_forward")


# Calendar

CYCLES = {"day": 86_400.0, "week": 604_800.0, "year": 31_556_952.0}


def cycles_of(frequency: str | None, rows: int, lookback: int) -> list[str]:
    """The cycles worth a feature: longer than two steps, and seen twice in `rows` rows.

    Not those that every window of `lookback` rows holds twice: it can see where it stands.

    >>> cycles_of("h", 8640, 72), cycles_of("MS", 120, 12), cycles_of(None, 100, 10)
    (['week'], ['year'], [])
    """
    if frequency is None or rows < 2:
        return []
    step = rule_of(frequency).mean
    return [
        name
        for name, length in CYCLES.items()
        if step * 2.5 < length and lookback * step < 2 * length <= rows * step
    ]


def calendar(times: pd.DatetimeIndex, cycles: Sequence[str]) -> Floats:
    """Return where each moment lies in each cycle, as sine and cosine: `(T, 2 * cycles)`."""
    if not cycles:
        return np.empty((len(times), 0))
    return places_in(local(times).to_numpy().astype("datetime64[us]"), cycles)


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
