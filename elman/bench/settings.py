"""The settings of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The settings that say how thoroughly to measure.

    Attributes:
        rounds: how often each contender is timed.
        quick: tiny sizes, to see that everything runs; the figures mean nothing.
        flush_denormal: compare layers also with torch after `torch.set_flush_denormal(True)`.
        compile: compare also with `torch.compile`, which takes minutes to compile.
    """

    rounds: int = 21
    quick: bool = False
    flush_denormal: bool = False
    compile: bool = False
