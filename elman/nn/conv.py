"""Convolutions in front of a recurrence: shorter sequences, each step made of several.

Both take `(B, T, F)` with lengths and give `(B, ceil(T / stride), F')` with the new lengths.
Steps beyond a length are set to zero before every layer, so padding never changes a valid output.
A norm uses valid steps only. The instance norm uses the steps of one sequence, so an output never
depends on the rest of the batch. The batch norm uses the steps of the whole batch in training,
and running statistics of them afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError, nearest
from elman.nn.masking import Lengths, blank, valid_steps

Pair = int | tuple[int, int]
FrontNorm = Literal["none", "instance", "batch"]
_A = TypeVar("_A")


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _widths(channels: int | Sequence[int]) -> list[int]:
    return [channels] if isinstance(channels, int) else list(channels)


def _sides(kernel: int) -> tuple[int, int]:
    """Return the zeros before and after with which n steps at stride s become ceil(n / s)."""
    return (kernel - 1) // 2, kernel // 2


def _each(value: _A | list[_A], name: str, layers: int) -> list[_A]:
    """Return a list with one value for each layer, from that or from one value for all."""
    values = value if isinstance(value, list) else [value] * layers
    if len(values) != layers:
        raise InputError(f"{name} has {len(values)} entries for {layers} layers: {values}.")
    return values


class InstanceNorm(nn.Module):
    """Normalise each channel of each sequence over its valid steps; then gain and bias.

    Ulyanov et al. 2016, "Instance normalization". Mean 0 and variance 1 leave the shape of a
    channel and not its level. A single step becomes 0, so strides should leave several steps.

    >>> norm = InstanceNorm(1)
    >>> norm(torch.tensor([[[1.0, 3.0, 9.0]]]), lengths=torch.tensor([2])).tolist()[0][0][:2]
    [-0.9999949932098389, 0.9999949932098389]
    """

    def __init__(
        self,
        channels: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set gains to one and biases to zero."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Normalise `(B, C, T, ...)`; values beyond `lengths` `(B,)` are not defined."""
        over = tuple(range(2, x.dim()))
        valid = _blank_time(x, lengths)
        steps = torch.tensor([x.shape[2]], device=x.device) if lengths is None else lengths
        count = (steps * math.prod(x.shape[3:])).clamp(min=1).view(-1, *[1] * (x.dim() - 1))
        mean = valid.sum(over, keepdim=True) / count
        apart = _blank_time(valid - mean, lengths)
        spread = (apart.square().sum(over, keepdim=True) / count + 1e-5).sqrt()
        shape = (1, -1) + (1,) * len(over)
        return apart / spread * self.weight.view(shape) + self.bias.view(shape)


class BatchNorm(nn.BatchNorm1d):
    """Normalise each channel over all valid steps of a batch; then gain and bias.

    Ioffe & Szegedy 2015, "Batch normalization". In evaluation the running mean and variance are
    used, so an output does not depend on the rest of the batch.

    >>> norm = BatchNorm(1)
    >>> x = torch.tensor([[[1.0, 3.0, 9.0]], [[5.0, 7.0, 9.0]]])
    >>> norm(x, lengths=torch.tensor([2, 2]))[:, 0, :2].mean().abs().item() < 1e-6
    True
    """

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Normalise `(B, C, T, ...)`; values beyond `lengths` `(B,)` are not defined."""
        steps = x.movedim(1, -1)
        if lengths is None:
            return self._normed(steps.reshape(-1, x.shape[1])).view_as(steps).movedim(-1, 1)
        valid = valid_steps(lengths, x.shape[2])
        seen = steps[valid]
        normed = self._normed(seen.reshape(-1, x.shape[1])).view_as(seen)
        return torch.zeros_like(steps).index_put((valid,), normed).movedim(-1, 1)

    def _normed(self, rows: Tensor) -> Tensor:
        if not len(rows):
            return rows
        if len(rows) > 1:
            return super().forward(rows)
        # A single step has no variance: the running statistics are used.
        given = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(rows, *given, False, 0.0, self.eps)


class ConvFront(nn.Module):
    """Base of the two fronts: layers of convolution, norm and ReLU, and the lengths after them."""

    output_size: int
    layers: nn.ModuleList

    def __init__(
        self,
        channels: Sequence[int],
        time_strides: Sequence[int],
        norm: FrontNorm,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if norm not in get_args(FrontNorm):
            raise InputError(f"norm={norm!r} is not known.", fix=nearest(norm, get_args(FrontNorm)))
        self.time_strides = list(time_strides)
        self.norms: nn.ModuleList | None = None
        if norm != "none":
            make = InstanceNorm if norm == "instance" else BatchNorm
            self.norms = nn.ModuleList(make(size, device=device, dtype=dtype) for size in channels)

    def reset_parameters(self) -> None:
        """Draw weights as He et al. 2015 for ReLU; set biases to zero and norms to their start."""
        for layer in self.layers:
            assert isinstance(layer, nn.Conv1d | nn.Conv2d)
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        for norm in self.norms or ():
            assert isinstance(norm, InstanceNorm | BatchNorm)
            norm.reset_parameters()

    def output_lengths(self, lengths: Lengths) -> Tensor:
        """Return the lengths after all layers: each makes ceil(n / stride) of n steps."""
        lengths = torch.as_tensor(lengths)
        for stride in self.time_strides:
            lengths = (lengths + stride - 1) // stride
        return lengths

    def _run(
        self, x: Tensor, lengths: Lengths | None, pads: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor | None]:
        """Run the layers over `x`, time at axis 2; every layer sees zeros beyond the lengths."""
        at = None if lengths is None else torch.as_tensor(lengths, device=x.device)
        x = _blank_time(x, at)
        for i, (layer, stride) in enumerate(zip(self.layers, self.time_strides, strict=True)):
            x = layer(F.pad(x, list(pads[i])))
            at = None if at is None else (at + stride - 1) // stride
            if self.norms is not None:
                x = self.norms[i](x, lengths=at)
            x = _blank_time(F.relu(x), at)
        return x, at


def _blank_time(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return `x` `(B, C, T, ...)` with zeros beyond the lengths."""
    if lengths is None:
        return x
    return blank(x.transpose(1, 2), valid_steps(lengths, x.shape[2])).transpose(1, 2)


