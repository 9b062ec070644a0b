"""From tables to series: the shapes a person's series come in.

Three shapes: long (a row a moment; several series told apart by a column), wide (a row a
series, its values to the right, short rows left empty at the end), and files whose cells are
whole series (`.tsf`, `.ts`, lists in JSON). All become one `Panel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data import read
from elman.errors import InputError, nearest
from elman.tasks.forecast.columns import (
    Columns,
    Sorted,
    at_an_end,
    read_told,
    sort_out,
    unread,
)
from elman.tasks.forecast.dated_lists import group_of, in_rows, split_times, times_in
from elman.tasks.forecast.doubts import (
    PLAIN,
    marks,
    names_in_turn,
    numbers_with_marks,
    of_targets,
    of_times,
    other_step,
    still_to_come,
    sums_at_an_end,
    totals_among,
    two_in_one,
)
from elman.tasks.forecast.files import FILE, each_is_a_series, named_by_file
from elman.tasks.forecast.filling import ADVICE, all_completed
from elman.tasks.forecast.finding import frequency_of, local
from elman.tasks.forecast.groups import as_list, names_of
from elman.tasks.forecast.in_cells import from_cells
from elman.tasks.forecast.index import framed, years_in_an_index
from elman.tasks.forecast.order import as_numbers, check_order
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.times import (
    step_in_words,
    time_told,
    times_after,
    unit_of,
)
from elman.tasks.forecast.wide import from_wide, looks_wide
from elman.tasks.understood import listed

if TYPE_CHECKING:
    from elman.data import Table

Floats = NDArray[np.float64]
_BEGIN = "begin"
_LEAST_REPEATED = 3
"""Values of a series at least that are no chance where they come again."""


def read_panel(data: Any, columns: Columns, rule: str | None = None) -> Panel:
    """Read series of any of the three shapes.

    Args:
        data: what `elman.data.read` takes.
        columns: which column is what; the shape is found where `layout` is None.
        rule: of the times that a model was trained on; found where it is None.

    Raises:
        InputError: a cell that is no number or missing, unsorted or repeated times, a gap
            inside a row, a column that is not there. File, row and column are named.
    """
    given = data
    data, groups = framed(data)
    table = read(data, encoding=columns.encoding, sheet=columns.sheet, decimal=columns.decimal)
    cells = [name for name, kind in table.kinds.items() if kind == "series"]
    dated = times_in(table, cells, columns) if cells else None
    if cells and dated is None and (split := split_times(table, cells, columns)) is not None:
        table, dated = split
    if cells and dated is None:
        return from_cells(table, cells, columns, rule)
    groups = as_list(columns.group) or groups
    if dated is not None:
        groups = group_of(table, columns)
        table = in_rows(table, dated, cells, columns)
    if FILE in groups and FILE not in table.kinds and table.source is not None:
        table = named_by_file(table)
    out = sort_out(table, columns, groups)
    if columns.layout == "wide" or (columns.layout is None and looks_wide(out, columns)):
        return from_wide(out, columns, rule)
    if out.unread:
        # The newest row may be the first: the order of the rows says nothing.
        raise unread(
            out, "take the column out of the file, and the rows count in their order, oldest first"
        )
    if each_is_a_series(out):
        out = sort_out(named_by_file(table), columns, [FILE])
        out.say("series", "Their times overlap, so each file is a series of its own.")
    if out.time is None and (indexed := years_in_an_index(given)) is not None:
        named, doubt = indexed
        panel = read_panel(named, columns, rule)
        return replace(panel, doubts=[*panel.doubts, doubt])
    return _from_long(out, columns, rule)


def extend(panel: Panel, later: Panel, part: str) -> Panel:
    """Each series of `panel` with the values that follow in `later`, its part of that name.

    Raises:
        InputError: a series or a column is not in `panel`, or `later` begins too early.
    """
    if later.targets != panel.targets:
        raise InputError(
            f"the targets are {later.targets}; in the training data they are {panel.targets}.",
            file=later.source,
        )
    follows = {s.name: s for s in later.series}
    names = [s.name for s in panel.series]
    for name in sorted(set(follows) - set(names)):
        raise InputError(
            f"series {name!r} is not in the training data.",
            file=later.source,
            fix=nearest(name, names),
        )
    for series in later.series:
        check_step(series, panel.frequency, later.source)
    joined = [_joined(s, follows.get(s.name), later) for s in panel.series]
    doubts = [f"of the {part} data: {doubt}" for doubt in [*_left_out(panel, later), *later.doubts]]
    words = {"valid": "validation", "test": "test"}.get(part, part)
    told = [("time", f"The {words} data: {t}") for about, t in later.told if about == "time"][:1]
    told += [("series", f"The {words} data {t}") for about, t in later.told if about == _BEGIN]
    return replace(panel, series=joined, told=[*panel.told, *told], doubts=[*panel.doubts, *doubts])


def without_repeated(panel: Panel, later: Panel) -> Panel:
    """Return later data without their beginning where that is the training data once more.

    GluonTS writes a test part so: each series whole, and longer by what is to be forecast.

    Raises:
        InputError: some series begin so and others do not, or one holds nothing more.
    """
    follows = {s.name: s for s in later.series}
    repeats = {
        s.name: s for s in panel.series if s.name in follows and begins_with(follows[s.name], s)
    }
    if not repeats:
        return later
    other = next((s for s in later.series if s.name not in repeats), None)
    if other is not None:
        first = next(s for s in later.series if s.name in repeats)
        raise InputError(
            f"{first} begins with its training data, and {other} does not.",
            file=later.source,
            fix="Give only rows that come after the training data.",
        )
    rest = []
    for then in later.series:
        count = len(repeats[then.name])
        if len(then) == count:
            raise InputError(
                f"{then} holds its training data and nothing that follows.", file=later.source
            )
        times = None if then.times is None else then.times[count:]
        rest.append(Series(then.name, then.values[count:], then.known[count:], times))
    told = (_BEGIN, "begin with the training data: only the rest counts.")
    return replace(later, series=rest, told=[*later.told, told])


def begins_with(then: Series, first: Series) -> bool:
    """Tell whether a series begins with all values of another, at the same times."""
    count = len(first)
    if len(then) < count or count < _LEAST_REPEATED:
        return False
    if not np.array_equal(then.values[:count], first.values, equal_nan=True):
        return False
    if first.times is None or then.times is None:
        return first.times is then.times
    return bool((first.times[:count] == then.times[:count]).all())


def _left_out(panel: Panel, later: Panel) -> list[str]:
    """Return a doubt about moments between the training data and those that follow it."""
    follows = {s.name: s for s in later.series}
    if panel.frequency is None:
        return []
    for one in panel.series:
        then = follows.get(one.name)
        if then is None or one.times is None or then.times is None or not len(then.times):
            continue
        last, begin = local(one.times)[len(one) - 1], local(then.times)[0]
        expected = times_after(last, 1, panel.frequency)[0]
        gap = (begin - last).total_seconds()
        if begin > expected and gap > 1.5 * (expected - last).total_seconds():
            steps = round(gap / rule_of(panel.frequency).mean) - 1
            return [
                f"{then} begins at {then.times[0]}, {step_in_words(gap)} after the last row of its "
                f"training data ({one.times[len(one) - 1]}): some {steps:,} rows between them are "
                "not there, and the rows on both sides count as neighbours. Give those rows too, "
                "or forecast what follows the training data."
            ]
    return []


def check_step(series: Series, frequency: str | None, source: object) -> None:
    """Refuse a series whose steps are much longer or shorter than those of the model.

    Raises:
        InputError: days were given to a model of hours, or the like.
    """
    step = other_step(series, frequency)
    if step is not None:
        raise InputError(
            f"{series} has {step_in_words(step)} between its rows; the model was trained on "
            f"{unit_of(frequency)}.",
            file=source,
            fix="Give data with the steps of the training data, or train another model.",
        )


def _joined(first: Series, then: Series | None, later: Panel) -> Series:
    import pandas as pd

    if then is None:
        return first
    times = None
    known = then.known
    if first.times is not None and then.times is not None:
        last, follows = first.times[len(first) - 1], then.times
        if (last.tz is None) != (follows.tz is None):
            raise InputError(
                f"the times of {then} {'have' if last.tz is None else 'have no'} offset from UTC, "
                "unlike those of its training data.",
                file=later.source,
                fix="Write them alike.",
            )
        if last.tz is not None:
            follows = follows.tz_convert(last.tz)
        if follows[0] <= last:
            raise InputError(
                f"{then} begins at {follows[0]}, but its training data goes on to {last}.",
                file=later.source,
                fix="Give only rows that come after the training data.",
            )
        times = pd.DatetimeIndex(first.times[: len(first)].append(follows))
    return Series(
        first.name,
        np.concatenate([first.values, then.values]),
        np.concatenate([first.known[: len(first)], known]),
        times,
    )


def _from_long(out: Sorted, columns: Columns, rule: str | None) -> Panel:
    import pandas as pd

    targets = _targets(out, columns)
    if not (out.groups or columns.covariates or columns.fill):
        _leave_empty_end(out, targets)
    table, time, moments = out.table, out.time, out.moments
    both = sorted(set(targets) & set(columns.covariates))
    if both:
        raise InputError(f"column {both[0]!r} is both a target and a covariate.")
    if moments is not None and moments.isna().any():
        place = int(np.argmax(moments.isna()))
        what, fix = "the time is missing.", "Fill it in."
        if where := at_an_end(table, place):
            what, fix = f"{what} {where}", "Take the row out of the file."
        raise table.refuse(what, place, str(time), fix)
    ahead = bool(columns.covariates) or columns.fill is not None
    values = np.stack([table.numbers(n, allow_missing=True) for n in targets], axis=1)
    if not ahead and np.isnan(values).any():
        row, column = (int(place) for place in np.argwhere(np.isnan(values))[0])
        count = int(np.isnan(values[:, column]).sum())
        whole = f" {count:,} of {len(values):,} values of the column are." if count > 1 else ""
        raise table.refuse(f"A value is missing.{whole}", row, targets[column], ADVICE)
    known = np.stack(
        [table.numbers(n) for n in columns.covariates] or [np.empty(len(table))], axis=1
    )[:, : len(columns.covariates)]
    names = names_of(table, out.groups)
    keys = None if moments is None else as_numbers(moments)
    series, places = [], []
    turned = 0
    for name, rows in pd.Series(range(len(table))).groupby(np.array(names), sort=False):
        index = rows.to_numpy().astype(np.int64)
        if keys is not None:
            if len(index) > 1 and (np.diff(keys[index]) < 0).all():
                index = index[::-1]
                turned += 1
            check_order(out, keys, index, str(name))
        length = len(index)
        if ahead:
            length = _observed(table, values[index], index, targets, fill=columns.fill is not None)
        times = None
        if moments is not None and moments.dtype.kind == "M":
            times = pd.DatetimeIndex(moments.iloc[index])
        series.append(Series(str(name), values[index[:length]], known[index], times))
        places.append(index)
    out.doubtful += marks(table, targets, values, places)
    out.doubtful += marks(table, columns.covariates, known, places)
    longest = max(series, key=len)
    frequency = None if longest.times is None else rule or frequency_of(longest.times)
    if columns.fill is not None:
        series, put_in = all_completed(series, frequency)
        out.told += [("time", sentence) for sentence in put_in]
    found = out.found | {"layout": "long", "target": targets}
    if out.groups:
        found["group"] = out.groups[0] if len(out.groups) == 1 else out.groups
    where = "" if out.time is None else f"column {out.time!r}"
    if out.joined:
        where = f"columns {', '.join(map(repr, out.joined))} together"
    told = _what_was_taken(out, targets, columns)
    told += [*time_told([s.times for s in series], frequency, where), *out.told]
    if turned:
        told.append(("time", "The newest rows came first: they were put in the order of time."))
    if columns.target is None:
        used = {*targets, *out.groups, *columns.covariates, *out.counters, out.time, *out.clocks}
        out.doubtful += [
            f"{what}, so it is not forecast. {PLAIN} if "
            "it is to be; else name the columns to forecast with target=."
            for what in numbers_with_marks(table, [n for n in table.kinds if n not in used])
        ]
    out.doubtful += of_targets(targets, values, frequency)
    out.doubtful += [*totals_among([one.name for one in series]), *sums_at_an_end(series, targets)]
    if not out.groups:
        out.doubtful += two_in_one(table, targets, values)
        out.doubtful += names_in_turn(table, [*out.counters, str(out.time)], columns.target)
    out.doubtful += of_times(series, frequency)
    if out.time not in out.years:
        out.doubtful += still_to_come(series, frequency)
    return Panel(
        series,
        targets,
        list(columns.covariates),
        frequency,
        table.source,
        found,
        numbers=None if out.joined else out.numbers,
        time=out.joined or ([] if out.time is None else [out.time]),
        used=frozenset(out.used),
        told=told,
        doubts=out.doubtful,
    )


def _leave_empty_end(out: Sorted, targets: Sequence[str]) -> None:
    """Leave the last rows in time out where they hold none of the targets.

    Such are the events at the end of a logger's file, and days that are still to come. They stay
    where other rows hold none either, and are counted with them.
    """
    there = np.zeros(len(out.table), dtype=bool)
    for name in targets:
        there |= ~np.isnan(out.table.numbers(name, allow_missing=True))
    if there.all() or not there.any():
        return
    newest_first = (
        out.moments is not None
        and out.moments.notna().all()
        and bool((np.diff(as_numbers(out.moments)) < 0).all())
    )
    first, last = int(np.argmax(there)), len(there) - int(np.argmax(there[::-1]))
    kept = np.arange(first, len(there)) if newest_first else np.arange(last)
    count = len(there) - len(kept)
    if not count or not there[kept].all():
        return
    out.table = out.table.take(kept)
    if out.moments is not None:
        out.moments = out.moments.iloc[kept].reset_index(drop=True)
    rows = "1 row" if count == 1 else f"{count:,} rows"
    names = listed([repr(name) for name in targets])
    out.say("left out", f"{rows} at the end without a value of {names}.")


def _targets(out: Sorted, columns: Columns) -> list[str]:
    """Return the columns to forecast.

    Raises:
        InputError: a column that may be one of them is mostly numbers, or there is none.
    """
    named, table = as_list(columns.target), out.table
    for name, (kind, error) in out.doubts.items():
        if kind == "number" and (not named or name in (*named, *columns.covariates)):
            raise error
    if named:
        return named
    aside = {out.time, *out.groups, *columns.covariates, *out.counters}
    found = [n for n, k in table.kinds.items() if k == "number" and n not in aside]
    # A column without any value is not forecast where another one could be.
    found = [name for name in found if table.frame[name].notna().any()] or found
    found = _without_constant(out, found)
    found = found or [name for name in out.plain if name not in aside]
    if not found:
        what = numbers_with_marks(table, [n for n in table.kinds if n not in aside])
        raise InputError(
            "; ".join(["there is no column of numbers to forecast", *what]) + ".",
            file=table.source,
            fix=f"{PLAIN}."
            if what
            else f"The columns are {', '.join(repr(n) for n in table.kinds)}.",
        )
    return found


def _without_constant(out: Sorted, found: list[str]) -> list[str]:
    """Leave out columns that have one value in each series, where others change."""
    named = np.array(names_of(out.table, out.groups))
    each = out.table.frame[found].groupby(named).nunique().max()
    still = [name for name in found if each[name] <= 1]
    if not still or len(still) == len(found):
        return found
    where = "in each series" if out.groups else "in all rows"
    for name in still:
        out.counters.append(name)
        out.say("left out", f"Column {name!r} was left out: it has one value {where}.")
    return [name for name in found if name not in still]


def _what_was_taken(out: Sorted, targets: list[str], columns: Columns) -> list[tuple[str, str]]:
    """Return what was taken for what and what was left out, in sentences."""

    def listed(names: Sequence[str]) -> str:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return ", ".join(map(repr, names[:8])) + more

    how = "as was set" if columns.target else "every column of numbers"
    told = [*read_told(out.table), ("target", f"{listed(targets)} ({how}).")]
    if out.groups:
        told.append(("series", f"They are told apart by {listed(out.groups)}."))
    if out.time is None:
        told.append(("time", "There is no column of times: the order of the rows counts."))
    if columns.covariates:
        told.append(("known ahead", f"{listed(columns.covariates)}."))
    used = {*targets, *out.groups, *columns.covariates, *out.counters, out.time}
    left = [f"{n} ({k})" for n, k in out.table.kinds.items() if n not in used]
    if left:
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        told.append(("left out", f"{', '.join(left[:8])}{more}: not used."))
    return told


def _observed(
    table: Table, values: Floats, rows: NDArray[np.int64], targets: list[str], *, fill: bool
) -> int:
    """Rows before the last ones whose targets are all empty: those are the known future."""
    some = np.flatnonzero(~np.isnan(values).all(axis=1))
    length = int(some[-1]) + 1 if len(some) else 0
    holes = np.argwhere(np.isnan(values[:length]))
    if len(holes) and not fill:
        row, column = holes[0]
        raise table.refuse("A value is missing.", int(rows[row]), targets[column], ADVICE)
    return length
