"""One cell, step by step: the kernel of whole sequences, with all that a call needs laid out once.

A step is one call of a C function with two new addresses, of the input and of the output. The
state stays where the kernel has it. Weights are packed when a stream begins: it keeps those that
it began with.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.cells.base import Cell, State
from elman.kernels import cpu, packing
from elman.kernels.memory import Lease
from elman.kernels.program import Program, Weights, find, lent, pool, tensors_of, threads_at_most
from elman.kernels.rows import whole
from elman.kernels.sequence import SequenceError, prepare

WORTH_SHARING = 100_000
"""Numbers in a cell's matrices from which a step is worth all threads: to wake them takes as long
as to read half of that."""


class CellStream:
    """A cell on a stream of inputs, for a batch of a fixed size; nothing is kept for gradients.

    Attributes:
        backend: "cpu", or "reference" with the reason in `reason`.
    """

    def __init__(
        self, cell: Cell, batch: int, like: Tensor, weights: Weights | None = None
    ) -> None:
        self._cell, self._weights = cell, weights
        self._fresh = cell.init_state(batch, like.device, like.dtype)
        self._state = tuple(s.clone() for s in self._fresh)
        self._like = like.new_empty(1, batch, cell.input_size)
        self._shape, self._dtype = self._like.shape[1:], like.dtype
        self._run, self._steps = self._by_reference, 0
        self._empty, self._size = like.new_empty, (batch, cell.output_size)
        found = find(cell, prepare(cell, self._like, self._state), weights)
        if isinstance(found, Program):
            self.backend, self.reason = "cpu", "a kernel was compiled for it"
            self._begin(found)
        else:
            self.backend, self.reason = "reference", found

    def step(self, x: Tensor) -> Tensor:
        """The output `(batch, output_size)` for one more input `(batch, input_size)`."""
        if x.shape != self._shape or x.dtype is not self._dtype:
            raise self._wrong(x, f"(batch={self._shape[0]}, input_size={self._shape[1]})")
        if self._steps != 1 or not x.is_contiguous():
            return self._run(x.contiguous(), 1)
        y = self._empty(self._size)
        args = self._args
        args[self._x], args[self._y] = x.data_ptr(), y.data_ptr()
        self._function(self._address)
        return y

    def chunk(self, x: Tensor) -> Tensor:
        """The outputs `(T, batch, output_size)` for T more inputs, in one call."""
        if x.shape[1:] != self._shape or x.dtype is not self._dtype:
            raise self._wrong(x, f"(T, batch={self._shape[0]}, input_size={self._shape[1]})")
        steps = len(x)
        found = self._run(x.reshape(-1, x.shape[2]), steps) if steps else x.new_empty(0)
        return found.view(steps, self._shape[0], -1 if steps else self._cell.output_size)

    @property
    def state(self) -> State:
        """The state after the last step, `(batch, size)` each: a copy."""
        return tuple(s.clone() for s in self._state)

    @state.setter
    def state(self, state: Sequence[Tensor]) -> None:
        for own, given in zip(self._state, state, strict=True):
            if own.shape != given.shape:
                raise SequenceError(
                    f"A state of shape {tuple(given.shape)} does not fit {tuple(own.shape)}."
                )
        for own, given in zip(self._state, state, strict=True):
            own.copy_(given.detach())

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Begin anew, in all rows of the batch or in these."""
        for own, fresh in zip(self._state, self._fresh, strict=True):
            if rows is None:
                own.copy_(fresh)
            else:
                own[list(rows)] = fresh[list(rows)]

    def _wrong(self, x: Tensor, wanted: str) -> SequenceError:
        return SequenceError(
            f"A step takes x {wanted} of {self._dtype}, got {tuple(x.shape)} of {x.dtype}."
        )

    @torch.no_grad()
    def _by_reference(self, x: Tensor, steps: int) -> Tensor:
        outputs = []
        state = self._state
        with lent(self._cell, self._weights):
            for row in x.view(steps, *self._shape):
                output, state = self._cell(row, state)
                outputs.append(output)
        self.state = state
        return torch.cat(outputs)

    def _begin(self, program: Program) -> None:
        """Lay out the arguments of a step."""
        batch = self._shape[0]
        with torch.no_grad():
            prepared = program.plans.traced.prepare(tensors_of(self._cell, program, self._weights))
        plan, groups = program.plans.plans["infer"], program.groups["infer"]
        numbers = sum(prepared[m.index].numel() for m in plan.matrices)
        threads = threads_at_most() if groups and numbers > WORTH_SHARING else 1
        panels = []
        for k, matrix in enumerate(plan.matrices):
            p = prepared[matrix.index].detach()
            p = p.t() if matrix.transposed else p
            group = groups[k] if groups and threads > 1 else p.shape[1]
            panels.append(packing.kept(program, p, group))
        vectors = [p.detach().contiguous() for p in prepared]
        lease = Lease(program.room("infer", batch), self._like)
        # A state is read before its successor is written to the same place.
        arrays = {f"state{i}": s for i, s in enumerate(self._state)}
        arrays |= {f"final{i}": s for i, s in enumerate(self._state)}
        tensors = [*[arrays.get(name) for name in plan.arrays], *panels, *[None] * len(panels)]
        table = [0 if t is None else t.data_ptr() for t in (*tensors, *vectors)]
        split = (ctypes.c_long * 2)(0, batch)
        head = (
            *(0, 1, batch, threads, threads > 1, len(lease.flat), cpu.flush_denormal, 0, 0),
            *(ctypes.addressof(split), ctypes.addressof(program.sizes), 0),
            *(lease.flat.data_ptr(), program.product),
            *(pool() if threads > 1 else (0, 0, 0)),
        )
        self._args = (ctypes.c_long * (len(head) + len(table)))(*map(int, head), *table)
        self._address = ctypes.addressof(self._args)
        self._x, self._y = (len(head) + plan.arrays.index(name) for name in "xy")
        self._function: Any = program.library["infer"]  # of our own: it takes an address
        self._function.argtypes, self._function.restype = [ctypes.c_void_p], None
        self._held = (program, panels, vectors, split, lease)
        self._lay_out(1)
        self._run = self._by_kernel

    def _lay_out(self, steps: int) -> None:
        self._rows = whole(steps, self._shape[0], False)
        self._args[1] = self._steps = steps
        self._args[7], self._args[8] = (t.data_ptr() for t in self._rows)

    def _by_kernel(self, x: Tensor, steps: int) -> Tensor:
        if steps != self._steps:
            self._lay_out(steps)
        x, y = x.contiguous(), self._empty((len(x), self._size[1]))
        self._args[self._x], self._args[self._y] = x.data_ptr(), y.data_ptr()
        self._function(self._address)
        return y
