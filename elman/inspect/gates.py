"""Gates: how often they are saturated, and how long they keep a state.

The gate that keeps a state is found by trial: with gates and matrix products held, the state is
moved a little, and the part that arrives was kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Generator, Tensor

from elman.cells.base import State
from elman.inspect.one_step import Step
from elman.inspect.passage import Passage
from elman.training.thresholds import CLOSED, OPEN

HORIZONS = np.logspace(-1, 5, 25)
"""Edges of the histogram of time constants, in steps: four bins a decade."""

_BLOCK = 4096
"""How many rows are looked at together, so that memory does not grow with the passage."""
_MANY, _FEW = 1024, 64
"""How many tell a mean, and how many a gate."""


@dataclass
class Saturation:
    """The shares of steps at which a gate is saturated.

    Attributes:
        open, closed: `(size,)`, of each unit the share of steps above `OPEN` and below `CLOSED`.
        open_share, closed_share: the same over all units.
    """

    open: Tensor
    closed: Tensor
    open_share: float
    closed_share: float


@dataclass
class TimeConstants:
    """The time that units keep a state through factors and zoneout, matrices left aside.

    Attributes:
        states: which states of the cell; several where they turn into each other, as the real and
            imaginary part of an LRU's.
        gate: the gate that is the share kept, zoneout aside; None if that is no gate, as in a leaky
            unit.
        turned: whether it is one minus that gate.
        kept: `(size,)`, the share of the state kept from one step to the next, mean over all steps.
        tau: `(size,)`, steps until 1/e of it is left; infinite if nothing is lost.
        counts: how many units have `tau` between edge k and k + 1 of `HORIZONS`; what lies beyond
            counts in the outermost.
    """

    states: tuple[int, ...]
    gate: str | None
    turned: bool
    kept: Tensor
    tau: Tensor
    counts: list[int]


def gates(passage: Passage) -> dict[str, Tensor]:
    """Return every gate at every step taken, by the name it has in the cell.

    A gate is what a sigmoid gives (a hard one too, or a clamp to [0, 1]), if a product takes it, or
    one minus it, and it is not itself the cell's output or state. It is called by the variable of
    the cell's `forward` that holds it, or else that held its argument, or else `gate k`.

    Returns:
        `(N, size)` each, N the steps of all rows that are not padding, in the order of
        `passage.all_steps()`. Empty for a cell without gates; torch.nn's cells hide
        theirs on a GPU.

    Raises:
        InputError: fewer than two steps were taken.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("lstm", 2, 3), torch.randn(7, 4, 2))
    >>> {name: tuple(values.shape) for name, values in gates(passage).items()}
    {'i': (28, 3), 'f': (28, 3), 'o': (28, 3)}
    """
    x, state = passage.all_steps(2)
    bare = replace(passage, zoneout=())
    found: dict[str, list[Tensor]] = {}
    for first in range(0, len(x), _BLOCK):
        block = slice(first, first + _BLOCK)
        step = Step.seen(bare, x[block], tuple(s[block] for s in state))
        for gate in step.gates:
            found.setdefault(gate.name, []).append(step.values(gate))
    return {name: torch.cat(blocks) for name, blocks in found.items()}


def saturation(gates: Mapping[str, Tensor]) -> dict[str, Saturation]:
    """Measure for each gate the shares of steps above 0.95 and below 0.05.

    A gate that stays there hardly changes with what is read, and hardly any gradient comes through
    it: at 0.95 a sigmoid's slope is a fifth of its largest. Karpathy, Johnson & Fei-Fei 2015,
    "Visualizing and understanding recurrent networks" (arXiv:1506.02078), section 4.2, look at
    gates so, with 0.9 and 0.1.

    >>> found = saturation({"f": torch.tensor([[0.99, 0.5], [0.97, 0.01]])})["f"]
    >>> found.open, found.closed_share
    (tensor([1., 0.]), 0.25)
    """
    found = {}
    for name, values in gates.items():
        high, low = (beyond.sum(0) / len(values) for beyond in (values > OPEN, values < CLOSED))
        found[name] = Saturation(high, low, high.mean().item(), low.mean().item())
    return found


def time_constants(
    passage: Passage, gates: Mapping[str, Tensor], seed: int = 0
) -> list[TimeConstants]:
    """Measure how long each unit keeps its state: tau = -1 / log(mean share kept a step).

    The share kept is the derivative of a unit's new state by its old one while gates and matrix
    products are held: f in an LSTM, z in a GRU, 1 - a in a unit of leak a; zoneout of rate p makes
    p + (1 - p) f of f, and keeps p of a state that the cell itself keeps nothing of. It is
    estimated with random signs, one a unit (Bekas, Kokiopoulou & Saad 2007, "An estimator for the
    diagonal of a matrix"), which is exact unless a step mixes units otherwise. The gate that keeps
    is the one that it equals, zoneout aside, when gates are replaced by random numbers. For a gate
    that stays at its mean, tau is the characteristic forgetting time of Tallec & Ollivier 2018,
    "Can recurrent neural networks warp time?" (arXiv:1804.11188), who write it 1 / (1 - f), the
    same for f near 1.

    Args:
        passage: the layer, over one batch.
        gates: as from `gates(passage)`.
        seed: of the signs and numbers.

    Returns:
        One for each state that is kept, or for states that turn into each other; none for a cell
        that remembers through matrices alone, without zoneout. Where no gate keeps, the mean is
        over at most 1024 steps, evenly spaced.

    Raises:
        InputError: fewer than two steps were taken.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("esn", 2, 3, leak=0.1), torch.randn(7, 4, 2))
    >>> found = time_constants(passage, gates(passage))[0]
    >>> found.gate, [round(tau, 3) for tau in found.tau.tolist()]
    (None, [9.491, 9.491, 9.491])
    """
    generator = torch.Generator().manual_seed(seed)
    bare = replace(passage, zoneout=())
    x, state = _some(*passage.all_steps(2), _FEW)
    step = Step.seen(bare, x, state)
    held = list(step.held)
    for k in {gate.place for gate in step.gates}:
        held[k] = torch.rand(held[k].shape, generator=generator, dtype=torch.double).to(x.device)
    tried = _carried(bare, x, state, held, generator)
    found = []
    for group in _turning(tried, len(state)):
        moved = [tried[i, j] for i in group for j in group]
        zoned = [passage.zoneout[i] if passage.zoneout else 0.0 for i in group]
        if not any(zoned) and all(not m.any() for m in moved):
            continue
        gate, turned = None, False
        if len(group) == 1:
            gate, turned = _equal(moved[0], [(g.name, g.of(held[g.place])) for g in step.gates])
        if gate is not None:
            kept = gates[gate].double().mean(0).expand(moved[0].shape[1])
            kept = zoned[0] + (1 - zoned[0]) * (1 - kept if turned else kept)
        else:
            kept = _kept(bare, group, zoned, seed)
        tau = torch.where(kept < 1, -1 / kept.log(), torch.inf)
        inside = tau.cpu().numpy().clip(HORIZONS[0], HORIZONS[-1])
        counts = np.histogram(inside, HORIZONS)[0].tolist()
        found.append(TimeConstants(group, gate, turned, kept, tau, counts))
    return found


def _some(x: Tensor, state: State, most: int) -> tuple[Tensor, State]:
    """Take at most so many rows, evenly spaced."""
    pick = torch.linspace(0, len(x) - 1, min(most, len(x)), device=x.device).long()
    return x[pick], tuple(s[pick] for s in state)


def _kept(passage: Passage, group: Sequence[int], zoned: Sequence[float], seed: int) -> Tensor:
    """Return the share of a unit's states kept by a step and then by zoneout, `(size,)`: of the
    mean of its matrix over steps the modulus of the largest eigenvalue."""
    x, state = _some(*passage.all_steps(2), _MANY)
    held = Step.seen(passage, x, state).held
    moved = _carried(passage, x, state, held, torch.Generator().manual_seed(seed))
    rows = [torch.stack([moved[i, j].mean(0) for j in group], -1) for i in group]
    z = torch.tensor(zoned, dtype=torch.double, device=x.device)[:, None]
    matrices = (1 - z) * torch.stack(rows, -2) + z * torch.eye(len(group)).to(z)
    values: Tensor = torch.linalg.eigvals(matrices)
    return values.abs().amax(-1)


def _carried(
    passage: Passage, x: Tensor, state: State, held: Sequence[Tensor], generator: Generator
) -> dict[tuple[int, int], Tensor]:
    """Return `(N, size)`, the derivative of each unit's new state i by its old state j, the rest
    held."""
    own = chain(passage.cell.named_parameters(), passage.cell.named_buffers())
    weights = {**dict(own), **passage.weights}
    weights = {n: w.double() if w.is_floating_point() else w for n, w in weights.items()}
    exact = replace(passage, weights=weights)
    x, state = x.double(), tuple(s.double() for s in state)
    held = [h.double() for h in held]
    before = Step.seen(exact, x, state, held).new
    found = {}
    for j, old in enumerate(state):
        signs = torch.randint(2, old.shape, generator=generator).double().to(x.device) * 2 - 1
        small = 1e-6 * max(1.0, old.abs().mean().item())
        moved = (*state[:j], old + small * signs, *state[j + 1 :])
        after = Step.seen(exact, x, moved, held).new
        for i, (a, b) in enumerate(zip(after, before, strict=True)):
            if a.shape == old.shape:
                share = (a - b) * signs / small
                found[i, j] = share.where(share.abs() > 1e-8, 0.0)
    return found


def _turning(moved: Mapping[tuple[int, int], Tensor], states: int) -> list[tuple[int, ...]]:
    """Group the states that lead to each other, both ways."""
    reach = torch.eye(states, dtype=torch.bool)
    for (i, j), share in moved.items():
        reach[i, j] |= bool(share.any())
    for _ in range(states):
        reach = (reach.double() @ reach.double()) > 0
    return sorted({tuple(row.nonzero().flatten().tolist()) for row in reach & reach.T})


def _equal(share: Tensor, gates: Sequence[tuple[str, Tensor]]) -> tuple[str | None, bool]:
    """Return the gate that a share kept equals, and whether it is one minus that gate."""
    for name, gate in gates:
        if gate.shape[-1] in (1, share.shape[-1]):
            for turned, value in ((False, gate), (True, 1 - gate)):
                if torch.allclose(share, value.expand_as(share), rtol=0, atol=1e-6):
                    return name, turned
    return None, False
