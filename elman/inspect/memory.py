"""The memory horizon of a layer: the lag at which an input no longer matters.

Influence is measured twice. By gradient: the norm of ∂L_t/∂x_{t-k}, what an infinitesimal change
would do, from one backward pass. By intervention: one input is changed for another that the data
holds, and the output is watched; what really happens, at the cost of a run a lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.errors import InputError
from elman.inspect.layer_call import LayerCall
from elman.inspect.passage import since
from elman.training.thresholds import REACH

_NOTHING = 1e-12
"""Share of the largest influence that is counted where there is none at all."""


@dataclass(frozen=True, eq=False)
class Horizon:
    """The lag beyond which influence stays under a threshold.

    Attributes:
        steps: the lag, a real number: between two lags the logarithm of influence is taken for
            a line.
        low, high: its 95 % interval over sequences, by bootstrap.
        threshold: the share of the largest influence that was asked for.
        beyond: whether influence was still above at the last lag looked at, so that `steps` is
            only a lower bound.
        lags: `(K,)`, those looked at that some sequence has.
        influence: `(K,)`, geometric mean over sequences as a share of its largest value: influences
            differ by factors, and a mean of their logarithms is not one sequence's alone.
        spread: `(2, K)`, the 10 % and 90 % quantiles over sequences of the same.
    """

    steps: float
    low: float
    high: float
    threshold: float
    beyond: bool
    lags: Tensor
    influence: Tensor
    spread: Tensor


def horizon(
    influence: Tensor,
    lags: Tensor | None = None,
    *,
    threshold: float = REACH,
    resamples: int = 500,
    seed: int = 0,
) -> Horizon:
    """Find the horizon of influences that were measured on several sequences.

    Args:
        influence: `(K, B)`, not negative; NaN where a sequence has no such lag.
        lags: `(K,)` ascending; 0 to K - 1 if None.
        threshold: a share of the largest influence, in (0, 1).
        resamples: bootstrap samples of the sequences behind the interval.
        seed: of those.

    Raises:
        InputError: nothing was measured, nothing has any influence, or one is not finite.

    >>> curve = 0.9 ** torch.arange(100.0)[:, None].expand(100, 4)
    >>> round(horizon(curve).steps, 2), round(math.log(0.01) / math.log(0.9), 2)
    (43.71, 43.71)
    """
    influence = influence.detach().double().cpu()
    if influence.dim() != 2 or bool(influence.isnan().all()):
        raise InputError("There is no influence to measure a horizon by.")
    seen = influence.isnan().logical_not().any(1)
    lags = (torch.arange(len(influence)) if lags is None else lags)[seen]
    influence = influence[seen]
    top = influence.nan_to_num(0.0, posinf=math.inf).amax()
    if not top > 0 or not bool(torch.isfinite(top)):
        raise InputError("No input has any influence on the output, or one that is not finite.")
    logs = (influence / top).clamp(min=_NOTHING).log()
    generator = torch.Generator().manual_seed(seed)
    batch = influence.shape[1]
    draws = torch.randint(batch, (resamples, batch), generator=generator)
    # Sums over drawn rows, for all draws at once: (K, B) @ (B, resamples).
    times = torch.zeros(batch, resamples, dtype=torch.float64)
    times.scatter_add_(0, draws.t(), torch.ones_like(draws.t(), dtype=torch.float64))
    known = logs.isnan().logical_not()
    resampled = torch.where(known, logs, 0.0) @ times / (known.double() @ times)
    curve = logs.nanmean(1).exp()
    # The curve of all sequences first, beside those of the drawn ones.
    crossings, never = _crossings(torch.cat([curve[:, None], resampled.exp()], 1), lags, threshold)
    steps, beyond = float(crossings[0]), bool(never[0])
    low, high = steps, steps
    if resamples:
        low, high = (float(crossings[1:].quantile(q)) for q in (0.025, 0.975))
    peak = curve.nan_to_num(0.0).amax()
    quantiles = torch.tensor([0.1, 0.9], dtype=torch.float64)
    spread = torch.nanquantile(influence / top, quantiles, dim=1) / peak
    return Horizon(
        steps, min(low, steps), max(high, steps), threshold, beyond, lags, curve / peak, spread
    )


def _crossings(curves: Tensor, lags: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return for each of `(K, N)` curves the last lag above a share of its peak, `(N,)`, and
    whether it never fell under it."""
    curves = curves.nan_to_num(0.0)
    level = threshold * curves.amax(0)
    steps = torch.arange(len(curves))[:, None]
    k = torch.where(curves >= level, steps, 0).amax(0)
    after = (k + 1).clamp(max=len(curves) - 1)
    first, second = (curves.gather(0, at[None])[0] for at in (k, after))
    never = k == len(curves) - 1
    share = (first / level).log() / (first / second).log()
    share = torch.where(never | (second <= 0), 0.0, share)
    return lags[k] + share * (lags[after] - lags[k]), never


