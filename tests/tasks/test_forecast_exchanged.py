"""Dates whose day and month changed places in a program that read them before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

DAYS = pd.date_range("2020-01-01", periods=120)
MONTHS = pd.date_range("2015-01-05", periods=60, freq="MS") + pd.Timedelta(days=4)


def panel(cells: Any) -> Panel:
    values = np.random.default_rng(0).normal(size=len(cells)).round(3)
    return read_panel(pd.DataFrame({"date": cells, "y": values}), ForecastSettings())


def exchanged(day: pd.Timestamp) -> pd.Timestamp:
    return day.replace(month=day.day, day=day.month) if day.day <= 12 else day


@pytest.mark.parametrize(
    "written",
    [
        lambda day: f"{day:%Y-%m-%d}",
        lambda day: f"{day:%Y-%m-%d} 00:00:00",
        lambda day: str((day - pd.Timestamp("1899-12-30")).days),
    ],
)
@pytest.mark.parametrize(("form", "right"), [("%d/%m/%Y", "day"), ("%m/%d/%Y", "month")])
@pytest.mark.parametrize("count", [24, 120])
def test_dates_that_a_spreadsheet_read_by_halves_are_refused(
    written: Callable[[pd.Timestamp], str], form: str, right: str, count: int
) -> None:
    cells = [written(exchanged(d)) if d.day <= 12 else d.strftime(form) for d in DAYS[:count]]
    with pytest.raises(InputError) as raised:
        panel(cells)
    said = str(raised.value)
    assert "row 1, column 'date'" in said
    assert f"'{DAYS[12].strftime(form)}' in row 13 is text" in said
    assert f"dates with the {right} first were read" in said
    assert "Do not correct single rows" in said


def test_one_date_written_otherwise_is_not_taken_for_a_half() -> None:
    cells = [f"{day:%Y-%m-%d}" for day in MONTHS]
    cells[30] = "13/07/2017"
    with pytest.raises(InputError, match=r"row 31.*'13/07/2017' is not a date or a time"):
        panel(cells)


@pytest.mark.parametrize("days", [DAYS, pd.date_range("2020-01-06", periods=60, freq="7D")])
def test_exchanged_dates_out_of_order_are_not_to_be_sorted(days: pd.DatetimeIndex) -> None:
    with pytest.raises(InputError, match=r"With day and month exchanged .* Write the original"):
        panel([f"{exchanged(day):%Y-%m-%d}" for day in days])


@pytest.mark.parametrize("days", [DAYS, MONTHS, pd.date_range("2020-01-06", periods=60, freq="7D")])
def test_exchanged_dates_in_order_are_doubted(days: pd.DatetimeIndex) -> None:
    found = panel(sorted(exchanged(day) for day in days))
    assert f"they all are, from {days[0].date()} on" in found.doubts[0]
    assert not panel(days).doubts
    # Working days and a missing row have steps that differ, and are no exchanged dates.
    assert not panel(DAYS[DAYS.dayofweek < 5]).doubts
    assert not panel(DAYS.delete(60)).doubts
