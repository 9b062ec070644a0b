"""Times: the step between moments, the moments that follow, and where a moment lies in its day."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

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


def told_frequency(words: Any) -> str | None:
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


def moments_from(start: Any, periods: int, frequency: str | None) -> pd.DatetimeIndex:
    """Return `start` and the moments that follow it, `periods` in all."""
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
    return moments_from(last, periods + 1, frequency)[1:]


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
    span = moments_from(pd.Timestamp("2001-01-01"), 8, frequency)
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
