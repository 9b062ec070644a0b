"""How sure a score is, and whether one predictor is really better than another.

The percentile bootstrap (Efron 1979) over an evaluation's units. Differences
are taken pairwise on the same resamples, because two predictors that fail on
the same hard units differ far less than their intervals suggest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from elman.scoring import Evaluation
from elman.writing import written

Interval = tuple[float, float]

MODEL = "the model"
BLEND = "\0blend"
"""The name of a blend among baselines, none of which can have it."""

MOST_UNDEFINED = 0.01
"""Share of resamples in which a score may be undefined, and still have an interval.

A score that four units or fewer decide is undefined in more of them: they are all left out of
a resample by chance.
"""


@dataclass(frozen=True)
class Comparison:
    """The model, or a blend, against another on the headline metric; positive is better for it.

    Attributes:
        ci95: None where there was nothing to resample, or where the difference is undefined in
            too many resamples.
        undefined, resamples: how many resamples left the difference undefined, of how many.
    """

    baseline: str
    difference: float
    ci95: Interval | None
    undefined: int = 0
    resamples: int = 0


@dataclass(frozen=True)
class Uncertainty:
    """Intervals of the model and of each baseline, and the model against the best of them.

    Attributes:
        undefined: metric → resamples in which it is undefined, where there are any.
        blend: intervals of the blend.
        gains: the blend against the model, whose name is then `MODEL`, and the best baseline.
    """

    model: dict[str, Interval]
    baselines: dict[str, dict[str, Interval]]
    comparison: Comparison | None
    undefined: dict[str, int] = field(default_factory=dict)
    blend: dict[str, Interval] = field(default_factory=dict)
    gains: list[Comparison] = field(default_factory=list)


def bootstrap(
    model: Evaluation,
    baselines: Mapping[str, Evaluation],
    metric: str,
    higher_is_better: bool,
    resamples: int,
    seed: int,
    blend: Evaluation | None = None,
) -> Uncertainty:
    """95 % intervals of every metric, and of the difference to the best baseline.

    With `resamples=0` intervals collapse to the score itself. A single unit says nothing of how
    sure a score is: it has no interval (NaN). Resamples in which a score is undefined are left out
    and counted; where they are many, too few units decide the score, and it has no interval either.
    An interval is as much wider than its resamples as the model's `Evaluation.widened` says.
    """
    count, asked, widened = len(model.units), resamples, model.widened
    if count < 2:
        resamples = 0
    generator = np.random.default_rng(seed)
    draws: dict[str, list[dict[str, float]]] = {"": [], **{name: [] for name in baselines}}
    everyone = {"": model, **baselines}
    if blend is not None:
        everyone[BLEND] = blend
        draws[BLEND] = []
    for _ in range(resamples):
        rows = generator.integers(0, count, count)
        for name, evaluation in everyone.items():
            draws[name].append(evaluation.score(evaluation.units.iloc[rows]))

    def intervals(name: str) -> dict[str, Interval]:
        metrics = everyone[name].metrics.items()
        if asked and not resamples:
            return dict.fromkeys(everyone[name].metrics, (float("nan"), float("nan")))
        return {m: _interval([draw[m] for draw in draws[name]], v, widened) for m, v in metrics}

    def compared(one: str, other: str, called: str) -> Comparison:
        sign = 1.0 if higher_is_better else -1.0
        difference = sign * (everyone[one].metrics[metric] - everyone[other].metrics[metric])
        pairs = zip(draws[one], draws[other], strict=True)
        spread = [sign * (ours[metric] - theirs[metric]) for ours, theirs in pairs]
        undefined = len(spread) - int(np.isfinite(spread).sum())
        interval = _interval(spread, difference, widened) if resamples else None
        if undefined > MOST_UNDEFINED * resamples:
            interval = None
        return Comparison(called, difference, interval, undefined, resamples if undefined else 0)

    best = best_baseline(baselines, metric, higher_is_better)
    comparison = None if best is None else compared("", best, best)
    gains = []
    if blend is not None:
        gains = [compared(BLEND, "", MODEL)]
        gains += [] if best is None else [compared(BLEND, best, best)]
    missed = {
        name: sum(not np.isfinite(draw[name]) for draw in draws[""]) for name in model.metrics
    }
    return Uncertainty(
        intervals(""),
        {name: intervals(name) for name in baselines},
        comparison,
        {name: count for name, count in missed.items() if count},
        {} if blend is None else intervals(BLEND),
        gains,
    )


def best_baseline(
    baselines: Mapping[str, Evaluation], metric: str, higher_is_better: bool
) -> str | None:
    """The name of the baseline to beat, or None where there is none with a finite score.

    Some baselines have other metrics only: n-grams have a perplexity and write nothing.
    """
    scores = {name: e.metrics.get(metric, np.nan) for name, e in baselines.items()}
    finite = {name: score for name, score in scores.items() if np.isfinite(score)}
    if not finite:
        return None
    return (max if higher_is_better else min)(finite, key=lambda name: finite[name])


def verdict(
    metric: str,
    score: float,
    baseline: float | None,
    found: Comparison | None,
    evidence: str | None = None,
) -> str:
    """One sentence: is the recurrent model worth using?

    `evidence`, words that go on a sentence, is what earlier origins showed; it speaks where there
    is nothing to resample.

    >>> verdict("accuracy", 0.9, 0.8, Comparison("majority", 0.1, (0.05, 0.15)))
    'Worth using: accuracy 0.9 beats the best baseline, majority (0.8), by 0.1 [0.05, 0.15].'
    """
    words = metric.replace("_", " ")
    if not np.isfinite(score):
        return f"Cannot tell: {words} is undefined here."
    ours = written(score)
    if found is None or baseline is None:
        return f"Cannot tell: {words} {ours}, and no baseline could be run."
    theirs, by = written(baseline), written(found.difference, 3)
    left_out = ""
    if found.undefined:
        left_out = f"; {words} is undefined in {found.undefined} of {found.resamples} resamples"
    if found.ci95 is None and found.undefined:
        return (
            f"Cannot tell how surely: {words} {ours} against {theirs} of the best "
            f"baseline, {found.baseline}{left_out}, so too few of the units decide it."
        )
    if found.ci95 is None:
        return (
            f"Cannot tell how surely: {words} {ours} against {theirs} of the best "
            f"baseline, {found.baseline}, with {evidence or 'nothing to resample'}."
        )
    low, high = found.ci95
    interval = f"[{written(low, 3)}, {written(high, 3)}]"
    if low > 0:
        return (
            f"Worth using: {words} {ours} beats the best baseline, {found.baseline} "
            f"({theirs}), by {by} {interval}{left_out}."
        )
    if high < 0:
        return (
            f"Not worth using: the baseline {found.baseline} is better, {words} {theirs} "
            f"against {ours}; difference {by} {interval}{left_out}."
        )
    return (
        f"No clear gain: {words} {ours} against {theirs} of the baseline "
        f"{found.baseline}; the interval of the difference {interval} holds zero, so prefer the "
        "simpler one."
    )


def recommended(found: Comparison | None, preferred: bool | None = None) -> str | None:
    """Return the baseline to use rather than the model, or None where it is the model.

    The simpler one where the interval of the difference holds zero. Without an interval it is the
    model where it is `preferred` by earlier origins, or, where these say nothing, has the better
    score.

    >>> recommended(Comparison("majority", 0.1, (-0.05, 0.15)))
    'majority'
    """
    if found is None:
        return None
    if found.ci95 is None and preferred is not None:
        return None if preferred else found.baseline
    least = found.difference if found.ci95 is None else found.ci95[0]
    # An undefined score of the model is not above zero either.
    return None if least > 0 else found.baseline


def together(metric: str, other: str, score: float, gains: Sequence[Comparison]) -> str:
    """One sentence: a blend is better than the model and than every baseline.

    >>> gains = [Comparison(MODEL, 0.1, (0.05, 0.2)), Comparison("counts", 0.3, (0.2, 0.4))]
    >>> together("accuracy", "counts", 0.9, gains).split(": ")[0]
    'Worth using together with counts'
    """
    beaten = []
    for one in gains:
        assert one.ci95 is not None
        name = one.baseline if one.baseline == MODEL else f"the best baseline, {one.baseline},"
        low, high = one.ci95
        by, least, most = (written(number, 3) for number in (one.difference, low, high))
        beaten.append(f"{name} by {by} [{least}, {most}]")
    words = metric.replace("_", " ")
    return (
        f"Worth using together with {other}: {words} {written(score)} of the blend beats "
        f"{' and '.join(beaten)}."
    )


def _interval(values: list[float], score: float, widened: float) -> Interval:
    """Return the interval of a score from its resamples, as much wider about it as is said."""
    if not values:
        return (score, score)
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if len(values) - len(finite) > MOST_UNDEFINED * len(values):
        return (float("nan"), float("nan"))
    low, high = np.percentile(finite, [2.5, 97.5])
    if widened != 1.0:
        low, high = (score + widened * (bound - score) for bound in (low, high))
    return (float(low), float(high))
