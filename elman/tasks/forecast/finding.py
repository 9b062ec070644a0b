"""The rule of some moments: found from the steps between them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.tasks.forecast.rules import Monthdays, rule_of
from elman.tasks.forecast.weekly import DAY, DAYS, Session, Shifts, day_of_week, in_weeks, weekdays

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400_000_000
"""Microseconds."""
_MOSTLY = 0.8
"""Days at least that a rule hits where the others were moved."""
_MOST_SHIFTS = 21
"""Stretches without a break in a week."""


def local(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return times as clocks show them, without a zone."""
    return times if times.tz is None else times.tz_localize(None)


def frequency_of(times: pd.DatetimeIndex) -> str | None:
    """Return the rule by which moments follow one another, as `elman.tasks.forecast.rules` has it.

    Where steps differ (a holiday, a missing hour), the rule that explains most of them counts.
    None for fewer than three moments, and where no rule explains half of the steps.

    >>> import pandas as pd
    >>> frequency_of(pd.DatetimeIndex(["2024-01-01", "2024-02-01", "2024-03-01"]))
    'MS'
    >>> frequency_of(pd.DatetimeIndex(["2024-01-15", "2024-02-15", "2024-03-15", "2024-04-15"]))
    'months 1 on 15'
    """
    if len(times) < 3:
        return None
    exact = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    if times.tz is not None and (found := _inferred(exact)) is not None and short(found):
        return found
    candidates = _candidates(local(times), exact)
    counts = [int(odd_steps(times, each).sum()) for each in candidates]
    best = int(np.argmin(counts))
    # A week can be cut to fit what happens to be missing: it has to explain far more.
    shifts = _shifts(local(times))
    if shifts is not None and 2 * int(odd_steps(times, shifts).sum()) < counts[best]:
        return shifts
    return candidates[best] if 2 * counts[best] <= len(times) - 1 else None


def odd_steps(times: pd.DatetimeIndex, frequency: str) -> NDArray[np.bool_]:
    """Return which of the steps between moments are not those of the rule, `(T - 1,)`."""
    rule = rule_of(frequency)
    moments = local(times)
    if times.tz is not None and short(frequency):
        moments = times.tz_convert("UTC").tz_localize(None)
    with warnings.catch_warnings():
        # Some offsets of pandas are added one by one, of which it warns.
        warnings.simplefilter("ignore")
        expected = rule.following(moments[:-1])
    missed = np.abs(microseconds(moments[1:]) - microseconds(expected))
    return np.asarray(missed > 1_000_000 * rule.near)


def commonest_step(times: pd.DatetimeIndex) -> float:
    """Return the step that occurs most often, in seconds."""
    steps, counts = np.unique(np.diff(microseconds(times)), return_counts=True)
    return float(steps[np.argmax(counts)]) / 1e6


def short(frequency: str) -> bool:
    """Tell whether steps are shorter than a day: then they are counted in time that runs evenly."""
    seconds = rule_of(frequency).seconds
    return seconds is not None and seconds * 1e6 < _DAY


