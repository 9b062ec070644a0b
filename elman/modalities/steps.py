"""Sequences of numbers `(T, C)`: what series, pictures and other modalities of numbers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from elman.data import Scaler
from elman.errors import InputError
from elman.modalities.base import (
    Array,
    Distance,
    Features,
    Mixture,
    ModalitySettings,
    Padded,
    Shown,
    Stepwise,
)
from elman.modalities.levels import Far, Levels
from elman.nn.conv import ConvFront1d
from elman.nn.dropout import locked


class StepsSettings(ModalitySettings):
    """Settings of every modality whose steps are numbers."""

    anew: ClassVar[frozenset[str]] = frozenset({"noise", "shift", "mixup"})

    noise: float = Field(
        0.0, ge=0, description="deviation of the noise added in training, after scaling"
    )
    shift: float = Field(
        0.0, ge=0, description="deviation, in steps, by which training slides a sequence in time"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        description="training on mixtures of two sequences, in shares from Beta(mixup, mixup)",
    )


class StepsCodec(Stepwise):
    """Numbers `(T, C)`, scaled channel by channel; the base of every codec of numbers.

    Args:
        scaler: of the channels, fitted on the training part.
        settings: a task's, joined with `StepsSettings`.
        levels: how large the numbers of training are, where it is kept.
    """

    modality: ClassVar[str]
    unit = "steps"
    distances: tuple[Distance, ...] = ()

    def __init__(self, scaler: Scaler, settings: Any, levels: Levels | None = None) -> None:
        self.scaler, self.settings, self.levels = scaler, settings, levels

    @property
    def channels(self) -> int:
        """Numbers in a step."""
        return len(self.scaler.shift)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"scaler": self.scaler.to_json(), **self._kept_levels()}

    def _kept_levels(self) -> dict[str, Any]:
        return {} if self.levels is None else {"levels": self.levels.to_json()}

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return the channels of new cells whose numbers lie far from those of training."""
        return [] if self.levels is None else self.levels.far(cells)

    def encode(self, cell: Any) -> Array:
        """Return scaled steps `(T, C)` in float32, cut to the longest allowed."""
        kept = np.asarray(cell)[: self.settings.max_length]
        return self.scaler.transform(kept).astype(np.float32, copy=False)

    def decode(self, array: Array) -> Any:
        """Return the numbers in their own units, `(T, C)`."""
        return self.scaler.inverse(np.asarray(array, np.float64))

    def refuse(self, cell: Any) -> str | None:
        """Return what is wrong where a sequence has another number of channels, or no numbers."""
        if np.asarray(cell).shape[1] == self.channels:
            steps, channels = np.nonzero(~np.isfinite(np.asarray(cell, np.float64)))
            if not len(steps):
                return None
            value = np.asarray(cell)[steps[0], channels[0]]
            return (
                f"Step {steps[0] + 1} of this sequence has the value {value}, which is no number "
                "to compute with. Fill it, or leave the sequence out."
            )
        return (
            f"This sequence has {np.asarray(cell).shape[1]} values a step; those of training have "
            f"{self.channels}."
        )

    def batch(self, arrays: Sequence[Array]) -> Padded:
        """Return `(B, T, C)`, zero beyond each length."""
        lengths = np.array([len(x) for x in arrays], dtype=np.int64)
        padded = np.zeros((len(arrays), int(lengths.max(initial=0)), self.channels), np.float32)
        for row, x in enumerate(arrays):
            padded[row, : len(x)] = x
        return Padded(torch.from_numpy(padded), torch.from_numpy(lengths))

    def reader(self) -> tuple[nn.Module, int]:
        """Return the numbers as they are; in training with noise, and with channels dropped."""
        return NoisyInput(self.settings.noise, self.settings.input_dropout), self.channels

    def front(self, size: int) -> Any:
        """Return convolutions over time, or None."""
        return front(self.settings, size)

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return each sequence moved in time by whole steps, where `shift` asks for it."""
        if not self.settings.shift:
            return batch
        return slid(batch, self.settings.shift, generator)

    def mixed(self, batch: Padded) -> Mixture | None:
        """Return mixtures of two sequences, where `mixup` asks for them."""
        return mixed(batch, self.settings.mixup) if self.settings.mixup else None

    def features(self, cells: Sequence[Any]) -> Features:
        """Return summary features of the scaled channels, scaled once more to a common range."""
        raw = self._summaries(cells)
        return self._features(Scaler.fit(raw), raw)

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the summary features whose scaler was kept."""
        return self._features(Scaler.from_json(facts["scaler"]), None)

    def _features(self, scaler: Scaler, raw: Array | None) -> Features:
        return Features(
            "{} on summary features",
            None if raw is None else scaler.transform(raw),
            lambda others: scaler.transform(self._summaries(others)),
            state=lambda: ({"scaler": scaler.to_json()}, {}),
        )

    def _summaries(self, cells: Sequence[Any]) -> Array:
        from elman.modalities.likeness import summary_features

        return summary_features([self.encode(cell) for cell in cells])

    def step(self, value: Any) -> Tensor:
        """Return the numbers of one step as `(1, 1, C)`."""
        try:
            # NumPy makes a NaN of None.
            numbers = np.array({} if value is None else value, dtype=np.float64, ndmin=1)
        except (TypeError, ValueError):
            raise InputError(f"A step is a number or a list of numbers, not {value!r}.") from None
        if not np.isfinite(numbers).all():
            raise InputError(f"There is a value in {value!r} that is missing or infinite.")
        if numbers.shape != self.scaler.shift.shape:
            raise InputError(
                f"A step has {self.channels} values; this has the shape {numbers.shape}."
            )
        scaled = (numbers - self.scaler.shift) / self.scaler.scale
        return torch.from_numpy(scaled.astype(np.float32)[None, None])

    def raw(self, data: Any) -> list[Any] | None:
        """Return sequences from arrays: one `(T,)` or `(T, C)`, several `(n, T, C)`, or a list.

        Raises:
            InputError: an array holds no numbers, or has more axes.
        """
        if isinstance(data, np.ndarray) or plain_numbers(data):
            try:
                array = np.asarray(data, np.float64)
            except (TypeError, ValueError):
                raise InputError(
                    f"An array of {np.asarray(data).dtype} is no series.", fix="Give numbers."
                ) from None
            if array.ndim not in (1, 2, 3):
                raise InputError(
                    f"A series is an array (T,) or (T, C), not {array.shape}.",
                    fix="Several of them are (n, T, C).",
                )
            data = list(array) if array.ndim == 3 else [array]
        if not (isinstance(data, list) and data and all(isinstance(x, np.ndarray) for x in data)):
            return None
        return [x[:, None] if x.ndim == 1 else x for x in data]

    def cut(self, cell: Any) -> list[Any]:
        """Return the steps of a cell, which are the pieces of a stream."""
        return list(np.asarray(cell)[: self.settings.max_length])

    def show(self, array: Array) -> Shown:
        """Return the first channel's numbers."""
        return Shown(np.asarray(array, float).reshape(len(array), -1)[:, 0].tolist())

    def told(self, cell: Any) -> str | None:
        """Return None: a table of predictions does not repeat numbers."""
        return None


