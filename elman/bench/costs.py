"""Costs of a kernel besides its running time: the wait before the first call, and memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from elman.bench import worker
from elman.bench.goals import goal
from elman.bench.layers import text
from elman.bench.measure import Spread
from elman.bench.report import OF_PEER, Note, Row
from elman.bench.settings import Settings


def first_use(settings: Settings, threads: int) -> Iterator[Row]:
    """Time the first call, forward and backward, of a new cell, and again in the next process."""
    tries = 1 if settings.quick else 5
    found: dict[str, list[float]] = {"built": [], "cached": []}
    backend = ""
    for _ in range(tries):
        with tempfile.TemporaryDirectory() as folder:
            for seconds in found.values():
                result = worker.job("first_use", {"ELMAN_CACHE": folder}, on=threads)
                seconds.append(result["seconds"])
                backend = result["backend"]
    for what, seconds in found.items():
        spread = Spread.of(seconds)
        yield Row(
            "first_use",
            f"first call of a new cell, {what}",
            "10,4,16,16",
            threads,
            spread.median,
            "s",
            spread.low,
            spread.high,
            goal=goal(f"first use, {what}"),
            backend=backend,
        )


def memory(settings: Settings, threads: int) -> Iterator[Row | Note]:
    """Measure the peak memory of training an LSTM, less the memory after two steps of training."""
    shape = (20, 2, 8, 8) if settings.quick else (1000, 32, 256, 256)
    peaks = {}
    for whose in ("ours", "in segments", "torch"):
        whole, short = (
            worker.job("memory", whose=whose, shape=shape, steps=steps, on=threads)
            for steps in (shape[0], 2)
        )
        if "peak" not in whole:
            yield Note("memory", "not measured: /proc/self/status has no VmHWM on this system")
            return
        peaks[whose] = float(whole["peak"] - short["peak"])
        if whose == "ours":
            backend = whole["backend"]
    for whose, kind in (("ours", "memory"), ("in segments", "memory, in segments")):
        yield Row(
            "memory",
            "LSTM training, peak" + ("" if whose == "ours" else ", in segments of √T"),
            text(shape),
            threads,
            peaks[whose] / max(peaks["torch"], 1.0),
            OF_PEER,
            peer="torch.nn.LSTM",
            ours=peaks[whose],
            theirs=peaks["torch"],
            goal=goal(kind),
            backend=backend,
        )
