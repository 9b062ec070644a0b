"""Memory that kernels use again: a fresh page costs as much as computing what goes there.

What a backward pass needs is leased and comes back by itself when nobody holds the lease. Large
pieces are asked for in huge pages where the system has them.
"""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

LARGE = 4 << 20
"""Bytes from which huge pages are asked for."""

KEPT = 512 << 20
"""Bytes kept for further use at most; what comes back beyond that is freed."""

_HUGE = 2 << 20
_ADVICE = 14  # MADV_HUGEPAGE, on Linux


class Lease:
    """A flat tensor, given back when this object goes."""

    __slots__ = ("flat",)

    def __init__(self, numbers: int, like: Tensor) -> None:
        self.flat = _taken(numbers, like.dtype)

    def rows(self, rows: int, width: int) -> Tensor:
        """Its beginning as a matrix."""
        return self.flat[: rows * width].view(rows, width)

    def __del__(self) -> None:
        _given_back(self.flat)


_lock = threading.Lock()
_free: list[Tensor] = []


def _taken(numbers: int, dtype: torch.dtype) -> Tensor:
    with _lock:
        fitting = [
            i for i, t in enumerate(_free) if t.dtype is dtype and numbers <= len(t) <= 2 * numbers
        ]
        if fitting:
            return _free.pop(min(fitting, key=lambda i: len(_free[i])))
    return huge(torch.empty(numbers, dtype=dtype))


def _given_back(flat: Tensor) -> None:
    # Not waiting: a collection of garbage may come while this very thread holds the lock.
    if flat.nbytes <= KEPT and _lock.acquire(blocking=False):
        try:
            _free.append(flat)
            while sum(t.nbytes for t in _free) > KEPT:
                _free.pop(0)
        finally:
            _lock.release()


def huge(tensor: Tensor) -> Tensor:
    """The same tensor, its memory in huge pages if it is large and new."""
    size = tensor.nbytes
    if size >= LARGE and (advise := _advise()) is not None:
        start = -(-tensor.data_ptr() // _HUGE) * _HUGE
        end = (tensor.data_ptr() + size) // _HUGE * _HUGE
        if end > start:
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _ADVICE)
    return tensor


@lru_cache(maxsize=1)
def _advise() -> Any:
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
            if "[madvise]" not in file.read():
                return None
        return ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None


_local = threading.local()


def scratch(name: str, numbers: int, like: Tensor) -> Tensor:
    """This thread's scratch memory of that name, grown when it must."""
    held: dict[tuple[str, torch.dtype], Tensor] = _local.__dict__.setdefault("held", {})
    key = (name, like.dtype)
    found = held.get(key)
    if found is None or len(found) < numbers:
        found = huge(torch.empty(numbers + numbers // 4 + 64, dtype=like.dtype))
        if found.nbytes <= KEPT // 4:
            held[key] = found
    return found
