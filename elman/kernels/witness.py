"""Looking on while cells run: what went in, every state, and the gradient that came back to each.

A backward pass through time has every state's gradient in its hands. Whoever looks on is given
them; nothing is computed for it a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from elman.cells.base import Cell, State
from elman.kernels.sequence import Call, Result


@dataclass(eq=False)
class Witness:
    """One run of a cell over its sequences.

    Attributes:
        cell: what ran.
        weights: tensors that stood in for parameters of the cell.
        call: what it was called with; the input can be differentiated by.
        result: what came of it, every state included, in the graph that followed from it.
        gradients: for each state `(T, B, size)`: of the last backward pass that came through, by
            that state as it was handed on after each step, the others held; through that step's
            output too where the output is the state. Zero beyond each row's length; None before
            there was a backward pass.
    """

    cell: Cell
    weights: Mapping[str, Tensor]
    call: Call
    result: Result | None = None
    gradients: State | None = None
    _steps: dict[tuple[int, int], Tensor] = field(default_factory=dict, repr=False)

    def follow(self, step: int, output: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output and state that a step of the reference hands on: see `handed_on`."""
        return handed_on(output, state, partial(self._come, step))

    def _come(self, step: int, i: int, gradient: Tensor) -> None:
        if self.gradients is None or (step, i) in self._steps:
            # The first of another backward pass: it begins from nothing.
            steps, batch, *_ = self.call.x.shape
            sizes = self.cell.state_sizes
            self.gradients = tuple(gradient.new_zeros(steps, batch, n) for n in sizes)
            self._steps.clear()
        self._steps[step, i] = gradient
        self.gradients[i][step] = gradient.detach()


def handed_on(
    output: Tensor, state: State, told: Callable[[int, Tensor], None]
) -> tuple[Tensor, State]:
    """Return a step's output and state as views that report the gradient of each state.

    Within a step a state may lead to another, as c to h in an LSTM; by those names it does not,
    and its gradient is that by a state of which the others are held.
    """
    known = {id(s): s.view_as(s) for s in state}
    for i, s in enumerate(state):
        if s.requires_grad:
            known[id(s)].register_hook(partial(told, i))  # type: ignore[no-untyped-call]
    return known.get(id(output), output), tuple([known[id(s)] for s in state])


_looking: ContextVar[list[Witness] | None] = ContextVar("elman_witnesses", default=None)
_present: ContextVar[Witness | None] = ContextVar("elman_witness", default=None)


@contextmanager
def witnessed() -> Iterator[list[Witness]]:
    """Everything that cells run inside, in order; gradients come with the backward pass.

    >>> import torch, elman.nn
    >>> layer, x = elman.nn.LSTM(2, 3), torch.randn(5, 1, 2)
    >>> with witnessed() as runs:
    ...     output, _ = layer(x)
    >>> output[-1].sum().backward()
    >>> h, c = runs[0].gradients
    >>> h.shape, h[-1].tolist()
    (torch.Size([5, 1, 3]), [[1.0, 1.0, 1.0]])
    """
    runs: list[Witness] = []
    token = _looking.set(runs)
    try:
        yield runs
    finally:
        _looking.reset(token)


def looking() -> list[Witness] | None:
    """Return the list that `watch` fills; None while nobody watches."""
    return _looking.get()


def present() -> Witness | None:
    """Who looks on at the run now under way."""
    return _present.get()


@contextmanager
def attending(witness: Witness) -> Iterator[None]:
    """A run during which `witness`, and nobody else, looks on."""
    nobody, here = _looking.set(None), _present.set(witness)
    try:
        yield
    finally:
        _present.reset(here)
        _looking.reset(nobody)
