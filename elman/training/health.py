"""The light watch of training: steps clipped, spikes of the loss, memory of the layers.

Counting costs nothing. The reach of gradients through a layer, and the share of its gates that
are saturated, are measured now and then on a few rows of the batch, by running the layer once
more beside the training step. Nothing of the step changes: not a bit of a parameter, not a random
number. The cost so far decides how often.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import elman.nn
from elman.kernels.dispatch import forced, use
from elman.kernels.program import lent
from elman.kernels.witness import Witness, witnessed
from elman.nn.state import detach, index, to
from elman.training.thresholds import (
    CLIPPED,
    CLOSED,
    LEAST_MEMORY,
    OPEN,
    REACH,
    SATURATED,
    SPIKES,
)

COST = 0.02
"""Share of the time that looking closely may take."""
ROWS = 4
"""Sequences of a batch that are looked at closely. Four give a norm to some 35 % at worst (a
Jacobian of one direction), which moves a horizon little where norms fall by factors."""
RECENT = 100
"""Losses that a loss is compared with."""
SPIKE = 10.0
"""Robust standard deviations above their median that make a spike: in losses with normal noise
never, in those with an exponential tail once in 2,500 steps."""
LEAST_SPREAD = 0.05
"""Share of the median that a standard deviation counts as at least."""

LAST = 10
"""Training rows that warnings look back on: 500 steps at 50 a row."""
SHRUNK = 0.1
"""Gradients clipped in nearly all steps are too large only if they are clipped to less than this
part of their size. Clipping itself is not wrong: with Adam, which divides gradients by their size,
and in language models it is usual all the time."""
WIDE = 30
"""Steps of a window that is wide enough to judge a memory by. A memory that was long once and is
short now has learnt that its task needs no more, and is not reported."""
LOOKS = 3
"""Looks that a warning about memory or gates needs."""

_MAD = 1.4826  # times the median absolute deviation: the standard deviation of normal noise
_LIMIT_EVERY, _LIMIT_FROM = 10, 30


@dataclass(frozen=True, eq=False)
class Probe:
    """A close look at one layer: how far a gradient reaches back, and how its gates stand.

    Attributes:
        norms: `(K,)` float64, root mean squares over rows of ‖vᵀ ∂y_t/∂s_{t-k}‖, k = 0 to K - 1.
        horizon: the last lag at which `norms` is at least `REACH` of its largest value; where that
            is K - 1, the window was too short to tell. 0 where all norms are zero, None where one
            is not finite.
        saturation: share of gate activations below `CLOSED` or above `OPEN`; None where the cell
            has no sigmoid.
    """

    norms: Tensor
    horizon: int | None
    saturation: float | None


def probe(run: Witness, *, seed: int = 0) -> Probe:
    """Look closely at a run of a cell that was witnessed while gradients were enabled.

    The loss of training mixes what every step wants. Here one step alone is asked, the last of
    each row, y_t, through a vector v of random signs. The mean of ‖vᵀ J‖² over such vectors is
    ‖J‖² in Frobenius' norm (Hutchinson 1990), so the norms are estimates of ‖∂y_t/∂s_{t-k}‖, whose
    product form is that of Pascanu, Mikolov & Bengio 2013, eq. 5. It is of this layer alone: what
    layers above make of y is not in it. `s` is all states of the cell side by side, each by
    what was handed on. The step itself runs once more on some rows, to see its gates.

    Args:
        run: at least two steps long; its graph is used up.
        seed: of v.

    >>> layer = elman.nn.Recurrent("lstm", 2, 8)
    >>> with witnessed() as runs:
    ...     _ = layer(torch.randn(50, 4, 2))
    >>> found = probe(runs[0])
    >>> found.norms.shape, round(found.norms[0].item(), 4) == round(8**0.5, 4)
    (torch.Size([50]), True)
    """
    assert run.result is not None
    output, (steps, batch, *_) = run.result.output, run.call.x.shape
    device = output.device
    lags = torch.arange(steps, device=device)[:, None]
    lengths = run.call.lengths
    lengths = torch.full((batch,), steps, device=device) if lengths is None else lengths
    # A row in reverse ends where it begins.
    at = lags.expand(-1, batch) if run.call.reverse else (lengths - 1 - lags).clamp(min=0)
    signs = torch.randint(
        2, (batch, output.shape[2]), generator=torch.Generator().manual_seed(seed)
    )
    cotangent = torch.zeros_like(output)
    cotangent[at[0], torch.arange(batch, device=device)] = (2.0 * signs - 1).to(output)
    if output.requires_grad:
        torch.autograd.grad(output, run.call.x, cotangent, allow_unused=True)
    there = lags < lengths
    # None came where the output does not lead back to the input at all.
    squares = [g.double().square().sum(-1).gather(0, at) * there for g in run.gradients or ()]
    total = sum(squares, torch.zeros(steps, batch, dtype=torch.float64, device=device))
    norms = (total.sum(1) / there.sum(1).clamp(min=1)).sqrt().cpu()
    return Probe(norms, _horizon(norms), _saturation(run))


def _horizon(norms: Tensor) -> int | None:
    if not bool(norms.isfinite().all()):
        return None
    reached = ((norms >= REACH * norms.max()) & (norms > 0)).nonzero()[:, 0]
    return int(reached[-1]) if len(reached) else 0


class _Gates(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the values of sigmoids, and how many are saturated."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = self.saturated = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **kwargs or {})
        if func in (torch.ops.aten.sigmoid.default, torch.ops.aten.sigmoid_.default):
            self.seen += found.numel()
            self.saturated += int(((found < CLOSED) | (found > OPEN)).sum())
        return found


@torch.no_grad()
def _saturation(run: Witness) -> float | None:
    """Return the share of saturated gates, from the step on some of its rows."""
    assert run.result is not None
    assert run.result.states is not None
    valid = run.call.valid()
    least = run.call.x.shape[0] if valid is None else int(valid.sum(0).min())
    if least < 2:
        return None
    chosen = torch.linspace(0, least - 2, min(16, least - 1)).long()
    before, after = (chosen + 1, chosen) if run.call.reverse else (chosen, chosen + 1)
    x = run.call.x[after].flatten(0, 1)
    state = tuple(s[before].flatten(0, 1) for s in run.result.states)
    with lent(run.cell, run.weights), _Gates() as gates:
        run.cell(x, state)
    return gates.saturated / gates.seen if gates.seen else None


class _Layer:
    """A recurrent layer of a model, with a few rows of a batch that it was called on."""

    def __init__(self, path: str, module: Any) -> None:
        self.path, self.module = path, module
        self.ours = isinstance(module, elman.nn.Recurrent)
        self.time = 1 if module.batch_first else 0
        self.call: tuple[Tensor, Any, Tensor | None] | None = None

    def read(self, _: nn.Module, args: Sequence[Any], given: Mapping[str, Any]) -> None:
        """Keep some rows of the longest call; a forward pre-hook."""
        names = ("x", "state", "lengths") if self.ours else ("input", "hx")
        given = {**given, **dict(zip(names, args, strict=False))}
        x, state, lengths = given[names[0]], given.get(names[1]), given.get("lengths")
        if not isinstance(x, Tensor) or x.dim() != 3:
            return  # packed, or without a batch
        steps, batch = x.shape[self.time], x.shape[1 - self.time]
        if batch == 0 or steps <= (self.call[0].shape[self.time] if self.call else 1):
            return
        if lengths is None:
            rows = torch.linspace(0, batch - 1, min(ROWS, batch)).long()
        else:
            lengths = torch.as_tensor(lengths)
            rows = lengths.topk(min(ROWS, batch)).indices
            lengths = lengths[rows]
        x = x.detach().index_select(1 - self.time, rows.to(x.device))
        self.call = x, index(detach(state), rows, axis=0 if self.ours else 1), lengths

    def probes(self) -> dict[str, Probe]:
        """Probe each layer and direction, as in evaluation; none where the layer was not called.

        Rows run on where the data resets them: how often it does says nothing of the layer.
        """
        if self.call is None:
            return {}
        (x, state, lengths), self.call = self.call, None
        # Under autocast it came in another dtype than the one the layer computes in.
        parameters = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        dtype = next(parameters, x.dtype)
        # torch's fused kernels, all there is off the CPU but the plain loop, hand out no states.
        fused = x.device.type != "cpu" or forced() == "torch"
        backend = use("reference") if fused else nullcontext()
        with _evaluating(self.module), backend, torch.enable_grad(), witnessed() as runs:
            self.module.forward(x.to(dtype), to(state, dtype), lengths=lengths)
            directions = 1 + self.module.bidirectional
            ends = ["_reverse" if run.call.reverse else "" for run in runs]
            names = [f"l{k // directions}{end}" for k, end in enumerate(ends)]
            return {
                ".".join(filter(None, (self.path, name))): probe(run)
                for name, run in zip(names, runs, strict=True)
            }


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


class Health:
    """Watch a run: collect what its training rows say, and warn where it goes wrong.

    Args:
        model: whose recurrent layers are looked at: `Recurrent`, `RNN`, `LSTM` and `GRU` of
            `elman.nn`. Others cannot be seen from here.
        clip_at: where the gradient's norm is clipped; None where something else is.
    """

    def __init__(self, model: nn.Module, clip_at: float | None) -> None:
        self.clip_at = clip_at
        kinds = elman.nn.Recurrent, elman.nn.RNN, elman.nn.LSTM, elman.nn.GRU
        named = model.named_modules()
        self.layers = [_Layer(path, part) for path, part in named if isinstance(part, kinds)]
        self.began, self.cost, self.last_cost = time.monotonic(), 0.0, 0.0
        """When this session began, and the seconds that looking closely has taken in it, in all
        and the last time."""
        self.found: dict[str, Any] = {}
        """Measurements for the coming row, beside its counts."""
        self.recent: list[float] = []
        self.limit = math.inf
        self.seen = 0
        self.spikes: list[dict[str, Any]] = []
        """Counts for the coming row: steps, steps clipped, and the sum of the factors by which."""
        self.steps, self.clipped, self.shrunk = 0, 0, 0.0
        self.rows: list[list[float]] = []
        """Steps, clipped, shrunk and spikes of the last rows."""
        self.looks = self.longest = self.stuck = 0
        """Looks at windows wide enough, the longest memory any of them has found, and looks in a
        row that found too many gates saturated."""
        self.warned: list[str] = []
        """Kinds of warnings that have been given."""

    # Taking notes

    def add(self, step: int, loss: float, norm: float, place: Mapping[str, Any]) -> None:
        """Take note of one step; `place` is the sampler's state before its batch."""
        self.steps += 1
        if self.clip_at is not None and norm > self.clip_at:
            self.clipped += 1
            self.shrunk += self.clip_at / norm
        if loss > self.limit:
            where = {"epoch": place["epoch"], "position": place["position"]}
            self.spikes.append({"step": step, "loss": loss, **where})
        self.recent = [*self.recent[1 - RECENT :], loss]
        self.seen += 1
        if self.seen >= _LIMIT_FROM and self.seen % _LIMIT_EVERY == 0:
            self.limit = spike_limit(self.recent)

    def gradients(self, model: nn.Module) -> None:
        """Measure the norm of each parameter's gradient."""
        having = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        if having:
            norms = torch.stack(torch._foreach_norm(list(having.values()))).tolist()
            self.found["gradients"] = {
                name: float(f"{norm:.4g}") if math.isfinite(norm) else None
                for name, norm in zip(having, norms, strict=True)
            }

    @contextmanager
    def moving(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """Measure how far an update moves the parameters, beside how large they are."""
        before = [p.detach().clone() for p in parameters]
        yield
        with torch.no_grad():
            change = torch._foreach_sub([p.detach() for p in parameters], before)
            moved, size = (nn.utils.get_total_norm(group) for group in (change, before))
            self.found["update_ratio"] = (moved / size.clamp(min=1e-30)).item()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look closely at the layers after they were called inside.

        It happens the first time in a session, and then where the time that looks take stays
        under `COST`.
        """
        allowed = COST * (time.monotonic() - self.began)
        if not self.layers or (self.cost and self.cost + self.last_cost > allowed):
            yield
            return
        hooks = [
            layer.module.register_forward_pre_hook(layer.read, with_kwargs=True)
            for layer in self.layers
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        began = time.monotonic()
        self._look()
        self.last_cost = time.monotonic() - began
        self.cost += self.last_cost

    def _look(self) -> None:
        found = {name: p for layer in self.layers for name, p in layer.probes().items()}
        horizons = {name: p.horizon for name, p in found.items() if p.horizon is not None}
        gates = {name: p.saturation for name, p in found.items() if p.saturation is not None}
        if horizons:
            window = max(len(p.norms) for p in found.values())
            self.found |= {"horizon": horizons, "window": window}
            self.looks += window >= WIDE
            self.longest = max(self.longest, *horizons.values())
        if gates:
            self.found["saturation"] = {name: round(share, 4) for name, share in gates.items()}
            self.stuck = self.stuck + 1 if max(gates.values()) > SATURATED else 0

    # Rows and warnings

    def taken(self) -> dict[str, Any]:
        """Return what has been measured since the last call."""
        found, self.found = self.found, {}
        return found

    def row(self) -> dict[str, Any]:
        """Return what a training row says beyond the loss, since the last call.

        Returns:
            Those of these that are known: `clip_rate`, the share of steps whose norm was above
            the threshold, and `clip_by`, the mean factor by which those were scaled; by parameter
            `gradients`, the norm of its gradient at the last step, before clipping;
            `update_ratio`, ‖change‖ / ‖parameters‖ of the last update; `spikes`, a list of
            `step`, `loss` and the sampler's `epoch` and `position` from which it gives the batch
            again; by layer and direction `horizon` (see `Probe`), in steps of `window`, and
            `saturation`.
        """
        row = self.taken()
        if self.clip_at is not None and self.steps:
            row["clip_rate"] = self.clipped / self.steps
            if self.clipped:
                row["clip_by"] = self.shrunk / self.clipped
        if self.spikes:
            row["spikes"] = self.spikes
        counts = [self.steps, self.clipped, self.shrunk, len(self.spikes)]
        self.rows = [*self.rows[1 - LAST :], counts]
        self.steps, self.clipped, self.shrunk, self.spikes = 0, 0, 0.0, []
        return row

    def warnings(self, row: Mapping[str, Any]) -> list[str]:
        """Say what is wrong by the last `LAST` rows, `row` the last; each kind once a run."""
        steps, clipped, shrunk, spikes = (sum(column) for column in zip(*self.rows, strict=True))
        wrong = {}
        whole = len(self.rows) == LAST
        if whole and clipped > CLIPPED * steps and shrunk < SHRUNK * clipped:
            wrong["clipped"] = (
                f"Gradients were clipped in {clipped / steps:.0%} of the last {steps} steps, to "
                f"{shrunk / clipped:.1%} of their size on average: lr may be too high, or clip_at "
                f"too low (it is {self.clip_at:g})."
            )
        # As many as the share makes of all the rows that warnings look back on.
        if spikes >= SPIKES * steps * LAST / len(self.rows):
            wrong["spikes"] = (
                f"The loss spiked {spikes} times in the last {steps} steps: lr may be too high, or "
                "some batches are unlike the rest; metrics.jsonl says which."
            )
        if self.looks >= LOOKS and self.longest < LEAST_MEMORY:
            wrong["short"] = (
                f"The memory has never reached further back than {self.longest} steps of "
                f"{row['window']}: gradients vanish before, and what lies further back cannot be "
                "learnt. A cell whose forget gate starts open (lstm with chrono) remembers longer."
            )
        if self.stuck >= LOOKS:
            shares = row["saturation"]
            name = max(shares, key=shares.get)
            wrong["stuck"] = (
                f"In {name} {shares[name]:.0%} of the gates are all but shut or open, and hardly "
                "learn: a lower lr, smaller inputs or weight decay may free them."
            )
        new = [kind for kind in wrong if kind not in self.warned]
        self.warned += new
        return [wrong[kind] for kind in new]

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {
            "recent": list(self.recent),
            "limit": self.limit,
            "seen": self.seen,
            "counts": [self.steps, self.clipped, self.shrunk],
            "spikes": list(self.spikes),
            "rows": list(self.rows),
            "looks": [self.looks, self.longest, self.stuck],
            "told": list(self.warned),
        }

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Go on from a saved state, None in the oldest runs; a warning given stays given."""
        if state is None:
            return
        self.recent, self.limit, self.seen = list(state["recent"]), state["limit"], state["seen"]
        self.steps, self.clipped, self.shrunk = state["counts"]
        self.spikes, self.rows = list(state["spikes"]), list(state["rows"])
        self.looks, self.longest, self.stuck = state["looks"]
        self.warned = list(dict.fromkeys([*self.warned, *state["told"]]))
        self.found = {}


def spike_limit(losses: Sequence[float]) -> float:
    """Return the loss above which there is a spike: median + `SPIKE` standard deviations.

    The standard deviation is taken from the median absolute deviation, as in normal noise, so that
    spikes themselves do not raise it (Hampel 1974); it is at least `LEAST_SPREAD` of the median.
    The limit is infinite where there is no spread at all.

    >>> round(spike_limit([1.0, 2.0, 3.0, 4.0, 100.0]), 3)
    17.826
    """
    middle = median(losses)
    spread = _MAD * median(abs(loss - middle) for loss in losses)
    spread = max(spread, LEAST_SPREAD * abs(middle))
    return middle + SPIKE * spread if spread else math.inf
