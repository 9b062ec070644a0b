"""An examination of a model on one batch holds all that was measured, and the verdict.

    elman.doctor(model, batch)

gives an object that prints as one screen, plots, turns into a dict, and saves as a page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.inspect import diagnosis, dynamics, finite, plain, units
from elman.inspect.attribution import attribute
from elman.inspect.diagnosis import Finding, Trial
from elman.inspect.facts import LayerFacts, RunFacts
from elman.inspect.flow import Flow, flows, weight_share
from elman.inspect.following import Followed, Stretch
from elman.inspect.following import search as search_units
from elman.inspect.in_graph import ByHand
from elman.inspect.memory import Horizon, by_intervention, horizon
from elman.inspect.passage import Passage, observe, search
from elman.inspect.plain import kind as _kind
from elman.training.thresholds import REACH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUCK_FOR = 0.95
"""Share of steps from which a gate is called stuck."""

LONG_ENOUGH = 20
"""Steps below which what a state does beyond them says little."""

_TOLD = 3
"""Units that are named of those that follow a pattern, on the one screen."""

_WORK = 5e8
"""Multiply-adds that Jacobians may take: fewer steps are looked at in a large layer."""

_NODES = 32
"""Nodes of the quadrature behind an attribution."""

_GAP = 0.1
"""Share of the output's norm by which an attribution may fail to add up."""

_SEARCHES = 12
"""States from which fixed points are searched for."""

_SMALL = 64
"""Numbers in a state up to which its fixed points are searched for."""


@dataclass(eq=False)
class Layer:
    """The measurements of one layer; None is what its cell does not have or does not allow.

    Attributes:
        flow: gradients against the lag.
        horizon: by gradient, of what the layer reads.
        changed: by intervention, of what the whole stack reads.
        share: `(K,)`, shares of lags in the gradient of the recurrent weights.
        spectrum, lyapunov: of the step along its trajectories.
        units: of gates and units.
        due: `(T,)`, how much of the output at the step that the flow asks about each input of the
            first sequence adds.
        rest: where the state comes to rest while the input stays at its mean.
    """

    flow: Flow
    horizon: Horizon | None = None
    changed: Horizon | None = None
    share: Tensor | None = None
    spectrum: dynamics.Spectrum | None = None
    lyapunov: dynamics.Lyapunov | None = None
    units: units.Units | None = None
    due: Tensor | None = None
    rest: list[dynamics.FixedPoint] | None = None

    @property
    def passage(self) -> Passage:
        """The passage through the layer."""
        return self.flow.passage

    def facts(self, window: int | None = None) -> LayerFacts:
        """Put it in plain numbers; gradients flow through `window` steps in training."""
        passage, whole = self.passage, self.flow.whole
        facts = LayerFacts(
            passage.name,
            _kind(passage),
            max(passage.cell.state_sizes),
            int(passage.lengths.max()),
            decay=_finite(self.flow.decay),
            growth=_growth(whole),
            gradient=_finite(
                math.sqrt(sum(float(g.double().square().sum()) for g in self.flow.gradients))
            ),
        )
        facts.detached = 0 if passage.seen is None else passage.seen.detached
        facts.rectified = (
            getattr(passage.cell, "nonlinearity", "") == "relu" or facts.cell == "IRNN"
        )
        if self.horizon is not None:
            facts.horizon, facts.beyond = self.horizon.steps, self.horizon.beyond
        if self.spectrum is not None:
            facts.radius = self.spectrum.radius
        if self.share is not None and window is not None and window < len(self.share):
            kept = self.share.cumsum(0)
            facts.cut = float(1 - kept[window - 1])
            facts.enough = (
                int((kept >= 0.9).nonzero()[0]) + 1 if bool((kept >= 0.9).any()) else None
            )
        if self.units is not None:
            found = self.units
            gates = [t.gate for t in found.time_constants if t.gate is not None and not t.turned]
            facts.keeps = next(iter(gates), None)
            facts.stuck = _stuck(found, facts.keeps)
            for name, gate in found.saturation.items():
                facts.saturated[name] = gate.open_share + gate.closed_share
            facts.dead = found.activity.dead_share
            facts.constant = found.activity.constant_share
            facts.drift, facts.unbounded = _drift(found.drift)
        return facts


