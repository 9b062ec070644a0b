"""What single units and gates do: stuck gates, time constants, dead units, states that grow.

Cells are read as they are written. A step is taken on all rows of a passage at once while every
operation of it is seen: what a sigmoid gives and a product takes is a gate, and it is called what
the cell's `forward` calls it. Which gate keeps a state is not looked up but tried: with gates and
matrix products held, the state is moved a little, and what arrives is what was kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from elman.cells.base import State
from elman.errors import InputError
from elman.inspect.passage import Passage
from elman.kernels import run
from elman.training import health

aten = torch.ops.aten

CLOSED, OPEN = health.OPEN
"""Above and below which a gate is saturated."""
STILL = 1e-3
"""How much of the layer's spread a unit may move, or be, and still count as constant, or dead."""
HORIZONS = np.logspace(-1, 5, 25)
"""Edges of the histogram of time constants, in steps: four bins a decade."""

_BLOCK = 4096
"""How many rows are looked at together, so that memory does not grow with the passage."""
_MANY, _FEW = 1024, 64
"""How many tell a mean, and how many a gate."""


@dataclass
class Saturation:
    """How often a gate is stuck.

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
    """How long units keep a state through what multiplies it, matrices left aside.

    Attributes:
        states: which states of the cell; several where they turn into each other, as the real and
            imaginary part of an LRU's.
        gate: the gate that is the share kept; None if that is no gate, as in a leaky unit.
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


@dataclass
class Activity:
    """Units that do nothing.

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
    """What becomes of the state when a layer runs longer than it was trained to.

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
    """All of it for one passage.

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
    """What the units and gates of a layer do.

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


def gates(passage: Passage) -> dict[str, Tensor]:
    """Every gate at every step taken, by the name it has in the cell.

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
    x, state = _all_steps(passage)
    found: dict[str, list[Tensor]] = {}
    for first in range(0, len(x), _BLOCK):
        block = slice(first, first + _BLOCK)
        step = _Step.seen(passage, x[block], tuple(s[block] for s in state))
        for gate in step.gates:
            found.setdefault(gate.name, []).append(step.values(gate))
    return {name: torch.cat(blocks) for name, blocks in found.items()}


def saturation(gates: Mapping[str, Tensor]) -> dict[str, Saturation]:
    """Of each gate the share of steps above 0.95 and below 0.05.

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
    """How long each unit keeps its state: tau = -1 / log(mean share kept a step).

    The share kept is the derivative of a unit's new state by its old one while gates and matrix
    products are held: f in an LSTM, z in a GRU, 1 - a in a unit of leak a. It is estimated with
    random signs, one a unit (Bekas, Kokiopoulou & Saad 2007, "An estimator for the diagonal of a
    matrix"), which is exact unless a step mixes units otherwise. The gate that keeps is the one
    that it equals when gates are replaced by random numbers. For a gate that stays at its mean,
    tau is the characteristic forgetting time of Tallec & Ollivier 2018, "Can recurrent neural
    networks warp time?" (arXiv:1804.11188), who write it 1 / (1 - f), the same for f near 1.

    Args:
        passage: the layer, over one batch.
        gates: as from `gates(passage)`.
        seed: of the signs and numbers.

    Returns:
        One for each state that is kept, or for states that turn into each other; none for a cell
        that remembers through matrices alone. Where no gate keeps, the mean is over at most 1024
        steps, evenly spaced.

    Raises:
        InputError: fewer than two steps were taken.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("esn", 2, 3, leak=0.1), torch.randn(7, 4, 2))
    >>> found = time_constants(passage, gates(passage))[0]
    >>> found.gate, [round(tau, 3) for tau in found.tau.tolist()]
    (None, [9.491, 9.491, 9.491])
    """
    generator = torch.Generator().manual_seed(seed)
    x, state = _some(*_all_steps(passage), _FEW)
    step = _Step.seen(passage, x, state)
    held = list(step.held)
    for k in {gate.place for gate in step.gates}:
        held[k] = torch.rand(held[k].shape, generator=generator, dtype=torch.double).to(x.device)
    tried = _carried(passage, x, state, held, generator)
    found = []
    for group in _turning(tried, len(state)):
        moved = [tried[i, j] for i in group for j in group]
        if all(not m.any() for m in moved):
            continue
        gate, turned = None, False
        if len(group) == 1:
            gate, turned = _equal(moved[0], [(g.name, g.of(held[g.place])) for g in step.gates])
        if gate is not None:
            kept = gates[gate].double().mean(0).expand(moved[0].shape[1])
            kept = 1 - kept if turned else kept
        else:
            kept = _kept(passage, group, seed)
        tau = torch.where(kept < 1, -1 / kept.log(), torch.inf)
        inside = tau.cpu().numpy().clip(HORIZONS[0], HORIZONS[-1])
        counts = np.histogram(inside, HORIZONS)[0].tolist()
        found.append(TimeConstants(group, gate, turned, kept, tau, counts))
    return found


