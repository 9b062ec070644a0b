"""Single units: dead and constant ones, states that grow, and all that gates do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import InputError
from elman.inspect.gates import Saturation, TimeConstants, gates, saturation, time_constants
from elman.inspect.passage import Passage
from elman.kernels import run

STILL = 1e-3
"""How much of the layer's spread a unit may move, or be, and still count as constant, or dead."""


@dataclass
class Activity:
    """The units that do nothing.

    Attributes:
        dead: indices of those whose output is never farther from zero than `STILL` spreads.
        constant: of those that are not dead, and whose largest and smallest output are no farther
            apart than that.
        dead_share, constant_share: of all units.
        spread: standard deviation of a typical unit: the median of those that move at all.
    """

    dead: list[int]
    constant: list[int]
    dead_share: float
    constant_share: float
    spread: float


@dataclass
class Norms:
    """Euclidean norm of each state after each step, over the rows that took it.

    Attributes:
        mean, low, high: `(states, T)`, mean, 10 % and 90 % quantile; NaN where no row took a step.
    """

    mean: Tensor
    low: Tensor
    high: Tensor


@dataclass
class Drift:
    """The growth of the state when a layer runs longer than it was trained to.

    Attributes:
        steps: T, the length it was trained on.
        norms: `(times * T,)`, Euclidean norm of all states together, mean over rows.
        growth: slope of its logarithm beyond T, per step, by least squares; above zero for good
            means growth without bound.
        ratio: norm at the end over norm at T, each a mean over T / 10 steps. About 1 if bounded,
            about `times` if it grows like a sum, infinite if it overflows.
    """

    steps: int
    norms: Tensor
    growth: float
    ratio: float


@dataclass
class Units:
    """All measurements of units for one passage.

    Attributes:
        name: the passage's.
        gates: as from `gates`.
        saturation: as from `saturation`.
        time_constants: as from `time_constants`.
        activity: as from `activity`.
        norms: as from `norms`.
        drift: as from `drift`.
    """

    name: str
    gates: dict[str, Tensor]
    saturation: dict[str, Saturation]
    time_constants: list[TimeConstants]
    activity: Activity
    norms: Norms
    drift: Drift


def units(passage: Passage, seed: int = 0) -> Units:
    """Measure the units and gates of a layer.

    Args:
        passage: the layer, over one batch.
        seed: of all that is drawn.

    Raises:
        InputError: fewer than two steps were taken.

    >>> import elman.cells
    >>> found = units(Passage.of(elman.cells.make("gru", 2, 3), torch.randn(7, 4, 2)))
    >>> list(found.gates), found.time_constants[0].gate, found.activity.dead
    (['r', 'z'], 'z', [])
    """
    seen = gates(passage)
    return Units(
        passage.name,
        seen,
        saturation(seen),
        time_constants(passage, seen, seed),
        activity(passage),
        norms(passage),
        drift(passage, seed=seed),
    )


def activity(passage: Passage) -> Activity:
    """Find units whose output is always zero, or always the same.

    A rectified unit that no input reaches any more is dead for good, since no gradient reaches it
    either (Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network acoustic
    models", section 2). A constant unit is a bias, and costs as much as one that works.

    Raises:
        InputError: fewer than two steps were taken.

    >>> import elman.cells
    >>> cell = elman.cells.make("irnn", 2, 3)
    >>> _ = cell.W.bias.data.copy_(torch.tensor([-9.0, 0.0, 0.0]))
    >>> activity(Passage.of(cell, torch.randn(7, 4, 2))).dead
    [0]
    """
    passage.all_steps(2)
    values = passage.output[passage.valid].double()
    largest, deviation = values.abs().amax(0), values.std(0, correction=0)
    rounding = 10 * torch.finfo(passage.output.dtype).eps * largest
    moving = deviation[deviation > rounding]
    # The median, for one unit that explodes does not make the others dead.
    spread = moving.median().item() if len(moving) else 0.0
    dead = largest <= STILL * spread
    constant = values.amax(0) - values.amin(0) <= STILL * spread + rounding
    constant &= ~dead
    return Activity(
        dead.nonzero().flatten().tolist(),
        constant.nonzero().flatten().tolist(),
        dead.double().mean().item(),
        constant.double().mean().item(),
        spread,
    )


