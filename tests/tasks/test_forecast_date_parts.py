"""Codes of periods beside years, and numbers that say again what the dates say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

WAVE = np.random.default_rng(0).normal(10, 1, 500).round(2)


def panel(path: Path, header: str, rows: list[str]) -> Panel:
    path.write_text("\n".join([header, *rows]) + "\n")
    return read_panel(path, ForecastSettings())


@pytest.mark.parametrize(
    ("letter", "count", "step"), [("M", 12, "MS"), ("Q", 4, "QS"), ("S", 2, "2QS")]
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_codes_of_periods_date_the_rows_and_yearly_means_are_left_out(
    tmp_path: Path, letter: str, count: int, step: str, newest_first: bool
) -> None:
    codes = [(year, k) for year in range(1990, 2010) for k in range(1, count + 2)]
    rows = [f"CU01,{year},{letter}{k:02},{WAVE[i]}" for i, (year, k) in enumerate(codes)]
    header = "Series ID,Year,Period,Value"
    found = panel(tmp_path / "a.csv", header, rows[::-1] if newest_first else rows)
    [series] = found.series
    assert series.times is not None
    months = [12 // count * (k - 1) + 1 for _, k in codes if k <= count]
    assert [t.month for t in series.times[: len(series)]] == months
    kept = [WAVE[i] for i, (_, k) in enumerate(codes) if k <= count]
    assert series.values[:, 0].tolist() == kept
    assert found.targets == ["Value"]
    assert found.frequency is not None
    assert found.frequency.startswith(step)
    said = f"Yearly means ({letter}{count + 1:02} in column 'Period') were left out: 20 rows."
    assert said in " ".join(found.notes)
    # Without them nothing is said.
    whole = [row for row in rows if f"{letter}{count + 1:02}" not in row]
    assert "Yearly means" not in " ".join(panel(tmp_path / "b.csv", header, whole).notes)


def test_rows_keep_their_numbers_and_labels_are_dates_too(tmp_path: Path) -> None:
    codes = [(year, k) for year in range(1990, 2010) for k in range(1, 14)]
    rows = [f"{y},M{k:02},{y} M{k:02},{WAVE[i]}" for i, (y, k) in enumerate(codes)]
    header = "Year,Period,Label,Value"
    labelled = panel(tmp_path / "a.csv", header, rows)
    assert labelled.targets == ["Value"]
    assert not labelled.doubts
    rows[40] = rows[40].rsplit(",", 1)[0] + ",n.a."
    with pytest.raises(InputError, match=r"row 42, column 'Value': 'n.a.' is not a number"):
        panel(tmp_path / "b.csv", header, rows)


def test_other_words_in_a_column_of_periods_are_no_codes(tmp_path: Path) -> None:
    rows = [f"{year},{'MQ'[k]}01,{WAVE[year - 1950]}" for year in range(1950, 1990) for k in (0, 1)]
    with pytest.raises(InputError, match="is there twice"):
        panel(tmp_path / "a.csv", "Year,Period,Value", rows)


def test_parts_of_dates_are_not_forecast(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=90)
    rows = [f"{d.date()},{d.year},{d.month},{d.day},{v}" for d, v in zip(days, WAVE, strict=False)]
    found = panel(tmp_path / "a.csv", "date,year,Month,day,value", rows)
    assert found.targets == ["value"]
    assert "'year', 'Month', 'day': parts of the dates." in found.notes
    # A column of that name that says something else is a series.
    rows = [f"{d.date()},{d.month % 12 + 1},{v}" for d, v in zip(days, WAVE, strict=False)]
    assert panel(tmp_path / "b.csv", "date,month,value", rows).targets == ["month", "value"]
