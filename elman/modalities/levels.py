"""How large the numbers of training are, by which numbers in another unit are noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OTHER_UNIT = 30
"""Times of the level of training at which values may be in another unit."""


class Far(NamedTuple):
    """A channel whose values lie far from those of training.

    Attributes:
        channel: its number, from 0.
        channels: how many there are.
        median: of the sizes of the new values.
        level: how large the values of training are.
    """

    channel: int
    channels: int
    median: float
    level: float


class Levels:
    """The numbers of training in a few words, channel by channel.

    Args:
        mean, spread: mean and deviation `(C,)` of all steps.
        peak: the largest size in the quietest sequence, `(C,)`.

    >>> levels = Levels.of([np.array([[1.0], [-2.0]]), np.array([[0.5], [-1.0]])])
    >>> levels.far([np.array([[1000.0], [2000.0]])])
    [Far(channel=0, channels=1, median=1500.0, level=1.25)]
    >>> levels.far([np.array([[0.9], [0.1]])])
    []
    """

    def __init__(self, mean: Floats, spread: Floats, peak: Floats) -> None:
        self.mean, self.spread, self.peak = mean, spread, peak

    @classmethod
    def of(cls, cells: Sequence[Any]) -> Levels:
        """Return the levels of sequences `(T, C)`."""
        arrays = [np.asarray(cell) for cell in cells if len(cell)]
        steps = sum(map(len, arrays))
        mean = np.sum([x.sum(0, dtype=np.float64) for x in arrays], axis=0) / steps
        squares = np.sum([np.square(x - mean).sum(0) for x in arrays], axis=0)
        peak = np.min([np.abs(x).max(0) for x in arrays], axis=0)
        return cls(mean, np.sqrt(squares / steps), np.asarray(peak, np.float64))

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return the channels of new sequences whose values may be in another unit.

        They lie many deviations away from those of training, or are a small part of them and
        quieter than every sequence of training.
        """
        arrays = [np.asarray(cell, np.float64) for cell in cells if len(cell)]
        if not arrays:
            return []
        values = np.concatenate(arrays)
        found = []
        for channel, own in enumerate(values.T):
            mean, spread = self.mean[channel], self.spread[channel]
            sizes, level = np.abs(own), float(np.hypot(mean, spread))
            median, largest = float(np.median(sizes)), float(sizes.max())
            if not level > 0 or not largest > 0:
                continue
            away = np.median(np.abs(own - mean)) > OTHER_UNIT * (spread if spread > 0 else level)
            small = largest * OTHER_UNIT < level and largest < self.peak[channel]
            # A channel that is off or stands still is no other unit.
            if away or (small and largest > sizes.min()):
                found.append(Far(channel, len(self.mean), median, level))
        return found

    def to_json(self) -> dict[str, list[float]]:
        """Return plain JSON values."""
        return {name: own.tolist() for name, own in vars(self).items()}

    @classmethod
    def from_json(cls, about: dict[str, list[float]] | None) -> Levels | None:
        """Return what `to_json` described; None of a run that kept none."""
        if about is None:
            return None
        return cls(**{name: np.asarray(own, np.float64) for name, own in about.items()})
