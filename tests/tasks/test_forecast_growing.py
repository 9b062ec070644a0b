"""A forecaster that goes on from another run: it begins as that one was, reads old windows again,
and says what it has forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from begun import only_begun
from torch import nn

import elman
from elman.errors import InputError
from elman.runs import growing, pipeline
from elman.runs.folder import Run
from elman.runs.growing import Origin
from elman.tasks import TASKS
from elman.tasks.forecast import backtest
from elman.tasks.forecast.shared_rows import row_hashes
from elman.tasks.forecast.task import Forecast
from elman.tasks.settings import settings_of
from elman.training import Interrupted, seed

SIZES: dict[str, Any] = {"horizon": 7, "lookback": 21, "hidden_size": 16, "group": "shop"}
QUICK = {"resamples": 100, "progress": False}
WARNED = "ignore::elman.errors.PredictionWarning"


@pytest.fixture(autouse=True)
def no_automatic_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)


def shop(
    name: str, rows: int, draw: int, *, first: str = "2023-01-02", size: float = 10.0, turn: int = 1
) -> pd.DataFrame:
    """Two cycles with noise, in days; with `turn=-1` each week is the last one upside down."""
    rng, t = np.random.default_rng(draw), np.arange(rows)
    week = np.sin(2 * np.pi * t / 7) * np.where(t // 7 % 2, turn, 1)
    y = 10 * size + size * (week + 0.6 * np.sin(2 * np.pi * t / 17.3 + draw))
    dates = pd.date_range(first, periods=rows)
    return pd.DataFrame({"date": dates, "shop": name, "sales": y + size * rng.normal(0, 0.1, rows)})


def both(rows: int = 300) -> pd.DataFrame:
    return pd.concat([shop("a", rows, 1), shop("b", rows, 2, size=30.0)], ignore_index=True)


def first_and_second(
    old: Any, new: Any, how: dict[str, Any] | None = None, **more: Any
) -> tuple[Forecast, nn.Module, Forecast, nn.Module]:
    """The task of a run and one that goes on from it, each with its model before training."""
    kind = TASKS["forecast"]
    seed(0)
    first = kind.from_data(old, settings_of(kind, SIZES | (how or {})))
    module = first.build().eval()
    for parameter in module.parameters():  # a fresh model forecasts next to nothing
        parameter.data += 0.1 * torch.randn_like(parameter)
    first.validate(module)
    origin = Origin(Run(Path("old")), first, module.state_dict(), None)
    asked = growing.settings_from(origin, settings_of(kind, more))
    second = first.grown(first, new, asked)
    seed(5)
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    return first, module, second, larger


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"model": "recurrent", "window_norm": "revin"},
        {"fill": "mask"},
        {"covariates": ["price"], "log": True},
        {"window_norm": "standard", "cell": "lstm", "num_layers": 2},
    ],
)
def test_before_training_old_series_are_forecast_as_they_were(how: dict[str, Any]) -> None:
    old, new = both(), pd.concat([shop("b", 160, 4, first="2024-06-03"), shop("c", 160, 3)])
    tables = [each.assign(price=np.arange(len(each)) % 9) for each in (old, new)]
    if "covariates" not in how:
        tables = [each.drop(columns="price") for each in tables]
    first, module, second, larger = first_and_second(*tables, how, rehearsal=0.5)
    assert list(second.scales) == ["a", "b", "c"]
    for name in "ab":
        ours, theirs = (task.scales[name].scaler.to_json() for task in (second, first))
        assert ours == theirs
    assert second.assets()["series"] == first.assets()["series"]
    shown = tables[0]
    if "covariates" in how:  # the last rows have covariates only
        shown = shown.assign(sales=shown["sales"].where(shown.groupby("shop").cumcount() < 290))
    then, now = first.predict(module, shown), second.predict(larger, shown)
    pd.testing.assert_frame_equal(then, now, check_exact=True)
    assert then["forecast"].nunique() > 7
    before, after = second.before_and_after(first, module, larger)
    assert before.metrics == after.metrics == first.evaluate(module).metrics


def test_a_series_of_its_own_has_a_scale_of_its_own_and_scores_follow_the_new_history() -> None:
    new = pd.concat([shop("b", 160, 4, first="2024-06-03", size=60.0), shop("c", 160, 3, size=4.0)])
    first, _, second, _ = first_and_second(both(), new)
    alone = Forecast.from_data(new, settings_of(Forecast, SIZES | {"max_steps": 3}))
    assert second.scales["c"].to_json() == alone.scales["c"].to_json()
    assert second.scales["b"].naive == pytest.approx(alone.scales["b"].naive)
    assert second.scales["b"].scaler.scale == pytest.approx(first.scales["b"].scaler.scale)
    assert growing.told(second, Origin(Run(Path("old")), first, {}, None)) == (
        "2 series and 1 new (c)"
    )


@pytest.mark.parametrize("fill", [None, "mask"])
def test_a_share_of_the_old_windows_is_read_again(fill: str | None) -> None:
    how = {"fill": fill, "max_steps": 5}
    old, new = both(), shop("c", 200, 3)
    if fill:
        new.loc[[30, 31, 90], "sales"] = np.nan
    first, _, second, larger = first_and_second(old, new, how, rehearsal=0.25, max_steps=5)
    again, whole = second.again.train, first._train_origins()
    assert again.count == pytest.approx(0.25 * whole.count, abs=1)
    [(held, origins)] = again.parts
    assert held is first._here
    assert set(origins.series.tolist()) == {0, 1}
    assert int(origins.position.max()) + 7 <= first._ends[0].train
    valid = second.again.valid
    assert valid.count == pytest.approx(0.25 * first._valid_origins(None).count, abs=1)
    # They come with the new windows in training, in validation and in the fit of the linear map.
    pool = second.to_learn()
    assert pool.count == second._train_origins().count + again.count
    assert sorted(set(pool.series().tolist())) == [0, 1, 2]
    rows = [0, pool.count - 1]
    batch = pool.take(rows).batch()
    own = second._here.windows.batch(second._train_origins().take([0]))
    assert torch.equal(batch.past[:1], own.past)
    assert torch.equal(batch.past[1:], first._here.windows.batch(origins.take([-1])).past)
    assert (batch.present is None) == (fill is None)
    assert second.to_choose().count == second._valid_origins(None).count + valid.count
    with torch.no_grad():
        found = second.objective(larger).validate()
    assert np.isfinite(list(found.values())).all()
    assert "old windows in train and" in str(second.understood())
    # Nothing of the old run's data is tested on, drawn or told as the run's own.
    assert len(second._here.panel.series) == 1
    again_drawn = first.grown(first, new, second.settings).again.train
    assert np.array_equal(again_drawn.parts[0][1].position, origins.position)


def test_of_each_series_a_window_is_kept_and_of_a_run_that_grew_all_that_it_read() -> None:
    _, _, second, _ = first_and_second(both(), shop("c", 200, 3), rehearsal=0.001)
    assert set(second.again.train.series().tolist()) == {0, 1}
    asked = second.settings.model_copy(update={"rehearsal": 0.5})
    third = second.grown(second, shop("d", 200, 8), asked)
    assert [len(held.panel.series) for held, _ in third.again.train.parts] == [1, 2]
    assert list(third.scales) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("dated", [True, False])
def test_a_longer_history_is_not_read_twice_and_its_test_part_is_doubted(dated: bool) -> None:
    whole = shop("a", 420, 1)
    if not dated:
        whole = whole.drop(columns="date")
    first, _, second, _ = first_and_second(whole[:300], whole, rehearsal=0.5)
    assert second.again.train.count == second.again.valid.count == 0
    windows = first._train_origins().count
    assert f"{windows:,} others stand in the new data" in str(second.understood())
    [doubt] = second.met_before(first)
    learnt = min(second._ends[0].valid, 300) - first._ends[0].valid
    assert f"{learnt} rows of the old test part stand in the new data" in doubt


@pytest.mark.parametrize("dated", [True, False])
def test_test_rows_that_the_other_run_has_learnt_from_are_doubted(dated: bool) -> None:
    whole = shop("a", 300, 1)
    if not dated:
        whole = whole.drop(columns="date")
    first, _, second, _ = first_and_second(whole, whole[:200])
    [doubt] = second.met_before(first)
    rows = second._ends[0].test - second._ends[0].valid
    assert f"{rows} test rows were learnt by the run that this one goes on from" in doubt
    *_, other, _ = first_and_second(whole, shop("z", 200, 1, first="2029-01-01"))
    assert other.met_before(first) == []


def test_windows_that_reach_into_the_new_data_are_left_out() -> None:
    whole = shop("a", 400, 1)
    first, _, second, _ = first_and_second(whole[:300], whole[200:], rehearsal=1.0)
    [(held, origins)] = second.again.train.parts
    assert int(origins.position.max()) + 7 == 200
    told = set(np.concatenate(row_hashes(second._here.panel.series)).tolist())
    [there] = row_hashes(held.panel.series)
    futures = [there[p : p + 7] for p in origins.position.tolist()]
    assert not told & set(np.concatenate(futures).tolist())
    assert first._train_origins().count > origins.count


def test_values_that_were_revised_are_counted_and_make_no_other_row() -> None:
    whole = shop("a", 330, 1)
    whole.loc[10:19, "sales"] += 0.005
    first, _, second, _ = first_and_second(shop("a", 300, 1), whole, rehearsal=1.0)
    [doubt] = [d for d in second.understood().doubts if "revised" in d]
    assert doubt.startswith("10 values of series 'a' differ from those at the same times")
    assert second.again.train.count == 0  # all stand in the new data
    assert any("of the old test part stand in the new data" in d for d in second.met_before(first))
    *_, same, _ = first_and_second(shop("a", 300, 1), shop("a", 330, 1))
    assert not any("revised" in d for d in same.understood().doubts)


@pytest.mark.parametrize(("size", "count"), [(0.1, 1), (25.0, 1), (6.0, 0), (15.0, 0)])
def test_a_series_of_that_name_which_varies_otherwise_is_doubted(size: float, count: int) -> None:
    new = shop("a", 200, 3, size=size, first="2025-01-06")
    *_, second, _ = first_and_second(both(), new)
    doubts = [d for d in second.understood().doubts if "that run's scale is kept" in d]
    assert len(doubts) == count
    assert all("'sales' in series 'a' have a standard deviation of" in doubt for doubt in doubts)


# A whole run


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on two shops, and beside it its file and that of a third shop."""
    folder = tmp_path_factory.mktemp("growing")
    both(420).to_csv(folder / "old.csv", index=False)
    shop("c", 400, 3, size=4.0).to_csv(folder / "later.csv", index=False)
    shop("c", 70, 3, size=4.0).to_csv(folder / "few.csv", index=False)
    shop("m", 500, 5, turn=-1).to_csv(folder / "turned.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("elman.scoring.baselines.automatic.installed", lambda: False)
        how = SIZES | QUICK | {"max_steps": 200, "lr": 0.01, "dropout": 0.0}
        elman.train("forecast", folder / "old.csv", folder / "old", **how)
    return folder / "old"


def grown(run: Path, name: str, out: Path, **how: Any) -> Any:
    how = {"max_steps": 60, "progress": False} | how
    return elman.train("forecast", run.parent / name, out, start_from=run, **how)


@pytest.mark.filterwarnings(WARNED)
def test_few_rows_of_a_series_that_is_alike_are_forecast_better_than_by_a_new_run(
    old: Path, tmp_path: Path
) -> None:
    ours = grown(old, "few.csv", tmp_path / "ours")
    how = SIZES | QUICK | {"max_steps": 60, "lr": 0.01, "dropout": 0.0}
    elman.train("forecast", old.parent / "few.csv", tmp_path / "anew", **how)
    scores = [
        elman.evaluate(tmp_path / run, old.parent / "later.csv")["test"]["mase"]
        for run in ("ours", "anew")
    ]
    assert scores[0] < 0.8 * scores[1]
    told = ours.results["grown"]
    assert told["before"] == elman.evaluate(old)["test"]
    assert told["forgotten"] is False
    # It is a run as any other.
    run = tmp_path / "ours"
    assert pipeline.scored_again(Run(run)).metrics == pytest.approx(ours.results["test"])
    forecast = elman.load(run).predict(old.parent / "few.csv")
    assert forecast["forecast"].between(20, 60).all()
    assert len(elman.load(run, "best").predict(old.parent / "few.csv")) == 7
    stream = elman.load(run).stream()
    rows = pd.read_csv(old.parent / "few.csv").tail(21)
    for date, value in zip(rows["date"], rows["sales"], strict=True):
        said = stream.step({"date": date, "sales": value})
    assert len(said["forecast"]["sales"]) == 7
    # From it another one goes on.
    third = elman.train(
        "forecast", old.parent / "turned.csv", tmp_path / "third",
        start_from=run, max_steps=3, progress=False,
    )  # fmt: skip
    assert third.results["grown"]["new"] == "3 series and 1 new (m)"
    assert third.results["grown"]["before"] == pytest.approx(ours.results["test"])


def test_without_rehearsal_another_law_makes_forget_and_that_is_said(
    old: Path, tmp_path: Path
) -> None:
    alone = grown(old, "turned.csv", tmp_path / "alone", rehearsal=0, max_steps=150).results
    again = grown(old, "turned.csv", tmp_path / "again", rehearsal=1, max_steps=150).results
    lost, kept = alone["grown"], again["grown"]
    assert lost["forgotten"] is True
    assert lost["between"][1] < 0
    assert any("has forgotten" in doubt for doubt in alone["understood"]["doubts"])
    assert lost["after"]["mase"] > 1.5 * kept["after"]["mase"]
    assert "The old test part" in (tmp_path / "alone" / "report.html").read_text()
    assert "None of the old windows" in str(alone["understood"]["lines"])
    assert "old windows in train" in again["data"]["rehearsed"]


def test_a_grown_run_with_a_reference_that_was_stopped_ends_as_one_that_was_not(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"max_steps": 8, "reference": "transformer"}
    whole = grown(old, "turned.csv", tmp_path / "whole", **how)
    assert whole.results["reference"]["steps"] == 8

    def stop(*arguments: Any, **how: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(growing, "remembered", stop)
        with pytest.raises(Interrupted, match="elman resume"):
            grown(old, "turned.csv", tmp_path / "parts", **how)
    only_begun(tmp_path / "parts")
    parts = elman.resume(tmp_path / "parts", progress=False)
    assert parts.results["test"] == whole.results["test"]
    ours, theirs = whole.model.module.state_dict(), parts.model.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_backtest_of_a_short_series_begins_with_the_old_weights(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "MOST_STEPS", 20)
    run = grown(old, "few.csv", tmp_path / "run", max_steps=None)
    plan = run.model.task.plan
    assert plan is not None
    assert run.results["training"]["steps"] == plan.steps
    means = {name: plan.mean(name) for name in ("recurrent model", "seasonal naive (7)")}
    assert means["recurrent model"] < 0.7 * means["seasonal naive (7)"]  # after 20 steps
    assert run.model.task.again.valid.count == 0
    assert elman.evaluate(tmp_path / "run")["test"] == run.results["test"]
    again = elman.load(tmp_path / "run")
    assert again.task.plan == plan


def test_old_data_that_are_gone_are_told_and_not_rehearsed(tmp_path: Path) -> None:
    shop("a", 120, 1).to_csv(tmp_path / "then.csv", index=False)
    shop("c", 120, 2).to_csv(tmp_path / "new.csv", index=False)
    run = tmp_path / "old"
    how = SIZES | QUICK | {"max_steps": 2}
    elman.train("forecast", tmp_path / "then.csv", run, **how)
    (tmp_path / "then.csv").unlink()
    with pytest.raises(InputError, match=r"rehearsal=0.5 has no effect.*no longer there"):
        grown(run, "new.csv", tmp_path / "a", rehearsal=0.5)
    results = grown(run, "new.csv", tmp_path / "b", max_steps=2).results
    assert "cannot be known" in results["grown"]["words"]
    assert results["grown"]["forgotten"] is None
    assert results["grown"]["new"] == "1 series and 1 new (c)"


def test_where_the_old_test_part_is_too_short_it_is_said_that_chance_cannot_be_told(
    tmp_path: Path,
) -> None:
    shop("a", 60, 1).to_csv(tmp_path / "then.csv", index=False)
    shop("c", 120, 2).to_csv(tmp_path / "new.csv", index=False)
    how = SIZES | QUICK | {"max_steps": 2, "lookback": 14}
    elman.train("forecast", tmp_path / "then.csv", tmp_path / "old", **how)
    told = grown(tmp_path / "old", "new.csv", tmp_path / "run", max_steps=2).results["grown"]
    assert told["forgotten"] is None
    assert told["between"] is None
    assert told["words"].endswith("whether the difference is chance cannot be told.")


# What is refused


def one(rows: int = 160) -> pd.DataFrame:
    return shop("c", rows, 3).assign(price=np.arange(rows) % 9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="price"), "no column 'price'"),
        (lambda t: t.rename(columns={"sales": "sold"}), "no column 'sales'"),
        (lambda t: t.drop(columns="shop"), "no column 'shop'"),
        (lambda t: t.drop(columns="date"), "has no times; those of the run .* follow days"),
        (lambda t: t.assign(date=pd.date_range("2024", periods=160, freq="h")), "has 1 hour"),
        (
            lambda t: t.assign(date=pd.bdate_range("2024-01-01", periods=160)),
            r"another calendar \(working days, a season of 5\)",
        ),
        (lambda t: t[:18], r"too few for a horizon of 7.* Give longer series, or leave out"),
        (lambda t: t.assign(sales=t["sales"].where(t.index != 9)), "train with fill=linear"),
        (lambda t: None, "None was given"),
    ],
)
def test_series_that_are_not_like_the_old_ones_are_refused(
    tmp_path: Path, change: Any, words: str
) -> None:
    run = tmp_path / "run"
    both(120).assign(price=1.5 + np.arange(240) % 9).to_csv(tmp_path / "old.csv", index=False)
    how = SIZES | QUICK | {"covariates": ["price"], "max_steps": 1, "lookback": 14}
    elman.train("forecast", tmp_path / "old.csv", run, **how)
    with pytest.raises(InputError, match=words):
        elman.train("forecast", change(one()), tmp_path / "new", start_from=run, progress=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"hidden_size": 32}, "hidden_size comes from the run.*there it is 16"),
        ({"horizon": 3}, "horizon comes from the run.*there it is 7"),
        ({"cell": "lstm"}, "cell comes from the run"),
        ({"season": 5}, "season comes from the run"),
        ({"quantiles": [0.5]}, "quantiles comes from the run"),
        ({"fill": "linear"}, "fill comes from the run"),
        ({"rows": [30, 20, 20], "test": one()[["date", "shop", "sales"]]}, "Give one of both"),
        ({"valid_fraction": 0.2, "rows": [30, 20, 20]}, "valid_fraction has no effect"),
    ],
)
def test_a_setting_that_would_change_the_network_or_nothing_is_refused(
    old: Path, tmp_path: Path, how: dict[str, Any], words: str
) -> None:
    if "test" in how:
        how = how | {"test": how["test"].assign(date=pd.date_range("2030-01-07", periods=160))}
    with pytest.raises(InputError, match=words):
        grown(old, "few.csv", tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()