class ConvFront1d(ConvFront):
    """Convolutions over time: each output step sees `kernel_size` steps of all features.

    Args:
        input_size: features of a step.
        channels: features after the layer, or after each of several layers.
        kernel_size: steps a layer sees; a list has one for each layer.
        stride: steps a layer moves on; a list has one for each layer.
        norm: "instance" puts an `InstanceNorm` between convolution and ReLU, "batch" a
            `BatchNorm`, "none" nothing.

    Raises:
        InputError: a list of another length than there are layers; an unknown norm.

    >>> front = ConvFront1d(3, [8, 16], kernel_size=5, stride=2)
    >>> y, lengths = front(torch.randn(2, 10, 3), lengths=torch.tensor([10, 5]))
    >>> y.shape, lengths, front.output_size
    (torch.Size([2, 3, 16]), tensor([3, 2]), 16)
    >>> front = ConvFront1d(3, [8, 16], kernel_size=[8, 5], stride=[2, 1], norm="instance")
    >>> front(torch.randn(2, 10, 3), lengths=[10, 5])[1]
    tensor([5, 3])
    """

    def __init__(
        self,
        input_size: int,
        channels: int | Sequence[int],
        *,
        kernel_size: int | list[int] = 3,
        stride: int | list[int] = 2,
        norm: FrontNorm = "none",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        widths = _widths(channels)
        strides = _each(stride, "stride", len(widths))
        super().__init__(widths, strides, norm, device, dtype)
        self.input_size = input_size
        self.kernel_sizes = _each(kernel_size, "kernel_size", len(widths))
        sizes = [input_size, *widths]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel, step, device=device, dtype=dtype)
            for (before, after), kernel, step in zip(
                pairwise(sizes), self.kernel_sizes, strides, strict=True
            )
        )
        self.output_size = sizes[-1]
        self.reset_parameters()

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> tuple[Tensor, Tensor | None]:
        """Map `(B, T, input_size)` to `(B, T', output_size)`; also return the new lengths.

        The lengths are None where `lengths` is.
        """
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise InputError(
                f"The front takes (batch, time, {self.input_size}), not {tuple(x.shape)}."
            )
        if x.shape[1] == 0:
            at = None if lengths is None else self.output_lengths(lengths)
            return x.new_zeros(len(x), 0, self.output_size), at
        y, at = self._run(
            x.transpose(1, 2), lengths, [_sides(kernel) for kernel in self.kernel_sizes]
        )
        return y.transpose(1, 2), at


class ConvFront2d(ConvFront):
    """Convolutions over time and features, for spectra, and for pictures read row by row.

    Deep Speech 2 (Amodei et al. 2016) has such layers before its recurrence. The channels of a
    step are put side by side: `output_size` is channels times the features that the strides
    leave.

    Args:
        input_size: features of a step (frequencies of a spectrum, width of a picture).
        channels: channels after the layer, or after each of several layers.
        in_channels: channels of the input; with 1 the input is `(B, T, F)` or `(B, T, F, 1)`.
        kernel_size: steps and features that a layer sees, one number for both or (time, features);
            a list has one entry for each layer.
        stride: steps and features that a layer moves on, given in the same way.
        norm: as in `ConvFront1d`, over time and features of each channel.

    Raises:
        InputError: a list of another length than there are layers; an unknown norm.

    >>> front = ConvFront2d(28, 4, kernel_size=(3, 5), stride=(1, 2))
    >>> y, lengths = front(torch.randn(2, 28, 28), lengths=[28, 14])
    >>> y.shape, lengths, front.output_size
    (torch.Size([2, 28, 56]), tensor([28, 14]), 56)
    """

    def __init__(
        self,
        input_size: int,
        channels: int | Sequence[int],
        *,
        in_channels: int = 1,
        kernel_size: Pair | list[Pair] = 3,
        stride: Pair | list[Pair] = 2,
        norm: FrontNorm = "none",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        widths = _widths(channels)
        steps: list[Pair] = _each(stride, "stride", len(widths))
        strides = [_pair(step) for step in steps]
        super().__init__(widths, [time for time, _ in strides], norm, device, dtype)
        self.input_size, self.in_channels = input_size, in_channels
        kernels: list[Pair] = _each(kernel_size, "kernel_size", len(widths))
        self.kernel_sizes = [_pair(kernel) for kernel in kernels]
        sizes = [in_channels, *widths]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, kernel, step, device=device, dtype=dtype)
            for (before, after), kernel, step in zip(
                pairwise(sizes), self.kernel_sizes, strides, strict=True
            )
        )
        features = input_size
        for _, step in strides:
            features = (features + step - 1) // step
        self.output_size = sizes[-1] * features
        self.reset_parameters()

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> tuple[Tensor, Tensor | None]:
        """Map `(B, T, F)` or `(B, T, F, in_channels)` to `(B, T', output_size)`; also lengths.

        The lengths are None where `lengths` is.
        """
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
        pads = [(*_sides(width), *_sides(steps)) for steps, width in self.kernel_sizes]
        y, at = self._run(x.permute(0, 3, 1, 2), lengths, pads)
        return y.permute(0, 2, 1, 3).flatten(2), at
