"""Columns of written dates: how they were read, or which cell stands in the way and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.data import dates, months
from elman.data.readings import OTHER, Reading, Unfit, shown

if TYPE_CHECKING:
    import pandas as pd


def written_dates(cells: pd.Series, found: dates.Written) -> Reading:
    """Return the reading of stripped cells of which `dates.read` found this."""
    if found.mixed is not None:
        there, not_there = found.mixed
        raised = Unfit(
            f"{shown(cells.iloc[not_there])} has no offset from UTC, unlike "
            f"{shown(cells.iloc[there])} in row {OTHER}, so nobody can say which came first.",
            not_there,
            "Write all times with their offset, or none.",
            other=there,
        )
        return Reading("time", None, unfit=raised)
    if len(found.wrong):
        place = int(found.wrong[0])
        cell = cells.iloc[place]
        what, fix = f"{shown(cell)} is not a date or a time.", "Correct it, or take the row out."
        if re.fullmatch(r"\d{4}-?02-?(29|30)\b.*", cell):
            what = f"{what} A calendar of 360 days has it, and it is not read."
            fix = (
                "Correct it; or take the column of dates out where the calendar has 360 days, and "
                "set season to its steps (12 months, 30 or 360 days)."
            )
        elif (other := _in_another_order(cells, found)) is not None:
            first, then = found.orders[0], "month" if found.orders[0] == "day" else "day"
            what = (
                f"{shown(cell)} can only be read with the {then} first, and "
                f"{shown(cells.iloc[other])} in row {OTHER} only with the {first} first."
            )
            fix = "Write all dates of the column alike, such as 2024-01-31."
            return Reading("time", None, unfit=Unfit(what, place, fix, other))
        elif months.like_a_name(cell):
            read = found.languages[0] if found.languages else "English"
            what = f"{shown(cell)} is not a date with its month in {read}, like the other cells."
            fix = "Name all months in one language, or write 2024-01-31."
        return Reading("time", None, unfit=Unfit(what, place, fix))
    if found.moments is not None:
        order = found.orders[0]
        if found.languages:
            words = f"months in {found.languages[0]}"
            return Reading("time", found.moments, words, years=found.years)
        # Where a month has a name, nothing could be mistaken.
        if order == "year" or cells.iloc[:20].str.contains(r"[A-Za-z]{3}").any():
            return Reading("time", found.moments, years=found.years)
        settings: dict[str, str] = {"date_order": order}
        words = f"the {order} first{instead(found.others)}"
        return Reading("time", found.moments, words, None, settings, "", found.years)
    place = int(np.argmax(cells != ""))
    cell = shown(cells.iloc[place])
    if found.yearless:
        raised = Unfit(f"{cell} has no year.", place, "Write 2024-01-31.")
        return Reading("time", None, unfit=raised)
    if len(found.languages) > 1:
        either = " or in ".join(found.languages)
        raised = Unfit(f"The month of {cell} can be read in {either}.", place, "Write 2024-01-31.")
        return Reading("time", None, unfit=raised)
    orders = " or the ".join(found.orders)
    raised = Unfit(f"{cell} can be read with the {orders} first.", place, "Write 2024-01-31.")
    return Reading("time", None, unfit=raised, asks="date_order")


_TEXT = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](?:\d{4}|\d{2})(?!\d)"
_READ = r"^\d{4}-\d{2}-(\d{2})(?!\d)|^([2-7]\d{4})(?:\.\d+)?$"
"""A date as a spreadsheet writes it, or its number of days."""
_LEAST_OF_HALVES = 3
"""Cells at least that a spreadsheet read, and that it did not, in a column read by halves."""


def half_swapped(cells: pd.Series) -> Unfit | None:
    """Return what is wrong with dates that a spreadsheet read by halves, or None.

    Where dates have the day first and the spreadsheet wants the month first, it reads the second
    of January as the first of February, and leaves 13/01/2020 as the text it was.

    Args:
        cells: stripped strings.

    >>> import pandas as pd
    >>> days = [f"2020-{day:02}-01" for day in range(1, 13)]
    >>> half_swapped(pd.Series([*days, "13/01/2020", "14/01/2020", "15/01/2020"])).other
    12
    """
    import pandas as pd

    there = (cells != "").to_numpy()
    places = np.flatnonzero(there)
    few = cells.iloc[places[:: max(1, len(places) // 200)]]
    if not few.str.match(_READ).any():
        return None
    text = cells.str.extract(_TEXT).astype(np.float64).to_numpy()
    made = cells.str.extract(_READ).astype(np.float64)
    serial = pd.to_timedelta(made[1], unit="D") + pd.Timestamp("1899-12-30")
    day = made[0].fillna(serial.dt.day).to_numpy()
    left, read = there & ~np.isnan(text[:, 0]), there & ~np.isnan(day)
    if min(left.sum(), read.sum()) < _LEAST_OF_HALVES or (there & ~left & ~read).any():
        return None
    # What was left is no date with the month first; what was read has a month for its day.
    first = next((k for k in (0, 1) if (text[left, k] > 12).all()), None)
    if first is None or (text[left, 1 - first] > 12).any() or (day[read] > 12).any():
        return None
    place, other = int(np.argmax(read)), int(np.argmax(left))
    right, wrong = ("day", "month") if first == 0 else ("month", "day")
    what = (
        f"{shown(cells.iloc[place])} is a date of a spreadsheet, and {shown(cells.iloc[other])} in "
        f"row {OTHER} is text. It seems that dates with the {right} first were read with the "
        f"{wrong} first where they could be, so that day and month changed places in these rows, "
        "and the others stayed text."
    )
    fix = (
        "Do not correct single rows: read the original file into the spreadsheet again, with the "
        f"column as text or as dates with the {right} first."
    )
    return Unfit(what, place, fix, other)


def instead(others: Sequence[str]) -> str:
    """Return what is to be said of orders of day, month and year that the rows ruled out.

    >>> instead(["month"])
    ', as the order and the steps of the rows suggest (date_order=month reads the month first)'
    """
    ways = [f"date_order={other} reads the {other} first" for other in others]
    suggest = "as the order and the steps of the rows suggest"
    return f", {suggest} ({', '.join(ways)})" if ways else ""


_NUMBERED = r"^\s*(\d{1,2})[-/. ](\d{1,2})[-/. ]\d{2,4}\b"


def _in_another_order(cells: pd.Series, found: dates.Written) -> int | None:
    """Return the place of a cell that has the order of its column, where the wrong one has another.

    None where the wrong cell is no date in the other order of day and month.
    """
    if not found.orders or found.orders[0] == "year":
        return None
    parts = cells.str.extract(_NUMBERED).astype(float).to_numpy()
    month = 0 if found.orders[0] == "month" else 1
    first = parts[int(found.wrong[0])]
    if not (first[month] > 12 >= first[1 - month]):
        return None
    others = np.flatnonzero((parts[:, 1 - month] > 12) & (parts[:, month] <= 12))
    return int(others[0]) if len(others) else None
