"""Series in cells: JSON lines as GluonTS writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast

WAVE = (10 + 3 * np.sin(2 * np.pi * np.arange(60) / 7)).round(3)


def lines(path: Path, **more: Any) -> Path:
    rows = [
        {
            "feat_static_cat": [k],
            "start": f"2024-01-0{k + 1} 00:00:00",
            "target": WAVE.tolist(),
            "item_id": f"shop {k}",
        }
        | {name: value[k] if isinstance(value, list) else value for name, value in more.items()}
        for k in range(3)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def panel(path: Path, rule: str | None = None, **given: Any) -> Panel:
    return read_panel(path, ForecastSettings(**given), rule)


def test_start_and_frequency_give_the_calendar(tmp_path: Path) -> None:
    found = panel(lines(tmp_path / "a.jsonl", freq="D"))
    assert found.frequency == "D"
    assert [s.name for s in found.series] == ["shop 0", "shop 1", "shop 2"]
    assert [str(s.times[0].date()) for s in found.series if s.times is not None] == [
        "2024-01-01", "2024-01-02", "2024-01-03"
    ]  # fmt: skip
    assert found.series[0].values[:, 0].tolist() == WAVE.tolist()
    told = " ".join(found.notes)
    assert "named in 'item_id'" in told
    assert "a season is 7 steps" in told
    assert dict(found.told)["left out"] == "feat_static_cat (series)."
    assert not found.doubts


@pytest.mark.parametrize(
    ("freq", "rule"), [("H", "h"), ("1H", "h"), ("15T", "15min"), ("W", "7D"), ("W-MON", "W-MON")]
)
def test_names_of_steps_are_those_of_pandas_old_and_new(
    freq: str, rule: str, tmp_path: Path
) -> None:
    assert panel(lines(tmp_path / "a.jsonl", freq=freq)).frequency == rule


def test_months_go_on_from_their_own_day(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", freq="M", start="2024-01-31")
    found = panel(path)
    assert found.frequency == "months 1 on 31"
    assert found.series[0].times is not None
    assert str(found.series[0].times[1].date()) == "2024-02-29"


def test_a_start_without_a_step_is_doubted(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl")
    [doubt] = panel(path).doubts
    assert "column 'start' says when each series begins" in doubt
    assert "Add a column freq, such as D" in doubt
    # A model that was trained on days knows the step.
    later = panel(path, "D")
    assert later.frequency == "D"
    assert not later.doubts


def test_a_wrong_frequency_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'freq': 'often' is no length of a step"):
        panel(lines(tmp_path / "a.jsonl", freq="often"))
    with pytest.raises(InputError, match=r"row 2, column 'freq': The step is 'H', and that of the"):
        panel(lines(tmp_path / "a.jsonl", freq=["D", "H", "D"]))


@pytest.mark.parametrize("given", [{"covariates": ["start"]}, {"layout": "long"}])
def test_settings_without_meaning_here_are_refused(given: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))} has no effect where a cell holds"):
        panel(lines(tmp_path / "a.jsonl", freq="D"), **given)


def test_one_of_several_columns_of_series_is_doubted() -> None:
    frame = pd.DataFrame({"sold": [WAVE, WAVE], "asked": [WAVE, WAVE]})
    [doubt] = read_panel(frame, ForecastSettings()).doubts
    assert "'sold' is forecast. Set target=asked" in doubt


def test_a_forecast_of_such_a_file_is_dated(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", freq="D")
    sizes: dict[str, Any] = {"hidden_size": 4, "horizon": 2, "max_steps": 1}
    task = Forecast.from_data(path, ForecastSettings(**sizes))
    assert task.settings.season == 7
    found = task.predict(task.build(), path)
    assert str(found["time"].iloc[0].date()) == "2024-03-01"


DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=60)]


def listed(path: Path, dates: list[Any], name: str = "dates", **more: Any) -> Path:
    rows = [
        {"id": f"s{k}", "region": "n", name: own, "values": WAVE[: len(DAYS) - k].tolist()} | more
        for k, own in enumerate(dates)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_lists_of_dates_are_the_times_of_the_values_beside_them(tmp_path: Path) -> None:
    found = panel(listed(tmp_path / "a.jsonl", [DAYS, DAYS[:-1], DAYS[2:]]))
    assert [(s.name, len(s)) for s in found.series] == [("s0", 60), ("s1", 59), ("s2", 58)]
    assert found.frequency == "D"
    assert [str(s.times[0].date()) for s in found.series if s.times is not None] == [
        "2024-01-01", "2024-01-01", "2024-01-03"
    ]  # fmt: skip
    assert found.series[2].values[:, 0].tolist() == WAVE[:58].tolist()
    assert found.targets == ["values"]
    seconds = [1704067200 + 3600 * hour for hour in range(60)]
    epochs = listed(tmp_path / "b.jsonl", [seconds, seconds[1:]], "timestamps")
    assert panel(epochs).frequency == "h"
    alone = listed(tmp_path / "c.jsonl", [DAYS])
    assert panel(alone).frequency == "D"


@pytest.mark.parametrize("dates", [[DAYS, DAYS], [DAYS, None]])
def test_a_list_with_fewer_dates_than_values_is_refused(tmp_path: Path, dates: list[Any]) -> None:
    path = listed(tmp_path / "a.jsonl", dates)
    with pytest.raises(InputError, match=r"row 2, column 'dates': There are .* times for the 59"):
        panel(path)


def test_a_start_beside_lists_of_dates_of_some_rows_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", dates=[None, DAYS, DAYS])
    with pytest.raises(InputError, match="row 1, column 'dates': There are 0 times for the 60"):
        panel(path)


def test_a_gap_between_dates_in_a_list_is_said(tmp_path: Path) -> None:
    late = [*DAYS[:30], *map(str, pd.date_range("2024-02-10", periods=30).date)]
    found = panel(listed(tmp_path / "a.jsonl", [DAYS, late[:-1]]))
    assert "1 of 117 steps are not of that length" in " ".join(found.notes)


@pytest.mark.parametrize("unit", [1, 1000])
def test_pairs_of_epoch_time_and_value_are_dated(tmp_path: Path, unit: int) -> None:
    pairs = [[(1704067200 + 86400 * day) * unit, value] for day, value in enumerate(WAVE.tolist())]
    path = tmp_path / "a.json"
    caps = [[moment, 1e6 * value] for moment, value in pairs]
    path.write_text(json.dumps({"prices": pairs, "market_caps": caps}))
    found = panel(path)
    assert found.targets == ["prices"]
    assert found.frequency == "D"
    (one,) = found.series
    assert one.times is not None
    assert str(one.times[0]) == "2024-01-01 00:00:00"
    assert one.values[:, 0].tolist() == WAVE.tolist()
    assert "The first number of each step of 'prices' is its time" in " ".join(found.notes)
    other = panel(path, target="market_caps")
    assert other.targets == ["market_caps"]
    assert other.series[0].values[:, 0].tolist() == [cap for _, cap in caps]


def test_two_channels_that_rise_by_chance_are_no_times(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"both": [[4e8 + 7 * k, v] for k, v in enumerate(WAVE.tolist())]}))
    assert len(panel(path).targets) == 2


@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_found_of_pairs_reads_them_again(tmp_path: Path, channels: int) -> None:
    rows = [
        [(1704067200 + 86400 * day) * 1000, *[value] * channels]
        for day, value in enumerate(WAVE.tolist())
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"prices": rows}))
    first = panel(path)
    again = panel(path, time="time", target=first.targets, layout="long")
    assert again.targets == first.targets
    assert len(again.targets) == channels
    assert again.series[0].times is not None
    assert again.series[0].values.tolist() == first.series[0].values.tolist()
