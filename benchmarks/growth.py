"""How time and memory grow with the data: every step by itself, in a process of its own a size.

    python benchmarks/growth.py texts --smallest 10000 --largest 1000000
    python benchmarks/growth.py series --smallest 100 --largest 30000
    python benchmarks/growth.py text --smallest 1000000 --largest 2000000000

Sizes (rows; bytes of text) are doubled from the smallest to the largest. Time is processor time,
since a busy machine says nothing by its clock, and the exponent of each step is the slope of its
logarithm over that of the size. An exponent above 1.1 is a fault, and the program then ends with 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

FAULT = 1.1
"""The exponent above which a step does not grow in a straight line."""
NOTICED = 0.05
"""Seconds that a step takes at the largest size at least to be judged: less is noise."""
TASKS = {"texts": "classify", "series": "classify", "forecasts": "forecast", "text": "generate"}
BUDGET = "1s"
"""It bounds what baselines are fitted on, as in a run of any length; nothing is trained."""


def made(kind: str, size: int, path: Path) -> None:
    """Write made-up data: texts with labels, series with labels, series to forecast, or one text.

    Args:
        kind: one of `TASKS`.
        size: rows, series, or bytes of text.
        path: the file to write.
    """
    generator = np.random.default_rng(0)
    words = np.array(["".join(generator.choice(list("aeioumnprst"), 5)) for _ in range(5000)])
    chances = 1 / np.arange(1, len(words) + 1)
    chances /= chances.sum()
    with path.open("w", encoding="utf-8") as file:
        if kind == "text":
            for _ in range(0, size, 60_000):
                file.write(" ".join(generator.choice(words, 10_000, p=chances)) + "\n")
            return
        file.write({"texts": "text,label\n", "series": "series,label\n"}.get(kind, "id,t,value\n"))
        for row in range(size):
            code = row % 4
            if kind == "texts":
                some = generator.choice(words, generator.integers(5, 15), p=chances)
                file.write(f'"{words[code]}, {" ".join(some)}",c{code}\n')
            elif kind == "series":
                curve = np.sin(np.arange(60) * (1 + code) / 5) + generator.normal(0, 1, 60)
                file.write(f'"{json.dumps(curve.round(3).tolist())}",c{code}\n')
            else:
                values = (generator.normal(0, 1, 60).cumsum() + code).round(3)
                file.writelines(f"s{row},{step},{value}\n" for step, value in enumerate(values))


def steps(kind: str, path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each step of a run by name, without training; a step may use those before it."""
    from elman.runs import pipeline
    from elman.tasks import TASKS as known
    from elman.tasks.settings import settings_of

    task_class = known[TASKS[kind]]
    held: dict[str, Any] = {}

    def keep(name: str, make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: held.__setitem__(name, make())

    told = {"group": "id"} if kind == "forecasts" else {}
    settings = settings_of(task_class, {"budget": BUDGET, "hidden_size": 16, **told})
    yield "read, split, fit", keep("task", lambda: task_class.from_data(path, settings))
    task = held["task"]
    yield "understand, encode", lambda: str(task.understood())
    yield "batches", lambda: next(iter(task.batches()))
    model = task.build().eval()
    yield "judge the model", keep("model", lambda: task.evaluate(model))
    yield "baselines", keep("baselines", task.baselines)
    yield "intervals", lambda: pipeline.judge(task, held["model"], held["baselines"])
    yield "report's sections", lambda: task.sections(model, held["model"])
    yield "predict", lambda: task.predict(model, path)
    yield "look", task.look


def measured(kind: str, size: int) -> dict[str, tuple[float, float]]:
    """Return the processor seconds of each step, and the peak of memory after it in GB."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("data.txt" if kind == "text" else "data.csv")
        made(kind, size, path)
        # What is imported and compiled at the first use is not what is to be measured.
        first = Path(folder) / f"first{path.suffix}"
        made(kind, 400 if kind != "text" else 60_000, first)
        for _, run in steps(kind, first):
            run()
        for name, run in steps(kind, path):
            began = time.process_time()
            run()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            found[name] = (time.process_time() - began, peak)
    return found


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log(seconds) over log(size) by least squares.

    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    logs = np.log(np.maximum(seconds, 1e-4))
    return float(np.polyfit(np.log(sizes), logs, 1)[0])


def table(found: dict[int, dict[str, tuple[float, float]]]) -> tuple[str, list[str]]:
    """Return a table of all sizes with the exponents, and the steps that are at fault."""
    sizes = sorted(found)
    lines = [f"{'seconds of the processor':26}" + "".join(f"{size:>14,}" for size in sizes)]
    faults = []
    for name in found[sizes[-1]]:
        seconds = [found[size][name][0] for size in sizes]
        slope = exponent(sizes, seconds) if len(sizes) > 1 else float("nan")
        wrong = slope > FAULT and seconds[-1] >= NOTICED
        faults += [name] if wrong else []
        cells = "".join(f"{one:14.2f}" for one in seconds)
        lines.append(f"{name:26}{cells}   exponent {slope:5.2f}{'  FAULT' if wrong else ''}")
    peaks = "".join(f"{max(p for _, p in found[size].values()):14.2f}" for size in sizes)
    return "\n".join([*lines, f"{'peak of memory, GB':26}{peaks}"]), faults


def main() -> int:
    """Measure all sizes and print the table; 1 where a step is at fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=list(TASKS))
    parser.add_argument("--smallest", type=int, required=True)
    parser.add_argument("--largest", type=int, required=True)
    parser.add_argument("--one", action="store_true", help="measure the smallest, print JSON")
    asked = parser.parse_args()
    if asked.one:
        sys.stdout.write(json.dumps(measured(asked.kind, asked.smallest)))
        return 0
    found: dict[int, dict[str, tuple[float, float]]] = {}
    size = asked.smallest
    while size <= asked.largest:
        one = [__file__, asked.kind, "--smallest", str(size), "--largest", str(size), "--one"]
        done = subprocess.run(
            [sys.executable, *one], stdout=subprocess.PIPE, check=True, encoding="utf-8"
        )
        found[size] = json.loads(done.stdout)
        size *= 2
    shown, faults = table(found)
    sys.stdout.write(f"{shown}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
