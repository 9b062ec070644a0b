"""The sampled softmax against the softmax over the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from elman.nn.sampled import SampledSoftmax

SYMBOLS, FEATURES = 60, 5


def language(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Counts of symbols, weights and a bias of scores, and one output."""
    g = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, 1000, (SYMBOLS,), generator=g)
    weight = torch.randn(SYMBOLS, FEATURES, generator=g)
    return counts, weight, torch.randn(SYMBOLS, generator=g), torch.randn(FEATURES, generator=g)


def test_with_every_symbol_drawn_it_is_the_softmax() -> None:
    counts, weight, bias, _ = language(0)
    torch.manual_seed(0)
    output = torch.randn(7, FEATURES, requires_grad=True)
    targets = torch.randint(SYMBOLS, (7,))
    softmax = SampledSoftmax(counts, drawn=1000 * SYMBOLS)
    cost = softmax(output, weight, bias, targets)
    exact = F.cross_entropy(F.linear(output, weight, bias), targets, reduction="none")
    torch.testing.assert_close(cost, exact, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(cost.sum(), output)
    (wanted,) = torch.autograd.grad(exact.sum(), output)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("drawn", [5, 20])
def test_the_sum_over_the_vocabulary_is_right_in_the_mean(drawn: int) -> None:
    """exp(cost + score of the target) estimates the sum; the mean of many estimates is the sum."""
    counts, weight, bias, output = language(1)
    torch.manual_seed(1)
    softmax = SampledSoftmax(counts, drawn)
    scores = F.linear(output, weight, bias)
    share = counts / counts.sum()
    found = []
    for _ in range(3000):
        targets = torch.multinomial(share, 30, replacement=True)
        cost = softmax(output.expand(30, -1), weight, bias, targets)
        found.append((cost + scores[targets]).exp().mean())
    estimates = torch.stack(found)
    error = estimates.std().item() / len(found) ** 0.5
    exact = scores.exp().sum().item()
    assert estimates.std() > 0.01 * exact  # it is an estimate
    # Each target counts itself as one of 30 that could have been any symbol.
    assert estimates.mean().item() == pytest.approx(exact, rel=0.02, abs=4 * error)


def test_training_on_it_learns_the_frequencies() -> None:
    """A bias alone, trained on some of the symbols, becomes the logarithm of their frequency."""
    torch.manual_seed(2)
    share = torch.softmax(torch.randn(SYMBOLS), 0)
    softmax = SampledSoftmax(1000 * share, drawn=15)
    weight, bias = torch.zeros(SYMBOLS, 1), torch.zeros(SYMBOLS, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.05)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        targets = torch.multinomial(share, 64, replacement=True)
        optimizer.zero_grad()
        softmax(torch.zeros(64, 1), weight, bias, targets).mean().backward()
        optimizer.step()
    learnt = torch.softmax(bias.detach(), 0)
    divergence = (share * (share / learnt).log()).sum().item()
    uniform = (share * (share * SYMBOLS).log()).sum().item()
    assert divergence < 0.02 < 0.2 < uniform