def plain_numbers(data: Any) -> bool:
    """Tell whether data are a plain list of numbers, or of rows of numbers."""
    if not isinstance(data, list | tuple) or not data:
        return False
    if all(isinstance(x, list | tuple) for x in data):
        return all(plain_numbers(x) for x in data) and len({len(x) for x in data}) == 1
    return all(isinstance(x, int | float) for x in data)


class NoisyInput(nn.Module):
    """Numbers `(B, T, C)` as they are; in training with noise, and with channels dropped."""

    idle = True

    def __init__(self, noise: float, dropout: float) -> None:
        super().__init__()
        self.noise, self.dropout = noise, dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, T, C)`."""
        if not self.training:
            return x
        if self.noise:
            x = x + self.noise * torch.randn_like(x)
        return locked(x, self.dropout, self.training, time_axis=1)


def front(settings: ModalitySettings, size: int) -> ConvFront1d | None:
    """Return the convolutions over time that the settings ask for, on `size` features, or None."""
    if not settings.front_channels:
        return None
    return ConvFront1d(
        size,
        settings.front_channels,
        kernel_size=settings.front_kernel,
        stride=settings.front_stride,
        norm=settings.front_norm,
    )


def slid(batch: Padded, deviation: float, generator: Generator | None = None) -> Padded:
    """Return each sequence moved in time by whole steps.

    The value at an end is repeated for the steps that come in there.
    """
    steps = torch.arange(batch.inputs.shape[1])
    by = (deviation * torch.randn(len(batch.lengths), generator=generator)).round().long()
    last = (batch.lengths - 1).clamp(min=0)[:, None]
    source = torch.minimum((steps + by[:, None]).clamp(min=0), last)
    # Padding stays where it is.
    source = torch.where(steps <= last, source, steps)
    index = source[..., None].expand_as(batch.inputs)
    return Padded(batch.inputs.gather(1, index), batch.lengths)


def mixed(batch: Padded, spread: float) -> Mixture:
    """Return each sequence mixed with another of its batch (Zhang et al. 2018, "mixup").

    A mixture is as long as the longer of the two.
    """
    share = float(torch.distributions.Beta(spread, spread).sample())
    others = torch.randperm(len(batch.lengths))
    inputs = share * batch.inputs + (1 - share) * batch.inputs[others]
    lengths = torch.maximum(batch.lengths, batch.lengths[others])
    return Mixture(Padded(inputs, lengths), others, share)
