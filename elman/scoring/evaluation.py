"""How one predictor did on one held-out part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """How one predictor did on one held-out part.

    `units` has one row for each thing that can be resampled (an example, a
    forecast window, a block of text), in the same order for every predictor, so
    that differences can be taken pairwise. `score` maps such rows to metrics.
    `predictions`, where given, is what `predictions.parquet` will hold.
    `widened` is what half the width of an interval is multiplied by, where units are few or
    depend on one another, so that resampling them shows too little.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"nll": [2.0, 4.0], "count": [1, 3]})
    >>> Evaluation(rows, lambda u: {"nats": u["nll"].sum() / u["count"].sum()}).metrics
    {'nats': 1.5}
    """

    units: pd.DataFrame
    score: Callable[[pd.DataFrame], dict[str, float]]
    predictions: pd.DataFrame | None = None
    widened: float = 1.0

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metric name to value over all units."""
        return {name: float(value) for name, value in self.score(self.units).items()}
