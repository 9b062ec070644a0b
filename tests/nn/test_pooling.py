"""Pooling of valid steps against slices of each row alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.nn.pooling import (
    POOLINGS,
    AttentionPooling,
    LastPooling,
    MeanPooling,
    make_pooling,
)


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
    pooled = pool(x, lengths=torch.tensor(lengths))
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
    assert torch.equal(pool(x), pool(x, lengths=[5, 5, 5]))
    assert pool(x[:, :0]).tolist() == [[0.0] * 4] * 3
    assert pool(x[:, :0], lengths=[0, 0, 0]).tolist() == [[0.0] * 4] * 3
    assert pool(x[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_gradient_is_right_and_zero_on_padding(kind):
    torch.manual_seed(0)
    pool = make_pooling(kind, 2, dtype=torch.float64)
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pool(x, lengths=[4, 2, 0]), (x,))
    (pool(x, lengths=[4, 2, 0]) ** 2).sum().backward()
    assert (x.grad[1, 2:] == 0).all()
    assert (x.grad[2] == 0).all()
    assert (x.grad[0] != 0).any()


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(POOLINGS),
    batch=st.integers(0, 3),
    steps=st.integers(1, 9),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_by_steps_is_the_whole_so_far(kind, batch, steps, scale, dtype, seed):
    torch.manual_seed(seed)
    pool = make_pooling(kind, 4, dtype=dtype)
    if kind == "attention":
        pool.q.weight.data *= 100  # scores far apart
    x = torch.randn(batch, steps, 4, dtype=dtype) * scale
    state = pool.start(batch, 4, dtype=dtype)
    for t in range(steps):
        pooled, state = pool.step(x[:, t], state)
        bound = scale * (1e-5 if dtype == torch.float32 else 1e-13)
        torch.testing.assert_close(pooled, pool(x[:, : t + 1]), rtol=0, atol=bound)


@pytest.mark.fuzz
def test_a_mean_of_many_steps_keeps_its_digits():
    pool, truth = MeanPooling(), 0.0
    state = pool.start(1, 1)
    for t in range(100_000):
        value = 1000.0 + (t % 2)
        truth += value
        pooled, state = pool.step(torch.tensor([[value]]), state)
    assert pooled.item() == pytest.approx(truth / 100_000, rel=1e-6)


@pytest.mark.parametrize("kind", POOLINGS)
def test_a_step_has_gradients_and_the_type_of_the_outputs(kind):
    torch.manual_seed(0)
    pool = make_pooling(kind, 2, dtype=torch.float64)
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)

    def by_steps(x):
        state = pool.start(2, 2, dtype=x.dtype)
        for y in x.unbind(1):
            pooled, state = pool.step(y, state)
        return pooled

    assert torch.autograd.gradcheck(by_steps, (x,))
    half = make_pooling(kind, 2, dtype=torch.bfloat16)
    state = half.start(2, 2, dtype=torch.bfloat16)
    for y in torch.ones(3, 2, 2, dtype=torch.bfloat16):
        pooled, state = half.step(y, state)
    assert pooled.dtype == torch.bfloat16
    assert pooled.tolist() == [[1.0, 1.0]] * 2


def test_last_of_a_bidirectional_layer_has_no_steps():
    with pytest.raises(InputError, match="bidirectional=False"):
        LastPooling(bidirectional=True).start(1, 4)


def test_last_of_a_bidirectional_layer_is_where_both_directions_end():
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 2, bidirectional=True, batch_first=True)
    x = torch.randn(1, 5, 3)
    y, (h, _) = layer(x)
    torch.testing.assert_close(LastPooling(bidirectional=True)(y), h.transpose(0, 1).flatten(1))


def test_attention_weights_are_a_distribution_over_valid_steps():
    weights = AttentionPooling(3).weights(torch.randn(2, 4, 3), lengths=[4, 1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(2))
    assert weights[1].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_unknown_pooling_is_told_the_nearest():
    with pytest.raises(InputError, match="'mean'"):
        make_pooling("meen", 3)
