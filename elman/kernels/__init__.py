"""Running a cell over time: the reference loop, torch's own kernels, and the choice between.

`run` is the one entrance; `explain` tells which backend it took. The meaning of lengths,
resets, direction and held states is written in `elman.kernels.sequence` and nowhere else.
"""

from elman.kernels.dispatch import BACKENDS, Choice, choose, record, run, use
from elman.kernels.explain import Explanation, explain
from elman.kernels.sequence import Call, Hold, Result, SequenceError

__all__ = [
    "BACKENDS",
    "Call",
    "Choice",
    "Explanation",
    "Hold",
    "Result",
    "SequenceError",
    "choose",
    "explain",
    "record",
    "run",
    "use",
]