def activity(passage: Passage) -> Activity:
    """Units whose output is always zero, or always the same.

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
    _all_steps(passage)
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
    """The Euclidean norm of each state after each step, padding left out.

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
    """The norm of the state when the layer runs `times` as long as the passage.

    Each row goes on with other rows of the batch, drawn at random, whole: what it reads stays what
    it is used to, and only the time is new.

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
    _all_steps(passage)
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
    """Of the logarithm, by least squares, over what has one."""
    (when,) = np.nonzero(np.isfinite(norm) & (norm > 0))
    if len(when) < 2:
        return 0.0 if finite else np.inf
    return float(np.polyfit(when, np.log(norm[when]), 1)[0])


def _going_on(passage: Passage, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """`(steps, B)`, from which step and row of the passage each row reads: first its own."""
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


def _all_steps(passage: Passage) -> tuple[Tensor, State]:
    if int(passage.lengths.sum()) < 2:
        raise InputError(
            f"{passage.name or 'The passage'} took fewer than two steps, which tell nothing.",
            fix="Look at longer sequences.",
        )
    return passage.all_steps()


def _some(x: Tensor, state: State, most: int) -> tuple[Tensor, State]:
    """At most so many rows, evenly spaced."""
    pick = torch.linspace(0, len(x) - 1, min(most, len(x)), device=x.device).long()
    return x[pick], tuple(s[pick] for s in state)


def _kept(passage: Passage, group: Sequence[int], seed: int) -> Tensor:
    """`(size,)`, the share of a unit's states kept by a step: of the mean of its matrix over steps
    the modulus of the largest eigenvalue."""
    x, state = _some(*_all_steps(passage), _MANY)
    held = _Step.seen(passage, x, state).held
    moved = _carried(passage, x, state, held, torch.Generator().manual_seed(seed))
    rows = [torch.stack([moved[i, j].mean(0) for j in group], -1) for i in group]
    values: Tensor = torch.linalg.eigvals(torch.stack(rows, -2))
    return values.abs().amax(-1)


def _carried(
    passage: Passage, x: Tensor, state: State, held: Sequence[Tensor], generator: Generator
) -> dict[tuple[int, int], Tensor]:
    """`(N, size)`, derivative of each unit's new state i by its old state j, the rest held."""
    own = chain(passage.cell.named_parameters(), passage.cell.named_buffers())
    weights = {**dict(own), **passage.weights}
    weights = {n: w.double() if w.is_floating_point() else w for n, w in weights.items()}
    exact = replace(passage, weights=weights)
    x, state = x.double(), tuple(s.double() for s in state)
    held = [h.double() for h in held]
    before = _Step.seen(exact, x, state, held).new
    found = {}
    for j, old in enumerate(state):
        signs = torch.randint(2, old.shape, generator=generator).double().to(x.device) * 2 - 1
        small = 1e-6 * max(1.0, old.abs().mean().item())
        moved = (*state[:j], old + small * signs, *state[j + 1 :])
        after = _Step.seen(exact, x, moved, held).new
        for i, (a, b) in enumerate(zip(after, before, strict=True)):
            if a.shape == old.shape:
                share = (a - b) * signs / small
                found[i, j] = share.where(share.abs() > 1e-8, 0.0)
    return found


