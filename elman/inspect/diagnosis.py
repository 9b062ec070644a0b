"""Rules turn measurements into findings, each with its evidence and its remedies.

A rule is a function of facts, which are plain numbers, so that it can be read, argued with and
tested without a network. Its threshold stands beside it with the reason for it. A rule speaks only
of what was measured: no facts, no finding.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from elman.inspect.curves import falling, flat, rise
from elman.inspect.facts import LayerFacts, RunFacts
from elman.inspect.remedies import (
    LEAPS,
    UPDATES,
    Remedy,
    changes,
    normalised,
    orthogonal,
    to_bound,
    to_calm,
    to_clip_less,
    to_generalise,
    to_hurry,
    to_judge,
    to_look_back,
    to_move,
    to_reach_down,
    to_remember,
    to_revive,
    to_slow,
    to_train_on,
)
from elman.training.thresholds import (
    CLIPPED,
    CLOSED,
    LEAST_MEMORY,
    OPEN,
    REACH,
    SATURATED,
    SPIKES,
)

Severity = Literal["ill", "warning", "unknown", "note", "healthy"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: of the disease, "healthy", or "not measured".
        severity: "ill" (it keeps the model from learning the task), "warning" (it may),
            "unknown" (what would tell was not measured), "note".
        evidence: the figures, in a sentence.
        remedies: first the one to try first.
        layer: where, if in one layer.
    """

    name: str
    severity: Severity
    evidence: str
    remedies: tuple[Remedy, ...] = ()
    layer: str = ""


@dataclass(frozen=True)
class Trial:
    """One short training with a remedy.

    Attributes:
        name: of the remedy, or "as it was".
        settings: that were changed.
        metric: the best value of the headline metric on the validation part; NaN if it failed.
        horizon: of the longest memory after it, in steps.
        helped: whether it is better than the run as it was; of one run each, so that a small
            difference means little. None of the run as it was.
        failed: why there is no metric.
        by: the name of the metric, and the part that it is of.
        higher_is_better: of that metric.
    """

    name: str
    settings: dict[str, Any]
    metric: float
    horizon: float | None
    helped: bool | None
    failed: str = ""
    by: str = ""
    higher_is_better: bool = False

    @property
    def verdict(self) -> str:
        """Say in words what came of it."""
        if self.failed:
            return "failed"
        if self.helped is None:
            return ""
        return f"helped, by {self.by.replace('_', ' ')}" if self.helped else "did not help"


TRUNCATED = "truncation too short"
VANISHING = 0.5
"""A share of the steps that the task needs: a memory shorter than this cannot do it."""
EXPLODING, GROWS = 100.0, 1.05
"""Growth of the gradient over the lags looked at, and in a step: beyond both the oldest step
outweighs all others."""
FAINT = 1e-3
"""Share of the gradient at the top of a stack that reaches its lowest layer: with less it learns a
thousand times more slowly under plain descent. Four LSTMs as torch draws them keep 6e-3; of eight
3e-5 is left, where Wu et al. 2016 found that plain stacks do very poorly."""
STUCK = 0.5
"""Share of units whose gate does not move: fewer are a division of labour."""
DEAD = 0.2
"""Share of units that never answer; some always are in a rectified layer."""
DRIFT, COUNTS = 8.0, 2.5
"""Growth of the state in four times the trained length: a sum grows fourfold, as a counter's
must; what grows faster, and goes on by a like factor, has no bound."""
CUT = 0.5
"""Share of the gradient cut off at which more is lost than kept."""
SWITCHING = 0.4
"""Share of saturated values in every gate but the one that keeps the state, which must be open to
remember: with more, most of what the gates say is yes or no."""
CREEPS = 1e-4
"""Size of an update over that of the weights below which nothing comes of thousands of them;
around 1e-3 is usual."""
LEAST_POINTS = 3
"""Losses of a curve from which it can be told whether it still falls."""
WIDE = 0.2
"""Width of an interval as a share of the score: with more, few differences can be told."""


