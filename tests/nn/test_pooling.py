"""Pooling of valid steps against slices of each row alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.nn.pooling import POOLINGS, AttentionPooling, LastPooling, make_pooling


def alone(kind, pool, x, bidirectional=False):
    """What one unpadded row `(n, F)` is pooled to."""
    if kind == "last":
        half = x.shape[1] // 2 if bidirectional else x.shape[1]
        return torch.cat((x[-1, :half], x[0, half:]))
    if kind == "mean":
        return x.mean(0)
    if kind == "max":
        return x.max(0).values
    scores = torch.tanh(x @ pool.W.weight.T + pool.W.bias) @ pool.q.weight[0]
    weights = scores.exp() / scores.exp().sum()
    return (weights[:, None] * x).sum(0)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    junk=st.sampled_from([0.0, 1e9, -1e9, math.inf, math.nan]),
    bidirectional=st.booleans(),
    seed=st.integers(0, 99),
)
def test_only_valid_steps_count(kind, lengths, junk, bidirectional, seed):
    torch.manual_seed(seed)
    pool = make_pooling(kind, 4, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(len(lengths), 6, 4, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = junk
    pooled = pool(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        if length == 0:
            expected = torch.zeros(4, dtype=torch.float64)
        else:
            expected = alone(kind, pool, x[row, :length], bidirectional)
        torch.testing.assert_close(pooled[row], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", POOLINGS)
def test_no_lengths_means_all_steps_and_no_steps_means_zeros(kind):
    torch.manual_seed(0)
    pool = make_pooling(kind, 4)
    x = torch.randn(3, 5, 4)
    assert torch.equal(pool(x), pool(x, [5, 5, 5]))
    assert pool(x[:, :0]).tolist() == [[0.0] * 4] * 3
    assert pool(x[:, :0], [0, 0, 0]).tolist() == [[0.0] * 4] * 3
    assert pool(x[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_gradient_is_right_and_zero_on_padding(kind):
    torch.manual_seed(0)
    pool = make_pooling(kind, 2, dtype=torch.float64)
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pool(x, [4, 2, 0]), (x,))
    (pool(x, [4, 2, 0]) ** 2).sum().backward()
    assert (x.grad[1, 2:] == 0).all()
    assert (x.grad[2] == 0).all()
    assert (x.grad[0] != 0).any()


def test_last_of_a_bidirectional_layer_is_where_both_directions_end():
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 2, bidirectional=True, batch_first=True)
    x = torch.randn(1, 5, 3)
    y, (h, _) = layer(x)
    torch.testing.assert_close(LastPooling(bidirectional=True)(y), h.transpose(0, 1).flatten(1))


def test_attention_weights_are_a_distribution_over_valid_steps():
    weights = AttentionPooling(3).weights(torch.randn(2, 4, 3), [4, 1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(2))
    assert weights[1].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_unknown_pooling_is_told_the_nearest():
    with pytest.raises(InputError, match="'mean'"):
        make_pooling("meen", 3)
