"""`elman train --from RUN`: a trained model goes on, and what cannot go on is refused."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

NEW = "text,label\n" + "".join(
    f"{words} {sure} plot,{label}\n"
    for words in ("a slow film", "music and story", "with a plot", "the film")
    for sure, label in (("dire", "bad"), ("endless", "long"), ("lengthy", "long"))
    for _ in range(8)
)


@pytest.fixture
def new(tmp_path):
    file = tmp_path / "new.csv"
    file.write_text(NEW)
    return file


def test_a_run_goes_on_from_another_one(elman, classify_run, new, tmp_path):
    out = tmp_path / "grown"
    done = elman(
        "train", "classify", new, "--from", classify_run, "--out", out,
        "-s", "max_steps=4", "-s", "rehearsal=0.5", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 classes and 1 new (long)" in done.stderr
    assert "0.5 of its training data is read again" in done.stderr
    told = json.loads(done.stdout)["grown"]
    assert told["before"]["accuracy"] is not None
    assert told["words"].startswith("The old test part")
    shown = elman("report", out)
    assert told["words"] in shown.stdout
    assert told["words"] in (out / "report.html").read_text()
    assert f"run: {classify_run.resolve()}" in (out / "config.yaml").read_text()
    assert elman("doctor", out, "--quiet").returncode == 0
    assert elman("resume", out, "--quiet", "--json").returncode == 0


def test_a_forecast_goes_on_from_another_one(elman, forecast_run, series_file, tmp_path):
    table = pd.read_csv(series_file)
    values = table.columns[-1]
    new, out = tmp_path / "new.csv", tmp_path / "grown"
    table.assign(**{values: table[values][::-1].to_numpy()}).to_csv(new, index=False)
    done = elman(
        "train", "forecast", new, "--from", forecast_run, "--out", out,
        "-s", "max_steps=4", "-s", "rehearsal=0.5", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 series and 0 new" in done.stderr
    assert "old windows in train" in done.stderr
    told = json.loads(done.stdout)["grown"]
    assert told["before"]["mase"] is not None
    assert told["words"] in elman("report", out).stdout
    assert elman("doctor", out, "--quiet").returncode == 0
    assert elman("resume", out, "--quiet", "--json").returncode == 0
    again = elman("evaluate", out, "--json")
    assert json.loads(again.stdout)["test"] == json.loads(done.stdout)["test"]
    forecasts = elman("predict", out, new, "--json")
    assert forecasts.returncode == 0, forecasts.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("regress", "NEW", "--from", "RUN"), "this run is of the task classify"),
        (("classify", "--from", "RUN"), "DATA"),
        (("classify", "NEW", "--from", "nowhere"), "there is no such run"),
        (("classify", "NEW", "--from", "STOPPED"), "not finished"),
        (("classify", "NEW", "--from", "RUN", "-s", "hidden_size=8"), "hidden_size comes from"),
        (("classify", "NEW", "-s", "rehearsal=0.5"), "goes on from no other one"),
        (("forecast", "NEW", "--from", "FORECAST"), "There is no column"),
        (("forecast", "NEW", "--from", "FORECAST", "-s", "horizon=3"), "horizon comes from"),
    ],
)
def test_what_cannot_go_on_is_refused(
    elman, classify_run, forecast_run, new, tmp_path, arguments, words
):
    stopped = tmp_path / "stopped"
    if "STOPPED" in arguments:
        shutil.copytree(classify_run, stopped)
        (stopped / "results.json").unlink()
    places = {"NEW": new, "RUN": classify_run, "STOPPED": stopped, "FORECAST": forecast_run}
    out = tmp_path / "out"
    done = elman("train", *(places.get(word, word) for word in arguments), "--out", out)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not out.exists()
