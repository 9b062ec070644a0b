"""Parts in time, scales fitted on the first of them, and windows by slicing.

Every series is cut by position: its first rows train, the next choose the best model, the last
score it. A window belongs to the part that holds its whole future; its past may lie in earlier
parts, as it does when a forecast is made in earnest. Nothing after a window's origin (the
position of the first value to forecast) is ever among its inputs, save columns known ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.data import Scaler
from elman.errors import InputError
from elman.scoring.forecasts import naive_scale

if TYPE_CHECKING:
    from elman.tasks.forecast.panel import Panel, Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Ends(NamedTuple):
    """Where the parts of one series end, as positions."""

    train: int
    valid: int
    test: int


@dataclass(frozen=True)
class Origins:
    """Windows: which series, and the position of the first value to forecast; `(N,)` each."""

    series: Ints
    position: Ints

    @property
    def count(self) -> int:
        """How many windows."""
        return len(self.series)

    def take(self, rows: Any) -> Origins:
        """Some of the windows."""
        return Origins(self.series[rows], self.position[rows])

    def thinned(self, most: int) -> Origins:
        """At most `most` of the windows, spread evenly."""
        if self.count <= most:
            return self
        return self.take(np.linspace(0, self.count - 1, max(1, most)).astype(np.int64))

    def chunks(self, size: int) -> Iterator[Origins]:
        """All windows, `size` at a time."""
        for begin in range(0, self.count, size):
            yield self.take(slice(begin, begin + size))


def cut(
    panel: Panel,
    horizon: int,
    fractions: tuple[float, float],
    rows: Sequence[int] | None,
    told: dict[str, dict[str, int]],
) -> list[Ends]:
    """Where each series' parts end.

    Args:
        panel: the series, with what was told for validation and test already appended.
        horizon: a part that is not told holds at least this many rows, nearly twice as many
            where a series has ten times as many.
        fractions: of the rows, for validation and for test.
        rows: sizes of train, validation and test, where they are told.
        told: `"valid"` and `"test"` to the number of rows of each series that were given apart.

    Raises:
        InputError: a series is too short; it is named, with its length and what is needed.
    """
    ends = []
    for series in panel.series:
        n = len(series)
        if rows is not None:
            train, valid, test = rows
            total = train + valid + test
            if n < total:
                raise InputError(
                    f"{series} has {n:,} rows, but rows={list(rows)} asks for {total:,}.",
                    file=panel.source,
                )
        else:
            # A single window is a poor judge: one for each place in the horizon, if rows allow.
            least = 2 * horizon - 1 if n >= 10 * horizon else horizon
            given = sum(sizes.get(series.name, 0) for sizes in told.values())
            valid, test = (
                told[part].get(series.name, 0)
                if part in told
                else max(least, round(fraction * (n - given)))
                for part, fraction in zip(("valid", "test"), fractions, strict=True)
            )
            train = n - valid - test
        if train < horizon + 1:
            needed = n - train + horizon + 1
            there = "1 row" if n == 1 else f"{n:,} rows"
            raise InputError(
                f"{series} has {there}, too few for a horizon of {horizon}: it needs "
                f"{needed:,} ({horizon + 1} to train on, {valid} to choose the best model, "
                f"{test} to test).",
                file=panel.source,
                fix="Lower the horizon, give longer series, or take this one out."
                if horizon > 1
                else "Give longer series, or take this one out.",
            )
        ends.append(Ends(train, train + valid, train + valid + test))
    return ends


def training_origins(ends: Sequence[Ends], lookback: int, horizon: int) -> Origins:
    """Every window whose future ends in the training part, and whose past is whole if it can be."""
    return _origins([(min(lookback, e.train - horizon), e.train - horizon + 1, 1) for e in ends])


def held_out_origins(
    bounds: Sequence[tuple[int, int]], horizon: int, most: int | None, step: int | None
) -> Origins:
    """Windows with their future inside `(begin, end)` of each series, `step` apart.

    Without a step, 1, or as many as keep the windows to `most`.
    """
    counts = [max(0, end - begin - horizon + 1) for begin, end in bounds]
    if step is None:
        step = 1 if most is None else max(1, -(-sum(counts) // most))
    return _origins([(begin, end - horizon + 1, step) for begin, end in bounds])


def _origins(ranges: Sequence[tuple[int, int, int]]) -> Origins:
    places = [np.arange(*r, dtype=np.int64) for r in ranges]
    which = np.repeat(np.arange(len(places)), [len(p) for p in places])
    return Origins(which, np.concatenate([*places, np.empty(0, dtype=np.int64)]))


class Units(NamedTuple):
    """Units that a bootstrap resamples.

    Attributes:
        of: the unit that each window belongs to; one alone where too few are independent.
        words: a name for such units.
        widened: what half the width of an interval of them is to be multiplied by.
    """

    of: Ints
    words: str
    widened: float


LEAST_BLOCKS = 3
"""Stretches of time without overlap from which anything can be said of how sure a score is."""


def blocks(origins: Origins, horizon: int, least: int = 20) -> Units:
    """Return the units of the bootstrap.

    Series, where there are at least `least`; else stretches of time, in all series at once, of a
    horizon or more, because windows that overlap fail together. Resampling K units shows less
    than the whole spread of a mean: intervals are wider by t/z √(K / (K - 1)), as those of a
    mean of K values. Windows that begin late in a stretch reach into the next one. Where the
    covariance of two errors falls evenly with the distance of their origins, to 0 at a horizon,
    neighbours have a correlation of 1/4, and a sum over many stretches 1 + 2/4 times the
    variance that they show by themselves.
    """
    names, unit = np.unique(origins.series, return_inverse=True)
    if len(names) >= least:
        return Units(unit, "series", _as_of_means(len(names)))
    first = np.full(int(origins.series.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, origins.series, origins.position)
    since = origins.position - first[origins.series]
    begun = np.unique(since)
    if len(begun) > 1 and int(np.diff(begun).min()) >= horizon:
        unit, overlap, words = np.searchsorted(begun, since), 1.0, "origins without overlap"
    else:
        span = int(begun[-1]) + 1
        unit = since * max(1, span // horizon) // span
        overlap, words = 1.5, f"stretches of {-(-span // max(1, span // horizon))} rows in time"
    count = len(np.unique(unit))
    if count < LEAST_BLOCKS:
        said = f"nothing: the test holds {count} {'horizon' if count == 1 else 'horizons'} only"
        return Units(np.zeros_like(unit), said, 1.0)
    return Units(np.unique(unit, return_inverse=True)[1], words, _as_of_means(count) * overlap**0.5)


def _as_of_means(count: int) -> float:
    """Return by how much an interval of a mean of few values is wider than its resamples."""
    from scipy.stats import t

    return float(t.ppf(0.975, count - 1) / 1.96 * np.sqrt(count / (count - 1)))


@dataclass(frozen=True)
class Scale:
    """The scale that turns a series into a model's numbers and back, fitted on its training part.

    Attributes:
        scaler: of the values, or of their logarithms.
        log: logarithms are taken first.
        spread: `(C,)` standard deviation of the values, for the scaled metrics.
        naive: `(C,)` what MASE divides by.
    """

    scaler: Scaler
    log: bool
    spread: Floats
    naive: Floats

    @classmethod
    def fit(cls, values: Floats, season: int, log: bool, history: Floats | None = None) -> Scale:
        """From the training part `(T, C)`; MASE is scaled by `history`, all before the test."""
        plain = Scaler.fit(values)
        scaler = Scaler.fit(np.log(values)) if log else plain
        naive = naive_scale(values if history is None else history, season)
        return cls(scaler, log, plain.scale, np.asarray(naive, dtype=np.float64))

    def transform(self, values: Floats) -> Floats:
        """Own units to the model's."""
        return self.scaler.transform(np.log(values) if self.log else values)

    def levels(self) -> Floats:
        """Return `(C,)` how large the values of training are: the root of their mean square."""
        mean = np.exp(self.scaler.shift) if self.log else self.scaler.shift
        return np.hypot(mean, self.spread)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        naive = [None if np.isnan(v) else float(v) for v in self.naive]
        return {
            "scaler": self.scaler.to_json(),
            "log": self.log,
            "spread": self.spread.tolist(),
            "naive": naive,
        }

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Scale:
        """Return the scale that `to_json` described."""
        naive = np.array([np.nan if v is None else v for v in about["naive"]], dtype=np.float64)
        scaler = Scaler.from_json(about["scaler"])
        return cls(scaler, bool(about["log"]), np.asarray(about["spread"]), naive)


