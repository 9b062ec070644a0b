"""Every cell with every published option, for tests that all must pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from elman.cells import Cell, make

INPUT, HIDDEN, BATCH = 3, 5, 4

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("elman", {}),
    ("elman", {"nonlinearity": "relu"}),
    ("elman", {"bias": False}),
    ("irnn", {}),
    ("irnn", {"scale": 0.01}),
    ("jordan", {}),
    ("jordan", {"output_size": 2, "output_nonlinearity": "sigmoid", "decay": 0.5}),
    ("jordan", {"output_size": 7, "output_nonlinearity": "identity", "bias": False}),
    ("lstm", {}),
    ("lstm", {"bias": False}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"coupled": True}),
    ("lstm", {"proj_size": 2}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"layer_norm": True, "bias": False}),
    ("lstm", {"peepholes": True, "coupled": True, "proj_size": 2, "layer_norm": True}),
    ("lstm", {"chrono": 30}),
    ("gru", {}),
    ("gru", {"reset_after": False}),
    ("gru", {"bias": False}),
    ("gru_cho", {}),
    ("gru_cho", {"bias": False, "chrono": 30}),
    ("mgu", {}),
    ("mgu", {"chrono": 30}),
    ("ugrnn", {}),
    ("ugrnn", {"nonlinearity": "relu", "bias": False}),
    ("indrnn", {}),
    ("indrnn", {"nonlinearity": "tanh", "bound": 0.3}),
    ("mingru", {}),
    ("mingru", {"positive": True, "chrono": 30}),
    ("minlstm", {}),
    ("minlstm", {"scaled": False}),
    ("minlstm", {"positive": True, "bias": False}),
    ("lru", {}),
    ("lru", {"output_size": 2, "r_min": 0.5, "r_max": 0.9, "max_phase": 0.3, "bias": True}),
    ("esn", {}),
    ("esn", {"output_size": 2, "leak": 0.3, "sparsity": 0.5, "spectral_radius": 1.2}),
]


def _label(variant: tuple[str, dict[str, Any]]) -> str:
    name, options = variant
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


@pytest.fixture(params=VARIANTS, ids=_label)
def variant(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param


@pytest.fixture
def cell(variant: tuple[str, dict[str, Any]]) -> Cell:
    """A float64 cell, all its parameters random: nothing may hide behind a zero."""
    name, options = variant
    torch.manual_seed(7)
    cell = make(name, INPUT, HIDDEN, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.4)
    return cell


@pytest.fixture
def step(cell: Cell) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """A random input and state for `cell`."""
    torch.manual_seed(8)
    x = torch.randn(BATCH, INPUT, dtype=torch.float64)
    return x, tuple(torch.randn(BATCH, n, dtype=torch.float64) for n in cell.state_sizes)
