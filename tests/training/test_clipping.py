import pytest
import torch
from torch import nn

from elman.training import clipping


def parameters():
    matrix = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    matrix.grad = torch.tensor([[6.0, 8.0], [0.3, 0.4]])
    vector = nn.Parameter(torch.tensor([0.6, 0.8]))
    vector.grad = torch.tensor([0.0, -12.0])
    unused = nn.Parameter(torch.ones(3))
    return matrix, vector, unused


NORM = (100 + 0.25 + 144) ** 0.5


@pytest.mark.parametrize("name", clipping.CLIPPING)
def test_the_norm_is_that_before_clipping(name):
    assert clipping.CLIPPING[name](parameters(), 0.5).item() == pytest.approx(NORM)


def test_by_norm_scales_all_alike():
    matrix, vector, unused = found = parameters()
    clipping.by_norm(found, 2.0)
    torch.testing.assert_close(matrix.grad, parameters()[0].grad * 2 / NORM)
    torch.testing.assert_close(vector.grad, parameters()[1].grad * 2 / NORM)
    assert unused.grad is None


def test_by_norm_leaves_small_gradients_alone():
    found = parameters()
    clipping.by_norm(found, 100.0)
    assert torch.equal(found[0].grad, parameters()[0].grad)


def test_by_value_bounds_each_component():
    matrix, vector, _ = found = parameters()
    clipping.by_value(found, 5.0)
    assert matrix.grad.tolist() == [[5.0, 5.0], [pytest.approx(0.3), pytest.approx(0.4)]]
    assert vector.grad.tolist() == [0.0, -5.0]


def test_adaptive_bounds_each_unit_by_its_weights():
    matrix, vector, _ = found = parameters()
    clipping.adaptive(found, 0.1)
    # ‖W‖ = 5 and ‖G‖ = 10: down to 0.1 · 5. ‖W‖ = 0 counts as 0.001: ‖G‖ = 0.5 to 0.0001.
    torch.testing.assert_close(matrix.grad[0], torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(matrix.grad[1], torch.tensor([0.6e-4, 0.8e-4]))
    torch.testing.assert_close(vector.grad, torch.tensor([0.0, -0.1]))


def test_adaptive_leaves_small_gradients_alone():
    found = parameters()
    clipping.adaptive(found, 1e6)
    assert torch.equal(found[0].grad, parameters()[0].grad)


def test_nothing_to_clip():
    assert clipping.total_norm([nn.Parameter(torch.ones(2))]).item() == 0.0
