"""The stack of layers under `Recurrent` and the torch-compatible `RNN`, `LSTM` and `GRU`.

A layer is a cell that reads forward and, if the layer is bidirectional, a second one that reads
backwards. Layers differ in where their cells have weights and masks from; how the layers are run
one after another, and what an input must look like, is said here once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.cells.base import Cell, State
from elman.kernels import Hold, SequenceError, run
from elman.kernels.program import Weights

Join = Callable[[Tensor, Tensor], Tensor]
"""From a layer's output and its input to what the next layer reads, such as `torch.add`."""


class OneWay(NamedTuple):
    """A cell that reads in one direction.

    Attributes:
        cell: one time step.
        reverse: whether it reads each row from its last valid step to the first.
        weights: tensors in the place of the cell's parameters, by name.
        hold: for each state what zoneout keeps of it.
    """

    cell: Cell
    reverse: bool
    weights: Weights | None = None
    hold: Hold | None = None


class Stacked(NamedTuple):
    """The results of a stack.

    Attributes:
        output: of the last layer, `(T, B, F)`.
        state: for each layer and direction the state after each row's last step.
        states: for each of them every state after every step; empty unless asked for.
    """

    output: Tensor
    state: list[State]
    states: list[State]


def run_layers(
    x: Tensor,
    one_way: Callable[[int, int], OneWay],
    *,
    num_layers: int,
    directions: int,
    state: Sequence[State | None] | None = None,
    between: Callable[[Tensor], Tensor] | None = None,
    joins: Sequence[Join | None] | None = None,
    **call: Any,
) -> Stacked:
    """Run layers one after another, each on the output of the one before.

    Args:
        x: `(T, B, F)`.
        one_way: gives the cell of a layer and direction. It is asked when that cell is about to
            run, so that random masks are drawn in the order of the layers.
        num_layers: layers.
        directions: 1, or 2 where each layer has a cell that reads backwards.
        state: for each layer and direction the state before the first step, None to begin anew.
        between: applied to the input of every layer but the first: dropout.
        joins: for each layer how its output and its input are joined; None for the output alone.
        call: `lengths`, `reset`, `return_states` and `keep_every`, as `elman.kernels.run` takes
            them.

    Raises:
        SequenceError: an argument does not fit a cell.
    """
    final: list[State] = []
    history: list[State] = []
    for layer in range(num_layers):
        inputs = x if layer == 0 or between is None else between(x)
        outputs = []
        for direction in range(directions):
            cell, reverse, weights, hold = one_way(layer, direction)
            begin = None if state is None else state[len(final)]
            result = run(cell, inputs, begin, weights=weights, reverse=reverse, hold=hold, **call)
            outputs.append(result.output)
            final.append(result.state)
            history.append(result.states or ())
        y = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        join = None if joins is None else joins[layer]
        x = y if join is None else join(y, x)
    return Stacked(x, final, history)


def highway(gate: nn.Module) -> Join:
    """Return y and x mixed by a gate of x: t ⊙ y + (1 - t) ⊙ x with t = σ(gate(x))."""

    def join(y: Tensor, x: Tensor) -> Tensor:
        t = torch.sigmoid(gate(x))
        return t * y + (1 - t) * x

    return join


def check_input(
    name: str,
    x: Tensor,
    reset: Tensor | None,
    like: Tensor,
    *,
    input_size: int,
    batch_first: bool,
    unbatched: bool = False,
) -> None:
    """Refuse an input or a reset that a layer cannot read.

    Args:
        name: what the layer's call names the input.
        x: `(T, B, F)`, or `(B, T, F)` if `batch_first`.
        reset: shaped as `x` without its features, or None.
        like: one of the layer's weights, of whose type the input must be unless autocast is on.
        input_size: F.
        batch_first: layout of the input.
        unbatched: whether `(T, F)` is an input too.

    Raises:
        SequenceError: it says which axis or type is wrong, and what was expected.
    """
    if x.dim() != 3 and not (unbatched and x.dim() == 2):
        axes = "(batch, time, features)" if batch_first else "(time, batch, features)"
        also = ", or (time, features) without a batch" if unbatched else ""
        raise SequenceError(f"{name} must be {axes}{also}, got {x.dim()} axes: {tuple(x.shape)}.")
    if x.shape[-1] != input_size:
        raise SequenceError(
            f"{name} {tuple(x.shape)} has {x.shape[-1]} features on its last axis, the layer takes "
            f"input_size={input_size}."
        )
    if x.dtype != like.dtype and not torch.is_autocast_enabled(x.device.type):
        raise SequenceError(
            f"{name} is {x.dtype} and the weights are {like.dtype}.",
            fix=f"Use {name}.to({like.dtype}) or layer.to({x.dtype}).",
        )
    if reset is not None and reset.shape != x.shape[:-1]:
        raise SequenceError(
            f"reset must be {tuple(x.shape[:-1])}, laid out as {name} is, got {tuple(reset.shape)}."
        )


def swapped(t: Tensor, batch_first: bool) -> Tensor:
    """Swap the first two axes of a `batch_first` tensor, from either layout to the other."""
    return t.transpose(0, 1) if batch_first else t