def diagnose(layers: Sequence[LayerFacts], run: RunFacts | None = None) -> list[Finding]:
    """Say what the facts mean, the worst first; one finding "healthy" if nothing is wrong.

    A remedy is proposed only if the cell can take it, and the run is not as it says already.

    >>> facts = LayerFacts("rnn.l0", "Elman", 64, 200, decay=0.6, horizon=9.0)
    >>> [finding.name for finding in diagnose([facts], RunFacts(need=100))]
    ['vanishing gradients']
    >>> diagnose([facts])[0].name
    'healthy'
    """
    run = run or RunFacts()
    if run.broken:
        # Of what is no number, every other measurement is a measurement of that.
        return [Finding("not a number", "ill", run.broken)]
    found = [
        replace(finding, remedies=tuple(r for r in finding.remedies if changes(r, run)))
        for finding in _joined([f for rule in _RULES for f in rule(layers, run)])
    ]
    found.sort(key=lambda finding: _ORDER.index(finding.severity))
    if not any(finding.severity in ("ill", "warning") for finding in found):
        found.insert(0, _unmeasured(layers, run) or _healthy(layers, run))
    return found


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """Join like findings of several layers into one, with the evidence of the worst."""
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    found = []
    for same in by_name.values():
        worst = min(same, key=lambda finding: _ORDER.index(finding.severity))
        found.append(replace(worst, layer=", ".join(f.layer for f in same if f.layer)))
    return found


_ORDER = ("ill", "warning", "unknown", "note", "healthy")


def _unmeasured(layers: Sequence[LayerFacts], run: RunFacts) -> Finding | None:
    """Return the finding that what would tell health from illness was not measured, or None."""
    longer = [facts for facts in layers if facts.steps > 1]
    missing = []
    if layers and not longer:
        missing.append("what goes through time (every layer took a single step)")
    if longer and all(facts.decay is None and facts.growth is None for facts in longer):
        missing.append("how gradients flow back")
    if longer and all(facts.horizon is None for facts in longer):
        missing.append("how far the memory reaches")
    points = max(len(run.trained), len(run.validated))
    if run.metric and points < LEAST_POINTS:
        missing.append(
            "whether it has learnt enough (too short: its loss was taken "
            f"{'once' if points == 1 else f'{points} times'})"
        )
    if not missing:
        return None
    need = f" The task needs about {run.need:.3g} {run.unit}." if run.need is not None else ""
    return Finding(
        "not measured",
        "unknown",
        f"Nothing ill was found, but {' and '.join(missing)} could not be measured, so that this "
        f"is not called healthy.{need}",
    )


def _healthy(layers: Sequence[LayerFacts], run: RunFacts) -> Finding:
    said = []
    known = [f.horizon for f in layers if f.horizon is not None]
    if known:
        far = max(known)
        more = " or more" if any(f.beyond for f in layers if f.horizon == far) else ""
        said.append(f"the memory reaches {far:.3g} {run.unit}{more}")
    if run.need is not None:
        by = f" ({run.need_by})" if run.need_by else ""
        said.append(f"the task needs about {run.need:.3g}{by}")
    rates = [f.decay for f in layers if f.decay is not None and math.isfinite(f.decay)]
    if rates:
        both = dict.fromkeys((f"{min(rates):.3g}", f"{max(rates):.3g}"))
        said.append(f"gradients are multiplied by {' to '.join(both)} in a step back")
    told = "; ".join(said) or "nothing out of the ordinary was measured"
    return Finding("healthy", "healthy", told[0].upper() + told[1:] + ".")


# Rules about gradients and memory


