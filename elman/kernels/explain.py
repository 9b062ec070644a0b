"""An account of what ran: the backend of a layer and why a faster one was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells.base import Cell
from elman.errors import InputError
from elman.kernels.dispatch import BACKENDS, Choice, record, run
from elman.kernels.listing import listing
from elman.kernels.program import Program


@dataclass(frozen=True)
class Explanation:
    """The account of one run of a layer on one input.

    Attributes:
        backend: the slowest backend that took part.
        reason: why that one.
        parts: the choice for every layer and direction, in the order they ran.

    `plan` and `source` are texts, empty where nothing compiled ran.
    """

    backend: str
    reason: str
    parts: tuple[Choice, ...]

    @property
    def plan(self) -> str:
        """The plans of the compiled kernels, step by step; one part after another."""
        return "\n\n".join(listing(p.plans) for p in self._programs())

    @property
    def source(self) -> str:
        """The C of the compiled kernels."""
        return "\n\n".join(p.source for p in self._programs())

    def _programs(self) -> list[Program]:
        """Each different program once."""
        found = {p.program.source: p.program for p in self.parts if p.program is not None}
        return list(found.values())

    def __str__(self) -> str:
        lines = [f"backend: {self.backend} ({self.reason})"]
        if len(self.parts) > 1:
            lines += [
                f"  {i}. {p.what}: {p.backend} ({p.reason})" for i, p in enumerate(self.parts, 1)
            ]
        return "\n".join(lines)


def explain(layer: nn.Module, x: Tensor, **call: Any) -> Explanation:
    """Call `layer` on `x` once and tell which backends its recurrences took.

    The layer, a cell or any model that holds some, really runs (its random masks drawn from a
    copy of the generator), so what is told is what happens.

    Args:
        layer: a layer, a model or a bare cell.
        x: its input.
        call: further arguments of the call: lengths, reset, return_states, ...

    >>> import torch, elman.cells
    >>> print(explain(elman.cells.make("lstm", 2, 3), torch.zeros(4, 1, 2)))
    backend: cpu (a kernel was compiled for it)
    """
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices), record() as parts:
        if isinstance(layer, Cell):
            run(layer, x, **call)
        else:
            layer(x, **call)
    if not parts:
        raise InputError(f"{type(layer).__name__} ran no recurrence of Elman's on this input.")
    slowest = max(parts, key=lambda choice: BACKENDS.index(choice.backend))
    return Explanation(slowest.backend, slowest.reason, tuple(parts))
