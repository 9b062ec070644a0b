"""The column whose rows together are one sequence, or belong to one owner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from shlex import quote
from typing import Any

import numpy as np

from elman.data import Table
from elman.data.recordings import counts
from elman.errors import InputError
from elman.tasks import called
from elman.tasks.reading.ids import ID_REPEATS
from elman.tasks.reading.layout import Layout

TIME = re.compile(
    r"(.*[\W_])?(time|timestamp|elapsed|clock|seconds?|secs?|ms|millis)([\W_].*)?|t",
    re.IGNORECASE,
)
_LABELS = 50
"""Different numbers at most that are labels."""
_RUN = 5
"""Rows of a block of one label, in the mean, at least."""


def ask_for_group(table: Table, others: Sequence[str], ids: dict[str, str], aligned: bool) -> None:
    """Ask for the group where an id stands in several rows that hold numbers."""
    repeated = [name for name, why in ids.items() if why == ID_REPEATS]
    numeric = [name for name in others if table.kinds[name] == "number"]
    cells = any(
        table.kinds[name] in ("series", "tokens", "image", "sound", "text") for name in others
    )
    if repeated and numeric and not cells and not aligned:
        raise unclear_repeats(table, repeated[0], numeric)


def ask_for_group_of_steps(table: Table, free: Sequence[str]) -> None:
    """Ask for the group where a clock begins anew for each owner of rows of numbers."""
    clocks = [name for name in free if table.kinds[name] in ("number", "time")]
    owners = [name for name in free if called.an_id(name) or called.an_owner(name)]
    numbers = [name for name in clocks if table.kinds[name] == "number" and name not in owners]
    if not numbers or not set(free) <= {*clocks, *owners}:
        return
    for owner in owners:
        cells = table.names(owner)
        if cells.isna().any() or not 1 < cells.nunique() <= len(cells) / 2:
            continue
        by = table.frame.groupby(cells, sort=False)
        for clock in clocks:
            times = table.frame[clock]
            if clock == owner or times.isna().any() or times.is_monotonic_increasing:
                continue
            if all(own.is_monotonic_increasing and own.is_unique for _, own in by[clock]):
                raise InputError(
                    f"It is not clear what a sequence is: {owner!r} holds names that repeat, and "
                    f"{clock!r} begins anew for each of them.",
                    file=table.source,
                    fix=f"Set group={quote(owner)} and time={quote(clock)}; or, if all rows are "
                    "one sequence, name its channels with columns=[A,B,…].",
                )


def ask_for_tags(table: Table, target: str, numeric: Sequence[str]) -> None:
    """Refuse to read each row alone where a clock runs through all rows and labels stand in blocks.

    Raises:
        InputError: the rows look like the steps of one recording; the message names the clock.
    """
    if not _in_blocks(table, target):
        return
    clock = next((name for name in numeric if _a_clock(table, name)), None)
    others = [name for name in numeric if name != clock]
    if clock is None or not others:
        return
    named = f"{','.join(others[:6])}{',…' * (len(others) > 6)}"
    raise InputError(
        f"The rows look like the steps of one recording: {clock!r} rises in each, and the labels "
        f"in {target!r} stand in blocks.",
        file=table.source,
        fix=f"To learn the label of each step: elman train tag DATA --set time={quote(clock)}. If "
        f"each row stands alone, name the numbers to read: columns=[{named}].",
    )


def doubts_of_steps(table: Table, layout: Layout) -> list[str]:
    """Return a doubt where rows are read alone and times run through blocks of labels."""
    if layout.form != "row" or len(layout.answers) > 1 or not _in_blocks(table, layout.target):
        return []
    for name in layout.left_out:
        times = table.frame[name]
        if table.kinds[name] == "time" and times.is_monotonic_increasing and times.is_unique:
            return [
                f"each row is read alone, though {name!r} rises in each and the labels stand in "
                "blocks, as the steps of one recording do; rows that are neighbours stand in "
                "different parts, so the scores flatter. `elman train tag` learns the label of "
                "each step."
            ]
    return []


def _in_blocks(table: Table, target: str) -> bool:
    """Tell whether labels stand in few runs of many rows each."""
    cells = table.frame[target]
    if table.kinds[target] == "number" and cells.nunique() > _LABELS:
        return False
    runs = int((cells != cells.shift()).sum())
    return runs <= len(cells) / _RUN


def _a_clock(table: Table, name: str) -> bool:
    """Tell whether numbers rise in each row, by one and the same or under the name of a time."""
    values = table.frame[name].to_numpy(np.float64)
    rises = bool((np.diff(values) > 0).all())
    return rises and (counts(values, [len(values)]) or TIME.fullmatch(name.strip()) is not None)


def unclear_repeats(table: Table, name: str, numeric: Sequence[str]) -> InputError:
    """Return the error of names that repeat beside columns of numbers."""
    text = ""
    if table.kinds[name] != "number":
        text = f", or text={name} if the names themselves are to be read"
    return InputError(
        f"It is not clear what a sequence is: {name!r} holds names that repeat, beside columns of "
        f"numbers ({', '.join(numeric[:6])}).",
        file=table.source,
        fix=f"Set group={quote(name)} if its rows are the steps of a series{text}, or "
        f"together={quote(name)} if "
        "each row stands alone: then all rows of one are in one part. To leave it out, name the "
        f"numbers: columns=[{','.join(numeric[:6])}{',…' * (len(numeric) > 6)}].",
    )


def may_be_group(table: Table, name: str) -> bool:
    """Tell whether a column is called an id and repeats, or names a sequence in its first row."""
    repeats = called.an_id(name) and table.names(name).duplicated().any()
    return bool(repeats) or _in_first_rows(table.names(name))


def _in_first_rows(cells: Any) -> bool:
    """Tell whether the first row is filled and others are not, each with another value."""
    named = cells.replace("", None).notna()
    some = len(cells) > 0 and not named.all() and named.iloc[0]
    return bool(some and named.sum() > 1 and not cells[named].duplicated().any())


def filled_down(table: Table, group: str | None) -> Table:
    """Return a table whose group is named in every row, where only the first row of each had its
    name."""
    if group is None or group not in table.kinds:
        return table
    cells = table.frame[group].replace("", None)
    if not _in_first_rows(table.names(group)):
        return table
    note = f"{group!r} stands in the first row of each only, and was filled in below it."
    notes = [*table.meta.get("notes", ()), note]
    spelt = {n: table.names(n).ffill() if n == group else own for n, own in table.spelt.items()}
    return replace(
        table,
        frame=table.frame.assign(**{group: cells.ffill()}),
        spelt=spelt,
        meta={**table.meta, "notes": notes},
    )


def owners_in(table: Table, layout: Layout, together: str | None) -> list[str]:
    """Return the columns of whom or what a sequence belongs to: the one that was given, else ids
    that stand in several rows and are not used for anything else.

    Those that lack a cell, or change within a sequence, say it of no sequence.
    """
    if together is not None:
        return [together]
    found = [name for name, why in layout.left_out.items() if why == ID_REPEATS]
    found = [name for name in found if table.frame[name].notna().all()]
    if layout.group is None:
        return found
    groups = table.names(layout.group)
    return [n for n in found if (table.names(n).groupby(groups).nunique() == 1).all()]
