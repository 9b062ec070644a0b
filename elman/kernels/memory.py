"""Memory that kernels use again: a fresh page costs as much as computing what goes there.

Memory for a backward pass is leased and comes back by itself when nobody holds the lease. Large
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

SMALL = 16 << 10
"""Numbers up to which torch's own memory is as good."""

WORTH_LENDING = 32 << 10
"""Numbers from which results are put into such memory too."""

KEPT = 512 << 20
"""Bytes kept for further use at most; what comes back beyond that is freed."""

_HUGE = 2 << 20
_ADVICE = 14  # MADV_HUGEPAGE, on Linux


class Lease:
    """A flat tensor, given back when this object goes."""

    __slots__ = ("flat", "size")

    def __init__(self, numbers: int, like: Tensor) -> None:
        self.size = _rounded(numbers)
        self.flat = _taken(self.size, like.dtype)

    def rows(self, rows: int, width: int) -> Tensor:
        """Its beginning as a matrix."""
        return self.flat.as_strided((rows, width), (width, 1))

    def __del__(self) -> None:
        if self.size > SMALL:
            _given_back(self.size, self.flat)


def fresh_rows(rows: int, width: int, like: Tensor) -> Tensor:
    """A new matrix; the memory of a large one is used again when the last tensor on it goes."""
    numbers = rows * width
    if numbers <= WORTH_LENDING:
        return like.new_empty(rows, width)
    lease = Lease(numbers, like)
    size = numbers * like.element_size()
    seen = (ctypes.c_char * size).from_address(lease.flat.data_ptr())
    seen.lease = lease  # type: ignore[attr-defined]
    # Not a view: of what a function returns, autograd lets only that be changed in place.
    return torch.frombuffer(seen, dtype=like.dtype).resize_(rows, width)


_lock = threading.Lock()
_free: dict[tuple[int, torch.dtype], list[Tensor]] = {}
_bytes = 0


def _rounded(numbers: int) -> int:
    """A size in steps of an eighth, so that sequences of like length share memory."""
    step = 1 << max(numbers.bit_length() - 4, 0)
    return -(-numbers // step) * step


def _taken(numbers: int, dtype: torch.dtype) -> Tensor:
    global _bytes
    if numbers > SMALL:
        with _lock:
            if fitting := _free.get((numbers, dtype)):
                found = fitting.pop()
                _bytes -= found.nbytes
                return found
    return huge(torch.empty(numbers, dtype=dtype))


def _given_back(numbers: int, flat: Tensor) -> None:
    global _bytes
    # Not waiting: a collection of garbage may come while this very thread holds the lock.
    if flat.nbytes <= KEPT and _lock.acquire(blocking=False):
        try:
            while _bytes + flat.nbytes > KEPT:
                oldest = next(key for key, kept in _free.items() if kept)
                _bytes -= _free[oldest].pop(0).nbytes
            # The last used goes to the end, to be the last that is freed.
            kept = _free.pop((numbers, flat.dtype), [])
            _free[numbers, flat.dtype] = [*kept, flat]
            _bytes += flat.nbytes
        finally:
            _lock.release()


def huge(tensor: Tensor) -> Tensor:
    """Return the tensor given, its memory in huge pages if it is large and new."""
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


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.held: dict[tuple[str, torch.dtype], tuple[int, Tensor]] = {}


_scratch = _Scratch()


def scratch(name: str, numbers: int, like: Tensor) -> Tensor:
    """This thread's scratch memory of that name, grown when it must."""
    key = (name, like.dtype)
    held = _scratch.held.get(key)
    if held is not None and numbers <= held[0]:
        return held[1]
    size = numbers + numbers // 4 + 64
    found = huge(torch.empty(size, dtype=like.dtype))
    if found.nbytes <= KEPT // 4:
        _scratch.held[key] = size, found
    return found
