"""The task forecast, whole: parts in time, learning, scores, prediction, streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from torch import nn

from elman.errors import InputError
from elman.nn import Recurrent
from elman.scoring import Evaluation
from elman.scoring.blending import Blend
from elman.scoring.bootstrap import bootstrap
from elman.scoring.forecasts import band
from elman.tasks.forecast.baselines import Automatic, Rule, restored
from elman.tasks.forecast.blend import Judged, mixed, weight_of
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.scoring import evaluation_of
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast
from elman.tasks.forecast.windows import Origins, blocks
from elman.training import fit, seed

SMALL: dict[str, Any] = {"hidden_size": 16, "max_steps": 150, "lr": 1e-2, "dropout": 0.0}


def settings(**given: Any) -> ForecastSettings:
    return ForecastSettings(**(SMALL | given))


def task_on(data: Any, valid: Any = None, test: Any = None, **given: Any) -> Forecast:
    return Forecast.from_data(data, settings(**given), valid=valid, test=test)


def trained(task: Forecast) -> nn.Module:
    seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings, run=None)
    return model.eval()


def waves(n: int = 400, freq: str = "h") -> pd.DataFrame:
    """Two cycles that do not fit into one another: no naive rule is right about them."""
    t = np.arange(n)
    y = 20 + 3 * np.sin(2 * np.pi * t / 7.3) + 2 * np.cos(2 * np.pi * t / 17.1)
    return pd.DataFrame({"time": pd.date_range("2024-01-01", periods=n, freq=freq), "y": y})


@pytest.fixture(scope="module")
def learnt() -> tuple[Forecast, nn.Module, Evaluation]:
    task = task_on(waves(), horizon=6, lookback=24, season=24, segment=6, calendar=False)
    model = trained(task)
    return task, model, task.evaluate(model)


# Parts


def test_parts_follow_one_another_in_time_and_nothing_is_fitted_on_later_ones() -> None:
    frame = waves(100)
    later = frame.copy()
    later.loc[70:, "y"] += 1000.0
    one, other = (
        task_on(f, horizon=5, lookback=10, rows=[70, 15, 15], season=1) for f in (frame, later)
    )
    assert one.assets()["scales"][""]["scaler"] == other.assets()["scales"][""]["scaler"]
    np.testing.assert_allclose(
        one.assets()["scales"][""]["scaler"]["shift"], [frame["y"][:70].mean()]
    )
    facts = one.describe()
    assert facts["train"] == {"rows": 70, "windows": 70 - 10 - 5 + 1}
    assert facts["valid"] == {"rows": 15, "windows": 11}
    assert facts["test"] == {"rows": 15, "windows": 11}


def test_training_windows_hold_only_rows_of_the_training_part() -> None:
    frame = pd.DataFrame({"y": np.arange(100.0)})
    task = task_on(frame, horizon=5, lookback=10, rows=[70, 15, 15], batch_size=200)
    scaler = task.assets()["scales"][""]["scaler"]
    (batch,) = list(task.batches())
    assert batch.future is not None
    newest = batch.future.max() * scaler["scale"][0] + scaler["shift"][0]
    assert round(float(newest)) == 69
    # The future begins one row after the past ends.
    gap = (batch.future[:, 0] - batch.past[:, -1]) * scaler["scale"][0]
    torch.testing.assert_close(gap, torch.ones_like(gap), atol=1e-4, rtol=0)


def test_no_forecast_depends_on_what_comes_after_its_origin() -> None:
    frame = waves(120)
    changed = frame.copy()
    changed.loc[110:, "y"] = 1e3
    first, second = (
        task_on(f, horizon=5, lookback=12, rows=[80, 20, 20], segment=4) for f in (frame, changed)
    )
    seed(0)
    model = first.build()
    one, two = (t.evaluate(model).predictions for t in (first, second))
    assert one is not None
    assert two is not None
    early = one["time"] < frame["time"][110]
    pd.testing.assert_frame_equal(one[early], two[early])
    # The window at 110 has none of the changed rows in its past.
    at = (one["time"] >= frame["time"][110]) & (one["time"] < frame["time"][115])
    np.testing.assert_array_equal(one[at]["forecast"], two[at]["forecast"])
    for name, baseline in first.baselines().items():
        other = second.baselines()[name]
        before = slice(0, 1)  # the first block: origins whose horizon ends before row 110
        pd.testing.assert_frame_equal(baseline.units[before], other.units[before])


def test_told_parts_are_appended_and_their_lengths_are_kept() -> None:
    frame = pd.DataFrame({"y": np.arange(60.0)})
    task = task_on(
        frame, valid=pd.DataFrame({"y": [60.0, 61.0]}), test=pd.DataFrame({"y": [62.0, 63.0]})
    )
    assert task.horizon == 2
    facts = task.describe()
    assert [facts[part]["rows"] for part in ("train", "valid", "test")] == [60, 2, 2]


def test_defaults_follow_the_frequency_and_the_length() -> None:
    hours = task_on(waves(2000)).settings
    assert (hours.season, hours.horizon, hours.lookback, hours.segment) == (24, 24, 72, 24)
    few = task_on(waves(36, "MS")).settings
    assert (few.season, few.horizon) == (12, 7)
    assert task_on(pd.DataFrame({"y": np.arange(200.0)})).settings.horizon == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"horizon": 20}, r"series 'b' has 30 rows.*horizon of 20.*needs 61"),
        ({"horizon": 2, "rows": [40, 5, 5]}, r"series 'b' has 30 rows.*asks for 50"),
        (
            {"horizon": 2, "log": True},
            r"value 3 of series 'b' is 0: it has no logarithm.*log=false",
        ),
    ],
)
def test_series_that_do_not_fit_are_named(given: dict[str, Any], message: str) -> None:
    y = np.ones(130)
    y[102] = 0.0
    frame = pd.DataFrame({"id": ["a"] * 100 + ["b"] * 30, "y": y})
    with pytest.raises(InputError, match=message):
        task_on(frame, group="id", target="y", **given)


def test_a_part_too_short_to_score_is_refused() -> None:
    frame = pd.DataFrame({"y": np.arange(60.0)})
    with pytest.raises(InputError, match="3 rows to validate on are too few for a horizon of 5"):
        task_on(frame, horizon=5, rows=[40, 3, 10])
    with pytest.raises(InputError, match="2 rows to test on are too few for a horizon of 5"):
        task_on(frame, horizon=5, test=pd.DataFrame({"y": [1.0, 2.0]}))


def test_new_data_are_read_as_the_training_data_were() -> None:
    frame = waves(100).assign(other=0.0, when=pd.Timestamp("2020-01-01"))
    task = task_on(frame, target="y", time="time", horizon=3, max_steps=1)
    assert task.settings.layout == "long"
    more = frame.assign(note=1.0)[["when", "note", "y", "time"]]
    model = task.build()
    pd.testing.assert_frame_equal(task.predict(model, frame), task.predict(model, more))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        settings(quantiles=[0.9, 0.1])
    with pytest.raises(ValueError, match="window_norm"):
        settings(window_norm="zscore")


# Learning


def test_a_learnable_series_is_learnt_and_beats_the_rules(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, _, evaluation = learnt
    assert evaluation.metrics["scaled_mae"] < 0.2
    rules = task.baselines()
    for name in ("last value", "seasonal naive (24)", "drift"):
        assert rules[name].metrics["mase"] > 3 * evaluation.metrics["mase"]
    # Sums of sinusoids obey a linear recurrence: the linear map is right and says so.
    assert rules["linear (ridge)"].metrics["mase"] < 0.1
    assert set(evaluation.metrics) == set(rules["drift"].metrics)
    assert len(evaluation.units) == len(rules["drift"].units)


@pytest.mark.parametrize("loss", ["mse", "smape"])
def test_other_losses_and_the_direct_model_learn(loss: str) -> None:
    task = task_on(
        waves(250),
        horizon=4,
        lookback=20,
        model="recurrent",
        loss=loss,
        log=loss == "mse",
        max_steps=70,
        lr=3e-2,
    )
    assert task.evaluate(trained(task)).metrics["scaled_mae"] < 0.5
    assert task.baselines()["last value"].metrics["scaled_mae"] > 0.8


def test_what_is_known_ahead_is_used() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    frame = pd.DataFrame({"y": 5 * x + 10, "x": x})
    with_x = task_on(
        frame,
        target="y",
        covariates=["x"],
        horizon=3,
        lookback=6,
        window_norm="none",
        max_steps=100,
    )
    without = task_on(frame, target="y", horizon=3, lookback=6, window_norm="none", max_steps=100)
    known, blind = (t.evaluate(trained(t)).metrics["scaled_mse"] for t in (with_x, without))
    assert known < 0.1
    assert blind > 0.5


@pytest.mark.fuzz
def test_the_calendar_is_used() -> None:
    times = pd.date_range("2024-01-01", periods=700, freq="D")
    y = np.where(times.day_of_week == 6, 10.0, 0.0)
    frame = pd.DataFrame({"t": times, "y": y})
    # Three values of the past cannot tell the day of the week.
    given = {"horizon": 7, "lookback": 3, "window_norm": "none", "loss": "mse", "quantiles": []}
    found, blind = (
        (t := task_on(frame, calendar=c, **given)).evaluate(trained(t)).metrics["scaled_mse"]
        for c in (True, False)
    )
    assert found < 0.1
    assert blind > 0.4


def test_quantiles_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=1500)})
    task = task_on(frame, horizon=2, lookback=8, window_norm="none", hidden_size=8, epochs=3)
    evaluation = task.evaluate(trained(task))
    assert evaluation.metrics["coverage"] == pytest.approx(0.8, abs=0.1)
    # 2 · mean of the normal density at its deciles: what the true quantiles would score.
    assert evaluation.metrics["crps"] == pytest.approx(0.617, abs=0.05)
    noise = task.baselines()["linear (ridge)"].metrics["coverage"]
    assert noise == pytest.approx(0.8, abs=0.1)


def test_an_overconfident_forecaster_is_corrected() -> None:
    class Sure(nn.Module):
        def forward(self, past: torch.Tensor, known: object = None) -> torch.Tensor:
            return torch.tensor([5.0, 4.9, 5.0, 5.1]).expand(len(past), 3, 2, 4)

    def rows(n: int, number: int) -> torch.Tensor:
        return 4 + 2 * torch.randn(n, 3, 2, generator=torch.Generator().manual_seed(number))

    model = Calibrated(Sure(), [0.1, 0.5, 0.9])
    y = model(torch.zeros(2000, 4, 2))
    model.calibrate(y, rows(2000, 0))
    _, low, middle, high = model.corrected(y).unbind(-1)
    came = rows(2000, 1)
    assert float((came < low).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float((came < middle).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((came < high).float().mean()) == pytest.approx(0.9, abs=0.02)
    # The point and the numbers the loss sees stay as they are.
    torch.testing.assert_close(model.corrected(y)[..., 0], y[..., 0])
    torch.testing.assert_close(model(torch.zeros(2000, 4, 2)), y)


# Scores


def test_scores_equal_those_of_the_predictions() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(5, 1, 80), "b": rng.normal(50, 9, 80)})
    task = task_on(frame, horizon=4, lookback=8, rows=[48, 16, 16], test_step=4, season=3)
    seed(0)
    evaluation = task.evaluate(task.build())
    shown = evaluation.predictions
    assert shown is not None
    assert len(shown) == 4 * 4 * 2
    assert shown["value"].tolist() == frame.to_numpy()[64:80].ravel().tolist()
    error = (shown["value"] - shown["forecast"]).abs()
    assert evaluation.metrics["mae"] == pytest.approx(error.mean())
    scaled = error / shown["target"].map(frame[:48].std(ddof=0))
    assert evaluation.metrics["scaled_mse"] == pytest.approx((scaled**2).mean())
    seasonal = frame[:64].diff(3).abs().mean()
    assert evaluation.metrics["mase"] == pytest.approx(
        (error / shown["target"].map(seasonal)).mean()
    )
    assert evaluation.units["count"].sum() == len(shown)


def at_origins(*positions: int) -> Origins:
    return Origins(np.zeros(len(positions), dtype=np.int64), np.array(positions))


def test_units_are_stretches_of_time_or_series() -> None:
    one = at_origins(*range(50, 242))
    unit, words, widened = blocks(one, 12)
    assert unit.tolist() == [i // 12 for i in range(192)]
    assert words == "stretches of 12 rows in time"
    # t of 15 degrees of freedom, of 16 values, and neighbours that overlap.
    assert widened == pytest.approx(2.1314 / 1.96 * np.sqrt(16 / 15) * np.sqrt(1.5), rel=1e-4)
    # A stretch is never shorter than the horizon, so that none is within another.
    assert np.bincount(blocks(at_origins(*range(50)), 12).of).tolist() == [13, 12, 13, 12]
    # Origins apart are their own units.
    unit, words, widened = blocks(at_origins(5, 17, 29, 41), 12)
    assert (unit.tolist(), words) == ([0, 1, 2, 3], "origins without overlap")
    assert widened == pytest.approx(3.1824 / 1.96 * np.sqrt(4 / 3), rel=1e-4)
    many = Origins(np.repeat(np.arange(25), 2), np.tile([7, 8], 25))
    unit, words, _ = blocks(many, 12)
    assert words == "series"
    assert unit.tolist() == many.series.tolist()


def test_two_horizons_say_nothing_of_how_sure_a_score_is() -> None:
    for count in (1, 14, 41):
        unit, words, _ = blocks(at_origins(*range(count)), 14)
        assert set(unit.tolist()) == {0}
        assert words.startswith("nothing: the test holds")


def ar(n: int, rng: np.random.Generator, phi: float = 0.8) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1], [1, -phi], rng.normal(size=n + 100))[100:])


def absolute(y: np.ndarray, n: int, horizon: int) -> Evaluation:
    """The last value's mean absolute errors from `n` origins in a row."""
    windows = np.lib.stride_tricks.sliding_window_view(y, horizon)[1 : n + 1]
    errors = np.abs(windows - y[:n, None]).mean(axis=1)
    resampled = blocks(at_origins(*range(1, n + 1)), horizon)
    units = pd.DataFrame({"e": errors, "n": 1.0}).groupby(resampled.of).sum()
    return Evaluation(
        units, lambda u: {"mae": u["e"].sum() / u["n"].sum()}, None, resampled.widened
    )


