"""The measured errors of docs/numerics.md: every cell against the reference in float64.

    python benchmarks/numerics.py            # measure, keep, fill the page
    python benchmarks/numerics.py --page     # fill the page from what was kept
    python benchmarks/numerics.py --table    # print that

Each instruction set that this processor has is measured in a process of its own. What is found is
kept in `numerics.json` beside this file.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.bench.outcome import outcome
from elman.cells import CELLS, make
from elman.errors import InputError
from elman.kernels import choose

RESULTS = Path(__file__).with_name("numerics.json")
PAGE = Path(__file__).parents[1] / "docs" / "numerics.md"
BEGIN, END = "<!-- numerics -->\n", "<!-- /numerics -->\n"

X86 = ("sse", "avx2", "avx512")
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("elman", {"nonlinearity": "relu"}),
    ("elman", {"bias": False}),
    ("jordan", {"decay": 0.5, "output_size": 3, "output_nonlinearity": "sigmoid"}),
    ("jordan", {"output_nonlinearity": "identity"}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"coupled": True}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"proj_size": 3}),
    ("lstm", {"peepholes": True, "coupled": True, "layer_norm": True, "proj_size": 3}),
    ("gru", {"reset_after": False}),
    ("ugrnn", {"nonlinearity": "relu"}),
    ("indrnn", {"bound": 0.4, "nonlinearity": "tanh"}),
    ("mingru", {"positive": True}),
    ("minlstm", {"positive": True}),
    ("minlstm", {"scaled": False}),
    ("lru", {"output_size": 3, "bias": True}),
    ("esn", {"leak": 0.3, "output_size": 3}),
]
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}

# Steps, rows, input size, hidden size.
SHAPES = [(0, 3, 3, 5), (4, 0, 3, 5), (1, 1, 3, 5), (8, 1, 7, 33), (6, 5, 7, 33), (5, 5, 5, 5)]
SEEDS = (0, 1)
CONTRACT = {"values": 1e-5, "gradients": 1e-4}

Pair = dict[str, float]


def variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every cell, and again with its options, by what the page calls it."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in CELLS:
        found[name] = (name, {})
        for kind, options in OPTIONS:
            if kind == name:
                told = ", ".join(f"{k}={v}" for k, v in options.items())
                found[f"{name}: {told}"] = (kind, options)
    return found


def calls(steps: int, batch: int, seed: int) -> list[dict[str, Any]]:
    """Whole rows; lengths with zeros; resets; all together; each forwards and in reverse."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, steps + 1, (batch,), generator=generator)
    lengths[:1] = max(steps - 1, min(steps, 1)) if batch == 1 else 0
    lengths[1:2] = steps
    reset = torch.rand(steps, batch, generator=generator) < 0.3
    kinds: list[dict[str, Any]] = [
        {},
        {"lengths": lengths},
        {"reset": reset},
        {"lengths": lengths, "reset": reset},
    ]
    return [{**kind, "reverse": reverse} for kind in kinds for reverse in (False, True)]


