"""bfloat16: matrices in halves, sums and states in float32."""

from __future__ import annotations

import copy

import pytest
import torch

import elman.nn
from elman.cells import CELLS, make
from elman.kernels import program, record, run
from elman.kernels.emit import TARGETS

CALLS = {
    "whole": {},
    "lengths": {"lengths": [11, 4, 0, 7, 11]},
    "reset": {"reset": torch.arange(55).view(11, 5) % 4 == 1},
    "reverse": {"reverse": True},
}


def error(found, truth):
    return ((found.double() - truth).norm() / truth.norm().clamp_min(1e-30)).item()


def drawn(name, batch, **options):
    torch.manual_seed(0)
    cell = make(name, 7, 33, **options).bfloat16()
    return cell, torch.randn(11, batch, 7).bfloat16()


@pytest.mark.parametrize("which", CALLS)
@pytest.mark.parametrize("name", [*CELLS])
def test_as_near_to_the_truth_as_bfloat16_is(name, which):
    cell, x = drawn(name, 5)
    with torch.no_grad():
        truth = run(copy.deepcopy(cell).double(), x.double(), backend="reference", **CALLS[which])
        plain = run(cell, x, backend="reference", **CALLS[which])
        with record() as ran:
            found = run(cell, x, **CALLS[which])
    assert [c.backend for c in ran] == ["cpu"]
    for a, b, c in zip(
        (found.output, *found.state),
        (plain.output, *plain.state),
        (truth.output, *truth.state),
        strict=True,
    ):
        assert a.dtype == torch.bfloat16
        assert error(a, c) <= max(1.02 * error(b, c), 0.004)


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_threads_batches_and_large_matrices(batch):
    torch.manual_seed(0)
    layer = elman.nn.LSTM(200, 200).bfloat16()
    x = torch.randn(9, batch, 200).bfloat16()
    threads = torch.get_num_threads()
    try:
        with torch.no_grad():
            truth = copy.deepcopy(layer).double()(x.double())[0]
            for n in (1, 2):
                torch.set_num_threads(n)
                assert error(layer(x)[0], truth) <= 0.004
    finally:
        torch.set_num_threads(threads)


@pytest.mark.fuzz
@pytest.mark.parametrize("target", [n for n, t in TARGETS.items() if t.machine == "x86_64"])
def test_every_instruction_set(target, monkeypatch):
    best = program.best_target()
    if (
        best is None
        or best.machine != "x86_64"
        or [*TARGETS].index(target) < [*TARGETS].index(best.name)
    ):
        pytest.skip(f"this processor has no {target}")
    monkeypatch.setattr(program, "best_target", lambda: TARGETS[target])
    cell, x = drawn("gru", 5)
    with torch.no_grad():
        truth = run(copy.deepcopy(cell).double(), x.double(), backend="reference").output
        assert error(run(cell, x, backend="cpu").output, truth) <= 0.004


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_what_is_no_ordinary_number_stays_what_it_is(bad):
    torch.manual_seed(0)
    cell = make("elman", 3, 5, nonlinearity="relu").bfloat16()
    x = torch.zeros(1, 2, 3).bfloat16()
    x[0, 0, 0] = bad
    with torch.no_grad():
        found = run(cell, x, backend="cpu").output
        plain = run(cell, x, backend="reference").output
    assert torch.equal(found.isnan(), plain.isnan())
    torch.testing.assert_close(found[0, 1], plain[0, 1])


def test_training_is_float32_inside():
    layer = elman.nn.LSTM(5, 6).bfloat16()
    truth = copy.deepcopy(layer).double()
    x = torch.randn(8, 3, 5).bfloat16()
    with record() as ran:
        layer(x)[0].square().sum().backward()
    assert [c.backend for c in ran] == ["cpu"]
    truth(x.double())[0].square().sum().backward()
    for mine, true in zip(layer.parameters(), truth.parameters(), strict=True):
        assert mine.grad.dtype == torch.bfloat16
        assert error(mine.grad, true.grad) <= 0.01
