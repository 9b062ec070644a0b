"""Columns that number rows, and years in a column without a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.doubts import counting
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

WAVE = np.random.default_rng(0).normal(10, 1, 60).round(2)
NUMBERS = np.cumsum(np.random.default_rng(0).integers(1, 9, 60))


def panel_of(folder: Path, header: str, *columns: Any) -> Panel:
    path = folder / "data.csv"
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return read_panel(path, ForecastSettings())


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
@pytest.mark.parametrize("first", [1500, 1960])
def test_years_in_a_column_without_a_name_are_dates(tmp_path: Path, name: str, first: int) -> None:
    found = panel_of(tmp_path, f"{name},value", range(first, first + 60), WAVE)
    times = found.series[0].times
    assert times is not None
    assert (times[0].year, times[59].year) == (first, first + 59)
    assert found.frequency == "YS-JAN"
    assert found.targets == ["value"]
    assert "If they count the rows, take the column out" in " ".join(found.notes)
    back = panel_of(tmp_path, f"{name},value", range(first + 59, first - 1, -1), WAVE)
    assert back.frequency == "YS-JAN"


@pytest.mark.parametrize(("name", "first"), [("", 0), ("Unnamed: 0", 1), ("#", 1960), ("", 2090)])
def test_numbers_of_rows_are_no_years(tmp_path: Path, name: str, first: int) -> None:
    found = panel_of(tmp_path, f"{name},value", range(first, first + 60), WAVE)
    assert found.series[0].times is None
    assert found.targets == ["value"]
    assert "it counts the rows" in " ".join(found.notes)
    days = np.datetime64("2020-01-01") + np.arange(60)
    beside = panel_of(tmp_path, f"{name},date,value", range(1960, 2020), days, WAVE)
    assert beside.frequency == "D"
    assert beside.targets == ["value"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "#", "index"])
def test_numbers_of_rows_that_were_filtered_are_left_out(tmp_path: Path, name: str) -> None:
    for numbers in (NUMBERS, NUMBERS[::-1]):
        found = panel_of(tmp_path, f"{name},value", sorted(numbers), WAVE)
        assert found.targets == ["value"]
        assert "it numbers rows, of which some are not there" in " ".join(found.notes)
    some = np.random.default_rng(1).permutation(100)[:60]
    assert panel_of(tmp_path, f"{name},value", some, WAVE).targets == ["value"]


def test_numbers_of_rows_with_a_few_gaps_are_left_out_or_doubted(tmp_path: Path) -> None:
    with_gaps = [n for n in range(1, 70) if n % 10][:60]
    found = panel_of(tmp_path, "n,value", with_gaps, WAVE)
    assert found.targets == ["value"]
    assert "it numbers rows, of which some are not there" in " ".join(found.notes)
    for steps in (with_gaps, np.arange(60) / 10):
        found = panel_of(tmp_path, "x,value", steps, WAVE)
        assert len(counting(found.targets, found.series[0].values)) == 1
    found = panel_of(tmp_path, "x,value", NUMBERS, WAVE)
    assert not counting(found.targets, found.series[0].values)


def test_whole_numbers_that_number_nothing_are_forecast(tmp_path: Path) -> None:
    total = panel_of(tmp_path, "value,Unnamed: 1", WAVE, NUMBERS)
    assert total.targets == ["value", "Unnamed: 1"]
    wide_apart = np.random.default_rng(1).permutation(10_000)[:60]
    assert panel_of(tmp_path, ",value", wide_apart, WAVE).targets == ["column 1", "value"]
    assert panel_of(tmp_path, "n,value", NUMBERS, WAVE).targets == ["n", "value"]
    alone = tmp_path / "alone.csv"
    alone.write_text("Unnamed: 0\n" + "\n".join(map(str, NUMBERS)) + "\n")
    assert read_panel(alone, ForecastSettings()).targets == ["Unnamed: 0"]
