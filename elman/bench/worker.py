"""Work that needs a process of its own: a first call, a peak of memory, flushed denormals.

The process prints a line of JSON for each result.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from elman.bench.report import FLUSHED, Row
from elman.bench.settings import Settings
from elman.errors import RunFailed


def job(name: str, environment: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    """Run a job in a process of its own and return its one result.

    Raises:
        RunFailed: the process ended badly; the message has its last line.
    """
    (result,) = _results(name, environment or {}, arguments)
    return result


def rows(name: str, **arguments: Any) -> Iterator[Row]:
    """Run a job in a process of its own and yield its rows.

    Raises:
        RunFailed: the process ended badly; the message has its last line.
    """
    return map(Row.from_json, _results(name, {}, arguments))


def _results(
    name: str, environment: dict[str, str], arguments: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    code = "from elman.bench.worker import main; main()"
    command = [sys.executable, "-P", "-c", code, name, json.dumps(arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield from map(json.loads, process.stdout)
            said = process.stderr.read().strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        last = said.splitlines()[-1] if said else f"exit status {process.returncode}"
        raise RunFailed(f"The process for {name} failed: {last}")


def _first_use(on: int) -> Iterator[dict[str, Any]]:
    from elman.bench.own_cells import Odd
    from elman.kernels import record, run

    torch.set_num_threads(on)
    x, cell = torch.randn(10, 4, 16, requires_grad=True), Odd(16, 16)
    start = time.perf_counter()
    with record() as choices:
        torch.autograd.grad(run(cell, x).output.sum(), [x, *cell.parameters()])
    yield {"seconds": time.perf_counter() - start, "backend": choices[0].backend}


def _memory(
    whose: str, shape: tuple[int, int, int, int], steps: int, on: int
) -> Iterator[dict[str, Any]]:
    from torch import nn

    import elman.nn
    from elman.kernels import record

    torch.set_num_threads(on)
    _, batch, inputs, hidden = shape
    if whose == "torch":
        layer: nn.Module = nn.LSTM(inputs, hidden)
    else:
        segment = math.isqrt(steps) if whose == "in segments" else None
        layer = elman.nn.LSTM(inputs, hidden, segment=segment)
    x = torch.randn(shape[0], batch, inputs)
    cotangent = torch.randn(shape[0], batch, hidden)
    given = x[:steps].requires_grad_()
    with record() as choices:
        y, _ = layer(given)
        torch.autograd.grad(y, [given, *layer.parameters()], cotangent[:steps])
    found: dict[str, Any] = {"backend": "+".join(sorted({c.backend for c in choices}))}
    status = Path("/proc/self/status")  # ru_maxrss begins with that of the parent
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                found["peak"] = 1024 * int(line.split()[1])
    yield found


def _flushed(rounds: int, quick: bool, on: int) -> Iterator[dict[str, Any]]:
    from elman.bench.layers import whole_rows

    torch.set_flush_denormal(True)  # before the pool starts: its threads inherit it
    torch.set_num_threads(on)
    for row in whole_rows(Settings(rounds=rounds, quick=quick), on):
        yield replace(row, peer=row.peer + FLUSHED).to_json()


JOBS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "first_use": _first_use,
    "memory": _memory,
    "flushed": _flushed,
}


def main() -> None:
    """Run the job that the command line names, with its arguments as JSON."""
    for result in JOBS[sys.argv[1]](**json.loads(sys.argv[2])):
        print(json.dumps(result), flush=True)
