"""Times that are neither days nor moments: quarters, half-years, intervals, zones, old years."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from elman.data import dates, kinds
from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

ROMAN = ("I", "II", "III", "IV")
QUARTERS = [(y, q) for y in range(2002, 2022) for q in (1, 2, 3, 4)]
HALVES = [(y, h) for y in range(1980, 2020) for h in (1, 2)]
MONTHS = (
    *("يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس"),
    *("سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"),
)


def read(cells: list[str], name: str = "period") -> Panel:
    frame = pd.DataFrame({name: cells, "y": np.random.default_rng(0).normal(size=len(cells))})
    return read_panel(frame, ForecastSettings())


@pytest.mark.parametrize(
    "write",
    [
        lambda y, q: f"FY{y % 100:02} Q{q}",
        lambda y, q: f"FY{y}-Q{q}",
        lambda y, q: f"Q{q} FY{y}",
        lambda y, q: f"T{q} {y}",
        lambda y, q: f"{y}-T{q}",
        lambda y, q: f"{ROMAN[q - 1]} {y}",
        lambda y, q: f"{y}.{ROMAN[q - 1]}",
        lambda y, q: f"{q}Q{y % 100:02}",
        lambda y, q: f"Q{q}'{y % 100:02}",
    ],
)
def test_quarters_are_read(write: Callable[[int, int], str]) -> None:
    found = read([write(*each) for each in QUARTERS])
    assert found.frequency == "QS-JAN"
    times = found.series[0].times
    assert times is not None
    assert [(t.year, t.quarter, t.day) for t in times] == [(y, q, 1) for y, q in QUARTERS]


@pytest.mark.parametrize(
    "write",
    [
        lambda y, h: f"H{h} {y}",
        lambda y, h: f"{y}-H{h}",
        lambda y, h: f"{y}S{h}",
        lambda y, h: f"{h}H {y}",
    ],
)
def test_half_years_are_read(write: Callable[[int, int], str]) -> None:
    times = read([write(*each) for each in HALVES]).series[0].times
    assert times is not None
    assert [(t.year, t.month) for t in times] == [(y, 6 * h - 5) for y, h in HALVES]


def test_no_half_year_and_no_quarter() -> None:
    assert dates.read(pd.Series(["H3 1990", "H4 1990", "H5 1990"])) is None
    assert dates.read(pd.Series(["T1 20", "T2 20", "S1 20"])) is None


@pytest.mark.parametrize(
    ("begin", "between"),
    [
        ("%d.%m.%Y %H:%M", " - "),
        ("%Y-%m-%dT%H:%M", "/"),
        ("%d/%m/%Y %H:%M:%S", " \u2013 "),
        ("%Y-%m-%d %H:%M", " to "),
    ],
)
@pytest.mark.parametrize("after", ["", " (CET/CEST)"])
def test_intervals_are_dated_by_their_beginning(begin: str, between: str, after: str) -> None:
    hours = pd.date_range("2023-01-30", periods=90, freq="h")
    ends = (hours + pd.Timedelta(hours=1)).strftime(begin)
    cells = [a + between + b + after for a, b in zip(hours.strftime(begin), ends, strict=True)]
    found = read(cells, "MTU")
    assert found.series[0].times is not None
    assert found.series[0].times.tolist() == hours.tolist()
    assert found.frequency == "h"
    assert "intervals, each dated by its beginning" in " ".join(found.notes)


def test_months_in_arabic_are_read() -> None:
    cells = [f"{name} {year}" for year in range(2014, 2018) for name in MONTHS]
    found = read(cells, "الشهر")
    assert found.frequency == "MS"
    assert "months in Arabic" in " ".join(found.notes)
    digits = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    assert read([cell.translate(digits) for cell in cells], "الشهر").frequency == "MS"


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_years_before_nanoseconds_are_read(form: str) -> None:
    days = [np.datetime64(f"{year}-12-31").item() for year in range(1500, 1600)]
    found = read([f"{day:{form}}" for day in days])
    assert found.series[0].times is not None
    assert [t.year for t in found.series[0].times] == list(range(1500, 1600))
    assert found.frequency is not None
    assert found.frequency.startswith("YE")


def test_named_zones_are_offsets() -> None:
    there = pd.date_range("2023-03-20", periods=240, freq="h", tz="Europe/Berlin")
    found = read([f"{t:%Y-%m-%d %H:%M} {t.tzname()}" for t in there], "time")
    assert found.series[0].times is not None
    assert found.series[0].times.tolist() == there.tolist()
    with pytest.raises(InputError, match=r"such as 2024-01-31T12:00\+01:00; IST is the name of mo"):
        read([f"{t:%Y-%m-%d %H:%M} IST" for t in there], "time")


def test_two_orders_in_one_column_are_named() -> None:
    days = pd.date_range("2023-01-01", periods=100)
    cells = [f"{t:%d/%m/%Y}" if k < 40 else f"{t:%m/%d/%Y}" for k, t in enumerate(days)]
    with pytest.raises(InputError) as raised:
        read(cells, "date")
    said = str(raised.value)
    assert "'13/01/2023' can only be read with the day first" in said
    assert "'02/13/2023' in row 44 only with the month first" in said
    assert "Write all dates of the column alike" in said


def test_a_column_that_looks_like_times_is_doubted() -> None:
    cells = [f"quý {q} năm {y}" for y, q in QUARTERS]
    [doubt] = read(cells, "p").doubts
    assert "column 'p' looks like times, and 'quý 1 năm 2002' in row 1 cannot be read" in doubt
    # Titles with a year are no times.
    titles = [f"Report {k} of {2000 + k * 7 % 20}" for k in range(80)]
    assert not read(titles, "title").doubts


def test_periods_are_kept_apart_from_names() -> None:
    for cells in (["III 2", "IV 3"], ["a - b", "c - d"], ["123456-654321", "222222-333333"]):
        assert dates.read(pd.Series(cells)) is None
    assert kinds.infer(pd.Series(["2019/2020", "2020/2021", "2021/2022"]))[1] == "time"
