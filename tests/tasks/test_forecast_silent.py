"""Series that were once read wrong, or doubtful, without a word."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError, PredictionWarning
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast


def panel(frame: pd.DataFrame, **given: Any) -> Panel:
    return read_panel(frame, ForecastSettings(**given))


def test_times_with_and_without_an_offset_are_named_with_their_rows() -> None:
    times = [f"2024-01-01T{h:02}:00{'+02:00' if h % 2 else ''}" for h in range(12)]
    with pytest.raises(InputError) as raised:
        panel(pd.DataFrame({"time": times, "y": np.arange(12.0) % 5}))
    text = str(raised.value)
    assert "row 1, column 'time'" in text
    assert "'2024-01-01T00:00' has no offset from UTC" in text
    assert "unlike '2024-01-01T01:00+02:00' in row 2" in text
    assert "Write all times with their offset, or none." in text


def test_months_of_another_language_are_said_or_asked_about() -> None:
    names = ["Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]
    cells = [f"{name} {year}" for year in (2020, 2021) for name in names]
    frame = pd.DataFrame({"Monat": cells, "y": np.arange(24.0) % 5})
    found = panel(frame)
    assert found.frequency == "MS"
    assert "months in German" in " ".join(found.notes)
    wide = pd.DataFrame([["a", *range(24)], ["b", *range(24)]], columns=["shop", *cells])
    assert panel(wide).frequency == "MS"
    odd = frame.assign(Monat=[f"Foo{i} 2020" for i in range(24)])
    with pytest.raises(InputError, match=r"Months were looked for in English, German, French.*"):
        panel(odd)


@pytest.mark.parametrize("name", ["date", "m"])
@pytest.mark.parametrize(
    ("cell", "calendar"),
    [("{} Farvardin 5", "Persian"), ("5 آذر {}", "Persian"), ("15 Muharram {}", "Islamic"),
     ("9 Rabi al-Thani {}", "Islamic"), ("3 Tishrei {}", "Hebrew")],
)  # fmt: skip
def test_months_of_other_calendars_are_refused(name: str, cell: str, calendar: str) -> None:
    cells = [cell.format(1400 + year) for year in range(12)]
    with pytest.raises(InputError, match=f"row 1, .* is a date of the {calendar} calendar.*Greg"):
        panel(pd.DataFrame({name: cells, "y": np.arange(12.0) % 5}))


DAYS = pd.date_range("2019-01-01", periods=200)
WAVE = 10 + np.random.default_rng(0).normal(size=200) + np.sin(np.arange(200) * 2 * np.pi / 7)


@pytest.mark.parametrize("names", [["A", "B"], [1, 2]])
def test_shops_that_follow_one_another_are_doubted(names: list[Any]) -> None:
    frame = pd.DataFrame({"date": DAYS, "shop": np.repeat(names, 100), "sales": WAVE})
    [doubt] = panel(frame).doubts
    assert "column 'shop' holds 2 names one after another" in doubt
    assert "from row 101 on" in doubt
    assert "set group=shop" in doubt
    assert not panel(frame, group="shop", target="sales").doubts
    assert len(panel(frame, group="shop", target="sales").series) == 2


def test_names_that_change_back_or_are_times_are_no_series() -> None:
    whole = {"date": DAYS, "sales": WAVE}
    weather = np.tile(["sun", "rain", "sun", "sun"], 50)
    month = [f"{day:%B}" for day in DAYS]
    quarter = [f"{day.year}-Q{day.quarter}" for day in DAYS]
    for other in ({"weather": weather}, {"month": month}, {"part": month}, {"when": quarter}):
        assert not panel(pd.DataFrame(whole | other)).doubts
    # A sensor named as one is doubted also where names take turns.
    taking_turns = panel(pd.DataFrame(whole | {"sensor": np.tile(["a", "b"], 100)}))
    assert "set group=sensor" in taking_turns.doubts[0]
    # Whole numbers of something in a shop, or of each of several shops, name none.
    counts = np.random.default_rng(0).integers(0, 9, (200, 2))
    for names in (["item_count", "visits"], ["shop_1", "shop_2"], ["storeVisits", "users"]):
        assert not panel(pd.DataFrame(whole | dict(zip(names, counts.T, strict=True)))).doubts
    numbered = panel(pd.DataFrame(whole | {"StoreID": counts[:, 0]}))
    assert "set group=StoreID" in numbered.doubts[0]


def test_times_that_begin_again_are_series_one_after_another() -> None:
    twice = pd.DataFrame({"date": [*DAYS[:100], *DAYS[:100]], "sales": WAVE})
    with pytest.raises(InputError, match=r"row 101.*begin again here, at 2019-01-01.*2 series"):
        panel(twice)
    back = pd.DataFrame({"date": [*DAYS[100:], *DAYS[:100]], "sales": WAVE})
    with pytest.raises(InputError, match=r"add a column that names each, and set group"):
        panel(back)
    with pytest.raises(InputError, match="set group=shop; if not, sort the file by 'date'"):
        panel(back.assign(shop=["A"] * 100 + ["B"] * 100))
    merged = back.assign(shop=["A", *[None] * 99, "B", *[None] * 99])
    with pytest.raises(InputError, match="set group=shop; if not, sort the file by 'date'"):
        panel(merged)
    assert len(panel(merged, group="shop").series) == 2
    unsorted = pd.DataFrame({"date": DAYS, "sales": WAVE}).sample(frac=1, random_state=0)
    with pytest.raises(InputError, match="Sort the file by 'date'"):
        panel(unsorted.reset_index(drop=True))


def test_dates_still_to_come_and_long_gaps_are_doubted() -> None:
    ahead = pd.Timestamp.now().normalize() + pd.Timedelta(days=400)
    times = [*DAYS[:199], ahead]
    doubts = panel(pd.DataFrame({"date": times, "y": WAVE})).doubts
    assert "the series has no row between 2019-07-18 00:00:00 and" in doubts[0]
    assert "which is still to come" in doubts[1]
    hole = panel(pd.DataFrame({"date": DAYS.delete(range(50, 130)), "y": WAVE[:120]}))
    assert "no row between 2019-02-19 00:00:00 and 2019-05-11 00:00:00 (81 days)" in hole.doubts[0]
    month = panel(pd.DataFrame({"date": DAYS.delete(range(50, 70)), "y": WAVE[:180]}))
    assert not month.doubts


def test_a_series_of_other_steps_is_doubted() -> None:
    weekly = pd.DataFrame({"date": DAYS[::7], "shop": "B", "y": WAVE[:29]})
    frame = pd.concat([pd.DataFrame({"date": DAYS, "shop": "A", "y": WAVE}), weekly])
    found = panel(frame.reset_index(drop=True), group="shop")
    assert "series 'B' has 7 days between its rows, but all series are" in found.doubts[0]


def test_a_column_nearly_all_missing_says_so() -> None:
    values = np.full(80, np.nan)
    values[40] = 3
    with pytest.raises(InputError, match="79 of 80 values of the column are"):
        panel(pd.DataFrame({"date": DAYS[:80], "y": values}))


def test_numbers_far_from_zero_are_shown_with_their_wave() -> None:
    wave = np.round(np.sin(np.arange(200) * 2 * np.pi / 7.3), 3)
    frame = pd.DataFrame({"date": DAYS, "y": 1e6 + wave})
    task = Forecast.from_data(frame, ForecastSettings())
    (_, shown) = task.understood().lines[-1]
    assert "(…, 1,000,000.21, 999,999.398, 999,999.002)" in shown
    table = task.look()[1].table
    assert table is not None
    assert table["smallest"].tolist() == ["999,999"]
    assert table["largest"].tolist() == ["1,000,001"]
    assert table["mean"].tolist() != ["1,000,000"]


def test_test_data_that_begin_long_after_are_doubted() -> None:
    train = pd.DataFrame({"date": DAYS[:150], "y": WAVE[:150]})

    def doubts(begin: int) -> list[str]:
        test = pd.DataFrame({"date": DAYS[begin : begin + 10], "y": WAVE[:10]})
        return Forecast.from_data(train, ForecastSettings(), test=test).understood().doubts

    assert not doubts(150)
    [doubt] = doubts(180)
    assert "of the test data: the series begins at 2019-06-30 00:00:00, 31 days after" in doubt
    assert "some 30 rows between them are not there" in doubt


def test_short_and_new_series_are_said_at_prediction() -> None:
    frame = pd.DataFrame({"date": DAYS, "shop": "A", "y": WAVE})
    task = Forecast.from_data(frame, ForecastSettings(group="shop", hidden_size=4))
    model = task.build()
    assert task.lookback == 21
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.predict(model, frame)
    with pytest.warns(PredictionWarning, match="series 'A' has 5 rows before its first forecast"):
        found = task.predict(model, frame[:5])
    assert found["forecast"].notna().all()
    with pytest.warns(PredictionWarning, match="1 of 1 series were not trained on \\(C\\)"):
        task.predict(model, frame.assign(shop="C"))


def test_files_whose_times_overlap_are_a_series_each(tmp_path: Path) -> None:
    for name in ("oslo", "bergen"):
        frame = pd.DataFrame({"date": DAYS[:60], "mm": WAVE[:60]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    found = read_panel(tmp_path, ForecastSettings())
    assert [one.name for one in found.series] == ["bergen", "oslo"]
    assert "each file is a series of its own" in " ".join(found.notes)
    again = ForecastSettings().model_copy(update=found.found)
    assert [one.name for one in read_panel(tmp_path / "oslo.csv", again).series] == ["oslo"]
    # A year a file is one series.
    pd.DataFrame({"date": DAYS[60:120], "mm": WAVE[60:120]}).to_csv(
        tmp_path / "oslo.csv", index=False
    )
    assert len(read_panel(tmp_path, ForecastSettings()).series) == 1


def test_years_with_weeks_or_quarters_are_dates() -> None:
    mondays = pd.date_range("2019-01-07", periods=160, freq="7D")
    iso = mondays.isocalendar()
    weeks = pd.DataFrame(
        {"year": iso.year.to_numpy(), "week": iso.week.to_numpy(), "n": WAVE[:160]}
    )
    found = panel(weeks)
    assert found.targets == ["n"]
    assert found.frequency == "W-MON"
    assert found.series[0].times is not None
    assert list(found.series[0].times) == list(mondays)
    assert "those of ISO 8601" in " ".join(found.notes)
    begins = pd.date_range("2010-01-01", periods=40, freq="QS")
    quarters = {"Year": begins.year, "Quarter": begins.quarter, "n": WAVE[:40]}
    found = panel(pd.DataFrame(quarters))
    assert found.series[0].times is not None
    assert list(found.series[0].times) == list(begins)


def test_a_calendar_of_360_days_is_named() -> None:
    cells = [f"2000-{m:02}-{d:02}" for m in (1, 2, 3) for d in range(1, 31)]
    with pytest.raises(InputError, match=r"'2000-02-30'.*calendar of 360 days has it"):
        panel(pd.DataFrame({"date": cells, "y": WAVE[:90]}))


@pytest.mark.parametrize(
    ("year", "name"), [(1395, "Persian"), (1445, "Persian or the Islamic"), (2560, "Thai")]
)
def test_years_of_another_calendar_are_doubted(year: int, name: str) -> None:
    months = [f"{year + i // 12}/{i % 12 + 1:02}/01" for i in range(36)]
    found = panel(pd.DataFrame({"date": months, "y": np.arange(36.0) % 5}))
    assert [f"of the {name} calendar" in doubt for doubt in found.doubts].count(True) == 1
    months = [cell.replace(str(year)[:2], "20", 1) for cell in months]
    found = panel(pd.DataFrame({"date": months, "y": np.arange(36.0) % 5}))
    assert not any("calendar" in doubt for doubt in found.doubts)


def told(task: Forecast) -> list[str]:
    return [sentence for _, sentence in task.understood().lines]


def gluonts(folder: Path, rows: dict[str, int], wrong: bool = False) -> Path:
    for part, count in rows.items():
        values = [[round(np.sin(i) + k, 3) for i in range(count)] for k in range(3)]
        if wrong and part == "test":
            values[1][0] = 9.0
        lines = [
            {"start": "2021-01-01", "freq": "D", "target": each, "item_id": f"T{k}"}
            for k, each in enumerate(values)
        ]
        (folder / part).mkdir(parents=True)
        (folder / part / "data.json").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return folder


def test_a_test_part_that_holds_the_training_data_too_counts_from_their_end(
    tmp_path: Path,
) -> None:
    folder = gluonts(tmp_path, {"train": 60, "test": 67})
    task = Forecast.from_data(folder / "train", ForecastSettings(), test=folder / "test")
    assert task.settings.horizon == 7
    assert any("begin with the training data: only the" in line for line in told(task))


@pytest.mark.parametrize("place", [".", "metadata"])
@pytest.mark.parametrize("freq", ["1H", "W", "no step"])
def test_the_step_of_metadata_beside_the_data_is_taken(
    tmp_path: Path, place: str, freq: str
) -> None:
    folder = gluonts(tmp_path / "set", {"train": 90, "test": 97})
    for data in folder.glob("*/data.json"):
        data.write_text(data.read_text().replace('"freq": "D", ', ""))
    (folder / place).mkdir(exist_ok=True)
    about = {"freq": freq, "prediction_length": 7}
    (folder / place / "metadata.json").write_text(json.dumps(about))
    task = Forecast.from_data(folder / "train", ForecastSettings(), test=folder / "test")
    if freq == "no step":
        assert task.frequency is None
        assert any("nothing says how long a step is" in d for d in task.understood().doubts)
        return
    assert task.frequency == {"1H": "h", "W": "W-FRI"}[freq]
    assert any("is that of metadata.json, beside the data." in line for line in told(task))
    assert not task.understood().doubts
    whole = Forecast.from_data(folder, ForecastSettings())
    assert (whole.settings.horizon, whole.frequency) == (7, task.frequency)
    assert [e.valid for e in whole._ends] == [90, 90, 90]


def test_the_horizon_of_metadata_beside_the_data_is_taken(tmp_path: Path) -> None:
    folder = gluonts(tmp_path / "set", {"train": 90, "test": 96})
    (folder / "metadata").mkdir()
    about = {"freq": "D", "prediction_length": 6}
    (folder / "metadata" / "metadata.json").write_text(json.dumps(about))
    assert Forecast.from_data(folder / "train", ForecastSettings()).settings.horizon == 6
    assert Forecast.from_data(folder, ForecastSettings(horizon=3)).settings.horizon == 3


@pytest.mark.parametrize(
    ("rows", "wrong", "message"),
    [
        ({"train": 60, "test": 60}, False, "nothing that follows"),
        ({"train": 60, "test": 67}, True, "begins"),
    ],
)
def test_a_test_part_that_is_the_training_data_is_refused(
    tmp_path: Path, rows: dict[str, int], wrong: bool, message: str
) -> None:
    folder = gluonts(tmp_path, rows, wrong)
    with pytest.raises(InputError, match=message):
        Forecast.from_data(folder / "train", ForecastSettings(), test=folder / "test")


@pytest.mark.parametrize("name", ["store", "store_nbr", "StoreId", "shop no."])
def test_numbers_are_names_where_a_column_is_called_so(name: str) -> None:
    taking_turns = {"date": DAYS, name: np.tile([3, 5], 100), "sales": WAVE}
    assert f"set group={name}" in " ".join(panel(pd.DataFrame(taking_turns)).doubts)


@pytest.mark.parametrize("name", ["store_1", "store_visits", "items", "item_count", "id_1_sold"])
def test_counts_of_shops_and_items_are_no_names(name: str) -> None:
    counted = np.random.default_rng(0).poisson(4, 200)
    assert not panel(pd.DataFrame({"date": DAYS, "sales": WAVE, name: counted})).doubts


def test_names_that_alternate_with_values_of_other_sizes_are_doubted() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.permutation(["pulse", "steps"] * 50)
    times = pd.date_range("2024-01-01", periods=100, freq="5min")
    values = np.where(kinds == "pulse", 70, 4000) + rng.normal(size=100)
    frame = pd.DataFrame({"type": kinds, "time": times, "value": values})
    [doubt] = panel(frame).doubts
    assert "column 'type' holds 2 names" in doubt
    assert "set group=type" in doubt
    assert not panel(frame.assign(value=WAVE[:100])).doubts
