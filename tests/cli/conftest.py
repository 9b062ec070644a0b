"""Small runs to point the command at."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def _terminal(typed: Sequence[bytes], drawn: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the name of a terminal in which something is typed, and what it shows.

    What is typed comes piece by piece, each when `drawn` was shown once more.
    """
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    waiting = list(typed)

    def read() -> None:
        while b"\0" not in (piece := os.read(ours, 4096)):
            shown.append(piece)
            if waiting and b"".join(shown).count(drawn) > len(typed) - len(waiting):
                os.write(ours, waiting.pop(0))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield os.ttyname(theirs), shown
    os.write(theirs, b"\0")
    reader.join(timeout=10)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def terminal() -> Callable[..., object]:
    """Make a terminal to type in; see `_terminal`."""
    return _terminal


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


@pytest.fixture(scope="session")
def talk_run(elman: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of task `translate` on dialogues in which each question has one answer."""
    folder = tmp_path_factory.mktemp("talks")
    rng = np.random.default_rng(3)
    topics = ["tea", "rain", "golf", "jazz", "cars", "fish", "snow", "film", "rome", "bread", "art"]
    drawn = [rng.choice(topics, 2, replace=False) for _ in range(120)]
    lines = [f"do you like {a} ? __eou__ yes , {a} and {b} . __eou__ good ." for a, b in drawn]
    (folder / "talks.txt").write_text("\n".join(lines))
    done = elman(
        "train", "translate", folder / "talks.txt", "--out", folder / "run",
        "-s", "unit=words", "-s", "epochs=8", "-s", "lr=0.02", "-s", "batch_size=16",
        "-s", "turns=2", "-s", "dropout=0", "-s", "beam=2", "-s", "checkpoints=last", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "run"
