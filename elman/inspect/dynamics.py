"""A layer is a dynamical system: its steps shrink or grow small differences in the state.

Gradients go back through the same Jacobians that carry differences forward, so what is stretched
there explodes here and what is squeezed vanishes. One step is seen in `spectrum`, a whole
trajectory in `lyapunov`, where the state comes to rest in `fixed_points`, and the recurrent
weights alone, whatever the input, in `orthogonality`.

The state is all states of the layer side by side, n numbers. Everything is computed in float64 by
the layer's own step, from copies of its weights, and its derivatives are autograd's. Zoneout is
part of the step, as in evaluation: a state of which the share z is kept has z I + (1 - z) J for
its Jacobian. A reset is not: the step after one is taken from the state that it really began from,
and what lies before belongs to another sequence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from elman.cells.base import Cell
from elman.errors import InputError
from elman.inspect.passage import Passage

_EIGENVALUES = 8
"""Steps of which eigenvalues are computed: they cost much more than singular values do."""
_AT_ONCE = 2**21
"""Numbers of Jacobians worked on at a time."""
_EVALUATIONS = 200
"""Steps of a search for a fixed point: one that converges needs some ten."""
_MARGIN = 1e-6
"""How far from 1 the modulus of an eigenvalue counts as different from it."""


def jacobians(passage: Passage, samples: int = 64, seed: int = 0) -> Tensor:
    """Return ∂s_t / ∂s_{t-1} at steps of the passage drawn at random, each at most once.

    s_{t-1} is the state that step t began from; after a reset that is not the one it came after.

    Args:
        passage: what to look at.
        samples: how many steps; all of them if the passage has fewer.
        seed: of the draw.

    Returns:
        `(N, n, n)` float64, rows by the new state, columns by the old.

    Raises:
        InputError: there is no step; a state, an input or a derivative is not finite; or no
            gradient goes back through the cell's step.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("lstm", 2, 3), torch.randn(7, 4, 2))
    >>> jacobians(passage, samples=5).shape
    torch.Size([5, 6, 6])
    """
    passage = _in_float64(passage)
    x, state = _drawn(passage, samples, seed)
    n = state.shape[1]
    unit = torch.eye(n, dtype=state.dtype, device=state.device)[:, None]
    found = [
        _pulled(passage, rows, at, unit.expand(n, len(at), n)).transpose(0, 1)
        for rows, at in zip(_parts(x, n), _parts(state, n), strict=True)
    ]
    return _finite(torch.cat(found), passage, "derivatives")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The effect of single steps on differences in the state.

    The two are not the same: a step may stretch some direction (a singular value above 1) though
    the same step over and over would shrink everything (a spectral radius below 1).

    Attributes:
        singular: `(N, n)`, singular values of N Jacobians, the largest first: by how much a step
            stretches each of n directions.
        eigenvalues: `(K, n)` complex, of the first K of them.
    """

    singular: Tensor
    eigenvalues: Tensor

    @property
    def radii(self) -> Tensor:
        """`(K,)`, spectral radii: the largest modulus of each Jacobian's eigenvalues."""
        return self.eigenvalues.abs().amax(1)

    @property
    def radius(self) -> float:
        """The median spectral radius."""
        return float(self.radii.quantile(0.5))

    @property
    def largest(self) -> float:
        """The largest singular value of all."""
        return float(self.singular.max())

    @property
    def shrinking(self) -> float:
        """The share of singular values below 1/2: directions of which half is lost in a step."""
        return float((self.singular < 0.5).double().mean())

    @property
    def growing(self) -> float:
        """The share of singular values above 3/2."""
        return float((self.singular > 1.5).double().mean())

    def quantiles(self, *shares: float) -> Tensor:
        """`(len(shares), n)`: quantiles over the samples of the largest singular value, the second
        largest and so on."""
        at = torch.tensor(shares, dtype=self.singular.dtype)
        return self.singular.quantile(at, 0)


