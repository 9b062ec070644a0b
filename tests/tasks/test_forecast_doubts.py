"""Doubts about one series that may be two, about rounding, and about columns of times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.doubts import counting
from elman.tasks.forecast.finding import frequency_of
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import Forecast

N = 160
DAYS = pd.date_range("2023-01-01", periods=N)
NOISE = np.random.default_rng(0).normal(size=N)
WAVE = 10 + 3 * np.sin(2 * np.pi * np.arange(N) / 7) + 0.2 * NOISE


def panel(values: Any, times: Any = DAYS, **given: Any) -> Panel:
    return read_panel(pd.DataFrame({"date": times, "y": values}), ForecastSettings(**given))


def test_two_series_one_below_the_other_are_doubted() -> None:
    [doubt] = panel(np.where(np.arange(N) < 80, WAVE, 10 * WAVE + 50)).doubts
    assert "leap from" in doubt
    assert "in row 81 and stay there" in doubt
    assert "set group to its name" in doubt


def test_series_that_take_turns_are_doubted() -> None:
    levels = np.arange(N) % 3 * 50
    [doubt] = panel(WAVE + levels).doubts
    assert "every 3 rows of 'y' have levels of their own" in doubt


@pytest.mark.parametrize(
    "values",
    [
        WAVE,
        NOISE,
        np.cumsum(NOISE),
        np.cumsum(np.random.default_rng(3).standard_t(3, size=N)),
        WAVE + np.where(np.arange(N) < 80, 0, 3),  # a new level near the old one
        np.where(np.arange(N) < 80, 1.0, 9.0) + 0.1 * (np.arange(N) == 5),  # a price
        np.exp(NOISE),
        10 + 5 * np.sin(2 * np.pi * np.arange(N) / 12) + NOISE,
    ],
)
def test_one_series_is_not_doubted(values: Any) -> None:
    assert not panel(values).doubts


def test_a_series_of_two_hours_a_day_can_be_given_again() -> None:
    times = [d + pd.Timedelta(hours=h) for d in DAYS[:80] for h in (8, 9.5)]
    frame = pd.DataFrame({"date": times, "y": WAVE})
    sizes: dict[str, Any] = {"hidden_size": 4, "horizon": 2, "max_steps": 1}
    task = Forecast.from_data(frame, ForecastSettings(**sizes))
    for rows in (slice(None), slice(1, -1), slice(0, -1)):
        assert len(task.predict(task.build(), frame[rows]))


def test_values_that_are_rounded_where_they_are_large_are_doubted() -> None:
    [doubt] = panel(1e15 + WAVE).doubts
    assert "are rounded to 0.12" in doubt
    assert not panel(1e9 + WAVE).doubts
    frame = pd.DataFrame({"date": DAYS, "y": 1e15 + np.round(WAVE * 8)})
    sizes: dict[str, Any] = {"hidden_size": 4, "horizon": 2, "max_steps": 1}
    near = frame.assign(y=np.round(WAVE * 8))
    both = [Forecast.from_data(f, ForecastSettings(**sizes)) for f in (near, frame)]
    assert [task.metric for task in both] == ["mase", "mase"]
    scales = [next(iter(task.scales.values())).naive.tolist() for task in both]
    assert scales[0] == scales[1]
    scores = [task.evaluate(task.predictors()[0]).metrics["mase"] for task in both]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)


@pytest.mark.parametrize("place", [0, 1, 80, 158, 159])
@pytest.mark.parametrize("days", [-2, -1, 1, 2])
def test_weeks_with_one_odd_date_are_weeks(place: int, days: int) -> None:
    weeks = pd.date_range("2020-01-05", periods=N, freq="W").to_series().reset_index(drop=True)
    weeks[place] += pd.Timedelta(days=days)
    assert frequency_of(pd.DatetimeIndex(weeks)) == "W-SUN"
    assert "52 steps" in " ".join(panel(WAVE, weeks).notes)


def test_another_column_of_times_that_runs_is_named() -> None:
    frame = pd.DataFrame({"created": DAYS[::-1][NOISE.argsort()], "delivery_date": DAYS, "y": WAVE})
    with pytest.raises(InputError, match=r"in the order of 'delivery_date', and not in that of 'c"):
        read_panel(frame, ForecastSettings())
    found = read_panel(frame, ForecastSettings(time="delivery_date"))
    assert found.frequency == "D"


@pytest.mark.parametrize(("horizon", "shown"), [(1, 1), (2, 2), (3, 2)])
def test_the_preview_shows_no_more_than_the_horizon(horizon: int, shown: int) -> None:
    sizes: dict[str, Any] = {"hidden_size": 4, "horizon": horizon, "lookback": 2, "max_steps": 1}
    task = Forecast.from_data(pd.DataFrame({"date": DAYS, "y": WAVE}), ForecastSettings(**sizes))
    first = dict(task.understood().lines)["the first"]
    before, after = first.split(" → ")
    assert before.count(",") == 1
    assert "…" not in before
    assert after.endswith(", …)" if horizon > 2 else ")")
    assert after.count(",") == shown - (horizon <= 2)


def test_a_total_among_the_names_and_a_last_sum_are_doubted(tmp_path):
    days = pd.date_range("2023-01-02", periods=40).astype(str)
    values = [1 + (7 * n) % 31 for n in range(40)]
    lines = [f"{day},{value}" for day, value in zip(days, values, strict=True)]
    plain, total = tmp_path / "plain.csv", tmp_path / "total.csv"
    plain.write_text("date,y\n" + "\n".join(lines) + "\n")
    total.write_text("date,y\n" + "\n".join([*lines, f"2023-02-11,{sum(values)}"]) + "\n")
    assert not Forecast.from_data(plain, ForecastSettings()).understood().doubts
    [doubt] = Forecast.from_data(total, ForecastSettings()).understood().doubts
    assert doubt.startswith(f"the last value of 'y' in the series, {sum(values)}, is the sum of")
    total.write_text("date,y\n" + "\n".join([f"2023-01-01,{sum(values)}", *lines]) + "\n")
    [doubt] = Forecast.from_data(total, ForecastSettings()).understood().doubts
    assert "the first value of 'y' in the series" in doubt
    assert "is the sum of all 40 after it" in doubt
    shops = tmp_path / "shops.csv"
    rows = [
        f"{day},{shop},{amount}"
        for day, value in zip(days, values, strict=True)
        for shop, amount in (("A", value), ("B", value + 1), ("Total", 2 * value + 1))
    ]
    shops.write_text("date,store,y\n" + "\n".join(rows) + "\n")
    doubts = Forecast.from_data(shops, ForecastSettings(group="store")).understood().doubts
    assert any("the series 'Total' is named like the total" in doubt for doubt in doubts)


def test_days_of_a_spreadsheet_long_ago_may_count_from_1960() -> None:
    [doubt] = panel(WAVE, 22_646 + np.arange(N)).doubts
    assert "If they count from 1960 (SAS, Stata), it is 2022-06-09" in doubt
    assert panel(WAVE, 44_562 + np.arange(N)).doubts == []


def test_targets_that_count_are_doubted() -> None:
    nearly = np.round(5 + np.arange(N) / 7, 3)
    [doubt] = counting(["x", "y"], np.stack([WAVE, nearly], 1))
    assert "'y' grows by 0.143 in each row" in doubt
    rising = 3 + np.arange(float(N))
    first, then = counting(["a", "b", "x", "c"], np.stack([rising, -2 * rising, WAVE, rising], 1))
    assert first.startswith("'a', 'c' grow by 1 in each row: are they numbers of the row or dates?")
    assert then.startswith("'b' grows by -2 in each row")
    parts = np.stack([1980 + np.arange(60) // 12, np.arange(60) % 12 + 1.0, WAVE[:60]], 1)
    [doubt] = counting(["column 1", "column 2", "column 3"], parts)
    assert "'column 1' and 'column 2' are years and months" in doubt
