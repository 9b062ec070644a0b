"""Dates as they are written: the one reading that a column allows, or a question."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import date_numbers, dates

Cells = list[str]


def moments(cells: Cells, **how: Any) -> list[str]:
    found = dates.read(pd.Series(cells), **how)
    assert found is not None
    assert found.moments is not None
    assert not len(found.wrong)
    return [str(moment) for moment in found.moments]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-01-31", "2024-02-01"], ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        (["2024/1/31", "2024/2/1"], ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        (["31.1.2024", "1.2.2024"], ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        (["31.1.24", "1.2.24"], ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        (["01/31/24", "02/01/24"], ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        (["23-01-30", "23-01-31", "23-02-01"], ["2023-01-30 00:00:00", "2023-01-31 00:00:00"]),
        (["Jan-16", "Feb-16", "Mar-16"], ["2016-01-01 00:00:00", "2016-02-01 00:00:00"]),
        (["Jan 2020", "February 2020"], ["2020-01-01 00:00:00", "2020-02-01 00:00:00"]),
        (["Jan 5, 2020", "Jan 6, 2020"], ["2020-01-05 00:00:00", "2020-01-06 00:00:00"]),
        (["Mon, 02 Jan 2023", "Tue, 03 Jan 2023"], ["2023-01-02 00:00:00", "2023-01-03 00:00:00"]),
        (["02-Jan-23 14:00", "02-Jan-23 15:30"], ["2023-01-02 14:00:00", "2023-01-02 15:30:00"]),
        (["2020Q1", "2020Q2"], ["2020-01-01 00:00:00", "2020-04-01 00:00:00"]),
        (["Q4 2020", "Q1 2021"], ["2020-10-01 00:00:00", "2021-01-01 00:00:00"]),
        (["2020-W05", "2020-W06"], ["2020-01-27 00:00:00", "2020-02-03 00:00:00"]),
        (["2020M01", "2020M02"], ["2020-01-01 00:00:00", "2020-02-01 00:00:00"]),
        (["20230101T120000", "20230101T130000"], ["2023-01-01 12:00:00", "2023-01-01 13:00:00"]),
        (
            ["1/13/2020 12:00 AM", "1/13/2020 1:05 a.m.", "1/13/2020 12:00 PM"],
            ["2020-01-13 00:00:00", "2020-01-13 01:05:00", "2020-01-13 12:00:00"],
        ),
        (["2020-01-01 23:00", "2020-01-01 24:00"], ["2020-01-01 23:00:00", "2020-01-02 00:00:00"]),
        # A day without a time of day begins at midnight.
        (["2020-01-01", "2020-01-01 10:00:00"], ["2020-01-01 00:00:00", "2020-01-01 10:00:00"]),
        (["2024-01-31T12:00Z", "2024-02-01T00:00Z"], ["2024-01-31 12:00:00+00:00"]),
        (["2024-01-31 12:00+0530", "2024-02-01 00:00+05:30"], ["2024-01-31 12:00:00+05:30"]),
    ],
)
def test_dates_are_read_as_they_are_written(cells: Cells, expected: list[str]) -> None:
    assert moments(cells)[: len(expected)] == expected


def test_the_order_is_the_one_the_whole_column_allows() -> None:
    assert moments(["01/02/2024", "31/01/2024"])[0] == "2024-02-01 00:00:00"
    assert moments(["01/02/2024", "01/31/2024"])[0] == "2024-01-02 00:00:00"
    # Time goes forward in one order alone.
    assert moments(["11/01/2024", "12/01/2024", "01/02/2024"])[2] == "2024-02-01 00:00:00"
    # Both go forward; months are all alike, twelve days a year are not.
    first_of_month = [f"01/{m:02}/{y}" for y in (2020, 2021) for m in range(1, 13)]
    assert moments(first_of_month)[1] == "2020-02-01 00:00:00"
    # Hours run on in one order and leap in the other.
    hours = [f"01/0{d}/2024 {h:02}:00" for d in (2, 3) for h in range(24)]
    assert moments(hours)[24] == "2024-01-03 00:00:00"


def test_two_readings_are_asked_for() -> None:
    cells = ["01/02/2024", "02/02/2024", "03/02/2024"]
    found = dates.read(pd.Series(cells))
    assert found is not None
    assert found.moments is None
    assert found.orders == ("day", "month")
    assert moments(cells, order="day")[0] == "2024-02-01 00:00:00"
    assert moments(cells, order="month")[0] == "2024-01-02 00:00:00"
    # Two readings that say the same are one.
    assert moments(["05/05/2024", "05/05/2024"])[0] == "2024-05-05 00:00:00"


def test_days_without_a_year_are_no_dates() -> None:
    found = dates.read(pd.Series(["16-Jan", "17-Jan", "18-Jan"]))
    assert found is not None
    assert found.yearless
    assert found.moments is None


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (["2024-01-01", "2024-01-02", "Total"], [2]),
        (["2024-02-28", "2024-02-30", "2024-02-29"], [1]),
        (["31.1.2024", "1.2.2024", "1,5"], [2]),
        (["2024-01-01 25:00", "2024-01-01 12:00", "2024-01-01 13:00"], [0]),
        # With an offset and without one cannot be told apart in time.
        (["2024-01-01T00:00Z", "2024-01-02T00:00Z", "2024-01-03T00:00"], [2]),
    ],
)
def test_cells_that_are_no_dates_are_named(cells: Cells, wrong: list[int]) -> None:
    found = dates.read(pd.Series(cells))
    assert found is not None
    assert found.wrong.tolist() == wrong


@pytest.mark.parametrize(
    "cells",
    [
        ["1-01", "1-02"],
        ["may", "june"],
        ["maybe not", "march on", "may I"],
        ["10:30", "11:30"],
        ["3.10.4", "3.11.5"],
        ["a", "b"],
        ["2024-01-01", "x", "y"],
    ],
)
def test_words_are_no_dates(cells: Cells) -> None:
    assert dates.read(pd.Series(cells)) is None


def test_offsets_of_summer_and_winter_are_a_zone() -> None:
    cells = ["2023-03-25T00:00:00+01:00", "2023-03-26T00:00:00+01:00", "2023-03-27T00:00:00+02:00"]
    assert moments(cells) == [cell.replace("T", " ") for cell in cells]
    # No place has such clocks: the last offset stays.
    odd = ["2023-01-01T00:00:00+01:00", "2023-01-02T00:00:00+07:00", "2023-01-03T00:00:00+03:00"]
    assert moments(odd)[0] == "2023-01-01 02:00:00+03:00"


def short(days: pd.DatetimeIndex) -> pd.Series:
    """Return days with years of two digits, the day first."""
    return pd.Series([f"{day:%d/%m/%y}" for day in days])


@pytest.mark.parametrize(
    ("begin", "periods"),
    [
        ("1951-01-31", 199),
        ("1951-01-31", 360),
        # In order in the last century alone, though 01 to 36 are years of this one elsewhere.
        ("1920-01-31", 720),
        ("1901-01-31", 1180),
        ("1998-01-31", 300),
        ("2001-01-31", 300),
    ],
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_years_of_two_digits_do_not_leap(begin: str, periods: int, newest_first: bool) -> None:
    months = pd.date_range(begin, periods=periods, freq="ME")
    months = months[::-1] if newest_first else months
    found = dates.read(short(months))
    assert found is not None
    assert found.moments is not None
    assert list(found.moments) == list(months)
    assert found.years == f"{months.min().year} to {months.max().year}"
    whole = dates.read(pd.Series([f"{day:%d/%m/%Y}" for day in months]))
    assert whole is not None
    assert whole.years == ""


def test_years_of_two_digits_in_groups_are_those_up_to_ten_years_from_now() -> None:
    months = pd.date_range("1969-01-31", periods=400, freq="ME")
    found = dates.read(short(pd.DatetimeIndex([*months, *months])))
    assert found is not None
    assert found.moments is not None
    assert list(found.moments) == [*months, *months]


WAYS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%B %d, %Y", "%Y%m%dT%H%M%S", "%d/%m/%y")


@settings(max_examples=60, deadline=None)
@given(
    first=st.dates(date(1971, 1, 1), date(2060, 1, 1)),
    days=st.integers(1, 40),
    way=st.sampled_from(WAYS),
)
def test_written_days_come_back(first: date, days: int, way: str) -> None:
    """Forty consecutive days or more allow one order alone."""
    if "%y" in way:
        # Years of two digits are those of the hundred years that end in ten years.
        first = date(date.today().year - 60 + first.year % 60, first.month, min(first.day, 28))
    there = [first + timedelta(days=i * days) for i in range(40)]
    there = [day for day in there if day.year < 2068]
    found = dates.read(pd.Series([day.strftime(way) for day in there]))
    assert found is not None
    if found.moments is None:
        # A step of a year of days, or the like, may read both ways: then it is asked.
        assert len(found.orders) > 1
    else:
        assert [moment.date() for moment in found.moments] == there


@pytest.mark.parametrize(
    ("values", "named", "first", "words"),
    [
        ([20230102 + i for i in range(9)], False, "2023-01-02", "dates written YYYYMMDD"),
        ([20230102, 20230104], True, "2023-01-02", "dates written YYYYMMDD"),
        ([202301 + i for i in range(12)], False, "2023-01-01", "dates written YYYYMM"),
        ([1672531200 + 3600 * i for i in range(9)], False, "2023-01-01", "seconds since 1970"),
        ([1672531200123, 1672531209000], True, "2023-01-01", "milliseconds since 1970"),
        ([1990, 1991, 1993], True, "1990-01-01", "years"),
        ([44927, 44928.5], True, "2023-01-01", "days of a spreadsheet"),
        ([35065 + i for i in range(200)], True, "1996-01-01", "days of a spreadsheet"),
        ([45001 + 7 * i for i in range(40)], True, "2023-03-16", "days of a spreadsheet"),
        ([22305, 22365, 23001], True, "2022-11-01", "years and days of the year, written YYDDD"),
        ([95123, 95124], True, "1995-05-03", "years and days of the year, written YYDDD"),
        ([2022305, 2023001], True, "2022-11-01", "years and days of the year, written YYYYDDD"),
    ],
)
def test_numbers_are_dates_by_size_steps_and_name(
    values: list[float], named: bool, first: str, words: str
) -> None:
    found = date_numbers.from_numbers(np.array(values, dtype=np.float64), named=named)
    assert found is not None
    assert str(found[0].iloc[0].date()) == first
    assert found[1] == words


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([1_000_000_000 + i % 7 for i in range(60)], False),
        ([100_000_001 + i for i in range(60)], False),
        (list(range(1990, 2010)), False),
        ([44927, 44928, 44929], False),
        ([5, 6, 7], True),
        ([20231301, 20231302], True),
        ([2_000_001 + i for i in range(60)], False),
        ([2022400, 2022401], True),
        ([0.5, 1.5], True),
    ],
)
def test_other_numbers_are_no_dates(values: list[float], named: bool) -> None:
    assert date_numbers.from_numbers(np.array(values, dtype=np.float64), named=named) is None


def test_days_of_the_year_are_dates() -> None:
    there = [date(2022, 12, 20) + timedelta(days=i) for i in range(40)]
    for way in ("%Y-%j", "%Y/%j", "%Y %j"):
        found = dates.read(pd.Series([day.strftime(way) for day in there]))
        assert found is not None
        assert found.moments is not None
        assert [moment.date() for moment in found.moments] == there


def _numbers(values, named):
    found = date_numbers.from_numbers(np.asarray(values), named=named)
    return found and (found[0].tolist(), found[1])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("step", ["h", "D", "15min"])
def test_ticks_of_windows_are_no_nanoseconds_of_1990(step, named):
    days = pd.date_range("2023-01-01", periods=40, freq=step)
    since_1970 = days.as_unit("us").asi8 * 10
    for ticks in (since_1970 + 621_355_968_000_000_000, since_1970 + 116_444_736_000_000_000):
        moments, words = _numbers(ticks, named)
        assert moments == days.tolist()
        assert words.startswith("ticks of 100 nanoseconds since year 1")
    real = pd.date_range("1990-03-01", periods=40, freq=step)
    assert _numbers(real.as_unit("ns").asi8, named) == (real.tolist(), "nanoseconds since 1970")


def test_ticks_that_are_no_whole_seconds_are_of_today():
    days = pd.date_range("2023-01-01", periods=40, freq="1357ms")
    ticks = days.as_unit("us").asi8 * 10 + 621_355_968_000_000_000
    assert _numbers(ticks, True)[0] == days.tolist()


def test_days_of_matlab_and_years_with_decimals_need_no_name():
    hours = pd.date_range("2023-01-01", periods=40, freq="h")
    numbers = np.round(738_887 + np.arange(40) / 24, 6)
    assert _numbers(numbers, False) == (hours.tolist(), "days since year 0, as MATLAB counts them")
    assert _numbers(738_887 + np.arange(40), True)[0][1] == pd.Timestamp("2023-01-02")
    assert _numbers(738_887 + np.arange(40), False) is None
    months = pd.date_range("1980-01-01", periods=60, freq="MS").tolist()
    assert _numbers(np.round(1980 + np.arange(60) / 12, 4), False)[0] == months
    assert _numbers(np.round(1980 + np.arange(60) * 0.11, 4), False) is None
    assert _numbers(np.round(1980 + np.arange(9) / 12, 4), False) is None


def test_hours_with_their_half_of_the_day_are_times() -> None:
    found = dates.clock(pd.Series(["12AM", "1 am", "12PM", "11 p.m."]), "time")
    assert found is not None
    assert (found[0].dt.total_seconds() / 3600).tolist() == [0, 1, 12, 23]
    assert dates.clock(pd.Series(["13AM", "1 am"]), "time") is None


@pytest.mark.parametrize("year", [1500, 2000])
def test_a_day_of_many_hours_is_read_once(monkeypatch: pytest.MonkeyPatch, year: int) -> None:
    sizes: list[int] = []
    own = dates.parsed

    def counted(cells: pd.Series, form: str) -> pd.Series:
        sizes.append(len(cells))
        return own(cells, form)

    monkeypatch.setattr(dates, "parsed", counted)
    hours = [f"{day}/01/{year} {hour:02}:30" for day in (13, 14, 15) for hour in range(24)]
    found = moments(hours)
    assert (found[0], found[-1]) == (f"{year}-01-13 00:30:00", f"{year}-01-15 23:30:00")
    assert max(sizes) == 3
