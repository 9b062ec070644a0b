"""Every verb, run as a person would."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

import elman as package
from elman.cells import CELLS
from elman.cli import show
from elman.kernels import program

RUN_FILES = {
    "config.yaml",
    "model.safetensors",
    "metrics.jsonl",
    "results.json",
    "predictions.parquet",
    "report.html",
}
RESULT_KEYS = {
    "task",
    "metric",
    "higher_is_better",
    "test",
    "ci95",
    "baselines",
    "verdict",
    "seed",
    "versions",
    "budget",
}


@pytest.mark.parametrize("kind", ["generate", "classify", "forecast"])
def test_train_leaves_a_whole_run(kind, request):
    run: Path = request.getfixturevalue(f"{kind}_run")
    assert {file.name for file in run.iterdir()} >= RUN_FILES
    assert not list(run.rglob("*.pkl"))
    assert not list(run.rglob("*.pt"))
    stay = set() if kind == "forecast" else {"last", "best"}
    assert {file.name for file in run.glob("checkpoints/*")} == stay
    results = json.loads((run / "results.json").read_text())
    assert results.keys() >= RESULT_KEYS
    assert results["task"] == kind
    assert results["baselines"], "a score stands beside baselines"
    low, high = results["ci95"][results["metric"]]
    assert low <= results["test"][results["metric"]] <= high
    assert len(pd.read_parquet(run / "predictions.parquet")) > 0
    report = (run / "report.html").read_text()
    assert results["verdict"].split(",")[0] in report
    assert "http://" not in report.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", ""), "the report needs nothing from outside"


def test_config_is_effective_and_can_be_used_again(elman, generate_run, text_file, tmp_path):
    config = yaml.safe_load((generate_run / "config.yaml").read_text())
    assert config["settings"]["hidden_size"] == 16
    assert config["settings"]["max_steps"] == 40
    out = tmp_path / "again"
    done = elman(
        "train", "generate", text_file, "--config", generate_run / "config.yaml", "--out", out, "-q"
    )
    assert done.returncode == 0, done.stderr
    assert (out / "model.safetensors").read_bytes() == (
        generate_run / "model.safetensors"
    ).read_bytes(), "the same seed gives the same run"


def test_train_prints_scores_beside_baselines(elman, labelled_file, tmp_path):
    out = tmp_path / "run"
    done = elman(
        "train", "classify", labelled_file, "--out", out, "-s", "epochs=2", "-s", "resamples=20"
    )
    assert done.returncode == 0, done.stderr
    assert "recurrent model" in done.stdout
    assert "majority" in done.stdout
    assert str(out) in done.stderr


def test_train_json(elman, labelled_file, tmp_path):
    done = elman(
        "train", "classify", labelled_file, "--out", tmp_path / "run", "--json", "-q",
        "--set", "epochs=1", "--set", "resamples=10", "--budget", "20s",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["budget"] == 20.0


def test_evaluate_on_its_own_test_part_repeats_the_score(elman, classify_run):
    recorded = json.loads((classify_run / "results.json").read_text())
    done = elman("evaluate", classify_run, "--json")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["test"] == recorded["test"]
    assert again["baselines"] == recorded["baselines"]


def test_evaluate_on_new_data(elman, classify_run, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("text,label\na splendid story,good\na dreadful plot,bad\nsplendid music,good\n")
    done = elman("evaluate", classify_run, file, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["baselines"].keys() >= {"majority"}
    assert found["test"]["accuracy"] == 1.0


def test_predict_to_standard_output_and_to_files(elman, classify_run, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("text\na splendid story\na dreadful plot\n")
    done = elman("predict", classify_run, file)
    assert done.returncode == 0, done.stderr
    assert "good" in done.stdout.splitlines()[1]
    assert "bad" in done.stdout.splitlines()[2]
    for ending in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        assert elman("predict", classify_run, file, "--out", out).returncode == 0
        assert out.stat().st_size > 0
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 2


def test_predict_with_a_kept_baseline(elman, classify_run, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("text\na splendid story\na dreadful plot\n")
    for name in ("tf-idf + logistic regression", "TF", "best", "model"):
        done = elman("predict", classify_run, file, "--with", name)
        assert done.returncode == 0, done.stderr
        assert [row.split(",")[1] for row in done.stdout.splitlines()[1:]] == ["good", "bad"]
    wrong = elman("predict", classify_run, file, "--with", "gradient")
    assert wrong.returncode == 2
    assert "'gradient' is no predictor of this run" in wrong.stderr
    assert "'NB-SVM'" in wrong.stderr
    unsure = elman("predict", classify_run, file, "--with", "maj", "--abstain", "0.99")
    assert [row.split(",")[1] for row in unsure.stdout.splitlines()[1:]] == ["", ""]


def test_generate_with_a_kept_baseline(elman, generate_run):
    done = elman("generate", generate_run, "--with", "5-gram", "--prompt", "the c", "-n", 20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the cat")
    refused = elman("predict", generate_run, __file__, "--abstain", "0.5")
    assert refused.returncode == 2
    assert "no probability" in refused.stderr


def test_predict_forecasts_beyond_the_end(elman, forecast_run, series_file):
    done = elman("predict", forecast_run, series_file, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 7
    assert "2021-06-01" in json.dumps(rows[0]), "the day after the last of the data"


def test_generate_is_seeded_and_begins_with_the_prompt(elman, generate_run):
    options = ("--prompt", "the cat", "--length", 30, "--samples", 2, "--json")
    first = json.loads(elman("generate", generate_run, *options, "--seed", 1).stdout)
    again = json.loads(elman("generate", generate_run, *options, "--seed", 1).stdout)
    other = json.loads(elman("generate", generate_run, *options, "--seed", 2).stdout)
    assert first == again
    assert first != other
    assert len(first["samples"]) == 2
    assert all(text.startswith("the cat") for text in first["samples"])


def test_generate_completes_with_probabilities(elman, generate_run):
    done = elman("generate", generate_run, "--prompt", "the ca", "--complete", 3, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 3
    likely = [suggestion["probability"] for suggestion in found]
    assert likely == sorted(likely, reverse=True)


def test_report_is_made_again_from_the_run_alone(elman, classify_run):
    before = (classify_run / "report.html").read_text()
    (classify_run / "report.html").unlink()
    done = elman("report", classify_run)
    assert done.returncode == 0, done.stderr
    assert (classify_run / "report.html").read_text() == before


def test_resume_of_a_finished_run_prints_its_scores(elman, classify_run):
    done = elman("resume", classify_run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == "classify"


def test_config_prints_every_setting_with_its_meaning(elman, text_file):
    done = elman("config", "generate", text_file, "--set", "hidden_size=64")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load(done.stdout)["settings"]
    assert settings["hidden_size"] == 64
    comments = [line for line in done.stdout.splitlines() if line.strip().startswith("#")]
    assert len(comments) == len(settings)


def test_cells_lists_equation_source_backends_and_speed(elman):
    cells = json.loads(elman("cells", "--json").stdout)
    assert cells.keys() == CELLS.keys()
    for name, cell in cells.items():
        assert "=" in cell["equation"]
        assert re.search(r"\d{4}", cell["source"]), name
        assert cell["backends"][0] == "cpu"
        assert cell["backends"][-1] == "reference"
    assert {name for name, cell in cells.items() if "torch" in cell["backends"]} == {
        "elman",
        "irnn",
        "lstm",
        "gru",
    }
    assert cells["lstm"]["leaves_torch"] == ["peepholes", "coupled", "layer_norm"]
    assert cells["gru"]["leaves_torch"] == ["reset_after=False"]
    speeds = {name: cell["speed"] for name, cell in cells.items()}
    assert speeds["mingru"] == speeds["indrnn"] == "pointwise"
    assert speeds["lstm"] == speeds["gru"] == "one product"
    assert speeds["gru_cho"] == speeds["jordan"] == "several products"

    listed = elman("cells").stdout
    told = elman("cells", "--help").stdout
    for name, cell in cells.items():
        assert f"{name}: {cell['summary']}" in listed
        assert all(line in listed for line in cell["equation"].splitlines())
        assert cell["speed"] in told
    assert "cpu, torch (not with peepholes, coupled, layer_norm), reference; one product" in listed
    one = elman("cells", "gru_cho").stdout
    assert "n = tanh" in one
    assert "Runs on cpu, reference; several products." in one


def test_tasks_check(elman):
    assert json.loads(elman("tasks", "--json").stdout).keys() == {
        "classify",
        "forecast",
        "generate",
        "regress",
        "tag",
        "translate",
    }
    assert json.loads(elman("check", "--json").stdout)["elman"] == package.__version__


def test_check_says_when_kernels_have_one_thread(monkeypatch):
    assert "one thread" not in show.kernels()
    monkeypatch.setattr(program, "pool", lambda: (0, 0, 0))
    assert "thread pool was not found" in show.kernels()


@pytest.mark.parametrize("kind", ["generate", "classify", "forecast"])
def test_the_same_from_python(kind, request):
    """`elman.load` gives a model whose stream can be put back to where it was."""
    model = package.load(request.getfixturevalue(f"{kind}_run"))
    inputs = {
        "generate": ["t", "h", "e"],
        "classify": ["a", "splendid", "film"],
        "forecast": [[10.0], [12.0], [13.0]],
    }[kind]
    stream = model.stream()
    stream.step(inputs[0])
    kept = stream.snapshot()
    first = [repr(stream.step(value)) for value in inputs[1:]]
    stream.restore(kept)
    assert [repr(stream.step(value)) for value in inputs[1:]] == first


def test_an_interval_without_width_is_a_dash(capsys):
    scores = {"mae": 45.84, "rmse": 50.0}
    found = {
        "metric": "mae",
        "higher_is_better": False,
        "test": scores,
        "ci95": {"mae": [45.84, 45.84]},
        "baselines": {"last value": scores | {"mae": 60.0}},
        "baselines_ci95": {"last value": {"mae": [50.0, 70.0]}},
        "verdict": "Cannot tell.",
        "understood": {"lines": [["scores", "rmse takes 2 targets together."]], "doubts": []},
    }
    show.results(found)
    shown = capsys.readouterr().out
    ours, baseline = (line for line in shown.splitlines() if "45.84" in line or "60" in line)
    assert "–" in ours
    assert ours.count("45.84") == 1
    assert "50 – 70" in baseline
    assert "rmse takes 2 targets together." in shown


def test_times_in_json_keep_the_offset_of_their_zone():
    times = pd.date_range("2023-03-25", periods=3, tz="Europe/Berlin")
    lines = show.json_lines(pd.DataFrame({"time": times, "forecast": [1.0, 2.0, 3.0]}))
    assert [json.loads(line)["time"] for line in lines.splitlines()] == [
        "2023-03-25T00:00:00+01:00",
        "2023-03-26T00:00:00+01:00",
        "2023-03-27T00:00:00+02:00",
    ]


@pytest.mark.fuzz  # most of the time is what imports take
@pytest.mark.xdist_group("verbs")
def test_every_verb_imports_what_it_needs(
    bare, classify_run, generate_run, labelled_file, tmp_path
):
    out = tmp_path / "run"
    small = ("-s", "max_steps=2", "-s", "resamples=10", "-q")
    for arguments in (
        ("train", "classify", labelled_file, "--out", out, *small),
        ("resume", out),
        ("evaluate", out, labelled_file),
        ("predict", out, labelled_file),
        ("report", out),
        ("doctor", out),
        ("compare", out, classify_run),
        ("list", tmp_path),
        ("look", "classify", labelled_file),
        ("config", "classify", labelled_file),
        ("generate", generate_run, "--length", 5),
        ("cells",),
        ("tasks",),
        ("check",),
        ("--version",),
    ):
        done = bare(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert done.stdout, arguments


def test_a_transformer_stands_beside_the_model(elman, labelled_file, tmp_path):
    out = tmp_path / "run"
    done = elman(
        "train", "classify", labelled_file, "--out", out, "--reference", "transformer",
        "-s", "max_steps=8", "-s", "hidden_size=16", "-s", "resamples=20", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Transformer \(reference\) +[\d.]+", done.stdout, re.M)
    assert re.search(r"parameters against [\d,]+, trained .* 8 steps against", done.stdout)
    found = json.loads((out / "results.json").read_text())["reference"]
    assert len(found["step_costs"]["transformer"]) == len(found["step_costs"]["lengths"])
    wrong = elman("train", "classify", labelled_file, "--reference", "transformr", "--quiet")
    assert wrong.returncode == 2
    assert "Setting reference cannot be 'transformr'. Did you mean 'transformer'?" in wrong.stderr