def _turning(moved: Mapping[tuple[int, int], Tensor], states: int) -> list[tuple[int, ...]]:
    """States in groups: those together that lead to each other, both ways."""
    reach = torch.eye(states, dtype=torch.bool)
    for (i, j), share in moved.items():
        reach[i, j] |= bool(share.any())
    for _ in range(states):
        reach = (reach.double() @ reach.double()) > 0
    return sorted({tuple(row.nonzero().flatten().tolist()) for row in reach & reach.T})


def _equal(share: Tensor, gates: Sequence[tuple[str, Tensor]]) -> tuple[str | None, bool]:
    """The gate that a share kept is, and whether it is one minus that."""
    for name, gate in gates:
        if gate.shape[-1] in (1, share.shape[-1]):
            for turned, value in ((False, gate), (True, 1 - gate)):
                if torch.allclose(share, value.expand_as(share), rtol=0, atol=1e-6):
                    return name, turned
    return None, False


_SIGMOIDS = (aten.sigmoid, aten.sigmoid_, aten.hardsigmoid, aten.hardsigmoid_)
_CLAMPS = (aten.clamp, aten.clamp_)
_PRODUCTS = (aten.mul, aten.mul_, aten.addcmul, aten.addcmul_, aten.lerp, aten.lerp_)
_MIXING = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.convolution)
"""Matrix products: what comes through one is no longer a unit's own."""

_FUSED = {
    nn.LSTMCell.forward.__code__: ("i", "f", "o"),
    nn.GRUCell.forward.__code__: ("r", "z"),
}
"""Cells of torch.nn, whose gates have no names in Python, in the order they are computed."""


@dataclass(eq=False)
class _Sigmoid:
    """One sigmoid of a step.

    Attributes:
        place: which of the results that can be held.
        result, argument: of it.
        frames: of Python, the innermost first; as long as they are kept, so are their variables.
        used: which columns of it products take.
    """

    place: int
    result: Tensor
    argument: Tensor
    frames: list[FrameType]
    used: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class _Gate:
    """Columns of a sigmoid's result, under a name."""

    name: str
    place: int
    first: int
    last: int

    def of(self, result: Tensor) -> Tensor:
        """Its part of that result."""
        return (result.flatten(1) if result.dim() > 2 else result)[..., self.first : self.last]


