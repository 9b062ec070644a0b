import pytest
import torch
from torch import nn

from elman.errors import InputError
from elman.training import optimisers


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_fast_form_is_torch_s_plain_one(name, weight_decay):
    def run(make):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
        optimizer = make(weight)
        for _ in range(5):
            weight.grad = weight.detach().sin() + 1
            optimizer.step()
        return weight.detach()

    ours = run(lambda w: optimisers.make(name, [w], lr=0.05, weight_decay=weight_decay))
    plain = run(
        lambda w: optimisers.OPTIMISERS[name](
            [w], lr=0.05, weight_decay=weight_decay, foreach=False
        )
    )
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_fused_where_torch_has_it(name):
    made = optimisers.make(name, [nn.Parameter(torch.zeros(2))], lr=0.1)
    assert made.param_groups[0]["fused"]


def test_momentum_by_family():
    weight = nn.Parameter(torch.zeros(2, 2))
    made = {n: optimisers.make(n, [weight], lr=0.1, momentum=0.7) for n in ("sgd", "nadam")}
    assert made["sgd"].defaults["momentum"] == 0.7
    assert made["nadam"].defaults["betas"] == (0.7, 0.999)


def test_biases_do_not_decay():
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    made = optimisers.make("adamw", [weight, bias], lr=0.1, weight_decay=0.5)
    for p in (weight, bias):
        p.grad = torch.zeros_like(p)
    made.step()
    assert torch.allclose(weight, torch.tensor(0.95))
    assert torch.equal(bias, torch.ones(2))


def test_refusals():
    with pytest.raises(InputError, match="Did you mean 'adam'"):
        optimisers.make("adan", [nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(InputError, match="no parameter to train"):
        optimisers.make("sgd", [], lr=0.1)