def headline(metric: str, scales: Sequence[Scale], held_out: Sequence[Floats]) -> str:
    """Return the metric to judge by: the one that was asked for, or another where it is undefined.

    MASE divides by the error of the seasonal naive rule in the history, which is 0 where a series
    is constant or repeats itself exactly; WQL by the size of what came.

    Args:
        metric: the one that was asked for.
        scales: of all series.
        held_out: the values of their validation and test parts.
    """
    if metric == "mase" and all(np.isnan(scale.naive).all() for scale in scales):
        return "mae" if len(scales) == 1 else "scaled_mae"
    if metric == "wql" and not any(values.any() for values in held_out):
        return "crps"
    return metric


def check_positive(series: Series, file: object) -> None:
    """Refuse values whose logarithm cannot be taken."""
    wrong = np.argwhere(series.values <= 0)
    if len(wrong):
        raise InputError(
            f"value {wrong[0][0] + 1} of {series} is {series.values[tuple(wrong[0])]:g}: it has no "
            "logarithm.",
            file=file,
            fix="Set log=false.",
        )


class Batch(NamedTuple):
    """Windows in the model's units.

    `past (B, L, C)`, `known (B, L + H, K)` or None, `future (B, H, C)` or None, and the
    `shift` and `scale (B, 1, C)` that turn them back, in float64. `present (B, H, C)` is 1 where
    a value of the future was observed and 0 where it was filled in; None where all were.
    """

    past: Tensor
    known: Tensor | None
    future: Tensor | None
    shift: Tensor
    scale: Tensor
    present: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(*(None if t is None else t.to(device) for t in self))  # type: ignore[arg-type]


