"""A loop over a cell that was written by hand is followed from outside.

There is no layer then and no run to look on at, only calls of a cell: those belong together of
which each is given the very state that the one before gave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells.base import Cell, State
from elman.kernels.witness import handed_on, present


class TorchStep(Cell):
    """One of torch.nn's cells as one of ours."""

    def __init__(self, module: nn.RNNCellBase) -> None:
        n = module.hidden_size
        states = 2 if isinstance(module, nn.LSTMCell) else 1
        super().__init__(module.input_size, n, state_sizes=(n,) * states)
        self.module = module

    def recurrent_weights(self) -> list[str]:
        """Return the matrix that torch calls weight_hh."""
        return ["module.weight_hh"]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take torch's step."""
        found = self.module(x, state if len(state) > 1 else state[0])
        new = (found,) if isinstance(found, Tensor) else tuple(found)
        return new[0], new


@dataclass(eq=False)
class Loop:
    """Calls of one cell, each with the state that the one before gave."""

    path: str
    cell: Cell
    start: State
    x: list[Tensor] = field(default_factory=list)
    read: list[Tensor] = field(default_factory=list)
    """Inputs in the graph, each under a name of its own."""
    outputs: list[Tensor] = field(default_factory=list)
    """Outputs in the graph, `(B, size)` each."""
    states: list[State] = field(default_factory=list)
    came: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @property
    def gradients(self) -> State | None:
        """The gradients by each state, in the form of a `Witness`."""
        if not self.came:
            return None
        return tuple(
            torch.stack(
                [self.came.get((t, i), torch.zeros_like(s[i])) for t, s in enumerate(self.states)]
            )
            for i in range(len(self.start))
        )

    @property
    def ends(self) -> list[Tensor]:
        """Nothing: the last state is one of the outputs, or is handed out nowhere."""
        return []

    @property
    def first(self) -> list[Tensor]:
        """Everything in the loop leads back to, beside what it reads: its first state."""
        return [s for s in self.states[0] if s.requires_grad]

    detached: int = 0
    """Steps that were given the state out of the graph, past which no gradient goes back."""

    def goes_on(self, state: State) -> bool:
        """Say whether a state is the one that the last call gave, or the same out of the graph."""
        last = self.states[-1]
        if len(last) != len(state):
            return False
        pairs = list(zip(last, state, strict=True))
        if all(a is b for a, b in pairs):
            return True
        cut = [a.requires_grad and not b.requires_grad for a, b in pairs]
        same = all(a is b or _equal(a, b) for a, b in pairs)
        return same and any(cut) and any(bool(b.any()) for b in state)

    def by_read(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return gradients by each of `read` as those by `x`: `(T, B, size)`."""
        parts = len(self.read) // len(self.x)
        rows = [g.reshape(len(x), -1) for g, x in zip(gradients, self._x_of_read(), strict=True)]
        return torch.stack(
            [torch.cat(rows[t * parts : (t + 1) * parts], 1) for t in range(len(self.x))]
        )

    def _x_of_read(self) -> Iterator[Tensor]:
        parts = len(self.read) // len(self.x)
        return (x for x in self.x for _ in range(parts))

    def take(
        self, x: Tensor, output: Tensor, new: State, reads: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Take one more call, and return its states under names that autograd reports on.

        `reads` are the parts of `x` in the graph, where it is in parts.
        """
        output, new = handed_on(output, new, partial(self._come, len(self.x)))
        self.x.append(x.detach())
        self.read.extend([x] if reads is None else reads)
        self.outputs.append(output)
        self.states.append(new)
        return output, new

    def _come(self, t: int, i: int, gradient: Tensor) -> None:
        if (t, i) in self.came:
            self.came.clear()
        self.came[t, i] = gradient.detach()


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)


@contextmanager
def looped(part: Cell | nn.RNNCellBase, path: str, loops: list[Loop]) -> Iterator[None]:
    """Follow a loop written by hand over a cell."""
    cell = part if isinstance(part, Cell) else TorchStep(part)

    def before(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Give what is read a name in the graph, so that its gradient can be asked for."""
        given = signature(part.forward).bind(*args, **named)
        name, x = next(iter(given.arguments.items()))
        if present() is not None or not torch.is_grad_enabled():
            return None
        if x.dim() != 2 or not x.is_floating_point():
            return None
        known = x if x.requires_grad else x.detach().requires_grad_()
        given.arguments[name] = known.view_as(known)
        return given.args, given.kwargs

    def after(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any], given: Any) -> Any:
        x, state = (*signature(part.forward).bind(*args, **named).arguments.values(), None)[:2]
        if present() is not None or x.dim() != 2:
            return given
        state = (state,) if isinstance(state, Tensor) else state
        if isinstance(part, Cell):
            output, new = given[0], tuple(given[1])
        else:
            new = (given,) if isinstance(given, Tensor) else tuple(given)
            output = new[0]
        if state is None:
            state = tuple(torch.zeros_like(s) for s in new)
        mine = [loop for loop in loops if loop.cell is cell and loop.goes_on(tuple(state))]
        if not mine:
            mine = [Loop(path, cell, tuple(state))]
            loops.extend(mine)
        elif any(
            last.requires_grad and not given_.requires_grad
            for last, given_ in zip(mine[-1].states[-1], state, strict=True)
        ):
            mine[-1].detached += 1
        output, new = mine[-1].take(x, output, new)
        if isinstance(part, Cell):
            return output, new
        return new[0] if isinstance(given, Tensor) else new

    hooks = (
        part.register_forward_pre_hook(before, with_kwargs=True),
        part.register_forward_hook(after, with_kwargs=True),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
