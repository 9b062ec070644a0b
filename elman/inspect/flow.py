"""The flow of one loss's gradient back through time, from the backward pass itself.

A loss over a whole sequence mixes what every step wants. Here each sequence is asked at one of
its steps only, t, and the backward pass from there says for every lag k what it makes of the
state and of the input k steps before: the norms of ∂L_t/∂s_{t-k} and ∂L_t/∂x_{t-k} (Pascanu,
Mikolov & Bengio 2013, eq. 3 to 5). Rows of a batch do not touch one another, so that one backward
pass serves all of them at once. A sequence ends where the layer is reset: no gradient comes from
one to another, and lags are counted within the one that is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.cells.base import State
from elman.errors import InputError
from elman.inspect.passage import Passage, in_own_time

VANISHED = 1e-30
"""A norm below this is noise of single precision and left out of a fit."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Gradients of one layer against the lag, for each row of a batch.

    Attributes:
        passage: the layer.
        at: `(B,)`, the step of lag 0.
        states: for each state `(K, B)`: norms of ∂L_t/∂s_{t-k}, the other states held; NaN where a
            row has no such step, or had a reset since.
        whole: `(K, B)`, those of all states together.
        influence: `(K, B)`, norms of ∂L_t/∂x_{t-k} by what the layer reads; None where it cannot
            be followed.
        gradients: `(T, B, size)` each, the gradients themselves.
    """

    passage: Passage
    at: Tensor
    states: tuple[Tensor, ...]
    whole: Tensor
    influence: Tensor | None
    gradients: State

    @property
    def name(self) -> str:
        """The name of the layer."""
        return self.passage.name

    @property
    def decay(self) -> float:
        """The factor by which the norm changes in a step back: exp of the slope of its logarithm,
        averaged over rows, from lag 1 on. Below 1 gradients vanish, above 1 they explode."""
        return decay(self.whole)


def decay(norms: Tensor) -> float:
    """Fit the factor a lag of norms `(K, B)`, by least squares on their logarithms from lag 1 on.

    NaN where fewer than two lags are left.

    >>> round(decay(torch.tensor([[3.0], [1.0], [0.5], [0.25]])), 6)
    0.5
    """
    seen = norms[1:].double()
    seen = torch.where((seen > VANISHED) & seen.isfinite(), seen, torch.nan)
    logs = seen.log()
    keep = ~logs.isnan()
    lags = torch.arange(1, len(norms), dtype=torch.float64)[:, None].expand_as(logs)
    if int(keep.any(1).sum()) < 2:
        return math.nan
    # Each row has a height of its own and all the same slope.
    count = keep.sum(0).clamp(min=1)
    x = torch.where(keep, lags, 0.0)
    y = torch.where(keep, logs, 0.0)
    x = torch.where(keep, lags - x.sum(0) / count, 0.0)
    y = torch.where(keep, y - y.sum(0) / count, 0.0)
    return math.exp(float((x * y).sum() / (x * x).sum()))


def flows(passages: Sequence[Passage], loss: Tensor | None = None, *, seed: int = 0) -> list[Flow]:
    """Follow the gradient of each sequence's last answer through every layer.

    Args:
        passages: what `observe` gave, the model's layers in the order in which they ran. The last
            is taken for the one whose output is answered for.
        loss: of the batch, computed inside `observe`: how it leans on the output of a step is
            the direction that is followed back from there. None takes random directions of
            length 1.
        seed: of those.

    Returns:
        A `Flow` a passage, in order. Lag 0 is the last step whose output the loss depends on;
        in a layer that hands its final state on, the last step.

    Raises:
        InputError: there is no recurrent layer, or nothing to be differentiated.

    >>> import elman.nn
    >>> from elman.inspect import observe
    >>> layer = elman.nn.Recurrent("lstm", 3, 8)
    >>> _, passages = observe(layer, lambda: layer(torch.randn(20, 4, 3)))
    >>> (flow,) = flows(passages)
    >>> flow.whole.shape, 0 < flow.decay < 1
    (torch.Size([20, 4]), True)
    """
    if not passages:
        raise InputError(
            "The model ran no recurrent layer. The doctor looks for layers of elman.nn; for RNN, "
            "LSTM and GRU of torch.nn; for cells (elman.Cell, RNNCell, LSTMCell, GRUCell) that a "
            "loop calls; and for a line of code that ran three times or more, each time from its "
            "own last result.",
            fix='Name the variables that your loop carries from step to step, states=["h"], or '
            "write its step as an elman.Cell, whose forward(x, state) returns (output, "
            "new_state).",
        )
    found: dict[int, Flow] = {}
    for top in _tops(passages):
        question = _question(top, loss, seed)
        by_input = _back(passages, top, question)
        for k, passage in enumerate(passages):
            if k not in found or passage.reverse == top.reverse:
                found[k] = _flow(passage, top, question.at, by_input[k])
    return [found[k] for k in range(len(passages))]


def _tops(passages: Sequence[Passage]) -> list[Passage]:
    """Return the last layer, in all its directions."""
    last = passages[-1]
    if len(passages) > 1 and last.reverse and last.by is not None and passages[-2].by is last.by:
        return list(passages[-2:])
    return [last]


@dataclass(frozen=True, eq=False)
class _Question:
    """The step at which each row is asked, and the direction.

    Attributes:
        at: `(B,)`.
        output: `(T, B, size)`, zero but at those steps.
        state: `(B, size)` each, by the state after the last step; empty if it is not asked for.
    """

    at: Tensor
    output: Tensor
    state: tuple[Tensor, ...]


def _question(top: Passage, loss: Tensor | None, seed: int) -> _Question:
    state: tuple[Tensor, ...] = ()
    if loss is None:
        generator = torch.Generator().manual_seed(seed)
        output = torch.randn(top.output.shape, generator=generator).to(top.output)
        output /= output.norm(dim=-1, keepdim=True)
    else:
        output, state = _leaning(top, loss)
    output = output * top.valid[..., None]
    steps = torch.arange(len(output), device=output.device)[:, None]
    at = torch.where((output != 0).any(-1), steps, -1).amax(0)
    for gradient in state:
        at = torch.where((gradient != 0).any(-1), top.lengths - 1, at)
    return _Question(at, torch.where((steps == at)[..., None], output, 0.0), state)


def _leaning(top: Passage, loss: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the gradients of a loss by a layer's output and by its last state."""
    asked = [*top.pieces, *top.ends]
    try:
        parts = torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise InputError(f"The loss cannot be followed back: {error}.") from None
    whole = [torch.zeros_like(p) if g is None else g for p, g in zip(asked, parts, strict=True)]
    if not any(bool(part.any()) for part in whole):
        raise InputError(
            f"The loss does not depend on what the last recurrent layer, {top.name!r}, gives out."
        )
    n = len(top.pieces)
    output = _over_time(whole[:n])
    return in_own_time(output, top.lengths if top.reverse else None), tuple(whole[n:])


