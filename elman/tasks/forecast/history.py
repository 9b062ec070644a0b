"""Series that a trained model is given: read as in training, and what is unlike it is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError, PredictionWarning, warn
from elman.modalities.levels import OTHER_UNIT
from elman.tasks.forecast.data import check_step, read_panel
from elman.tasks.forecast.finding import odd_steps
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.windows import Scale, check_positive
from elman.tasks.strangers import warn_of_unit
from elman.tasks.understood import listed

if TYPE_CHECKING:
    from elman.tasks.forecast.settings import ForecastSettings


def read_history(
    data: Any, settings: ForecastSettings, frequency: str | None, targets: int, least: int
) -> Panel:
    """Return series like those of training.

    Args:
        data: what `read_panel` takes.
        settings: of the run.
        frequency: the rule of the times that were trained on, or None.
        targets: columns of values in training.
        least: rows that each series must have.

    Raises:
        InputError: steps of another length, another number of values, or too few rows.
    """
    panel = read_panel(data, settings, frequency)
    for series in panel.series:
        check_step(series, frequency, panel.source)
        if settings.log:
            check_positive(series, panel.source)
        if series.values.shape[1] != targets:
            raise InputError(
                f"{series} has {series.values.shape[1]} columns of values; the model was "
                f"trained on {targets}.",
                file=panel.source,
            )
        if len(series) < least:
            raise InputError(
                f"{series} has {len(series)} rows; {least} are needed here.", file=panel.source
            )
    return panel


def warn_of_times(
    panel: Panel, frequency: str | None, fill: str | None, seen: Sequence[tuple[int, int]]
) -> None:
    """Warn where the steps between rows are not those of training, and where rows were put in.

    Args:
        panel: the series.
        frequency: the rule of the times that were trained on, or None.
        fill: the setting.
        seen: of each series, the first row that is looked at, and the last one plus 1.
    """
    if frequency is None:
        return
    if all(series.times is None for series in panel.series):
        warn(
            f"{panel.series[0]} has no times; the model was trained on {rule_of(frequency).words}. "
            "So forecasts are numbered and not dated, and gaps between rows are not seen.",
            PredictionWarning,
        )
        return
    odd, count, first = 0, 0, ""
    for series, (begin, end) in zip(panel.series, seen, strict=True):
        if series.times is None or end - begin < 2:
            continue
        times = series.times[begin:end]
        wrong = np.flatnonzero(odd_steps(times, frequency))
        odd, count = odd + len(wrong), count + len(times) - 1
        if len(wrong) and not first:
            at = int(wrong[0])
            first = f"from {times[at]} to {times[at + 1]} in {series}"
    if not odd:
        return
    cure = (
        "Add the rows that are missing, or train with fill=linear (or forward, season, mask) to "
        "have them filled."
        if fill is None
        else "They could not be filled, because the times after them do not follow the rule."
    )
    warn(
        f"{odd:,} of {count:,} steps between rows are not those of training "
        f"({rule_of(frequency).words}); the first is {first}. Rows on both sides of a gap count as "
        f"neighbours, so these forecasts may be wrong. {cure}",
        PredictionWarning,
    )


def warn_of_filled(panel: Panel, fill: str | None, seen: Sequence[tuple[int, int]]) -> None:
    """Warn of values that were missing in the rows that are looked at, and how they were filled.

    Args:
        panel: the series, without holes.
        fill: the setting.
        seen: of each series, the first row that is looked at, and the last one plus 1.
    """
    pairs = zip(panel.series, seen, strict=True)
    holes = [s.missing[a:b] for s, (a, b) in pairs if s.missing is not None]
    missing = sum(int(each.sum()) for each in holes)
    if missing:
        whole = sum(
            (b - a) * s.values.shape[1] for s, (a, b) in zip(panel.series, seen, strict=True)
        )
        warn(
            f"{missing:,} of the {whole:,} values that the model sees are missing, and were filled "
            f"as in training (fill={fill}).",
            PredictionWarning,
        )


def warn_of_short(panel: Panel, ends: Sequence[int], lookback: int) -> None:
    """Warn of series with fewer rows before their first forecast than the model sees."""
    pairs = zip(panel.series, ends, strict=True)
    short = [(s, end) for s, end in pairs if end < lookback]
    if not short:
        return
    first, rows = short[0]
    more = f", and {len(short) - 1:,} more series have too few" if len(short) > 1 else ""
    warn(
        f"{first} has {'1 row' if rows == 1 else f'{rows:,} rows'} before its first forecast"
        f"{more}; the model sees the last {lookback:,}. The first row stands for those "
        "that are not there, so these forecasts are worse than the scores of the run say.",
        PredictionWarning,
    )


def warn_of_new(panel: Panel, known: Collection[str]) -> None:
    """Warn of series that the model was not trained on.

    Args:
        panel: the series.
        known: names of those that it was trained on.
    """
    new = [s.name for s in panel.series if s.name not in known]
    if new:
        warn(
            f"{len(new):,} of {len(panel.series):,} series were not trained on "
            f"({listed([name or 'without a name' for name in new], 3)}): they are scaled by "
            "their own last rows.",
            PredictionWarning,
        )


def warn_of_levels(panel: Panel, ends: Sequence[int], trained: Mapping[str, Scale]) -> None:
    """Warn of series whose values are many times those of training, or a small part of them.

    Args:
        panel: the series.
        ends: of each, rows before its first forecast.
        trained: the scale of each series that was trained on.
    """
    found = []
    for series, end in zip(panel.series, ends, strict=True):
        if series.name not in trained:
            continue
        levels = trained[series.name].levels()
        for column, (values, level) in enumerate(zip(series.observed[:end].T, levels, strict=True)):
            median = _of_another_unit(values, float(level))
            if median is not None:
                name = f"{panel.targets[column]!r} in {series}"
                found.append((name, median, float(level)))
    warn_of_unit(found, "forecasts")


def warn_of_row_levels(rows: NDArray[np.float64], targets: Sequence[str], trained: Scale) -> None:
    """Warn of the first rows of a stream as `warn_of_levels` does of series.

    Args:
        rows: `(T, C)`; NaN where a value is missing.
        targets: names of the columns.
        trained: the scale of the series that was trained on.
    """
    triples = zip(targets, rows.T, trained.levels().tolist(), strict=True)
    tried = [(name, _of_another_unit(values, level), level) for name, values, level in triples]
    found = [(f"{n!r} in the stream", m, level) for n, m, level in tried if m is not None]
    warn_of_unit(found, "forecasts")


def _of_another_unit(values: NDArray[np.float64], level: float) -> float | None:
    """Return the median size of values where it is far from the level of training, or None."""
    sizes = np.abs(values[~np.isnan(values)])
    # A night of zeros and a day that is closed are no other unit.
    if not len(sizes) or not np.ptp(sizes) or not level > 0:
        return None
    median, largest = float(np.median(sizes)), float(sizes.max())
    return median if median > OTHER_UNIT * level or largest * OTHER_UNIT < level else None


def warn_of_doubts(panel: Panel) -> None:
    """Warn of what is doubtful in how the series were read."""
    for doubt in panel.doubts:
        warn(f"Doubtful: {doubt}", PredictionWarning)
