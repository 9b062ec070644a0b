"""Convolutional fronts: lengths, padding, and the convolution itself against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.nn.conv import ConvFront1d, ConvFront2d


def test_one_layer_is_the_convolution_it_says():
    torch.manual_seed(0)
    front = ConvFront1d(2, 3, kernel_size=4, stride=2, dtype=torch.float64)
    torch.nn.init.normal_(front.layers[0].bias)
    x = torch.randn(1, 7, 2, dtype=torch.float64)
    y, _ = front(x)
    weight, bias = front.layers[0].weight, front.layers[0].bias
    for t in range(4):
        for channel in range(3):
            total = bias[channel].item()
            for j in range(4):
                at = 2 * t + j - 1
                if 0 <= at < 7:
                    total += (weight[channel, :, j] @ x[0, at]).item()
            assert y[0, t, channel].item() == pytest.approx(max(total, 0), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    two=st.booleans(),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    layers=st.integers(1, 3),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 3),
    extra=st.integers(0, 5),
    junk=st.sampled_from([0.0, 7.0, math.nan]),
)
def test_padding_never_changes_a_valid_output(two, lengths, layers, kernel, stride, extra, junk):
    torch.manual_seed(kernel)
    kind = ConvFront2d if two else ConvFront1d
    front = kind(3, [4] * layers, kernel_size=kernel, stride=stride, dtype=torch.float64)
    for layer in front.layers:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(len(lengths), max(lengths) + extra, 3, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = junk
    y, at = front(x, torch.tensor(lengths))
    assert torch.equal(at, front.output_lengths(lengths))
    for row, length in enumerate(lengths):
        whole, none = front(x[row : row + 1, :length])
        assert none is None
        expected = length
        for _ in range(layers):
            expected = math.ceil(expected / stride)
        assert whole.shape == (1, expected, front.output_size)
        assert at[row] == expected
        torch.testing.assert_close(y[row, :expected], whole[0], rtol=0, atol=1e-12)
        assert (y[row, expected:] == 0).all()


def test_padding_gets_no_gradient():
    torch.manual_seed(0)
    front = ConvFront1d(2, [3, 3])
    x = torch.randn(2, 8, 2, requires_grad=True)
    front(x, [8, 3])[0].sum().backward()
    assert (x.grad[1, 3:] == 0).all()
    assert (x.grad[1, :3] != 0).any()


def test_two_dimensions_share_weights_along_the_features():
    """A shift by the stride along the features shifts the output, away from the edges."""
    torch.manual_seed(0)
    front = ConvFront2d(12, 2, kernel_size=3, stride=(1, 2), dtype=torch.float64)
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    y = front(x)[0].reshape(5, 2, 6)
    shifted = front(x.roll(2, -1))[0].reshape(5, 2, 6)
    torch.testing.assert_close(shifted[..., 2:5], y[..., 1:4], rtol=0, atol=1e-12)


def test_colour_channels_and_sizes():
    front = ConvFront2d(10, [4, 6], in_channels=3, kernel_size=(3, 5), stride=(2, 3))
    y, lengths = front(torch.randn(2, 9, 10, 3), [9, 4])
    assert y.shape == (2, 3, 6 * 2)
    assert front.output_size == 12
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize("kind", [ConvFront1d, ConvFront2d])
def test_empty_batch_and_no_steps(kind):
    front = kind(3, [4, 5])
    assert front(torch.zeros(0, 6, 3))[0].shape == (0, 2, front.output_size)
    y, lengths = front(torch.zeros(2, 0, 3), [0, 0])
    assert y.shape == (2, 0, front.output_size)
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize("kind", [ConvFront1d, ConvFront2d])
def test_a_wrong_shape_is_named(kind):
    with pytest.raises(InputError, match=r"\(2, 6, 4\)"):
        kind(3, 4)(torch.zeros(2, 6, 4))
