"""Tables with a series in each row: columns that are dates, and those that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.wide import total_of
from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

MONTHS = pd.date_range("2020-01-01", periods=24, freq="MS")
WEEKS = pd.date_range("2020-01-06", periods=24, freq="7D")


def table(names: Sequence[str], rows: int = 4, **more: list[int]) -> pd.DataFrame:
    """Rows of whole numbers that vary, named P0, P1, …, and more columns to the right."""
    values = np.random.default_rng(0).integers(50, 150, (rows, len(names)))
    frame = pd.DataFrame(values, columns=list(names))
    frame.insert(0, "Product", [f"P{i}" for i in range(rows)])
    return frame.assign(**more)


def panel(frame: pd.DataFrame, **given: Any) -> Panel:
    return read_panel(frame, ForecastSettings(**given))


def days(found: Panel) -> list[str]:
    times = found.series[0].times
    assert times is not None
    return [str(t.date()) for t in times]


@pytest.mark.parametrize(
    ("written", "moments", "frequency"),
    [
        (lambda m: f"{m:%b %Y}", MONTHS, "MS"),
        (lambda m: f"{m:%Y-%b}", MONTHS, "MS"),
        (lambda m: f"{m:%B %Y}", MONTHS, "MS"),
        (lambda m: f"{m:%b-%y}", MONTHS, "MS"),
        (lambda m: f"{m:%Y}M{m:%m}", MONTHS, "MS"),
        (lambda m: f"{m:%Y%m}", MONTHS, "MS"),
        (lambda m: f"X{m:%Y.%m.%d}", MONTHS, "MS"),
        (lambda m: f"{m.month}/{m.day}/{m:%y}", MONTHS, "MS"),
        (lambda m: f"{m:%d.%m.%Y}", MONTHS, "MS"),
        (lambda m: f"Q{m.quarter} {m:%Y}", MONTHS[::3], "QS-JAN"),
        (lambda m: f"{m:%Y}-Q{m.quarter}", MONTHS[::3], "QS-JAN"),
        (lambda m: f"{m.quarter}Q{m:%y}", MONTHS[::3], "QS-JAN"),
        (lambda m: f"{m:%G}-W{m:%V}", WEEKS, "W-MON"),
        (lambda m: f"W{m:%V} {m:%G}", WEEKS, "W-MON"),
        (lambda m: f"{m:%Y}", pd.date_range("1990", periods=24, freq="YS"), "YS-JAN"),
        (lambda m: f"Y{m:%Y}", pd.date_range("1990", periods=24, freq="YS"), "YS-JAN"),
        (lambda m: f"{m:%Y} [YR{m:%Y}]", pd.date_range("1990", periods=24, freq="YS"), "YS-JAN"),
    ],
)
def test_columns_named_after_dates_are_times_and_a_total_is_left_out(
    written: Callable[[Any], str], moments: pd.DatetimeIndex, frequency: str
) -> None:
    frame = table([written(m) for m in moments])
    frame = frame.assign(Total=frame.iloc[:, 1:].sum(axis=1))
    found = panel(frame)
    assert days(found) == [str(m.date()) for m in moments]
    assert found.frequency == frequency
    assert found.series[2].name == "P2"
    assert found.series[2].values[:, 0].tolist() == frame.iloc[2, 1:-1].tolist()
    assert "'Total': named like a total, and no date." in found.notes
    # The settings that were found read the same again.
    assert len(panel(frame, **found.found).series[0]) == len(moments)


def test_few_dated_columns_are_a_series_too() -> None:
    frame = table([f"{m:%b %Y}" for m in MONTHS[:5]], size=[1, 2, 3, 4], mean=[5, 6, 7, 8])
    found = panel(frame)
    assert [len(s) for s in found.series] == [5] * 4
    assert "'size': no name of a series, and no date." in found.notes
    # A group that was named says which column has the names, and no more.
    assert [s.name for s in panel(frame, group="Product").series] == ["P0", "P1", "P2", "P3"]


def test_series_may_begin_after_the_first_dated_column() -> None:
    frame = table([f"{m:%Y-%m}" for m in MONTHS])
    frame.iloc[1, 1:4] = None
    found = panel(frame)
    assert [len(s) for s in found.series] == [24, 21, 24, 24]
    times = found.series[1].times
    assert times is not None
    assert str(times[0].date()) == "2020-04-01"
    assert "1 of them begins after '2020-01'." in found.notes
    frame.iloc[1, 8] = None
    with pytest.raises(InputError, match=r"row 2, column '2020-08'.*the beginning and the end"):
        panel(frame)


def test_the_order_of_day_and_month_in_names_is_told() -> None:
    frame = table([f"{m:%d/%m/%Y}" for m in pd.date_range("2023-01-20", periods=24)])
    found = panel(frame)
    assert "The names of the columns: times, read with the day first." in found.notes
    assert found.found["date_order"] == "day"
    assert "first." not in str(panel(table([f"{m:%Y-%m-%d}" for m in WEEKS])).notes)


def test_a_word_in_a_dated_column_is_named() -> None:
    frame = table([f"{m:%b %Y}" for m in MONTHS]).astype({"Mar 2020": object})
    frame.loc[1, "Mar 2020"] = "n.a."
    with pytest.raises(InputError, match=r"row 2, column 'Mar 2020': 'n.a.' is not a number"):
        panel(frame)


@pytest.mark.parametrize(("name", "rule"), [("Total", "sum"), ("all of it", "sum"), ("x", "mean")])
def test_a_sum_or_a_mean_of_counted_columns_is_left_out(name: str, rule: str) -> None:
    frame = table([f"V{i}" for i in range(1, 31)])
    frame[name] = frame.iloc[:, 1:].agg(rule, axis=1).round(1)
    found = panel(frame)
    assert {len(s) for s in found.series} == {30}
    assert any(f"column {name!r} is the {rule} of the others" in doubt for doubt in found.doubts)
    first = frame[["Product", name, *frame.columns[1:-1]]]
    assert panel(first).series[3].values.tolist() == found.series[3].values.tolist()


def test_both_a_sum_and_a_mean_are_left_out() -> None:
    frame = table([f"V{i}" for i in range(1, 31)])
    numbers = frame.iloc[:, 1:]
    found = panel(frame.assign(Sum=numbers.sum(axis=1), Mean=numbers.mean(axis=1)))
    assert {len(s) for s in found.series} == {30}
    assert len(found.doubts) == 2


def test_months_without_a_year_are_in_order_and_their_total_is_left_out() -> None:
    names = [f"{m:%b}" for m in MONTHS[:12]]
    frame = table(names)
    found = panel(frame.assign(Total=frame.iloc[:, 1:].sum(axis=1)))
    assert [len(s) for s in found.series] == [12] * 4
    assert found.series[0].times is None


def test_a_column_that_is_not_counted_is_left_out_with_a_doubt() -> None:
    frame = table([f"w{i}" for i in range(20)])
    frame.insert(1, "population", [900, 800, 70, 60])
    frame.insert(1, "region", ["n", "n", "s", "s"])
    found = panel(frame)
    assert {len(s) for s in found.series} == {20}
    assert "without 'population'" in found.doubts[0]


def test_a_row_of_totals_is_doubtful() -> None:
    frame = table([f"V{i}" for i in range(1, 31)])
    frame.loc[3, "Product"] = "Total"
    assert "the series 'Total' is named like the total" in panel(frame).doubts[0]
    assert panel(table([f"V{i}" for i in range(1, 31)])).doubts == []


@given(st.integers(0, 2**32 - 1), st.integers(3, 8), st.integers(4, 30))
def test_a_sum_and_a_mean_are_found_and_nothing_else(seed: int, rows: int, columns: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1000, (rows, columns)).astype(float)
    for word, last in (("sum", values.sum(axis=1)), ("mean", values.mean(axis=1).round(1))):
        assert total_of(np.column_stack([values, last]), columns) == word
    assert total_of(values, columns - 1) is None
    # Rows that hardly vary are near their own mean.
    steady = np.round(1e6 + values / 1e3)
    assert total_of(steady, columns - 1) is None


@pytest.mark.parametrize("form", ["%b", "%B"])
def test_months_as_rows_and_years_as_columns_are_doubted(form: str) -> None:
    names = pd.date_range("2020-01-01", periods=12, freq="MS").strftime(form)
    values = np.random.default_rng(0).normal(50, 5, (12, 16))
    frame = pd.DataFrame(values, columns=[str(year) for year in range(2005, 2021)])
    frame.insert(0, "Month", names)
    found = read_panel(frame, ForecastSettings())
    assert "each column is a year, and 12 of the rows are months" in " ".join(found.doubts)
    shops = frame.assign(Month=[f"shop {i}" for i in range(12)])
    assert not read_panel(shops, ForecastSettings()).doubts
