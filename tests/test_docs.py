"""The tutorials say what is true: each is run from top to bottom."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from elman.cells import CELLS, make
from elman.kernels import explain

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (
    "doctor",
    "growing",
    "kernels",
    "looking",
    "numerics",
    "tasks/answers",
    "tasks/generate",
    "tasks/key-phrases",
    "tasks/regress",
    "tasks/tag",
    "tasks/translate",
)
TUTORIALS = [
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "modalities").glob("*.md")),
    *[DOCS / f"{page}.md" for page in PAGES],
]


SLOW = ("answers", "from-a-paper", "generate", "regress")
SLOWER = ("growing", "key-phrases", "translate")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            p,
            marks=[pytest.mark.fuzz] * (p.stem in SLOW) + [pytest.mark.slow] * (p.stem in SLOWER),
            id=p.stem,
        )
        for p in TUTORIALS
    ],
)
def test_tutorial_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    assert blocks
    names: dict[str, object] = {"__name__": "tutorial"}
    with mock.patch.dict(CELLS):  # a page may put in a cell of its own
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)


def test_the_c_on_the_page_is_the_c_that_is_made():
    source = explain(make("gru_cho", 3, 4), torch.zeros(20, 2, 3)).source
    made = {line.strip() for line in source.splitlines()}
    page = (DOCS / "kernels.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```c\n(.*?)^```", page, re.S | re.M)
    for line in shown.splitlines():
        assert line.strip() in made | {"…"}


def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    assert blocks
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


@pytest.fixture
def table(monkeypatch, capsys):
    """Give what a program of `benchmarks` prints of what was measured."""

    def printed(name: str) -> str:
        program = str(ROOT / "benchmarks" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [program, "--table"])
        runpy.run_path(program, run_name="__main__")
        return capsys.readouterr().out.strip()

    return printed


def test_figures_are_those_that_were_measured(table):
    kept = json.loads((ROOT / "benchmarks" / "figures.json").read_text(encoding="utf-8"))
    assert kept
    figures = table("figures")
    for page in ("README.md", "docs/figures.md"):
        assert figures in (ROOT / page).read_text(encoding="utf-8"), page


def test_numerics_are_those_that_were_measured(table):
    kept = json.loads((ROOT / "benchmarks" / "numerics.json").read_text(encoding="utf-8"))
    assert table("numerics") in (DOCS / "numerics.md").read_text(encoding="utf-8")
    assert kept["cells"].keys() >= CELLS.keys()
    for name, found in kept["cells"].items():
        for target in kept["targets"]:
            single, double = found[f"{target} float32"], found[f"{target} float64"]
            assert single["values"] <= 1e-5, (name, target)
            assert single["gradients"] <= 1e-4, (name, target)
            assert max(double.values()) <= 1e-12, (name, target)


def test_evidence_for_the_doctor_is_what_was_measured(table):
    evidence = table("doctor")
    assert evidence
    assert evidence in (DOCS / "doctor.md").read_text(encoding="utf-8")
