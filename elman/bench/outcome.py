"""All results of a run, gradients included, by which backends are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.cells import Cell
from elman.kernels import record, run


def outcome(
    cell: Cell, x: Tensor, state: Sequence[Tensor], backend: str, seed: int = 0, **call: Any
) -> tuple[list[Tensor], list[Tensor]]:
    """Run a cell on one backend, forward and backward from random cotangents.

    Args:
        cell, x, state, backend, call: as for `elman.kernels.run`.
        seed: of the cotangents.

    Returns:
        Output, final states and every state where they were asked for; and the gradients of x,
        initial states and parameters, zero where there is none.
    """
    leaves = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in state)]
    with record() as ran:
        result = run(cell, leaves[0], tuple(leaves[1:]), backend=backend, **call)
    assert [choice.backend for choice in ran] == [backend]
    parts = [result.output, *result.state, *(result.states or ())]
    generator = torch.Generator().manual_seed(seed)
    cotangents = [torch.randn(p.shape, generator=generator).to(p.dtype) for p in parts]
    leaves += [p for p in cell.parameters() if p.requires_grad]
    # Without steps there are no states to differentiate.
    live = [(p, c) for p, c in zip(parts, cotangents, strict=True) if p.requires_grad]
    found = torch.autograd.grad(
        [p for p, _ in live], leaves, [c for _, c in live], allow_unused=True
    )
    return parts, [
        torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)
    ]
