"""The settings of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
        rounds: turns of every contender.
        quick: tiny sizes, to see that everything runs; the figures mean nothing.
        flush_denormal: layers also against torch with `torch.set_flush_denormal(True)`.
        compile: also against `torch.compile`, which takes minutes to compile.
    """

    rounds: int = 21
    quick: bool = False
    flush_denormal: bool = False
    compile: bool = False