def microseconds(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return moments as microseconds that run evenly."""
    exact = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    return exact.to_numpy().astype("datetime64[us]").astype(np.int64)


def _inferred(times: pd.DatetimeIndex) -> str | None:
    import pandas as pd

    with warnings.catch_warnings():
        # pandas 3 warns that pandas 4 will return an offset; both are understood here.
        warnings.simplefilter("ignore")
        found: Any = pd.infer_freq(times[:10_000])
    if found is None:
        return None
    rule = str(getattr(found, "freqstr", found))
    # Quarters that begin in October are those that begin in January; pandas 2 names the former.
    return "QS-JAN" if rule == "QS-OCT" else rule


def _candidates(times: pd.DatetimeIndex, exact: pd.DatetimeIndex) -> list[str]:
    """Return rules that the moments may follow, the plainer ones first."""
    import pandas as pd

    step = round(commonest_step(exact) * 1e6)
    days = times.to_numpy().astype("datetime64[D]")
    clocks = times.to_numpy().astype("datetime64[us]") - days
    plain = "D" if step == _DAY else f"{step // _DAY}D"
    if step % _DAY:
        plain = str(pd.tseries.frequencies.to_offset(pd.Timedelta(step, unit="us")).freqstr)
    whole = step >= _DAY and bool((clocks == clocks[0]).all())
    found = [inferred] if (inferred := _inferred(times)) is not None else []
    if whole and step >= 28 * _DAY:
        # A step of 31 days is a month, also where all the steps that are there are of 31 days.
        found = [each for each in found if rule_of(each).unit[1] != "days"]
        # A day of the month may be missed by some days, so it would explain a weekday too.
        found += _weekday_of_months(days) or [
            *(["BMS", "BME"] if step <= 33 * _DAY else []),
            _monthly(days),
        ]
    if plain == "7D":
        # An odd date at the end moves no later week.
        usual = int(np.bincount(day_of_week(days), minlength=7).argmax())
        found.append(weekdays([day == usual for day in range(7)]))
    found.append(plain)
    if whole and step <= 7 * _DAY and days[-1] - days[0] >= np.timedelta64(14, "D"):
        found.append(weekdays(_open_days(days)))
    if 4 * _DAY <= step <= 17 * _DAY:
        found += _of_months(days)
    if step < _DAY and step % 1_000_000 == 0:
        session = _session(days, clocks, step // 1_000_000)
        found += [] if session is None else [session]
    return found


def _monthly(days: NDArray[np.datetime64]) -> str:
    months = days.astype("datetime64[M]")
    steps, counts = np.unique(np.diff(months).astype(np.int64), return_counts=True)
    count = int(max(1, steps[np.argmax(counts)]))
    place = (days - months).astype(np.int64) + 1
    last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D") == days
    # A 30th is a 28th in February; the last day of every month is the 31st or the last.
    whole = int(place.max())
    if not (last | (place == whole)).all():
        found, counts = np.unique(place, return_counts=True)
        whole = int(found[np.argmax(counts)])
    elif last.all():
        whole = 31
    if count == 1 and whole in (1, 31):
        return "MS" if whole == 1 else "ME"
    return f"months {count} on {whole}"


def _weekday_of_months(days: NDArray[np.datetime64]) -> list[str]:
    """Return the rule of one weekday of every month, the third Friday or the last one; or none.

    Some days may be moved by a holiday.
    """
    months = days.astype("datetime64[M]")
    if len(days) < 6 or np.median(np.diff(months).astype(np.int64)) != 1:
        return []
    place = (days - months).astype(np.int64)
    left = ((months + 1).astype("datetime64[D]") - days).astype(np.int64)
    of_week = day_of_week(days)
    weekday = int(np.bincount(of_week, minlength=7).argmax())
    name, on = DAYS[weekday].upper(), of_week == weekday
    ways = {f"WOM-{n + 1}{name}": on & (place // 7 == n) for n in range(4)}
    ways[f"LWOM-{name}"] = on & (left <= 7)
    best = max(ways, key=lambda way: int(ways[way].sum()))
    return [best] if ways[best].mean() >= _MOSTLY else []


def _of_months(days: NDArray[np.datetime64]) -> list[str]:
    """Return rules of some days of every month, as 1 and 15, or 10, 20 and the last."""
    months = days.astype("datetime64[M]")
    place = (days - months).astype(np.int64) + 1
    last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D") == days
    count = round(30.44 / float(np.median(np.diff(days).astype(np.int64))))
    rules = []
    for placed in (place, np.where(last, 31, place)):
        kept: list[int] = []
        each, often = np.unique(placed, return_counts=True)
        # Days beside one that is kept are the same one, moved by a weekend.
        for day in each[np.argsort(-often, kind="stable")].tolist():
            if len(kept) < count and all(4 <= abs(day - other) <= 27 for other in kept):
                kept.append(day)
        if len(kept) == count > 1:
            rule = Monthdays(tuple(sorted(kept)))
            rules.append(f"monthdays {' '.join(map(str, rule.days))}")
    return rules


def _shifts(times: pd.DatetimeIndex) -> str | None:
    """Return the times that repeat every week; None where fewer than two weeks are there."""
    mondays, within = in_weeks(times)
    exact = times.to_numpy().astype("datetime64[us]")
    if exact[-1] - exact[0] < np.timedelta64(13, "D"):
        return None
    slots, counts = np.unique(within, return_counts=True)
    begin, end = mondays[0], mondays[-1]
    weeks = int((end - begin).astype(np.int64)) // 7 + 1
    # A time before the first moment, or after the last, could not come in that week.
    possible = weeks - (slots < within[0]).astype(int) - (slots > within[-1]).astype(int)
    kept = slots[2 * counts > possible]
    if len(kept) < 2 or 2 * len(slots) > len(times) or counts.max() < 2:
        return None
    steps, often = np.unique(np.diff(kept), return_counts=True)
    step = min(int(steps[np.argmax(often)]), DAY)
    rule = Shifts(step, tuple(kept.tolist()))
    if any((last - first) % rule.step for first, last in rule.spans()):
        return None
    return str(rule) if len(rule.spans()) <= _MOST_SHIFTS else None


def _open_days(days: NDArray[np.datetime64]) -> list[bool]:
    """Return the days of the week, from Monday on, that are measured at least half as often."""
    there = np.unique(days)
    counts = np.bincount(day_of_week(there), minlength=7)
    span = np.arange(there[0], there[-1] + np.timedelta64(1, "D"))
    possible = np.bincount(day_of_week(span), minlength=7)
    # Nothing is known of a day that has not come round yet.
    return ((counts >= 0.5 * np.median(counts[counts > 0])) | (possible == 0)).tolist()  # type: ignore[no-any-return]


def _session(
    days: NDArray[np.datetime64], clocks: NDArray[np.timedelta64], step: int
) -> str | None:
    """Return the hours of opening, or None where times of day follow no pattern."""
    slots, counts = np.unique(clocks.astype("timedelta64[s]").astype(np.int64), return_counts=True)
    kept = slots[counts >= 0.5 * counts.max()]
    if counts.max() < 3:
        return None
    rule = Session(step, tuple(_open_days(days)), tuple(kept.tolist()))
    return str(rule) if len(rule.spans()) <= 4 else None
