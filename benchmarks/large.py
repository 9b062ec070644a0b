"""Whole commands on large files: time beyond the budget, peak of memory, score, rate of answers.

    python benchmarks/large.py texts 1500000 --budget 20 --predict
    python benchmarks/large.py forecasts 30000 --budget 20
    python benchmarks/large.py text 700000000 --budget 60 --file some.txt

The data are those of `growth.py`, or a file of yours. Each command runs as a process of its own, so
that what a user waits for is measured by the clock, imports and report included: run it on a
machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from growth import TASKS, made


def run(arguments: list[str]) -> tuple[float, float]:
    """Run `elman` with these arguments; return the seconds by the clock and the peak in GB.

    Raises:
        SystemExit: it fails.
    """
    began = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "elman", *arguments], dict(os.environ)
    )
    _, status, used = os.wait4(child, 0)
    took = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"elman {arguments[0]} failed.")
    return took, used.ru_maxrss / 1e6


def main() -> None:
    """Make the data, train within a budget, predict where asked, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=[kind for kind in TASKS if kind != "series"])
    parser.add_argument("size", type=int, help="rows; for text, bytes")
    parser.add_argument("--budget", type=int, default=20, help="seconds of the run")
    parser.add_argument("--file", type=Path, help="of yours, in place of made-up data")
    parser.add_argument("--predict", action="store_true", help="predict all rows afterwards")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file
        if path is None:
            path = Path(folder) / ("data.txt" if asked.kind == "text" else "data.csv")
            made(asked.kind, asked.size, path)
        out = Path(folder) / "run"
        told = ["--set", "group=id"] if asked.kind == "forecasts" else []
        command = ["train", TASKS[asked.kind], str(path), "--out", str(out)]
        took, peak = run([*command, "--budget", f"{asked.budget}s", *told])
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
        lines = {
            "file, MB": round(path.stat().st_size / 1e6, 1),
            "whole command, s": round(took, 1),
            "beyond the budget, s": round(took - asked.budget, 1),
            "peak of memory, GB": round(peak, 2),
            "score": results["test"],
            "seconds": results["seconds"],
            "verdict": results["verdict"],
        }
        if asked.predict:
            took, peak = run(["predict", str(out), str(path), "--out", f"{folder}/answers.csv"])
            lines["predict, s"] = round(took, 1)
            lines["answers a second"] = round(asked.size / took)
            lines["peak of memory of predict, GB"] = round(peak, 2)
        sys.stdout.write(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
