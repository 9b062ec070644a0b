"""Moments in several columns: dates beside times of day, and parts of a date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import dates
from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

HOURS = pd.date_range("2024-01-01", periods=96, freq="h")
WAVE = np.arange(96) % 24 + 0.5


def panel(frame: pd.DataFrame, **given: Any) -> Panel:
    return read_panel(frame, ForecastSettings(**given))


def times(found: Panel) -> list[pd.Timestamp]:
    moments = found.series[0].times
    assert moments is not None
    return list(moments)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Time", lambda t: f"{t:%H:%M:%S}"),
        ("Time", lambda t: f"{t:%H:%M}"),
        ("clock", lambda t: f"{t:%I:%M %p}"),
        ("Uhrzeit", lambda t: f"{t:%H:%M} - {t:%H:%M}"),
        ("hour", lambda t: t.hour),
        ("Hour", lambda t: f"{t.hour}"),
        ("HourEnding", lambda t: t.hour),
        ("time", lambda t: t.hour * 100),
        ("Time", lambda t: f"{t:%H%M%S}"),
        ("TIME", lambda t: t.hour * 10000),
        ("Time", lambda t: f"{t:%H.%M.%S}"),
    ],
)
def test_a_date_beside_a_time_of_day_is_one_moment(
    name: str, written: Callable[[pd.Timestamp], object]
) -> None:
    cells = [written(t) for t in HOURS]
    frame = pd.DataFrame({"Date": [f"{t:%Y-%m-%d}" for t in HOURS], name: cells, "y": WAVE})
    if name == "Hour":
        frame[name] = frame[name].astype(int)
    found = panel(frame)
    assert found.targets == ["y"]
    assert times(found) == list(HOURS)
    assert found.frequency == "h"
    assert found.found["time"] == ["Date", name]
    assert any("was added to the date" in note for note in found.notes)
    # A day alone repeats no date; it is read as the first data were.
    assert times(panel(frame[:1], **found.found)) == [HOURS[0]]
    assert times(panel(frame, time=["Date", name])) == list(HOURS)


def test_hour_24_is_the_end_of_its_day() -> None:
    ends = HOURS + pd.Timedelta(hours=1)
    frame = pd.DataFrame({"date": HOURS.normalize(), "hour": HOURS.hour + 1, "y": WAVE})
    found = panel(frame)
    assert times(found) == list(ends)
    assert "hour 24 is the end of the day" in " ".join(found.notes)
    texts = frame.assign(hour=[f"{h}:00" for h in HOURS.hour + 1])
    assert times(panel(texts)) == list(ends)


def test_dates_and_times_as_digits_are_one_moment() -> None:
    frame = pd.DataFrame(
        {"date": HOURS.strftime("%Y%m%d").astype(int), "time": HOURS.hour * 100, "close": WAVE}
    )
    assert times(panel(frame)) == list(HOURS)


def test_hours_and_minutes_in_columns_of_their_own() -> None:
    quarters = pd.date_range("2024-01-01", periods=96, freq="15min")
    parts = {"Year": "year", "Month": "month", "Day": "day", "Hour": "hour", "Minute": "minute"}
    frame = pd.DataFrame({name: getattr(quarters, of) for name, of in parts.items()} | {"y": WAVE})
    assert times(panel(frame)) == list(quarters)
    assert panel(frame).frequency == "15min"
    days = pd.date_range("2023-12-01", periods=96)
    counted = pd.DataFrame({"year": days.year, "doy": days.day_of_year, "y": WAVE})
    assert times(panel(counted)) == list(days)
    ending = pd.DataFrame(
        {"year": 2024, "month": 1, "day": HOURS.day, "hour": HOURS.hour + 1, "y": WAVE}
    )
    assert times(panel(ending)) == list(HOURS + pd.Timedelta(hours=1))
    assert times(panel(ending, time=["year", "month", "day", "hour"]))[0].hour == 1


def test_several_series_have_dates_and_hours_too() -> None:
    both = pd.concat(
        [
            pd.DataFrame({"date": HOURS.normalize(), "hour": HOURS.hour, "store": s, "y": WAVE})
            for s in (7, 9)
        ]
    )
    with pytest.raises(InputError, match=r"2024-01-01 00:00:00 is there twice.*group=store"):
        panel(both.sort_values(["date", "hour"]))
    found = panel(both, group="store")
    assert [s.name for s in found.series] == ["7", "9"]
    assert times(found) == list(HOURS)


def test_a_daily_record_of_the_time_it_was_taken_stays_daily() -> None:
    days = pd.date_range("2024-01-01", periods=96)
    frame = pd.DataFrame(
        {"date": days, "time": [f"0{i % 9}:1{i % 9}" for i in range(96)], "y": WAVE}
    )
    assert panel(frame).frequency == "D"


def test_a_time_of_day_that_belongs_to_a_name_is_none_of_the_moment() -> None:
    days = np.repeat(pd.date_range("2024-01-01", periods=48), 2)
    frame = pd.DataFrame(
        {"date": days, "shop": ["a", "b"] * 48, "opens at": ["08:00", "09:00"] * 48, "y": WAVE}
    )
    with pytest.raises(InputError, match=r"set group=shop"):
        panel(frame)


@pytest.mark.parametrize("column", ["hour", "Time", "weekday", "quantity", "month"])
def test_no_part_of_a_moment_and_no_quantity_is_proposed_as_a_group(column: str) -> None:
    days = np.repeat(pd.date_range("2024-01-01", periods=48), 2)
    # 25 hours, as some markets number them where clocks are put back, are no times of day.
    cells = {
        "hour": np.arange(96) % 26,
        "Time": np.arange(96) % 71 + 30,
        "weekday": np.arange(96) % 2,
        "quantity": np.random.default_rng(0).permutation(96) // 2,
        "month": np.arange(96) % 2 + 1,
    }[column]
    frame = pd.DataFrame({"date": days, column: cells, "y": WAVE})
    with pytest.raises(InputError, match="is there twice") as raised:
        panel(frame)
    assert f"group={column}" not in str(raised.value)


def test_columns_that_are_no_date_and_time_of_day_are_refused() -> None:
    frame = pd.DataFrame({"date": HOURS.normalize(), "kind": "a", "y": WAVE})
    with pytest.raises(InputError, match="'date' and 'kind' are no date and time of day"):
        panel(frame, time=["date", "kind"])
    with pytest.raises(InputError, match="no column 'Time'"):
        panel(frame, time=["date", "Time"])


def test_times_of_day_alone_are_told() -> None:
    frame = pd.DataFrame({"clock": [f"{t:%H:%M}" for t in HOURS], "y": WAVE})
    found = panel(frame)
    assert found.targets == ["y"]
    assert any("'clock' holds times of day without a date" in note for note in found.notes)


def test_years_of_two_digits_are_told_and_those_to_come_are_doubtful() -> None:
    months = pd.date_range("1951-01-31", periods=200, freq="ME")
    cells = [f"{day:%d/%m/%y}" for day in months]
    frame = pd.DataFrame({"date": cells, "y": np.arange(200) % 12.0})
    found = panel(frame)
    assert times(found) == list(months)
    assert "Column 'date': years of two digits, read as 1951 to 1967." in found.notes
    assert found.doubts == []
    ahead = pd.date_range(pd.Timestamp.now().normalize(), periods=200, freq="D")
    told = panel(
        pd.DataFrame({"date": [f"{d:%d/%m/%y}" for d in ahead], "y": np.arange(200) % 7.0})
    )
    assert times(told) == list(ahead)
    assert "is still to come" in told.doubts[0]
    written = panel(pd.DataFrame({"date": [f"{d:%Y-%m-%d}" for d in ahead], "y": 1.0}))
    [doubt] = written.doubts
    assert "which is still to come. Correct the date if it is wrong" in doubt


def test_a_leap_of_a_century_is_named_as_one() -> None:
    months = pd.date_range("1890-01-31", periods=1800, freq="ME")
    frame = pd.DataFrame({"date": [f"{day:%d/%m/%y}" for day in months], "y": 1.0})
    with pytest.raises(InputError, match=r"because years have two digits\. Write years with four"):
        panel(frame)


@pytest.mark.parametrize(
    ("decimals", "begin", "frequency"),
    [
        (lambda n: [f"{1900 + i / 12:.3f}" for i in range(n)], "1900-01-01", "MS"),
        (lambda n: [f"{1749 + (i + 0.5) / 12:.3f}" for i in range(n)], "1749-01-01", "MS"),
        (lambda n: [f"{1950 + i / 4:.2f}" for i in range(n)], "1950-01-01", "QS-JAN"),
        (
            lambda n: [
                f"{day.year + (day.day_of_year - 0.5) / (365 + day.is_leap_year):.3f}"
                for day in pd.date_range("1999-12-01", periods=n)
            ],
            "1999-12-01",
            "D",
        ),
    ],
)
@pytest.mark.parametrize("name", ["year", "Date", "decimal date"])
def test_years_with_decimals_are_times(
    name: str, decimals: Callable[[int], list[str]], begin: str, frequency: str
) -> None:
    frame = pd.DataFrame({name: [float(cell) for cell in decimals(480)], "y": np.arange(480) % 7.0})
    found = panel(frame)
    assert found.targets == ["y"]
    assert times(found) == list(pd.date_range(begin, periods=480, freq=frequency))
    assert found.frequency == frequency


def test_times_that_rise_with_few_digits_order_the_rows() -> None:
    thirds = [round(i / 30, 3) for i in range(96)]
    found = panel(pd.DataFrame({"time": thirds, "y": WAVE}))
    assert (found.targets, found.doubts) == (["y"], [])
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.1, 5, 96))
    found = panel(pd.DataFrame({"time": uneven, "y": WAVE}))
    assert found.targets == ["y"]
    assert "rises from row to row by 0.1" in found.doubts[0]
    # What rises and is called otherwise is a series.
    assert panel(pd.DataFrame({"level": uneven, "y": WAVE})).targets == ["level", "y"]


@given(st.lists(st.integers(0, 86_399), min_size=1, max_size=20))
def test_a_time_of_day_is_read_as_it_was_written(seconds: list[int]) -> None:
    moments = pd.to_datetime(pd.Series(seconds), unit="s")
    for written in (moments.dt.strftime("%H:%M:%S"), moments.dt.strftime("%I:%M:%S %p")):
        found = dates.clock(written, "any")
        assert found is not None
        assert found[0].dt.total_seconds().tolist() == seconds
    assert dates.clock(moments.dt.strftime("%H:%M:%S") + " x", "time") is None
    assert dates.clock(pd.Series(seconds) + 240_001, "time") is None
    assert dates.clock(pd.Series(seconds), "y") is None


def test_columns_y_m_and_d_together_are_a_date() -> None:
    days = pd.date_range("2023-12-01", periods=96)
    frame = pd.DataFrame({"y": days.year, "m": days.month, "d": days.day, "v": WAVE})
    found = panel(frame)
    assert (times(found), found.targets) == (list(days), ["v"])
    hours = pd.DataFrame(
        {"y": HOURS.year, "m": HOURS.month, "d": HOURS.day, "hour": HOURS.hour, "v": WAVE}
    )
    assert times(panel(hours)) == list(HOURS)
    # A value that is called y is none of a year.
    assert panel(frame.assign(y=frame["y"] + 0.5)).targets == ["y", "m", "d", "v"]
    assert panel(frame[["y", "v"]]).targets == ["y", "v"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [("hour", HOURS.hour), ("Hour", HOURS.hour + 1), ("weekday", np.arange(96) % 7)],
)
def test_an_hour_that_begins_again_without_a_date_is_doubted(name: str, cells: Any) -> None:
    frame = pd.DataFrame({name: cells, "load": WAVE})
    found = panel(frame)
    assert found.targets == ["load"]
    [doubt] = found.doubts
    assert f"covariates={name}" in doubt
    assert panel(frame, target=[name, "load"]).targets == [name, "load"]
    assert panel(frame, covariates=[name]).covariates == [name]
    assert not panel(frame, covariates=[name]).doubts
    # A quantity of that name does not count on.
    assert panel(frame.assign(**{name: np.arange(96) ** 2 % 23})).targets == [name, "load"]


@pytest.mark.parametrize("form", ["%B", "%b", "french"])
def test_years_beside_names_of_months_are_a_date(form: str) -> None:
    months = pd.date_range("2010-01-01", periods=96, freq="MS")
    french = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    named = [french.split()[t.month - 1] if form == "french" else f"{t:{form}}" for t in months]
    frame = pd.DataFrame({"Year": months.year, "Month": named, "Sales": WAVE})
    found = panel(frame)
    assert (times(found), found.targets, found.frequency) == (list(months), ["Sales"], "MS")
    assert times(panel(frame, time=["Year", "Month"])) == list(months)
    assert times(panel(frame[:1], **found.found)) == [months[0]]
    # Names that are no months stay names.
    other = frame.assign(Month=["low", "mid", "high"] * 32)
    with pytest.raises(InputError, match="is there twice"):
        panel(other)


@pytest.mark.parametrize("name", ["index", "Unnamed: 0", "", None])
def test_an_index_that_counts_within_each_series_is_left_out(
    name: str | None, tmp_path: Path
) -> None:
    one = pd.DataFrame({"date": HOURS, "y": WAVE})
    both = pd.concat([one.assign(store="a"), one[:50].assign(store="b")])
    both.index.name = name
    file = tmp_path / "stores.parquet"
    both.to_parquet(file)
    data: Any = file
    if name is not None:
        data = tmp_path / "stores.csv"
        both.to_csv(data)
    for each in (file, data):
        found = read_panel(each, ForecastSettings(group="store"))
        assert found.targets == ["y"]
        assert "it counts the rows of each series" in " ".join(found.notes)
    both["index"] = both.index.to_numpy() ** 2
    assert "index" in panel(both.reset_index(drop=True), group="store").targets
