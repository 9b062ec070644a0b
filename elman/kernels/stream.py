"""One cell, step by step: the kernel of whole sequences, with all that a call needs laid out once.

A step is one call of a C function with two new addresses, of the input and of the output. The
state stays where the kernel has it. Weights are packed, or copied, when a stream begins: it keeps
those that it began with.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.kernels import packing, settings
from elman.kernels.dispatch import Choice, announce, forced
from elman.kernels.memory import Lease
from elman.kernels.program import Program, Weights, find, lent, pool, tensors_of, threads_at_most
from elman.kernels.reference import held
from elman.kernels.rows import whole
from elman.kernels.sequence import Hold, SequenceError, prepare

WORTH_SHARING = 100_000
"""Numbers in a cell's matrices from which a step is worth all threads: to wake them takes as long
as to read half of that."""


_open: weakref.WeakSet[CellStream] = weakref.WeakSet()


def _after_fork() -> None:
    """In a child the pool's threads are gone, and a step would wait for them for ever."""
    for stream in _open:
        if stream.backend == "cpu":
            stream._args[3] = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class CellStream:
    """A cell on a stream of inputs, for a batch of a fixed size; nothing is kept for gradients.

    Args:
        cell: one time step.
        batch: rows that go side by side.
        like: a tensor of the device and dtype of its weights.
        weights: what stands in for the cell's own parameters, by name.
        hold: for each state None or a probability, of which the expectation is taken (zoneout).

    Attributes:
        backend: "cpu", or "reference" with the reason in `reason`.

    Raises:
        InputError: no rows, or a backend that `use` insists on and that has no streams.

    >>> from elman.cells import make
    >>> stream = CellStream(make("gru", 2, 3), 1, torch.zeros(1))
    >>> stream.step(torch.ones(1, 2)).shape, stream.chunk(torch.ones(4, 1, 2)).shape
    (torch.Size([1, 3]), torch.Size([4, 1, 3]))
    """

    # A stream may begin or go on inside inference mode or autocast; it is the same either way.
    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(
        self,
        cell: Cell,
        batch: int,
        like: Tensor,
        weights: Weights | None = None,
        hold: Hold | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"A stream has at least one row, got batch={batch}.")
        self._cell = cell
        with lent(cell, weights):
            began = cell.init_state(batch, like.device, like.dtype)
        self._fresh = tuple(s.detach().clone() for s in began)
        self._state = tuple(s.clone() for s in self._fresh)
        self._like = like.new_empty(1, batch, cell.input_size)
        self._shape, self._dtype = self._like.shape[1:], like.dtype
        self._run, self._steps = self._by_reference, 0
        call = prepare(cell, self._like, self._state, hold=hold)
        self._hold, asked = call.hold, forced()
        with torch.autocast(like.device.type, enabled=False):
            found = "asked for" if asked == "reference" else find(cell, call, weights)
        if asked == "torch" or (asked == "cpu" and isinstance(found, str)):
            why = "it takes whole sequences" if asked == "torch" else found
            raise InputError(f"The {asked} backend cannot stream this {type(cell).__name__}: {why}")
        if isinstance(found, Program):
            self.backend, self.reason = "cpu", "a kernel was compiled for it"
            self._begin(found, weights)
        else:
            self.backend, self.reason = "reference", found
            self._weights = _copied(cell, weights)
        _open.add(self)
        choice = Choice(self.backend, self.reason, type(cell).__name__)
        announce(choice, quiet=asked == "reference")

    def step(self, x: Tensor) -> Tensor:
        """The output `(batch, output_size)` for one more input `(batch, input_size)`."""
        if x.shape != self._shape or x.dtype is not self._dtype:
            raise self._wrong(x, f"(batch={self._shape[0]}, input_size={self._shape[1]})")
        if self._steps != 1 or not x.is_contiguous() or not x.is_cpu:
            return self._run(x, 1)
        y = torch.empty_like(self._output)  # in half the time of new_empty, which would show
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
        return tuple(s.to(self._dtype, copy=True) for s in self._state)

    @state.setter
    @torch.no_grad()
    def state(self, state: Sequence[Tensor]) -> None:
        self.check(state)
        for own, given in zip(self._state, state, strict=True):
            own.copy_(given)

    def kept(self) -> State:
        """A copy of the state as the kernel has it: float32 where weights are bfloat16."""
        return tuple(s.clone() for s in self._state)

    def check(self, state: Sequence[Tensor]) -> None:
        """Refuse a state that is not one of this cell.

        Raises:
            SequenceError: it says what it must be.
        """
        name, wanted = type(self._cell).__name__, self._state
        if not isinstance(state, tuple | list) or len(state) != len(wanted):
            came = f"{len(state)} items in a {type(state).__name__}"
            raise SequenceError(f"{name} takes a tuple of {len(wanted)} state(s), got {came}.")
        for i, (own, given) in enumerate(zip(wanted, state, strict=True)):
            if own.shape != given.shape or given.dtype not in (own.dtype, self._dtype):
                raise SequenceError(
                    f"state[{i}] must be (batch={own.shape[0]}, size={own.shape[1]}) of "
                    f"{self._dtype}, got {tuple(given.shape)} of {given.dtype}."
                )

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

    def _on_device(self, x: Tensor) -> Tensor:
        if x.device != self._like.device:
            raise SequenceError(f"x is on {x.device}, the stream on {self._like.device}.")
        return x

    @torch.no_grad()
    def _by_reference(self, x: Tensor, steps: int) -> Tensor:
        outputs = []
        state = self._state
        x = self._on_device(x)
        with lent(self._cell, self._weights), torch.autocast(x.device.type, enabled=False):
            for row in x.reshape(steps, *self._shape):
                output, new = self._cell(row, state)
                if self._hold is not None:
                    output, new = held(self._hold, state, output, new)
                state = new
                outputs.append(output)
        self.state = state
        return torch.cat(outputs)

    def _begin(self, program: Program, weights: Weights | None) -> None:
        """Lay out the arguments of a step."""
        batch = self._shape[0]
        prepared = program.plans.traced.prepare(tensors_of(self._cell, program, weights))
        if self._dtype is torch.bfloat16:  # which only matrices are, to a kernel
            self._fresh = tuple(s.float() for s in self._fresh)
            self._state = tuple(s.float() for s in self._state)
            prepared = tuple(p if p.dim() > 1 else p.float() for p in prepared)
        numbers = self._like.float() if self._dtype is torch.bfloat16 else self._like
        self._output = numbers.new_empty(batch, program.plans.traced.output.width or 1)
        plan, groups = program.plans.plans["infer"], program.groups["infer"]
        size = sum(prepared[m.index].numel() for m in plan.matrices)
        threads = threads_at_most() if groups and size > WORTH_SHARING else 1
        panels = []
        for k, matrix in enumerate(plan.matrices):
            p = prepared[matrix.index]
            group = groups[k] if groups and threads > 1 else p.shape[0 if matrix.transposed else 1]
            panels.append(packing.kept(program, p, matrix.transposed, group))
        # A packed matrix is read in its packed form only.
        packed = {matrix.index for matrix in plan.matrices}
        vectors = [None if k in packed else _own(p) for k, p in enumerate(prepared)]
        lease = Lease(program.room("infer", batch), numbers)
        # A state is read before its successor is written to the same place.
        arrays = {f"state{i}": s for i, s in enumerate(self._state)}
        arrays |= {f"final{i}": s for i, s in enumerate(self._state)}
        tensors = [*[arrays.get(name) for name in plan.arrays], *panels, *[None] * len(panels)]
        table = [0 if t is None else t.data_ptr() for t in (*tensors, *vectors)]
        split = (ctypes.c_long * 2)(0, batch)
        head = (
            *(0, 1, batch, threads, threads > 1, lease.size, settings.flush_denormal, 0, 0),
            *(ctypes.addressof(split), ctypes.addressof(program.sizes), 0),
            *(lease.flat.data_ptr(), program.product),
            *(pool() if threads > 1 else (0, 0, 0)),
            program.half,
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
        self._rows = whole(steps, self._shape[0], reverse=False)
        self._args[1] = steps
        # The short way takes addresses as they come, which those of bfloat16 cannot be.
        self._steps = 0 if self._dtype is torch.bfloat16 else steps
        self._args[7], self._args[8] = self._rows.first.data_ptr(), self._rows.count.data_ptr()

    def _by_kernel(self, x: Tensor, steps: int) -> Tensor:
        if steps != self._args[1]:
            self._lay_out(steps)
        y = self._output.new_empty(len(x), self._output.shape[1])
        x = self._on_device(x).to(y.dtype).contiguous()
        self._args[self._x], self._args[self._y] = x.data_ptr(), y.data_ptr()
        self._function(self._address)
        return y.to(self._dtype)


def _own(t: Tensor) -> Tensor:
    return t.detach().clone(memory_format=torch.contiguous_format)


def _copied(cell: Cell, weights: Weights | None) -> Weights:
    """All that a cell reads, as it is now."""
    named: dict[str, Tensor] = dict(cell.named_parameters(remove_duplicate=False))
    named |= dict(cell.named_buffers(remove_duplicate=False))
    return {name: _own(t) for name, t in (named | dict(weights or {})).items()}
