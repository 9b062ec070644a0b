"""The command run as a process, and small runs to point it at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All by one worker, so that runs are trained once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cli"))


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def elman(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Run `elman` with arguments, in a folder of its own."""
    folder = tmp_path_factory.mktemp("cwd")

    def run(*arguments: object, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "elman", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=cwd,
            env=os.environ | ENVIRONMENT,
        )

    return run


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The same in a third of the time; see `forking.py`."""
    folder, outputs = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("outputs")
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forking.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    done = 0

    def run(*arguments: object, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        nonlocal done
        assert server.stdin is not None
        assert server.stdout is not None
        done += 1
        files = {name: outputs / f"{done}-{name}" for name in ("stdout", "stderr")}
        told = [str(a) for a in arguments]
        order = {"arguments": told, "cwd": str(cwd)} | {n: str(f) for n, f in files.items()}
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = {name: file.read_text() for name, file in files.items()}
        return subprocess.CompletedProcess(["elman", *told], status, **said)

    yield run
    server.stdin.close()
    server.wait(timeout=10)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words drawn from a small grammar, so that a model has something to learn."""
    rng = np.random.default_rng(0)
    subjects, verbs = ["the cat", "a dog", "one bird"], ["sees", "likes", "fears"]
    lines = [
        f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(subjects)}." for _ in range(700)
    ]
    file = tmp_path_factory.mktemp("text") / "grammar.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="session")
def labelled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences with a label that one of their words decides."""
    rng = np.random.default_rng(1)
    filler = ["film", "story", "with", "a", "slow", "plot", "and", "music"]
    rows = ["text,label"]
    for _ in range(240):
        good = rng.random() < 0.5
        words = [*rng.choice(filler, 5), "splendid" if good else "dreadful"]
        rng.shuffle(words)
        rows.append(f"{' '.join(words)},{'good' if good else 'bad'}")
    file = tmp_path_factory.mktemp("labelled") / "reviews.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture(scope="session")
def series_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A daily series with a week in it."""
    rng = np.random.default_rng(2)
    days = np.arange("2020-01-01", "2021-06-01", dtype="datetime64[D]")
    values = (
        10 + 3 * np.sin(2 * np.pi * np.arange(len(days)) / 7) + 0.2 * rng.normal(size=len(days))
    )
    file = tmp_path_factory.mktemp("series") / "sales.csv"
    rows = [f"{d},{v:.4f}" for d, v in zip(days, values, strict=True)]
    file.write_text("date,sales\n" + "\n".join(rows) + "\n")
    return file


SMALL = ("-s", "hidden_size=16", "-s", "resamples=50", "--quiet")


@pytest.fixture(scope="session")
def generate_run(
    forked: Command, text_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of task `generate`."""
    out = tmp_path_factory.mktemp("runs") / "generate"
    done = forked("train", "generate", text_file, "--out", out, "-s", "max_steps=40", *SMALL)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def classify_run(
    forked: Command, labelled_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of task `classify`."""
    out = tmp_path_factory.mktemp("runs") / "classify"
    done = forked(
        "train", "classify", labelled_file, "--out", out,
        "-s", "epochs=8", "-s", "bidirectional=false", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def forecast_run(
    forked: Command, series_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of task `forecast`."""
    out = tmp_path_factory.mktemp("runs") / "forecast"
    done = forked(
        "train", "forecast", series_file, "--out", out,
        "-s", "horizon=7", "-s", "max_steps=40", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out
