"""The examples of each batch, their order, and the place an epoch has reached.

The order of an epoch follows from (seed, epoch) alone and the place in it is one number, so
that a run can stop at any batch and go on as if it had not. In a data-parallel run every
process makes the same global batches and takes its own slice of each.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from elman.errors import InputError

Indices = NDArray[np.int64]
Order = Callable[[np.random.Generator], list[Indices]]
T = TypeVar("T")


def _checked(n: int, batch_size: int) -> None:
    if n < 1:
        raise InputError("There are no examples to make batches of.")
    if batch_size < 1:
        raise InputError(f"A batch needs at least one example, not {batch_size}.")


def _cut(indices: Indices, batch_size: int) -> list[Indices]:
    return [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]


def ordered(n: int, batch_size: int) -> Order:
    """Return the order 0 to n-1, which every epoch repeats (for evaluation)."""
    _checked(n, batch_size)
    return lambda rng: _cut(np.arange(n), batch_size)


def shuffled(n: int, batch_size: int) -> Order:
    """Return a rule that shuffles 0 to n-1 anew each epoch; the last batch may be smaller.

    >>> order = shuffled(5, 2)
    >>> sorted(int(i) for batch in order(np.random.default_rng(0)) for i in batch)
    [0, 1, 2, 3, 4]
    """
    _checked(n, batch_size)
    return lambda rng: _cut(rng.permutation(n), batch_size)


def bucketed(lengths: ArrayLike, batch_size: int, *, pool: int = 50) -> Order:
    """Return a rule that makes batches of similar length, so that little is padded.

    Each epoch, examples are shuffled, cut into pools of `pool` batches, sorted by length inside
    each pool and cut into batches, and the batches are shuffled. An example meets new neighbours
    each epoch.
    """
    sizes = np.asarray(lengths)
    _checked(len(sizes), batch_size)

    def order(rng: np.random.Generator) -> list[Indices]:
        batches: list[Indices] = []
        for part in _cut(rng.permutation(len(sizes)), pool * batch_size):
            batches += _cut(part[np.argsort(sizes[part], kind="stable")], batch_size)
        return [batches[i] for i in rng.permutation(len(batches))]

    return order


class _Epochs:
    """The place of an iteration: the epoch, and how many of its batches it has returned."""

    def __init__(self) -> None:
        self.epoch = 0
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        """Return the place to go on from: `{"epoch", "position"}`."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a place that `state_dict` returned."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


def _rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise InputError(f"Rank {rank} does not exist among {world_size} processes.")


