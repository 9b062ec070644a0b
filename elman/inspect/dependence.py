"""Dependence of the data on its past: a memory horizon has to be compared with its reach.

A model that remembers ten steps is ill only if the eleventh matters. Here that is measured on the
data alone, each lag against a floor that chance seldom passes: numbers by autocorrelation, symbols
by mutual information, labelled sequences by what an input tells about the target. Only pairs are
looked at: what needs two inputs at once, as parity does, shows at no lag.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from elman.errors import InputError
from elman.inspect.passage import in_own_time
from elman.nn.masking import Lengths, blank, valid_steps

LEVEL = 0.01
"""How often data without any memory has a reach above 0."""
_SHUFFLES = 99
"""The highest value of all is passed by chance once in a hundred."""
_DENSE = 64
"""Up to here every lag is looked at, beyond it only lags so far apart: """
_APART = 1.05
_PER_CELL = 5
_CLASSES = 32
_FEWEST_ROWS = 8
_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Dependence:
    """Dependence on the past, lag by lag.

    Attributes:
        lags: `(L,)`, in steps, ascending.
        value: `(L,)`, or `(L, D)` where each feature has its own.
        floor: of the same shape; what chance passes at any lag once in a hundred data sets.
        what: the measure and its unit.
    """

    lags: Tensor
    value: Tensor
    floor: Tensor
    what: str


def reach(dependence: Dependence, least: float = 0.0) -> int:
    """Return the largest lag at which the dependence, in size, is above its floor, or 0.

    Among several features it is the one that reaches furthest. Between lags that were not looked
    at, and beyond the last one, nothing is known: a reach that is the last lag is a lower bound.

    Args:
        dependence: what was measured.
        least: dependence below this counts as none, however certain: a large data set has a
            reach that no model would gain from.

    >>> x = torch.zeros(400); x[::7] = 1.0
    >>> reach(autocorrelation(x, 50))
    49
    >>> reach(autocorrelation(torch.randn(400, generator=torch.Generator().manual_seed(0)), 50))
    0
    """
    size = dependence.value.abs()
    above = (size > dependence.floor) & (size >= least)
    hit = dependence.lags[above.reshape(len(above), -1).any(1)]
    return int(hit[-1]) if len(hit) else 0


def autocorrelation(series: Tensor, max_lag: int, seed: int = 0) -> Dependence:
    """Measure the autocorrelation of numbers at the lags 1 to `max_lag`.

    r_k = Σ_t (x_t − x̄)(x_{t+k} − x̄) / Σ_t (x_t − x̄)², as statsmodels' `acf` has it, by fast
    Fourier transform.

    The floor is the largest |r| that any lag and any feature has in 99 shuffles of the series,
    times √(1 + 2 Σ_{j<k} r_j²): by so much the error of r_k grows if the lags before k are
    correlated and none from k on is (Bartlett 1946, "On the theoretical specification and sampling
    properties of autocorrelated time series"). So a season reaches only as far as a series is long
    enough to show that it keeps time. A trend correlates at every lag: take it off first.

    Args:
        series: `(T,)` or `(T, D)`, each feature for itself.
        max_lag: in steps, below T.
        seed: of the shuffles.

    Raises:
        InputError: the series is too short, or not finite, or the lag is below 1.

    >>> autocorrelation(torch.tensor([1.0, -1.0] * 50), 3).value
    tensor([-0.9900,  0.9800, -0.9700], dtype=torch.float64)
    """
    if series.dim() not in (1, 2):
        raise InputError(f"A series must be (time,) or (time, features), got {series.dim()} axes.")
    x = series.detach().cpu().double().reshape(len(series), -1)
    _check_lag(max_lag, len(x))
    if not bool(x.isfinite().all()):
        raise InputError("The series has values that are not finite.", fix="Fill the gaps first.")
    value = _correlations(x, max_lag)
    generator = Generator().manual_seed(seed)
    by_chance = max(
        float(_correlations(x[torch.randperm(len(x), generator=generator)], max_lag).abs().max())
        for _ in range(_SHUFFLES)
    )
    before = value.square().cumsum(0) - value.square()
    floor = by_chance * (1 + 2 * before).sqrt()
    shape = (max_lag, *series.shape[1:])
    lags = torch.arange(1, max_lag + 1)
    return Dependence(lags, value.view(shape), floor.view(shape), "autocorrelation")


def _correlations(x: Tensor, max_lag: int) -> Tensor:
    """Correlate `(T, D)` with its past: `(max_lag, D)`; a constant feature has 0."""
    x = x - x.mean(0)
    spectrum = torch.fft.rfft(x, 2 ** math.ceil(math.log2(len(x) + max_lag)), dim=0)
    covariance: Tensor = torch.fft.irfft(spectrum.abs().square(), dim=0)[: max_lag + 1]
    found: Tensor = covariance[1:] / covariance[0]
    return found.masked_fill(covariance[0] <= 1e-24 * len(x), 0.0)


def mutual_information(
    tokens: Tensor | str | Sequence[Hashable],
    max_lag: int = 1000,
    *,
    symbols: int = 64,
    seed: int = 0,
) -> Dependence:
    """Measure how much a symbol says of the one k steps later, in bits.

    I(x_t; x_{t−k}) = H(x_t) + H(x_{t−k}) − H(x_t, x_{t−k}) (Li 1990, "Mutual information functions
    versus correlation functions"; that it falls exponentially for every Markov chain and as a
    power in texts: Lin & Tegmark 2017, "Critical behavior in physics and probabilistic formal
    languages"), each entropy from counts with the correction of Miller 1955, "Note on the bias of
    information estimates". The rarest symbols count as one, so that no more than `symbols` remain
    and at least 5 pairs would fall into a cell of equally frequent ones; that can only lower the
    information.

    Lags above 64 lie 5 % apart. The floor: √T blocks of the sequence, √T steps each, are laid
    beside blocks that begin anywhere, which keeps the sequence as autocorrelated as it is. To 99
    such pairings a gamma distribution is fitted (Goebel, Dawy, Hagenauer & Mueller 2005, "An
    approximation to the distribution of finite sample size mutual information estimates"), of
    which 1 % divided by the number of lags lies above.

    Args:
        tokens: integers `(T,)`, a text, or anything that can be told apart.
        max_lag: in steps, below T / 4.
        symbols: how many to keep apart.
        seed: of the pairings.

    Raises:
        InputError: there are too few tokens, or they are not in one sequence.

    >>> found = mutual_information("abcd" * 500, max_lag=3)
    >>> found.value.round(decimals=2).tolist(), reach(found)
    ([2.0, 2.0, 2.0], 3)
    """
    codes = _codes(tokens)
    _check_lag(max_lag, len(codes) // 4)
    codes, n = _merged(codes, min(symbols, max(2, math.isqrt(len(codes) // _PER_CELL))))
    lags = _lags(1, max_lag)
    found = [_information(codes[k:], codes[:-k], n) for k in lags.tolist()]
    value = torch.tensor(found, dtype=torch.float64).sum(1)
    generator = Generator().manual_seed(seed)
    paired = [_information(*_other_pairs(codes, generator), n) for _ in range(_SHUFFLES)]
    plain, correction = np.array(paired).T
    by_chance = _gamma_quantile(plain, 1 - LEVEL / len(lags)) + correction.mean()
    # By chance there is as much more as there are fewer pairs.
    floor = by_chance * math.isqrt(len(codes)) ** 2 / (len(codes) - lags.double())
    return Dependence(lags, value, floor, "mutual information, bits")


def _information(now: Tensor, then: Tensor, n: int) -> tuple[float, float]:
    """Return information from counts, and its correction, in bits."""
    pairs = torch.bincount(now * n + then, minlength=n * n).view(n, n).double()
    parts = [pairs.sum(1), pairs.sum(0), pairs.flatten()]
    a, b, both = (float(-torch.xlogy(p, p / len(now)).sum()) / len(now) for p in parts)
    cells_a, cells_b, cells = (int((p > 0).sum()) for p in parts)
    correction = (cells_a + cells_b - cells - 1) / (2 * len(now))
    return (a + b - both) / math.log(2), correction / math.log(2)


def _other_pairs(codes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pair each of √T blocks of √T steps with a block that begins anywhere."""
    size = math.isqrt(len(codes))
    blocks = codes[: size * size]
    begin = torch.randint(len(codes) - size + 1, (size, 1), generator=generator)
    return blocks, codes[(begin + torch.arange(size)).flatten()]


def _gamma_quantile(sample: np.ndarray, share: float) -> float:
    """Return a quantile of the gamma distribution with a sample's mean and variance."""
    from scipy.special import gammaincinv

    mean, spread = float(sample.mean()), float(sample.var(ddof=1))
    if spread <= (1e-9 * mean) ** 2 or mean <= 0:
        return max(mean, 0.0)
    return float(gammaincinv(mean**2 / spread, share)) * spread / mean


def input_target(
    x: Tensor,
    y: Tensor,
    max_lag: int | None = None,
    lengths: Lengths | None = None,
    *,
    seed: int = 0,
) -> Dependence:
    """Measure how much the input k steps before a target explains of its variance.

    The adjusted R² (Ezekiel 1930, "Methods of correlation analysis") of least squares of the
    target on the input at that one lag: on its features and, where there are ten rows for each,
    on their squares and products too, so that a marker beside a value is understood; on the
    indicators of symbols. A target of classes counts by their indicators, which for symbols makes
    it Goodman & Kruskal's τ (1954, "Measures of association for cross classifications"). At every
    step the mean over rows is taken off first: what the clock alone tells is no memory.

    The floor: rows get each other's targets 99 times. The value found, in standard deviations of
    its lag, is compared with the largest of any shuffle at any lag.

    Args:
        x: `(T, B, D)` numbers, or `(T, B)` integer symbols, of which the 32 most frequent count.
        y: `(B,)`, one target a row, after its last step; or `(T, B)`, one a step. Integers and
            bools are classes, of which the 32 most frequent count; floats are numbers.
        max_lag: 0 is the target's own step; as far as there are rows enough if None. With a target
            a step lags above 64 lie 5 % apart; with one a row a single step may decide it, and
            none is left out.
        lengths: `(B,)`, of rows with one target.
        seed: of the shuffles.

    Raises:
        InputError: shapes do not agree, there are fewer than 8 rows or fewer than features, a
            value is not finite, or the target is always the same.

    >>> x = torch.randn(50, 200, 1, generator=torch.Generator().manual_seed(0))
    >>> found = input_target(x, x[19, :, 0])
    >>> found.lags[found.value.argmax()].item(), reach(found)
    (30, 30)
    """
    inputs, targets = _inputs(x, lengths), _targets(x, y, lengths)
    steps, batch = inputs.shape[:2]
    if max_lag is None:
        max_lag = steps - 1
    if not 0 <= max_lag < steps:
        raise InputError(f"max_lag={max_lag} must be from 0 to {steps - 1}, below the steps.")
    generator = Generator().manual_seed(seed)
    orders = [torch.arange(batch)] + [
        torch.randperm(batch, generator=generator) for _ in range(_SHUFFLES)
    ]
    known = torch.full((batch,), steps) if lengths is None else torch.as_tensor(lengths).cpu()
    if y.dim() == 1:
        inputs = in_own_time(inputs, known)
    lags, found = [], []
    every = range(max_lag + 1) if y.dim() == 1 else _lags(0, max_lag).tolist()
    for k in every:
        if y.dim() == 1:
            at, of, rows = inputs[k : k + 1], targets, known > k
        else:
            at, of, rows = inputs[: steps - k], targets[k:], known > 0
        shares = _explained(at[:, rows], of, torch.stack(orders)[:, rows])
        if shares is not None:
            lags.append(k)
            found.append(shares)
    if not found:
        raise InputError(
            f"{batch} rows are too few for {inputs.shape[2]} features and the target's changes.",
            fix="Give more rows.",
        )
    shares = torch.stack(found)
    spread = shares[:, 1:].std(1)
    floor = spread * (shares[:, 1:] / spread[:, None]).max()
    what = "share of the target's variance explained"
    return Dependence(torch.tensor(lags), shares[:, 0], floor, what)


def _explained(x: Tensor, y: Tensor, orders: Tensor) -> Tensor | None:
    """Return the adjusted R² of `(t, b, E)` targets, in each order of the rows, by `(t, b, P)`
    inputs.

    None where there are too few rows, or the input is always the same.
    """
    x = x - x.mean(1, keepdim=True)
    flat = x.flatten(0, 1)
    size, axes = torch.linalg.eigh(flat.T @ flat)
    kept = size > 1e-9 * size[-1:].clamp(min=1e-12)
    basis = flat @ (axes[:, kept] / size[kept].sqrt())
    freedom, used = len(x) * (x.shape[1] - 1), int(kept.sum())
    if freedom <= used or x.shape[1] < _FEWEST_ROWS:
        return None
    shares = []
    for some in torch.split(orders, max(1, _AT_ONCE // max(1, y.numel()))):
        target = y[:, some] - y[:, some].mean(2, keepdim=True)
        rows = target.transpose(1, 2).flatten(0, 1)
        along = (basis.T @ rows.flatten(1)).view(used, *rows.shape[1:])
        shares.append(along.square().sum((0, 2)) / rows.square().sum((0, 2)))
    share = torch.cat(shares)
    if used == 0 or not bool(share.isfinite().all()):
        return None
    return 1 - (1 - share) * freedom / (freedom - used)


def _inputs(x: Tensor, lengths: Lengths | None) -> Tensor:
    """Return `(T, B, P)`: indicators, or standard numbers, with products if rows allow."""
    if x.dim() == 2 and not x.is_floating_point():
        return _indicators(x)
    if x.dim() != 3:
        raise InputError(
            f"x must be numbers (time, batch, features) or integers (time, batch), got "
            f"{tuple(x.shape)} of {x.dtype}."
        )
    x = x.detach().cpu().double()
    if lengths is not None:
        x = blank(x.transpose(0, 1), valid_steps(lengths, len(x)).cpu()).transpose(0, 1)
    if not bool(x.isfinite().all()):
        raise InputError("x has values that are not finite.", fix="Fill the gaps first.")
    x = x - x.mean((0, 1))
    x = x / x.square().mean((0, 1)).sqrt().clamp(min=1e-12)
    features = x.shape[2]
    if features * (features + 3) // 2 * 10 > x.shape[1]:
        return x
    i, j = torch.triu_indices(features, features)
    return torch.cat([x, x[..., i] * x[..., j]], 2)


def _targets(x: Tensor, y: Tensor, lengths: Lengths | None) -> Tensor:
    """Return targets `(1, B, E)`, or `(T, B, E)` where every step has one."""
    if y.dim() not in (1, 2) or y.shape != x.shape[2 - y.dim() : 2]:
        steps, batch = x.shape[:2]
        raise InputError(
            f"A target {tuple(y.shape)} does not fit {steps} steps of {batch} rows.",
            fix=f"Give ({batch},), one a row, or ({steps}, {batch}), one a step.",
        )
    if y.dim() == 2 and lengths is not None:
        raise InputError(
            "Targets at every step need rows of one length.", fix="Cut them to a common length."
        )
    y = y.detach().cpu()
    if not y.is_floating_point():
        return _indicators(y.view(-1, y.shape[-1]))
    if not bool(y.isfinite().all()):
        raise InputError("The target has values that are not finite.")
    return y.double().view(-1, y.shape[-1], 1)


def _indicators(symbols: Tensor) -> Tensor:
    """Turn `(T, B)` into `(T, B, P)`, one for each of the most frequent symbols."""
    codes, n = _merged(_codes(symbols.flatten()), _CLASSES)
    return torch.nn.functional.one_hot(codes, n).double().view(*symbols.shape, n)


def _codes(tokens: Tensor | str | Sequence[Hashable]) -> Tensor:
    """Number the distinct tokens from 0: `(T,)`."""
    values: np.ndarray | pd.Series
    if isinstance(tokens, Tensor):
        if tokens.dim() != 1 or tokens.is_floating_point():
            raise InputError(
                f"Tokens must be integers (time,), got {tuple(tokens.shape)} of {tokens.dtype}.",
                fix="For numbers, take autocorrelation.",
            )
        values = tokens.detach().cpu().numpy()
    elif isinstance(tokens, str):
        values = np.frombuffer(tokens.encode("utf-32-le", "surrogatepass"), np.uint32)
    else:
        values = pd.Series(list(tokens), dtype=object)
    return torch.from_numpy(pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64))


def _merged(codes: Tensor, most: int) -> tuple[Tensor, int]:
    """Merge the rarest codes, so that there are at most so many; return how many too."""
    counts = torch.bincount(codes)
    order = counts.argsort(descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    return place.clamp(max=most - 1)[codes], min(most, len(counts))


def _lags(first: int, last: int) -> Tensor:
    """Return every lag at first, then each so many times the one before."""
    lags = list(range(first, min(last, _DENSE) + 1))
    while lags[-1] < last:
        lags.append(min(last, max(lags[-1] + 1, round(lags[-1] * _APART))))
    return torch.tensor(lags)


def _check_lag(max_lag: int, steps: int) -> None:
    if not 1 <= max_lag < steps:
        raise InputError(
            f"max_lag={max_lag} must be at least 1 and below {steps} for so few steps.",
            fix="Give a longer sequence or a smaller lag.",
        )
