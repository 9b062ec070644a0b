"""Many short arrays in a few long ones: an array of its own for each takes several times as much.

A text of ten words is 80 bytes of numbers; the array that holds them takes another 130.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_IN_A_BLOCK = 1 << 14
"""Arrays that stand in one long one."""


class Packed(Sequence[Array]):
    """A list of arrays that agree in type and in every axis but the first.

    Each is made, as a view, when it is asked for.

    >>> packed = Packed.of([np.array([1, 2]), np.array([3])])
    >>> packed[1].tolist(), [x.tolist() for x in packed[:2]], packed.lengths.tolist()
    ([3], [[1, 2], [3]], [2, 1])
    """

    def __init__(self, blocks: Sequence[Array], lengths: Sequence[NDArray[np.int64]]) -> None:
        self._blocks = blocks
        self._ends = [np.cumsum(sizes) for sizes in lengths]
        self.lengths = np.concatenate([np.empty(0, np.int64), *lengths])
        """The size of the first axis of each array."""

    @classmethod
    def of(cls, arrays: Iterable[Array]) -> Self | list[Array]:
        """Return arrays together, or as a list where they differ in more than the first axis."""
        blocks: list[Array] = []
        lengths: list[NDArray[np.int64]] = []
        rest = iter(arrays)
        while some := list(islice(rest, _IN_A_BLOCK)):
            like = blocks[0] if blocks else some[0]
            if any(x.dtype != like.dtype or x.shape[1:] != like.shape[1:] for x in some):
                return list(chain(cls(blocks, lengths), some, rest))
            blocks.append(np.concatenate(some))
            lengths.append(np.fromiter(map(len, some), np.int64, len(some)))
        return cls(blocks, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, place: int) -> Array: ...
    @overload
    def __getitem__(self, place: slice) -> list[Array]: ...
    def __getitem__(self, place: int | slice) -> Array | list[Array]:
        """Return one array, or some of them in a list."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        block, place = divmod(number, _IN_A_BLOCK)
        ends = self._ends[block]
        return self._blocks[block][ends[place - 1] if place else 0 : ends[place]]

    def __iter__(self) -> Iterator[Array]:
        for block, ends in zip(self._blocks, self._ends, strict=True):
            first = 0
            for end in ends.tolist():
                yield block[first:end]
                first = end


def lengths_of(arrays: Sequence[Array]) -> NDArray[np.int64]:
    """Return the size of the first axis of each array, `(n,)`."""
    if isinstance(arrays, Packed):
        return arrays.lengths
    return np.fromiter(map(len, arrays), np.int64, len(arrays))
