"""Runs that end early, and runs in two processes, come to the same model."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

ARGUMENTS = (
    "-s", "max_steps=60", "-s", "hidden_size=16", "-s", "k1=20", "-s", "batch_size=8",
    "-s", "checkpoint_every=5", "-s", "validate_every=20", "-s", "resamples=10", "-q",
)  # fmt: skip


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "elman", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_kill_9_and_resume_is_the_run_that_was_not_killed(elman, text_file, tmp_path, seed):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert elman("train", "generate", text_file, "--out", whole, *ARGUMENTS).returncode == 0
    moments = random.Random(seed)
    process = started("train", "generate", text_file, "--out", killed, *ARGUMENTS)
    for _ in range(2):
        wait_for(killed / "config.yaml", process)
        time.sleep(moments.uniform(0.05, 1.5))
        process.kill()
        process.wait()
        process = started("resume", killed, "-q")
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.fuzz
def test_two_processes_train_the_model_of_one(elman, text_file, tmp_path):
    arguments = (*ARGUMENTS, "-s", "dropout=0", "-s", "precision=float32")
    one, two = tmp_path / "one", tmp_path / "two"
    assert elman("train", "generate", text_file, "--out", one, *arguments).returncode == 0
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "-m", "elman", "train", "generate", str(text_file), "--out", str(two), *arguments,
        ],
        capture_output=True, text=True, timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("recurrent model") == 1, "one process reports"
    ours, theirs = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor - theirs[name]).abs().max() < 1e-4, name