def _back(passages: Sequence[Passage], top: Passage, question: _Question) -> list[Tensor | None]:
    """Run a backward pass from `top`; return each passage's gradient by its input."""
    inputs = [t for p in passages for t in p.entrances]
    given = in_own_time(question.output, top.lengths if top.reverse else None)
    pieces = top.pieces
    if not inputs or not all(piece.requires_grad for piece in pieces):
        raise InputError(
            f"{top.name!r} ran without gradients.", fix="Observe it outside torch.no_grad()."
        )
    parts = _as_pieces(given, pieces)
    ends = [(s, g) for s, g in zip(top.ends, question.state, strict=False) if s.requires_grad]
    found = iter(
        torch.autograd.grad(
            [*pieces, *[s for s, _ in ends]],
            inputs,
            [*parts, *[g for _, g in ends]],
            retain_graph=True,
            allow_unused=True,
        )
    )
    by_input: list[Tensor | None] = []
    for passage in passages:
        own = [next(found) for _ in passage.entrances]
        if read := passage.read:
            steps = list(zip(own, read, strict=False))
            came = any(g is not None for g, _ in steps)
            whole = [torch.zeros_like(x) if g is None else g for g, x in steps]
            assert passage.seen is not None
            by_input.append(passage.seen.by_read(whole) if came else None)
        else:
            by_input.append(None)
    return by_input


def _over_time(pieces: Sequence[Tensor]) -> Tensor:
    """`(T, B, size)` of pieces of several steps, or of one."""
    return torch.cat([piece if piece.dim() == 3 else piece[None] for piece in pieces])