@pytest.mark.parametrize("n", [42, pytest.param(140, marks=pytest.mark.fuzz)])
def test_intervals_of_overlapping_origins_hold_the_truth_as_often_as_they_say(n: int) -> None:
    """Three and ten horizons of origins a row apart; docs/tasks/forecast.md has the figures."""
    rng = np.random.default_rng(n)
    truth = absolute(ar(100_000, rng), 90_000, 14).metrics["mae"]
    held = 0
    for run in range(100):
        found = bootstrap(absolute(ar(n + 20, rng), n, 14), {}, "mae", False, 60, seed=run)
        low, high = found.model["mae"]
        held += low <= truth <= high
    assert held / 100 >= 0.9


def test_rolling_origins_are_thinned_only_when_told() -> None:
    frame = waves(300)
    assert task_on(frame, horizon=6, rows=[200, 40, 60]).describe()["test"]["windows"] == 55
    told = task_on(frame, horizon=6, rows=[200, 40, 60], test_step=6)
    assert told.describe()["test"]["windows"] == 10


# Afterwards


def reloaded(task: Forecast, model: nn.Module) -> tuple[Forecast, nn.Module]:
    import json

    again = Forecast.from_assets(task.settings, json.loads(json.dumps(task.assets())))
    other = again.build()
    other.load_state_dict(model.state_dict())
    return again, other.eval()