def spectrum(passage: Passage, samples: int = 64, seed: int = 0) -> Spectrum:
    """Measure singular values and eigenvalues of the Jacobians of single steps.

    Backpropagation multiplies by these Jacobians: a gradient cannot explode where all their
    singular values are at most 1, and must vanish where all are below 1 by a margin (Pascanu,
    Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks"). All near 1,
    dynamical isometry, is what orthogonal weights aim at (Saxe, McClelland & Ganguli 2014).

    Args:
        passage: what to look at.
        samples: at how many of its steps, drawn at random; eigenvalues at 8 of them.
        seed: of the draw.

    Raises:
        InputError: as `jacobians`.

    >>> import elman.cells
    >>> cell = elman.cells.make("irnn", 2, 3, scale=0.5)
    >>> found = spectrum(Passage.of(cell, torch.ones(7, 4, 2)))
    >>> found.largest <= 0.5 and found.radius <= 0.5
    True
    """
    found = jacobians(passage, samples, seed).cpu()
    return Spectrum(torch.linalg.svdvals(found), torch.linalg.eigvals(found[:_EIGENVALUES]))


@dataclass(frozen=True, eq=False)
class Lyapunov:
    """The rates at which small differences in the state grow or shrink along trajectories.

    Attributes:
        exponents: `(k,)` in nats a step, the largest first: over t steps a difference in the i-th
            direction grows by exp(t · exponent), or shrinks where it is negative.
        errors: `(k,)`, their standard errors over the sequences; NaN of a single one.
        rows: `(R, k)`, of each sequence: a row, or what of one lies between resets.
        steps: `(R,)`, how many steps of each were counted.
    """

    exponents: Tensor
    errors: Tensor
    rows: Tensor
    steps: Tensor

    @property
    def largest(self) -> float:
        """The largest exponent: above 0 gradients explode, and a bounded state is chaotic."""
        return float(self.exponents[0])


def lyapunov(passage: Passage, count: int = 8, seed: int = 0, rows: int = 16) -> Lyapunov:
    """Measure the largest Lyapunov exponents of a layer on its own inputs and states.

    Orthonormal directions go through the Jacobian of every step and are made orthonormal anew by
    QR; the mean logarithms of R's diagonal are the exponents (Benettin et al. 1980; for recurrent
    networks Vogt et al. 2022, "On Lyapunov exponents for RNNs", and Engelken, Wolf & Abbott 2023,
    "Lyapunov spectra of chaotic recurrent neural networks"). Here they are gradients and go from
    the last step to the first, through the transposed Jacobians, whose product has the same
    singular values. Two states that differ read the same input: the exponents are conditional.

    A sequence ends where its row is reset, and the product with it: the next is one of its own.
    The last quarter of each is not counted, for the directions begin at random and need steps to
    turn to where they are stretched the most. The result is an average over the rest, and exact
    in the limit of long sequences only. A direction that a step wipes out counts as shrunk to the
    smallest number there is, by 708 nats, or to what rounding leaves of it, by 36 or more.

    The cost is that of about `count` steps for each step counted; whole Jacobians are not formed.

    Args:
        passage: what to look at.
        count: how many exponents; all n if that is fewer.
        seed: of the first directions, and of which sequences are taken.
        rows: how many sequences at most.

    Raises:
        InputError: as `jacobians`.

    >>> import elman.cells
    >>> cell = elman.cells.make("lru", 1, 2, r_min=0.5, r_max=0.5)
    >>> lyapunov(Passage.of(cell, torch.randn(40, 3, 1))).exponents.exp()
    tensor([0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64)
    """
    for name, asked in (("count", count), ("rows", rows)):
        if asked < 1:
            raise InputError(f"{name}={asked} must be at least 1.")
    passage = _in_float64(passage)
    generator = torch.Generator().manual_seed(seed)
    row, first, lengths = _sequences(passage)
    drawn = torch.randperm(len(row), generator=generator)[:rows].sort().values.to(row.device)
    row, first, lengths = row[drawn], first[drawn], lengths[drawn]
    before = torch.cat(passage.before, -1)
    counts = lengths - lengths // 4

    n = before.shape[-1]
    shape = (len(row), n, min(count, n))
    directions = torch.randn(shape, generator=generator, dtype=torch.float64).to(before.device)
    directions = torch.linalg.qr(directions).Q
    stretched = directions.new_zeros(len(row), shape[2])
    smallest = torch.finfo(torch.float64).tiny
    for t in reversed(range(int(lengths.max()))):
        on = (lengths > t).nonzero()[:, 0]
        at = first[on] + t, row[on]
        pulled = _pulled(passage, passage.x[at], before[at], directions[on].permute(2, 0, 1))
        directions[on], triangle = torch.linalg.qr(pulled.permute(1, 2, 0))
        grown = triangle.diagonal(dim1=1, dim2=2).abs().clamp_min(smallest).log()
        stretched[on] += grown * (t < counts[on])[:, None]
    _finite(stretched, passage, "derivatives")

    counted = counts[:, None].double()
    each = stretched / counted
    whole = stretched.sum(0) / counted.sum()
    # Sequences of different length: the standard error of a ratio of two sums.
    squares = ((each - whole) * counted / counted.mean()).square().sum(0)
    r = len(row)
    errors = (squares / (r * (r - 1))).sqrt() if r > 1 else torch.full_like(whole, math.nan)
    # On the way down already, but for rounding and averaging.
    order = whole.argsort(descending=True)
    return Lyapunov(
        whole[order].cpu(),
        errors[order].cpu(),
        each[:, order].cpu(),
        counts.cpu(),
    )


