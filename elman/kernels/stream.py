"""One cell, step by step: the kernel of whole sequences, with all that a call needs laid out once.

A step is one call of a C function with two new addresses, of the input and of the output. The
state stays where the kernel has it. Weights are packed, or copied, when a stream begins: it keeps
those that it began with.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import torch
from torch import Tensor, nn

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
            stream._threads = stream._args[3] = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Copied:
    """Base of what is copied by its own `copy()` and never pickled: streams of every kind."""

    instead: ClassVar[str]
    """The way to save it, in words."""

    def copy(self) -> Self:
        """Return a stream that goes on from the same state by itself; weights are shared."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, _: Any) -> Self:
        return self.copy()

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise InputError("A stream cannot be pickled.", fix=self.instead)


class OneAtATime:
    """Lets one thread at a time use a stream, and refuses a second one.

    A second thread is not made to wait: its step would follow the other's in an order that nobody
    chose.

    >>> alone = OneAtATime()
    >>> with alone:
    ...     with alone:
    ...         pass
    Traceback (most recent call last):
    ...
    elman.errors.InputError: Another thread is using this stream. Give each thread a stream of its \
own (stream.copy() makes one), or let threads take turns with a threading.Lock.
    """

    __slots__ = ("free",)

    def __init__(self) -> None:
        # Whoever takes the one item has the stream: no other thread can come in between, as with
        # a lock, which takes six times as long.
        self.free = [None]

    def __enter__(self) -> None:
        try:
            self.free.pop()
        except IndexError:
            self.refuse()

    def __exit__(self, *_: object) -> None:
        self.free.append(None)

    def refuse(self) -> NoReturn:
        """Tell a second thread that the stream is in use.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Another thread is using this stream.",
            fix="Give each thread a stream of its own (stream.copy() makes one), or let threads "
            "take turns with a threading.Lock.",
        )

    def guarding(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a step that one thread at a time can take."""
        free = self.free

        def guarded(x: Any) -> Any:
            try:
                free.pop()
            except IndexError:
                self.refuse()
            try:
                return step(x)
            finally:
                free.append(None)

        return guarded


def as_tensor(x: Any, dtype: torch.dtype | None) -> Tensor:
    """Return numbers that were given to a stream as a tensor.

    Args:
        x: a tensor, which stays as it is; a NumPy array, a number, or a list of numbers.
        dtype: for numbers that are no tensor; None keeps whole numbers whole, and gives others
            torch's default.

    Raises:
        SequenceError: it is something else.

    >>> as_tensor([[1, 2]], torch.float32)
    tensor([[1., 2.]])
    """
    if isinstance(x, Tensor):
        return x
    try:
        found = np.asarray(x)
    except (TypeError, ValueError, RuntimeError):  # of uneven rows NumPy makes no array
        found = np.empty(0, object)
    if found.dtype.kind not in "biufc":
        came = f"a {type(x).__name__}"
        if isinstance(x, list | tuple):
            came += " of other things or of uneven rows"
        elif isinstance(x, np.ndarray):
            came = f"an array of {x.dtype}"
        raise SequenceError(
            "A stream takes a tensor, a NumPy array or a list of numbers, not "
            f"{'None' if x is None else came}."
        )
    if dtype is None and found.dtype.kind in "iuf":
        dtype = torch.get_default_dtype() if found.dtype.kind == "f" else torch.long
    return torch.from_numpy(np.array(found)).to(dtype)


def identity(*parts: Any) -> str:
    """Return a short hash of modules: their classes, options, and weights with names and shapes.

    The same weights have the same hash on every machine and device.

    Args:
        parts: modules; pairs of a cell and the tensors in the place of its weights; hashes;
            options, which are told apart by how they print.

    >>> layer = nn.Linear(2, 3)
    >>> before = identity(layer)
    >>> _ = nn.init.ones_(layer.bias)
    >>> len(before), identity(layer) == before
    (16, False)
    """
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        module, weights = part if isinstance(part, tuple) and len(part) == 2 else (part, None)
        if not isinstance(module, nn.Module):
            found.update(repr(part).encode())
            continue
        for prefix, child in module.named_modules():
            options = {
                name: value
                for name, value in vars(child).items()
                if type(value) in (int, float, bool, str)
                and name != "training"
                and not name.startswith("_")
            }
            found.update(f"{prefix} {type(child).__qualname__} {sorted(options.items())}".encode())
        for name, tensor in (_tensors(module) | dict(weights or {})).items():
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()


