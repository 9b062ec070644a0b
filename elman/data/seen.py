"""Hashes of what a run has learnt from, so that later data can be told from it.

The run keeps eight bytes for each example, not the example. Of many only a part is kept, chosen by
the hash itself, so that shares stay true.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from elman.data.splitting import key_of

_MOST = 1 << 18
"""Hashes that are kept at most: two megabytes."""


@dataclass(frozen=True)
class Seen:
    """The examples of training and validation, as hashes.

    Attributes:
        every: hashes that this number divides are kept.
        hashes: sorted, without repeats.

    >>> seen = Seen.of(["a cat", "a dog"])
    >>> seen.shared(["A  cat", "a cow", "a cat"])
    2
    """

    every: int
    hashes: NDArray[np.uint64]

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """Return the hashes of texts, arrays or tuples of them."""
        found, every = np.unique(_hashes(values)), 1
        while len(found) > _MOST:
            every *= 2
            found = found[found % np.uint64(every) == 0]
        return cls(every, found)

    def shared(self, values: Iterable[Any]) -> int:
        """Return how many of `values` were seen; an estimate where only a part was kept."""
        found = _hashes(values)
        asked = found[found % np.uint64(self.every) == 0]
        count = int(np.isin(asked, self.hashes).sum())
        return count if self.every == 1 else round(count * len(found) / max(1, len(asked)))

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


def _hashes(values: Iterable[Any]) -> NDArray[np.uint64]:
    digests = b"".join(_digest(key_of(value)) for value in values)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _digest(key: Any) -> bytes:
    """Return eight bytes; those of an array as they are, since to write them out takes longer."""
    if isinstance(key, tuple):
        key = b"".join(map(_digest, key))
    elif not isinstance(key, bytes):
        key = repr(key).encode("utf-8", "surrogatepass")
    return blake2b(key, digest_size=8).digest()
