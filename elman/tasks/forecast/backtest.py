"""How long to train on a short series: a backtest over several origins before the held-out part.

A single stretch of validation of a short series says little of the best step, and its rows are
missed in training. So the model is trained from the start for each of several earlier origins, on
the rows before it, and judged on the horizon that follows. The step that is best on average is
kept; then one model is trained for so many steps on all rows before the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from elman.tasks.forecast.windows import Ends, training_origins
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.forecast.settings import ForecastSettings

FEW_WINDOWS = 300
"""Windows of the training part up to which a backtest finds the number of steps."""
MOST_ORIGINS, LEAST_ORIGINS = 5, 2
MOST_STEPS = 600
EVERY = 10
"""Steps between two looks at the held-out horizon."""
PATIENCE = 12
"""Looks without improvement after which an origin is done."""
SHARE = 0.5
"""Part of a budget for all origins together."""
WARMUP = 20
EMA = 0.9


@dataclass(frozen=True)
class Plan:
    """The result of a backtest.

    Attributes:
        steps: to train for.
        metric: that the scores are of.
        origins: the time or place of each origin.
        best: the step at which each was forecast best.
        scores: predictor → its score at each origin, of the model after `steps`.
        correction: of the quantiles, from the errors at all origins.
        weights: baseline → weight of the model in the best mixture of both, over all origins.
    """

    steps: int
    metric: str
    origins: list[str]
    best: list[int]
    scores: dict[str, list[float | None]]
    correction: list[float]
    weights: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_json` described."""
        return cls(**{each.name: about[each.name] for each in fields(cls)})

    def mean(self, name: str) -> float | None:
        """Return the mean score of a predictor, None where one origin has none."""
        scores = self.scores.get(name)
        if scores is None or any(score is None for score in scores):
            return None
        return float(np.mean([score for score in scores if score is not None]))

    def evidence(
        self, model: str, baseline: str, test: tuple[float, float]
    ) -> tuple[str, bool] | None:
        """Return what all origins say of model and baseline, and whether to prefer the model.

        The words go on a sentence.

        Args:
            model: its name.
            baseline: its name.
            test: the scores of both in the test, which counts as one origin more.
        """
        ours, theirs = self.mean(model), self.mean(baseline)
        if ours is None or theirs is None:
            return None
        pairs = zip(self.scores[model], self.scores[baseline], strict=True)
        won = sum(a is not None and b is not None and a < b for a, b in pairs)
        count, metric = len(self.origins), self.metric.replace("_", " ")
        both = [(ours * count + test[0]) / (count + 1), (theirs * count + test[1]) / (count + 1)]
        better = both[0] < both[1]
        return (
            f"too few horizons to resample; over {count} earlier origins the model was better at "
            f"{won} ({metric} {written(ours)} against {written(theirs)} on average), with the test "
            f"{written(both[0])} against {written(both[1])}, so prefer "
            f"{'the model' if better else baseline}"
        ), better

    def table(self) -> pd.DataFrame:
        """Return a row an origin: its best step, and the score of each predictor."""
        import pandas as pd

        rows = pd.DataFrame({"origin": self.origins, "best step": self.best} | self.scores)
        mean = {"origin": "mean", "best step": round(float(np.mean(self.best)))}
        means = {name: self.mean(name) for name in self.scores}
        return pd.concat([rows, pd.DataFrame([mean | means])], ignore_index=True)


def origins(ends: Sequence[Ends], lookback: int, horizon: int) -> int:
    """Return how many origins a backtest has; 0 where series are long, or too short for one.

    The first origin has half of the rows before the test behind it, or more.
    """
    if training_origins(ends, lookback, horizon).count > FEW_WINDOWS:
        return 0
    count = min(MOST_ORIGINS, min((e.valid // 2) // horizon for e in ends))
    return count if count >= LEAST_ORIGINS else 0


def folds(ends: Sequence[Ends], count: int, horizon: int) -> list[list[Ends]]:
    """Return the parts of each origin: the rows before it train, the horizon after it judges."""
    return [
        [Ends(e.valid - back, e.valid - back + horizon, e.valid - back + horizon) for e in ends]
        for back in range(count * horizon, 0, -horizon)
    ]


def recipe(settings: ForecastSettings) -> dict[str, Any]:
    """Return how a model of a short series is trained, in the backtest and after it.

    At one rate after a warm-up, with averaged parameters in place of a rate that falls: so the
    best step does not depend on how many were to come.
    """
    changed: dict[str, Any] = {"epochs": None, "schedule": "constant", "warmup": WARMUP}
    if settings.averaging == "none":
        changed |= {"averaging": "ema", "ema_decay": EMA}
    return changed


@dataclass
class Looking:
    """An objective that keeps the forecasts of every look at the held-out horizon."""

    objective: Any
    forecast: Callable[[], tuple[Tensor, float]]
    seen: list[tuple[Tensor, float]] = field(default_factory=list)
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        self.model, self.metric = self.objective.model, self.objective.metric

    def loss(self, batch: Any, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the loss of training."""
        found: tuple[Tensor, float, Any] = self.objective.loss(batch, carried)
        return found

    def validate(self) -> dict[str, float]:
        """Return the score of the point forecast at the held-out horizon."""
        self.seen.append(self.forecast())
        return {self.metric: self.seen[-1][1]}


def best_step(curves: Sequence[Sequence[tuple[int, float]]]) -> int:
    """Return the step of the lowest mean of several curves of `(step, score)`.

    A curve that ends early keeps its last score.

    >>> best_step([[(10, 3.0), (20, 1.0), (30, 2.0)], [(10, 2.0), (20, 1.5)]])
    20
    """
    steps = sorted({step for curve in curves for step, _ in curve})
    means = [np.mean([at(curve, step) for curve in curves]) for step in steps]
    if not np.isfinite(means).any():
        return steps[-1]
    return steps[int(np.nanargmin(means))]


def at(curve: Sequence[tuple[int, float]], step: int) -> float:
    """Return the score of a curve at a step, or its last one before it."""
    return curve[place_of(curve, step)][1]


def place_of(curve: Sequence[tuple[int, float]], step: int) -> int:
    """Return the place in a curve of a step, or of the last one before it."""
    return max((i for i, (s, _) in enumerate(curve) if s <= step), default=0)