class Batches(_Epochs, Generic[T]):
    """Iterate over one epoch from the current position; `collate` makes a batch of indices.

    Args:
        order: `shuffled`, `bucketed`, `ordered`, or any function from a random generator to the
            index arrays of an epoch's global batches.
        collate: from this process's indices to a batch. In a data-parallel run the array is
            empty where the last global batch has fewer examples than there are processes.
        seed: decides the order, together with the number of the epoch.
        rank, world_size: this process, and how many share each global batch.

    >>> batches = Batches(shuffled(4, 2), list, seed=0)
    >>> len(batches), sorted(int(i) for batch in batches for i in batch)
    (2, [0, 1, 2, 3])
    >>> batches.state_dict()
    {'epoch': 1, 'position': 0}
    """

    def __init__(
        self,
        order: Order,
        collate: Callable[[Indices], T],
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        _rank(rank, world_size)
        self.order, self.collate, self.seed = order, collate, seed
        self.rank, self.world_size = rank, world_size
        self._size = len(self._made(0))

    def __len__(self) -> int:
        """The number of global batches in an epoch."""
        return self._size

    def __iter__(self) -> Iterator[T]:
        made = self._made(self.epoch)
        while self.position < len(made):
            indices = np.array_split(made[self.position], self.world_size)[self.rank]
            # Advanced first: what is saved while a batch is at work does not repeat it.
            self.position += 1
            yield self.collate(indices)
        self.epoch, self.position = self.epoch + 1, 0

    def _made(self, epoch: int) -> list[Indices]:
        return self.order(np.random.default_rng([self.seed, epoch]))


def _mapping(tokens: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapping under a read-only memory-mapped array, if its pages can be released."""
    if not isinstance(tokens, np.memmap) or tokens.mode != "r":
        return None
    base: Any = tokens.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


@dataclass(frozen=True)
class CarriedBatch:
    """One window: `T` steps of `B` rows that go on from the window before.

    Attributes:
        inputs: `(T, B)` int64.
        targets: `(T, B)` int64: the token after each input.
        reset: `(T, B)` bool: true where a document begins; no state is carried into that step.
        first: true for the first window of the rows, which no state is carried into.
        context: how many leading steps were predicted in earlier windows. The gradient flows
            through them; they are not counted again.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    reset: torch.Tensor
    first: bool
    context: int


class CarriedBatches(_Epochs):
    """Batches of a long text, cut so that the state is carried from each batch to the next.

    The tokens are cut into `batch_size` equal contiguous rows (fewer than `batch_size` tokens at
    the end are left out). Every window predicts the next `k1` tokens of each row. With `k2` larger
    than `k1` it also holds the `k2 - k1` steps before as context: this is truncated
    backpropagation through time, BPTT(k1, k2) (Williams & Peng 1990).

    Args:
        tokens: `(n,)` integers: an array or a memory-mapped file, read a window at a time.
        batch_size: rows, of all processes together.
        k1: steps from a window to the next.
        k2: steps in a window; `None` is `k1`.
        starts: positions in `tokens` where documents begin, ascending.
        rank, world_size: this process, and how many share the rows.

    >>> [b.inputs[:, 0].tolist() for b in CarriedBatches(np.arange(7), batch_size=1, k1=2, k2=3)]
    [[0, 1], [1, 2, 3], [3, 4, 5]]

    Raises:
        InputError: fewer tokens than the rows need, or sizes that make no sense.
    """

    def __init__(
        self,
        tokens: NDArray[Any],
        batch_size: int,
        k1: int,
        k2: int | None = None,
        *,
        starts: ArrayLike | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        _rank(rank, world_size)
        self.k1, self.k2 = k1, k1 if k2 is None else k2
        if batch_size < 1 or k1 < 1 or self.k2 < k1:
            raise InputError(
                f"These batches need batch_size >= 1 and k2 >= k1 >= 1; "
                f"got batch_size={batch_size}, k1={k1}, k2={self.k2}."
            )
        if batch_size < world_size:
            raise InputError(
                f"{batch_size} rows cannot be shared by {world_size} processes.",
                fix=f"Set batch_size to at least {world_size}.",
            )
        self.row_length = (len(tokens) - 1) // batch_size
        if self.row_length < 1:
            raise InputError(
                f"{len(tokens)} tokens are too few for {batch_size} rows.",
                fix=f"Set batch_size to at most {max(len(tokens) - 1, 1)}, or give more text.",
            )
        self.tokens = tokens
        self.rows = np.array_split(np.arange(batch_size), world_size)[rank]
        self.starts = None if starts is None else np.asarray(starts)
        self._mapping = _mapping(tokens)

    def __len__(self) -> int:
        """The number of windows in an epoch."""
        return -(-self.row_length // self.k1)

    def __iter__(self) -> Iterator[CarriedBatch]:
        while self.position < len(self):
            self.position += 1
            yield self._window(self.position - 1)
            if self._mapping is not None and self.position % 64 == 0:
                # Pages of the file that have been read count as this process's memory until
                # they are let go; the system's own cache keeps them.
                self._mapping.madvise(mmap.MADV_DONTNEED)
        self.epoch, self.position = self.epoch + 1, 0

    def _window(self, number: int) -> CarriedBatch:
        begin = number * self.k1
        context = min(self.k2 - self.k1, begin)
        end = min(begin + self.k1, self.row_length)
        begin -= context
        steps = end - begin
        held = np.empty((steps + 1, len(self.rows)), dtype=np.int64)
        reset = np.zeros((steps, len(self.rows)), dtype=bool)
        for place, row in enumerate(self.rows):
            origin = int(row) * self.row_length + begin
            held[:, place] = self.tokens[origin : origin + steps + 1]
            if self.starts is not None:
                low, high = np.searchsorted(self.starts, [origin, origin + steps])
                reset[self.starts[low:high] - origin, place] = True
        tokens = torch.from_numpy(held)
        return CarriedBatch(tokens[:-1], tokens[1:], torch.from_numpy(reset), number == 0, context)
