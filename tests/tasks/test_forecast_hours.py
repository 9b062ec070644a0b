"""Hours: beside one another as columns, in a column of their own, and never names of series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
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


def meter(days: int = 10) -> pd.DataFrame:
    begin = pd.date_range("2024-01-08", periods=24 * days, freq="h")
    end = begin + pd.Timedelta(hours=1)
    return pd.DataFrame(
        {
            "Datum": begin.strftime("%d.%m.%Y"),
            "von": begin.strftime("%H:%M"),
            "bis": end.strftime("%H:%M"),
            "Wert": np.random.default_rng(0).normal(50, 5, len(begin)),
        }
    )


def test_the_beginning_of_a_step_is_its_time_of_day_where_the_end_stands_beside_it() -> None:
    found = read_panel(meter(), ForecastSettings(date_order="day"))
    assert found.time == ["Datum", "von"]
    times = found.series[0].times
    assert times is not None
    assert str(times[1]) == "2024-01-08 01:00:00"
    assert found.frequency == "h"


def test_a_time_of_day_beside_a_date_that_repeats_is_proposed() -> None:
    given = ForecastSettings(date_order="day", time="Datum")
    with pytest.raises(InputError, match=r"set time='\[Datum,von\]'"):
        read_panel(meter(), given)


@pytest.mark.parametrize("name", ["Hora", "Hour", "HourEnding"])
def test_hours_are_never_proposed_as_names_and_hour_25_is_named(name: str) -> None:
    dates = pd.date_range("2023-10-25", periods=10)
    rows = [(d, h) for d in dates for h in range(1, 26 if d == dates[4] else 25)]
    frame = pd.DataFrame(rows, columns=["Date", name])
    frame["Price"] = np.random.default_rng(0).normal(50, 5, len(frame))
    with pytest.raises(InputError, match="hour 25 is of a night in which clocks were") as raised:
        read_panel(frame, ForecastSettings())
    assert raised.value.row == 121
    assert raised.value.column == name
    assert "2023-10-29T02:00+01:00" in str(raised.value)
    assert read_panel(frame[frame[name] < 25], ForecastSettings()).time == ["Date", name]


def test_a_column_of_times_that_never_changes_is_not_the_time() -> None:
    times = pd.date_range("2024-01-01", periods=60, freq="h")
    frame = pd.DataFrame({"_start": times[0], "_stop": times[-1], "_time": times})
    frame["value"] = np.random.default_rng(0).normal(50, 5, 60)
    found = read_panel(frame, ForecastSettings())
    assert found.time == ["_time"]
    assert found.found["time"] == "_time"
    assert ("time", "Other columns of times were left out: '_start', '_stop'.") in found.told


def test_a_column_that_never_changes_is_left_out_with_a_word() -> None:
    frame = wide(["sales", "table"]).assign(table=0)
    found = read_panel(frame, ForecastSettings())
    assert found.targets == ["sales"]
    said = "Column 'table' was left out: it has one value in all rows."
    assert ("left out", said) in found.told
    assert read_panel(frame, ForecastSettings(target="table")).targets == ["table"]
    alone = read_panel(frame[["Date", "table"]], ForecastSettings())
    assert alone.targets == ["table"]


def test_a_number_that_each_series_has_of_its_own_is_left_out_with_a_word() -> None:
    rooms = [wide(["sales"]).assign(room=room, table=place) for place, room in enumerate("ab")]
    found = read_panel(pd.concat(rooms, ignore_index=True), ForecastSettings(group="room"))
    assert found.targets == ["sales"]
    said = "Column 'table' was left out: it has one value in each series."
    assert ("left out", said) in found.told


def test_a_comma_before_decimals_is_not_told_as_a_point_between_thousands(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    rows = [f"{day:%d.%m.%Y};52,{100 + 7 * n}" for n, day in enumerate(wide([""]).Date)]
    path.write_text("\n".join(["Datum;Wert", *rows]))
    found = read_panel(path, ForecastSettings(decimal=","))
    assert found.series[0].values[1, 0] == 52.107
    assert not any("thousands" in sentence for _, sentence in found.told)
    path.write_text("\n".join(["Datum;Wert", *rows[:-1], "30.01.2024;1.052,5"]))
    found = read_panel(path, ForecastSettings(decimal=","))
    assert found.series[0].values[-1, 0] == 1052.5
    assert any("A point stands between thousands in 'Wert'" in said for _, said in found.told)