def error(got: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """The largest relative RMS error; infinite where what must be zero is not."""
    worst = 0.0
    for a, b in zip(got, truth, strict=True):
        off = float((a.detach().double() - b.detach()).norm())
        size = float(b.detach().norm())
        worst = max(worst, off / size if size else (0.0 if off == 0 else float("inf")))
    return worst


def errors(name: str, options: dict[str, Any], backend: str, dtype: torch.dtype) -> Pair | None:
    """The largest errors of one cell on one backend over the grid; None if it serves none of it."""
    worst: Pair | None = None
    for seed in SEEDS:
        for steps, batch, *sizes in SHAPES:
            torch.manual_seed(seed)
            cell = make(name, *sizes, **options)
            with torch.no_grad():
                for p in cell.parameters():
                    p.add_(torch.randn_like(p), alpha=0.2)
            cell = cell.to(dtype)
            exact = copy.deepcopy(cell).double()
            x = torch.randn(steps, batch, cell.input_size).to(dtype)
            state = [(torch.randn(batch, n) * 0.5).to(dtype) for n in cell.state_sizes]
            for call in calls(steps, batch, seed):
                given = {**call, "return_states": backend == "cpu"}
                try:
                    choose(cell, x, state, backend=backend, **given)
                except InputError:
                    continue
                got = outcome(cell, x, state, backend, seed, **given)
                whole = [s.double() for s in state]
                truth = outcome(exact, x.double(), whole, "reference", seed, **given)
                worst = worst or {"values": 0.0, "gradients": 0.0}
                for key, a, b in zip(worst, got, truth, strict=True):
                    worst[key] = max(worst[key], error(a, b))
    return worst


def measure(target: str, beside: bool) -> dict[str, Any]:
    """By cell: the errors of the kernels for `target`, and of torch's if asked for."""
    found: dict[str, Any] = {}
    for label, (name, options) in variants().items():
        of_cell = {key: errors(name, options, "cpu", dtype) for key, dtype in DTYPES.items()}
        found[label] = {f"{target} {key}": pair for key, pair in of_cell.items()}
        if beside:
            found[label]["torch float32"] = errors(name, options, "torch", torch.float32)
        print(label, file=sys.stderr)
    return found


def targets() -> tuple[str, ...]:
    """The instruction sets of this processor, the best one last."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return ("neon",)
    has = torch.backends.cpu.get_cpu_capability()
    return X86[: {"AVX512": 3, "AVX2": 2}.get(has, 1)]


def measure_all() -> dict[str, Any]:
    """Everything, each instruction set in a process of its own."""
    cells: dict[str, Any] = {}
    for target in targets():
        beside = ["--beside"] if target == targets()[-1] else []
        done = subprocess.run(
            [sys.executable, __file__, "--target", target, *beside],
            env=os.environ | {"ELMAN_TARGET": target},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for label, found in json.loads(done.stdout).items():
            cells.setdefault(label, {}).update(found)
    return {
        "cells": cells,
        "targets": list(targets()),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def text() -> str:
    """What stands between the markers."""
    if not RESULTS.exists():
        return "Not measured yet."
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    names = kept["targets"]
    best = names[-1]
    single = [*(f"{target} float32" for target in names), "torch float32"]
    titles = [*names, "torch"]
    rows = ["float32:", ""]
    heads = [f"{kind}: {title}" for kind in CONTRACT for title in titles]
    rows += _head(["cell", *heads])
    for label, found in kept["cells"].items():
        numbers = [_number(found[key], kind) for kind in CONTRACT for key in single]
        rows.append(f"| {label} | {' | '.join(numbers)} |")
    rows += ["", f"float64, the largest of {_and(names)}; bfloat16, {best}:", ""]
    rows += _head(["cell", *(f"{d}: {kind}" for d in ("float64", "bfloat16") for kind in CONTRACT)])
    for label, found in kept["cells"].items():
        double = [found[f"{target} float64"] for target in names]
        numbers = [f"{max(pair[kind] for pair in double):.0e}" for kind in CONTRACT]
        numbers += [_number(found[f"{best} bfloat16"], kind) for kind in CONTRACT]
        rows.append(f"| {label} | {' | '.join(numbers)} |")
    rows += ["", f"{kept['machine']}, torch {kept['torch']}, threads: {kept['threads']}."]
    return "\n".join(rows)


def _head(titles: list[str]) -> list[str]:
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _number(pair: Pair | None, kind: str) -> str:
    return "–" if pair is None else f"{pair[kind]:.0e}"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def fill() -> None:
    """Put it there."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text()}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", action="store_true", help="fill the page from what was kept")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    parser.add_argument("--target", help="measure one instruction set, in this process")
    parser.add_argument("--beside", action="store_true", help="and torch's kernels")
    asked = parser.parse_args()
    if asked.table:
        print(text())
    elif asked.target:
        print(json.dumps(measure(asked.target, asked.beside)))
    else:
        if not asked.page:
            RESULTS.write_text(json.dumps(measure_all(), indent=1) + "\n", encoding="utf-8")
        fill()


if __name__ == "__main__":
    main()
