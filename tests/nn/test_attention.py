"""Attention against a formula in plain floats, and what masks promise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.nn.attention import AdditiveAttention, MultiplicativeAttention, make_attention
from elman.nn.masking import blank, masked_softmax, reverse_valid, valid_steps

KINDS = ("additive", "general", "dot")


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def by_hand(kind, attention, query, memory, length):
    """Context and weights of one query vector over one memory, in plain Python floats."""
    q, rows = query.tolist(), memory[:length].tolist()
    scores = []
    for m in rows:
        if kind == "additive":
            W, U, bias = (
                t.tolist() for t in (attention.W.weight, attention.U.weight, attention.W.bias)
            )
            hidden = [
                math.tanh(dot(w, q) + dot(u, m) + b) for w, u, b in zip(W, U, bias, strict=True)
            ]
            scores.append(dot(attention.v.weight[0].tolist(), hidden))
        elif kind == "general":
            scores.append(dot(q, [dot(w, m) for w in attention.W.weight.tolist()]))
        else:
            scores.append(dot(q, m))
    exps = [math.exp(s - max(scores)) for s in scores]
    weights = [e / sum(exps) for e in exps]
    context = [dot(weights, column) for column in zip(*rows, strict=True)]
    return torch.tensor(context, dtype=torch.float64), torch.tensor(weights, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_the_published_formula(kind):
    torch.manual_seed(0)
    size = 3 if kind == "dot" else 5
    attention = make_attention(kind, 3, size, dtype=torch.float64)
    query = torch.randn(2, 4, 3, dtype=torch.float64)
    memory = torch.randn(2, 6, size, dtype=torch.float64)
    lengths = [6, 2]
    context, weights = attention(query, memory, lengths=lengths)
    for b in range(2):
        for t in range(4):
            c, w = by_hand(kind, attention, query[b, t], memory[b], lengths[b])
            torch.testing.assert_close(context[b, t], c, rtol=0, atol=1e-12)
            torch.testing.assert_close(weights[b, t, : lengths[b]], w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_one_query_step_is_a_row_of_many(kind):
    torch.manual_seed(1)
    attention = make_attention(kind, 3, 3, dtype=torch.float64)
    query, memory = torch.randn(2, 4, 3).double(), torch.randn(2, 5, 3).double()
    whole = attention(query, memory, lengths=[5, 3])
    remembered = attention.remember(memory, lengths=[5, 3])
    for t in range(4):
        context, weights = attention.attend(query[:, t], remembered)
        torch.testing.assert_close(context, whole[0][:, t], rtol=0, atol=1e-14)
        torch.testing.assert_close(weights, whole[1][:, t], rtol=0, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    extra=st.integers(0, 4),
    junk=st.sampled_from([0.0, 1e9, math.inf, math.nan]),
    seed=st.integers(0, 99),
)
def test_padding_has_weight_zero_and_changes_nothing(kind, lengths, extra, junk, seed):
    generator = torch.Generator().manual_seed(seed)
    attention = make_attention(kind, 3, 3, dtype=torch.float64)
    steps = max(lengths)
    memory = torch.randn(len(lengths), steps, 3, generator=generator, dtype=torch.float64)
    query = torch.randn(len(lengths), 2, 3, generator=generator, dtype=torch.float64)
    real = valid_steps(lengths, steps + extra)
    padded = torch.full((len(lengths), steps + extra, 3), junk, dtype=torch.float64)
    padded[real] = memory[valid_steps(lengths, steps)]
    context, weights = attention(query, padded, lengths=lengths)
    assert (weights.transpose(1, 2)[~real] == 0).all()
    for row, length in enumerate(lengths):
        if length == 0:
            assert (context[row] == 0).all()
            continue
        alone, _ = attention(query[row : row + 1], memory[row : row + 1, :length])
        torch.testing.assert_close(context[row : row + 1], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(weights[row].sum(-1), torch.ones(2).double())


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_right_and_finite_with_an_empty_row(kind):
    attention = make_attention(kind, 2, 2, dtype=torch.float64)
    query = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda q, m: attention(q, m, lengths=[4, 0, 2])[0], (query, memory)
    )


def test_softmax_of_nothing_is_zero_with_zero_gradient():
    scores = torch.tensor([[1.0, math.nan], [2.0, 3.0]], requires_grad=True)
    weights = masked_softmax(scores, torch.tensor([[False, False], [True, False]]))
    assert weights.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    (weights * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert scores.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), width=st.sampled_from([None, 2])
)
@settings(deadline=None)
def test_reversal_respects_lengths(lengths, width):
    shape = (len(lengths), 6) if width is None else (len(lengths), 6, width)
    x = torch.arange(torch.Size(shape).numel()).reshape(shape)
    back = reverse_valid(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        assert back[row, :length].tolist() == x[row, :length].tolist()[::-1]
        assert torch.equal(back[row, length:], x[row, length:])
    assert torch.equal(reverse_valid(back, lengths), x)


def test_reversal_without_lengths_and_blank_without_mask():
    x = torch.arange(6).reshape(2, 3)
    assert reverse_valid(x).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert blank(x, None) is x


def test_errors_name_the_choice():
    with pytest.raises(InputError, match="'additive'"):
        make_attention("aditive", 2, 2)
    with pytest.raises(InputError, match="'general'"):
        MultiplicativeAttention(2, 3, form="dot")
    with pytest.raises(InputError, match="'general'"):
        MultiplicativeAttention(2, 2, form="generl")


def test_additive_hidden_size_is_its_own():
    assert AdditiveAttention(2, 3, 7).v.in_features == 7
