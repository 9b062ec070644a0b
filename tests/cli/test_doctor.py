"""`elman doctor` as a process: on every task, on data of one's own, and where it cannot be done."""

from __future__ import annotations

import functools
import json
import math
import shutil

import pytest

import elman as package
from elman.inspect import runs
from elman.inspect.diagnosis import diagnose


@pytest.fixture(params=["generate_run", "classify_run", "forecast_run"])
def any_run(request):
    return request.getfixturevalue(request.param)


def test_every_task_is_examined_and_a_page_written(elman, any_run):
    done = elman("doctor", any_run, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    page = any_run / "doctor.html"
    assert found["page"] == str(page)
    assert "<html" in page.read_text(encoding="utf-8")
    assert found["findings"][0]["severity"] in ("ill", "warning", "unknown", "healthy")
    assert all(layer["flow"] for layer in found["layers"])
    assert found["subject"]["unit"]


def test_one_screen_for_people(elman, generate_run, tmp_path):
    done = elman("doctor", generate_run, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").exists()
    assert done.stdout.startswith("generate model in generate: ")
    assert f"page: {tmp_path / 'page.html'}" in done.stderr
    lines = done.stdout.splitlines()
    assert "characters" in done.stdout
    assert "recurrent.l0" in done.stdout
    assert len(lines) < 60
    assert max(map(len, lines)) < 400


@pytest.fixture(scope="session")
def daily_run(series_file, tmp_path_factory):
    """A forecaster that reads a series value by value."""
    out = tmp_path_factory.mktemp("runs") / "daily"
    settings = {"model": "recurrent", "horizon": 7, "hidden_size": 16, "max_steps": 40}
    package.train("forecast", series_file, out, progress=False, resamples=50, **settings)
    return out


@pytest.fixture(scope="module")
def examined(request):
    """Examine a run once with a pattern to look for."""

    @functools.cache
    def examine(run, pattern):
        return runs.of_run(request.getfixturevalue(run), follow=[pattern])

    return examine


@pytest.mark.parametrize(
    ("run", "pattern"),
    [
        pytest.param("generate_run", "line position", marks=pytest.mark.slow),
        ("generate_run", "cat|dog|bird"),
        ("classify_run", "splendid|dreadful"),
        pytest.param("daily_run", "season:7", marks=pytest.mark.slow),
    ],
)
def test_units_that_follow_a_pattern_are_found_and_shown(run, pattern, examined):
    found = examined(run, pattern)
    (followed,) = found.followed
    assert followed.found > 0, followed.verdict
    assert followed.best[0].selectivity > followed.chance
    assert followed.steps > 300
    assert f"{pattern}: Unit" in str(found)
    data = found.to_dict()["followed"][0]
    assert len(data["example"]["labels"]) == len(data["example"]["values"]) > 3
    json.dumps(data, allow_nan=False)
    page = found.page()
    assert "Patterns that were looked for" in page
    assert f"{followed.best[0].selectivity:.2f} of 1" in page
    coloured = page.count('<span style="background:rgba(')
    assert (coloured > 5) == (run != "daily_run")
    assert ("The unit beside the series" in page) == (run == "daily_run")


def test_patterns_are_given_to_the_command(elman, generate_run, forecast_run, tmp_path):
    page = ("--out", tmp_path / "page.html")
    done = elman("doctor", generate_run, "--follow", "dog", "--follow", "line-position", *page)
    assert done.returncode == 0, done.stderr
    assert "dog: Unit" in done.stdout
    assert "line-position: " in done.stdout
    done = elman("doctor", forecast_run, "--follow", "quotes", *page)
    assert done.returncode == 2
    assert "pattern of text" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    for run, pattern, said in (
        (generate_run, "(", "no regular expression"),
        (generate_run, "quotes", "same at all"),
        (generate_run, "season:", "no period"),
        (forecast_run, "season:7", "whole season in one step"),
    ):
        with pytest.raises(package.errors.InputError, match=said):
            runs.of_run(run, follow=[pattern], rows=4)


def test_what_a_run_says_beside_its_layers(generate_run, examined):
    found = examined("generate_run", "cat|dog|bird").to_dict()
    assert found["subject"]["run"] == generate_run.name
    assert len(found["dependence"]["floor"]) == len(found["dependence"]["lags"])
    (layer,) = (part for part in found["layers"] if part["name"] == "recurrent.l0")
    assert layer["fixed_points"]["distinct"] >= layer["fixed_points"]["stable"]
    example = layer["example"]
    assert example["attribution"]["step"] == example["first"] + len(example["states"]) - 1
    assert len(example["attribution"]["values"]) == len(example["states"]) == 256


def test_data_of_ones_own(generate_run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("a dog fears one bird.\n" * 300)
    labels = runs.of_run(generate_run, other, rows=4).to_dict()["layers"][0]["example"]["labels"]
    assert labels
    assert set(labels) <= set("a dog fears one bird.\n")


def test_a_run_whose_data_is_gone_wants_data(elman, generate_run, text_file, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(generate_run, copy)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace(str(text_file), str(tmp_path / "gone.txt")))
    done = elman("doctor", copy)
    assert done.returncode == 2
    assert "no longer there" in done.stderr
    assert "Traceback" not in done.stderr
    assert runs.of_run(copy, text_file, rows=4).layers


@pytest.mark.parametrize("arguments", [["nowhere"], ["."]])
def test_what_is_no_run_is_refused(elman, arguments, tmp_path):
    done = elman("doctor", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr


@pytest.mark.fuzz
def test_remedies_are_tried_beside_the_run_as_it_was(elman, generate_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(generate_run, copy)
    examination = runs.of_run(copy)
    examination.run.need, examination.run.clip_rate = 200.0, 1.0
    examination.run.clip_at = 1.0
    findings = diagnose([layer.facts() for layer in examination.layers], examination.run)
    told = []
    trials = runs.try_remedies(
        copy, findings, most=1, progress=told.append, budget=None, max_steps=5
    )
    assert trials[0].name == "as it was"
    assert len(trials) == len(told) == 2
    assert all(math.isfinite(trial.metric) for trial in trials)
    assert trials[1].settings == findings[0].remedies[0].settings
    assert (copy / "doctor" / "trial-1" / "results.json").exists()
    examination.trials = trials
    assert "as it was" in str(examination)
    assert len(examination.to_dict()["trials"]) == 2


def test_a_healthy_run_has_nothing_to_try(generate_run):
    healthy = diagnose([])
    with pytest.raises(package.errors.InputError, match="no remedy to try"):
        runs.try_remedies(generate_run, healthy)


@pytest.mark.fuzz
def test_the_same_seed_says_the_same(any_run):
    one, two = (runs.of_run(any_run, seed=1).to_dict() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)
