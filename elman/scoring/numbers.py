"""How good predicted numbers are: sums over each sequence, so that sequences can be resampled.

With y the truth, ŷ the prediction and q̂_τ the predicted τ-quantile, all in own units:

- `rmse`, `mae`: root of the mean squared error, mean absolute error.
- `r2`: 1 - Σ(y - ŷ)² / Σ(y - ȳ)², the coefficient of determination; undefined (NaN) where all
  truths are alike.
- `crps`: 2 · mean over τ of the pinball loss; without quantiles the absolute error; see
  `elman.scoring.forecasts`.
- `coverage`: share of truths between the lowest and the highest quantile.

With several targets each metric is the mean of the targets' own (scikit-learn's
"uniform_average"), and `rmse_NAME` stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.scoring.forecasts import pinball
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
_SHOWN = 400
"""Points of a figure at most that have an interval drawn."""


def sums(truth: Floats, said: Floats, levels: Floats, centre: Floats) -> dict[str, float]:
    """Return what one sequence adds to every metric.

    Args:
        truth: `(T, K)`, a row for each step that is scored, a column for each target.
        said: `(T, K, 1 + Q)`: a point, then quantiles in ascending order.
        levels: `(Q,)`.
        centre: `(K,)`, taken off the truth before its squares are summed, so that little is lost
            by rounding.
    """
    error, quantiles = truth - said[..., 0], said[..., 1:]
    if len(levels):
        crps = 2 * pinball(truth, quantiles, levels).mean(-1)
        inside = (truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])
    else:
        crps, inside = np.abs(error), np.zeros_like(error)
    about = truth - centre
    each = {
        "squared": (error**2).sum(0),
        "absolute": np.abs(error).sum(0),
        "crps": crps.sum(0),
        "inside": inside.sum(0),
        "sum": about.sum(0),
        "power": (about**2).sum(0),
        "low": truth.min(0, initial=np.inf),
        "high": truth.max(0, initial=-np.inf),
    }
    found = {"count": float(len(truth))}
    for name, values in each.items():
        found |= {f"{name} {k}": float(value) for k, value in enumerate(values)}
    return found


def score(units: pd.DataFrame, names: Sequence[str], *, quantiles: bool) -> dict[str, float]:
    """Return the metrics of rows of `sums`.

    Args:
        units: a row for each sequence.
        names: of the targets.
        quantiles: whether there are two or more, which coverage needs.

    >>> import pandas as pd
    >>> truth, said = np.array([[1.0], [3.0]]), np.array([[[1.0]], [[2.0]]])
    >>> rows = pd.DataFrame([sums(truth, said, np.empty(0), np.zeros(1))])
    >>> {name: round(value, 3) for name, value in score(rows, ["y"], quantiles=False).items()}
    {'rmse': 0.707, 'mae': 0.5, 'r2': 0.5, 'crps': 0.5}
    """
    values = units.to_numpy(dtype=np.float64)
    total = dict(zip(units.columns, values.sum(0), strict=True))
    low, high = (dict(zip(units.columns, f(0), strict=True)) for f in (values.min, values.max))
    n = total["count"]
    each: dict[str, list[float]] = {"rmse": [], "mae": [], "r2": [], "crps": [], "coverage": []}
    for k in range(len(names)):
        about = total[f"power {k}"] - total[f"sum {k}"] ** 2 / n
        alike = low[f"low {k}"] == high[f"high {k}"]
        each["rmse"].append(np.sqrt(total[f"squared {k}"] / n))
        each["mae"].append(total[f"absolute {k}"] / n)
        each["r2"].append(np.nan if alike else 1 - total[f"squared {k}"] / about)
        each["crps"].append(total[f"crps {k}"] / n)
        each["coverage"].append(total[f"inside {k}"] / n)
    if not quantiles:
        del each["coverage"]
    found = {metric: float(np.mean(by_target)) for metric, by_target in each.items()}
    if len(names) > 1:
        found |= {f"rmse_{name}": float(e) for name, e in zip(names, each["rmse"], strict=True)}
    return found


def by_truth(truth: Floats, said: Floats, bins: int = 6) -> pd.DataFrame:
    """Return errors in ranges of the truth that hold about as many steps each.

    Args:
        truth: `(N,)`.
        said: `(N, 1 + Q)`.
        bins: ranges at most.
    """
    import pandas as pd

    edges = np.unique(np.quantile(truth, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for number in np.unique(place):
        some = place == number
        error = said[some, 0] - truth[some]
        row = {
            "truth": f"{written(truth[some].min())} to {written(truth[some].max())}",
            "predictions": int(some.sum()),
            "mean error": float(error.mean()),
            "MAE": float(np.abs(error).mean()),
            "RMSE": float(np.sqrt(np.mean(error**2))),
        }
        if said.shape[1] > 2:
            inside = (truth[some] >= said[some, 1]) & (truth[some] <= said[some, -1])
            row["inside the interval"] = float(inside.mean())
        rows.append(row)
    return pd.DataFrame(rows)


def against_truth(truth: Floats, said: Floats, name: str) -> Figure:
    """Draw predictions against the truth, with the outermost quantiles as bars.

    Args:
        truth: `(N,)`.
        said: `(N, 1 + Q)`.
        name: of the target.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    chosen = np.arange(len(truth))
    if len(chosen) > _SHOWN:
        chosen = np.random.default_rng(0).permutation(chosen)[:_SHOWN]
    x, y = truth[chosen], said[chosen]
    if said.shape[1] > 2:
        axes.vlines(x, y[:, 1], y[:, -1], color="#1f3a5f", alpha=0.25, linewidth=0.8)
    axes.plot(x, y[:, 0], "o", color="#1f3a5f", markersize=3, linestyle="none")
    ends = [float(min(x.min(), y[:, 0].min())), float(max(x.max(), y[:, 0].max()))]
    axes.plot(ends, ends, color="#b35c1e", linewidth=1)
    axes.set_xlabel(f"true {name}")
    axes.set_ylabel(f"predicted {name}")
    return figure


def against_left(left: NDArray[np.int64], error: Floats, name: str) -> Figure:
    """Draw mean absolute error and mean error against the steps left to the end of a sequence.

    Args:
        left: `(N,)`, steps from each prediction to the end of its sequence.
        error: `(N,)`, prediction minus truth.
        name: of the target.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axes = figure.subplots()
    width = max(1, int(np.ceil((left.max() + 1) / 60)))
    place = left // width
    count = np.bincount(place)
    there = count > 0
    x = (np.arange(len(count)) * width + (width - 1) / 2)[there]
    for label, values, colour in (
        ("mean absolute error", np.abs(error), "#1f3a5f"),
        ("mean error", error, "#b35c1e"),
    ):
        axes.plot(x, (np.bincount(place, values)[there] / count[there]), color=colour, label=label)
    axes.axhline(0, color="#999999", linewidth=0.6)
    axes.invert_xaxis()
    axes.set_xlabel("steps left to the end of the sequence")
    axes.set_ylabel(f"error of {name}")
    axes.legend(frameon=False, fontsize=8)
    return figure
