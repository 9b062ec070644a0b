"""A forecaster made of series: read, cut by time, their scales fitted on the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.data import Scaler
from elman.data.seen import Seen, hashes_of
from elman.errors import InputError
from elman.tasks.forecast import data as forecast_data
from elman.tasks.forecast import filling, times
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.effect import check_effect
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.settings import ForecastSettings, decided, shortened, sized
from elman.tasks.forecast.windows import Ends, Scale, check_positive, cut, headline
from elman.tasks.reading.tables import named_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from elman.tasks.forecast.task import Forecast

Task = TypeVar("Task", bound="Forecast")


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
    if valid is None and test is None and (parts := named_parts(data)) is not None:
        data, valid, test = (parts.get(part) for part in ("train", "valid", "test"))
    panel = read_panel(data, settings)
    given, panels = settings, [panel]
    settings = settings.model_copy(update=panel.found)
    told: dict[str, dict[str, int]] = {}
    for part, source in (("valid", valid), ("test", test)):
        if source is not None:
            later = forecast_data.without_repeated(panel, read_panel(source, settings))
            panels.append(later)
            told[part] = {s.name: len(s) for s in later.series}
            panel = forecast_data.extend(panel, later, part)
    check_effect(given, panels, list(told))
    asked, settings = settings, decided(settings, panel, told)
    if (why := shortened(asked, settings, panel, told)) is not None:
        panel = replace(panel, doubts=[*panel.doubts, why])
    assert settings.horizon is not None
    assert settings.season is not None
    shares = (settings.valid_fraction, settings.test_fraction)
    ends = cut(panel, settings.horizon, shares, settings.rows, told)
    _check(ends, settings.horizon, panel)
    known = [e.train for e in ends]
    panel = filling.without_holes(panel, settings.fill, settings.season, known)
    settings = sized(settings, ends)
    scales = {}
    for series, end in zip(panel.series, ends, strict=True):
        if settings.log:
            check_positive(series, panel.source)
        train, history = series.observed[: end.train], series.observed[: end.valid]
        scales[series.name] = Scale.fit(train, settings.season or 1, settings.log, history)
    held_out = [s.values[e.train : e.test] for s, e in zip(panel.series, ends, strict=True)]
    metric = headline(settings.metric, list(scales.values()), held_out)
    settings = settings.model_copy(update={"metric": metric})
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


def hashes_of_rows(series: Sequence[Series], counts: Sequence[int]) -> NDArray[np.uint64]:
    """Return a hash of each of the first rows: of the series' name, the time and the values."""
    import pandas as pd

    timed = [(s, count) for s, count in zip(series, counts, strict=True) if s.times is not None]
    if not timed:
        return np.zeros(0, np.uint64)
    table = pd.DataFrame(np.concatenate([s.values[:count] for s, count in timed]))
    moments = [s.times[:count].as_unit("us").asi8 for s, count in timed if s.times is not None]
    table.insert(0, "time", np.concatenate(moments))
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy(np.uint64)
    names = np.repeat(hashes_of([s.name for s, _ in timed]), [len(each) for each in moments])
    return np.bitwise_xor(rows, names, dtype=np.uint64)
