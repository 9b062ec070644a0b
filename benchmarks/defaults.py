"""Train language models with nothing set but a budget, and show what that gives.

    python benchmarks/defaults.py --data FOLDER
    python benchmarks/defaults.py --data FOLDER --only tinyshakespeare:60

Each run is a process of its own, so its time holds imports, reading, baselines, judging and the
report. `saturated` is the share of gate values near 0 or 1 of the worst layer, as the light watch
last measured it. Settings were chosen by validation parts; the test part is scored at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trial:
    """A text, its unit, a budget in seconds, and the score to reach in it."""

    files: tuple[str, ...]
    budget: int
    unit: str = "characters"
    reach: float | None = None
    characters: int | None = None
    """Only so many of the first characters are used."""

    @property
    def name(self) -> str:
        """The folder of the data, and the budget."""
        some = "" if self.characters is None else f"-{self.characters // 1000}k"
        return f"{self.files[0].split('/')[0]}{some}:{self.budget}"


SHAKESPEARE = ("tinyshakespeare/input.txt",)
PTB = ("ptb/ptb.train.txt.gz", "ptb/ptb.valid.txt", "ptb/ptb.test.txt")
TRIALS = (
    Trial(SHAKESPEARE, 20, characters=50_000),
    Trial(SHAKESPEARE, 60, characters=50_000),
    Trial(SHAKESPEARE, 20),
    Trial(SHAKESPEARE, 60, reach=2.35),
    Trial(SHAKESPEARE, 120, reach=2.20),
    Trial(SHAKESPEARE, 300),
    Trial(PTB, 75, "words", reach=230.0),
    Trial(PTB, 300, "words", reach=150.0),
)


def run(trial: Trial, data: Path, threads: int | None) -> dict[str, Any]:
    """Train as a user would; return what is shown."""
    with tempfile.TemporaryDirectory() as folder:
        files = [data / name for name in trial.files]
        if trial.characters is not None:
            files = [Path(folder) / "text.txt"]
            whole = (data / trial.files[0]).read_text(encoding="utf-8")
            files[0].write_text(whole[: trial.characters], encoding="utf-8")
        command = [sys.executable, "-m", "elman", "train", "generate", str(files[0])]
        if len(files) > 1:
            command += ["--valid", str(files[1]), "--test", str(files[2])]
        out = Path(folder) / "run"
        command += ["--budget", f"{trial.budget}s", "--out", str(out), "--json", "--quiet"]
        command += [] if trial.unit == "characters" else ["--set", f"unit={trial.unit}"]
        limit = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        began = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | limit
        )
        took = time.perf_counter() - began
        found = json.loads(done.stdout)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        config = (out / "config.yaml").read_text()
    worst = [max(row["saturation"].values()) for row in rows if row.get("saturation")]
    shape = [line.split(": ")[1] for line in config.splitlines() if _of_shape(line)]
    baselines = {name: one[found["metric"]] for name, one in found["baselines"].items()}
    return {
        "name": trial.name,
        "unit": trial.unit,
        "score": found["test"][found["metric"]],
        "reach": trial.reach,
        "baseline": min(baselines.values()),
        "blend": found.get("blend", {}).get("test", {}).get(found["metric"]),
        "seconds": round(took, 1),
        "seconds by part": found["seconds"],
        "network": "×".join(shape[::-1]),
        "passes": found["training"]["epochs"],
        "saturated": worst[-1] if worst else None,
        "recommended": found["recommended"],
    }


def _of_shape(line: str) -> bool:
    return line.startswith(("  hidden_size: ", "  num_layers: "))


def main() -> None:
    """Run the trials that are asked for, one after another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--only", nargs="+", help="names such as tinyshakespeare:60")
    parser.add_argument("--threads", type=int, help="of each run (default: all)")
    options = parser.parse_args()
    heads = ("data:budget", "score", "to reach", "best baseline", "blend", "whole command")
    print("|", " | ".join((*heads, "network", "saturated")), "|")
    print("|---|---|---|---|---|---|---|---|")
    for trial in TRIALS:
        if options.only and trial.name not in options.only:
            continue
        row = run(trial, options.data, options.threads)
        blend = "" if row["blend"] is None else f"{row['blend']:.4g}"
        reach = "" if row["reach"] is None else f"≤ {row['reach']:g}"
        gates = "" if row["saturated"] is None else f"{row['saturated']:.0%}"
        print(
            f"| {row['name']} | {row['score']:.4g} | {reach} | {row['baseline']:.4g} | {blend} | "
            f"{row['seconds']} s | {row['network']} | {gates} |",
            flush=True,
        )
        print(json.dumps(row), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
