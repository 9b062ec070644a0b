"""Which backend runs a call, and why: decided in one place, never silently.

A backend is a module with `refusal(cell, call) -> str | None` and `run(cell, call) -> Result`.
They are asked in order, fastest first; the reference refuses nothing. Whenever it is taken
although nobody asked for it, one `SlowPathWarning` a process says so for each reason.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

from elman.cells.base import Cell
from elman.errors import InputError, SlowPathWarning, nearest
from elman.kernels import reference, torch_backend
from elman.kernels.sequence import Call, Hold, Result, prepare

BACKENDS = ("torch", "reference")
"""Fastest first."""


@dataclass(frozen=True)
class Choice:
    """The backend one run takes.

    Attributes:
        backend: "torch" or "reference".
        reason: why this one; for the reference, why every faster one was refused.
        what: the cell it was chosen for.
    """

    backend: str
    reason: str
    what: str = ""


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
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reverse: bool = False,
    hold: Hold | None = None,
    return_states: bool = False,
    backend: str | None = None,
) -> Choice:
    """The backend `run` takes for the same arguments, without running it.

    >>> import torch, elman.cells
    >>> choose(elman.cells.make("lstm", 2, 3), torch.zeros(4, 1, 2)).backend
    'torch'
    >>> choose(elman.cells.make("lstm", 2, 3, peepholes=True), torch.zeros(4, 1, 2)).reason
    'torch has no kernel for an LSTM with peepholes'
    """
    call = prepare(
        cell,
        x,
        state,
        lengths=lengths,
        reset=reset,
        reverse=reverse,
        hold=hold,
        return_states=return_states,
    )
    return _choose(cell, call, backend)


def run(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reverse: bool = False,
    hold: Hold | None = None,
    return_states: bool = False,
    backend: str | None = None,
) -> Result:
    """Run `cell` over `x` on the fastest backend that serves the call.

    Args:
        cell: one time step.
        x: `(T, B, input_size)`.
        state: before the first step, `(B, size)` each; the cell's `init_state` if None.
        lengths, reset, reverse, hold, return_states: see `elman.kernels.sequence`.
        backend: "reference" or "torch" to insist on one; inside `use` that one is meant.

    Raises:
        SequenceError: an argument does not fit the cell or the others.
        InputError: `backend` cannot serve this call.

    >>> import torch, elman.cells
    >>> result = run(elman.cells.make("gru", 2, 3), torch.zeros(4, 1, 2), lengths=[2])
    >>> result.output[2:].abs().max().item(), bool((result.output[1] == result.state[0]).all())
    (0.0, True)
    """
    call = prepare(
        cell,
        x,
        state,
        lengths=lengths,
        reset=reset,
        reverse=reverse,
        hold=hold,
        return_states=return_states,
    )
    choice = _choose(cell, call, backend)
    announce(choice, quiet=call.x.shape[0] == 0)
    if choice.backend == "torch":
        return torch_backend.run(cell, call)
    return reference.loop(cell, call)


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
        warnings.warn(
            f"{choice.what} runs on the reference loop, one step at a time: {choice.reason}.",
            SlowPathWarning,
            stacklevel=_callers_level(),
        )


_ASKED = "asked for"


def _callers_level() -> int:
    """How far up the stack the code lies that is neither Elman's nor torch's."""
    level, frame = 1, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "elman",
        "torch",
    ):
        level, frame = level + 1, frame.f_back
    return level + 1


def _choose(cell: Cell, call: Call, backend: str | None) -> Choice:
    name = type(cell).__name__
    wanted = backend or _forced.get()
    if wanted is not None and wanted not in BACKENDS:
        raise InputError(f"No backend is called {wanted!r}.", fix=nearest(wanted, BACKENDS))
    if wanted == "reference":
        return Choice("reference", _ASKED, name)
    refused = torch_backend.refusal(cell, call)
    if refused is None:
        return Choice("torch", _ASKED if wanted else "torch has a fused kernel for it", name)
    if wanted == "torch":
        raise InputError(f"The torch backend cannot run this {name}: {refused}.")
    return Choice("reference", refused, name)
