"""Train each task with nothing set but a budget, and show how well the whole command keeps to it.

    python benchmarks/budgets.py --data FOLDER
    python benchmarks/budgets.py --data FOLDER --only classify tag --budgets 90

Each run is a process of its own, so its time holds imports, reading, baselines, validation, judging
and the report. A run that ends before its time had learnt all it could: its patience or its passes
over the data ended it, and the last column says which.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from figures import fd001

BUDGETS = (75, 150)


@dataclass(frozen=True)
class Trial:
    """A task and its files; settings only where the data cannot be read without them."""

    task: str
    data: str | Callable[[Path], pd.DataFrame]
    valid: str | None = None
    test: str | Callable[[Path], pd.DataFrame] | None = None
    settings: tuple[str, ...] = ()


TRIALS = {
    "generate tinyshakespeare": Trial("generate", "tinyshakespeare/input.txt"),
    "classify rotten_tomatoes": Trial("classify", "rotten_tomatoes"),
    "classify banking77": Trial("classify", "banking77/train.csv", test="banking77/test.csv"),
    "classify arrowhead": Trial(
        "classify", "tsc_arrowhead/ArrowHead_TRAIN.ts", test="tsc_arrowhead/ArrowHead_TEST.ts"
    ),
    "regress cmapss_fd001": Trial(
        "regress",
        partial(fd001, part="train"),
        test=partial(fd001, part="test"),
        settings=("target=RUL", "group=engine", "time=cycle"),
    ),
    "tag wnut17": Trial(
        "tag", "wnut17/train.conll", valid="wnut17/dev.conll", test="wnut17/test.conll"
    ),
    "tag dailydialog": Trial(
        "tag", "dailydialog/dialogues_validation.txt.gz", settings=("target=acts",)
    ),
    "forecast etth1": Trial("forecast", "etth1/ETTh1.csv.gz"),
    "forecast m4_hourly": Trial("forecast", "m4_hourly"),
    "translate multi30k": Trial("translate", "multi30k_en_de", settings=("source=en",)),
}


def run(trial: Trial, data: Path, budget: int) -> dict[str, Any]:
    """Train as a user would; return what is shown."""
    with tempfile.TemporaryDirectory() as folder:

        def file(given: Any, name: str) -> list[str]:
            if given is None:
                return []
            if isinstance(given, str):
                return [str(data / given)]
            given(data).to_csv(path := Path(folder) / f"{name}.csv", index=False)
            return [str(path)]

        out = Path(folder) / "run"
        command = [sys.executable, "-m", "elman", "train", trial.task]
        command += file(trial.data, "train")
        for name in ("valid", "test"):
            if found := file(getattr(trial, name), name):
                command += [f"--{name}", *found]
        for setting in trial.settings:
            command += ["--set", setting]
        command += ["--budget", f"{budget}s", "--out", str(out), "--json", "--quiet"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        took = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout) | {"whole": took}


def main() -> None:
    """Run the trials that are asked for, one after another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--only", nargs="+", help="tasks, or data sets such as wnut17")
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, help="seconds")
    options = parser.parse_args()
    print("| task and data | budget | whole command | of the budget | of it | ended by |")
    print("|---|---|---|---|---|---|")
    for name, trial in TRIALS.items():
        if options.only and not set(options.only) & set(name.split()):
            continue
        for budget in options.budgets:
            row = run(trial, options.data, budget)
            parts = ", ".join(f"{part} {spent:.0f} s" for part, spent in row["seconds"].items())
            print(
                f"| {name} | {budget} s | {row['whole']:.0f} s | {row['whole'] / budget:.0%} | "
                f"{parts} | {row['training'].get('stopped', '')} |",
                flush=True,
            )
            print(json.dumps(row), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
