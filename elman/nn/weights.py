"""Running a cell with other weights than its own, on any backend.

Dropped weights and weights that belong to a torch.nn module are swapped in for the length of
one run, in the way of `torch.func.functional_call`, so gradients reach what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from elman.cells.base import Cell
from elman.kernels import Result, ops, run, transforms


class _Lent(nn.Module):
    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, do: Callable[..., Any], *args: Any, **call: Any) -> Any:
        return do(self.cell, *args, **call)


def lend(
    cell: Cell, weights: dict[str, Tensor], do: Callable[..., Any], *args: Any, **call: Any
) -> Any:
    """`do(cell, ...)`, the named parameters of `cell` replaced by `weights` meanwhile."""
    named = {f"cell.{name}": weight for name, weight in weights.items()}
    return functional_call(_Lent(cell), named, (do, *args), call)


def run_with(cell: Cell, weights: dict[str, Tensor], x: Tensor, **call: Any) -> Result:
    """`elman.kernels.run`, the named parameters of `cell` replaced by `weights`."""
    if not weights:
        return run(cell, x, **call)
    if transforms.capturing(x) and not transforms.any_active():
        return ops.run(cell, x, weights=weights, **call)
    result: Result = lend(cell, weights, run, x, **call)
    return result
