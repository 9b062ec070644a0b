"""A forecaster made of series: read, cut by time, their scales fitted on the training part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from elman.data import Scaler
from elman.data.seen import Seen
from elman.errors import InputError
from elman.tasks.forecast import data as forecast_data
from elman.tasks.forecast import filling, times
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.effect import check_effect
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings, decided, shortened, sized
from elman.tasks.forecast.shared_rows import hashes_of_rows
from elman.tasks.forecast.windows import Ends, Scale, check_positive, cut, headline
from elman.tasks.reading.tables import named_parts

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast

Task = TypeVar("Task", bound="Forecast")


class Cut(NamedTuple):
    """Series that were cut by time, and what followed from them."""

    panel: Panel
    settings: ForecastSettings
    ends: list[Ends]
    scales: dict[str, Scale]


def made_from(
    kind: type[Task], data: Any, settings: ForecastSettings, valid: Any = None, test: Any = None
) -> Task:
    """Read series and cut them by time: the first rows train, the last ones test.

    A folder whose files say train and test in their names is cut as they say. Where the
    headline metric is undefined for all series, another one takes its place.

    Raises:
        InputError: a cell is no number, times are unsorted or repeated, or a series is too
            short for the horizon.
    """
    data, apart = given_apart(data, valid, test)
    given, first = settings, read_panel(data, settings)
    settings = settings.model_copy(update=first.found)
    later = {part: read_panel(source, settings) for part, source in apart.items()}
    panel, told = followed(first, later)
    check_effect(given, [first, *later.values()], list(later))
    asked, settings = settings, decided(settings, panel, told)
    if (why := shortened(asked, settings, panel, told)) is not None:
        panel = replace(panel, doubts=[*panel.doubts, why])
    panel, settings, ends, scales = cut_and_scaled(panel, settings, told)
    covariates = [s.known[: e.train] for s, e in zip(panel.series, ends, strict=True)]
    timed = settings.calendar and panel.series[0].times is not None
    rows, lookback = max(e.train for e in ends), settings.lookback or 1
    about = {
        "targets": panel.targets,
        "frequency": panel.frequency,
        "cycles": times.cycles_of(panel.frequency, rows, lookback) if timed else [],
        "columns": Scaler.fit(np.concatenate(covariates)).to_json() if panel.covariates else None,
        "numbers": panel.numbers,
        "time": panel.time,
    }
    made = kind(settings, about, scales, panel, ends)
    made.seen = Seen.of(hashes_of_rows(panel.series, [end.valid for end in ends]))
    return made


def given_apart(data: Any, valid: Any, test: Any) -> tuple[Any, dict[str, Any]]:
    """Return the training data, and those of the parts that were given apart.

    A folder is taken as the names of its files say.
    """
    if valid is None and test is None and (parts := named_parts(data)) is not None:
        data, valid, test = (parts.get(part) for part in ("train", "valid", "test"))
    apart = {"valid": valid, "test": test}
    return data, {part: source for part, source in apart.items() if source is not None}


def followed(panel: Panel, later: Mapping[str, Panel]) -> tuple[Panel, dict[str, dict[str, int]]]:
    """Return series with the parts that were given apart behind them, and the rows of these."""
    told: dict[str, dict[str, int]] = {}
    for part, found in later.items():
        rest = forecast_data.without_repeated(panel, found)
        told[part] = {s.name: len(s) for s in rest.series}
        panel = forecast_data.extend(panel, rest, part)
    return panel, told


def cut_and_scaled(
    panel: Panel,
    settings: ForecastSettings,
    told: dict[str, dict[str, int]],
    kept: Mapping[str, Scale] = MappingProxyType({}),
) -> Cut:
    """Cut series into parts, fill their holes, and fit their scales on the first part.

    Args:
        panel: the series, with the parts that were given apart.
        settings: with season and horizon.
        told: the rows of these parts.
        kept: scales that stay, by the names of series; what scores are divided by follows from
            the series all the same.

    Raises:
        InputError: a series is too short for the horizon, or has no logarithm.
    """
    horizon, season = settings.horizon or 1, settings.season or 1
    shares = (settings.valid_fraction, settings.test_fraction)
    ends = cut(panel, horizon, shares, settings.rows, told)
    _check(ends, horizon, panel)
    panel = filling.without_holes(panel, settings.fill, season, [e.train for e in ends])
    settings, scales = sized(settings, ends), {}
    for series, end in zip(panel.series, ends, strict=True):
        if settings.log:
            check_positive(series, panel.source)
        train, history = series.observed[: end.train], series.observed[: end.valid]
        scale = Scale.fit(train, season, settings.log, history)
        if series.name in kept:
            scale = replace(scale, scaler=kept[series.name].scaler)
        scales[series.name] = scale
    held_out = [s.values[e.train : e.test] for s, e in zip(panel.series, ends, strict=True)]
    metric = headline(settings.metric, list(scales.values()), held_out)
    return Cut(panel, settings.model_copy(update={"metric": metric}), ends, scales)


def _check(ends: list[Ends], horizon: int, panel: Panel) -> None:
    """Refuse parts in which no forecast could be scored."""
    for name, sizes in (
        ("validate", [e.valid - e.train for e in ends]),
        ("test", [e.test - e.valid for e in ends]),
    ):
        if max(sizes) < horizon:
            raise InputError(
                f"{max(sizes)} rows to {name} on are too few for a horizon of {horizon}.",
                file=panel.source,
                fix="Lower the horizon, or give that part more rows.",
            )