class CellStream(Copied):
    """A cell on a stream of inputs, for a batch of a fixed size; nothing is kept for gradients.

    One thread at a time can use it; a second one is refused.

    Args:
        cell: one time step.
        batch: rows that go side by side.
        like: a tensor of the device and dtype of its weights.
        weights: what stands in for the cell's own parameters, by name.
        hold: for each state None or a probability, of which the expectation is taken (zoneout).

    Attributes:
        backend: "cpu", or "reference" with the reason in `reason`.
        identity: a hash of the cell and its weights.

    Raises:
        InputError: no rows, or a backend that `use` insists on and that has no streams.

    >>> from elman.cells import make
    >>> stream = CellStream(make("gru", 2, 3), 1, torch.zeros(1))
    >>> stream.step(torch.ones(1, 2)).shape, stream.chunk(torch.ones(4, 1, 2)).shape
    (torch.Size([1, 3]), torch.Size([4, 1, 3]))
    """

    instead = "Save its state, with `kept()`."

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
        self._alone = OneAtATime()
        self._free = self._alone.free
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
            self._cell = _with_own_weights(cell, weights)
        self.identity = identity((cell, weights), self._hold)
        _open.add(self)
        choice = Choice(self.backend, self.reason, type(cell).__name__)
        announce(choice, quiet=asked == "reference")

    def step(self, x: Tensor) -> Tensor:
        """Return the output `(batch, output_size)` for one more input `(batch, input_size)`."""
        if type(x) is not Tensor:
            x = as_tensor(x, self._dtype)
        if x.shape != self._shape or x.dtype is not self._dtype:
            raise self._wrong(x, f"(batch={self._shape[0]}, input_size={self._shape[1]})")
        free = self._free
        try:  # no `with`, which takes as long as a tenth of a small step
            free.pop()
        except IndexError:
            self._alone.refuse()
        try:
            if self._steps != 1 or not x.is_contiguous() or not x.is_cpu:
                return self._run(x, 1)
            y = torch.empty_like(self._output)  # in half the time of new_empty, which would show
            args = self._args
            args[self._x], args[self._y] = x.data_ptr(), y.data_ptr()
            self._function(self._address)
            return y
        finally:
            free.append(None)

    def chunk(self, x: Tensor) -> Tensor:
        """Return the outputs `(T, batch, output_size)` for T more inputs, from one call."""
        x = as_tensor(x, self._dtype)
        if x.shape[1:] != self._shape or x.dtype is not self._dtype:
            raise self._wrong(x, f"(T, batch={self._shape[0]}, input_size={self._shape[1]})")
        steps = len(x)
        with self._alone:
            found = self._run(x.reshape(-1, x.shape[2]), steps) if steps else x.new_empty(0)
        return found.view(steps, self._shape[0], -1 if steps else self._cell.output_size)

    @property
    def state(self) -> State:
        """The state after the last step, `(batch, size)` each: a copy."""
        with self._alone:
            return tuple(s.to(self._dtype, copy=True) for s in self._state)

    @state.setter
    def state(self, state: Sequence[Tensor]) -> None:
        self.check(state)
        with self._alone:
            self._put(state)

    @torch.no_grad()
    def _put(self, state: Sequence[Tensor]) -> None:
        for own, given in zip(self._state, state, strict=True):
            own.copy_(given)

    def kept(self) -> State:
        """Return a copy of the state as the kernel has it: float32 for weights in bfloat16."""
        with self._alone:
            return tuple(s.clone() for s in self._state)

    @torch.inference_mode(False)
    @torch.no_grad()
    def copy(self) -> Self:
        """Return a stream that goes on from the same state by itself; weights are shared."""
        new = object.__new__(type(self))
        with self._alone:
            vars(new).update(vars(self))
            new._alone, new._state = OneAtATime(), tuple(s.clone() for s in self._state)
            new._free = new._alone.free
        if new.backend == "cpu":
            new._arrange()
        else:
            new._run = new._by_reference
        _open.add(new)
        return new

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
        with self._alone:
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
        with torch.autocast(x.device.type, enabled=False):
            for row in x.reshape(steps, *self._shape):
                output, new = self._cell(row, state)
                if self._hold is not None:
                    output, new = held(self._hold, state, output, new)
                state = new
                outputs.append(output)
        self._put(state)
        return torch.cat(outputs)

    def _begin(self, program: Program, weights: Weights | None) -> None:
        """Pack the weights, and lay out the arguments of a step."""
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
        self._threads, self._program = threads, program
        self._read = panels, vectors
        self._arrange()

    def _arrange(self) -> None:
        """Lay out the arguments of a step, with a state and memory of the stream's own."""
        batch, threads, program = self._shape[0], self._threads, self._program
        plan, (panels, vectors) = program.plans.plans["infer"], self._read
        lease = Lease(program.room("infer", batch), self._output)
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
        self._held = split, lease
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


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    named: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    return named | dict(module.named_buffers(remove_duplicate=False))


def _with_own_weights(cell: Cell, weights: Weights | None) -> Cell:
    """Return the cell with copies of its tensors, which nobody else writes to or replaces."""
    given = {id(t): (weights or {}).get(name, t) for name, t in _tensors(cell).items()}
    made: dict[int, Any] = {}

    def own(part: Any) -> Any:
        if part is not None and id(part) not in made:
            made[id(part)] = _own(given[id(part)]) if isinstance(part, Tensor) else twin(part)
        return made.get(id(part))

    def twin(module: nn.Module) -> nn.Module:
        # Not a deep copy: a hook goes on telling the object that it was made for.
        new: nn.Module = object.__new__(type(module))
        new.__dict__ = vars(module).copy()
        for kind in ("_parameters", "_buffers", "_modules"):
            new.__dict__[kind] = {k: own(part) for k, part in vars(module)[kind].items()}
        return new

    found: Cell = own(cell)
    return found
