"""Running a cell with other weights than its own, on any backend.

Dropped weights and weights that belong to a torch.nn module are swapped in for the length of
one run, in the way of `torch.func.functional_call`, so gradients reach what was given.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from elman.cells.base import Cell
from elman.kernels import Result, run


class _Run(nn.Module):
    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, **call: Any) -> Result:
        return run(self.cell, x, **call)


def run_with(cell: Cell, weights: dict[str, Tensor], x: Tensor, **call: Any) -> Result:
    """`elman.kernels.run`, the named parameters of `cell` replaced by `weights`."""
    if not weights:
        return run(cell, x, **call)
    named = {f"cell.{name}": weight for name, weight in weights.items()}
    result: Result = functional_call(_Run(cell), named, (x,), call)
    return result
