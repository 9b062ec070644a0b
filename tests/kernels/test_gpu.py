"""cuDNN through torch, held to the float64 reference on the CPU."""

from __future__ import annotations

import pytest
import torch

from elman.cells import make
from elman.kernels import record, run, use
from elman.nn import LSTM, Recurrent

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [33, 0, 20, 20], [9, 3, 0, 7]])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_cudnn_agrees_with_the_reference(name, lengths, reverse, relative_error):
    torch.manual_seed(0)
    truth = make(name, 7, 17, dtype=torch.float64)
    cell = make(name, 7, 17, device="cuda")
    cell.load_state_dict(truth.state_dict())
    x = torch.randn(33, 4, 7, dtype=torch.float64)
    cotangent = torch.randn(33, 4, 17, dtype=torch.float64)
    got = []
    with record() as ran:
        for one, like, backend in ((cell, cell.U.weight, None), (truth, x, "reference")):
            z = x.to(like.device, like.dtype).requires_grad_()
            y = run(one, z, lengths=lengths, reverse=reverse, backend=backend).output
            loss = (y * cotangent.to(y)).sum()
            got.append((y, *torch.autograd.grad(loss, [z, *one.parameters()])))
    assert [c.backend for c in ran] == ["torch", "reference"]
    assert relative_error(got[0][0].cpu(), got[1][0]) <= 1e-5
    for a, b in zip(got[0][1:], got[1][1:], strict=True):
        assert relative_error(a.cpu(), b) <= 1e-4


def test_gradients_flow_in_evaluation_mode_too():
    layer = Recurrent("lstm", 3, 5, device="cuda").eval()
    y, _ = layer(torch.randn(6, 2, 3, device="cuda"))
    y.sum().backward()
    assert layer.cells[0].U.weight.grad.isfinite().all()


def test_a_second_derivative_is_refused_aloud_and_had_on_the_reference():
    layer = LSTM(3, 5, device="cuda")
    x = torch.randn(6, 2, 3, device="cuda", requires_grad=True)

    def second():
        (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    with pytest.raises(RuntimeError, match=r"(?i)double backward"):
        second()
    with use("reference"):
        assert second().isfinite().all()


def test_other_cells_run_on_the_gpu_by_the_reference():
    cell = make("indrnn", 3, 5, device="cuda")
    with record() as ran:
        y = run(cell, torch.randn(6, 2, 3, device="cuda"), lengths=torch.tensor([6, 0])).output
    assert ran[0].backend == "reference"
    assert y.is_cuda
    assert (y[:, 1] == 0).all()
