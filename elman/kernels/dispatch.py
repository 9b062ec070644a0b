"""The choice of the backend that runs a call, and its reason: made in one place, never silently.

A backend is a module that says why it cannot serve a call, or runs it. They are asked in order,
fastest first; the reference refuses nothing. Whenever it is taken although nobody asked for it,
one `SlowPathWarning` a process says so for each reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Unpack

import torch
from torch import Tensor

from elman.cells.base import Cell
from elman.errors import InputError, SlowPathWarning, nearest, warn
from elman.kernels import cpu, ops, reference, torch_backend, transforms
from elman.kernels.program import Program, Weights, find, lent
from elman.kernels.sequence import Call, Options, Result, prepare
from elman.kernels.witness import Witness, attending, looking

BACKENDS = ("cpu", "torch", "reference")
"""Fastest first: kernels compiled for the cell, torch's own, the plain loop."""


@dataclass(frozen=True)
class Choice:
    """The backend one run takes.

    Attributes:
        backend: "cpu", "torch" or "reference".
        reason: why this one; for the reference, why a faster one was refused.
        what: the cell it was chosen for.
        program: the compiled kernels, where they are taken.
    """

    backend: str
    reason: str
    what: str = ""
    program: Program | None = field(default=None, compare=False, repr=False)


_forced: ContextVar[str | None] = ContextVar("elman_backend", default=None)
_record: ContextVar[list[Choice] | None] = ContextVar("elman_choices", default=None)
_warned: set[str] = set()


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Run everything inside on `backend`: the reference, where cuDNN refuses a second derivative.

    >>> import torch, elman.cells
    >>> with use("reference"):
    ...     choose(elman.cells.make("lstm", 2, 3), torch.zeros(1, 1, 2)).reason
    'asked for'

    Raises:
        InputError: no backend of that name; or, at a call inside, it cannot serve that call.
    """
    if backend not in BACKENDS:
        raise InputError(f"No backend is called {backend!r}.", fix=nearest(backend, BACKENDS))
    token = _forced.set(backend)
    try:
        yield
    finally:
        _forced.reset(token)


@contextmanager
def record() -> Iterator[list[Choice]]:
    """Collect the choice of every run inside, in order."""
    choices: list[Choice] = []
    token = _record.set(choices)
    try:
        yield choices
    finally:
        _record.reset(token)


def choose(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    backend: str | None = None,
    **options: Unpack[Options],
) -> Choice:
    """The backend `run` takes for the same arguments, without running it.

    >>> import torch, elman.cells
    >>> choose(elman.cells.make("lstm", 2, 3), torch.zeros(4, 1, 2)).backend
    'cpu'
    """
    return _choose(cell, prepare(cell, x, state, **options), backend)


def run(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    backend: str | None = None,
    weights: Weights | None = None,
    keep_every: int | None = None,
    **options: Unpack[Options],
) -> Result:
    """Run `cell` over `x` on the fastest backend that serves the call.

    Args:
        cell: one time step.
        x: `(T, B, input_size)`.
        state: before the first step, `(B, size)` each; the cell's `init_state` if None.
        backend: "reference", "torch" or "cpu" to insist on one; inside `use` that one is meant.
        weights: tensors in the place of the cell's parameters of these names.
        keep_every: steps between the states that a compiled kernel keeps for its backward pass,
            which computes the rest again; None keeps all, as long as there is memory for it.
        options: `lengths`, `reset`, `reverse`, `hold`, `return_states`: see
            `elman.kernels.sequence`.

    Raises:
        SequenceError: an argument does not fit the cell or the others.
        InputError: `backend` cannot serve this call.

    >>> import torch, elman.cells
    >>> result = run(elman.cells.make("gru", 2, 3), torch.zeros(4, 1, 2), lengths=[2])
    >>> result.output[2:].abs().max().item(), bool((result.output[1] == result.state[0]).all())
    (0.0, True)
    """
    if torch._C._get_tracing_state() is not None:
        raise transforms.untraceable(cell)
    capturing = transforms.capturing(x)
    why = ""
    if capturing and not transforms.any_active() and not (why := ops.changed_by(cell)):
        return ops.run(cell, x, state, backend=backend, weights=dict(weights or {}), **options)
    if not capturing and (runs := looking()) is not None:
        return _witnessed(runs, cell, x, state, backend, weights, options)
    call = prepare(cell, x, state, **options)
    if capturing:
        with lent(cell, weights) if weights else nullcontext():
            _announce_in_graph(type(cell).__name__, why or _FUNC)
            return reference.loop(cell, call)
    wanted = backend or _forced.get()
    if wanted in (None, "cpu"):
        # The common case, without putting anything in the place of anything.
        found = find(cell, call, weights)
        if isinstance(found, Program):
            announce(_compiled(cell, found, wanted), quiet=call.x.shape[0] == 0)
            return cpu.run(cell, call, found, weights, keep_every)
    with lent(cell, weights) if weights else nullcontext():
        return _run(cell, call, backend)


def _witnessed(
    runs: list[Witness],
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None,
    backend: str | None,
    weights: Weights | None,
    options: Options,
) -> Result:
    """`run` with every state, while somebody looks on."""
    wanted = options.get("return_states", False)
    options = {**options, "return_states": True}
    if torch.is_grad_enabled() and x.is_floating_point() and not x.requires_grad:
        x = x.detach().requires_grad_()
    witness = Witness(cell, dict(weights or {}), prepare(cell, x, state, **options))
    with attending(witness):
        result = run(cell, x, state, backend=backend, weights=weights, **options)
    witness.result = result
    runs.append(witness)
    return result if wanted else result._replace(states=None)


def _run(cell: Cell, call: Call, backend: str | None) -> Result:
    choice = _choose(cell, call, backend)
    announce(choice, quiet=call.x.shape[0] == 0)
    if not torch.is_autocast_enabled(call.x.device.type):
        return _carry_out(cell, call, choice)
    if choice.backend == "torch":
        result = _carry_out(cell, call, choice)
    else:
        with torch.autocast(call.x.device.type, enabled=False):
            result = _carry_out(cell, _in_kernel_dtype(cell, call), choice)
    return result if call.x.dtype == torch.float64 else _lowered(result)


@transforms.constant
def _announce_in_graph(name: str, reason: str) -> None:
    announce(Choice("reference", reason, name))


_FUNC = "in a graph no kernel follows torch.func"


def _carry_out(cell: Cell, call: Call, choice: Choice) -> Result:
    if choice.program is not None:
        return cpu.run(cell, call, choice.program)
    return (
        torch_backend.run(cell, call) if choice.backend == "torch" else reference.loop(cell, call)
    )


def kernel_dtype(cell: Cell, x: Tensor) -> torch.dtype:
    """In which precision a cell runs under autocast: its parameters' own."""
    for parameter in cell.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _in_kernel_dtype(cell: Cell, call: Call) -> Call:
    dtype = kernel_dtype(cell, call.x)
    return replace(call, x=call.x.to(dtype), state=tuple(s.to(dtype) for s in call.state))