def _sequences(passage: Passage) -> tuple[Tensor, Tensor, Tensor]:
    """Return row, first step and number of steps of each sequence, `(S,)` each."""
    begins = torch.zeros_like(passage.valid)
    begins[0] = True
    if passage.anew is not None:
        begins |= passage.anew
    row, first = (begins & passage.valid).t().nonzero().unbind(1)
    ends = torch.cat([first[1:], first[:1]])
    last_of_row = torch.cat([row[1:] != row[:-1], torch.ones_like(row[:1], dtype=torch.bool)])
    return row, first, torch.where(last_of_row, passage.lengths[row], ends) - first


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A state that a step leaves where it is, or nearly so.

    Attributes:
        state: `(n,)`, all states side by side.
        speed: q = |F(s, x) - s|² / 2, zero at a fixed point up to rounding.
        slow: whether this is no fixed point, only a place where the state hardly moves: a minimum
            of q above zero.
        eigenvalues: `(n,)` complex, of the step's Jacobian there, the largest modulus first.
    """

    state: Tensor
    speed: float
    slow: bool
    eigenvalues: Tensor

    @property
    def unstable(self) -> int:
        """The number of directions in which the state runs away: eigenvalues above 1 in modulus."""
        return int((self.eigenvalues.abs() > 1 + _MARGIN).sum())

    @property
    def stable(self) -> bool:
        """True if the state returns from any small push: all eigenvalues below 1 in modulus."""
        return bool((self.eigenvalues.abs() < 1 - _MARGIN).all())


def fixed_points(
    passage: Passage, tries: int = 64, seed: int = 0, input: Tensor | None = None
) -> list[FixedPoint]:
    """Find where the state comes to rest, or nearly so, while the input stays the same.

    Minima of q(s) = |F(s, x) - s|² / 2 by Levenberg and Marquardt's method, from states that the
    layer was in (Sussillo & Barak 2013, "Opening the black box", there in continuous time). A
    minimum that is no zero is kept if the state moves there by less than a hundredth of the median
    distance it goes in a step of the passage. Minima nearer to each other than 1e-4 (1 + |s|) are
    one.

    Not all fixed points need be found, only those that some search ends in. A search solves n
    equations for n unknowns, some tens of times, and is given up after 200, as where it creeps
    along a valley: meant for n up to one or two hundred.

    Args:
        passage: what to look at.
        tries: how many states to search from, drawn at random; all if the passage has fewer.
        seed: of the draw.
        input: `(input_size,)`; the passage's mean input if None.

    Returns:
        Fixed points before slow ones, the fewer unstable directions the earlier.

    Raises:
        InputError: as `jacobians`, or the input does not fit.

    >>> import elman.cells
    >>> cell = elman.cells.make("elman", 1, 1)
    >>> with torch.no_grad():
    ...     _ = cell.U.weight.fill_(2.0)
    >>> found = fixed_points(Passage.of(cell, torch.randn(20, 9, 1)), input=torch.zeros(1))
    >>> sorted((round(float(point.state), 3), point.stable) for point in found)
    [(-0.958, True), (0.0, False), (0.958, True)]
    """
    passage = _in_float64(passage)
    _, starts = _drawn(passage, tries, seed)
    x = passage.x[passage.valid].mean(0) if input is None else input.to(passage.x)
    if x.shape != passage.x.shape[2:]:
        raise InputError(
            f"input must be ({passage.x.shape[2]},), the size of the layer's input, "
            f"got {tuple(x.shape)}."
        )
    n = starts.shape[1]
    unit = torch.eye(n, dtype=x.dtype, device=x.device)

    def moved(s: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(s).to(x)[None]
        return (_whole_step(passage, x[None], rows) - rows)[0].cpu().numpy()

    def slope(s: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(s).to(x)[None]
        return (_pulled(passage, x[None], rows, unit[:, None])[:, 0] - unit).cpu().numpy()

    usual = torch.cat(passage.states, -1) - torch.cat(passage.before, -1)
    limit = 0.01 * float(usual[passage.valid].norm(dim=-1).quantile(0.5))
    ends = [
        least_squares(
            moved, s, slope, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=_EVALUATIONS
        )
        for s in starts.cpu().numpy()
    ]
    found: list[FixedPoint] = []
    for end in sorted(ends, key=lambda end: float(end.cost)):
        state, size = torch.from_numpy(end.x), 1 + float(np.linalg.norm(end.x))
        slow = math.sqrt(2 * end.cost) > 1e-9 * size
        if slow and not math.sqrt(2 * end.cost) < limit:
            continue
        if any(float((state - other.state).norm()) < 1e-4 * size for other in found):
            continue
        values = torch.linalg.eigvals(torch.from_numpy(slope(end.x)) + unit.cpu())
        order = values.abs().argsort(descending=True)
        found.append(FixedPoint(state, float(end.cost), slow, values[order]))
    return sorted(found, key=lambda point: (point.slow, point.unstable))


@dataclass(frozen=True)
class Block:
    """One square block of a recurrent matrix, H × H: what one gate, say, has of it.

    Attributes:
        distance: from orthogonal, |UᵀU - I| / √H in the Frobenius norm; 1 of a block of zeros.
        radius: spectral radius, the largest modulus of an eigenvalue.
        norm: the largest singular value.
    """

    distance: float
    radius: float
    norm: float


def orthogonality(layer: Cell | Passage) -> dict[str, Block]:
    """Measure how far the recurrent weights are from orthogonal, block by block.

    An orthogonal matrix keeps every difference in the state as long as it was, over any number of
    steps; what shrinks it is then left to gates and nonlinearities. The distance is that which
    Vorontsov et al. 2017, "On orthogonality and learning recurrent networks with long term
    dependencies", penalise, by the square root of the size, so that sizes compare.

    Args:
        layer: a cell, or a passage for its weights as they were then.

    Returns:
        A block a gate, by the parameter's name and its place from the top: `"U.weight[2]"` holds
        rows 2H to 3H. A vector is taken for the diagonal that it stands for. Parameters that are
        not made of square blocks are left out, and a cell without recurrent weights has none.

    >>> import elman.cells
    >>> found = orthogonality(elman.cells.make("gru", 2, 8))
    >>> list(found), found["U.weight[0]"].distance < 1e-6
    (['U.weight[0]', 'U.weight[1]', 'U.weight[2]'], True)
    """
    cell, lent = (layer.cell, layer.weights) if isinstance(layer, Passage) else (layer, {})
    found: dict[str, Block] = {}
    for name in cell.recurrent_weights():
        weight = lent[name] if name in lent else cell.get_parameter(name)
        for k, block in enumerate(_blocks(weight.detach().double().cpu(), cell)):
            unit = torch.eye(len(block), dtype=block.dtype)
            found[f"{name}[{k}]"] = Block(
                float((block.T @ block - unit).norm() / math.sqrt(len(block))),
                float(torch.linalg.eigvals(block).abs().max()),
                float(torch.linalg.matrix_norm(block, 2)),
            )
    return found


def _blocks(weight: Tensor, cell: Cell) -> tuple[Tensor, ...]:
    if weight.dim() == 1:
        return (weight.diag(),)
    if weight.dim() != 2:
        return ()
    rows, columns = weight.shape
    # A gate has as many rows as the cell has units, which a projected state has fewer of.
    fits = rows == columns or (columns == getattr(cell, "hidden_size", 0) and rows % columns == 0)
    return torch.split(weight, columns) if fits else ()


def _in_float64(passage: Passage) -> Passage:
    """Return a copy of the layer in float64, weights and all.

    Raises:
        InputError: nothing can be said of its steps.
    """
    cell, name = passage.cell, passage.name
    if not bool(passage.valid.any()):
        raise InputError(f"{name}: no step was taken.", fix="Give a sequence of one step or more.")
    if any(s.is_complex() for s in passage.states):
        raise InputError(
            f"{name}: the state of {type(cell).__name__} is complex.",
            fix="Keep the real and the imaginary part as two states, as elman.cells.LRU does.",
        )
    own = chain(
        cell.named_parameters(remove_duplicate=False), cell.named_buffers(remove_duplicate=False)
    )
    double = replace(
        passage,
        x=_copied(passage.x),
        start=tuple(map(_copied, passage.start)),
        states=tuple(map(_copied, passage.states)),
        fresh=tuple(map(_copied, passage.fresh)),
        weights={
            name: _copied(tensor) for name, tensor in {**dict(own), **passage.weights}.items()
        },
    )
    x, state = double.all_steps()
    for what, rows in (("inputs", x), *(("states", s) for s in state)):
        _finite(rows, passage, what)
    at = torch.cat(state, -1)[:1]
    try:
        _pulled(double, x[:1], at, at[None])
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{name}: no gradient goes back through a step of {type(cell).__name__}: "
            f"{str(error).splitlines()[0]}",
            fix="Write the new state in torch operations on the old one, with nothing detached.",
        ) from error
    return double


def _copied(tensor: Tensor) -> Tensor:
    """Copy a tensor, in float64 if it is real: autograd refuses tensors of inference mode."""
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(dtype, copy=True)


def _drawn(passage: Passage, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw steps at random, and return their inputs and whole states."""
    if samples < 1:
        raise InputError(f"{samples} steps are too few to look at.", fix="Ask for 1 or more.")
    x, state = passage.all_steps()
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(x), generator=generator)[:samples].to(x.device)
    return x[chosen], torch.cat(state, -1)[chosen]


def _whole_step(passage: Passage, x: Tensor, state: Tensor) -> Tensor:
    """Take one step from inputs `(N, input_size)` and whole states `(N, n)` to whole states."""
    _, new = passage.step(x, torch.split(state, list(passage.cell.state_sizes), -1))
    return torch.cat(new, -1)


def _pulled(passage: Passage, x: Tensor, state: Tensor, gradients: Tensor) -> Tensor:
    """Take gradients `(K, N, n)` by the new states back to the old states `(N, n)`."""
    old = state.clone().requires_grad_()
    with torch.enable_grad():
        new = _whole_step(passage, x, old)
    return torch.autograd.grad(new, old, gradients, is_grads_batched=True)[0]


def _parts(rows: Tensor, n: int) -> tuple[Tensor, ...]:
    return torch.split(rows, max(1, _AT_ONCE // n**2))


def _finite(found: Tensor, passage: Passage, what: str) -> Tensor:
    if not bool(found.isfinite().all()):
        raise InputError(
            f"{passage.name}: some {what} are not finite.",
            fix="Look for the step where the model diverged first.",
        )
    return found
