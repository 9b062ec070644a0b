"""`regress` learns numbers of sequences and of steps, and says how sure it is of them."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
    root_mean_squared_error,
)
from torchmetrics.functional.regression import r2_score as r2_of_torchmetrics

import elman
from elman.errors import InputError
from elman.runs import pipeline
from elman.scoring import numbers
from elman.scoring.baselines.numbers import boosting
from elman.tasks import intervals
from elman.tasks.regress import Regress
from elman.tasks.settings import settings_of
from elman.training import fit

SMALL = {"hidden_size": 16, "lr": 0.01, "batch_size": 16, "dropout": 0.0}
LONG = {"group": "basket", "time": "at"}


def trained(data, **given):
    task = Regress.from_data(data, settings_of(Regress, SMALL | given))
    torch.manual_seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings)
    return task, model.eval()


def untrained(data, **given):
    task = Regress.from_data(data, settings_of(Regress, SMALL | given))
    torch.manual_seed(0)
    return task, task.build().eval()


def baskets(n: int = 120) -> pd.DataFrame:
    """Rows of baskets in no order: a price each, what has been spent so far and in all."""
    rng = np.random.default_rng(0)
    rows = []
    for basket in range(n):
        prices = rng.integers(-5, 10, rng.integers(3, 9)).astype(float)
        for at, price in enumerate(prices):
            so_far = prices[: at + 1].sum()
            rows.append((f"b{basket}", at, price, so_far, prices.sum()))
    table = pd.DataFrame(rows, columns=["basket", "at", "price", "so far", "in all"])
    return table.sample(frac=1, random_state=0, ignore_index=True)


def series(n: int = 40, **columns) -> pd.DataFrame:
    """Series of one channel and a target that grows with their mean."""
    rng = np.random.default_rng(1)
    cells = [rng.normal(k % 5, 0.1, (int(rng.integers(4, 9)), 1)) for k in range(n)]
    return pd.DataFrame({"series": cells, "y": [100.0 + 7 * cell.mean() for cell in cells]})


@pytest.mark.fuzz
def test_the_total_of_a_sequence_is_learnt():
    data = baskets().drop(columns="so far")
    task, model = trained(data, target="in all", epochs=60, test_fraction=0.2, **LONG)
    assert not task.layout.aligned
    assert task.settings.each == "sequence"
    scores = task.evaluate(model).metrics
    baselines = {name: e.metrics for name, e in task.baselines().items()}
    assert set(baselines) == {
        "mean",
        "median",
        "1-nearest neighbour",
        "1-nearest neighbour, DTW",
        "ridge regression on summary features",
        "gradient boosting on summary features",
    }
    assert scores["rmse"] < 0.5 * baselines["mean"]["rmse"]
    assert scores["r2"] > 0.8
    assert baselines["mean"]["r2"] < 0.05
    assert scores["crps"] < scores["mae"]
    # One prediction a group, in the order in which groups begin in the file.
    said = task.predict(model, data.drop(columns="in all"))
    assert said["basket"].tolist() == data["basket"].drop_duplicates().tolist()


def test_a_running_total_is_learnt_for_each_step():
    data = baskets().drop(columns="in all")
    task, model = trained(data, target="so far", epochs=25, lr=0.03, test_fraction=0.2, **LONG)
    assert task.layout.aligned
    assert task.settings.each == "step"
    assert task.describe()["each"] == "each step has a number"
    scores = task.evaluate(model).metrics
    assert scores["r2"] > 0.9
    assert scores["rmse"] < task.baselines()["mean"].metrics["rmse"] / 3
    # A unit that is resampled is a sequence, not a step.
    evaluation = task.evaluate(model)
    assert len(evaluation.units) == len(task._parts["test"])
    assert evaluation.units["count"].sum() > len(evaluation.units)
    # One prediction a row, in the order of the file's rows.
    said = task.predict(model, data)
    assert said["row"].tolist() == list(range(1, len(data) + 1))
    assert said["basket"].tolist() == data["basket"].tolist()
    assert (said["step"] == data["at"] + 1).all()
    assert np.corrcoef(said["prediction"], data["so far"])[0, 1] > 0.95
    # A step knows nothing of those after it.
    short = data[data["at"] < 2]
    again = task.predict(model, short.reset_index(drop=True))
    there = said[(data["at"] < 2).to_numpy()]
    np.testing.assert_allclose(again["prediction"], there["prediction"], atol=1e-4)


def test_what_is_still_to_come_is_learnt_from_the_end():
    data = baskets().drop(columns="in all")
    later = data.assign(rest=lambda d: d.groupby("basket")["price"].transform("sum") - d["so far"])
    asked = {
        "target": "rest",
        "columns": ["price"],
        "epochs": 20,
        "lr": 0.03,
        "test_fraction": 0.2,
        **LONG,
    }
    task, model = trained(later, reverse=True, **asked)
    scored = task.evaluate(model)
    assert scored.metrics["r2"] > 0.85
    # Nothing is left after the last row, and rows are in the order of the file again.
    said = scored.predictions
    last = said["step"] == said.groupby("basket")["step"].transform("max")
    assert said.loc[last, "truth"].abs().max() == 0
    assert said.loc[last, "prediction"].abs().max() < said["prediction"].abs().max() / 3
    with pytest.raises(InputError, match="reads sequences from their end"):
        task.stream(model)


def test_what_has_a_number_can_be_said():
    data = baskets(20)
    aligned, _ = untrained(data, target="in all", each="step", columns=["price"], **LONG)
    assert aligned.layout.aligned
    with pytest.raises(InputError, match="differs from"):
        untrained(data, target="so far", each="sequence", columns=["price"], **LONG)


@pytest.mark.parametrize(
    ("each", "given", "name"),
    [
        ("sequence", {"score": "last"}, "score"),
        ("sequence", {"stretch": 3}, "stretch"),
        ("step", {"pooling": "mean"}, "pooling"),
    ],
)
def test_a_setting_without_effect_is_refused_once_it_is_known(each, given, name):
    target = {"sequence": "in all", "step": "so far"}[each]
    with pytest.raises(InputError, match=f"{name} has no effect with each={each}"):
        untrained(baskets(20), target=target, columns=["price"], **LONG, **given)


def test_targets_that_are_series_are_of_steps():
    data = series()
    data["y"] = [10 * cell[:, 0] for cell in data["series"]]
    task, model = trained(data, epochs=40, lr=0.03, test_fraction=0.2)
    assert task.layout.aligned
    scored = task.evaluate(model)
    assert scored.metrics["r2"] > 0.95
    assert len(scored.predictions) == sum(len(x) for x in task._parts["test"].inputs)
    assert task.sections(model, scored)
    wrong = data.copy()
    wrong.at[3, "y"] = wrong.at[3, "y"][:2]
    with pytest.raises(InputError, match="There are 2 targets for") as caught:
        untrained(wrong)
    assert caught.value.row == 4
    with pytest.raises(InputError, match="each=sequence needs one number"):
        untrained(data, each="sequence")
    with pytest.raises(InputError, match="one target for the whole sequence") as caught:
        untrained(series(), each="step")
    assert caught.value.row == 1


def test_several_targets_are_learnt_together():
    data = series(60)
    data["z"] = -data["y"] * 1000
    task, model = trained(
        data, target=["y", "z"], epochs=25, lr=0.03, pooling="mean", test_fraction=0.2
    )
    scored = task.evaluate(model)
    assert scored.metrics["r2"] > 0.9
    assert scored.metrics["rmse"] == pytest.approx(
        (scored.metrics["rmse_y"] + scored.metrics["rmse_z"]) / 2
    )
    columns = set(scored.predictions.columns)
    assert {"truth_y", "prediction_y", "q0.1_y", "truth_z", "prediction_z", "q0.9_z"} <= columns
    said = task.said(torch.from_numpy(task.outputs(model, task._inputs("test"))[0])[None])
    first = scored.predictions.iloc[0]
    assert said["z"]["prediction"] == pytest.approx(first["prediction_z"])
    assert said["y"]["q0.1"] == pytest.approx(first["q0.1_y"])


def test_texts_have_numbers():
    rng = np.random.default_rng(2)
    words = rng.choice(["good", "bad", "fine"], (80, 6))
    rated = pd.DataFrame(
        {"text": [" ".join(w) for w in words], "rating": (words == "good").sum(1).astype(float)}
    )
    task, model = trained(
        rated, epochs=15, lr=0.03, embedding_size=8, pooling="mean", test_fraction=0.2
    )
    assert task.layout.modality == "text"
    assert task.evaluate(model).metrics["r2"] > 0.8
    assert {"tf-idf + ridge regression", "tf-idf + gradient boosting"} <= set(task.baselines())


# Metrics


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_metrics_are_those_of_scikit_learn(seed, targets):
    rng = np.random.default_rng(seed)
    levels = np.array([0.1, 0.5, 0.9])
    lengths = rng.integers(1, 6, 7)
    truths = [rng.normal(1e6, 3, (n, targets)) for n in lengths]
    said = [
        np.concatenate(
            [
                t[..., None] + rng.normal(size=(*t.shape, 1)),
                t[..., None] + np.sort(rng.normal(size=(*t.shape, 3))),
            ],
            -1,
        )
        for t in truths
    ]
    rows = [
        numbers.sums(t, s, levels, np.full(targets, 1e6)) for t, s in zip(truths, said, strict=True)
    ]
    names = [f"t{k}" for k in range(targets)]
    found = numbers.score(pd.DataFrame(rows), names, quantiles=True)
    truth, point = np.concatenate(truths), np.concatenate(said)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, point[..., 0]))
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, point[..., 0]))
    assert found["r2"] == pytest.approx(r2_score(truth, point[..., 0]), rel=1e-6, abs=1e-9)
    by_torchmetrics = r2_of_torchmetrics(
        torch.from_numpy(point[..., 0]) - 1e6, torch.from_numpy(truth) - 1e6
    )
    assert found["r2"] == pytest.approx(float(by_torchmetrics), rel=1e-6, abs=1e-9)
    losses = [mean_pinball_loss(truth, point[..., 1 + i], alpha=a) for i, a in enumerate(levels)]
    assert found["crps"] == pytest.approx(2 * np.mean(losses))
    inside = (truth >= point[..., 1]) & (truth <= point[..., 3])
    assert found["coverage"] == pytest.approx(inside.mean())


def test_r2_is_undefined_where_all_truths_are_alike():
    truth, said = np.full((4, 1), 0.1), np.zeros((4, 1, 1))
    units = pd.DataFrame([numbers.sums(truth, said, np.empty(0), np.array([0.3]))])
    assert np.isnan(numbers.score(units, ["y"], quantiles=False)["r2"])


def test_an_undefined_r2_is_null_and_said(tmp_path):
    data = series(40)
    alike = data.iloc[:5].assign(y=105.0)
    run = elman.train(
        "regress",
        data,
        tmp_path / "run",
        test=alike,
        progress=False,
        resamples=5,
        max_steps=3,
        **SMALL,
    )
    assert json.loads((run.path / "results.json").read_text())["test"]["r2"] is None
    assert "R² is undefined" in (run.path / "report.html").read_text()


# Quantiles


def noisy(n: int) -> pd.DataFrame:
    """Series that tell the mean of the target, whose noise they do not tell."""
    rng = np.random.default_rng(3)
    level = rng.uniform(-2, 2, n)
    cells = [np.full((4, 1), v) for v in level]
    return pd.DataFrame({"series": cells, "y": level + rng.normal(0, 1, n)})


def test_quantiles_cover_what_they_promise_after_correction():
    task, model = trained(noisy(600), epochs=6, valid_fraction=0.3, test_fraction=0.3)
    scored = task.evaluate(model)
    # 180 truths: a share of 0.8 has a standard deviation of 0.03.
    assert scored.metrics["coverage"] == pytest.approx(0.8, abs=0.09)
    said = scored.predictions
    levels = ["q0.1", "q0.25", "q0.5", "q0.75", "q0.9"]
    assert (np.diff(said[levels].to_numpy(), axis=1) >= 0).all()
    assert (said["prediction"] >= said["q0.1"]).all()
    assert (said["prediction"] <= said["q0.9"]).all()
    below = (said["truth"].to_numpy()[:, None] <= said[levels]).mean()
    np.testing.assert_allclose(below, [0.1, 0.25, 0.5, 0.75, 0.9], atol=0.11)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_a_correction_makes_quantiles_true_on_what_it_was_learnt_from(seed):
    rng = torch.Generator().manual_seed(seed)
    said = torch.randn(200, 3, generator=rng).double()
    truth = 5 * torch.randn(200, generator=rng).double() + 2
    levels = [0.2, 0.5, 0.8]
    found = intervals.correction(said, truth, levels)
    better = (
        said.sort(-1).values
        + found * (said.max(-1).values - said.min(-1).values).clamp_min(1e-3)[:, None]
    )
    shares = (truth[:, None] <= better).double().mean(0)
    np.testing.assert_allclose(shares, levels, atol=0.011)
    assert (intervals.moved(said, found).diff(dim=-1) >= 0).all()


def test_a_model_without_quantiles_has_a_point_only():
    task, model = trained(series(), quantiles=[], max_steps=5, test_fraction=0.2)
    scored = task.evaluate(model)
    assert "coverage" not in scored.metrics
    assert scored.metrics["crps"] == pytest.approx(scored.metrics["mae"])
    assert not [c for c in scored.predictions if c.startswith("q")]
    assert task.sections(model, scored)


@pytest.mark.parametrize("each", ["sequence", "step"])
def test_members_are_averaged_whole_and_streamed(each):
    target = "in all" if each == "sequence" else "so far"
    task, model = trained(baskets(40), **LONG, target=target, epochs=2, members=3)
    found = task._parts["test"]
    asked = task._encode(found.inputs)[:1]
    alone = np.stack([task.outputs(member, asked)[0] for member in model.members])
    assert np.ptp(alone, axis=0).max() > 1e-4, "members should differ"
    together = task.outputs(model, asked)[0]
    np.testing.assert_allclose(together, alone.mean(0), rtol=1e-4, atol=1e-5)
    stream = task.stream(model)
    for step in found.inputs[0]:
        said = stream.step(step)
    own = task._own_units(task._split([together])[0])[-1]
    np.testing.assert_allclose(list(said.values()), own[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_the_loss_is_that_of_its_name(loss):
    task, _ = untrained(series(), loss=loss, quantiles=[0.25])
    outputs, answers = torch.tensor([[3.0, 2.0], [0.0, -1.0]]), torch.tensor([[0.0], [0.5]])
    point = {"mse": 9 + 0.25, "mae": 3.5, "huber": 2.5 + 0.125}[loss]
    pinball = 0.75 * 2 + 0.25 * 1.5
    found = task.cost(outputs, answers, torch.tensor([4, 4]))
    assert float(found) == pytest.approx(point + pinball)


def test_padding_has_no_loss():
    task, _ = untrained(baskets(20).drop(columns="in all"), target="so far", quantiles=[], **LONG)
    outputs = torch.tensor([[[1.0], [9.0]], [[1.0], [1.0]]])
    answers = torch.zeros(2, 2, 1)
    assert float(task.cost(outputs, answers, torch.tensor([1, 2]))) == 3.0


# The cap


def test_a_cap_bounds_what_is_learnt_said_and_scored():
    data = series(60)
    task, model = trained(data, cap=110.0, epochs=20, pooling="mean", test_fraction=0.3)
    assert task._answers("train")[0].dtype == np.float32
    most = max(float(a.max()) for a in task._answers("train"))
    assert task.answer.scaler.inverse([[most]])[0, 0] == pytest.approx(110)
    scored = task.evaluate(model)
    said = scored.predictions
    assert said["truth"].max() > 110
    assert said.filter(regex="prediction|^q").to_numpy().max() <= 110
    missed = said["prediction"] - said["truth"]
    assert scored.metrics["rmse_uncapped"] == pytest.approx(np.sqrt((missed**2).mean()))
    assert scored.metrics["mae_uncapped"] == pytest.approx(missed.abs().mean())
    capped = said["prediction"] - said["truth"].clip(upper=110)
    assert scored.metrics["rmse"] == pytest.approx(np.sqrt((capped**2).mean()))
    facts = task.describe()
    assert "capped at 110" in facts["scored"]
    share = np.mean([y > 110 for y in task._parts["train"].answers])
    assert facts["cap"] == f"110; {share:.1%} of training targets are above it"
    assert "rmse_uncapped" in task.baselines()["mean"].metrics


def test_only_the_last_step_is_scored_where_that_is_asked_for():
    data = baskets(40).drop(columns="in all")
    task, model = trained(
        data, target="so far", score="last", max_steps=5, test_fraction=0.3, **LONG
    )
    scored = task.evaluate(model)
    assert (scored.units["count"] == 1).all()
    said = scored.predictions
    last = said[said["step"] == said.groupby("basket")["step"].transform("max")]
    missed = last["prediction"] - last["truth"]
    assert scored.metrics["rmse"] == pytest.approx(np.sqrt((missed**2).mean()))
    for evaluation in task.baselines().values():
        assert (evaluation.units["count"] == 1).all()
    # Validation looks at every step all the same.
    task, model = untrained(
        data, target="so far", score="last", valid_fraction=0.3, quantiles=[], **LONG
    )
    own = task._split(task.outputs(model, task._inputs("valid")))
    truth = np.concatenate(task.answer.values(task._parts["valid"].answers))[:, 0]
    error = np.concatenate([task._own_units(one) for one in own])[:, 0, 0] - truth
    assert task.validate(model)["rmse"] == pytest.approx(np.sqrt((error**2).mean()))


def test_one_series_is_split_in_time_and_its_last_target_is_a_baseline():
    rng = np.random.default_rng(4)
    x = rng.normal(size=200)
    data = pd.DataFrame({"x": x, "y": np.cumsum(x) + 50})
    task, model = trained(
        data, target="y", each="step", max_steps=5, test_fraction=0.2, valid_fraction=0.1
    )
    assert {part: len(f.inputs[0]) for part, f in task._parts.items()} == {
        "train": 140,
        "valid": 20,
        "test": 40,
    }
    baselines = task.baselines()
    missed = data["y"].iloc[160:] - data["y"].iloc[159]
    assert baselines["last value"].metrics["mae"] == pytest.approx(missed.abs().mean())
    # A file of its own need not go on where training ended.
    assert "last value" not in task.baselines(data)
    assert task.evaluate(model).predictions["row"].tolist() == list(range(161, 201))


def test_baselines_have_intervals_of_their_own_errors():
    task, _ = untrained(noisy(400), valid_fraction=0.3, test_fraction=0.3)
    for name in ("mean", "ridge regression on summary features"):
        assert task.baselines()[name].metrics["coverage"] == pytest.approx(0.8, abs=0.12)


def test_trees_read_sparse_features():
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(5)
    seen = (rng.random((300, 90)) < 0.3).astype(float)
    target = seen[:, :1] * 4
    said = boosting(csr_matrix(seen), target)(csr_matrix(seen))
    assert np.corrcoef(said[:, 0], target[:, 0])[0, 1] > 0.9


# What is refused


def written(tmp_path, data):
    path = tmp_path / "data.csv"
    data.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("cell", "message"),
    [("high", "'high' is not a number"), ("", "missing"), ("inf", "inf is not a finite number")],
)
def test_a_target_that_is_no_number_is_named(tmp_path, cell, message):
    data = baskets(20).drop(columns="in all").astype({"so far": object})
    data.loc[4, "so far"] = cell
    path = written(tmp_path, data)
    with pytest.raises(InputError, match=message) as caught:
        untrained(path, target="so far", **LONG)
    assert (caught.value.file, caught.value.row, caught.value.column) == (path, 6, "so far")


def test_a_target_that_never_changes_is_refused(tmp_path):
    path = written(tmp_path, baskets(20).assign(dull=3.0))
    with pytest.raises(InputError, match="is 3: there is nothing to learn") as caught:
        untrained(path, target="dull", **LONG)
    assert (caught.value.file, caught.value.column) == (path, "dull")


def test_a_cap_below_every_target_is_refused():
    with pytest.raises(InputError, match="cap=50 is not above any target"):
        untrained(series(), cap=50)


def test_a_cap_of_several_targets_is_refused():
    data = series().assign(z=np.arange(40.0))
    with pytest.raises(InputError, match="cap is one number, and there are 2 targets"):
        untrained(data, target=["y", "z"], cap=5)


@pytest.mark.parametrize("levels", [[0.9, 0.1], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0]])
def test_quantiles_out_of_order_are_refused(levels):
    with pytest.raises(InputError, match="quantiles lie between 0 and 1, ascending"):
        settings_of(Regress, {"quantiles": levels})


def test_a_missing_target_has_its_nearest_name():
    with pytest.raises(InputError, match=re.escape("Did you mean 'in all'?")):
        untrained(baskets(20), target="inall", **LONG)


def test_an_unclear_target_is_asked_for():
    with pytest.raises(InputError, match=r"which column holds the number to learn.*target=NAME"):
        untrained(baskets(20).rename(columns={"price": "cost"}), **LONG)


# A run


def test_a_run_of_steps_is_written_streamed_and_examined(tmp_path):
    from elman.inspect import runs as doctor

    path = written(tmp_path, baskets(40).drop(columns="in all").sort_values(["basket", "at"]))
    run = elman.train(
        "regress", path, tmp_path / "run", progress=False, target="so far", max_steps=10,
        resamples=20, test_fraction=0.3, **LONG, **SMALL,
    )  # fmt: skip
    assert run.results["metric"] == "rmse"
    assert not run.results["higher_is_better"]
    report = (run.path / "report.html").read_text()
    for title in ("Predicted against true", "Error against steps left", "Worst cases"):
        assert title in report
    loaded = elman.load(run.path)
    said = loaded.predict(path, proba=True)
    stream = loaded.stream()
    first = said[said["basket"] == "b0"]
    prices = pd.read_csv(path).query("basket == 'b0'")["price"]
    for price, (_, row) in zip(prices, first.iterrows(), strict=True):
        step = stream.step([price])
        assert step == pytest.approx({k: row[k] for k in step}, rel=1e-4, abs=1e-4)
    again = pipeline.evaluate(run.path, path)
    assert again["test"].keys() == run.results["test"].keys()
    assert doctor.of_run(run.path, path, rows=8).layers


def test_the_engines_of_fd001_are_those_that_were_published(data_dir, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    fd001 = importlib.import_module("figures").fd001
    train, test = fd001(data_dir, "train"), fd001(data_dir, "test")
    # Saxena et al. 2008: 100 engines each, 20,631 and 13,096 flights.
    assert (len(train), len(test)) == (20631, 13096)
    assert train["engine"].unique().tolist() == test["engine"].unique().tolist()
    assert (train.groupby("engine")["RUL"].min() == 0).all()
    last = test.groupby("engine")["RUL"].min()
    truth = np.loadtxt(data_dir / "cmapss_fd001" / "RUL_FD001.txt")
    np.testing.assert_array_equal(last, truth)
    assert (test.groupby("engine")["RUL"].diff().dropna() == -1).all()
