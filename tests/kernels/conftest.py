"""What the kernel tests share: cells, calls and the measure of the numerics contract."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from elman.cells import Cell
from elman.kernels import dispatch, record, run


@pytest.fixture
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has warned of nothing yet."""
    monkeypatch.setattr(dispatch, "_warned", set())


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Tensor, Tensor], float]:
    """Relative RMS error of a tensor against the truth; exact where the truth is zero."""
    return _relative_error


def _relative_error(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape
    got, truth = got.detach(), truth.detach()
    off = float((got.double() - truth.double()).norm())
    size = float(truth.double().norm())
    return off / size if size else (0.0 if off == 0 else float("inf"))


@pytest.fixture(scope="session")
def with_gradients() -> Callable[..., tuple[list[Tensor], list[Tensor]]]:
    """Runs a cell; gives all its results, and on random cotangents all gradients.

    `(cell, x, state, backend, seed=0, **call)` to `[output, final states, every state]` and the
    gradients of x, initial states and parameters.
    """
    return _with_gradients


def _with_gradients(
    cell: Cell, x: Tensor, state: Sequence[Tensor], backend: str, seed: int = 0, **call: Any
) -> tuple[list[Tensor], list[Tensor]]:
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


@pytest.fixture(scope="session")
def held_to_the_reference() -> Callable[..., None]:
    """Asserts the numerics contract for one call of a compiled cell of single precision."""
    return _held_to_the_reference


def _held_to_the_reference(
    cell: Cell, x: Tensor, state: Sequence[Tensor], seed: int = 0, **call: Any
) -> None:
    values, gradients = _with_gradients(cell, x, state, "cpu", seed, **call)
    truth = copy.deepcopy(cell).double()
    wanted = _with_gradients(
        truth, x.double(), [s.double() for s in state], "reference", seed, **call
    )
    for i, (got, true) in enumerate(zip(values, wanted[0], strict=True)):
        assert got.isfinite().all(), ("value", i)
        assert _relative_error(got, true) <= 1e-5, ("value", i)
    for i, (got, true) in enumerate(zip(gradients, wanted[1], strict=True)):
        assert got.isfinite().all(), ("gradient", i)
        assert _relative_error(got, true) <= 1e-4, ("gradient", i)
