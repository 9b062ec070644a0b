"""What the kernel tests share: cells, calls and the measure of the numerics contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from elman.kernels import dispatch


@pytest.fixture
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has warned of nothing yet."""
    monkeypatch.setattr(dispatch, "_warned", set())


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Tensor, Tensor], float]:
    """Relative RMS error of a tensor against the truth; exact where the truth is zero."""

    def error(got: Tensor, truth: Tensor) -> float:
        assert got.shape == truth.shape
        got, truth = got.detach(), truth.detach()
        off = float((got.double() - truth.double()).norm())
        size = float(truth.double().norm())
        return off / size if size else (0.0 if off == 0 else float("inf"))

    return error
