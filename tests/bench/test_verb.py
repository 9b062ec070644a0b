"""`elman bench`, run as a person would, on sizes that take no time."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from elman.cli import main

ROOT = Path(__file__).parents[2]
QUICK = ("--quick", "--rounds", "1", "--threads", "1")
ROW = {
    "group": str,
    "work": str,
    "shape": str,
    "threads": int,
    "value": float | None,
    "unit": str,
    "low": float | None,
    "high": float | None,
    "peer": str,
    "ours": float | None,
    "theirs": float | None,
    "goal": dict | None,
    "share": float | None,
    "allowed": float | None,
    "backend": str,
    "difference": float | None,
    "reached": bool | None,
}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "elman", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"NO_COLOR": "1"},
    )


def checked(report: dict) -> dict:
    assert report.keys() == {
        "format", "machine", "settings", "interrupted", "failures", "rows", "notes",
    }  # fmt: skip
    assert report["machine"].keys() >= {
        "cpu", "cores", "target", "compiler", "torch", "python", "elman", "date",
    }  # fmt: skip
    assert str(ROOT) not in json.dumps(report), "no path of the machine"
    for row in report["rows"]:
        assert row.keys() == ROW.keys()
        for key, kind in ROW.items():
            assert isinstance(row[key], kind), (key, row[key])
    assert all(note.keys() == {"group", "text"} for note in report["notes"])
    return report


@pytest.mark.fuzz
def test_json_file_and_picture(tmp_path):
    kept, drawn = tmp_path / "b.json", tmp_path / "b.png"
    done = bench(
        *QUICK, "--only", "cells", "--only", "lengths", "--json", "--out", kept, "--picture", drawn
    )
    assert done.returncode == 0, done.stderr
    report = checked(json.loads(done.stdout))
    assert report == json.loads(kept.read_text())
    assert report["settings"]["quick"]
    assert report["settings"]["threads"] == [1]
    assert not report["failures"]
    assert {row["group"] for row in report["rows"]} == {"cells", "lengths"}
    assert {row["backend"] for row in report["rows"]} == {"cpu"}
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert "odd cell training" in done.stderr, "rows are told as they come"


def ended(*arguments: str) -> int:
    """Run `elman bench` in this process; return its exit status."""
    with pytest.raises(SystemExit) as ending:
        main(["bench", *QUICK, *arguments])
    return ending.value.code or 0


def test_a_table_for_people(capsys):
    status = ended("--only", "scan")
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "minLSTM training" in said.out
    assert "kernels, torch" in said.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--only", "layer"), "Did you mean 'layers'?"),
        (("--only", "zzz"), "Choose from 'limits'"),
        (("--out", "figures.csv"), "Use .json."),
        (("--picture", "figures.pdf"), "Use .svg or .png."),
        (("--out", "no_such_folder/b.json"), "no such folder"),
    ],
)
def test_refused_before_anything_is_measured(arguments, expected, capsys):
    assert ended(*arguments) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert not said.out


def test_ctrl_c_ends_with_what_there_is(tmp_path):
    kept = tmp_path / "b.json"
    command = [
        sys.executable, "-m", "elman", "bench", "--quick", "--rounds", "1000000", "--threads", "1",
        "--only", "limits", "--only", "lengths", "--out", str(kept),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("limits: reading memory"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "Stopped: these are the figures so far."
    assert "reading memory" in stdout
    report = checked(json.loads(kept.read_text()))
    assert report["interrupted"]
    assert {row["group"] for row in report["rows"]} == {"limits"}


def test_the_page_has_the_figures_that_were_measured(monkeypatch, capsys):
    program = str(ROOT / "benchmarks" / "kernels.py")
    monkeypatch.setattr(sys, "argv", [program, "--table"])
    runpy.run_path(program, run_name="__main__")
    table = capsys.readouterr().out
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- bench -->\n")
    between, end, _ = rest.partition("<!-- /bench -->\n")
    assert end
    assert between.strip() == table.strip()
    (drawn,) = re.findall(r"!\[.*\]\((.*)\)", between)
    assert 0 < (ROOT / "docs" / drawn).stat().st_size < 150_000
