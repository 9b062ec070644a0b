"""Matrices packed for products, and kept while they stay what they are.

Whoever writes to a weight is noticed, also past torch's own count of changes (as through
`weight.data`): what is kept is known by where the weight lies and by a sum over all its bits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor

from elman.kernels.memory import huge, scratch
from elman.kernels.program import Program, longs, pool, threads_at_most

KEPT = 256 << 20
"""Bytes of packed matrices kept at most, the latest used."""

WORTH_SHARING = 20_000
"""Numbers from which threads share the work of packing them."""

_lock = threading.Lock()
_known: OrderedDict[tuple[Any, ...], tuple[int, Tensor]] = OrderedDict()


def once(program: Program, wanted: Sequence[tuple[Tensor, bool, int]], name: str) -> list[Tensor]:
    """Matrices packed as by `kept`, by all threads, into this thread's scratch memory.

    Args:
        program: whose products will read them.
        wanted: arguments of `kept`, for each.
        name: that of the scratch memory.
    """
    rooms, numbers = [], []
    for k, (p, transposed, group) in enumerate(wanted):
        room = scratch(f"{name} {k}", _size(program, p, transposed, group), p)
        depth, width, down, across = _laid_out(p, transposed)
        numbers += [depth, width, group, p.data_ptr(), down, across, room.data_ptr()]
        rooms.append(room)
    threads = threads_at_most() if sum([p.numel() for p, *_ in wanted]) > WORTH_SHARING else 1
    head = len(wanted), threads, *(pool() if threads > 1 else (0, 0, 0))
    program.products.pack_all(longs(5 + len(numbers)).pack(*head, *numbers))
    return rooms


def kept(program: Program, p: Tensor, transposed: bool, group: int) -> Tensor:
    """A matrix packed, its columns `group` at a time, or what was kept of it.

    Args:
        program: whose products will read it.
        p: a matrix, in any layout.
        transposed: whether `p.T` is meant.
        group: a divisor of its width.
    """
    key = (p.data_ptr(), p.shape, p.stride(), p.dtype, transposed, group, program.target.name)
    total = _sum(program, p)
    found = _known.get(key)
    if found is not None and found[0] == total:
        with suppress(KeyError):  # another thread may just have let it go
            _known.move_to_end(key)
        return found[1]
    room = huge(p.new_empty(_size(program, p, transposed, group)))
    packed = _packed(program, p, transposed, group, room)
    with _lock:
        _known[key] = (total, packed)
        _known.move_to_end(key)
        while sum(t.nbytes for _, t in _known.values()) > KEPT:
            _known.popitem(last=False)
    return packed


def _laid_out(p: Tensor, transposed: bool) -> tuple[int, int, int, int]:
    """Depth and width of a matrix, and how far apart its rows and its columns are."""
    (depth, width), (down, across) = p.shape, p.stride()
    return (width, depth, across, down) if transposed else (depth, width, down, across)


def _size(program: Program, p: Tensor, transposed: bool, group: int) -> int:
    depth, width, *_ = _laid_out(p, transposed)
    if program.half:
        depth += depth % 2  # two rows at a time
    vector = program.lanes
    return depth * (width // group) * (-(-group // vector) * vector)


def _packed(program: Program, p: Tensor, transposed: bool, group: int, packed: Tensor) -> Tensor:
    depth, width, down, across = _laid_out(p, transposed)
    program.pack(depth, width, group, p.data_ptr(), down, across, packed.data_ptr())
    return packed


def _sum(program: Program, p: Tensor) -> int:
    (height, width), (down, across) = p.shape, p.stride()
    if across != 1 and down == 1:
        height, width, down = width, height, across
    elif across != 1:
        p = p.contiguous()
        down = width
    size = p.element_size()
    total: int = program.products.summed(height, width * size, p.data_ptr(), down * size)
    return total