class _Step(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """One step, looked at while it is taken; or with some results held where they were.

    Attributes:
        new: the state after it.
        held: results of sigmoids and matrix products, in order.
        gates: those of the sigmoids that are gates.
    """

    new: State
    gates: list[_Gate]

    def __init__(self, rows: int, hold: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: list[Tensor] = []
        self._rows, self._hold = rows, hold
        self._sigmoids: list[_Sigmoid] = []
        self._turned: list[tuple[Tensor, _Sigmoid, int]] = []

    @classmethod
    def seen(cls, passage: Passage, x: Tensor, state: State, hold: Sequence[Tensor] = ()) -> _Step:
        """Take one, the first results held at those of `hold`."""
        step = cls(len(x), hold)
        # What a step draws at random is the same at every call.
        with torch.random.fork_rng(devices=[]), torch.no_grad(), step:
            torch.default_generator.manual_seed(0)
            output, step.new = passage.step(x, state)
        step.gates = step._named((output, *step.new))
        # Frames know those that called them, and so this step.
        step._sigmoids, step._turned = [], []
        return step

    def values(self, gate: _Gate) -> Tensor:
        """`(N, size)` of a gate; a gate that is a parameter is the same in each row."""
        part = gate.of(self.held[gate.place])
        return part.expand(self._rows, part.shape[-1])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:
            # Under inference mode operations arrive before they are taken apart.
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
        kind = func.overloadpacket
        sigmoid = kind in _SIGMOIDS or (kind in _CLAMPS and tuple(args[1:3]) == (0, 1))
        if not sigmoid and kind not in _MIXING:
            result = func(*args, **kwargs)
            self._follow(kind, args, result)
            return result
        place = len(self.held)
        if place < len(self._hold):
            result = self._hold[place].clone()
            if func._schema.is_mutable:
                result = args[0].copy_(result)
        else:
            result = func(*args, **kwargs)
        # A copy, since a step may go on to change it in place.
        self.held.append(result.clone())
        if sigmoid and result.dim() and (result.dim() == 1 or len(result) in (1, self._rows)):
            self._sigmoids.append(_Sigmoid(place, result, args[0], list(_frames())))
        return result

    def _follow(self, kind: Any, args: Sequence[Any], result: Any) -> None:
        """Notice that a gate is turned round, or multiplies."""
        tensors = [a for a in args if isinstance(a, Tensor) and a.dim()]
        if kind in _PRODUCTS and len(tensors) > 1:
            for sigmoid, columns in chain.from_iterable(map(self._parts, tensors)):
                sigmoid.used.add(columns)
        elif (kind is aten.rsub and args[1] == 1) or (kind is aten.sub and len(tensors) > 1):
            for sigmoid, (first, _) in self._parts(tensors[-1]):
                self._turned.append((result, sigmoid, first))

    def _parts(self, tensor: Tensor) -> Iterator[tuple[_Sigmoid, tuple[int, int]]]:
        """Of which sigmoid a tensor is, or is one minus, which columns."""
        wholes = [(s.result, s, 0) for s in self._sigmoids] + self._turned
        for whole, sigmoid, offset in wholes:
            columns = _columns(tensor, whole)
            if columns:
                yield sigmoid, (columns[0] + offset, columns[1] + offset)
                return

    def _named(self, results: Sequence[Tensor]) -> list[_Gate]:
        found: list[_Gate] = []
        names: list[str] = []
        fused: list[FrameType] = []
        for sigmoid in self._sigmoids:
            given = {_columns(r, sigmoid.result) for r in results}
            fused += [frame for frame in sigmoid.frames if frame.f_code in _FUSED]
            for columns in sorted(sigmoid.used - given):
                name = _local(sigmoid, columns, fused) or f"gate {len(found) + 1}"
                names.append(name)
                again = f" {names.count(name)}" if names.count(name) > 1 else ""
                found.append(_Gate(name + again, sigmoid.place, *columns))
        return found


_TORCH = os.path.dirname(torch.__file__) + os.sep


def _frames() -> Iterator[FrameType]:
    """From here out to where the step was called."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not Passage.step.__code__:
        yield frame
        frame = frame.f_back


def _local(sigmoid: _Sigmoid, columns: tuple[int, int], fused: Sequence[FrameType]) -> str | None:
    """The variable that holds columns of a sigmoid's result, or else held its argument."""
    own = [frame for frame in sigmoid.frames if not frame.f_code.co_filename.startswith(_TORCH)]
    for tensor in (sigmoid.result, sigmoid.argument):
        for frame in reversed(own):
            for name, value in frame.f_locals.items():
                several = isinstance(value, list | tuple)
                for k, one in enumerate(value if several else [value]):
                    if isinstance(one, Tensor) and _columns(one, tensor) == columns:
                        return f"{name}[{k}]" if several else name
        for frame in sigmoid.frames:
            if frame.f_code in _FUSED:
                return _FUSED[frame.f_code][fused.count(frame) - 1]
    return None


def _columns(part: Tensor, whole: Tensor) -> tuple[int, int] | None:
    """Which columns of a tensor another is, in memory; None if it is elsewhere."""
    part, whole = (t.flatten(1) if t.dim() > 2 else t for t in (part, whole))
    if not part.dim() or part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        return None
    if part.stride() != whole.stride() or part.shape[:-1] != whole.shape[:-1]:
        return None
    first = int(part.storage_offset() - whole.storage_offset())
    last = first + part.shape[-1]
    return (first, last) if 0 <= first < last <= whole.shape[-1] else None
