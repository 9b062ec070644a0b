"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from elman.kernels import build

torch.set_num_threads(1)

# A shell's background jobs ignore Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets, or a skip that says how to have one."""
    told = os.environ.get("ELMAN_DATA")
    folder = Path(told) if told else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set ELMAN_DATA to a folder that has it")
    return folder


_WITHOUT_PICTURES = {
    "test_brief.py",
    "test_format_1.py",
    "test_growing.py",
    "test_keeping.py",
    "test_pipeline.py",
}
"""Files beside those of tasks and modalities whose tests look at no picture."""


@pytest.fixture(autouse=True, scope="module")
def undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put an empty picture in the place of every picture where no test looks at one.

    Drawing took half of their time. The conformance test, the tests of reports and pages, and
    those of the command draw them.
    """
    place = request.path
    if "tests" not in place.parts or not (
        place.parent.name in {"tasks", "modalities"} or place.name in _WITHOUT_PICTURES
    ):
        yield
        return
    from elman.runs import report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "svg", lambda figure: "<svg></svg>")
        yield


_ALONE = {"kernels", "cells", "nn"}
"""Folders whose tests share next to nothing."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file, and of the command, by one worker: what they share is made once."""
    for item in items:
        parts = set(item.path.parts)
        if not _ALONE & parts and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("cli" if "cli" in parts else item.path.name))


_OPTIMISED = build.FLAGS
_QUICK, _PLAIN = (
    tuple(level if flag == "-O3" else flag for flag in build.FLAGS) for level in ("-O1", "-O0")
)
_OF_RULES = {
    "test_derive.py",
    "test_dispatch.py",
    "test_keep_every.py",
    "test_ops.py",
    "test_reads.py",
    "test_trace.py",
}
"""Tests of many small kernels that are about what is computed, not about how fast."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compile kernels in two thirds of the time, but where a test is about the kernels."""
    about = {"kernels", "bench"} & set(item.path.parts)
    build.FLAGS = _OPTIMISED if about else _QUICK
    if item.path.name in _OF_RULES:
        build.FLAGS = _PLAIN


Command = Callable[..., subprocess.CompletedProcess[str]]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def forked(folder: Path, outputs: Path, *modules: str) -> Iterator[Command]:
    """Run `elman` as a process forks that has imported some modules; see `forking.py`."""
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forking.py"), *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    done = 0

    def run(
        *arguments: object,
        cwd: Path = folder,
        typed: bytes | None = None,
        terminal: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        nonlocal done
        assert server.stdin is not None
        assert server.stdout is not None
        done += 1
        files = {name: outputs / f"{done}-{name}" for name in ("stdout", "stderr")}
        told = [str(a) for a in arguments]
        given = Path(os.devnull)
        if typed is not None:
            given = outputs / f"{done}-stdin"
            given.write_bytes(typed)
        order = {"arguments": told, "cwd": str(cwd), "stdin": str(given)}
        order |= {n: str(f) for n, f in files.items()}
        if terminal is not None:  # what is printed is read from it, not from a file
            order |= {"stdin": terminal, "stdout": terminal}
            files["stdout"].touch()
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = {name: file.read_text() for name, file in files.items()}
        return subprocess.CompletedProcess(["elman", *told], status, **said)

    yield run
    server.stdin.close()
    server.wait(timeout=10)


OURS = (
    "cli.app",
    "data",
    "inspect.runs",
    "tasks.classify.task",
    "tasks.forecast.task",
    "tasks.generate.task",
    "tasks.translate.task",
)
THEIRS = "matplotlib.figure", "pandas", "pyarrow", "sklearn.linear_model", "torch._dynamo"


@pytest.fixture(scope="session")
def elman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Run `elman` with arguments in a folder of its own, with all that it needs imported before."""
    folder, outputs = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("outputs")
    yield from forked(folder, outputs, *(f"elman.{name}" for name in OURS), *THEIRS)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Do as `elman` where only torch and pandas are imported, which takes the longest.

    The command must import by itself whatever else it needs.
    """
    folder, outputs = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("outputs")
    yield from forked(folder, outputs, "torch", "pandas")
