"""The baselines of a forecast on the same windows as the model, with intervals of their own.

A baseline is a name and settings: it is fitted on the history it is given, up to where the held-out
part begins. So its state is small, and it can be kept; only the linear map has weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from elman.errors import InputError
from elman.scoring.baselines import automatic
from elman.scoring.baselines.automatic import KINDS, Channel, Kind, NotFitted
from elman.scoring.baselines.series import (
    LEAST_FITTED,
    LEVEL_GAINS,
    SEASON_GAINS,
    TREND_GAINS,
    Linear,
    Smoothing,
    drift,
    kept_for_smoothing,
    last_value,
    seasonal_naive,
)
from elman.scoring.forecasts import around
from elman.tasks.forecast.pool import Pool
from elman.tasks.forecast.windows import Floats, Held, Ints, Origins, held_out_origins

Points = Callable[[Origins], Floats]
"""From windows to point forecasts `(N, H, C)` in own units."""
Forecaster = Callable[[Origins], tuple[Floats, Floats]]
"""From windows to points `(N, H, C)` and quantiles `(N, H, C, Q)`."""
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Plain JSON values and arrays, which are kept of a baseline."""

MOST_WINDOWS = 50_000
LEAST_ERRORS = 300
MOST_ERRORS = 3_000
PENALTIES = np.array([1e-6, 1e-4, 1e-2, 1.0])
_GRID = 2_000_000
"""Numbers of a season's state that go through time together."""


class Baseline(Protocol):
    """A forecast to compare with: it is made from the history of the series it is given."""

    shared: ClassVar[None]
    """Nothing: baselines of forecasts share nothing that is kept."""

    @property
    def name(self) -> str:
        """Its name in results and reports."""

    def forecaster(
        self, held: Held, begins: Sequence[int], levels: Sequence[float], origins: Origins
    ) -> Forecaster:
        """Return what forecasts from any of `origins`.

        Args:
            held: the series.
            begins: where the history of each ends, on which it is fitted, once.
            levels: of the quantiles.
            origins: all windows that will be asked for.
        """

    def to_state(self) -> State:
        """Return what `restored` makes it from again."""


@dataclass(frozen=True)
class Rule:
    """A rule, or exponential smoothing, with the quantiles of its own earlier errors."""

    shared: ClassVar[None] = None
    kind: str
    season: int = 1

    @property
    def name(self) -> str:
        """The kind, with the season of a rule that has one."""
        return f"{self.kind} ({self.season})" if self.kind == "seasonal naive" else self.kind

    def points(self, held: Held, begins: Sequence[int]) -> Points:
        """Return the point forecasts."""
        h, m = held.windows.horizon, self.season
        if self.kind == "last value":
            return _each(held, lambda i, v, o: last_value(v, o, h))
        if self.kind == "seasonal naive":
            return _each(held, lambda i, v, o: seasonal_naive(v, o, h, m))
        if self.kind == "drift":
            return _each(held, lambda i, v, o: drift(v, o, h))
        return _Smoothed(held, begins, m)

    def forecaster(
        self, held: Held, begins: Sequence[int], levels: Sequence[float], origins: Origins
    ) -> Forecaster:
        """Return points and quantiles."""
        return with_intervals(self.points(held, begins), held, begins, levels)

    def to_state(self) -> State:
        """Return kind and season."""
        return {"kind": self.kind, "season": self.season}, {}


@dataclass(frozen=True)
class Ridge:
    """A ridge regression from the past to the future, fitted on the training windows."""

    shared: ClassVar[None] = None
    map: Linear

    name = "linear (ridge)"

    def forecaster(
        self, held: Held, begins: Sequence[int], levels: Sequence[float], origins: Origins
    ) -> Forecaster:
        """Return points and quantiles."""

        def points(some: Origins) -> Floats:
            batch = held.windows.batch(some, future=False)
            y = self.map.forecast(batch.past.transpose(1, 2).double().numpy())
            own = torch.from_numpy(y).transpose(1, 2).unsqueeze(-1)
            return np.asarray(held.windows.own_units(own, batch)[..., 0].numpy())

        return with_intervals(points, held, begins, levels)

    def to_state(self) -> State:
        """Return the weights."""
        return {"kind": self.name}, {"weights": self.map.weights}


