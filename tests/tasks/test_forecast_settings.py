"""Every setting of a forecast has an effect, or is refused where it has none."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from elman.errors import InputError
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast
from elman.tasks.settings import RecurrenceSettings, TaskSettings, settings_of
from elman.training import Settings
from elman.training.settings import Settings as TrainingSettings

N = 110
WAVE = (10 + 3 * np.sin(2 * np.pi * np.arange(N) / 7) + np.random.default_rng(0).random(N)).round(3)
DAYS = pd.date_range("2023-01-01", periods=N)
SIZES: dict[str, Any] = {"hidden_size": 4, "horizon": 2, "lookback": 8, "max_steps": 2}
TABLES: dict[str, pd.DataFrame] = {
    "plain": pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), "y": WAVE, "x": np.arange(N) % 5}),
    "marked": pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), "y": WAVE.astype(str)}),
    "comma": pd.DataFrame({"y": [f"{v:.0f}.{k % 10}00" for k, v in enumerate(WAVE)]}),
    "odd": pd.DataFrame({"date": [f"0{k % 9 + 1}/0{k % 7 + 1}/{2000 + k}" for k in range(N)]}),
    "shops": pd.DataFrame({"date": [*DAYS, *DAYS], "s": ["a"] * N + ["b"] * N}),
}
TABLES["marked"].loc[5, "y"] = "n.a."
TABLES["odd"]["y"] = WAVE
TABLES["shops"]["y"] = np.concatenate([WAVE, WAVE[::-1]])
TABLES["year"] = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=800)})
TABLES["times"] = TABLES["plain"].assign(made=DAYS[::-1].strftime("%Y-%m-%d"))
TABLES["year"]["y"] = np.resize(WAVE, 800)

READS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # setting: (table, the others, the setting itself): without it the data are refused or differ
    "target": ("plain", {}, {"target": "y"}),
    "time": ("times", {}, {"time": "made"}),
    "group": ("shops", {}, {"group": "s"}),
    "covariates": ("plain", {}, {"covariates": ["x"]}),
    "missing": ("marked", {"fill": "linear"}, {"missing": ["n.a."]}),
    "decimal": ("comma", {}, {"decimal": ","}),
    "date_order": ("odd", {}, {"date_order": "day"}),
    "layout": ("plain", {}, {"layout": "wide"}),
    "fill": ("marked", {"missing": ("n.a.",)}, {"fill": "linear"}),
    "calendar": ("year", {}, {"calendar": False}),
    "horizon": ("plain", {}, {"horizon": 3}),
    "lookback": ("plain", {}, {"lookback": 9}),
    "season": ("plain", {}, {"season": 5}),
    "rows": ("plain", {}, {"rows": [70, 10, 20]}),
    "valid_fraction": ("plain", {}, {"valid_fraction": 0.3}),
    "test_fraction": ("plain", {}, {"test_fraction": 0.3}),
    "test_step": ("plain", {}, {"test_step": 5}),
    "quantiles": ("plain", {}, {"quantiles": [0.5]}),
    "log": ("plain", {"target": "y"}, {"log": True}),
    "loss": ("plain", {}, {"loss": "mse"}),
    "metric": ("plain", {}, {"metric": "crps"}),
    "model": ("plain", {}, {"model": "recurrent"}),
    "segment": ("plain", {}, {"segment": 2}),
    "window_norm": ("plain", {}, {"window_norm": "standard"}),
    "cell": ("plain", {}, {"cell": "lstm"}),
    "cell_options": ("plain", {"cell": "lstm"}, {"cell_options": {"peepholes": True}}),
    "hidden_size": ("plain", {}, {"hidden_size": 6}),
    "num_layers": ("plain", {}, {"num_layers": 2}),
    "dropout": ("plain", {}, {"dropout": 0.5}),
    "recurrent_dropout": ("plain", {}, {"recurrent_dropout": 0.5}),
    "zoneout": ("plain", {}, {"zoneout": 0.5}),
    "residual": ("plain", {}, {"residual": True}),
    "batch_size": ("plain", {}, {"batch_size": 3}),
    "seed": ("plain", {}, {"seed": 1}),
}
ELSEWHERE = {
    "encoding": "tests/data/test_encodings.py, and below",
    "sheet": "tests/data/test_found_formats.py, and below",
    "resamples": "the pipeline",
    "reference": "tests/runs/test_reference.py",
    "rehearsal": "tests/runs/test_growing.py",
    "checkpoints": "the pipeline",
    **dict.fromkeys(TrainingSettings.model_fields, "tests/training"),
}


def test_every_setting_is_looked_at() -> None:
    assert set(ForecastSettings.model_fields) == set(READS) | set(ELSEWHERE)
    own = set(ForecastSettings.model_fields) - set(Settings.model_fields)
    assert own - set(READS) == set(TaskSettings.model_fields) - set(
        RecurrenceSettings.model_fields
    ) - {"valid_fraction", "test_fraction"}


@cache
def folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp())


def what_comes_of(table: str, given: dict[str, Any]) -> Any:
    """What is read, cut, scaled, learnt from and computed; or the words of the refusal."""
    path = folder() / f"{table}.csv"
    TABLES[table].to_csv(path, index=False)
    try:
        task = Forecast.from_data(path, settings_of(Forecast, SIZES | given))
    except InputError as error:
        return str(error)
    held = task._here
    torch.manual_seed(task.settings.seed)
    model = task.build().train()
    batch = next(iter(task.batches()))
    loss = task.objective(model).loss(batch, None)[0]
    return [
        str(task.describe()),
        task.metric,
        [s.values.tobytes() for s in held.panel.series],
        task._ends,
        [v.detach().numpy().tobytes() for v in model.state_dict().values()],
        batch.past.numpy().tobytes(),
        loss.item(),
        model(batch.past, batch.known).detach().numpy().tobytes(),
    ]


@pytest.mark.parametrize("setting", list(READS))
def test_a_setting_has_an_effect(setting: str) -> None:
    table, others, given = READS[setting]
    assert list(given) == [setting]
    changed = what_comes_of(table, others | given)
    assert not isinstance(changed, str) or setting == "layout", changed
    assert changed != without(table, tuple(others.items()))


@cache
def without(table: str, others: tuple[tuple[str, Any], ...]) -> Any:
    return what_comes_of(table, {k: v if k != "missing" else list(v) for k, v in others})


def test_nothing_goes_by_chance() -> None:
    assert what_comes_of("plain", {"zoneout": 0.5}) == what_comes_of("plain", {"zoneout": 0.5})


FRAME = pd.DataFrame({"date": DAYS, "y": WAVE})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"encoding": "latin-1"}, "no file of text was read"),
        ({"sheet": "A"}, "no workbook was read"),
        ({"decimal": "."}, "no numbers were read from text"),
        ({"date_order": "day"}, "no dates were read that are written in numbers"),
        ({"missing": ["n.a."]}, "no cell of a column of numbers or dates is 'n.a.'"),
        ({"missing": ["-1"]}, "no cell of a column of numbers or dates is '-1'"),
        ({"rows": [80, 10, 10], "test_fraction": 0.2}, r"with rows=\[80, 10, 10\]"),
        ({"label_smoothing": 0.1}, "a forecast has no classes"),
        ({"segment": 3, "model": "recurrent"}, "with model=recurrent"),
    ],
)
def test_a_setting_without_effect_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=f"has no effect.*{why}"):
        Forecast.from_data(FRAME, settings_of(Forecast, SIZES | given))


def test_a_calendar_is_not_left_out_where_there_is_none() -> None:
    with pytest.raises(InputError, match="calendar=false has no effect: there is no column of t"):
        Forecast.from_data(FRAME[["y"]], settings_of(Forecast, SIZES | {"calendar": False}))


def test_how_to_cut_is_not_said_twice() -> None:
    first, last = FRAME[:90], FRAME[90:]
    kind = Forecast
    with pytest.raises(InputError, match=r"test_fraction=0.3 has no effect: the test part was giv"):
        kind.from_data(first, settings_of(kind, SIZES | {"test_fraction": 0.3}), test=last)
    with pytest.raises(InputError, match=r"says how one file is cut, and a file for test was giv"):
        kind.from_data(first, settings_of(kind, SIZES | {"rows": [60, 10, 20]}), test=last)


def test_an_order_that_dates_contradict_is_refused() -> None:
    frame = FRAME.assign(date=DAYS.strftime("%m/%d/%Y"))
    with pytest.raises(InputError, match="written with the month first, and date_order=day says"):
        Forecast.from_data(frame, settings_of(Forecast, SIZES | {"date_order": "day"}))
    found = Forecast.from_data(frame, settings_of(Forecast, SIZES | {"date_order": "month"}))
    assert found._here.panel.series[0].times[1] == DAYS[1]  # type: ignore[index]


def test_later_data_need_not_hold_what_settings_are_about() -> None:
    frame = FRAME.assign(y=FRAME["y"].astype(str).where(FRAME.index != 5, "n.a."))
    given = SIZES | {"missing": ["n.a."], "fill": "linear"}
    task = Forecast.from_data(frame, settings_of(Forecast, given))
    assert len(task.predict(task.build(), FRAME)) == 2


def test_rows_that_no_part_uses_are_said() -> None:
    task = Forecast.from_data(FRAME, settings_of(Forecast, SIZES | {"rows": [60, 10, 20]}))
    split = " ".join(text for about, text in task.understood().lines if about in ("split", ""))
    assert "The last 20 rows are used by no part, as rows= says." in split
    for wrong in ([-1, 10, 10], [60, 0, 20], [60, 10, -5]):
        with pytest.raises(InputError, match="Setting rows cannot be"):
            settings_of(Forecast, {"rows": wrong})


@pytest.mark.parametrize("given", [{"warmup": 0.3}, {"validate_every": 3}])
def test_what_a_backtest_would_not_heed_is_trained_without_one(given: dict[str, Any]) -> None:
    sizes = {name: value for name, value in SIZES.items() if name != "max_steps"}
    assert Forecast.from_data(FRAME, settings_of(Forecast, sizes)).origins_of_backtest
    task = Forecast.from_data(FRAME, settings_of(Forecast, sizes | given))
    assert task.origins_of_backtest == 0
