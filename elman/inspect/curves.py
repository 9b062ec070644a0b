"""Rules read the curves of training and validation loss: one that rose, one that still falls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, pstdev

Curve = Sequence[tuple[int, float]]
"""Losses, each with its training step."""

RISEN = 0.1
"""Rise of the validation loss since its best, as a share of that: less may be chance."""
RISEN_OF_FALL = 0.02
"""Rise of the validation loss as a share of what was learnt: a loss near 0 doubles by nothing."""
STILL_FALLS = 0.05
"""Share of all that was learnt that came between two thirds and nine tenths of the training: an
exponential that has run for four of its time constants is below it."""
STILL_MOVES = 0.005
"""Share of the loss by which it must have fallen there at least."""
SURE = 3.0
"""Standard errors by which it must have fallen, by the noise of the curve itself."""
MOVED = 0.01
"""Share of the first training loss by which a run that learns lowers it at least."""
MOVED_BY_CREEPING = 0.05
"""Least share where updates hardly move the weights."""


def rise(validated: Curve, trained: Curve = ()) -> tuple[float, float, int] | None:
    """Return best and last validation loss and the step of the best, if it has risen since.

    The last loss is the median of the last three since the best, of which there must be two. Where
    training rows are known, the training loss must have fallen on meanwhile: if it rose too, the
    training went wrong and nothing was learnt by heart.

    >>> falls, rises = [(k, 3 - k / 5) for k in range(10)], [(k, 1.2 + k / 50) for k in range(20)]
    >>> rise(falls)
    >>> rise(falls + [(k + 10, v) for k, v in rises])
    (1.2, 1.56, 9)
    """
    if not validated:
        return None
    at, best = min(validated, key=lambda point: point[1])
    after = [value for step, value in validated if step > at]
    if len(after) < 2 or best <= 0:
        return None
    last = median(after[-3:])
    grown = last - best
    learnt = _start(validated, trained) - best
    if grown < RISEN * best or grown < RISEN_OF_FALL * learnt:
        return None
    before = [value for step, value in trained if step <= at]
    since = [value for step, value in trained if step > at]
    if before and since and since[-1] >= before[-1]:
        return None
    return best, last, at


def falling(curve: Curve, start: float | None = None) -> tuple[float, float] | None:
    """Return the loss at about two thirds and at the end of training, if it still falls.

    Args:
        curve: three points or more.
        start: the loss at the beginning, where the curve begins later.

    >>> falling([(k, 0.9**k) for k in range(1, 21)]) is not None
    True
    >>> falling([(k, 0.9**k) for k in range(1, 61)])
    """
    if len(curve) < 3:
        return None
    end = curve[-1][0]
    middle = [value for step, value in curve if 0.5 * end < step <= 0.8 * end]
    late = [value for step, value in curve if step > 0.8 * end]
    if not middle or not late:
        return None
    before, now = fmean(middle), fmean(late)
    learnt = max(curve[0][1], start if start is not None else curve[0][1]) - now
    fell = before - now
    values = [*middle, *late]
    turns = [b - a for a, b in pairwise(values)]
    noise = pstdev(turns) / 2**0.5 if len(turns) > 1 else 0.0
    lowest = min(value for _, value in curve)
    at_its_best = min(late) <= lowest + max(noise, 0.01 * abs(lowest))
    error = noise * (1 / len(middle) + 1 / len(late)) ** 0.5
    enough = fell > max(STILL_FALLS * learnt, STILL_MOVES * abs(now), SURE * error)
    return (before, now) if enough and at_its_best else None


def flat(trained: Curve, creeps: bool = False) -> tuple[float, float] | None:
    """Return the first and the lowest training loss, if it has hardly moved.

    Args:
        trained: five points or more, three where updates creep.
        creeps: whether updates hardly move the weights.

    >>> flat([(50 * k, 0.69) for k in range(1, 9)])
    (0.69, 0.69)
    """
    if len(trained) < (3 if creeps else 5):
        return None
    first, lowest = trained[0][1], min(value for _, value in trained)
    least = MOVED_BY_CREEPING if creeps else MOVED
    return (first, lowest) if first - lowest < least * abs(first) else None


def _start(validated: Curve, trained: Curve) -> float:
    return max([validated[0][1], *[value for _, value in trained[:1]]])