def _vanishing(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    known = [facts for facts in layers if facts.horizon is not None]
    if run.need is None or not known:
        return
    # A stack remembers as long as its layer that remembers longest.
    facts = max(known, key=lambda facts: facts.horizon or 0.0)
    assert facts.horizon is not None
    need = min(run.need, float(facts.steps - 1))
    short = facts.horizon < VANISHING * need and not facts.beyond
    by = f" ({run.need_by})" if run.need_by else ""
    needed = f"the data depends on what was {run.need:.3g} back{by}."
    if need < LEAST_MEMORY:
        return
    if run.window is not None and run.window < VANISHING * need:
        # No memory beyond the window was ever trained.
        told = f"Gradients flow through {run.window} {run.unit} in training; {needed}"
        reach = max(2 * run.window, round(run.need))
        longer = to_look_back(run, reach, "which reach as far back")
        yield Finding(TRUNCATED, "ill" if short else "warning", told, (longer,), facts.name)
    elif short:
        told = (
            f"The influence of an input is under {REACH:.0%} after {facts.horizon:.3g} {run.unit}; "
        )
        told += needed
        if facts.decay is not None and facts.decay < 1:
            told += f" The gradient shrinks to {facts.decay:.3g} of itself in a step back."
        yield Finding("vanishing gradients", "ill", told, to_remember(facts, run), facts.name)


def _faint(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    for stack in _stacks(layers):
        lowest, top = stack[min(stack)], stack[max(stack)]
        below, above = _together(lowest), _together(top)
        if len(stack) < 2 or not above > 0 or below >= FAINT * above:
            continue
        yield Finding(
            "vanishing gradients between layers",
            "warning",
            f"The lowest of {len(stack)} layers gets {below / above:.2g} of the gradient by the "
            "states of the top layer, summed over all lags.",
            to_reach_down(lowest[0], len(stack), run),
            lowest[0].name,
        )


_PLACE = re.compile(r"(?:(.+)\.)?l(\d+)(?:_reverse)?")


def _stacks(layers: Sequence[LayerFacts]) -> list[dict[int, list[LayerFacts]]]:
    """Sort the layers of each stack by height, both directions and all calls of one together."""
    stacks: dict[str, dict[int, list[LayerFacts]]] = {}
    for facts in layers:
        place = _PLACE.fullmatch(facts.name)
        if place is not None and facts.gradient is not None:
            stack = stacks.setdefault(place[1] or "", {})
            stack.setdefault(int(place[2]), []).append(facts)
    return list(stacks.values())


def _together(part: Sequence[LayerFacts]) -> float:
    return math.hypot(*[facts.gradient or 0.0 for facts in part])


def _exploding(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    # A gradient comes down a stack over more steps than one, and so grows at first in the lower
    # layers; while there is less of it there than at the top nothing explodes.
    less = [
        facts.name
        for stack in _stacks(layers)
        for part in stack.values()
        for facts in part
        if _together(part) < _together(stack[max(stack)])
    ]
    for facts in layers:
        if facts.growth is None or facts.name in less:
            continue
        broken = not math.isfinite(facts.growth)
        if not broken and (facts.growth < EXPLODING or (facts.decay or 0.0) < GROWS):
            continue
        grown = "to more than a number holds" if broken else f"{facts.growth:.3g}-fold"
        told = f"The gradient grows {grown} over {facts.steps - 1} {run.unit} back"
        told += f", by {facts.decay:.4g} a step." if facts.decay is not None else "."
        yield Finding("exploding gradients", "ill", told, to_calm(facts, run), facts.name)


# Rules about one layer


def _stuck(facts: LayerFacts, run: RunFacts) -> Iterator[Finding]:
    others = {name: share for name, share in facts.saturated.items() if name != facts.keeps}
    said: tuple[Literal["ill", "warning"], str, str, str] | None = None
    if facts.saturated and min(facts.saturated.values()) > SATURATED:
        said = "ill", "Nearly all values", "are", "gates switch and no gradient passes"
    elif others and min(others.values()) >= SWITCHING:
        said = "warning", "A large part of the values", "is", "little gradient passes"
    if said is not None:
        severity, part, verb, so = said
        told = ", ".join(f"{name} {share:.0%}" for name, share in facts.saturated.items())
        yield Finding(
            "saturated gates",
            severity,
            f"{part} of every gate {verb} below {CLOSED} or above {OPEN} ({told}): {so} through "
            "them.",
            (*to_slow(run), *normalised(facts, run, "normalise what goes into the gates")),
            facts.name,
        )
        return
    for gate, (high, low) in facts.stuck.items():
        if max(high, low) < STUCK:
            continue
        if gate == facts.keeps and high >= low:
            # An open keeping gate is memory. It is an illness only where nothing else moves.
            if run.need is not None and facts.horizon is not None and facts.beyond:
                continue
            yield Finding(
                f"gate {gate} always open",
                "note",
                f"{high:.0%} of units keep at least 95 % of their state in nearly every step.",
                (),
                facts.name,
            )
            continue
        side, share = ("open", high) if high >= low else ("closed", low)
        yield Finding(
            "saturated gates",
            "ill" if share > 0.9 else "warning",
            f"Gate {gate} is {side} in at least 95 % of all steps for {share:.0%} of units: no "
            "gradient passes through it.",
            to_move(facts, run),
            facts.name,
        )


def _dead(facts: LayerFacts, run: RunFacts) -> Iterator[Finding]:
    if facts.dead is not None and facts.dead >= DEAD:
        anew = to_revive(facts, run) if facts.rectified else ()
        yield Finding(
            "dead units",
            "ill" if facts.dead > 0.5 else "warning",
            f"{facts.dead:.0%} of {facts.hidden_size} units answer nothing at any step.",
            (*anew, *to_slow(run)) if facts.dead > 0.5 else (*to_slow(run), *anew),
            facts.name,
        )
    elif facts.constant is not None and facts.constant >= STUCK:
        yield Finding(
            "constant units",
            "warning",
            f"{facts.constant:.0%} of {facts.hidden_size} units say the same at every step.",
            (*orthogonal(facts, run), *to_slow(run)),
            facts.name,
        )


def _drifts(facts: LayerFacts, run: RunFacts) -> Iterator[Finding]:
    if facts.drift is None or facts.drift < COUNTS:
        return
    grown = (
        f"{facts.drift:.3g}-fold" if math.isfinite(facts.drift) else "beyond what a number holds"
    )
    # A sum is harmless over one sequence. In a text that goes on and on, of which no unit forgets
    # anything, there is no length that was trained on: LSTMs whose forget gates stay open score
    # a bit a character worse there, and the gradient shows nothing of it.
    kept = facts.stuck.get(facts.keeps, (0.0, 0.0))[0] if facts.keeps else 0.0
    endless = run.window is not None and kept >= STUCK
    yield Finding(
        "state drift",
        "warning" if endless or (facts.unbounded and facts.drift >= DRIFT) else "note",
        f"Beyond the trained length the state grows {grown}, past what the rest of the model "
        "has seen.",
        to_bound(facts, run),
        facts.name,
    )


# Rules about the run


def _truncated(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    cut = max((f.cut for f in layers if f.cut is not None), default=None)
    if run.window is None or cut is None or not cut >= CUT:  # NaN where gradients overflow
        return
    enough = max([2 * run.window, *[f.enough for f in layers if f.enough is not None]])
    yield Finding(
        TRUNCATED,
        "warning",
        f"{cut:.0%} of the gradient of the recurrent weights comes from more than {run.window} "
        f"{run.unit} back, which training cuts off.",
        (to_look_back(run, enough, "which hold nine tenths of it"),),
    )


def _clipped(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    if run.clip_rate is None or run.clip_rate < CLIPPED or run.norms is None:
        return
    threshold = f", the threshold {run.clip_at:.3g}" if run.clip_at is not None else ""
    yield Finding(
        "clipping always on",
        "note" if str(run.settings.get("optimizer", "sgd")) in _SCALE_FREE else "warning",
        f"The gradient was clipped in {run.clip_rate:.0%} of the later steps: its norm is "
        f"{run.norms[0]:.3g} in the median{threshold}. The direction is kept, the step is always "
        "the same length.",
        to_clip_less(run),
    )


_SCALE_FREE = ("adam", "adamw", "nadam", "radam", "rmsprop", "adagrad")
"""Rules that divide by the size of past gradients: how long a step is, clipping does not decide."""


def _too_fast(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    said = []
    if run.rollbacks:
        said.append(f"training diverged {run.rollbacks} times and went back")
    if run.spikes is not None and run.spikes >= SPIKES:
        said.append(f"the loss leapt in {run.spikes:.1%} of all steps")
    if run.update_ratio is not None and run.update_ratio > UPDATES:
        said.append(f"an update moves the weights by {run.update_ratio:.1%} of their size")
    if run.largest_update is not None and run.largest_update > LEAPS:
        said.append(f"one update moved the weights by {run.largest_update:.0%} of their size")
    if not said:
        return
    told = " and ".join(said)
    ill = run.rollbacks > 0 or len(said) > 1
    yield Finding(
        "learning rate too high",
        "ill" if ill else "warning",
        told[0].upper() + told[1:] + ".",
        to_slow(run),
    )


def _overfitted(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    found = rise(run.validated, run.trained)
    if found is None:
        return
    best, last, at = found
    told = (
        f"The validation loss has risen by {last / best - 1:.0%}, from {best:.3g} at step {at} to "
    )
    told += f"{last:.3g}"
    since = [value for step, value in run.trained if step > at]
    if since:
        told += f", while the training loss fell to {since[-1]:.3g}"
    yield Finding("overfitting", "warning", told + ".", to_generalise(list(layers), run))


def _undertrained(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    curve = run.validated or run.trained
    if run.stopped == "patience" or rise(run.validated, run.trained) is not None:
        return
    if flat(run.trained, _creeps(run)) is not None:
        return
    found = falling(curve, run.trained[0][1] if run.trained else None)
    if found is None:
        return
    which = "validation" if run.validated else "training"
    yield Finding(
        "undertrained",
        "warning",
        f"The {which} loss was still falling when training ended at step {curve[-1][0]}: from "
        f"{found[0]:.3g} at two thirds to {found[1]:.3g} at the end. Train longer before anything "
        "else is judged.",
        to_train_on(run),
    )


def _creeps(run: RunFacts) -> bool:
    return run.update_ratio is not None and run.update_ratio < CREEPS


def _unmoved(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    slow = _creeps(run)
    found = flat(run.trained, slow)
    if found is None:
        return
    told = (
        f"The training loss has hardly moved: {found[0]:.4g} in the first row, {found[1]:.4g} at "
    )
    told += "its lowest. "
    if slow:
        told += f"An update moves the weights by {run.update_ratio:.2g} of their size."
    else:
        told += "Either the inputs do not tell the answer, or nothing gets through to the weights."
    yield Finding("nothing learnt", "warning", told, to_hurry(run) if slow else ())


def _noisy(layers: Sequence[LayerFacts], run: RunFacts) -> Iterator[Finding]:
    if run.interval is None or not run.score:
        return
    low, high = run.interval
    if high - low < WIDE * abs(run.score):
        return
    rows = "" if run.examples is None else f" on {run.examples} rows"
    yield Finding(
        "evaluation noise",
        "note",
        f"The test {run.metric.replace('_', ' ')} is {run.score:.3g}{rows}, with a 95 % interval "
        f"from {low:.3g} to {high:.3g}: a difference between two models that is smaller than that "
        "cannot be told from chance.",
        to_judge(),
    )


def _each(
    rule: Callable[[LayerFacts, RunFacts], Iterator[Finding]],
) -> Callable[[Sequence[LayerFacts], RunFacts], Iterator[Finding]]:
    """Turn a rule about one layer into a rule about all layers."""
    return lambda layers, run: (finding for facts in layers for finding in rule(facts, run))


def _detached(facts: LayerFacts, run: RunFacts) -> Iterator[Finding]:
    """A loop that takes its state out of the graph learns nothing of what lies further back."""
    if not facts.detached:
        return
    every = facts.detached >= facts.steps - 1
    where = "after each step" if every else f"{facts.detached} times in {facts.steps} {run.unit}"
    remedy = Remedy(
        "no detach() between the steps: only where a new window of a long sequence begins",
        {},
        "Werbos 1990; Williams & Peng 1990",
    )
    yield Finding(
        "state detached",
        "ill" if every else "warning",
        f"The state is detached {where}: no gradient goes further back, so nothing that lies "
        "before can be learnt from.",
        (remedy,),
        facts.name,
    )


_RULES: tuple[Callable[[Sequence[LayerFacts], RunFacts], Iterator[Finding]], ...] = (
    _each(_detached),
    _exploding,
    _each(_stuck),
    _each(_dead),
    _each(_drifts),
    _vanishing,
    _faint,
    _truncated,
    _clipped,
    _too_fast,
    _overfitted,
    _undertrained,
    _unmoved,
    _noisy,
)
