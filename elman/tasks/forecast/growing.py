"""A forecaster that goes on from another run: new series, and windows of the old ones again.

New data are read as those of the other run were. Season, horizon, calendar and the scales of
series that it had stay, since the weights were learnt with them; a new series has a scale of its
own. No tensor of the network has an entry for a series, so the network itself does not grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from elman.errors import InputError
from elman.tasks.forecast.effect import check_cut
from elman.tasks.forecast.finding import frequency_of, odd_steps
from elman.tasks.forecast.history import read_history
from elman.tasks.forecast.making import cut_and_scaled, followed, given_apart
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.pool import Pool
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.shared_rows import hashes_of_rows, revised, row_hashes, standing_in
from elman.tasks.growing import drawn, met_words
from elman.writing import written

if TYPE_CHECKING:
    from elman.tasks.forecast.task import Forecast
    from elman.tasks.forecast.windows import Scale

Task = TypeVar("Task", bound="Forecast")
_OTHER_RULE = 0.1
"""Share of steps that break the rule of the other run, from which the season is another one."""
_OTHER_SPREAD = 2
"""Times of the spread of training by which a series of the same name may be another one."""


class Again(NamedTuple):
    """Windows of another run that are read again, in training and to choose the best step.

    Attributes:
        words: how many they are; None of a run that goes on from none.
    """

    train: Pool = Pool()
    valid: Pool = Pool()
    words: str | None = None


def grown_from(
    kind: type[Task], old: Task, data: Any, settings: Any, valid: Any = None, test: Any = None
) -> Task:
    """Read new series, and windows of the old ones; see `elman.tasks.base.Growing`.

    Raises:
        InputError: as `from_data`, or the series are not like those of the other run.
    """
    if data is None:
        raise InputError("There are no data to train on: None was given.")
    data, apart = given_apart(data, valid, test)
    first = _read(old, settings, data)
    later = {part: _read(old, settings, source) for part, source in apart.items()}
    panel, told = followed(first, later)
    check_cut(settings, first.source, list(later))
    panel, settings, ends, scales = cut_and_scaled(panel, settings, told, old.scales)
    doubts = [*_other_spreads(panel, scales, old.scales), *_revised(panel, old)]
    panel = replace(panel, doubts=[*panel.doubts, *doubts])
    made = kind(settings, old.assets()["series"], {**old.scales, **scales}, panel, ends)
    made.again = _again(old, made)
    if old.seen is not None:
        rows = hashes_of_rows(panel.series, [end.valid for end in ends])
        made.seen = old.seen.with_more(rows)
    return made


def _read(old: Forecast, settings: Any, source: Any) -> Panel:
    """Return series that are like those of another run.

    Raises:
        InputError: columns, times or steps are others.
    """
    panel = read_history(source, settings, old.frequency, len(old.targets), least=1)
    if old.frequency is None:
        return panel
    rule, longest = rule_of(old.frequency), max(panel.series, key=len)
    if longest.times is None:
        raise InputError(
            f"{longest} has no times; those of the run that this one goes on from follow "
            f"{rule.words}.",
            file=panel.source,
            fix="Add the column of times.",
        )
    times = longest.times[: len(longest)]
    found = frequency_of(times)
    if found is None or rule_of(found).season == rule.season:
        return panel
    broken, less = (int(odd_steps(times, each).sum()) for each in (old.frequency, found))
    if broken > less and broken >= _OTHER_RULE * (len(times) - 1):
        raise InputError(
            f"the times of {longest} follow another calendar ({rule_of(found).words}, a season of "
            f"{rule_of(found).season}) than the run that this one goes on from ({rule.words}, a "
            f"season of {rule.season}).",
            file=panel.source,
            fix="Give series with the same calendar, or train a new run without --from.",
        )
    return panel


def _other_spreads(panel: Panel, scales: dict[str, Scale], kept: dict[str, Scale]) -> list[str]:
    """Return a doubt about series that vary much more, or less, than those of their name did."""
    found = []
    for series in panel.series:
        if series.name not in kept or not np.ptp(series.values, axis=0).all():
            continue
        now, then = scales[series.name].spread, kept[series.name].spread
        for target, ours, theirs in zip(panel.targets, now.tolist(), then.tolist(), strict=True):
            if not 1 / _OTHER_SPREAD <= ours / theirs <= _OTHER_SPREAD:
                found.append((target, series, ours, theirs))
    if not found:
        return []
    target, series, ours, theirs = found[0]
    more = f" ({len(found) - 1:,} more are so)" if len(found) > 1 else ""
    named = "give it another name" if series.name else "train a new run"
    return [
        f"the values of {target!r} in {series} have a standard deviation of {written(ours)}, in "
        f"the run that this one goes on from {written(theirs)}{more}; that run's scale is kept. If "
        "they are in another unit, write them in the old one; if they are of another series, "
        f"{named}."
    ]


def _revised(panel: Panel, old: Forecast) -> list[str]:
    """Return a doubt about values that are no longer those that the other run learnt from."""
    if old._data is None:
        return []
    before = {series.name: series for series in old._data.panel.series}
    counts = [(s, revised(s, before[s.name])) for s in panel.series if s.name in before]
    found = [(series, count) for series, count in counts if count]
    if not found:
        return []
    series, count = found[0]
    more = f" (and {len(found) - 1:,} more series)" if len(found) > 1 else ""
    return [
        f"{count:,} values of {series}{more} differ from those at the same times in the data of "
        "the run that this one goes on from: they count as revised, and the old ones are not read "
        "again. If they are of another series, give it another name."
    ]


def _again(old: Forecast, new: Forecast) -> Again:
    """Return the share of the old windows that is read again; of each series one at least.

    A window whose future stands in the new data is learnt there, or must not be learnt at all.
    """
    share, seed = new.settings.rehearsal, new.settings.seed
    if old._data is None or not share:
        return Again(words="None of the old windows.")
    pools = [old.to_learn(), Pool()]
    # With a plan, the validation part is trained on.
    if old.plan is None and not new.origins_of_backtest:
        pools[1] = Pool.of(old._here, old._valid_origins(None)).and_more(old.again.valid)
    free = [_elsewhere(pool, new._here.panel.series) for pool in pools]
    train, valid = (pool.take(drawn(pool.count, share, seed, pool.series())) for pool in free)
    words = f"{train.count:,} old windows in train"
    words += f" and {valid.count:,} in valid." if valid.count else "."
    if left := pools[0].count - free[0].count:
        words += f" {left:,} others stand in the new data."
    return Again(train, valid, words)


def _elsewhere(pool: Pool, series: Sequence[Series]) -> Pool:
    """Return the windows of which no row of the future stands in some series."""
    free = [np.empty(0, bool)]
    for held, origins in pool.parts:
        met = standing_in(held.panel.series, series, [len(one) for one in series])
        before = [np.concatenate([[0], np.cumsum(each)]) for each in met]
        first = np.cumsum([0, *(len(each) for each in before)])[:-1]
        at, counts = first[origins.series] + origins.position, np.concatenate(before)
        free.append(counts[at] == counts[at + held.windows.horizon])
    return pool.take(np.flatnonzero(np.concatenate(free)))


def met_before(new: Forecast, old: Forecast) -> list[str]:
    """Return doubts where the new test part was learnt before, or the old one is learnt now."""
    series, ends, met, missed = new._here.panel.series, new._ends, 0, 0
    if old.seen is not None:
        pairs = zip(row_hashes(series), ends, strict=True)
        met = old.seen.shared(np.concatenate([rows[e.valid : e.test] for rows, e in pairs]))
    if old._data is not None:
        theirs, then = old._data.panel.series, old._ends
        found = standing_in(series, theirs, [e.valid for e in then])
        triples = zip(series, found, ends, strict=True)
        met += sum(int(rows[e.valid : e.test].sum()) for s, rows, e in triples if s.times is None)
        learnt = zip(standing_in(theirs, series, [e.valid for e in ends]), then, strict=True)
        missed = sum(int(rows[e.valid : e.test].sum()) for rows, e in learnt)
    return met_words(met, missed, "rows")