def norms(passage: Passage) -> Norms:
    """Measure the Euclidean norm of each state after each step, padding left out.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("lstm", 2, 3), torch.randn(7, 4, 2))
    >>> norms(passage).mean.shape
    torch.Size([2, 7])
    """
    found = torch.stack([s.double().norm(dim=-1) for s in passage.states])
    found = found.masked_fill(~passage.valid, torch.nan)
    low, high = found.nanquantile(found.new_tensor([0.1, 0.9]), dim=-1)
    return Norms(found.nanmean(-1), low, high)


def drift(passage: Passage, times: int = 4, seed: int = 0) -> Drift:
    """Measure the norm of the state when the layer runs `times` as long as the passage.

    Each row goes on with other rows of the batch, drawn at random, whole: what it reads stays what
    it is used to, and only the time is new. Zoneout keeps what it keeps in evaluation; nothing is
    reset, for what is asked is what the state comes to if it never is.

    Args:
        passage: the layer, over one batch.
        times: how much longer, at least 2.
        seed: of the rows drawn.

    Raises:
        InputError: `times` is less than 2, or fewer than two steps were taken.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("lstm", 2, 3), torch.randn(20, 4, 2))
    >>> drift(passage).ratio < 1.5
    True
    """
    if times < 2:
        raise InputError(f"times={times} is not longer.", fix="Give 2 or more.")
    passage.all_steps(2)
    steps = int(passage.lengths.max())
    from_step, from_row = _going_on(passage, times * steps, seed)
    found, state = [], passage.start
    for first in range(0, times * steps, steps):
        span = slice(first, first + steps)
        with torch.no_grad():
            result = run(
                passage.cell,
                passage.x[from_step[span], from_row[span]],
                state,
                weights=passage.weights,
                hold=passage.zoneout or None,
                return_states=True,
            )
        assert result.states is not None
        state = result.state
        squares = torch.stack([s.double().square().sum(-1) for s in result.states])
        found.append(squares.sum(0).sqrt().mean(-1))
    norm = torch.cat(found).cpu()
    window = max(1, steps // 10)
    then, end = norm[steps - window : steps].mean().item(), norm[-window:].mean().item()
    if not np.isfinite(end):
        ratio = np.inf
    else:
        ratio = end / then if then > 0 else 1.0 if end == 0 else np.inf
    return Drift(steps, norm, _slope(norm[steps:].numpy(), bool(np.isfinite(end))), float(ratio))


def _slope(norm: np.ndarray[Any, Any], finite: bool) -> float:
    """Fit the slope of the logarithm by least squares, where there is one."""
    (when,) = np.nonzero(np.isfinite(norm) & (norm > 0))
    if len(when) < 2:
        return 0.0 if finite else np.inf
    return float(np.polyfit(when, np.log(norm[when]), 1)[0])


def _going_on(passage: Passage, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the step and row of the passage that each row reads, `(steps, B)`: first its own."""
    generator = torch.Generator().manual_seed(seed)
    lengths = passage.lengths.tolist()
    sources = [b for b, n in enumerate(lengths) if n]
    when, row = [], []
    for b in range(passage.batch):
        order = [b] if lengths[b] else []
        while sum(lengths[source] for source in order) < steps:
            drawn = torch.randperm(len(sources), generator=generator).tolist()
            order += [sources[k] for k in drawn]
        when.append(torch.cat([torch.arange(lengths[s]) for s in order])[:steps])
        row.append(torch.cat([torch.full((lengths[s],), s) for s in order])[:steps])
    device = passage.x.device
    return torch.stack(when, 1).to(device), torch.stack(row, 1).to(device)