def test_a_loaded_model_forecasts_and_scores_the_same(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, _ = learnt
    again, other = reloaded(task, model)
    frame = waves()
    pd.testing.assert_frame_equal(task.predict(model, frame), again.predict(other, frame))
    scored = again.evaluate(other, frame[-100:])
    assert scored.metrics["scaled_mae"] < 0.2
    assert "linear (ridge)" not in again.baselines(frame[-100:])


def test_prediction_goes_on_where_the_data_ends(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, _ = learnt
    whole = waves(420)
    found = task.predict(model, whole[:400])
    assert found["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["time"].tolist() == whole["time"][400:406].tolist()
    assert np.abs(found["forecast"].to_numpy() - whole["y"][400:406].to_numpy()).max() < 2.0
    quantiles = found.filter(like="q").to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert list(found.filter(like="q").columns[:2]) == ["q0.1", "q0.2"]


def test_prediction_of_many_series_with_covariates() -> None:
    n = 60
    frame = pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], n),
            "y": np.concatenate([np.arange(n) % 5.0, 100 + np.arange(n) % 7.0]),
            "x": np.tile(np.arange(n) % 2, 2),
        }
    )
    given = {"group": "id", "target": "y", "covariates": ["x"], "horizon": 3, "lookback": 8}
    task = task_on(frame, max_steps=2, **given)
    model = trained(task)
    with pytest.raises(InputError, match=r"series 'a' has covariates for 0 of the 3 rows"):
        task.predict(model, frame)
    future = pd.DataFrame({"id": ["a"] * 3 + ["new"] * 13, "y": [np.nan] * 16, "x": [0.0] * 16})
    future.loc[3:12, "y"] = 7.0
    data = pd.concat([frame[frame["id"] == "a"], future], ignore_index=True)
    found = task.predict(model, data)
    assert found["series"].tolist() == ["a"] * 3 + ["new"] * 3
    assert found["time"].tolist() == [61, 62, 63, 11, 12, 13]