def lags_to_try(longest: int, count: int = 16) -> Tensor:
    """Return at most `count` lags from 0 to `longest`, each a like factor from the one before.

    >>> lags_to_try(100, 6).tolist()
    [0, 1, 3, 10, 32, 100]
    """
    if longest < 1:
        return torch.zeros(1, dtype=torch.long)
    spread = torch.logspace(0, math.log10(longest), max(count - 1, 1)).round().long()
    return torch.cat([torch.zeros(1, dtype=torch.long), torch.unique(spread)])


def by_intervention(
    call: LayerCall,
    at: Tensor,
    *,
    lags: Tensor | None = None,
    rows: int = 32,
    memory: int = 1 << 28,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Measure how much the output changes when one input is changed for another.

    At each lag k the input of a sequence k steps before its step `at` is replaced by what another
    sequence (or, of a lone one, another step) has there, and the layer with all it stacks runs
    again. Influence is ‖y_t - y'_t‖ over ‖x - x'‖, unknown where both inputs are the same, or where
    the layer was reset between that step and `at`.

    Args:
        call: of the layer, from `Passage.by`.
        at: `(B,)`, the step at which each sequence is asked.
        lags: `(K,)`; some on a logarithmic scale if None.
        rows: sequences used at most.
        memory: bytes that the inputs of one run may take; lags share runs within it.
        seed: of who is changed for whom.

    Returns:
        Lags `(K,)` and influences `(K, B)`, NaN where it is unknown.

    Raises:
        InputError: the input was packed or had no batch.
    """
    x = call.x
    if x is None:
        raise InputError(
            "An input that is packed, or has no batch, cannot be changed step by step.",
            fix="Pass a padded batch with lengths=.",
        )
    rows = min(rows, x.shape[1])
    at = at[:rows]
    farthest = at - since(None if call.reset is None else call.reset[:, :rows], at)
    lags = lags_to_try(int(farthest.max())) if lags is None else lags
    generator = torch.Generator().manual_seed(seed)
    batch = x.shape[1]
    columns = torch.arange(rows, device=x.device)
    size = x.element_size() * x[:, :, 0].numel() * x.shape[2]
    many = max(1, int(memory // max(size, 1)))
    steps_of = [(at - int(k)).clamp(min=0) for k in lags]
    plain = call.again(x)[at, columns]
    found = []
    for first in range(0, len(lags), many):
        changed, norms = [], []
        for steps in steps_of[first : first + many]:
            other = x.clone()
            if batch > 1:
                shift = torch.randint(1, batch, (rows,), generator=generator).to(x.device)
                new = x[steps, (columns + shift) % batch]
            else:
                where = torch.randint(int(at.max()) + 1, (rows,), generator=generator)
                new = x[where.to(x.device), columns]
            norms.append((new - x[steps, columns]).norm(dim=-1))
            other[steps, columns] = new
            changed.append(other)
        output = call.again(torch.cat(changed, 1))
        for k, norm in enumerate(norms):
            after = output[at, columns + k * batch]
            change = (after - plain).norm(dim=-1)
            found.append(torch.where(norm > 0, change / norm, torch.nan))
    influence = torch.stack(found).double()
    too_far = lags.to(at.device)[:, None] > farthest
    return lags, influence.masked_fill(too_far, torch.nan)