@dataclass(eq=False)
class Examination:
    """The result of an examination.

    Attributes:
        title: of the model.
        layers: what was measured of each.
        run: what is known of its training and its task.
        findings: the worst first.
        labels: the steps of the first sequence, as they are to be shown.
        more: further parts of the page, such as the course of training.
        trials: remedies that were tried.
        source: the run's name.
        stretch: makes what units are searched on; the batch examined if None.
        followed: what was found of patterns that units may follow.
    """

    title: str
    layers: list[Layer]
    run: RunFacts
    labels: Sequence[str] | Sequence[float] = ()
    more: dict[str, Any] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    source: str = ""
    stretch: Callable[[], Stretch] | None = None
    followed: list[Followed] = field(default_factory=list)
    findings: list[Finding] = field(init=False)
    _kept: Stretch | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        facts = [layer.facts(self.run.window) for layer in self.layers]
        self.findings = diagnosis.diagnose(facts, self.run)

    @property
    def healthy(self) -> bool:
        """True if nothing was found that keeps the model from learning."""
        return self.findings[0].severity == "healthy"

    @property
    def verdict(self) -> str:
        """The verdict in a sentence or two."""
        sick = [f for f in self.findings if f.severity in ("ill", "warning")]
        if not sick:
            first = self.findings[0]
            return f"{first.name.capitalize()}. {first.evidence}"
        names = list(dict.fromkeys(f.name for f in sick))
        told = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        return f"{told[0].upper()}{told[1:]}. {sick[0].evidence}"

    def __str__(self) -> str:
        named = f"{self.title} in {self.source}" if self.source else self.title
        lines = [f"{named}: {self.verdict}", ""]
        lines += [_row("layer", "gradient a step", "memory", "radius", "gates saturated")]
        for layer in self.layers:
            facts = layer.facts()
            memory = plain.memory(layer.horizon, self.run.unit)
            gates = ", ".join(f"{name} {share:.0%}" for name, share in facts.saturated.items())
            rate = "–" if facts.decay is None else f"× {facts.decay:.3g}"
            radius = "–" if facts.radius is None else f"{facts.radius:.3g}"
            lines.append(_row(facts.name, rate, memory, radius, gates or "–"))
        for finding in self.findings:
            where = f" in {finding.layer}" if finding.layer else ""
            lines += ["", f"{finding.severity}: {finding.name}{where}", f"  {finding.evidence}"]
            for remedy in finding.remedies:
                lines.append(f"  → {remedy.what} ({remedy.source})")
                if told := plain.how(remedy, self.run):
                    lines.append(f"    {told}")
        for followed in self.followed:
            lines += ["", f"{followed.pattern}: {followed.verdict}"]
            for place in followed.best[:_TOLD]:
                interval = f"({place.low:.2f} to {place.high:.2f})"
                lines.append(f"  {place.selectivity:.2f} {interval}  p {place.p:.3f}  {place.name}")
        if self.trials:
            lines += ["", f"tried, each trained afresh under one budget{self._tried_by()}:"]
        for trial in self.trials:
            memory = "–" if trial.horizon is None else f"memory {trial.horizon:.3g}"
            score = "–" if math.isnan(trial.metric) else f"{trial.metric:.4g}"
            told = f"  {score}  {memory}  {trial.name}  {trial.verdict}".rstrip()
            lines.append(told + (f": {trial.failed}" if trial.failed else ""))
        helped = [trial for trial in self.trials if trial.helped]
        if self.trials and not helped:
            lines.append("  none of them helped")
        return "\n".join(lines)

    def _tried_by(self) -> str:
        """Return by what metric trials are compared, in words."""
        first = self.trials[0]
        which = "higher" if first.higher_is_better else "lower"
        return f", by {first.by.replace('_', ' ')} ({which} is better)" if first.by else ""

    def follow(
        self,
        pattern: str | Tensor,
        texts: Sequence[Sequence[str]] | None = None,
        *,
        name: str = "",
        seed: int = 0,
    ) -> Followed:
        """Search the units of all layers for those that follow a pattern, and show what is found.

        Args:
            pattern: `quotes`, `brackets`, `line position`, `season:N` for a season of N values, or
                a regular expression, true where it matches; or a pattern itself, `(T, B)` or
                `(T,)`, of bools, numbers, or complex numbers as `elman.inspect.concepts.phase`
                makes them.
            texts: for each row of the batch the text of every step, for a pattern of text; the
                examination of a run has its own.
            name: what a pattern that is a tensor is called.
            seed: of what is drawn.

        Raises:
            InputError: the pattern is not valid, does not fit or is the same everywhere.

        >>> import elman.nn
        >>> found = doctor(elman.nn.GRU(3, 8), torch.randn(60, 4, 3))
        >>> follower = found.follow(torch.arange(60) % 7 == 0, name="every week")
        >>> follower.units, follower.steps
        (8, 240)
        """
        if texts is not None or self.stretch is None:
            stretch = self._examined(pattern, texts)
        else:
            stretch = self._kept = self._kept or self.stretch()
        self.followed.append(search_units(stretch, pattern, name=name, seed=seed))
        return self.followed[-1]

    def _examined(self, pattern: str | Tensor, texts: Sequence[Sequence[str]] | None) -> Stretch:
        """Return the batch examined as sequences to search units on."""
        last = self.layers[-1].passage
        passages = [layer.passage for layer in self.layers]
        passages = [p for p in passages if (p.steps, p.batch) == (last.steps, last.batch)]
        if texts is not None:
            return Stretch.of_texts(passages, texts)
        if isinstance(pattern, str) and not pattern.startswith("season"):
            raise InputError(
                f"Where {pattern!r} holds is not known: the steps have no text.",
                fix="Give texts=, for each row of the batch the text of every step.",
            )
        return Stretch(passages, torch.arange(last.steps)[:, None].expand(-1, last.batch))

    def _repr_html_(self) -> str:
        """Show the page in a frame of its own, in a notebook."""
        return (
            f'<iframe srcdoc="{html.escape(self.page(), quote=True)}" '
            'style="width: 100%; height: 720px; border: 0"></iframe>'
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data that JSON can hold."""
        return plain.report(self)

    def page(self) -> str:
        """Return the page as HTML that needs no other file."""
        from elman.inspect.page import render

        return render(self.to_dict())

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Raises:
            OSError: the file cannot be written.
        """
        path = Path(path)
        path.write_text(self.page(), encoding="utf-8")
        return path

    def plot(self) -> Figure:
        """Draw gradient flow and influence of every layer as a matplotlib figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.5), layout="constrained")
        first, second = figure.subplots(1, 2)
        for layer in self.layers:
            norms = layer.flow.whole.nanmedian(1).values
            first.semilogy(norms.numpy(), label=layer.flow.name)
            if layer.horizon is not None:
                second.semilogy(layer.horizon.lags.numpy(), layer.horizon.influence.numpy())
        first.set(xlabel=f"lag in {self.run.unit}", ylabel="norm of the gradient by the state")
        second.set(xlabel=f"lag in {self.run.unit}", ylabel="influence of an input")
        second.axhline(REACH, color="0.6", linewidth=0.8)
        first.legend(frameon=False)
        return figure


def doctor(
    model: nn.Module,
    batch: Any,
    loss: Callable[[Any], Tensor] | None = None,
    *,
    need: float | None = None,
    unit: str = "steps",
    labels: Sequence[str] | Sequence[float] = (),
    facts: RunFacts | None = None,
    states: str | Sequence[str] = (),
    seed: int = 0,
) -> Examination:
    """Examine a recurrent model of any make on one batch.

    Layers of `elman.nn` and of torch.nn, and loops written by hand over these, over cells or over
    plain linear maps, are seen; the model is left as it was. Of a loop over plain linear maps only
    gradients and memory are measured, since its step cannot be taken again.

    Args:
        model: the model; examined in evaluation mode.
        batch: its input: a tensor, an array or nested lists of numbers; a tuple of positional or a
            dict of keyword arguments.
        loss: of what the model gives out; without one random directions at the last recurrent
            layer's output are followed back.
        need: how many steps back the task reaches, where that is known; without it a short memory
            is measured and not blamed.
        unit: what a step is, in the plural.
        labels: the steps of the first sequence, to be shown under its states.
        facts: what else is known of its training, such as how often gradients were clipped.
        states: local variables of a loop written by hand that hold its states, such as
            `["h", "c"]`; found by themselves if empty.
        seed: of all that is drawn.

    Returns:
        What was found: it prints, `.plot()`s, turns `.to_dict()` and `.save(path)`s as a page.

    Raises:
        InputError: the model was compiled, cannot be called with the batch, no recurrent layer ran,
            nothing can be differentiated, or `states` holds no states.

    >>> import elman.nn
    >>> _ = torch.manual_seed(0)
    >>> found = doctor(elman.nn.LSTM(3, 8), torch.randn(50, 4, 3))
    >>> found.healthy, [layer.flow.name for layer in found.layers]
    (True, ['l0'])
    """

    batch = _tensors(batch, model)
    if any(not one.numel() for one in _in_batch(batch)):
        raise InputError("The batch is empty: there is nothing to examine.", fix="Give sequences.")

    def call() -> Tensor | None:
        try:
            if isinstance(batch, Mapping):
                output = model(**batch)
            elif isinstance(batch, tuple | list):
                output = model(*batch)
            else:
                output = model(batch)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            if isinstance(error, InputError):
                raise
            raise _cannot_call(model, batch, error) from error
        return None if loss is None else loss(output)

    known = replace(facts or RunFacts(), unit=unit)
    known.need = known.need if need is None else need
    named = (states,) if isinstance(states, str) else tuple(states)
    layers, known.broken = measure(model, call, batch, partial(search, states=named), seed=seed)
    return Examination(type(model).__name__, layers, known, labels)


def _in_batch(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping | tuple | list):
        for one in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _in_batch(one)


def _tensors(batch: Any, model: nn.Module) -> Any:
    """Return a batch with tensors in the place of arrays and of lists of numbers, in the model's
    precision."""
    if isinstance(batch, Mapping):
        return {name: _tensors(value, model) for name, value in batch.items()}
    if isinstance(batch, tuple) or (
        isinstance(batch, list) and any(isinstance(value, Tensor | np.ndarray) for value in batch)
    ):
        return tuple(_tensors(value, model) for value in batch)
    if not isinstance(batch, np.ndarray | list):
        return batch
    try:
        made = torch.as_tensor(np.asarray(batch))
    except (TypeError, ValueError):
        return batch
    one = next(model.parameters(), None)
    if one is None:
        return made
    return made.to(one.device, one.dtype if made.is_floating_point() else made.dtype)


def _cannot_call(model: nn.Module, batch: Any, error: Exception) -> InputError:
    given = batch
    if isinstance(batch, Mapping):
        given = ", ".join(f"{name}={_told(value)}" for name, value in batch.items())
    elif isinstance(batch, tuple | list):
        given = ", ".join(map(_told, batch))
    else:
        given = _told(batch)
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    pair = isinstance(batch, tuple | list) and len(batch) == 2
    return InputError(
        f"The model cannot be called with ({given}): it says {said!r}.",
        fix="Give the doctor what the model is called with"
        + (", the input alone and not its target." if pair else "."),
    )


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__


def measure(
    model: nn.Module,
    call: Callable[[], Tensor | None],
    batch: Any,
    looking: Callable[..., tuple[Tensor | None, list[Passage]]] = observe,
    *,
    seed: int = 0,
) -> tuple[list[Layer], str]:
    """Measure every recurrent layer of a model while `call` runs it, which may give a loss.

    `looking` is `observe`, or `search` for a model that may have loops of any kind.

    Returns:
        The layers, and what is not finite, in words; nothing where all is.

    Raises:
        InputError: the model was compiled, no recurrent layer ran, or nothing can be
            differentiated.
    """
    _refuse_compiled(model)
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            total, passages = looking(model, call)
            broken = finite.broken(batch, model, passages, total)
            try:
                found = [_measured(flow, seed) for flow in flows(passages, total, seed=seed)]
            except (InputError, RuntimeError) as error:
                if broken:
                    raise InputError(broken) from error
                raise
    finally:
        for part, mode in modes:
            part.training = mode
    for by in dict.fromkeys(layer.passage.by for layer in found):
        if by is not None:
            own = [layer for layer in found if layer.passage.by is by]
            # Steps of a direction that reads backwards are counted from the end.
            forward = [layer for layer in own if not layer.passage.reverse]
            own[0].changed = _or_none(partial(_changed, by, forward[-1].flow.at, seed))
    return found, broken


def _refuse_compiled(model: nn.Module) -> None:
    for path, part in model.named_modules():
        if hasattr(part, "_orig_mod"):
            called = f"The part {path!r} of this model" if path else "This model"
            raise InputError(
                f"{called} was compiled by torch.compile, which runs its steps where nothing can "
                "look on.",
                fix="Give the doctor the model before torch.compile, which is its _orig_mod and "
                "has the same weights.",
            )


def _changed(by: Any, at: Tensor, seed: int) -> Horizon:
    lags, influence = by_intervention(by, at, seed=seed)
    return horizon(influence, lags, seed=seed)


def _measured(flow: Flow, seed: int) -> Layer:
    passage = flow.passage
    layer = Layer(flow)
    if flow.influence is not None:
        influence = flow.influence
        layer.horizon = _or_none(lambda: horizon(influence, seed=seed))
    layer.share = _or_none(lambda: weight_share(flow))
    if int(passage.lengths.max()) < 2 or isinstance(passage.cell, ByHand):
        return layer
    n = sum(passage.cell.state_sizes)
    samples = int(min(64, max(4, _WORK / n**3)))
    layer.spectrum = _or_none(lambda: dynamics.spectrum(passage, samples, seed))
    layer.lyapunov = _or_none(lambda: dynamics.lyapunov(passage, seed=seed, rows=8))
    layer.units = _or_none(lambda: units.units(passage, seed))
    layer.due = _or_none(lambda: _due(flow))
    if n <= _SMALL:
        layer.rest = _or_none(lambda: dynamics.fixed_points(passage, _SEARCHES, seed))
    return layer


def _due(flow: Flow) -> Tensor:
    """Measure what each input of the first sequence adds to the layer's output at the step asked,
    in the direction of the gradient there, against an average input: integrated gradients.

    Only the steps shown are looked at: the state that they begin from stays as it was.
    """
    passage, at = flow.passage, int(flow.at[0])
    same = [i for i, s in enumerate(passage.states) if torch.equal(s, passage.output)]
    if not same:
        raise InputError("The direction of the output is known only where the output is a state.")
    direction = flow.gradients[same[0]][at, 0]
    first = max(0, at + 1 - plain.SHOWN)
    one = passage.part(slice(1), slice(first, at + 1))
    along = direction / direction.norm().clamp(min=1e-30)
    mean = passage.x[passage.valid].mean(0)
    found = attribute(one, lambda y: (y[-1] * along).sum(-1), baseline=mean, steps=_NODES)
    if float(found.gap) > _GAP * float(one.output[-1].norm()):
        raise InputError("The layer is too sensitive for the integral to be exact.")
    return nn.functional.pad(found.values[:, 0], (first, passage.steps - at - 1))


def _or_none(measured: Callable[[], Any]) -> Any:
    """Return the measurement, or None where the layer does not allow it."""
    try:
        return measured()
    except InputError:
        return None


def _stuck(found: units.Units, keeps: str | None) -> dict[str, tuple[float, float]]:
    """Return for each gate the shares of units that are always open, and always closed.

    A unit that keeps its state for long takes in little at a time: beside an open keeping gate
    (as chrono initialisation has it) a closed one is no fault.
    """
    often = {
        name: (gate.open >= STUCK_FOR, gate.closed >= STUCK_FOR)
        for name, gate in found.saturation.items()
    }
    shares = {}
    for name, (high, low) in often.items():
        keeping = often[keeps][0] if keeps in often and keeps != name else None
        if keeping is not None and keeping.shape == low.shape:
            low = low & ~keeping
        shares[name] = high.double().mean().item(), low.double().mean().item()
    return shares


def _drift(found: units.Drift) -> tuple[float | None, bool]:
    """Return the state's norm after a long run over its largest in the trained length, and
    whether it grows by a like factor in each length: a sum grows by less and less."""
    steps = found.steps
    if steps < LONG_ENOUGH:
        return None, False
    norms = found.norms.nan_to_num(nan=math.inf, posinf=math.inf)
    last = max(1, steps // 10)
    ends = [float(norms[k * steps - last : k * steps].mean()) for k in range(1, 5)]
    ratio = ends[3] / max(float(norms[:steps].max()), 1e-30)
    if not math.isfinite(ratio):
        return math.inf, True
    before, after = (math.log(max(b, 1e-30) / max(a, 1e-30)) for a, b in pairwise(ends[1:]))
    return ratio, after > 0.8 * before > 0


def _growth(whole: Tensor) -> float | None:
    """Return the norm at the last lag over the norm at lag 1, the median over rows."""
    if len(whole) < 3:
        return None
    first, last = whole[1].double(), whole[-1].double()
    known = ~(first.isnan() | last.isnan()) & (first > 0)
    if not bool(known.any()):
        return None
    return float((last[known] / first[known]).nan_to_num(nan=math.inf, posinf=math.inf).median())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _row(*parts: str) -> str:
    widths = (24, 16, 36, 8, 0)
    return "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
