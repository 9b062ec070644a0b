"""Hours: beside one another as columns, in a column of their own, and never names of series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.settings import ForecastSettings

HALVES = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)]
QUARTERS = [f"{hour}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]


def wide(names: Sequence[str], days: int = 30, freq: str = "D") -> pd.DataFrame:
    values = np.random.default_rng(0).normal(50, 5, (days, len(names))).round(2)
    frame = pd.DataFrame(values, columns=list(names))
    frame.insert(0, "Date", pd.date_range("2024-01-01", periods=days, freq=freq))
    return frame


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ([f"{hour:02}:00" for hour in range(24)], "24 of its columns are hours"),
        ([f"{hour}:00:00" for hour in range(1, 25)], "24 of its columns are hours"),
        ([f"{h:02}:00-{(h + 1) % 24:02}:00" for h in range(24)], "24 of its columns are hours"),
        ([f"{h % 12 or 12} {'ap'[h // 12]}m" for h in range(24)], "24 of its columns are hours"),
        ([f"{hour}h" for hour in range(24)], "24 of its columns are hours"),
        ([f"H{hour}" for hour in range(1, 25)], "24 of its columns are hours"),
        ([f"hour_{hour:02}" for hour in range(24)], "24 of its columns are hours"),
        ([str(hour) for hour in range(24)], "24 of its columns are hours"),
        ([f"HE{hour}" for hour in range(1, 26)], "24 of its columns are hours"),
        (HALVES, "48 of its columns are half-hours"),
        ([f"SP{period}" for period in range(1, 49)], "48 of its columns are half-hours"),
        (QUARTERS, "96 of its columns are quarter-hours"),
        ([f"Q{period}" for period in range(1, 97)], "96 of its columns are quarter-hours"),
    ],
)
def test_parts_of_a_day_as_columns_are_doubted(names: list[str], parts: str) -> None:
    for freq in ("D", "B"):
        (doubt,) = read_panel(wide(names, freq=freq), ForecastSettings()).doubts
        assert doubt.startswith(f"each row is a day, and {parts}, so each of them is forecast")
        assert "write a row for each, with its date and time" in doubt


@pytest.mark.parametrize(
    ("names", "freq"),
    [
        ([f"{hour:02}:00" for hour in range(24)], "W"),
        ([f"shop {place}" for place in range(1, 25)], "D"),
        ([f"H{hour}" for hour in range(1, 13)], "D"),
        ([f"Q{period}" for period in range(1, 25)], "D"),
    ],
)
def test_other_columns_are_not_taken_for_hours(names: list[str], freq: str) -> None:
    assert read_panel(wide(names, freq=freq), ForecastSettings()).doubts == []


def test_hours_as_rows_and_days_as_columns_are_doubted() -> None:
    frame = wide([f"{hour:02}:00" for hour in range(24)]).set_index("Date").T
    frame.columns = frame.columns.strftime("%Y-%m-%d")
    found = read_panel(frame.rename_axis("Hour").reset_index(), ForecastSettings(layout="wide"))
    assert "each column is a day, and 24 of the rows are hours" in " ".join(found.doubts)
