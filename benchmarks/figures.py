"""The figures of the README, each by one command, on public data.

    python benchmarks/figures.py --data FOLDER tinyshakespeare
    python benchmarks/figures.py --table

FOLDER holds one folder a data set, as `docs/figures.md` describes. Each run is
an ordinary `elman.train` with the settings below; what it scored is kept in
`figures.json` beside this file, from which the table is made.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import elman

RESULTS = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Figure:
    """One data set: where its files are, how it is trained, what is to be reached."""

    task: str
    data: Any
    valid: Any = None
    test: Any = None
    metric: str = "accuracy"
    reach: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Path, Path], dict[str, Any]] | None = None
    note: str = ""
    below: bool = field(default=True)

    def reached(self, score: float) -> bool:
        """Whether `score` is as good as was to be reached."""
        return score <= self.reach if self.below else score >= self.reach


def sst2(folder: Path, work: Path) -> dict[str, Any]:
    """`<label> <sentence>` a line becomes a table with two columns."""
    import pandas as pd

    made = {}
    for part, name in (("data", "train"), ("valid", "dev"), ("test", "test")):
        lines = (folder / f"sst2/stsa.binary.{name}.txt").read_text(encoding="utf-8").splitlines()
        rows = [line.split(" ", 1) for line in lines]
        made[part] = work / f"{name}.csv"
        pd.DataFrame(rows, columns=["label", "text"]).to_csv(made[part], index=False)
    return made


PTB = ["ptb/ptb.train.txt.gz", "ptb/ptb.valid.txt", "ptb/ptb.test.txt"]

FIGURES: dict[str, Figure] = {
    "ptb": Figure(
        "generate",
        *PTB,
        metric="perplexity",
        reach=115,
        note="words, 2×200 LSTM without regularisation, as Zaremba et al. 2014: 114.5",
        settings={
            "unit": "words",
            "hidden_size": 200,
            "num_layers": 2,
            "dropout": 0.0,
            "batch_size": 20,
            "k1": 20,
            "init_scale": 0.1,
            # The paper's loss is a sum over 20 steps: rate 1 and norm 5 of it are these of a mean.
            "optimizer": "sgd",
            "lr": 20.0,
            "clip_at": 0.25,
            "schedule": "step",
            "decay": 0.5,
            "decay_after": 4,
            "epochs": 13,
        },
    ),
    "ptb-dropout": Figure(
        "generate",
        *PTB,
        metric="perplexity",
        reach=105,
        note="words, 2×256 LSTM, dropout, tied weights",
        settings={
            "unit": "words",
            "hidden_size": 256,
            "num_layers": 2,
            "tied": True,
            "dropout": 0.4,
            "batch_size": 64,
            "k1": 35,
            "lr": 4e-3,
            "weight_decay": 0.01,
            "clip_at": 0.5,
            "epochs": 10,
        },
    ),
    "etth1": Figure(
        "forecast",
        "etth1/ETTh1.csv.gz",
        metric="scaled_mse",
        reach=0.38,
        note="horizon 96, seven variables, standard split; DLinear 0.375, SegRNN about 0.34",
        settings={
            "horizon": 96,
            "rows": [8640, 2880, 2880],
            "lookback": 336,
            "metric": "scaled_mse",
            "max_steps": 600,
        },
    ),
    "m4_hourly": Figure(
        "forecast",
        "m4_hourly/Hourly-train.csv.gz",
        None,
        "m4_hourly/Hourly-test.csv",
        metric="smape",
        reach=12.0,
        note="414 series, horizon 48; ES-RNN, the winner, 9.33",
        settings={
            "season": 24,
            "lookback": 336,
            "metric": "smape",
            "log": True,
            "window_norm": "standard",
            "batch_size": 128,
            "max_steps": 1500,
        },
    ),
}


def measure(name: str, data: Path, out: Path) -> dict[str, Any]:
    figure = FIGURES[name]
    with tempfile.TemporaryDirectory() as work:
        parts: dict[str, Any] = {"data": figure.data, "valid": figure.valid, "test": figure.test}
        parts = {
            part: [data / p for p in paths] if isinstance(paths, list) else paths and data / paths
            for part, paths in parts.items()
        }
        if figure.prepare is not None:
            parts |= figure.prepare(data, Path(work))
        started = time.perf_counter()
        finished = elman.train(
            figure.task,
            parts["data"],
            out / f"{name}-{time.strftime('%H%M%S')}",
            valid=parts["valid"],
            test=parts["test"],
            **figure.settings,
        )
        seconds = time.perf_counter() - started
    results = finished.results
    score = results["test"][figure.metric]
    lines = {
        "score": score,
        "ci95": results["ci95"][figure.metric],
        "reach": figure.reach,
        "reached": figure.reached(score),
        "baselines": {n: m.get(figure.metric) for n, m in results["baselines"].items()},
        "verdict": results["verdict"],
        "metric": figure.metric,
        "task": figure.task,
        "note": figure.note,
        "seconds": {**results["seconds"], "all": round(seconds, 1)},
        "parameters": results["parameters"],
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": results["versions"],
        "date": time.strftime("%Y-%m-%d"),
    }
    return lines


def table() -> str:
    """The figures as a Markdown table."""
    rows = [
        "| data | metric | ours | 95 % interval | best baseline | to reach | time to train |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, kept in json.loads(RESULTS.read_text()).items():
        scores = {n: v for n, v in kept["baselines"].items() if v is not None}
        figure = FIGURES[name]
        best = (min if figure.below else max)(scores, key=lambda n: scores[n], default="none")
        low, high = kept["ci95"]
        sign = "≤" if figure.below else "≥"
        rows.append(
            f"| {name}{f' ({figure.note})' if figure.note else ''} "
            f"| {kept['metric'].replace('_', ' ')} | **{kept['score']:.4g}** "
            f"| {low:.4g} – {high:.4g} | {best} {scores.get(best, float('nan')):.4g} "
            f"| {sign} {figure.reach:g}{'' if kept['reached'] else ' (missed)'} "
            f"| {kept['seconds']['train']:.0f} s |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"))
    parser.add_argument("--table", action="store_true", help="print what was measured")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in FIGURES or asked.data is None:
            parser.error(f"name one of {', '.join(FIGURES)} and give --data")
        found = measure(name, asked.data, asked.out)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | {name: found}, indent=1, ensure_ascii=False) + "\n")
        print(json.dumps({name: found}, ensure_ascii=False))
    if asked.table:
        print(table())


if __name__ == "__main__":
    main()
