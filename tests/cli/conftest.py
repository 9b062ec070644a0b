"""Small runs to point the command at."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


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
def generate_run(elman: Command, text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of task `generate`."""
    out = tmp_path_factory.mktemp("runs") / "generate"
    done = elman(
        "train", "generate", text_file, "--out", out,
        "-s", "max_steps=40", "-s", "checkpoints=last", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def classify_run(
    elman: Command, labelled_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of task `classify`."""
    out = tmp_path_factory.mktemp("runs") / "classify"
    done = elman(
        "train", "classify", labelled_file, "--out", out,
        "-s", "epochs=8", "-s", "bidirectional=false", "-s", "checkpoints=last", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def forecast_run(
    elman: Command, series_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of task `forecast`."""
    out = tmp_path_factory.mktemp("runs") / "forecast"
    done = elman(
        "train", "forecast", series_file, "--out", out,
        "-s", "horizon=7", "-s", "max_steps=40", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out