def observed(batch: Batch) -> Tensor:
    """Return the future of a batch, NaN where a value is missing."""
    assert batch.future is not None
    if batch.present is None:
        return batch.future
    return batch.future.masked_fill(batch.present == 0, float("nan"))


class Windows:
    """Scaled series end to end, so that a batch of windows is one look-up.

    A past that would begin before its series is filled with the series' first row.
    """

    def __init__(
        self,
        values: Sequence[Floats],
        known: Sequence[Floats],
        scales: Sequence[Scale],
        lookback: int,
        horizon: int,
        missing: Sequence[NDArray[np.bool_] | None] = (),
        flags: int = 0,
    ) -> None:
        """Put series end to end.

        Args:
            values: of each series `(T, C)`.
            known: columns known of its rows and of those ahead.
            scales: of each.
            lookback: rows of a past.
            horizon: rows of a future.
            missing: which values of each were filled in; None or nothing where none was.
            flags: the last columns known are of the past alone; they are 0 in the future.
        """
        self.flags = flags
        self._present = None
        if any(each is not None for each in missing):
            whole = [
                np.ones(v.shape, np.float32) if each is None else ~each
                for v, each in zip(values, missing, strict=True)
            ]
            self._present = torch.from_numpy(np.concatenate(whole).astype(np.float32))
        self.lookback, self.horizon, self.log = lookback, horizon, scales[0].log
        scaled = [scale.transform(v) for scale, v in zip(scales, values, strict=True)]
        self._values = torch.from_numpy(np.concatenate(scaled).astype(np.float32))
        self._first = _offsets(values)
        self._known = None
        if known[0].shape[1]:
            self._known = torch.from_numpy(np.concatenate(known).astype(np.float32))
            self._known_first = _offsets(known)
        self._shift, self._scale = (
            # In float64: a series far from zero is turned back without rounding.
            torch.from_numpy(np.stack(parts)[:, None].astype(np.float64))
            for parts in (
                [s.scaler.shift for s in scales],
                [s.scaler.scale for s in scales],
            )
        )

    def batch(self, origins: Origins, *, future: bool = True) -> Batch:
        """The windows at `origins`; without a future where it has not come yet."""
        back = origins.position[:, None] + np.arange(-self.lookback, 0)
        back = np.maximum(back, 0)
        ahead = origins.position[:, None] + np.arange(self.horizon)
        start = self._first[origins.series][:, None]
        known = None
        if self._known is not None:
            whole = np.concatenate([back, ahead], axis=1)
            known = self._known[whole + self._known_first[origins.series][:, None]]
            if self.flags:
                known[:, self.lookback :, -self.flags :] = 0.0
        return Batch(
            self._values[back + start],
            known,
            self._values[ahead + start] if future else None,
            self._shift[origins.series],
            self._scale[origins.series],
            self._present[ahead + start] if future and self._present is not None else None,
        )

    def own_units(self, forecast: Tensor, batch: Batch) -> Tensor:
        """`(B, H, C, O)` from the model's units to the series' own, in float64."""
        values = forecast * batch.scale.unsqueeze(-1) + batch.shift.unsqueeze(-1)
        # Bounded, so that an untrained model gives large numbers and not infinite ones.
        return values.clamp(max=80.0).exp() if self.log else values


def _offsets(arrays: Sequence[Floats]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(a) for a in arrays])])[:-1].astype(np.int64)


@dataclass(frozen=True)
class Held:
    """Series at hand: their values, their scales, and windows of them."""

    panel: Panel
    scales: list[Scale]
    windows: Windows

    def truth(self, origins: Origins) -> Floats:
        """Return the values that came, `(N, H, C)`, in own units; NaN where one is missing."""
        h = self.windows.horizon
        whole = {i: self.panel.series[i].observed for i in np.unique(origins.series).tolist()}
        pairs = zip(origins.series.tolist(), origins.position.tolist(), strict=True)
        return np.stack([whole[i][p : p + h] for i, p in pairs])

    @cached_property
    def spread(self) -> Floats:
        """`(S, C)` standard deviation of each series' training part."""
        return np.stack([scale.spread for scale in self.scales])

    @cached_property
    def naive(self) -> Floats:
        """`(S, C)` what MASE divides by."""
        return np.stack([scale.naive for scale in self.scales])