@dataclass(frozen=True)
class Automatic:
    """AutoETS, AutoTheta or AutoARIMA, with its own quantiles.

    Attributes:
        given: seconds that all three may take together.
    """

    shared: ClassVar[None] = None
    kind: Kind
    season: int
    given: float

    @property
    def name(self) -> str:
        """The kind."""
        return self.kind

    def forecaster(
        self, held: Held, begins: Sequence[int], levels: Sequence[float], origins: Origins
    ) -> Forecaster:
        """Return points and quantiles; all of `origins` are forecast at once.

        Raises:
            NotFitted: it would not end in its share of the time, or no model could be fitted.
        """
        if not automatic.installed():
            raise NotFitted(f"{self.kind}: it needs pip install 'elman[series]'")
        c, q = len(held.panel.targets), len(levels)
        which, places = _by_series(origins)
        channels = [
            Channel(column, begins[i], origins.position[rows])
            for i, rows in zip(which, places, strict=True)
            for column in held.panel.series[i].values.T
        ]
        why = automatic.too_slow(self.kind, channels, self.season, self.given)
        if why is not None:
            raise NotFitted(why)
        h = held.windows.horizon
        done = automatic.forecasts(self.kind, channels, self.season, h, levels, self.given)
        point, spread = np.empty((origins.count, h, c)), np.empty((origins.count, h, c, q))
        for place, (p, s) in enumerate(done):
            rows, column = places[place // c], place % c
            point[rows, :, column], spread[rows, :, column] = p, s
        spread = around(point, spread, levels)
        row_of = {
            key: row
            for row, key in enumerate(
                zip(origins.series.tolist(), origins.position.tolist(), strict=True)
            )
        }

        def forecast(some: Origins) -> tuple[Floats, Floats]:
            rows = [
                row_of[key]
                for key in zip(some.series.tolist(), some.position.tolist(), strict=True)
            ]
            return point[rows], spread[rows]

        return forecast

    def to_state(self) -> State:
        """Return kind, season and time."""
        return {"kind": self.kind, "season": self.season, "given": self.given}, {}


def rules(season: int) -> list[Rule]:
    """Return last value, seasonal naive, drift and exponential smoothing."""
    naive = [Rule("seasonal naive", season)] if season > 1 else []
    return [Rule("last value"), *naive, Rule("drift"), Rule("exponential smoothing", season)]


def all_of(season: int, given: float) -> list[Baseline]:
    """Return every baseline that needs no training part.

    Args:
        season: steps.
        given: seconds for those whose form is chosen by itself.
    """
    return [*rules(season), *(Automatic(kind, season, given) for kind in KINDS)]


def restored(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Baseline:
    """Return the baseline that `to_state` described.

    Raises:
        InputError: there is no such baseline.
    """
    kind = facts["kind"]
    if kind == Ridge.name:
        return Ridge(Linear(arrays["weights"]))
    if kind in KINDS:
        return Automatic(kind, facts["season"], facts["given"])
    known = ("last value", "seasonal naive", "drift", "exponential smoothing")
    if kind not in known:
        raise InputError(f"there is no baseline {kind!r} of forecasts.")
    return Rule(kind, facts["season"])


def ridge(train: Pool, valid: Pool, last: Pool, channels: int) -> Ridge:
    """Fit a ridge regression on training windows, its penalty chosen on validation windows.

    Args:
        train: the windows to choose the penalty with.
        valid: those to choose it by.
        last: those to fit the map on in the end: as many as the model learns from.
        channels: in a window.
    """

    def flat(some: Pool) -> tuple[Floats, Floats]:
        batch = some.batch()
        assert batch.future is not None
        past, future = (t.transpose(1, 2).flatten(0, 1) for t in (batch.past, batch.future))
        return past.double().numpy(), future.double().numpy()

    most = MOST_WINDOWS // channels
    maps = Linear.fit(*flat(train.thinned(most)), PENALTIES)
    past, future = flat(valid)
    best = int(np.argmin([np.abs(each.forecast(past) - future).mean() for each in maps]))
    if last.count > train.count:
        maps = Linear.fit(*flat(last.thinned(most)), PENALTIES)
    return Ridge(maps[best])


def with_intervals(
    points: Points, held: Held, begins: Sequence[int], levels: Sequence[float]
) -> Forecaster:
    """Return a rule with the quantiles of its own earlier errors around each step.

    The errors are those of the last origins whose horizon ends before the held-out part, some
    300 in all and 30 of a series, at most 3,000 in all, in units of each series' spread.
    """
    want = max(30, -(-LEAST_ERRORS // len(begins)))
    h = held.windows.horizon
    before = held_out_origins([(max(1, b - h - want + 1), b) for b in begins], h, None, None)
    before = before.thinned(MOST_ERRORS)
    if not len(levels) or not before.count:
        return lambda origins: (p := points(origins), np.repeat(p[..., None], len(levels), -1))
    errors = (held.truth(before) - points(before)) / held.spread[before.series][:, None]
    spread = np.moveaxis(np.nanquantile(errors, levels, axis=0), 0, -1)  # (H, C, Q)
    spread = np.nan_to_num(spread)  # at a step whose values are all missing

    def forecast(origins: Origins) -> tuple[Floats, Floats]:
        point = points(origins)
        away = spread * held.spread[origins.series][:, None, :, None]
        return point, around(point, point[..., None] + away, levels)

    return forecast


class _Smoothed:
    """Exponential smoothing of all channels of some series, each fitted when first asked for."""

    def __init__(self, held: Held, begins: Sequence[int], season: int) -> None:
        self.held, self.begins, self.season = held, np.array(begins), season

    def __call__(self, origins: Origins) -> Floats:
        parts, of = self._fitted
        h, c = self.held.windows.horizon, len(self.held.panel.targets)
        out = np.empty((origins.count, h, c))
        part, row = of[origins.series].T
        for number in np.unique(part).tolist():
            starts, smoothing = parts[number]
            rows = np.flatnonzero(part == number)
            for column in range(c):
                which = row[rows] * c + column
                at = origins.position[rows] - starts[row[rows]]
                y = smoothing.forecast(which, np.maximum(at, 0), h)
                out[rows, :, column] = y
            # Before its first value smoothing knows nothing: the last value stands in.
            for place in rows[at < 1].tolist():
                i, position = int(origins.series[place]), int(origins.position[place])
                out[place] = self.held.panel.series[i].values[position - 1]
        return out

    @cached_property
    def _fitted(self) -> tuple[list[tuple[Ints, Smoothing]], Ints]:
        """The first value used of some series and their smoothing, and where each series is."""
        series, m = self.held.panel.series, self.season
        starts = np.maximum(0, self.begins - kept_for_smoothing(m))
        fitted = self.begins - starts
        sizes = np.array([len(s) for s in series]) - starts
        seasonal = (m > 1) & (fitted >= max(2 * m + 5, LEAST_FITTED))
        c = len(self.held.panel.targets)
        parts: list[tuple[Ints, Smoothing]] = []
        of = np.empty((len(series), 2), dtype=np.int64)
        for flag in (False, True):
            length = m if flag else 1
            grid = len(LEVEL_GAINS) * len(TREND_GAINS) * (len(SEASON_GAINS) if flag else 1)
            size = max(1, _GRID // (length * grid * c))
            chosen = np.flatnonzero(seasonal == flag)
            # Series of about one length go through time together.
            chosen = chosen[np.argsort(sizes[chosen], kind="stable")]
            for begin in range(0, len(chosen), size):
                some = chosen[begin : begin + size]
                values = np.full((len(some), c, int(sizes[some].max())), np.nan)
                for place, i in enumerate(some.tolist()):
                    values[place, :, : sizes[i]] = series[i].values[starts[i] :].T
                flat = values.reshape(len(some) * c, -1)
                of[some, 0], of[some, 1] = len(parts), np.arange(len(some))
                smoothing = Smoothing.fit(flat, np.repeat(fitted[some], c), length)
                parts.append((starts[some], smoothing))
        return parts, of


def _each(held: Held, rule: Callable[[int, Floats, Ints], Floats]) -> Points:
    """A rule for one series `(number, values, origins)`, over windows of many."""

    def forecast(origins: Origins) -> Floats:
        which, places = _by_series(origins)
        parts = [
            rule(i, held.panel.series[i].values, origins.position[rows])
            for i, rows in zip(which, places, strict=True)
        ]
        out = np.empty((origins.count, *parts[0].shape[1:]))
        out[np.concatenate(places)] = np.concatenate(parts)
        return out

    return forecast


def _by_series(origins: Origins) -> tuple[list[int], list[Ints]]:
    """Return the series that windows are of, and for each the places of its windows."""
    order = np.argsort(origins.series, kind="stable")
    which, starts = np.unique(origins.series[order], return_index=True)
    return which.tolist(), np.split(order, starts[1:])