def test_a_short_past_is_filled_with_its_first_value(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, _ = learnt
    short = waves(410)[400:]
    filled = pd.concat([short[:1]] * 14 + [short])["y"]
    filled = pd.DataFrame({"y": filled.to_numpy()})
    one = task.predict(model, short[["y"]])
    two = task.predict(model, filled)
    np.testing.assert_allclose(one["forecast"], two["forecast"])


@pytest.mark.parametrize("model", ["segment", "recurrent"])
def test_a_residual_stack_is_built_and_forecasts(model: Any) -> None:
    task = task_on(
        waves(120), horizon=3, lookback=12, model=model, num_layers=2, max_steps=2,
        residual=True, **({"segment": 4} if model == "segment" else {}),
    )  # fmt: skip
    module = trained(task)
    assert isinstance(module, Calibrated)
    layers = [m for m in module.modules() if isinstance(m, Recurrent)]
    assert [m.residual for m in layers] == [True]
    assert np.isfinite(task.predict(module, waves(60))["forecast"]).all()


def test_the_stream_gives_what_predict_gives(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, _ = learnt
    frame = waves(60)
    stream = task.stream(model)
    for row, y in enumerate(frame["y"], 1):
        out = stream.step(y)
        if row in (1, 10, 24, 60):
            expected = task.predict(model, frame[:row])
            np.testing.assert_allclose(out["forecast"]["y"], expected["forecast"], atol=1e-5)
            np.testing.assert_allclose(out["q0.9"]["y"], expected["q0.9"], atol=1e-5)
    assert sum(t.numel() for t in stream.state) == 24 + 24 + 1
    with pytest.raises(InputError, match="no number"):
        stream.step("lots")
    with pytest.raises(InputError, match="there is no 'y'"):
        stream.step({"x": 1.0})


def test_a_stream_with_a_calendar_keeps_time() -> None:
    frame = waves(200)
    task = task_on(frame, horizon=3, lookback=12, max_steps=2)
    assert task.cycles == ["day"]
    model = trained(task)
    stream = task.stream(model)
    with pytest.raises(InputError, match="first step needs its time"):
        stream.step(1.0)
    for row in range(20):
        value = {"y": frame["y"][row], "time": frame["time"][row]} if row == 0 else frame["y"][row]
        out = stream.step(value)
    expected = task.predict(model, frame[:20])
    np.testing.assert_allclose(out["forecast"]["y"], expected["forecast"], atol=1e-5)
    assert out["time"] == [str(t) for t in frame["time"][20:23]]


@pytest.mark.parametrize(
    ("unit", "words"), [("s", "seconds"), ("ms", "milliseconds"), ("ns", "nanoseconds")]
)
def test_a_stream_reads_numbers_as_training_read_its_times(unit: str, words: str) -> None:
    moments = pd.date_range("2023-01-01", periods=200, freq="h").astype(f"datetime64[{unit}]")
    frame = pd.DataFrame({"ts": moments.astype(np.int64), "y": waves(200)["y"].to_numpy()})
    task = task_on(frame, horizon=3, lookback=12, max_steps=2)
    assert task.cycles == ["day"]
    model = trained(task)
    # A run on disk knows how its numbers were read.
    task = Forecast.from_assets(task.settings, json.loads(json.dumps(task.assets())))
    stream = task.stream(model)
    for ts, y in frame[:20].itertuples(index=False):
        out = stream.step({"ts": ts, "y": y})
    expected = task.predict(model, frame[:20])
    np.testing.assert_allclose(out["forecast"]["y"], expected["forecast"], atol=1e-5)
    assert out["time"] == [str(t) for t in moments[20:23]]
    other = 2024 if unit == "s" else 1_700_000_000
    with pytest.raises(InputError, match=f"training read its times as {words} since 1970"):
        stream.step({"ts": other, "y": 1.0})
    assert stream.step({"ts": str(frame["ts"][20]), "y": 1.0})["time"][0] == str(moments[21])


def test_a_stream_of_a_run_without_numbers_for_times_refuses_them() -> None:
    task = task_on(waves(200), horizon=3, lookback=12, max_steps=2)
    stream = task.stream(trained(task))
    with pytest.raises(InputError, match="training had no numbers for times"):
        stream.step({"time": 1_703_304_000, "y": 1.0})


def test_a_time_that_does_not_come_after_the_last_is_refused() -> None:
    frame = waves(200)
    task = task_on(frame, horizon=3, lookback=12, max_steps=2)
    model = trained(task)
    stream, twin = task.stream(model), task.stream(model)
    rows = frame[["time", "y"]].to_dict("records")
    for row in rows[:3]:
        stream.step(row), twin.step(row)
    for bad in (rows[2], rows[0], {"y": 1.0, "time": "1969-01-01"}):
        with pytest.raises(
            InputError, match=r"does not come after .*, the time of the step before"
        ):
            stream.step(bad)
    for bad in ("rubbish", "NaT", float("nan"), object(), [1]):
        with pytest.raises(InputError, match="of this step cannot be read"):
            stream.step({"y": 1.0, "time": bad})
    assert stream.step(rows[3]) == twin.step(rows[3])
    # It counts on where a time is left out, and knows the time after a snapshot.
    stream.step(rows[4]["y"])
    moved = task.stream(model)
    moved.restore(stream.snapshot())
    for one in (stream, moved):
        with pytest.raises(InputError, match="does not come after"):
            one.step(rows[4])
    moved.state = None
    moved.step(rows[0])


def test_times_are_in_order_without_a_calendar_too() -> None:
    frame = waves(200)
    task = task_on(frame, horizon=3, lookback=12, max_steps=2, calendar=False)
    assert not task.cycles
    stream = task.stream(trained(task))
    rows = frame[["time", "y"]].to_dict("records")
    stream.step(1.0)
    stream.step(rows[1])
    stream.step(2.0)
    with pytest.raises(InputError, match="does not come after"):
        stream.step(rows[0])
    stream.step(rows[2])


def test_the_report_shows_forecasts_and_errors_by_step(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, evaluation = learnt
    sections = {section.title: section for section in task.sections(model, evaluation)}
    pictures, steps = sections["Forecasts beside the truth"], sections["Error by step"]
    values = task._here.panel.series[0].values[:, 0]
    assert len({panel.labels["from"] for panel in pictures.panels}) == len(pictures.panels) > 1
    for origin in (0, -1):  # the last one comes first
        (axes,) = pictures.panels[origin].figure.axes
        drawn = {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.lines}
        place = task._test_origins().position[-1 if origin == 0 else 0]
        np.testing.assert_allclose(drawn["truth"], values[place : place + 6])
        assert len(drawn["model"]) == 6
    assert steps.table is not None
    assert steps.table["step"].tolist() == [1, 2, 3, 4, 5, 6]
    said = evaluation.predictions
    assert said is not None
    error = (said["value"] - said["forecast"]).abs() / task.scales[said["series"][0]].spread[0]
    ours, rival = steps.table.columns[1:]
    np.testing.assert_allclose(steps.table[ours], error.groupby(said["step"]).mean())
    assert rival in task.baselines()
    assert rival in pictures.text
    half = float(error.median())
    assert f"half of them miss by less than {half:.2g}." in sections["Residuals"].text


def test_the_report_shows_the_future_itself(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, evaluation = learnt
    future = task.sections(model, evaluation)[0]
    assert future.title == "The forecast"
    (panel,) = future.panels
    assert panel.table is not None
    held = task._here.panel.series[0]
    assert held.times is not None
    assert pd.Timestamp(panel.table["time"].iloc[0]) > held.times[-1]
    said = task.predict(model, pd.DataFrame({"time": held.times, "y": held.values[:, 0]}))
    np.testing.assert_allclose(panel.table["forecast"], said["forecast"])
    np.testing.assert_allclose(panel.table["upper"], said.iloc[:, -1])
    assert (panel.table["lower"] <= panel.table["upper"]).all()


def test_a_future_whose_covariates_are_not_known_is_told() -> None:
    rng = np.random.default_rng(0)
    frame = daily(rng.normal(size=120), price=rng.normal(size=120))
    task = task_on(frame, horizon=4, max_steps=1, covariates=["price"], target=["y"])
    model = task.build()
    future = task.sections(model, task.evaluate(model))[0]
    assert not future.panels
    assert "covariates for 0 of the 4 rows" in future.text


def test_the_rival_is_the_baseline_that_misses_least() -> None:
    from elman.tasks.forecast.figures import nearest_rival

    missed = {"small unit": np.full((1, 2, 2), 3.0), "large unit": np.ones((1, 2, 2))}
    missed["small unit"][..., 1] = 0.5
    assert nearest_rival(missed, np.array([[100.0, 0.1]])) == "small unit"
    assert nearest_rival(missed, np.array([[1.0, 1.0]])) == "large unit"


def test_without_its_extra_a_baseline_is_reported_as_not_run(
    learnt: tuple[Forecast, nn.Module, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _, _ = learnt
    monkeypatch.setattr(task, "_rivals", {})
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    names = [one.name for one in task.predictors()]
    found = dict(zip(names, task.scores(task.predictors()), strict=True))
    assert str(found["AutoETS"]) == "it needs pip install 'elman[series]'"
    assert isinstance(found["exponential smoothing"], Evaluation)
    assert list(task.baselines()) == [n for n, e in found.items() if isinstance(e, Evaluation)]


def test_a_baseline_outside_its_share_of_the_time_is_reported_as_not_run() -> None:
    task = task_on(waves(300), horizon=6, lookback=24, season=24, max_steps=1)
    [arima] = [one for one in task.predictors() if one.name == "AutoARIMA"]
    [said] = task.scores([arima])
    assert "would take about" in str(said)
    assert arima.name not in task.baselines()


def test_a_baseline_is_the_same_from_its_state(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    import json

    task, _, _ = learnt
    held, origins, begins = task._to_score(None)
    found = {each.name: each for each in task.predictors()}
    assert {"last value", "seasonal naive (24)", "exponential smoothing", "AutoETS"} < set(found)
    for name, each in found.items():
        facts, arrays = each.to_state()
        again = restored(json.loads(json.dumps(facts)), arrays)
        assert again.name == name
        if name.startswith("Auto"):
            assert again == each
            continue
        one, two = (b.forecaster(held, begins, [0.1, 0.9], origins) for b in (each, again))
        np.testing.assert_array_equal(one(origins)[1], two(origins)[1])
    with pytest.raises(InputError, match="no baseline 'oracle'"):
        restored({"kind": "oracle"}, {})


# Undefined, far from zero, outside


def daily(y: Any, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"date": pd.date_range("2023-01-02", periods=len(y)), "y": y} | more)


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(np.full(60, 5.0), marks=pytest.mark.fuzz),
        pytest.param(np.zeros(60), marks=pytest.mark.fuzz),
        pytest.param(np.arange(60) % 7.0, marks=pytest.mark.fuzz),
        np.r_[np.zeros(53), np.arange(7.0)],
    ],
)
def test_where_mase_is_undefined_another_metric_headlines(y: Any, tmp_path: Path) -> None:
    import elman

    run = elman.train("forecast", daily(y), tmp_path / "run", progress=False, hidden_size=4,
                      max_steps=2, horizon=3)  # fmt: skip
    assert run.results["metric"] == "mae"
    assert run.results["test"]["mase"] is None
    assert run.results["ci95"]["mase"] is None
    assert np.isfinite(run.results["test"]["mae"])
    assert "nan" not in run.results["verdict"]
    for name in ("results.json", "metrics.jsonl", "sections.json"):
        assert "NaN" not in (run.path / name).read_text()
    # The same after loading, and on new data of which it is as undefined.
    again = elman.evaluate(run.path, daily(y))
    assert (again["metric"], again["test"]["mase"]) == ("mae", None)
    task = task_on(daily(y), horizon=3)
    assert any("MASE is undefined for every series" in note for note in task.notes())


def test_wql_of_zeros_gives_way_to_crps() -> None:
    assert task_on(daily(np.zeros(60)), metric="wql").metric == "crps"
    assert task_on(daily(np.arange(60.0)), metric="wql").metric == "wql"


@pytest.mark.fuzz
def test_one_item_that_sells_among_dead_ones_gives_no_sure_verdict(tmp_path: Path) -> None:
    import elman

    sold = np.random.default_rng(0).poisson(5, 60).astype(float)
    frame = pd.concat([daily(sold if k == 3 else np.zeros(60), item=f"i{k}") for k in range(25)])
    run = elman.train("forecast", frame, tmp_path / "run", progress=False, hidden_size=4,
                      max_steps=2, horizon=3, group="item")  # fmt: skip
    results = run.results
    assert results["verdict"].startswith("Cannot tell how surely")
    assert f"undefined in {results['undefined_resamples']['mase']} of 500" in results["verdict"]
    assert results["ci95"]["mase"] is None
    assert any("undefined for 24 of 25 series" in note for note in task_on(
        frame, group="item", horizon=3).notes())  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
def test_a_series_far_from_zero_scores_as_it_would_near_zero(whole: bool) -> None:
    wave = np.random.default_rng(0).normal(size=120).round(3)
    if whole:  # values that meet the ends of intervals
        wave = np.arange(60.0) % 7
    # A budget gives the automatic forecasts their time.
    given = {"horizon": 4, "lookback": 12, "season": 7, "budget": 300}
    scores = []
    for offset in (0.0, 1e9):
        task = task_on(daily(wave + offset), **given)
        seed(0)
        model = task.build()
        found = {"model": task.evaluate(model), **task.baselines()}
        scores.append({name: each.metrics for name, each in found.items()})
        stream = task.stream(model)
        if offset == 0.0:
            near = stream_of(stream, wave)
        else:
            far = stream_of(stream, wave + offset)
            np.testing.assert_allclose(far - offset, near, atol=1e-5)
    assert {"AutoETS", "AutoTheta", "AutoARIMA"} <= set(scores[0])
    of_the_size = {"smape", "wql"}
    for name, metrics in scores[0].items():
        for metric in metrics.keys() - of_the_size:
            near_by = pytest.approx(metrics[metric], rel=2e-6, abs=1e-6, nan_ok=True)
            assert scores[1][name][metric] == near_by, (name, metric)


def stream_of(stream: Any, values: Any) -> Any:
    """The last forecast of a stream that needs the time of its first row."""
    for place, value in enumerate(values):
        out = stream.step({"y": value, "time": "2023-01-02"} if not place else value)
    return np.array(out["forecast"]["y"])


def test_a_point_lies_within_its_own_interval() -> None:
    class Biased(nn.Module):
        def forward(self, past: torch.Tensor, known: object = None) -> torch.Tensor:
            return torch.tensor([9.0, 8.0, 9.0, 10.0]).expand(len(past), 3, 2, 4)

    model = Calibrated(Biased(), [0.1, 0.5, 0.9])
    y = model(torch.zeros(500, 4, 2))
    model.calibrate(y, torch.randn(500, 3, 2, generator=torch.Generator().manual_seed(0)))
    point, low, _, high = model.corrected(y).unbind(-1)
    assert float(high.max()) < 8
    torch.testing.assert_close(point, high)
    assert float(low.max()) < float(high.min())
    # A single level is no interval.
    alone = Calibrated(Biased(), [0.9])
    assert float(alone.corrected(y[..., :2])[..., 0].min()) == 9.0


class Drawn(nn.Module):
    """Point and quantiles as they were drawn, in any order and size."""

    def __init__(self, numbers: list[float]) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.tensor(numbers))

    def forward(self, past: torch.Tensor, known: object = None) -> torch.Tensor:
        return self.numbers.expand(len(past), 3, 1, len(self.numbers))


BANDS = [[0.1, 0.5, 0.9], [0.05, 0.1, 0.3, 0.9, 0.99], [0.25, 0.75]]


@settings_of_hypothesis(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(BANDS), st.booleans())
def test_no_forecast_leaves_the_task_outside_its_own_band(
    data: Any, levels: list[float], log: bool
) -> None:
    """It is evaluated, predicted and streamed."""
    n = 1 + len(levels)
    drawn = data.draw(st.lists(st.floats(-20, 20, width=32), min_size=n, max_size=n))
    frame = pd.DataFrame({"y": 5 + np.random.default_rng(0).random(60)})
    task = task_on(frame, horizon=3, lookback=6, quantiles=levels, log=log, max_steps=1)
    model = Calibrated(Drawn(drawn), levels)
    task.validate(model)
    low, high = (f"q{levels[i]:g}" for i in band(levels) or (0, 0))
    shown = task.evaluate(model).predictions
    assert shown is not None
    for found in (shown, task.predict(model, frame)):
        assert (found[low] <= found["forecast"]).all()
        assert (found["forecast"] <= found[high]).all()
    out = task.stream(model).step(5.0)
    point = np.array(out["forecast"]["y"])
    assert (np.array(out[low]["y"]) <= point).all()
    assert (point <= np.array(out[high]["y"])).all()


def test_no_baseline_leaves_the_task_outside_its_own_band() -> None:
    y = np.cumsum(np.random.default_rng(0).random(120)) + np.arange(120) % 7
    task = task_on(daily(y), horizon=3, lookback=14, max_steps=2000)
    held, origins, begins = task._to_score(None)
    names = []
    for baseline in task.predictors():
        point, spread = baseline.forecaster(held, begins, [0.05, 0.1, 0.9], origins)(origins)
        assert (np.diff(spread, axis=-1) >= 0).all(), baseline.name
        assert (spread[..., 1] <= point).all(), baseline.name
        assert (point <= spread[..., 2]).all(), baseline.name
        names.append(baseline.name)
    assert len(names) == 8


# Calendars


def test_the_week_of_a_shop_dates_the_future_and_is_its_season() -> None:
    open_days = pd.date_range("2023-01-02", periods=70)
    open_days = open_days[open_days.day_of_week < 6]
    y = np.where(open_days.day_of_week == 5, 20.0, 5.0) + np.arange(len(open_days)) % 2
    task = task_on(pd.DataFrame({"date": open_days, "y": y}), max_steps=1)
    assert task.settings.season == 6
    ahead = task.predict(task.build(), pd.DataFrame({"date": open_days, "y": y}))["time"]
    assert 6 not in set(ahead.dt.day_of_week)
    assert str(ahead.iloc[0].date()) == str((open_days[-1] + pd.offsets.Day(2)).date())


def test_predictions_keep_the_zone_of_the_data() -> None:
    days = pd.date_range("2023-03-01", periods=60, tz="Europe/Berlin")
    frame = pd.DataFrame({"date": days, "y": np.arange(60) % 7.0})
    task = task_on(frame, max_steps=1)
    times = task.predict(task.build(), frame)["time"]
    assert [t.isoformat() for t in times][:2] == [
        "2023-04-30T00:00:00+02:00",
        "2023-05-01T00:00:00+02:00",
    ]
    shown = task.evaluate(task.build()).predictions
    assert shown is not None
    assert str(shown["time"].iloc[-1]) == "2023-04-29 00:00:00+02:00"


def test_a_model_of_days_refuses_hours() -> None:
    task = task_on(daily(np.arange(60) % 7.0), max_steps=1)
    hours = pd.DataFrame({"date": pd.date_range("2023-01-02", periods=60, freq="h"), "y": 1.0})
    with pytest.raises(InputError, match="1 hour between its rows; the model was trained on days"):
        task.predict(task.build(), hours)


def test_random_times_are_numbered(tmp_path: Path) -> None:
    at = np.sort(np.random.default_rng(0).integers(0, 10**9, 80))
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(at, unit="ms")
    task = task_on(pd.DataFrame({"t": times, "y": np.arange(80) % 5.0}), max_steps=1)
    model = task.build()
    assert (task.frequency, task.season) == (None, 1)
    assert any("78 of 79 steps differ" in note for note in task.notes())
    evaluation = task.evaluate(model)
    assert evaluation.predictions is not None
    assert evaluation.predictions["time"].max() == 80
    assert task.sections(model, evaluation)[0].panels


def test_a_folder_is_cut_as_its_names_say(tmp_path: Path) -> None:
    frame = daily(np.arange(80) % 7.0)
    frame[:70].to_csv(tmp_path / "train.csv", index=False)
    frame[70:].to_csv(tmp_path / "test.csv", index=False)
    task = task_on(tmp_path)
    assert task.horizon == 10
    assert task.describe()["test"] == {"rows": 10, "windows": 1}


# Real data


def test_m4_hourly_baseline_is_the_published_one(data_dir: Path) -> None:
    folder = data_dir / "m4_hourly"
    task = task_on(
        folder / "Hourly-train.csv.gz", test=folder / "Hourly-test.csv", season=24, lookback=48
    )
    assert task.horizon == 48
    held, origins, begins = task._to_score(None)
    task.settings = task.settings.model_copy(update={"quantiles": [0.5]})
    naive = Rule("seasonal naive", 24).forecaster(held, begins, [0.5], origins)
    found = evaluation_of(task, held, origins, naive)
    assert found.metrics["smape"] == pytest.approx(13.912, abs=1e-3)
    assert found.metrics["mase"] == pytest.approx(1.193, abs=1e-3)


def test_etth1_repeat_last_is_the_published_one(data_dir: Path) -> None:
    task = task_on(
        data_dir / "etth1" / "ETTh1.csv.gz", horizon=96, rows=[8640, 2880, 2880], lookback=96
    )
    held, origins, begins = task._to_score(None)
    assert origins.count == 2785
    point = Rule("last value").points(held, begins)
    found = evaluation_of(task, held, origins, lambda o: (p := point(o), p[..., None]))
    assert found.metrics["scaled_mse"] == pytest.approx(1.294, abs=1e-3)
    assert found.metrics["scaled_mae"] == pytest.approx(0.713, abs=1e-3)


def test_a_sample_says_where_in_the_longest_series_its_windows_begin() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a"] * 60 + ["b"] * 100,
            "step": [*range(60), *range(100)],
            "y": [*np.arange(60.0) ** 2, *np.arange(100.0) ** 1.5],
        }
    )
    task = task_on(frame, horizon=5, lookback=10, group="name", time="step", target="y")
    sample = task.sample(rows=20)
    assert sample.begins is not None
    assert sample.series is not None
    seen: list[torch.Tensor] = []
    model = task.build()
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    sample.loss(model)
    assert -1 in sample.begins
    places = [(row, begin) for row, begin in enumerate(sample.begins) if begin >= 0]
    assert len(places) > 5
    for row, begin in places:
        window = sample.series[begin : begin + 10, 0]
        assert np.corrcoef(window, seen[0][row, :, 0].numpy())[0, 1] > 0.999999


# Several targets, several lengths


def test_targets_of_different_units_are_scored_each() -> None:
    y = np.random.default_rng(0).normal(size=200)
    task = task_on(daily(y, z=1000 * y[::-1] + 5000), horizon=5, max_steps=2)
    about = dict(task.understood().lines)
    assert "take the 2 targets together, each in its own unit" in about["scores"]
    model = task.build()
    evaluation = task.evaluate(model)
    section = task.sections(model, evaluation)[-1]
    assert section.title == "Each target"
    assert section.table is not None
    held = evaluation.predictions
    assert held is not None
    for row in section.table.to_dict("records"):
        some = held[held["target"] == row["target"]]
        error = (some["value"] - some["forecast"]).to_numpy()
        assert row["mae"] == pytest.approx(np.abs(error).mean())
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    naive = section.table.filter(like="rmse, ").to_numpy()
    assert naive.shape == (2, 1)
    # The second target is a thousand times the first, turned round.
    assert 500 < naive[1, 0] / naive[0, 0] < 2000
    assert "scores" not in dict(task_on(daily(y), horizon=5).understood().lines)


def shops(*rows: int) -> pd.DataFrame:
    return pd.concat([daily(np.random.default_rng(n).normal(size=n), shop=f"s{n}") for n in rows])


def test_a_short_series_that_lowers_the_horizon_is_named() -> None:
    task = task_on(shops(300, 12, 100), group="shop")
    assert task.horizon == 2
    (doubt,) = task.understood().doubts
    assert doubt.startswith(
        "the horizon is 2 for all series and not 7, because a part would not hold more in 1 of 3 "
        "series, with fewer than 36 rows: 's12' (12 rows). Take it out"
    )
    # A horizon that was asked for is as it was asked for, and 36 rows are enough.
    assert task_on(shops(300, 12), group="shop", horizon=2).understood().doubts == []
    assert task_on(shops(300, 36), group="shop").understood().doubts == []
    assert task_on(shops(36), group="shop").horizon == 7
    assert task_on(shops(20), group="shop").understood().doubts == []


def test_what_is_doubtful_of_later_data_and_of_the_file_is_said(tmp_path: Path) -> None:
    y = np.arange(120) % 7 + 20.0
    frame = daily(y)
    later = frame[80:].assign(y=[-999.0] * 4 + [*y[84:]])
    (doubt,) = task_on(frame[:80], test=later, horizon=5).understood().doubts
    assert doubt.startswith("of the test data: 4 values of 'y' are -999 (the first in row 1)")
    path = tmp_path / "a.csv"
    text = frame.assign(place="Köln, Straße, größer, Müll, für, über").to_csv(index=False)
    path.write_bytes(text.encode("cp1252"))
    (doubt,) = task_on(path, horizon=5).understood().doubts
    assert doubt.startswith("the encoding of a.csv was guessed as cp1252")


# Short series


def short(n: int = 90) -> pd.DataFrame:
    t = np.arange(n)
    noise = np.random.default_rng(3).normal(scale=0.3, size=n)
    return daily(20 + 0.05 * t + 3 * np.sin(2 * np.pi * t / 7) + noise)


BRIEF: dict[str, Any] = {"hidden_size": 8, "horizon": 7, "lookback": 14, "quantiles": [0.1, 0.9]}


def planned(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Forecast:
    monkeypatch.setattr("elman.tasks.forecast.backtest.MOST_STEPS", 20)
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    task = Forecast.from_data(frame, ForecastSettings(**(BRIEF | given)))
    seed(task.settings.seed)
    task.follow(task.make_plan(task.build(), lambda line: None))
    return task


@pytest.fixture(scope="module")
def short_planned() -> Forecast:
    """A task on a short series with the plan of its backtest, made once."""
    with pytest.MonkeyPatch.context() as patch:
        return planned(short(), patch)


def test_a_short_series_is_trained_as_long_as_a_backtest_says(
    short_planned: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    task = short_planned
    plan = task.plan
    assert plan is not None
    assert plan.steps in (10, 20)
    # 90 rows, 13 of them test: the horizons of five origins fill the 35 rows before those.
    dates = short()["date"]
    assert plan.origins == [str(dates[90 - 13 - back]) for back in (35, 28, 21, 14, 7)]
    assert {"recurrent model", "last value", "seasonal naive (7)", "linear (ridge)"} < set(
        plan.scores
    )
    # The rules' scores are those of a forecast by hand, over the naive error of the history.
    y = short()["y"].to_numpy()
    scale = np.abs(y[7:77] - y[:70]).mean()
    by_hand = [np.abs(y[o : o + 7] - y[o - 7 : o]).mean() / scale for o in (42, 49, 56, 63, 70)]
    np.testing.assert_allclose(plan.scores["seasonal naive (7)"], by_hand)
    followed = task.follow(plan.to_json())
    assert (followed.max_steps, followed.epochs) == (plan.steps, None)
    # All rows before the test are trained on, none of the test.
    assert int(task._train_origins().position.max()) + 7 == 77
    model = task.build()
    *_, section = task.sections(model, task.evaluate(model))
    assert section.title == "Backtest"
    assert section.table is not None
    assert section.table["best step"].tolist()[:-1] == plan.best
    assert section.table["last value"].iloc[-1] == pytest.approx(np.mean(plan.scores["last value"]))


def test_nothing_of_the_test_part_reaches_the_plan(
    short_planned: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = short()
    changed.loc[77:, "y"] = 1e3
    assert planned(changed, monkeypatch).plan == short_planned.plan


def test_several_processes_train_without_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.training.distributed import Ranks

    monkeypatch.setattr("elman.tasks.forecast.settings.ranks", lambda: Ranks(0, 2))
    task = Forecast.from_data(short(), ForecastSettings(**BRIEF))
    assert (task.origins_of_backtest, task.settings.max_steps) == (0, 2000)


def test_a_plan_is_made_only_where_series_are_short_and_nothing_was_said() -> None:
    def origins(frame: pd.DataFrame, **given: Any) -> int:
        return Forecast.from_data(frame, ForecastSettings(**(BRIEF | given))).origins_of_backtest

    assert origins(short()) == 5
    assert origins(short(), budget=60) == 5
    assert origins(short(30), horizon=6) == 2
    assert origins(short(600)) == 0
    for said in (
        {"max_steps": 5}, {"epochs": 3}, {"patience": 4}, {"schedule": "plateau"},
        {"averaging": "asgd"},
    ):  # fmt: skip
        assert origins(short(), **said) == 0
    # Too short for two origins, it has the steps of any series.
    task = Forecast.from_data(short(20), ForecastSettings(**BRIEF | {"horizon": 6, "lookback": 3}))
    assert (task.origins_of_backtest, task.settings.max_steps) == (0, 2000)
    said = dict(Forecast.from_data(short(), ForecastSettings(**BRIEF)).understood().lines)["split"]
    assert said.startswith("By time: the first 77 rows train, the last 13 are held out as test. ")
    assert "a backtest over 5 origins" in said
    for rows, words in (
        ((80, 80), "the first 67 rows of each of 2 series train, the last 13 are"),
        ((70, 80), "(124 and 26 rows in all 2 series together)"),
    ):
        frame = pd.concat([short(n).assign(shop=f"s{k}") for k, n in enumerate(rows)])
        task = Forecast.from_data(frame, ForecastSettings(**BRIEF | {"group": "shop"}))
        assert words in dict(task.understood().lines)["split"]


def test_the_best_step_is_that_of_the_mean_curve() -> None:
    from elman.tasks.forecast.backtest import best_step

    nan = float("nan")
    assert best_step([[(10, nan), (20, nan)]]) == 20
    assert best_step([[(10, 2.0), (20, 5.0)], [(10, 2.0), (20, 0.0), (30, 0.0)]]) == 10


@pytest.mark.fuzz
def test_a_run_of_a_short_series_keeps_its_plan_and_goes_on_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    import elman
    from elman.training.interrupt import Interrupted

    monkeypatch.setattr("elman.tasks.forecast.backtest.MOST_STEPS", 20)
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    short(70).to_csv(tmp_path / "s.csv", index=False)
    given = BRIEF | {"progress": False, "resamples": 20}
    whole = elman.train("forecast", tmp_path / "s.csv", tmp_path / "whole", **given)
    verdict = whole.results["verdict"]
    assert verdict.startswith("Cannot tell how surely: mase")
    assert "earlier origins the model was better at" in verdict
    assert ", so prefer " in verdict
    assert verdict.count(". ") == 0, "one sentence"
    assert whole.results["ci95"]["mase"] is None
    plan = json.loads((whole.path / "assets" / "plan.json").read_text())
    assert whole.results["training"]["steps"] == plan["steps"]
    assert whole.results["data"]["backtest"] == {"origins": len(plan["origins"]),
                                                 "steps": plan["steps"]}  # fmt: skip
    # Stopped while it was planned, the run is planned anew; stopped later, by the same plan.
    with monkeypatch.context() as patched:

        def stopped(self: Forecast, model: nn.Module, say: Any) -> Any:
            raise Interrupted("Ctrl-C")

        patched.setattr(Forecast, "make_plan", stopped)
        with pytest.raises(Interrupted, match=r"while training was planned\. Go on with"):
            elman.train("forecast", tmp_path / "s.csv", tmp_path / "again", **given)
    assert not (tmp_path / "again" / "assets" / "plan.json").exists()
    again = elman.resume(tmp_path / "again", progress=False)
    assert again.results["test"] == whole.results["test"]
    (tmp_path / "again" / "results.json").unlink()
    monkeypatch.setattr(Forecast, "make_plan", stopped)
    assert elman.resume(tmp_path / "again", progress=False).results["test"] == again.results["test"]
    # Loaded, it forecasts with the corrected quantiles of the run.
    shown = elman.load(whole.path).predict(tmp_path / "s.csv")
    model = whole.model.predict(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(shown, model)
    assert elman.evaluate(whole.path)["verdict"] == verdict
    kept = whole.path / "assets" / "plan.json"
    kept.write_text(json.dumps({"steps": 10}))
    for verb in (elman.load, elman.evaluate):
        with pytest.raises(InputError, match="assets of this run are damaged: 'metric' is missing"):
            verb(whole.path)


def test_with_one_origin_the_validation_part_recommends(tmp_path: Path) -> None:
    import elman

    frame = daily(np.random.default_rng(0).normal(size=150))
    given = {"progress": False, "hidden_size": 4, "max_steps": 5, "lookback": 14}
    run = elman.train("forecast", frame[:143], tmp_path / "run", test=frame[143:], **given)
    verdict = run.results["verdict"]
    assert verdict.startswith("Cannot tell how surely: mase")
    assert "on the 8 windows of the validation part, which chose the model's step, " in verdict
    # `predict RUN --with best` uses what the sentence prefers.
    preferred = verdict.rsplit(", so prefer ", 1)[1].rstrip(".")
    assert run.results["recommended"] == {"the model": "model"}.get(preferred, preferred)
    assert run.results["ci95"]["mase"] is None
    assert run.results["data"]["resampled"] == "nothing: the test holds 1 horizon only"


def test_a_baseline_predicts_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = short()
    task = task_on(frame, horizon=7, max_steps=2000)
    y = frame["y"].to_numpy()
    found = task.predict(Rule("seasonal naive", 7), frame)
    assert found["forecast"].tolist() == y[-7:].tolist()
    assert found.columns.tolist() == task.predict(task.build(), frame).columns.tolist()
    for baseline in task.predictors():
        ahead = task.predict(baseline, frame)
        assert np.abs(ahead["forecast"] - y[-7:]).max() < 6, baseline.name
        assert (np.diff(ahead.filter(like="q").to_numpy(), axis=1) >= 0).all(), baseline.name
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    with pytest.raises(InputError, match=r"AutoETS: it needs pip install 'elman\[series\]'\."):
        task.predict(Automatic("AutoETS", 7, 60.0), frame)


# A mixture


def test_there_is_no_mixture_where_one_of_the_two_is_better_alone(
    learnt: tuple[Forecast, nn.Module, Evaluation],
) -> None:
    task, model, _ = learnt
    found = task.blend(model, task.predictors())
    # Sums of waves obey a linear recurrence: nothing is left to the network.
    assert found == (
        "where nothing was trained no mixture of the model and linear (ridge) is better than "
        "linear (ridge) alone"
    )
    weaker = [one for one in task.predictors() if one.name == "seasonal naive (24)"]
    assert str(task.blend(model, weaker)).endswith("better than the model alone")


def test_the_weight_is_found_and_the_mixture_keeps_its_point_in_its_band() -> None:
    truth = np.zeros((5, 3, 1))
    ours = (truth + 1.0, np.stack([truth, truth + 2.0], axis=-1))
    theirs = (truth - 3.0, np.stack([truth - 4.0, truth - 3.0], axis=-1))
    part = Judged(at_origins(*range(5)), ours, theirs)
    weight = weight_of([part], lambda some, found: float(np.abs(found[0] - truth).mean()))
    assert weight == pytest.approx(0.75)
    point, spread = mixed(ours, theirs, weight)
    np.testing.assert_allclose(point, 0.0, atol=1e-12)
    assert (spread[..., 0] <= point).all()
    assert (point <= spread[..., 1]).all()
    assert weight_of([part], lambda some, found: float("nan")) == 1.0


def test_a_mixture_of_a_short_series_is_weighed_in_its_backtest(
    short_planned: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
    task = short_planned
    assert task.plan is not None
    found = task.blend(task.build(), task.predictors())
    means = {each: task.plan.mean(each) for each in task.plan.weights}
    best = min(means, key=lambda each: means[each] or np.inf)
    assert (means[best], task.plan.weights[best]) == (pytest.approx(0.673, abs=0.05), 0.0)
    assert str(found).endswith(f"better than {best} alone")
    monkeypatch.setitem(task.plan.weights, best, 0.4)
    found = task.blend(task.build(), task.predictors())
    assert isinstance(found, Blend)
    assert (found.baseline.name, found.weight) == (best, 0.4)
    assert np.isfinite(task.evaluate(found).metrics["mase"])
