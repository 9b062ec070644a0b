"""What the kernel tests share: cells, calls and the measure of the numerics contract."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from torch import Tensor

from elman.bench.outcome import outcome
from elman.cells import Cell
from elman.kernels import dispatch


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
    return outcome


@pytest.fixture(scope="session")
def held_to_the_reference() -> Callable[..., None]:
    """Asserts the numerics contract for one call of a compiled cell of single precision."""
    return _held_to_the_reference


def _held_to_the_reference(
    cell: Cell, x: Tensor, state: Sequence[Tensor], seed: int = 0, **call: Any
) -> None:
    values, gradients = outcome(cell, x, state, "cpu", seed, **call)
    truth = copy.deepcopy(cell).double()
    wanted = outcome(truth, x.double(), [s.double() for s in state], "reference", seed, **call)
    for i, (got, true) in enumerate(zip(values, wanted[0], strict=True)):
        assert got.isfinite().all(), ("value", i)
        assert _relative_error(got, true) <= 1e-5, ("value", i)
    for i, (got, true) in enumerate(zip(gradients, wanted[1], strict=True)):
        assert got.isfinite().all(), ("gradient", i)
        assert _relative_error(got, true) <= 1e-4, ("gradient", i)
