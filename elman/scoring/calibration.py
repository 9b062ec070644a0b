"""Probabilities that mean what they say: a temperature for class scores, found on held-out data.

A network that has learnt its training examples by heart is too sure of itself. Dividing its
scores by one number, the temperature, mends most of that and changes no answer (Guo et al. 2017,
"On calibration of modern neural networks"). `entities.reliability` and
`entities.calibration_error` measure what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.scoring.entities import calibration_error
from elman.scoring.rejection import By, Rejection, energy

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating]

RANGE = (0.02, 50.0)
"""Temperatures that are looked at."""
_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def temperature(scores: Floats, truth: NDArray[np.int64]) -> float:
    """Return the temperature at which the truth is likeliest.

    Args:
        scores: of each class, `(n, C)`: logits, or margins.
        truth: the code of each one's class, `(n,)`.

    >>> scores = np.log(np.array([[0.9, 0.1]] * 4))
    >>> stated = chances(scores, temperature(scores, np.array([0, 0, 0, 1])))
    >>> stated[0].round(3).tolist()
    [0.75, 0.25]
    """
    from scipy.optimize import minimize_scalar

    exact = scores.astype(np.float64)
    known = np.isfinite(exact[np.arange(len(truth)), truth])
    if not known.any():
        return 1.0
    exact, right = exact[known], truth[known]

    def cost(log: float) -> float:
        stated = chances(exact, float(np.exp(log)))[np.arange(len(right)), right]
        return float(-np.log(np.maximum(stated, 1e-300)).mean())

    found = minimize_scalar(cost, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def chances(scores: Floats, temperature: float = 1.0) -> NDArray[Any]:
    """Return the probability of each class, `(n, C)`, in the precision of the scores.

    >>> chances(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    if not scores.shape[1]:
        return scores
    cooled = scores / temperature
    raised = np.exp(cooled - cooled.max(1, keepdims=True))
    found: NDArray[Any] = raised / raised.sum(1, keepdims=True)
    return found


def of_units(units: pd.DataFrame) -> dict[str, Any] | None:
    """Return how far stated probabilities can be believed, as plain data.

    Args:
        units: of an evaluation of classes, `truth` and `prediction`, and where probabilities are
            known `confidence`, and `uncalibrated` before the temperature.

    Returns:
        `error` and `error_uncalibrated` (expected calibration error, 10 bins), and `answered`, the
        rows of `answered`; None where no probability is known.
    """
    if "confidence" in units and "best" in units:  # examples of no class have no right class
        units = units[units["inside"]].assign(prediction=lambda own: own["best"])
    if "confidence" not in units or not len(units):
        return None
    right = (units["truth"] == units["prediction"]).to_numpy()
    errors = {
        name: calibration_error(np.clip(units[column], 0, 1), right)
        for name, column in (("error", "confidence"), ("error_uncalibrated", "uncalibrated"))
    }
    table = answered(units["confidence"], right)
    return {**errors, "answered": table.to_dict("records")}


def _between(below: float, least: float) -> float:
    """Return the number of fewest decimals, two at least, above `below` and at most `least`.

    >>> _between(0.2, 0.563), _between(0.2, 0.567), _between(0.99957, 0.99963)
    (0.56, 0.567, 0.9996)
    """
    shorter = (round(least, places) for places in range(2, 17))
    return next((bound for bound in shorter if below < bound <= least), least)


def answered(confidence: ArrayLike, right: ArrayLike) -> pd.DataFrame:
    """Return how often answers are right where only the surest are given.

    Returns:
        `answered` (the share that is given), `confidence` (a bound, in as few decimals as can
        be, that the given answers reach and the others do not), `accuracy`.

    >>> answered([0.9, 0.6], [True, False]).iloc[[0, -1]].to_numpy().tolist()
    [[1.0, 0.6, 0.5], [0.5, 0.9, 1.0]]
    """
    import pandas as pd

    stated, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    order = np.argsort(-stated, kind="stable")
    rows: dict[int, tuple[float, float, float]] = {}
    for share in _SHARES:
        count = max(1, round(share * len(order)))
        # Answers of one confidence are all given or none: a threshold cannot part them.
        count = int(np.searchsorted(-stated[order], -stated[order[count - 1]], side="right"))
        others = float(stated[order[count]]) if count < len(order) else -1.0
        least = _between(others, float(stated[order[count - 1]]))
        rows[count] = count / len(order), least, float(hits[order[:count]].mean())
    return pd.DataFrame(list(rows.values()), columns=["answered", "confidence", "accuracy"])


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of some sequences, as a model or a baseline says.

    Attributes:
        scores: of each class, `(n, C)`.
        temperature: what they are divided by to be the logarithms of probabilities.
        stated: whether they then are; margins without a temperature are not.
        rejection: the rule by which answers are refused; None where none is.
        outside: whether the last score is that of "none of these".
    """

    scores: NDArray[Any]
    temperature: float = 1.0
    stated: bool = True
    rejection: Rejection | None = None
    outside: bool = False

    @property
    def best(self) -> NDArray[np.int64]:
        """The likeliest class of each; a temperature cannot change it."""
        classes = self.scores[:, :-1] if self.outside else self.scores
        return np.asarray(classes.argmax(1), np.int64)

    @cached_property
    def in_scope(self) -> Floats:
        """The score of being of any class, `(n,)`, by the rule of rejection."""
        by = "confidence" if self.rejection is None else self.rejection.by
        return self.scores_in_scope()[by]

    def scores_in_scope(self) -> dict[By, Floats]:
        """Return each score of being of any class that a rule could use, `(n,)` each."""
        if self.outside:
            return {"own class": 1 - np.asarray(self.chances[:, -1], np.float64)}
        return {
            "confidence": np.asarray(self.confidence, np.float64),
            "energy": energy(self.scores),
        }

    @property
    def codes(self) -> NDArray[np.int64]:
        """The answer: the likeliest class, or the number of classes where it is refused."""
        if self.rejection is None:
            return self.best
        classes = self.scores.shape[1] - self.outside
        return np.where(self.in_scope < self.rejection.least, classes, self.best)

    @cached_property
    def chances(self) -> NDArray[Any]:
        """The probability of each class, `(n, C)`."""
        return chances(self.scores, self.temperature)

    @property
    def confidence(self) -> NDArray[Any]:
        """The probability of the likeliest class."""
        return self.chances[np.arange(len(self.scores)), self.best]

    @property
    def uncalibrated(self) -> NDArray[Any]:
        """The probability that the likeliest class would have without the temperature."""
        return chances(self.scores)[np.arange(len(self.scores)), self.best]
