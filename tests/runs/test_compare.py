"""Runs beside each other: what differs, and how sure a difference is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.runs import compare, folder

pytestmark = pytest.mark.xdist_group("compare")  # so that runs are trained once


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    labels = ["up" if i % 2 else "down" for i in range(120)]
    series = [rng.normal(size=8) + (0.8 if x == "up" else -0.8) for x in labels]
    file = place / "waves.jsonl"
    pd.DataFrame({"series": [s.tolist() for s in series], "label": labels}).to_json(
        file, orient="records", lines=True
    )
    how = {"progress": False, "hidden_size": 8, "test_fraction": 0.4, "resamples": 100}
    good = elman.train("classify", file, place / "good", max_steps=60, lr=0.02, **how)
    poor = elman.train("classify", file, place / "poor", max_steps=1, lr=1e-5, **how)
    other = elman.train("classify", file, place / "other", max_steps=1, **{**how, "seed": 5})
    return [run.path for run in (good, poor, other)]


def test_a_sure_difference_is_said_with_its_interval(runs):
    found = compare.compare(runs[:2])
    assert found["settings"].keys() >= {"max_steps", "lr"}
    (beside,) = found["differences"]
    assert beside["sure"]
    assert beside["better_by"] == pytest.approx(
        found["runs"][1]["test"]["accuracy"] - found["runs"][0]["test"]["accuracy"]
    )
    assert beside["ci95"][0] <= beside["better_by"] <= beside["ci95"][1] < 0
    assert "is worse than" in compare.words(found)[0]
    page = compare.page(found)
    assert "Settings that differ" in page
    assert page.count("<svg") == 1


def test_other_rows_are_not_paired(runs):
    (beside,) = compare.compare([runs[0], runs[2]])["differences"]
    assert beside["why"] == "their test rows differ, since seed differ"


def test_data_that_is_gone_is_said(runs):
    file = runs[0].parent / "waves.jsonl"
    kept = file.read_bytes()
    file.unlink()
    try:
        (beside,) = compare.compare(runs[:2])["differences"]
    finally:
        file.write_bytes(kept)
    assert "cannot be paired" in beside["why"]


def test_one_run_or_two_tasks_are_refused(runs, tmp_path):
    with pytest.raises(InputError, match="two runs"):
        compare.compare(runs[:1])
    table = pd.DataFrame({"y": np.sin(np.arange(80.0))})
    wave = elman.train(
        "forecast", table, tmp_path / "wave", horizon=3, max_steps=1, progress=False, resamples=0
    )
    with pytest.raises(InputError, match="different tasks: classify, forecast"):
        compare.compare([runs[0], wave.path])


def test_a_run_is_not_compared_with_itself(runs):
    again = runs[0] / ".." / runs[0].name
    with pytest.raises(InputError, match=r"is the run .* again"):
        compare.compare([runs[0], runs[1], again])


def test_runs_of_the_folder_below_and_a_run_itself_are_listed(runs, tmp_path):
    project = tmp_path / "project"
    (project / "runs").mkdir(parents=True)
    for run in runs:
        (project / "runs" / run.name).symlink_to(run)
    (project / "docs" / "site").mkdir(parents=True)
    (project / "docs" / "site" / "config.yaml").write_text("name: of another program\n")
    below = {run.path.name for run in folder.runs_in(project)}
    assert below == {run.name for run in runs}
    assert [run.path for run in folder.runs_in(runs[0])] == [runs[0]]
    with pytest.raises(InputError, match="no run"):
        folder.runs_in(project / "docs" / "site")


def test_a_folder_of_runs_is_listed(runs):
    rows = {row["run"]: row for row in compare.listed(folder.runs_in(runs[0].parent))}
    good = rows[str(runs[0])]
    assert good["task"] == "classify"
    assert good["data"] == "waves.jsonl"
    assert good["score"] == json.loads((runs[0] / "results.json").read_text())["test"]["accuracy"]
    assert good["baseline"] is not None
    results = runs[2] / f"{folder.RESULTS}.json"
    kept = results.read_bytes()
    results.unlink()
    try:
        states = {
            row["run"]: row["state"] for row in compare.listed(folder.runs_in(runs[0].parent))
        }
    finally:
        results.write_bytes(kept)
    assert states[str(runs[2])] == "stopped"
    with pytest.raises(InputError, match="no run"):
        folder.runs_in(runs[0] / "assets")


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_a_damaged_run_is_named_beside_the_others(runs, damage):
    results = runs[2] / f"{folder.RESULTS}.json"
    kept = results.read_bytes()
    results.write_text(damage)
    try:
        rows = {row["run"]: row for row in compare.listed(folder.runs_in(runs[0].parent))}
    finally:
        results.write_bytes(kept)
    assert rows[str(runs[0])]["verdict"]
    assert rows[str(runs[2])]["state"].startswith("damaged: ")
    assert "results.json" in rows[str(runs[2])]["state"]


@pytest.mark.fuzz
def test_the_verbs(runs, elman, tmp_path):
    listed = elman("list", runs[0].parent, "--json")
    assert listed.returncode == 0
    assert len(json.loads(listed.stdout)) == 3
    page = tmp_path / "beside.html"
    said = elman("compare", *runs[:2], "--out", page)
    assert said.returncode == 0
    assert "is worse than" in said.stdout
    assert page.exists()
    wrong = elman("compare", runs[0], tmp_path)
    assert wrong.returncode == 2
    assert "not a run" in wrong.stderr