def _lowered(result: Result) -> Result:
    """Return a result in autocast's dtype, as torch.nn.LSTM gives it."""
    dtype = torch.get_autocast_dtype(result.output.device.type)
    states = None if result.states is None else tuple(s.to(dtype) for s in result.states)
    return Result(result.output.to(dtype), tuple(s.to(dtype) for s in result.state), states)


def forced() -> str | None:
    """The backend that `use` insists on, or None."""
    return _forced.get()


def announce(choice: Choice, quiet: bool = False) -> None:
    """Record a choice about to be acted on, and warn once a process for each slow reason."""
    choices = _record.get()
    if choices is not None:
        choices.append(choice)
    if choice.backend != "reference" or choice.reason == _ASKED or quiet:
        return
    if choice.reason not in _warned:
        _warned.add(choice.reason)
        warn(
            f"{choice.what} runs on the reference loop, one step at a time: {choice.reason}.",
            SlowPathWarning,
        )


_ASKED = "asked for"


def _found(cell: Cell, call: Call) -> Program | str:
    device = call.x.device.type
    if not torch.is_autocast_enabled(device):
        return find(cell, call)
    with torch.autocast(device, enabled=False):
        return find(cell, _in_kernel_dtype(cell, call))


def _compiled(cell: Cell, program: Program, wanted: str | None) -> Choice:
    reason = _ASKED if wanted else "a kernel was compiled for it"
    return Choice("cpu", reason, type(cell).__name__, program)


def _better_in_halves(cell: Cell, call: Call) -> bool:
    """Return whether autocast asks for training an LSTM of whole sequences in bfloat16, on a
    processor that multiplies in it: torch has a kernel for that, Elman has none."""
    return (
        torch.is_autocast_enabled(call.x.device.type)
        and call.x.device.type == "cpu"
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and len(cell.state_sizes) == 2
        and cell.state_sizes[0] == cell.state_sizes[1]  # no projection, of which torch makes a loop
        and call.lengths is None
        and call.reset is None
        and call.x.dtype != torch.float64
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and torch_backend.refusal(cell, call) is None
    )


def _choose(cell: Cell, call: Call, asked: str | None) -> Choice:
    name = type(cell).__name__
    wanted = asked or _forced.get()
    if wanted is not None and wanted not in BACKENDS:
        raise InputError(f"No backend is called {wanted!r}.", fix=nearest(wanted, BACKENDS))
    if wanted == "reference":
        return Choice("reference", _ASKED, name)
    refused = {}
    if wanted is None and _better_in_halves(cell, call):
        return Choice("torch", "autocast asks for bfloat16, in which torch's is faster", name)
    if wanted != "torch":
        found = _found(cell, call)
        if isinstance(found, Program):
            return _compiled(cell, found, wanted)
        refused["cpu"] = found
    if wanted != "cpu":
        reason = torch_backend.refusal(cell, call)
        if reason is None:
            return Choice("torch", _ASKED if wanted else "torch has a fused kernel for it", name)
        refused["torch"] = reason
    if wanted:
        raise InputError(f"The {wanted} backend cannot run this {name}: {refused[wanted]}.")
    # On its own device a kernel's reason says most; elsewhere torch's does.
    return Choice("reference", refused["cpu" if call.x.device.type == "cpu" else "torch"], name)
