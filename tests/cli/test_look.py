"""`elman look`, `--version`, and verbs of other names."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import elman as package
from elman.runs.look import look


def test_look_says_and_draws_and_trains_nothing(elman, tmp_path):
    file = tmp_path / "reviews.csv"
    rows = [
        f"a {'good' if i % 2 else 'bad'} film {i},{'pos' if i % 2 else 'neg'}" for i in range(40)
    ]
    file.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    page = tmp_path / "page.html"
    found = elman("look", "classify", file, "--out", page, "--json")
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert dict(said["lines"])["classes"].startswith("2 classes")
    drawn = page.read_text(encoding="utf-8")
    for title in ("Examples of training", "Classes", "Columns", "In several parts"):
        assert f"<h2>{title}</h2>" in drawn
    assert {path.name for path in tmp_path.iterdir()} == {"reviews.csv", "page.html"}
    config = elman("config", "classify", file)
    assert "2 classes" in config.stderr


@pytest.mark.parametrize("task", ["forecast", "generate", "tag", "regress"])
def test_every_task_can_be_looked_at(task, tmp_path):
    rng = np.random.default_rng(0)
    tables = {
        "forecast": pd.DataFrame(
            {"at": pd.date_range("2024-01-01", periods=200, freq="h"), "y": rng.normal(size=200)}
        ),
        "generate": pd.DataFrame({"text": ["one two three"] * 30 + ["four five"] * 30}),
        "tag": pd.DataFrame({"tokens": [["to", "Oslo"]] * 20, "tags": [["O", "B-place"]] * 20}),
        "regress": pd.DataFrame(
            {"s": [rng.normal(size=5).tolist() for _ in range(30)], "target": rng.normal(size=30)}
        ),
    }
    titles = {
        "forecast": "By the calendar",
        "generate": "Commonest symbols",
        "tag": "Labels",
        "regress": "Values of target",
    }
    how = {"horizon": 4} if task == "forecast" else {}
    found, page = look(task, tables[task], **how)
    assert found.lines
    assert titles[task] in page
    assert "<svg" in page


def test_the_version_is_printed(elman):
    found = elman("--version")
    assert found.stdout.strip() == f"elman {package.__version__}"


@pytest.mark.parametrize("name", ["serve", "export", "fit", "test", "forecast", "runs"])
def test_verbs_of_other_names_say_what_to_use(elman, name):
    found = elman(name, "x")
    assert found.returncode == 2
    assert found.stdout == ""
    assert f"there is no verb '{name}'" in found.stderr
    assert "elman" in found.stderr.split(":", 2)[-1]
