"""Derivatives of every cell, and what becomes of them at the edge of the numbers."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call, jvp, vmap

from elman.cells import ESN, Cell, MinLSTM

Step = tuple[torch.Tensor, tuple[torch.Tensor, ...]]


def _as_function(cell: Cell, state_count: int):
    names = [name for name, _ in cell.named_parameters()]

    def function(x, *rest):
        state, values = rest[:state_count], rest[state_count:]
        parameters = dict(zip(names, values, strict=True))
        output, new = functional_call(cell, parameters, (x, state))
        return output, *new

    return function


def test_gradients_are_the_limits_of_differences(cell: Cell, step: Step) -> None:
    x, state = step
    inputs = [x[:2], *(s[:2] for s in state), *cell.parameters()]
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(_as_function(cell, len(state)), inputs)


def test_second_derivatives_exist(cell: Cell, step: Step) -> None:
    x, state = step
    inputs = [tensor[:1].clone().requires_grad_() for tensor in (x, *state)]
    values = [parameter.detach() for parameter in cell.parameters()]
    function = _as_function(cell, len(state))
    assert torch.autograd.gradgradcheck(lambda x, *s: function(x, *s, *values), inputs)


def test_a_row_alone_is_a_row_of_the_batch(cell: Cell, step: Step) -> None:
    x, state = step
    output, new = cell(x, state)

    def one(x, *state):
        output, new = cell(x[None], tuple(s[None] for s in state))
        return output[0], *(s[0] for s in new)

    for batched, single in zip((output, *new), vmap(one)(x, *state), strict=True):
        torch.testing.assert_close(single, batched, rtol=1e-12, atol=1e-12)


def test_forward_mode_agrees_with_reverse_mode(cell: Cell, step: Step) -> None:
    x, state = step

    def output_of(x):
        return cell(x, state)[0]

    x = x.clone().requires_grad_()
    direction, cotangent = torch.randn_like(x), torch.randn(len(x), cell.output_size).double()
    _, forward = jvp(output_of, (x,), (direction,))
    (reverse,) = torch.autograd.grad(output_of(x), x, cotangent)
    torch.testing.assert_close((forward * cotangent).sum(), (reverse * direction).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_finite_makes_a_nan(cell: Cell, dtype: torch.dtype) -> None:
    cell = cell.to(dtype)
    extremes = torch.tensor([1e4, -1e4, 0.0, 45.0, -45.0, 88.8, -110.0, 1e-40], dtype=dtype)
    torch.manual_seed(11)

    def draw(n: int) -> torch.Tensor:
        picked = extremes[torch.randint(len(extremes), (64, n))]
        picked[: len(extremes)] = extremes[:, None]
        return picked.requires_grad_()

    x, state = draw(cell.input_size), tuple(draw(n) for n in cell.state_sizes)
    output, new = cell(x, state)
    loss = output.sum() + sum(s.sum() for s in new)
    gradients = torch.autograd.grad(loss, [x, *state, *cell.parameters()], allow_unused=True)
    for tensor in (output, *new, *(g for g in gradients if g is not None)):
        assert torch.isfinite(tensor).all()


def test_minlstm_keeps_its_ratio_where_both_gates_round_to_zero() -> None:
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        # f and i are σ(-1000) and σ(-1001): zero in float32, their ratio e.
        cell.W.weight.zero_()
        cell.W.bias.copy_(torch.tensor([-1000.0, -1001.0, 0.0]))
    h, _ = cell(torch.zeros(1, 1), (torch.ones(1, 1),))
    assert h.item() == pytest.approx(torch.sigmoid(torch.tensor(1.0)).item(), rel=1e-6)


def test_the_reservoir_learns_nothing_and_passes_gradients_on() -> None:
    torch.manual_seed(0)
    cell = ESN(2, 20, output_size=1)
    before = {name: buffer.clone() for name, buffer in cell.named_buffers()}
    assert set(before) == {"W.weight", "W.bias", "U.weight"}
    optimiser = torch.optim.SGD(cell.parameters(), lr=0.1)
    x = torch.randn(6, 2, requires_grad=True)
    state = cell.init_state(6)
    for _ in range(3):
        output, state = cell(x, state)
    output.square().sum().backward()
    optimiser.step()
    for name, buffer in cell.named_buffers():
        assert not buffer.requires_grad
        assert torch.equal(buffer, before[name])
    assert all(parameter.grad.abs().sum() > 0 for parameter in cell.parameters())
    assert x.grad.abs().min() > 0
