"""Fixtures every test may use."""

from __future__ import annotations

import os
import signal
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


_OPTIMISED = build.FLAGS
_QUICK = tuple("-O1" if flag == "-O3" else flag for flag in build.FLAGS)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compile kernels in two thirds of the time, but where a test is about the kernels."""
    about = {"kernels", "bench"} & set(item.path.parts)
    build.FLAGS = _OPTIMISED if about else _QUICK
