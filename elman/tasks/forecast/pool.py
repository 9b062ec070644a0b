"""Windows of several sets of series, one after another: a run's own, and old ones read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.tasks.forecast.windows import Batch, Held, Ints, Origins


@dataclass(frozen=True)
class Pool:
    """Windows, numbered from the first of the first set of series to the last of the last one.

    Attributes:
        parts: series, and windows of them.
    """

    parts: tuple[tuple[Held, Origins], ...] = ()

    @classmethod
    def of(cls, held: Held, origins: Origins) -> Pool:
        """Return windows of one set of series."""
        return cls(((held, origins),))

    def and_more(self, other: Pool) -> Pool:
        """Return these windows and others after them."""
        return Pool((*self.parts, *other.parts))

    @property
    def count(self) -> int:
        """How many windows."""
        return sum(origins.count for _, origins in self.parts)

    def series(self) -> Ints:
        """Return the number of the series of each window, `(N,)`, counted through all sets."""
        numbers, first = [np.empty(0, np.int64)], 0
        for held, origins in self.parts:
            numbers.append(origins.series + first)
            first += len(held.panel.series)
        return np.concatenate(numbers)

    def take(self, rows: Any) -> Pool:
        """Return some of the windows by their numbers, set by set."""
        rows, first, found = np.asarray(rows), 0, []
        for held, origins in self.parts:
            own = rows[(rows >= first) & (rows < first + origins.count)] - first
            first += origins.count
            if len(own):
                found.append((held, origins.take(own)))
        return Pool(tuple(found))

    def thinned(self, most: int) -> Pool:
        """Return at most `most` of the windows, spread evenly."""
        if self.count <= most:
            return self
        return self.take(np.linspace(0, self.count - 1, max(1, most)).astype(np.int64))

    def chunks(self, size: int) -> Iterator[tuple[Held, Origins]]:
        """Yield all windows, at most `size` of one set of series at a time."""
        for held, origins in self.parts:
            for some in origins.chunks(size):
                yield held, some

    def batch(self) -> Batch:
        """Return all windows, with the futures that came."""
        batches = [held.windows.batch(origins) for held, origins in self.parts]
        return batches[0] if len(batches) == 1 else _joined(batches)


def _joined(batches: list[Batch]) -> Batch:
    """Return the windows of several batches; where one has no holes, all its values are there."""
    if any(batch.present is not None for batch in batches):
        batches = [_all_present(batch) for batch in batches]
    columns = (_whole(parts) for parts in zip(*batches, strict=True))
    return Batch(*columns)  # type: ignore[arg-type]


def _all_present(batch: Batch) -> Batch:
    if batch.present is not None or batch.future is None:
        return batch
    return batch._replace(present=torch.ones_like(batch.future))


def _whole(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None
