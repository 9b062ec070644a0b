"""Convolutions in front of a recurrence: they shorten a sequence and widen what each step sees.

Both take `(B, T, F)` with lengths and give `(B, ceil(T / stride), F')` with the lengths mapped.
Steps beyond a length are blanked before every layer, so they are the same zeros as those outside
the sequence, and padding never changes a valid output.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.masking import Lengths, blank, valid_steps

Pair = int | tuple[int, int]


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _widths(channels: int | Sequence[int]) -> list[int]:
    return [channels] if isinstance(channels, int) else list(channels)


def _sides(kernel: int) -> tuple[int, int]:
    """Zeros before and after, so that n steps at stride s become ceil(n / s), for any kernel."""
    return (kernel - 1) // 2, kernel // 2


class ConvFront(nn.Module):
    """What the two fronts share: layers of convolution and ReLU, and the lengths through them."""

    output_size: int
    layers: nn.ModuleList

    def __init__(self, time_stride: int) -> None:
        super().__init__()
        self.time_stride = time_stride

    def reset_parameters(self) -> None:
        """Weights as He et al. 2015 for ReLU, biases zero."""
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")

    def output_lengths(self, lengths: Lengths) -> Tensor:
        """How long rows of these lengths come out: ceil(n / stride), layer after layer."""
        lengths = torch.as_tensor(lengths)
        for _ in self.layers:
            lengths = (lengths + self.time_stride - 1) // self.time_stride
        return lengths

    def _run(
        self, x: Tensor, lengths: Lengths | None, pad: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Layers over `x` with time at axis 2; every layer sees zeros beyond the lengths."""
        at = None if lengths is None else torch.as_tensor(lengths, device=x.device)
        for layer in self.layers:
            x = F.relu(layer(F.pad(_blank_time(x, at), list(pad))))
            at = None if at is None else (at + self.time_stride - 1) // self.time_stride
        return _blank_time(x, at), at


def _blank_time(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Zeros beyond the lengths of `x` `(B, C, T, ...)`."""
    if lengths is None:
        return x
    return blank(x.transpose(1, 2), valid_steps(lengths, x.shape[2])).transpose(1, 2)


class ConvFront1d(ConvFront):
    """Convolutions over time: each output step sees `kernel_size` steps of every feature.

    Args:
        input_size: features of a step.
        channels: features after the layer, or after each of several layers.
        kernel_size: steps a layer sees.
        stride: steps a layer moves on.

    >>> front = ConvFront1d(3, [8, 16], kernel_size=5, stride=2)
    >>> y, lengths = front(torch.randn(2, 10, 3), torch.tensor([10, 5]))
    >>> y.shape, lengths, front.output_size
    (torch.Size([2, 3, 16]), tensor([3, 2]), 16)
    """

    def __init__(
        self,
        input_size: int,
        channels: int | Sequence[int],
        *,
        kernel_size: int = 3,
        stride: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(stride)
        self.input_size, self.kernel_size = input_size, kernel_size
        sizes = [input_size, *_widths(channels)]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size, stride, device=device, dtype=dtype)
            for before, after in pairwise(sizes)
        )
        self.output_size = sizes[-1]
        self.reset_parameters()

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> tuple[Tensor, Tensor | None]:
        """`(B, T, input_size)`, lengths -> `(B, T', output_size)`, lengths (None if none given)."""
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise InputError(
                f"The front takes (batch, time, {self.input_size}), not {tuple(x.shape)}."
            )
        if x.shape[1] == 0:
            at = None if lengths is None else self.output_lengths(lengths)
            return x.new_zeros(len(x), 0, self.output_size), at
        y, at = self._run(x.transpose(1, 2), lengths, _sides(self.kernel_size))
        return y.transpose(1, 2), at


class ConvFront2d(ConvFront):
    """Convolutions over time and features, for spectra and for pictures read row by row.

    Deep Speech 2 (Amodei et al. 2016) puts such layers before its recurrence. The channels of a
    step come out side by side: `output_size` is channels times what the stride left of the
    features.

    Args:
        input_size: features of a step (frequencies of a spectrum, width of a picture).
        channels: channels after the layer, or after each of several layers.
        in_channels: channels of the input; with 1 the input is `(B, T, F)` or `(B, T, F, 1)`.
        kernel_size: what a layer sees, one number or (time, features).
        stride: how far a layer moves on, one number or (time, features).

    >>> front = ConvFront2d(28, 4, kernel_size=(3, 5), stride=(1, 2))
    >>> y, lengths = front(torch.randn(2, 28, 28), [28, 14])
    >>> y.shape, lengths, front.output_size
    (torch.Size([2, 28, 56]), tensor([28, 14]), 56)
    """

    def __init__(
        self,
        input_size: int,
        channels: int | Sequence[int],
        *,
        in_channels: int = 1,
        kernel_size: Pair = 3,
        stride: Pair = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        time_stride, feature_stride = _pair(stride)
        super().__init__(time_stride)
        self.input_size, self.in_channels = input_size, in_channels
        self.kernel_size = _pair(kernel_size)
        sizes = [in_channels, *_widths(channels)]
        self.layers = nn.ModuleList(
            nn.Conv2d(
                before,
                after,
                self.kernel_size,
                (time_stride, feature_stride),
                device=device,
                dtype=dtype,
            )
            for before, after in pairwise(sizes)
        )
        features = input_size
        for _ in self.layers:
            features = (features + feature_stride - 1) // feature_stride
        self.output_size = sizes[-1] * features
        self.reset_parameters()

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> tuple[Tensor, Tensor | None]:
        """`(B, T, F)` or `(B, T, F, in_channels)`, lengths -> `(B, T', output_size)`, lengths."""
        given = tuple(x.shape)
        if x.dim() == 3 and self.in_channels == 1:
            x = x.unsqueeze(-1)
        if x.dim() != 4 or x.shape[2:] != (self.input_size, self.in_channels):
            raise InputError(
                f"The front takes (batch, time, {self.input_size}, {self.in_channels}), "
                f"not {given}."
            )
        if x.shape[1] == 0:
            at = None if lengths is None else self.output_lengths(lengths)
            return x.new_zeros(len(x), 0, self.output_size), at
        # F.pad counts from the last axis: features first, then time.
        pad = (*_sides(self.kernel_size[1]), *_sides(self.kernel_size[0]))
        y, at = self._run(x.permute(0, 3, 1, 2), lengths, pad)
        return y.permute(0, 2, 1, 3).flatten(2), at
