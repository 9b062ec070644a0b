"""One step of a stream from `elman.load(run).stream()`, in microseconds of processor time.

    python benchmarks/stream_step.py
    python benchmarks/stream_step.py --beside FOLDER

Trains a small classifier of series and a small forecaster, then times `step` on one thread.
`--beside` names a checkout of another commit: the same is timed there, in turns, each in its own
process, and ratios are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS, STEPS = 5, 200


def main() -> None:
    """Time here, or here and beside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="a checkout of another commit")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return
    here = Path(__file__).parents[1]
    places = [here, *([arguments.beside.resolve()] if arguments.beside else [])]
    workers = [start(place) for place in places]
    found: list[dict[str, list[float]]] = [{} for _ in places]
    for _ in range(ROUNDS):
        for worker, times in zip(workers, found, strict=True):
            for name, value in ask(worker).items():
                times.setdefault(name, []).append(value)
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    for name in found[0]:
        ours = median(found[0][name])
        line = f"{name:<24}{ours:9.1f} µs"
        if len(found) > 1:
            other = median(found[1][name])
            line += f"   beside {other:9.1f} µs   ratio {other / ours:.1f}"
        print(line)


def start(place: Path) -> Any:
    """Start a worker that imports the package of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--worker"],
        cwd=place,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(worker: Any) -> dict[str, float]:
    """Let a worker time a round."""
    worker.stdin.write("go\n")
    worker.stdin.flush()
    found: dict[str, float] = json.loads(worker.stdout.readline())
    return found


def work() -> None:
    """Train both models, then time a round for each line that comes."""
    import numpy as np
    import pandas as pd
    import torch

    import elman

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(30, 3)) for _ in range(40)]
    labelled = pd.DataFrame({"series": series, "label": ["a", "b"] * 20})
    hours = pd.date_range("2024-01-01", periods=600, freq="h")
    wave = 10 + np.sin(np.arange(600) / 24 * 6.28) + rng.normal(size=600) / 5
    table = pd.DataFrame({"time": hours, "load": wave})
    small = {"max_steps": 3, "progress": False, "resamples": 0, "hidden_size": 128}
    with tempfile.TemporaryDirectory() as folder:
        classify = elman.train(
            "classify", labelled, Path(folder) / "a", bidirectional=False, **small
        )
        forecast = elman.train("forecast", table, Path(folder) / "b", horizon=24, **small)
        streams = {
            "classify (GRU 128)": (elman.load(classify.path).stream(), [1.0, 2.0, 3.0]),
            "forecast (72 back, 24 on)": (elman.load(forecast.path).stream(), 10.0),
        }
        first = {"time": "2024-02-01 00:00", "load": 10.0}
        streams["forecast (72 back, 24 on)"][0].step(first)
        for _ in sys.stdin:
            took = {}
            for name, (stream, value) in streams.items():
                begun = time.process_time()
                for _ in range(STEPS):
                    stream.step(value)
                took[name] = (time.process_time() - begun) / STEPS * 1e6
            print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
