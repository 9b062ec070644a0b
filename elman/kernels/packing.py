"""Matrices packed for products, and kept while they stay what they are.

Whoever writes to a weight is noticed, also past torch's own count of changes (as through
`weight.data`): what is kept is known by where the weight lies and by a sum over all its bits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from torch import Tensor

from elman.kernels.memory import huge, scratch
from elman.kernels.program import Program

KEPT = 256 << 20
"""Bytes of packed matrices kept at most, the latest used."""

_lock = threading.Lock()
_known: OrderedDict[tuple[Any, ...], tuple[int, Tensor]] = OrderedDict()


def once(program: Program, p: Tensor, group: int, name: str) -> Tensor:
    """`p` packed as by `kept`, into this thread's scratch memory of that name."""
    return _packed(program, p, group, scratch(name, _size(program, p, group), p))


def kept(program: Program, p: Tensor, group: int) -> Tensor:
    """`p` `(depth, width)` packed, its columns `group` at a time, or what was kept of it.

    Args:
        program: whose products will read it.
        p: a matrix, in any layout.
        group: a divisor of its width.
    """
    key = (p.data_ptr(), p.shape, p.stride(), p.dtype, group, program.target.name)
    total = _sum(program, p)
    with _lock:
        found = _known.get(key)
        if found is not None and found[0] == total:
            _known.move_to_end(key)
            return found[1]
    packed = _packed(program, p, group, huge(p.new_empty(_size(program, p, group))))
    with _lock:
        _known[key] = (total, packed)
        _known.move_to_end(key)
        while sum(t.nbytes for _, t in _known.values()) > KEPT:
            _known.popitem(last=False)
    return packed


def _size(program: Program, p: Tensor, group: int) -> int:
    depth, width = p.shape
    if program.half:
        depth += depth % 2  # two rows at a time
    vector = program.lanes
    return depth * (width // group) * (-(-group // vector) * vector)


def _packed(program: Program, p: Tensor, group: int, packed: Tensor) -> Tensor:
    depth, width = p.shape
    program.pack(depth, width, group, p.data_ptr(), *p.stride(), packed.data_ptr())
    return packed


def _sum(program: Program, p: Tensor) -> int:
    rows = p if p.stride(1) == 1 else p.t()
    if rows.stride(1) != 1:
        rows = p.contiguous()
    height, width = rows.shape
    size = p.element_size()
    summed = program.products.summed
    total: int = summed(height, width * size, rows.data_ptr(), rows.stride(0) * size)
    return total
