"""Convolutional fronts: lengths, padding, and the convolution itself against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.nn.conv import BatchNorm, ConvFront1d, ConvFront2d, InstanceNorm


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


def moved(front):
    """The front with biases and gains that are not those of the start."""
    for parameter in front.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.5, 2)
    return front


@settings(max_examples=60, deadline=None)
@given(
    two=st.booleans(),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    layers=st.integers(1, 3),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 3),
    extra=st.integers(0, 5),
    junk=st.sampled_from([0.0, 7.0, math.nan]),
    norm=st.sampled_from(["none", "instance", "batch"]),
)
def test_padding_never_changes_a_valid_output(
    two, lengths, layers, kernel, stride, extra, junk, norm
):
    torch.manual_seed(kernel)
    kind = ConvFront2d if two else ConvFront1d
    front = moved(kind(3, [4] * layers, kernel_size=kernel, stride=stride, norm=norm).double())
    front(torch.randn(5, 20, 3, dtype=torch.float64))
    front.eval()
    x = torch.randn(len(lengths), max(lengths) + extra, 3, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = junk
    y, at = front(x, lengths=torch.tensor(lengths))
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


@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
def test_padding_gets_no_gradient(norm):
    torch.manual_seed(0)
    front = moved(ConvFront1d(2, [3, 3], stride=1, norm=norm))
    x = torch.randn(2, 8, 2, requires_grad=True)
    front(x, lengths=[8, 3])[0].square().sum().backward()
    assert (x.grad[1, 3:] == 0).all()
    assert (x.grad[1, :3] != 0).any()


@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
@pytest.mark.parametrize("kind", [ConvFront1d, ConvFront2d])
def test_padding_changes_no_gradient(kind, norm):

    def trained(extra: int, junk: float):
        torch.manual_seed(0)
        front = moved(kind(3, [4, 5], kernel_size=[4, 3], stride=[2, 1], norm=norm).double())
        x = torch.randn(3, 9, 3, dtype=torch.float64)
        x = torch.cat([x, torch.zeros(3, extra, 3, dtype=torch.float64)], 1)
        for row, length in enumerate(lengths):
            x[row, length:] = junk
        y = front(x, lengths=lengths)[0][:, :5]
        y.square().sum().backward()
        return [y, *(p.grad for p in front.parameters())]

    lengths = [9, 4, 0]
    for near, far in zip(trained(0, 0.0), trained(6, math.nan), strict=True):
        torch.testing.assert_close(near, far, rtol=0, atol=1e-12)


def test_the_norm_is_over_the_valid_steps_of_each_sequence():
    front = ConvFront1d(1, 1, kernel_size=1, stride=1, norm="instance", dtype=torch.float64)
    with torch.no_grad():
        front.layers[0].weight.fill_(1)
        front.norms[0].weight.fill_(2)
        front.norms[0].bias.fill_(3)
    x = torch.tensor([[[1.0], [3.0], [8.0]], [[8.0], [6.0], [90.0]]], dtype=torch.float64)
    y, _ = front(x, lengths=[3, 2])
    # Mean 4, deviations -3, -1, 4, variance 26 / 3; mean 7, deviations 1, -1, variance 1.
    first = [3 + 2 * d / math.sqrt(26 / 3 + 1e-5) for d in (-3, -1, 4)]
    second = [3 + 2 / math.sqrt(1 + 1e-5), 3 - 2 / math.sqrt(1 + 1e-5), 0]
    assert y.flatten().tolist() == pytest.approx([*first, *second])


def test_the_norm_of_a_picture_is_that_of_torch():
    torch.manual_seed(0)
    norm, reference = InstanceNorm(3), torch.nn.InstanceNorm2d(3, affine=True)
    reference.load_state_dict({k: v.uniform_(0.5, 2) for k, v in norm.state_dict().items()})
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(norm(x), reference(x))


def test_the_batch_norm_is_torch_s_over_the_valid_steps():
    torch.manual_seed(0)
    ours, torchs = BatchNorm(3), torch.nn.BatchNorm1d(3)
    for norm in (ours, torchs):
        torch.nn.init.constant_(norm.weight, 1.5)
    x = torch.randn(2, 3, 5, requires_grad=True)
    y = ours(x, lengths=torch.tensor([5, 2]))
    valid = torch.cat([x[0].T, x[1, :, :2].T])
    expected = torchs(valid)
    torch.testing.assert_close(torch.cat([y[0].T, y[1, :, :2].T]), expected)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    picture = torch.randn(2, 3, 5, 4)
    two = torch.nn.BatchNorm2d(3)
    torch.testing.assert_close(BatchNorm(3)(picture), two(picture))


def test_a_single_step_is_normed_by_what_was_seen():
    norm = BatchNorm(2)
    norm.running_mean += 3
    assert norm(torch.full((1, 2, 1), 3.0)).tolist() == [[[0.0], [0.0]]]


def test_each_layer_may_have_its_own_kernel_and_stride():
    front = ConvFront1d(2, [3, 4], kernel_size=[5, 3], stride=[3, 1])
    assert [tuple(layer.weight.shape) for layer in front.layers] == [(3, 2, 5), (4, 3, 3)]
    assert front(torch.zeros(1, 8, 2), lengths=[7])[1].tolist() == [3]
    front = ConvFront2d(8, [3, 4], kernel_size=[(5, 3), 3], stride=[(3, 1), (1, 2)])
    assert [tuple(layer.weight.shape) for layer in front.layers] == [(3, 1, 5, 3), (4, 3, 3, 3)]
    y, lengths = front(torch.zeros(1, 8, 8), lengths=[7])
    assert y.shape == (1, 3, 4 * 4)
    assert lengths.tolist() == [3]
    with pytest.raises(InputError, match="stride has 1 entries for 2 layers"):
        ConvFront1d(2, [3, 4], stride=[2])


def test_an_unknown_norm_names_the_nearest():
    with pytest.raises(InputError, match="'instance'"):
        ConvFront1d(2, 3, norm="instanse")


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
    y, lengths = front(torch.randn(2, 9, 10, 3), lengths=[9, 4])
    assert y.shape == (2, 3, 6 * 2)
    assert front.output_size == 12
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize("kind", [ConvFront1d, ConvFront2d])
@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
def test_empty_batch_and_no_steps(kind, norm):
    front = kind(3, [4, 5], norm=norm)
    assert front(torch.zeros(0, 6, 3))[0].shape == (0, 2, front.output_size)
    y, lengths = front(torch.zeros(2, 0, 3), lengths=[0, 0])
    assert y.shape == (2, 0, front.output_size)
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize("kind", [ConvFront1d, ConvFront2d])
def test_a_wrong_shape_is_named(kind):
    with pytest.raises(InputError, match=r"\(2, 6, 4\)"):
        kind(3, 4)(torch.zeros(2, 6, 4))
