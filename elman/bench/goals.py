"""Goals of the benchmark, for two threads and float32 unless they say otherwise."""

from __future__ import annotations

from elman.bench.report import Goal

GOALS = {
    "LSTM inference, geometric mean": Goal("≥", 1.8),
    "LSTM inference, worst": Goal("≥", 1.0),
    "LSTM training, geometric mean": Goal("≥", 1.7),
    "LSTM training, worst": Goal("≥", 1.1),
    "GRU inference, geometric mean": Goal("≥", 4.0),
    "GRU inference, worst": Goal("≥", 1.35),
    "GRU training, geometric mean": Goal("≥", 4.0),
    "GRU training, worst": Goal("≥", 1.35),
    "RNN inference, geometric mean": Goal("≥", 4.0),
    "RNN inference, worst": Goal("≥", 1.3),
    "RNN training, geometric mean": Goal("≥", 4.0),
    "RNN training, worst": Goal("≥", 1.3),
    "half-filled inference, packed": Goal("≥", 5.0),
    "half-filled training, packed": Goal("≥", 5.0),
    "half-filled training, padded": Goal("≥", 1.5),
    "cell inference": Goal("≥", 4.0),
    "cell training": Goal("≥", 6.0),
    "cell, equal arithmetic": Goal("≤", 1.35),
    "scan": Goal("≥", 5.0),
    "step, 64": Goal("≥", 6.0),
    "step, 128": Goal("≥", 6.0),
    "step, 256": Goal("≥", 3.0),
    "step, 512": Goal("≥", 1.3),
    "bf16 inference": Goal("≥", 3.5),
    "first use, built": Goal("≤", 3.0),
    "first use, cached": Goal("≤", 0.1),
    "memory": Goal("≤", 1.0),
    "memory, in segments": Goal("≤", 0.25),
}
"""Goals by kind of work: "≥" how many times as fast as the peer, "≤" seconds or shares."""

THREADS = 2


def goal(kind: str, threads: int = THREADS) -> Goal | None:
    """Return the goal of `kind` for this number of threads, or None.

    >>> goal("scan"), goal("scan", 1)
    (Goal(sign='≥', number=5.0), None)
    """
    return GOALS.get(kind) if threads == THREADS else None
