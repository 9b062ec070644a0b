"""Rules of times: found from dates, gone on by, and told in words."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elman.tasks.forecast.doubts import of_rule
from elman.tasks.forecast.finding import frequency_of, odd_steps
from elman.tasks.forecast.rules import Monthdays, Monthly, rule_of
from elman.tasks.forecast.times import (
    calendar,
    cycles_of,
    season_of,
    time_notes,
    times_after,
    unit_of,
)
from elman.tasks.forecast.weekly import Session, Shifts, Weekdays


def range_of(begin: str, periods: int, freq: str, zone: str | None = None) -> pd.DatetimeIndex:
    return pd.date_range(begin, periods=periods, freq=freq, tz=zone)


def last_weekdays(weekday: int, periods: int) -> pd.DatetimeIndex:
    ends = range_of("2010-01-01", periods, "ME")
    return ends - pd.to_timedelta((ends.day_of_week - weekday) % 7, unit="D")


def kept(times: pd.DatetimeIndex, where: Callable[[pd.DatetimeIndex], object]) -> pd.DatetimeIndex:
    return times[np.asarray(where(times))]


def open_hours(times: pd.DatetimeIndex) -> object:
    clock = times.hour * 60 + times.minute
    return (times.day_of_week < 5) & (clock >= 9 * 60 + 30) & (clock <= 16 * 60)


def clamped(day: int) -> pd.DatetimeIndex:
    """The same day of every month, or its last one."""
    ends = range_of("2020-01-31", 40, "ME")
    return pd.DatetimeIndex([end.replace(day=min(day, end.day)) for end in ends])


def night(times: pd.DatetimeIndex, first: list[int]) -> object:
    """Shifts from 22:00 to 05:00 that begin on some days of the week."""
    evening = (times.hour >= 22) & times.day_of_week.isin(first)
    return evening | ((times.hour <= 5) & times.day_of_week.isin([(day + 1) % 7 for day in first]))


def short_saturdays(times: pd.DatetimeIndex) -> object:
    week = (times.day_of_week < 5) & (times.hour >= 8) & (times.hour <= 20)
    return week | ((times.day_of_week == 5) & (times.hour >= 9) & (times.hour <= 14))


def month_days(*days: int) -> pd.DatetimeIndex:
    """Some days of every month; 31 is its last one."""
    ends = range_of("2020-01-31", 30, "ME")
    return pd.DatetimeIndex([end.replace(day=min(d, end.day)) for end in ends for d in days])


def shop(times: pd.DatetimeIndex) -> object:
    return (times.hour >= 8) & (times.hour <= 20) & (times.day_of_week < 6)


HOURS = range_of("2023-01-02", 70 * 24, "h")
CALENDARS = {
    "nights of weekdays": (kept(HOURS, lambda t: night(t, [0, 1, 2, 3, 4])), 8),
    "nights from Sunday on": (kept(HOURS, lambda t: night(t, [6, 0, 1, 2, 3])), 8),
    "a shop": (kept(HOURS, shop), 13),
    "a shop with short Saturdays": (kept(HOURS, short_saturdays), 71),
    "Monday to Saturday noon": (
        kept(HOURS, lambda t: (t.day_of_week < 5) | ((t.day_of_week == 5) & (t.hour < 12))),
        24,
    ),
    "Sunday to Thursday": (
        kept(range_of("2023-01-01", 90, "D"), lambda t: ~t.day_of_week.isin([4, 5])),
        5,
    ),
    "two times a week": (
        pd.DatetimeIndex(
            [
                day + pd.Timedelta(hours=10 if day.day_of_week == 1 else 15)
                for day in range_of("2023-01-01", 120, "D")
                if day.day_of_week in (1, 4)
            ]
        ),
        2,
    ),
    "Berlin's nights": (
        kept(HOURS, lambda t: night(t, [0, 1, 2, 3, 4])).tz_localize("Europe/Berlin"),
        8,
    ),
    "the 1st and 15th": (month_days(1, 15), 24),
    "the 15th and the last": (month_days(15, 31), 24),
    "the 15th and 30th": (month_days(15, 30), 24),
    "dekads": (month_days(1, 11, 21), 36),
    "ends of dekads": (month_days(10, 20, 31), 36),
    "every five days": (month_days(1, 6, 11, 16, 21, 26), 72),
    "Monday to Saturday": (kept(range_of("2023-01-02", 90, "D"), lambda t: t.day_of_week < 6), 6),
    "closed on Tuesdays": (kept(range_of("2023-01-02", 90, "D"), lambda t: t.day_of_week != 1), 6),
    "three days a week": (
        kept(range_of("2023-01-02", 90, "D"), lambda t: t.day_of_week.isin([0, 2, 4])),
        3,
    ),
    "trading hours": (kept(range_of("2024-01-01", 2000, "30min"), open_hours), 14),
    "a break at noon": (
        kept(range_of("2024-01-01", 900, "h"), lambda t: t.hour.isin([9, 10, 11, 13, 14, 15])),
        6,
    ),
    "hours of weekdays": (kept(range_of("2024-01-01", 900, "h"), lambda t: t.day_of_week < 5), 24),
    "the 15th": (clamped(15), 12),
    "the 29th": (clamped(29), 12),
    "the 30th": (clamped(30), 12),
    "month's end": (clamped(31), 12),
    "the last Friday": (last_weekdays(4, 40), 12),
    "the third Friday": (range_of("2020-01-01", 40, "WOM-3FRI"), 12),
    "working months": (range_of("2020-01-01", 40, "BME"), 12),
    "a 15th each quarter": (range_of("2020-01-01", 40, "QS") + pd.Timedelta(days=14), 4),
    "Berlin's days": (range_of("2023-03-01", 40, "D", "Europe/Berlin"), 7),
    "Berlin's hours": (range_of("2023-03-20", 240, "h", "Europe/Berlin"), 24),
    "New York's hours in autumn": (range_of("2023-10-30", 240, "h", "America/New_York"), 24),
}


@pytest.mark.parametrize("name", CALENDARS)
def test_the_future_goes_on_by_the_rule_of_the_dates(name: str) -> None:
    times, season = CALENDARS[name]
    seen = times[: len(times) * 3 // 4]
    found = frequency_of(seen)
    assert found is not None
    assert season_of(found) == season
    assert list(times_after(seen[-1], len(times) - len(seen), found)) == list(times[len(seen) :])
    assert not odd_steps(times, found).any()


@pytest.mark.parametrize("name", CALENDARS)
def test_a_gap_changes_no_rule(name: str) -> None:
    """A missing quarter or year, a holiday, a missing hour."""
    times, _ = CALENDARS[name]
    holes = times.delete([5, len(times) // 2])
    found = frequency_of(holes)
    assert found is not None
    assert list(times_after(holes[-1], 9, found)) == list(
        times_after(times[-1], 9, str(frequency_of(times)))
    )
    assert odd_steps(holes, found).sum() == 2


def test_a_missing_quarter_or_year_is_no_step_of_92_days() -> None:
    quarters = range_of("2015-01-01", 20, "QS").delete(7)
    assert season_of(frequency_of(quarters)) == 4
    assert str(times_after(quarters[-1], 1, str(frequency_of(quarters)))[0].date()) == "2020-01-01"
    years = range_of("1990-07-01", 30, "YS-JUL").delete(7)
    assert str(times_after(years[-1], 1, str(frequency_of(years)))[0].date()) == "2020-07-01"
    months = pd.DatetimeIndex(["2020-07-15", "2020-08-15", "2020-09-15"])
    assert frequency_of(months) == "months 1 on 15"


def test_paydays_around_weekends_are_months() -> None:
    days = [pd.Timestamp(2020 + m // 12, m % 12 + 1, 25) for m in range(36)]
    paid = pd.DatetimeIndex([d - pd.Timedelta(days=max(0, d.day_of_week - 4)) for d in days])
    assert frequency_of(paid) == "months 1 on 25"


def test_pay_twice_a_month_around_weekends_keeps_its_days() -> None:
    due = month_days(15, 31)
    paid = pd.DatetimeIndex([d - pd.Timedelta(days=max(0, d.day_of_week - 4)) for d in due])
    assert frequency_of(paid) == "monthdays 15 31"
    assert not odd_steps(paid, "monthdays 15 31").any()
    # The Friday before the last of April 2022; the 15th follows.
    assert list(times_after(pd.Timestamp("2022-04-29"), 2, "monthdays 15 31")) == [
        pd.Timestamp("2022-05-15"),
        pd.Timestamp("2022-05-31"),
    ]


def test_two_weeks_are_no_half_months() -> None:
    weeks = range_of("2022-01-07", 30, "14D")
    assert frequency_of(weeks) == "2W-FRI"
    assert frequency_of(weeks.delete([5, 20])) == "14D"
    assert season_of("14D") == season_of("2W-FRI") == 26
    assert frequency_of(range_of("2022-01-07", 30, "10D").delete(7)) == "10D"


@settings(max_examples=60, deadline=None)
@given(
    slots=st.sets(st.integers(0, 167), min_size=2, max_size=40),
    begin=st.integers(0, 400),
)
def test_shifts_repeat_every_week(slots: set[int], begin: int) -> None:
    rule = Shifts(3600, tuple(sorted(slot * 3600 for slot in slots)))
    assert Shifts.of(str(rule).removeprefix("shifts ")) == rule == rule_of(str(rule))
    hours = range_of("2023-01-02", 168 * 8, "h")
    all_of = hours[[(i % 168) in slots for i in range(len(hours))]]
    last = hours[begin]
    assert list(rule.after(last, 5)) == list(all_of[all_of > last][:5])


@settings(max_examples=60, deadline=None)
@given(days=st.sets(st.integers(1, 31), min_size=2, max_size=6), begin=st.integers(0, 12))
def test_days_of_a_month_are_those_that_come(days: set[int], begin: int) -> None:
    rule = Monthdays(tuple(sorted(days)))
    every = range_of("2023-01-01", 500, "D")
    # Two days that are the last one of a short month are one.
    assume(len({min(day, 28) for day in days}) == len(days))
    there = [d for d in every if d.day in days or (d.is_month_end and any(x > d.day for x in days))]
    assert list(rule.after(there[begin], 9)) == there[begin + 1 : begin + 10]


def test_a_rule_that_is_not_known_is_a_doubt() -> None:
    nights = CALENDARS["nights of weekdays"][0]
    assert not of_rule(nights, str(frequency_of(nights)))
    few = nights[nights < pd.Timestamp("2023-01-11")]
    [doubt] = of_rule(few, str(frequency_of(few)))
    assert "the times cover 8 days, so it is not known which days and hours of a week" in doubt
    weekdays = range_of("2023-01-02", 8, "B")
    assert "working days" in of_rule(weekdays, str(frequency_of(weekdays)))[0]
    thinned = range_of("2023-01-02", 200, "D")[np.random.default_rng(0).random(200) < 0.75]
    [doubt] = of_rule(thinned, str(frequency_of(thinned)))
    assert "are not those of the rule found (days)" in doubt
    assert not of_rule(range_of("2023-01-02", 200, "D").delete([5]), "D")


def test_random_times_have_no_rule_and_it_is_said() -> None:
    at = np.sort(np.random.default_rng(0).integers(0, 10**9, 60))
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(at, unit="ms")
    assert frequency_of(times) is None
    (first, *_) = time_notes([times], None)
    assert "58 of 59 steps differ" in first


def test_notes_say_how_times_run() -> None:
    times = CALENDARS["Monday to Saturday"][0].delete(20)
    notes = " ".join(time_notes([times], frequency_of(times)))
    assert "days, Monday to Saturday; a season is 6 steps" in notes
    assert "1 of 76 steps are not of that length (the first after 2023-01-24" in notes
    zoned = CALENDARS["Berlin's days"][0]
    assert "Europe/Berlin); clocks were changed on 2023-03-26" in " ".join(time_notes([zoned], "D"))
    wall = CALENDARS["Berlin's hours"][0].tz_localize(None)
    assert "clocks were put forward" in " ".join(time_notes([wall], frequency_of(wall)))


def test_rules_in_words() -> None:
    assert rule_of("session 1800 s Mon Tue Wed Thu Fri 09:30:00-16:00:00").words == (
        "steps of 30 minutes, 09:30 to 16:00, Monday to Friday"
    )
    assert rule_of(str(frequency_of(CALENDARS["nights of weekdays"][0]))).words == (
        "hours, 22:00 to 05:00 of the next day, Monday to Friday"
    )
    assert rule_of(str(frequency_of(CALENDARS["a shop with short Saturdays"][0]))).words == (
        "hours, 08:00 to 20:00, Monday to Friday; 09:00 to 14:00, Saturday"
    )
    assert rule_of(str(frequency_of(CALENDARS["Monday to Saturday noon"][0]))).words == (
        "hours, Monday 00:00 to Saturday 11:00"
    )
    assert rule_of("days Mon Tue Wed Thu Sun").words == "days, Sunday to Thursday"
    assert rule_of("monthdays 1 15").words == "half-months, on days 1 and 15 of each month"
    assert rule_of("monthdays 10 20 31").words == (
        "dekads, on days 10 and 20 and on the last day of each month"
    )
    assert rule_of("months 3 on 31").words == "quarters, on the last day of a month"
    assert rule_of("B").words == "working days"
    assert unit_of("months 1 on 15") == "months"
    assert unit_of("days Mon Wed") == "days"
    assert unit_of("session 60 s Mon 09:00:00-09:59:00", 5) == "steps of 5 minutes"


def test_a_rule_comes_back_from_its_text() -> None:
    session = Session(60, (True,) * 5 + (False,) * 2, tuple(range(34200, 34800, 60)))
    assert rule_of(str(session)) == session
    assert rule_of("days Mon Sun") == Weekdays((True, *[False] * 5, True))
    assert rule_of("months 2 on 9") == Monthly(2, 9)


@settings(max_examples=60, deadline=None)
@given(
    mask=st.lists(st.booleans(), min_size=7, max_size=7).filter(any),
    begin=st.dates(),
    count=st.integers(1, 40),
)
def test_following_is_the_first_of_after(mask: list[bool], begin: object, count: int) -> None:
    """Every day after is open, none between is left out."""
    rule = Weekdays(tuple(mask))
    last = pd.Timestamp(str(begin)).replace(year=2020, day=7)
    after = rule.after(last, count)
    expected = [
        d for d in pd.date_range(last, periods=8 * count, freq="D")[1:] if mask[d.weekday()]
    ]
    assert list(after) == expected[:count]
    assert rule.following(pd.DatetimeIndex([last]))[0] == after[0]


def test_days_keep_their_hour_when_clocks_change_and_hours_their_length() -> None:
    before = pd.Timestamp("2023-03-25 02:30", tz="Europe/Berlin")
    days = times_after(before, 2, "D")
    # Half past two does not exist on the 26th.
    assert [str(t) for t in days] == ["2023-03-26 03:00:00+02:00", "2023-03-27 02:30:00+02:00"]
    hours = times_after(pd.Timestamp("2023-10-29 01:00", tz="Europe/Berlin"), 3, "h")
    assert [t.hour for t in hours] == [2, 2, 3]


def test_the_calendar_is_read_in_local_time() -> None:
    zoned = pd.DatetimeIndex(["2024-01-01 06:00"]).tz_localize("Asia/Tokyo")
    np.testing.assert_allclose(calendar(zoned, ["day"]), [[1, 0]], atol=1e-9)


def test_cycles_of_the_new_rules() -> None:
    assert cycles_of("days Mon Tue Wed Thu Fri Sat", 100, 3) == ["week"]
    assert cycles_of("months 1 on 15", 60, 6) == ["year"]


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("LWOM-FRI", last_weekdays(4, 63)),
        ("LWOM-MON", last_weekdays(0, 63)),
        ("WOM-1TUE", range_of("2010-01-01", 63, "WOM-1TUE")),
        ("WOM-3FRI", range_of("2010-01-01", 63, "WOM-3FRI")),
    ],
)
def test_a_weekday_of_the_month_that_holidays_move_is_found(
    rule: str, days: pd.DatetimeIndex
) -> None:
    moved = days[:60].to_series().reset_index(drop=True)
    moved[[11, 35, 59]] -= pd.Timedelta(days=1)
    seen = pd.DatetimeIndex(moved)
    assert frequency_of(seen) == rule
    assert not of_rule(seen, rule)
    assert list(times_after(seen[-1], 3, rule)) == list(days[60:])
    assert re.fullmatch("months, on the (first|third|last) (Mon|Tues|Fri)day", rule_of(rule).words)


def test_a_day_of_the_month_that_many_dates_miss_is_doubted() -> None:
    begins = pd.date_range("2010-01-01", periods=40, freq="MS")
    days = pd.DatetimeIndex(
        [each + pd.Timedelta(days=20 + 5 * i % 6) for i, each in enumerate(begins)]
    )
    found = frequency_of(days)
    assert found is not None
    assert found.startswith("months 1 on ")
    [doubt] = of_rule(days, found)
    assert re.match(r"\d\d of 40 dates are not those of the rule found", doubt)
    # A weekend moves a day, and is no reason to doubt it.
    due = begins + pd.Timedelta(days=14)
    paid = due - pd.to_timedelta(np.maximum(due.dayofweek - 4, 0), unit="D")
    assert not of_rule(paid, "months 1 on 15")
