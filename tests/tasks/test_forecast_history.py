"""Histories and streams that are unlike the data of training: said, filled or refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError, PredictionWarning
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast

WAVE = 10 + 3 * np.sin(2 * np.pi * np.arange(90) / 7) + np.random.default_rng(0).normal(size=90)
DAILY = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=90), "sales": WAVE})
GAP = DAILY.drop([84, 85])
SIZES = {"horizon": 3, "lookback": 8, "hidden_size": 4, "max_steps": 1}


def task_on(data: Any = DAILY, **given: Any) -> Forecast:
    return Forecast.from_data(data, ForecastSettings(**SIZES, **given))


def test_a_gap_that_a_forecast_sees_is_warned_of() -> None:
    task = task_on()
    model = task.build()
    with pytest.warns(PredictionWarning, match=r"1 of 7 steps between rows are not those of tr"):
        task.predict(model, GAP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The model sees the last 8 rows alone; a baseline is fitted to all.
        task.predict(model, DAILY.drop([40]))
    with pytest.warns(PredictionWarning, match="from 2024-02-09 00:00:00 to 2024-02-11 00:00:00"):
        task.predict(task.predictors()[0], DAILY.drop([40]))


@pytest.mark.parametrize("fill", ["linear", "forward", "mask"])
def test_a_gap_is_filled_as_in_training(fill: Any) -> None:
    task = task_on(fill=fill)
    model = task.build()
    whole = DAILY.assign(sales=DAILY["sales"].where(~DAILY.index.isin([84, 85])))
    with pytest.warns(PredictionWarning, match=rf"2 of the 8 values .* in training \(fill={fill}"):
        found = task.predict(model, GAP)
    with pytest.warns(PredictionWarning):
        expected = task.predict(model, whole)
    pd.testing.assert_frame_equal(found, expected)
    # Two rows have no rule of their own: that of training counts.
    with pytest.warns(PredictionWarning, match="1 of the 3 values"):
        task.predict(model, DAILY.iloc[[80, 82]])


def test_rows_of_other_steps_are_not_filled_to_those_of_training() -> None:
    task = task_on(fill="linear")
    with pytest.raises(InputError, match="2 days between its rows; the model was trained on days"):
        task.predict(task.build(), DAILY[::2])


def test_working_days_given_to_a_model_of_days_are_warned_of() -> None:
    task = task_on()
    week = DAILY[DAILY["day"].dt.dayofweek < 5]
    with pytest.warns(PredictionWarning, match=r"steps between rows are not those .*\(days\)"):
        task.predict(task.build(), week)


def test_a_history_without_times_is_warned_of() -> None:
    task = task_on(calendar=False)
    with pytest.warns(PredictionWarning, match="has no times; the model was trained on days"):
        task.predict(task.build(), DAILY[["sales"]])


def test_doubts_about_a_history_are_said() -> None:
    task = task_on()
    marked = DAILY.assign(sales=DAILY["sales"].where(~DAILY.index.isin([80, 82, 85]), -999.0))
    with pytest.warns(PredictionWarning, match="Doubtful: .*-999"):
        task.predict(task.build(), marked)


def rows_of(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    return frame.to_dict("records")


def stepped(stream: Any, frame: pd.DataFrame) -> Any:
    return [stream.step(row) for row in rows_of(frame)][-1]


def test_a_stream_takes_the_name_of_its_file_for_the_time() -> None:
    task = task_on()
    model = task.build()
    task = Forecast.from_assets(task.settings, task.assets())
    stream, twin = task.stream(model), task.stream(model)
    for row in rows_of(DAILY[:10]):
        found = stream.step(row)
        assert found == twin.step({"time": row["day"], "sales": row["sales"]})
    assert found["time"][0] == "2024-01-11 00:00:00"
    later = rows_of(DAILY)[10]
    with pytest.raises(InputError, match="the time is given twice, as time and as day"):
        stream.step({**later, "time": later["day"]})
    with pytest.raises(InputError, match=r"'date' is no name .*\(sales, time, day\)"):
        stream.step({"sales": 1.0, "date": later["day"]})
    with pytest.raises(InputError, match="'shop' is no name that this stream knows"):
        stream.step({**later, "shop": "A"})
    assert stream.step(later) == twin.step(later)  # nothing had changed


def test_a_stream_of_dates_and_times_of_day_takes_one_moment() -> None:
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    frame = pd.DataFrame({"Date": hours.strftime("%Y-%m-%d"), "Clock": hours.strftime("%H:%M")})
    task = task_on(frame.assign(load=np.resize(WAVE, 120)))
    stream = task.stream(task.build())
    with pytest.raises(InputError, match="Give Date and Clock as one moment, named time"):
        stream.step({"Date": "2024-01-01", "Clock": "03:00", "load": 1.0})
    found = stream.step({"time": "2024-01-01 03:00", "load": 1.0})
    assert found["time"][0] == "2024-01-01 04:00:00"


def test_a_gap_in_a_stream_is_warned_of() -> None:
    task = task_on()
    stream = task.stream(task.build())
    with pytest.warns(PredictionWarning, match=r"comes 3 days after .* so 2 rows between them are"):
        stepped(stream, GAP)
    with pytest.raises(InputError, match=r"comes 1 hour after the one before; .* trained on days"):
        stream.step({"day": DAILY["day"][89] + pd.Timedelta(hours=1), "sales": 1.0})


def test_a_gap_in_a_stream_without_a_calendar_is_warned_of_too() -> None:
    task = task_on(calendar=False)
    stream = task.stream(task.build())
    rows = rows_of(DAILY)
    stream.step(rows[0]), stream.step(rows[1])
    with pytest.warns(PredictionWarning, match="so 1 row between them is not there"):
        stream.step(rows[3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream.step(1.0)  # a step without a time may be any number of rows
        stream.step(rows[6])


@pytest.mark.parametrize("fill", ["linear", "season", "mask"])
def test_a_gap_in_a_stream_is_filled_as_in_training(fill: Any) -> None:
    task = task_on(fill=fill)
    model = task.build()
    stream = task.stream(model)
    with pytest.warns(PredictionWarning, match=rf"They are filled as in training \(fill={fill}\)"):
        found = stepped(stream, GAP[:86])
    with pytest.warns(PredictionWarning):
        expected = task.predict(model, GAP[:86])
    np.testing.assert_allclose(found["forecast"]["sales"], expected["forecast"], atol=1e-5)
    assert [pd.Timestamp(time) for time in found["time"]] == expected["time"].tolist()


def test_an_error_about_later_data_proposes_no_setting_of_training(tmp_path):
    days = pd.date_range("2023-01-01", periods=60)
    table = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "y": np.arange(60.0) % 7 + 0.25})
    settings = {"epochs": 1, "hidden_size": 4, "progress": False}
    table.to_csv(tmp_path / "points.csv", index=False)
    run = elman.train("forecast", tmp_path / "points.csv", tmp_path / "run", **settings)
    model = elman.load(run.path)
    other = table.head(12).assign(date=days[:12].strftime("%m/%d/%Y"))
    with pytest.raises(InputError, match="Write dates as the training data does") as raised:
        model.predict(other)
    assert "date_order" not in str(raised.value)
    with pytest.raises(InputError, match=r"Fill it in, or train with fill=linear \(or forward"):
        model.predict(table.assign(y=table.y.where(table.index != 9)))
    path = tmp_path / "commas.csv"
    table.assign(y=table.y.map("{:.2f}".format).str.replace(".", ",")).to_csv(path, index=False)
    with pytest.raises(InputError, match="Write numbers as the training data does") as raised:
        elman.evaluate(run.path, path)
    assert (raised.value.row, raised.value.column) == (2, "y")


@pytest.mark.parametrize("factor", [1000, 0.001])
@pytest.mark.parametrize("log", [False, True])
def test_a_history_in_another_unit_is_warned_of(factor: float, log: bool) -> None:
    data = DAILY.assign(sales=DAILY["sales"] + 5)
    task = task_on(data, log=log)
    model = task.build()
    other = data.assign(sales=data["sales"] * factor)
    with pytest.warns(PredictionWarning, match="If they are in another unit, the forecasts are wr"):
        task.predict(model, other)
    with pytest.warns(PredictionWarning, match="If they are in another unit, the forecasts are wr"):
        task.evaluate(model, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.predict(model, data.assign(sales=data["sales"] * 4))
        if not log:
            task.predict(model, data.assign(sales=0.0))


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_a_stream_in_another_unit_is_warned_of_once(factor: float) -> None:
    task = task_on(DAILY)
    rows = (DAILY["sales"] + 5).tolist()[: 3 * task.lookback]

    def said(factor: float) -> list[int]:
        stream, found = task.stream(task.build()), []
        for place, value in enumerate(rows):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                stream.step({"sales": value * factor, "time": "2024-01-01"} if not place
                            else value * factor)  # fmt: skip
            found += [place for w in caught if "in the stream lie about" in str(w.message)]
        return found

    assert said(factor) == [task.lookback - 1]
    assert said(4.0) == []
