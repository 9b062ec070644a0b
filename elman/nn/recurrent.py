"""`Recurrent`: any cell as a layer, stacked, in both directions, regularised.

The cell says what a step computes, `elman.kernels` runs it over time, and `elman.nn.stack` runs
layers one after another. `Recurrent` gives each run its input, weights and masks.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells import make
from elman.cells.base import Cell, State
from elman.errors import InputError
from elman.kernels import SequenceError, transforms
from elman.kernels.sequence import as_lengths
from elman.nn.dropout import dropped_weights, locked, probability, zoneout
from elman.nn.masking import blank, valid_steps
from elman.nn.stack import Join, OneWay, check_input, highway, run_layers, swapped
from elman.nn.stream import LayerStream

LayerState = tuple[State, ...]
"""The state of a `Recurrent`: for each layer and direction its cell's state, forward first."""


class Recurrent(nn.Module):
    """A stack of recurrent layers made of one kind of cell.

    Args:
        cell: a name from `elman.cells.CELLS`, a `Cell` class or any callable
            `(input_size, hidden_size, **options) -> Cell`, or a cell itself (one layer, one
            direction).
        input_size: features of the input. May be left out for a cell itself.
        hidden_size: units of each layer. May be left out for a cell itself.
        num_layers: layers; each reads the output of the one before.
        bidirectional: each layer has a second cell that reads each row from its end; the outputs
            of both are put side by side.
        batch_first: input, output, reset and the states of every step are `(B, T, ...)`, not
            `(T, B, ...)`. A state has no time axis and is `(B, size)` either way.
        dropout: probability that a feature between two layers is dropped.
        variational: the masks of `dropout` and `input_dropout` are the same in every step
            (Gal & Ghahramani 2016).
        input_dropout: probability that a feature of the input is dropped.
        recurrent_dropout: probability that a weight that multiplies the state is dropped; one
            mask for each call (Merity et al. 2018, "DropConnect").
        zoneout: probability that a unit keeps its old value in a step, one for all states or
            one for each (Krueger et al. 2017; LSTM: `(h, c)`).
        residual: a layer's input is added to its output where both have the same size.
        highway: a gate mixes them instead, y = t ⊙ f(x) + (1 - t) ⊙ x with
            t = σ(W x + b) and b = -1 at the start (Srivastava et al. 2015).
        keep_every: steps between two states that training keeps for the backward pass; the
            states between them are computed again. Keeping every √T-th of T states takes memory
            for 2 √T states and a third more time. None keeps all states while they fit into a
            quarter of the memory.
        options: passed to every cell, `device` and `dtype` included.

    Raises:
        InputError: options contradict each other or have no effect.

    >>> _ = torch.manual_seed(0)
    >>> layer = Recurrent("lstm", 3, 8, num_layers=2, bidirectional=True)
    >>> y, state = layer(torch.ones(5, 2, 3), lengths=torch.tensor([5, 2]))
    >>> y.shape, len(state), y[2:, 1].abs().max().item()
    (torch.Size([5, 2, 16]), 4, 0.0)
    """

    def __init__(
        self,
        cell: str | Cell | Callable[..., Cell],
        input_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        residual: bool = False,
        highway: bool = False,
        keep_every: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError(f"num_layers must be at least 1, got {num_layers}.")
        if keep_every is not None and keep_every < 1:
            raise InputError(f"keep_every must be at least 1 step, got {keep_every}.")
        self.keep_every = keep_every
        self.num_layers, self.bidirectional, self.batch_first = (
            num_layers,
            bidirectional,
            batch_first,
        )
        self.cells = nn.ModuleList(
            _cells(cell, input_size, hidden_size, num_layers, bidirectional, options)
        )
        first = self._cell(0, 0)
        self.input_size = first.input_size
        self.output_size = first.output_size * self.directions

        self.dropout = probability("dropout", dropout)
        self.input_dropout = probability("input_dropout", input_dropout)
        self.recurrent_dropout = probability("recurrent_dropout", recurrent_dropout)
        self.zoneout = _rates(zoneout, first)
        self.variational = variational
        if self.dropout and num_layers == 1:
            warnings.warn("dropout acts between layers and there is only one.", stacklevel=2)
        if self.recurrent_dropout and not first.recurrent_weights():
            raise InputError(
                f"recurrent_dropout has nothing to act on: {type(first).__name__} has no weights "
                "that multiply the state."
            )

        if residual and highway:
            raise InputError(
                "residual and highway both join a layer's input and output: choose one."
            )
        self.residual, self.highway = residual, highway
        self._joined = [self._width(layer) == self.output_size for layer in range(num_layers)]
        if (residual or highway) and not any(self._joined):
            raise InputError(
                f"{'residual' if residual else 'highway'} joins a layer's input and output where "
                f"they are as wide; the only layer takes {self.input_size} features and gives "
                f"{self.output_size}.",
                fix="Set num_layers to 2 or more.",
            )
        like = {k: options[k] for k in ("device", "dtype") if k in options}
        self.gates = nn.ModuleList(
            nn.Linear(self.output_size, self.output_size, **like)
            for joined in self._joined
            if highway and joined
        )
        for gate in self.gates:
            assert isinstance(gate, nn.Linear)
            nn.init.constant_(gate.bias, -1.0)

    @property
    def directions(self) -> int:
        """Return 2 if bidirectional, else 1."""
        return 1 + self.bidirectional

    def extra_repr(self) -> str:
        """Return the options that differ from their defaults, for `print`."""
        shown = {"num_layers": 1, "bidirectional": False, "batch_first": False, "dropout": 0.0}
        shown |= {"variational": False, "input_dropout": 0.0, "recurrent_dropout": 0.0}
        shown |= {"residual": False, "highway": False}
        parts = [f"{k}={getattr(self, k)}" for k, v in shown.items() if getattr(self, k) != v]
        if any(self.zoneout):
            parts.append(f"zoneout={self.zoneout}")
        return ", ".join(parts)

    def init_state(
        self,
        batch: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> LayerState:
        """Return the state before the first step, from every cell's `init_state`."""
        return tuple(self._at(i).init_state(batch, device, dtype) for i in range(len(self.cells)))

    def forward(
        self,
        x: Tensor,
        state: Sequence[State | None] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        return_states: bool = False,
    ) -> Any:
        """Run the layers over a batch of sequences.

        Args:
            x: `(T, B, input_size)`, or `(B, T, input_size)` if `batch_first`.
            state: the state that an earlier call returned, or None to begin anew.
            lengths: `(B,)` integers, steps of each row, zero included; None if all are whole.
            reset: bool, shaped as `x` without its features: true where a new sequence begins.
            return_states: also return every state after every step.

        Returns:
            The output `(T, B, output_size)` (zero beyond each row's length) and the state after
            each row's last step: for each layer and direction a tuple of `(B, size)`. With
            `return_states`, a third item: for each of them a tuple of `(T, B, size)`.

        Raises:
            SequenceError: a shape, type or range is wrong; the message says which.
        """
        cells: list[Any] = list(self.cells)
        weight = next((p for p in cells[0].parameters() if p.is_floating_point()), x)
        first, directions = self.batch_first, 1 + self.bidirectional
        check_input("x", x, reset, weight, input_size=self.input_size, batch_first=first)
        x = swapped(x, first)
        if lengths is not None:
            lengths = as_lengths(lengths).to(x.device)
            if self.residual or self.highway:
                x = blank(x, valid_steps(lengths, len(x)).t())
        if state is not None:
            state = self._whole_state(state)

        def one_way(layer: int, direction: int) -> OneWay:
            cell, weights = cells[layer * directions + direction], None
            if self.training and self.recurrent_dropout:
                weights = dropped_weights(cell, self.recurrent_dropout)
            hold = zoneout(cell, self.zoneout, x, self.training)
            return OneWay(cell, direction == 1, weights, hold)

        found = run_layers(
            self._dropped(x, self.input_dropout) if self.input_dropout else x,
            one_way,
            num_layers=self.num_layers,
            directions=directions,
            state=state,
            between=(lambda y: self._dropped(y, self.dropout)) if self.dropout else None,
            joins=self._joins() if self.residual or self.highway else None,
            lengths=lengths,
            reset=None if reset is None else swapped(reset, first),
            return_states=return_states,
            keep_every=self.keep_every,
        )
        output, final = swapped(found.output, first), tuple(found.state)
        if not return_states:
            return output, final
        return output, final, tuple(tuple(swapped(s, first) for s in p) for p in found.states)

    qconfig = transforms.unquantised

    def _slow_forward(self, *_: Any, **__: Any) -> Any:
        """Refuse the call that torch.jit.trace and the older ONNX exporter make."""
        raise transforms.untraceable(self)

    def stream(self, batch: int = 1) -> LayerStream:
        """Return the layer on a stream: step by step, in constant memory, as in evaluation mode.

        A stream keeps the weights it began with, and nothing for gradients; see
        `elman.nn.stream`.

        Args:
            batch: rows that are fed side by side.

        Raises:
            InputError: the layer is bidirectional, or there is no row.

        >>> layer = Recurrent("lstm", 3, 8, num_layers=2, residual=True)
        >>> stream = layer.stream()
        >>> x = torch.randn(5, 1, 3)
        >>> y = torch.stack([stream.step(row) for row in x])
        >>> torch.allclose(y, layer(x)[0], atol=1e-6), stream.backend
        (True, 'cpu')
        """
        return LayerStream(
            self,
            [(self._at(i), None) for i in range(len(self.cells))],
            batch,
            pack=tuple,
            unpack=self._whole_state,
            hold=self.zoneout,
            joins=self._joins(copied=True),
        )

    def _whole_state(self, state: Sequence[State | None]) -> Sequence[State | None]:
        if len(state) != len(self.cells):
            raise SequenceError(
                f"state must hold one entry for each of {self.num_layers} layer(s) x "
                f"{self.directions} direction(s), {len(self.cells)} in all, got {len(state)}."
            )
        return state

    def _at(self, i: int) -> Cell:
        cell = self.cells[i]
        assert isinstance(cell, Cell)
        return cell

    def _cell(self, layer: int, direction: int) -> Cell:
        return self._at(layer * self.directions + direction)

    def _width(self, layer: int) -> int:
        return self._cell(layer, 0).input_size

    def _dropped(self, x: Tensor, p: float) -> Tensor:
        if not p:
            return x
        if self.variational:
            return locked(x, p, self.training)
        return nn.functional.dropout(x, p, self.training)

    def _joins(self, copied: bool = False) -> list[Join | None]:
        """Return for each layer how its output and its input are joined; None if they are not."""
        made: Iterator[Join | None] = itertools.repeat(torch.add if self.residual else None)
        if self.highway:
            gates = copy.deepcopy(self.gates).requires_grad_(False) if copied else self.gates
            made = map(highway, gates)
        return [next(made) if joined else None for joined in self._joined]


def _cells(
    cell: str | Cell | Callable[..., Cell],
    input_size: int | None,
    hidden_size: int | None,
    num_layers: int,
    bidirectional: bool,
    options: dict[str, Any],
) -> list[Cell]:
    if isinstance(cell, Cell):
        if num_layers > 1 or bidirectional or options:
            raise InputError(
                f"A {type(cell).__name__} already made is one layer in one direction and has its "
                "options.",
                fix="Give its class or name for more layers, directions or other options.",
            )
        for name, asked in (("input_size", input_size), ("hidden_size", hidden_size)):
            has = getattr(cell, name, asked)
            if asked not in (None, has):
                raise InputError(f"{name}={asked}, but the cell given has {name}={has}.")
        return [cell]
    if input_size is None or hidden_size is None:
        raise InputError("input_size and hidden_size are needed unless a cell itself is given.")
    made: list[Cell] = []
    for _ in range(num_layers):
        for _ in range(1 + bidirectional):
            if isinstance(cell, str):
                made.append(make(cell, input_size, hidden_size, **options))
            else:
                made.append(cell(input_size, hidden_size, **options))
        input_size = made[-1].output_size * (1 + bidirectional)
    return made


def _rates(zoneout: float | Sequence[float], cell: Cell) -> tuple[float, ...]:
    count = len(cell.state_sizes)
    rates = tuple(zoneout) if isinstance(zoneout, Sequence) else (zoneout,) * count
    if len(rates) != count:
        raise InputError(
            f"zoneout needs one rate for each of {count} state(s) of {type(cell).__name__}, "
            f"got {len(rates)}."
        )
    return tuple(probability("zoneout", rate) for rate in rates)
