"""Kernels of the built-in cells, built before anybody needs them, for a wheel to carry.

No size is written into a source, so one library serves all sizes of a cell. This module
goes through all that changes a source: options of a step, type of numbers, instruction set.
A number that is part of a step (a leak, a decay) is taken at its default; another value, like a
held state, is another source and needs a compiler.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from elman.cells import CELLS, make, options_of
from elman.errors import InputError
from elman.kernels import build
from elman.kernels.emit import TARGETS, Target, cell_source, halves_source, products_sources
from elman.kernels.plan import make_plans
from elman.kernels.trace import trace

Source = tuple[str, tuple[str, ...]]
"""The arguments of `build.build`: a source and the flags of its instruction set."""

VARIED: dict[str, tuple[Any, ...]] = {
    "bias": (True, False),
    "bound": (None, 0.5),
    "coupled": (False, True),
    "layer_norm": (False, True),
    "nonlinearity": ("tanh", "relu"),
    "output_nonlinearity": ("tanh", "sigmoid", "identity"),
    "peepholes": (False, True),
    "positive": (False, True),
    "proj_size": (0, 2),
    "reset_after": (True, False),
    "scaled": (True, False),
}
"""Options that change what a step computes, and one value for each way in which they do."""


def targets() -> list[Target]:
    """The instruction sets of this machine's processors, best first, its own among them or not."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return [target for target in TARGETS.values() if target.machine == machine]


def variants(name: str) -> list[dict[str, Any]]:
    """The options with which the cell called `name` has kernels of its own.

    >>> variants("ugrnn")[1]
    {'bias': True, 'nonlinearity': 'relu'}
    """
    known = options_of(name)
    varied = {option: values for option, values in VARIED.items() if option in known}
    return [
        dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())
    ]


def sources(
    cells: Iterable[str] = CELLS, instructions: Sequence[Target] | None = None
) -> list[Source]:
    """The sources of these cells in every variant, with the products they share.

    Raises:
        InputError: no kernels are made for this machine's processor.
    """
    wanted = targets() if instructions is None else instructions
    if not wanted:
        raise InputError(f"No kernels are made for {platform.machine()} processors yet.")
    found: dict[Source, None] = {}
    for dtype in (torch.float32, torch.float64):
        double = dtype == torch.float64
        for target in wanted:
            found |= {(s, target.flags): None for s in products_sources(target, double)}
            found[halves_source(target), target.flags] = None
        for name in cells:
            for options in variants(name):
                cell = make(name, 3, 5, dtype=dtype, **options)
                plans = make_plans(trace(cell), cell.state_sizes)
                for target in wanted:
                    found[cell_source(plans, target, double), target.flags] = None
    return list(found)


def build_all(folder: Path, wanted: Sequence[Source]) -> Iterator[Path]:
    """Build these into `folder`, several at once; kernels there that are none of them are removed.

    Raises:
        NoCompiler, InputError, BuildError: as `build.build`.
    """
    build.find_compiler()  # once, before several ask for it
    made = set()
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        for path in pool.map(lambda source: build.build_into(folder, *source), wanted):
            made.add(path.name)
            yield path
    finally:
        pool.shutdown(cancel_futures=True)
    for path in Path(folder).glob("*.so"):
        if re.fullmatch(r"[0-9a-f]{64}\.so", path.name) and path.name not in made:
            path.unlink()