def _as_pieces(whole: Tensor, pieces: Sequence[Tensor]) -> list[Tensor]:
    """Cut `(T, B, size)` as pieces are."""
    steps = [len(piece) if piece.dim() == 3 else 1 for piece in pieces]
    return [
        part if piece.dim() == 3 else part[0]
        for part, piece in zip(torch.split(whole, steps), pieces, strict=True)
    ]


def _flow(passage: Passage, top: Passage, at: Tensor, by_input: Tensor | None) -> Flow:
    gradients = passage.gradients
    if gradients is None:
        gradients = tuple(torch.zeros_like(s) for s in passage.states)
    same = passage is top or (passage.by is not None and passage.by is top.by)
    if not same:
        at = passage.lengths - 1
    elif passage.reverse != top.reverse:
        at = passage.lengths - 1 - at
    since = passage.since(at)
    norms = tuple(_by_lag(g, at, since) for g in gradients)
    influence = None
    if by_input is not None:
        turned = passage.lengths if passage.reverse else None
        influence = _by_lag(in_own_time(by_input, turned), at, since)
    whole = torch.stack([n.square() for n in norms]).sum(0).sqrt()
    return Flow(passage, at, norms, whole, influence, gradients)


def _by_lag(rows: Tensor, at: Tensor, since: Tensor) -> Tensor:
    """Return norms of `(T, B, size)` as `(K, B)`: lag k of row b is step `at[b] - k`, as far back
    as `since[b]`. A norm beyond all numbers is infinite."""
    norms = rows.detach().double().norm(dim=-1).nan_to_num(nan=math.inf)
    lags = torch.arange(int((at - since).max()) + 1, device=rows.device)[:, None]
    steps = at[None] - lags
    return torch.where(steps < since, torch.nan, norms.gather(0, steps.clamp(min=0)))


def weight_share(flow: Flow, rows: int = 16) -> Tensor:
    """Measure what each lag contributes to the gradient of the recurrent weights.

    The gradient is a sum over lags, G = Σ_k G_k, G_k being what step t - k adds as the place
    where the weights act (Pascanu, Mikolov & Bengio 2013, eq. 4). The share of a lag is ⟨G_k, G⟩ /
    ‖G‖²; shares sum to 1 and one is negative where a lag pulls against the rest.

    Args:
        flow: of the layer.
        rows: of the batch that are summed, at most.

    Returns:
        `(K,)` float64.

    Raises:
        InputError: the cell has no weights that multiply the state, or their gradient is zero.
    """
    passage = flow.passage
    names = passage.cell.recurrent_weights()
    if not names:
        raise InputError(f"{type(passage.cell).__name__} has no weights that multiply the state.")
    own = dict(passage.cell.named_parameters()) | dict(passage.weights)
    leaves = {n: t.detach().requires_grad_(n in names) for n, t in own.items()}
    wanted = [leaves[n] for n in names]
    keep = slice(0, min(rows, passage.batch))
    at, since = flow.at[keep], passage.since(flow.at)[keep]
    columns = torch.arange(len(at), device=at.device)
    before = passage.before

    def of_lag(k: int) -> list[Tensor]:
        steps = at - k
        on = steps >= since
        where, which = steps[on], columns[on]
        hold = passage.hold and tuple(
            h[where, which] if isinstance(h, Tensor) else h for h in passage.hold
        )
        _, new = passage.step(
            passage.x[where, which], tuple(s[where, which] for s in before), leaves, hold
        )
        gradient = [g[where, which] for g in flow.gradients]
        pairs = [(s, g) for s, g in zip(new, gradient, strict=True) if s.requires_grad]
        found = torch.autograd.grad(
            [s for s, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True
        )
        return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]

    lags = range(int((at - since).max()) + 1)
    total = [torch.zeros_like(w, dtype=torch.float64) for w in wanted]
    for k in lags:
        for whole, part in zip(total, of_lag(k), strict=True):
            whole += part
    size = sum(float(w.square().sum()) for w in total)
    if not size > 0 or not math.isfinite(size):
        raise InputError(f"The gradient of the recurrent weights of {flow.name!r} is {size:g}.")
    dots = [
        sum(float((w * part).sum()) for w, part in zip(total, of_lag(k), strict=True)) for k in lags
    ]
    return torch.tensor(dots, dtype=torch.float64) / size
