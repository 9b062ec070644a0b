"""Elman: recurrent networks, written as equations.

Public names are imported when first used, so that `import elman` costs little
more than `import torch`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Cell": "elman.cells",
    "doctor": "elman.inspect.examination",
    "explain": "elman.kernels",
    "evaluate": "elman.runs.pipeline",
    "load": "elman.runs.pipeline",
    "resume": "elman.runs.pipeline",
    "stream": "elman.nn.stream",
    "train": "elman.runs.pipeline",
}
_ROOMS = (
    "cells",
    "kernels",
    "nn",
    "data",
    "training",
    "scoring",
    "tasks",
    "runs",
    "inspect",
    "errors",
)

__all__ = [
    "Cell",
    "__version__",
    "cells",
    "data",
    "doctor",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "nn",
    "resume",
    "stream",
    "tasks",
    "train",
    "training",
]

if TYPE_CHECKING:
    from elman import cells, data, inspect, nn, tasks, training
    from elman.cells import Cell
    from elman.inspect.examination import doctor
    from elman.kernels import explain
    from elman.nn.stream import stream
    from elman.runs.pipeline import evaluate, load, resume, train


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"elman.{name}")
    else:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    globals()[name] = value
    return value
