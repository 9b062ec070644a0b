"""Windows of a series, past and future, by slicing: no window is copied until it is batched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import InputError


class Windows:
    """Every stretch of `length + horizon` values of one or many series, `step` apart.

    Args:
        arrays: one array `(T,)` or `(T, C)`, or a list of them (series of any lengths; those
            shorter than `length + horizon` give no window).
        length: values before.
        horizon: values after; 0 is allowed.
        step: distance between the beginnings of neighbours.

    >>> windows = Windows(np.arange(6.0), length=3, horizon=2)
    >>> len(windows), windows[1][0].tolist(), windows[1][1].tolist()
    (2, [1.0, 2.0, 3.0], [4.0, 5.0])

    Raises:
        InputError: every series is too short.
    """

    def __init__(
        self,
        arrays: NDArray[Any] | Sequence[NDArray[Any]],
        length: int,
        horizon: int,
        step: int = 1,
    ) -> None:
        if length < 1 or horizon < 0 or step < 1:
            raise InputError(
                "A window needs length >= 1, horizon >= 0 and step >= 1; "
                f"got {length}, {horizon} and {step}."
            )
        self.arrays = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
        self.length, self.horizon, self.step = length, horizon, step
        counts = [max(0, (len(a) - length - horizon) // step + 1) for a in self.arrays]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if not self._first[-1]:
            longest = max((len(a) for a in self.arrays), default=0)
            raise InputError(
                f"The longest series has {longest} values; a window needs {length + horizon} "
                f"({length} before and {horizon} after).",
                fix="Shorten the window or the horizon, or give longer series.",
            )

    def __len__(self) -> int:
        return int(self._first[-1])

    def where(self, index: int) -> tuple[int, int]:
        """Which series window `index` is of, and at which of its positions it begins."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        series = int(np.searchsorted(self._first, index, side="right")) - 1
        return series, int(index - self._first[series]) * self.step

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Past `(length, ...)` and future `(horizon, ...)`: views of the series' own memory."""
        series, start = self.where(index)
        array, middle = self.arrays[series], start + self.length
        return array[start:middle], array[middle : middle + self.horizon]

    def take(self, indices: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """A batch: pasts `(n, length, ...)` and futures `(n, horizon, ...)`, copied."""
        indices = np.asarray(indices, dtype=np.int64)
        size, some = self.length + self.horizon, self.arrays[0]
        held = np.empty((len(indices), size, *some.shape[1:]), dtype=some.dtype)
        for place, index in enumerate(indices):
            series, start = self.where(int(index))
            held[place] = self.arrays[series][start : start + size]
        return held[:, : self.length], held[:, self.length :]
