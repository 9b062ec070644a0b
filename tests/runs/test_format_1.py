"""Runs of format 1, made by version 0.1.0 before format 2, still load, evaluate and resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import elman
from elman.runs.folder import FORMAT, Run

HERE = Path(__file__).parent / "format_1"
DATA = {"classify": "slopes.csv", "generate": "cats.txt"}


@pytest.fixture(params=sorted(DATA))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A copy of an old run that lies beside its data."""
    name = request.param
    shutil.copy(HERE / DATA[name], tmp_path)
    run = tmp_path / "run"
    shutil.copytree(HERE / name, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("FOLDER", str(tmp_path)))
    return name, run


def test_it_is_format_1_and_new_runs_are_not(old: tuple[str, Path]) -> None:
    _, run = old
    assert Run(run).config()["format"] == 1
    assert FORMAT == 2


def test_an_old_run_loads_and_predicts_as_it_did(old: tuple[str, Path]) -> None:
    name, run = old
    model = elman.load(run)
    if name == "classify":
        expected = pd.read_parquet(run / "predictions.parquet").set_index("row")
        found = (
            model.predict(run.parent / DATA[name], proba=True).set_index("row").loc[expected.index]
        )
        assert found["prediction"].tolist() == expected["prediction"].tolist()
        torch.testing.assert_close(
            torch.tensor(found["p_up"].to_numpy()),
            torch.tensor(expected["p_up"].to_numpy()),
            atol=1e-5,
            rtol=1e-4,
        )
    else:
        assert model.generate("the ", length=20, seed=1)[0].startswith("the ")


def test_an_old_run_scores_as_it_did(old: tuple[str, Path]) -> None:
    _, run = old
    before = json.loads((run / "results.json").read_text())
    now = elman.evaluate(run)
    for metric, value in before["test"].items():
        assert now["test"][metric] == pytest.approx(value, rel=1e-4)
    assert set(before["baselines"]) <= set(now["baselines"])
    for baseline, scores in before["baselines"].items():
        assert now["baselines"][baseline] == pytest.approx(scores, rel=1e-6)


@pytest.mark.fuzz
def test_an_old_run_goes_on_to_where_it_would_have_come(old: tuple[str, Path]) -> None:
    """Ten steps by the old version and ten by this one are twenty by the old version."""
    name, run = old
    for gone in ("results.json", "model.safetensors", "predictions.parquet"):
        (run / gone).unlink()
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("  max_steps: 10\n", "  max_steps: 20\n"))
    finished = elman.resume(run, progress=False)
    expected = load_file(HERE / f"{name}-after-20.safetensors")
    for parameter, value in finished.model.module.state_dict().items():
        torch.testing.assert_close(value, expected[parameter], atol=1e-4, rtol=1e-3)
    results = json.loads((HERE / f"{name}-after-20.json").read_text())
    for metric, value in results["test"].items():
        assert finished.results["test"][metric] == pytest.approx(value, rel=1e-3)
    assert (run / "report.html").exists()
