"""Another package adds a task and a modality by entry points, and `elman train` finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "elman-shouting"
version = "1.0"

[project.entry-points."elman.tasks"]
shout = "elman_shouting:Shout"

[project.entry-points."elman.modalities"]
loud = "elman_shouting:Loud"
""",
    "elman_shouting.py": '''
from elman.modalities.text import Text, TextCodec
from elman.tasks.classify.task import Classify


class LoudCodec(TextCodec):
    """Text in capitals."""

    modality = "loud"

    def encode(self, cell):
        return super().encode(cell.upper())


class Loud(Text):
    """Text that is read in capitals; chosen with modality=loud."""

    name = "loud"
    summary = "text in capitals"

    @classmethod
    def fit(cls, cells, settings):
        return LoudCodec(super().fit([c.upper() for c in cells], settings).vocabulary, settings)

    @classmethod
    def codec(cls, about, settings):
        return LoudCodec(super().codec(about, settings).vocabulary, settings)


class Shout(Classify):
    """A label for each text, shouted."""

    name = "shout"
    summary = "a label, shouted"

    def columns(self, found, outputs):
        made = super().columns(found, outputs)
        return made | {"prediction": [said.upper() for said in made["prediction"]]}
''',
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A fresh environment in which the package is installed beside this one's libraries."""
    folder = tmp_path_factory.mktemp("other")
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    site = folder / "site"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("--target", str(site), str(folder)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())])}


def elman(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "elman", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.fuzz  # installs a package
def test_a_task_and_a_modality_of_another_package(
    environment: dict[str, str], tmp_path: Path
) -> None:
    table = elman(environment, "tasks").stdout
    assert "shout" in table
    assert "loud" in table.splitlines()[0]
    data = tmp_path / "words.csv"
    rows = [f"the cat {n},yes\nno cat {n},no" for n in range(30)]
    data.write_text("text,label\n" + "\n".join(rows) + "\n")
    trained = elman(
        environment,
        *("train", "shout", str(data), "--out", str(tmp_path / "run"), "--json", "--quiet"),
        *("--set", "modality=loud", "--set", "max_steps=3", "--set", "hidden_size=4"),
        *("--set", "resamples=10", "--set", "lower=false"),
    )
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["task"] == "shout"
    symbols = json.loads((tmp_path / "run/assets/input.json").read_text())["vocabulary"]["symbols"]
    assert symbols[2:]
    assert all(s == s.upper() for s in symbols[2:])
    said = elman(environment, "predict", str(tmp_path / "run"), str(data), "--json")
    assert {json.loads(line)["prediction"] for line in said.stdout.splitlines()} <= {"YES", "NO"}


def test_without_the_package_the_task_is_not_there(tmp_path: Path) -> None:
    found = elman(dict(os.environ), "train", "shout", str(tmp_path / "nothing.csv"))
    assert found.returncode == 2
    assert "there is no task 'shout'" in found.stderr
