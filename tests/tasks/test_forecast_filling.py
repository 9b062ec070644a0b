"""Holes in series: how they are filled, that no fill looks ahead, that none is learnt or scored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import InputError
from elman.scoring.forecasts import naive_scale, score, window_sums
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.filling import Fill, completed, filled
from elman.tasks.forecast.panel import Series
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast
from elman.training import fit, seed

NAN = float("nan")
FILLS = get_args(Fill)
SMALL: dict[str, Any] = {"hidden_size": 8, "max_steps": 3, "horizon": 4, "lookback": 8, "season": 7}


def daily(n: int = 90, holes: Any = ()) -> pd.DataFrame:
    t = np.arange(n)
    y = 20 + 3 * np.sin(2 * np.pi * t / 7) + np.random.default_rng(0).normal(scale=0.3, size=n)
    y[list(holes)] = NAN
    return pd.DataFrame({"date": pd.date_range("2023-01-02", periods=n), "y": y})


def task_on(frame: pd.DataFrame, **more: Any) -> Forecast:
    return Forecast.from_data(frame, ForecastSettings(**(SMALL | more)))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("linear", [1, 1, 2, 3, 4, 5, 5, 5, 8, 8]),
        ("forward", [1, 1, 2, 2, 2, 5, 5, 5, 8, 8]),
        ("mask", [1, 1, 2, 2, 2, 5, 5, 5, 8, 8]),
        # A value of the season before may itself have been filled.
        ("season", [1, 1, 2, 1, 2, 5, 2, 5, 8, 5]),
    ],
)
def test_each_fill_by_hand(how: Fill, expected: list[float]) -> None:
    values = np.array([NAN, 1, 2, NAN, NAN, 5, NAN, NAN, 8, NAN])[:, None]
    assert filled(values, how, 2, 6).ravel().tolist() == expected


def test_a_hole_across_the_split_is_filled_from_its_past() -> None:
    values = np.array([[1.0], [NAN], [3.0], [NAN], [NAN], [NAN], [7.0]])
    # The training part ends within the hole from 3 to 7.
    assert filled(values, "linear", 1, 5).ravel().tolist() == [1, 2, 3, 3, 3, 3, 7]
    assert filled(values, "linear", 1, 7).ravel().tolist() == [1, 2, 3, 4, 5, 6, 7]


@given(st.data(), st.sampled_from(FILLS))
def test_no_fill_looks_beyond_the_part_it_may_see(data: Any, how: Fill) -> None:
    cells = st.one_of(st.just(NAN), st.floats(-9, 9))
    values = np.array(data.draw(st.lists(cells, min_size=2, max_size=20)))[:, None]
    known = data.draw(st.integers(1, len(values)))
    values[0] = 1.0
    found = filled(values, how, 3, known)
    assert np.isfinite(found).all()
    there = ~np.isnan(values)
    np.testing.assert_array_equal(found[there], values[there])
    # What comes after a row beyond the known ones changes nothing up to it.
    row = data.draw(st.integers(known, len(values)))
    changed = values.copy()
    changed[row:] = 100.0
    np.testing.assert_array_equal(filled(changed, how, 3, known)[:row], found[:row])


@pytest.mark.parametrize(
    ("frequency", "times", "gone"),
    [
        ("D", pd.date_range("2023-01-02", periods=30), [4, 5, 20]),
        ("h", pd.date_range("2023-01-02", periods=60, freq="h", tz="Europe/Berlin"), [30]),
        ("B", pd.date_range("2023-01-02", periods=30, freq="B"), [3, 9]),
        ("MS", pd.date_range("2020-01-01", periods=30, freq="MS"), [7, 8, 9]),
        ("months 1 on 15", pd.date_range("2020-01-01", periods=30, freq="MS")
         + pd.Timedelta(days=14), [12]),
    ],
)  # fmt: skip
def test_rows_that_the_calendar_leaves_out_are_put_in(
    frequency: str, times: pd.DatetimeIndex, gone: list[int]
) -> None:
    y = np.arange(float(len(times)))
    kept = np.delete(np.arange(len(times)), gone)
    series = Series("", y[kept, None], 10 * y[kept, None], times[kept])
    found, count = completed(series, frequency)
    assert count == len(gone)
    assert found.times is not None
    assert found.times.tolist() == times.tolist()
    assert np.flatnonzero(np.isnan(found.values[:, 0])).tolist() == gone
    np.testing.assert_array_equal(found.values[kept, 0], y[kept])
    # A column known ahead runs evenly over the gap.
    np.testing.assert_allclose(found.known[:, 0], 10 * y)


def test_a_gap_off_the_calendar_stays_as_it_is() -> None:
    times = pd.DatetimeIndex([*pd.date_range("2023-01-02", periods=5), "2023-01-09 07:00"])
    series = Series("", np.zeros((6, 1)), np.zeros((6, 0)), times)
    assert completed(series, "D") == (series, 0)
    untimed = Series("", np.zeros((6, 1)), np.zeros((6, 0)), None)
    assert completed(untimed, None) == (untimed, 0)


def test_the_message_about_a_missing_value_names_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    daily(40, [10]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"row 12, column 'y': A value is missing\. Set fill=lin"):
        read_panel(path, ForecastSettings())
    path.write_text('{"id": "a", "v": [1, null, 3]}\n{"id": "b", "v": [1, 2, 3]}\n')
    cells = tmp_path / "a.jsonl"
    path.rename(cells)
    with pytest.raises(InputError, match=r"Value 2 of the series is missing\. Set fill=linear"):
        read_panel(cells, ForecastSettings())
    wide = tmp_path / "w.csv"
    wide.write_text("name,V1,V2,V3,V4,V5,V6,V7,V8\na,1,2,,4,5,6,7,8\nb,1,2,3,4,5,6,7,8\n")
    with pytest.raises(InputError, match=r"'a' misses a value before its end\. Set fill=linear"):
        read_panel(wide, ForecastSettings())
    for data in (cells, wide):
        first = read_panel(data, ForecastSettings(fill="linear")).series[0]
        assert np.isnan(first.values).sum() == 1


def test_rows_after_the_last_value_are_those_to_forecast() -> None:
    panel = read_panel(daily(40, [5, 38, 39]), ForecastSettings(fill="forward"))
    assert len(panel.series[0]) == 38


def test_what_cannot_be_filled_is_refused() -> None:
    with pytest.raises(InputError, match=r"'y' has no value in the first 65 rows of the series"):
        task_on(daily(90, range(70)), fill="linear", rows=[65, 12, 13])
    with pytest.raises(InputError, match="fill=season needs a season"):
        task_on(daily(60, [3]), fill="season", season=1)


@pytest.mark.parametrize("how", FILLS)
def test_what_is_missing_is_neither_learnt_nor_scored(how: Fill) -> None:
    holes = [3, 4, 30, 70, 80, 81]
    task = task_on(daily(90, holes), fill=how)
    said = dict(task.understood().lines)["filled"]
    assert said.startswith("6 of 90 values are missing and filled")
    assert "neither learnt nor scored" in said
    scale = naive_scale(daily(90, holes)["y"].to_numpy()[: task._ends[0].valid, None], 7)
    np.testing.assert_allclose(task.scales[""].naive, scale)
    seed(0)
    model = task.build()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit(task.objective(model), task.batches(), task.settings)
        evaluation = task.evaluate(model)
        sections = task.sections(model, evaluation)
    shown = evaluation.predictions
    assert shown is not None
    gone = shown["time"].isin(daily()["date"][holes])
    assert gone.any()
    assert shown["value"].isna().tolist() == gone.tolist()
    assert evaluation.units["count"].sum() < 4 * task.describe()["test"]["windows"]
    assert np.isfinite(list(evaluation.metrics.values())).all()
    assert sections[2].table is not None
    assert np.isfinite(sections[2].table.to_numpy()).all()
    for baseline in task.baselines().values():
        assert baseline.units["count"].tolist() == evaluation.units["count"].tolist()
    # The loss of a batch has a term for each value that came.
    (batch,) = list(task_on(daily(90, holes), fill=how, batch_size=200).batches())
    assert batch.present is not None
    _, terms, _ = task.objective(model).loss(batch, None)
    assert terms == batch.present.sum() < batch.present.numel()


def test_the_score_leaves_missing_steps_out() -> None:
    rng = np.random.default_rng(0)
    truth, point = rng.normal(10, 3, (2, 1, 6, 1))
    quantiles = np.sort(rng.normal(10, 3, (1, 6, 1, 2)), axis=-1)
    levels, one = np.array([0.1, 0.9]), np.ones((1, 1))
    holed = truth.copy()
    holed[0, [1, 4]] = NAN
    kept = [0, 2, 3, 5]

    def scored(*arrays: np.ndarray) -> dict[str, float]:
        return score(pd.DataFrame(window_sums(*arrays, levels, 2 * one, 3 * one)))

    found = scored(holed, point, quantiles)
    assert found == pytest.approx(scored(truth[:, kept], point[:, kept], quantiles[:, kept]))
    nothing = scored(np.full_like(truth, NAN), point, quantiles)
    assert np.isnan(nothing["mae"])
    assert np.isnan(nothing["mase"])


def test_with_mask_the_model_sees_what_is_missing_and_nothing_of_the_future() -> None:
    seen: list[Any] = []
    for holes in ([50], [50, 78, 79]):
        task = task_on(daily(90, holes), fill="mask", calendar=False, rows=[60, 12, 18])
        model = task.build()
        model.register_forward_pre_hook(lambda _, args: seen.append(args))
        task.evaluate(model)
    (past, known), *_ = seen
    assert known.shape == (len(past), 8 + 4, 1)
    # The first window starts 22 rows after the hole, the tenth beside it, in neither is a future.
    few = task_on(daily(90, [62]), fill="mask", calendar=False, rows=[60, 12, 18])
    batch = few._here.windows.batch(few._valid_origins(None))
    assert batch.known is not None
    flags = batch.known[..., 0]
    rows = few._valid_origins(None).position
    for row, position in enumerate(rows.tolist()):
        expected = [float(place == 62) for place in range(position - 8, position)] + [0.0] * 4
        assert flags[row].tolist() == expected
    assert few.build().forecaster.embed.in_features == few.settings.segment * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("how", FILLS)
def test_a_stream_with_holes_gives_what_predict_gives(how: Fill) -> None:
    frame = daily(40, [12, 13, 20, 30])
    task = task_on(daily(90, [5]), fill=how, calendar=False)
    model = task.build().eval()
    stream = task.stream(model)
    with pytest.raises(InputError, match="and there is none before it"):
        stream.step(None)
    for row, y in enumerate(frame["y"], 1):
        out = stream.step(None if np.isnan(y) else y)
        # Rows without a value at the end of a file are those to forecast.
        if row in (10, 22, 33, 40):
            expected = task.predict(model, frame[:row])
            np.testing.assert_allclose(out["forecast"]["y"], expected["forecast"], atol=1e-5)
    again = task.stream(model)
    again.restore(stream.snapshot())
    assert again.step(NAN) == stream.step(NAN)
    with pytest.raises(InputError, match="cannot be used"):
        stream.step(float("inf"))


def test_without_fill_a_stream_refuses_what_is_missing() -> None:
    task = task_on(daily(60), calendar=False)
    with pytest.raises(InputError, match="no number"):
        task.stream(task.build()).step(None)


def test_quantiles_are_corrected_by_what_came() -> None:
    from elman.tasks.forecast.intervals import Calibrated

    model = Calibrated(torch.nn.Identity(), [0.1, 0.9])
    y = torch.tensor([5.0, 4.0, 6.0]).expand(40, 1, 1, 3)
    truth = torch.linspace(0, 10, 40)[:, None, None]
    model.calibrate(y, truth)
    whole = model.correction.clone()
    model.calibrate(torch.cat([y, y]), torch.cat([truth, torch.full_like(truth, NAN)]))
    torch.testing.assert_close(model.correction, whole)
    model.calibrate(y, torch.full_like(truth, NAN))
    torch.testing.assert_close(model.correction, whole)


def test_a_row_missing_within_hours_of_opening_is_put_in() -> None:
    """A step within the day is shorter than the mean step of the week."""
    hours = pd.date_range("2024-01-01", periods=28 * 24, freq="h")
    opened = hours[(hours.hour >= 9) & (hours.hour <= 16) & (hours.day_of_week < 5)]
    frame = pd.DataFrame({"time": opened, "y": np.arange(len(opened)) % 8 + 1.0})
    holes = frame.drop([11, 12, 30, *range(64, 72)]).reset_index(drop=True)
    whole = read_panel(holes, ForecastSettings(fill="linear")).series[0]
    assert whole.times is not None
    assert list(whole.times) == list(opened)
    assert list(np.flatnonzero(np.isnan(whole.values[:, 0]))) == [11, 12, 30, *range(64, 72)]
