"""Hashes of what a run has learnt from, so that later data can be told from it.

The run keeps eight bytes for each example, not the example. Of many only a part is kept, chosen by
the hash itself, so that shares stay true.
"""

from __future__ import annotations

import base64
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data.kinds import Sound

_MOST = 1 << 18
"""Hashes that are kept at most: two megabytes."""


@dataclass(frozen=True)
class Seen:
    """The examples of training and validation, as hashes.

    Attributes:
        every: hashes that this number divides are kept.
        hashes: sorted, without repeats.

    >>> seen = Seen.of(hashes_of(["a cat", "a dog"]))
    >>> seen.shared(hashes_of(["A  cat", "a cow", "a cat"]))
    2
    """

    every: int
    hashes: NDArray[np.uint64]

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> Self:
        """Return what is kept of the hashes of examples."""
        return cls(1, np.empty(0, np.uint64)).with_more(hashes)

    def with_more(self, hashes: NDArray[np.uint64]) -> Self:
        """Return what is kept of these and of more hashes."""
        every = self.every
        found = np.union1d(self.hashes, hashes[hashes % np.uint64(every) == 0])
        while len(found) > _MOST:
            every *= 2
            found = found[found % np.uint64(every) == 0]
        return type(self)(every, found)

    def shared(self, hashes: NDArray[np.uint64]) -> int:
        """Return how many of these were seen; an estimate where only a part was kept."""
        asked = hashes[hashes % np.uint64(self.every) == 0]
        count = int(np.isin(asked, self.hashes).sum())
        return count if self.every == 1 else round(count * len(hashes) / max(1, len(asked)))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "every": self.every,
            "hashes": base64.b64encode(self.hashes.astype("<u8").tobytes()).decode(),
        }

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Self:
        """Return what `to_json` described."""
        raw = base64.b64decode(about["hashes"])
        return cls(about["every"], np.frombuffer(raw, "<u8").astype(np.uint64))


def hashes_of(values: Iterable[Any]) -> NDArray[np.uint64]:
    """Return a hash of each text, array, or tuple of them."""
    digests = b"".join(_digest(key_of(value)) for value in values)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def key_of(value: Any) -> Hashable:
    """Return what makes two values the same: texts without regard to case and blanks."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, np.ndarray):
        return (value.shape, value.tobytes())
    if isinstance(value, Sound):
        return key_of(value.samples)
    if isinstance(value, list):
        return tuple(key_of(v) for v in value)
    return value if isinstance(value, Hashable) else repr(value)


def _digest(key: Any) -> bytes:
    """Return eight bytes; those of an array as they are, since to write them out takes longer."""
    if isinstance(key, tuple):
        key = b"".join(map(_digest, key))
    elif not isinstance(key, bytes):
        if isinstance(key, np.generic):
            key = key.item()
        if isinstance(key, float) and key.is_integer():
            key = int(key)  # as equal numbers are
        key = repr(key).encode("utf-8", "surrogatepass")
    return blake2b(key, digest_size=8).digest()
