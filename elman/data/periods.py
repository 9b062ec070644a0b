"""Quarters, half-years and fiscal years as people write them, each dated by its first day."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LIKE = r"""
    \d{4}[- ]?[qmw]\d{1,2}$ | q[1-4][-/ ']*(?:\d{4}|\d{2})$  # 2024-Q1, 2024M01, Q1 24
    | [1-4]q[-/ ']*(?:\d{4}|\d{2})$ | (?:w|kw|week)[- ]?\d{1,2}[-/ ]\d{4}$  # 1Q24, W05 2024
    | fy[ ']?\d{4}(?:[-/]\d{2}(?:\d{2})?)?$ | \d{4}[-/]\d{4}$  # FY2019/20, 2019/2020
    | fy[ ']?(?:\d{4}|\d{2})[- ]?q[1-4]$ | q[1-4][- ]?fy[ ']?(?:\d{4}|\d{2})$  # FY16 Q1, Q1 FY16
    | t[1-4][-/ ](?:1[89]|20)\d\d$ | (?:1[89]|20)\d\d[- ]?t[1-4]$  # T1 2002
    | [hs][12][-/ ](?:1[89]|20)\d\d$ | (?:1[89]|20)\d\d[- ]?[hs][12]$ | [12]h[ ](?:1[89]|20)\d\d$
    | (?:i|ii|iii|iv)[-/. ](?:1[89]|20)\d\d$ | (?:1[89]|20)\d\d[-/. ](?:i|ii|iii|iv)$  # IV 2002
"""
"""The pattern of a cell that writes such a period, in small letters."""
_FISCAL = r"^(?P<named>fy[ ']?)?(?P<year>\d{4})(?:[-/](?:\d\d)?(?P<next>\d\d))?$"
_PERIOD = re.compile(
    r"^(?:fy ?)?(?P<y1>\d{4}|\d{2}) ?(?P<u1>[qths])(?P<n1>[1-4])$"
    r"|^(?P<u2>[qths])(?P<n2>[1-4]) ?(?:fy ?)?(?P<y2>\d{4}|\d{2})$"
    r"|^(?P<n3>[1-4])(?P<u3>[qh]) ?(?P<y3>\d{4}|\d{2})$"
    r"|^(?P<r4>iv|i{1,3}) (?P<y4>\d{4})$|^(?P<y5>\d{4}) (?P<r5>iv|i{1,3})$"
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}


def parts_of_years(text: pd.Series) -> tuple[pd.Series, bool] | None:
    """Read quarters and half-years.

    Args:
        text: small letters, one blank for every mark between them.

    Returns:
        Year and month as `2024 4`, missing where a cell is none, and whether years have two
        digits; None where most cells are none.

    >>> import pandas as pd
    >>> parts_of_years(pd.Series(["fy16 q1", "t2 2002", "iv 2002", "2001 h2"]))[0].tolist()
    ['16 1', '2002 4', '2002 10', '2001 7']
    """
    import pandas as pd

    made: list[str | None] = []
    short = 0
    for cell in text:
        found = _PERIOD.match(cell.replace("'", ""))
        if found is None:
            made.append(None)
            continue
        groups = {name[0]: value for name, value in found.groupdict().items() if value}
        number = int(groups.get("n") or _ROMAN[groups["r"]])
        half = groups.get("u", "q") in "hs"
        if half and number > 2:
            made.append(None)
            continue
        made.append(f"{groups['y']} {number * 6 - 5 if half else number * 3 - 2}")
        short += len(groups["y"]) == 2
    there = sum(each is not None for each in made)
    if 2 * there <= len(made):
        return None
    return pd.Series(made, dtype=object), 2 * short > there


def fiscal_years(dates: pd.Series) -> pd.Series | None:
    """Read years over the turn of a year (FY2019/20, 2019-20, 2019/2020) as `2019 01`.

    None where a cell is none, and for fewer than three: 2011-12 is a month too.
    """
    import pandas as pd

    if len(dates) < 3 or not re.match(_FISCAL, dates.iloc[0].lower()):
        return None
    found = dates.str.lower().str.extract(_FISCAL)
    following = pd.to_numeric(found["next"]) == (pd.to_numeric(found["year"]) + 1) % 100
    alone = found["named"].notna() & found["next"].isna()
    if not (found["year"].notna() & (following | alone)).all():
        return None
    return found["year"] + " 01"


_BETWEEN = (r"\s+[-\u2013\u2014]\s+", r"\s+(?:to|bis|until|au)\s+", r"\s*(?:/|--|\u2013)\s*")
"""The marks between the beginning and the end of an interval."""
_LEAST_DIGITS = 6
"""Digits of a date that may begin or end an interval."""


def beginnings(cells: pd.Series) -> pd.Series | None:
    """Return the beginnings of intervals such as `01.01.2023 00:00 - 01.01.2023 01:00`.

    Both sides are written alike, and each is a whole date. A remark in brackets after them, such
    as the zone, is left out.

    Returns:
        The first sides, or None where most cells are no intervals.

    >>> import pandas as pd
    >>> beginnings(pd.Series(["2023-01-01T00:00/2023-01-01T01:00"])).tolist()
    ['2023-01-01T00:00']
    >>> beginnings(pd.Series(["2019/2020", "31/01/2024"])) is None
    True
    """
    import pandas as pd

    plain = [re.sub(r"\s*\([^()]*\)$", "", cell) for cell in cells]
    for between in _BETWEEN:
        made = [_beginning(cell, between) for cell in plain]
        if 2 * sum(each is not None for each in made) > len(made):
            pairs = zip(made, cells, strict=True)
            return pd.Series([cell if new is None else new for new, cell in pairs], cells.index)
    return None


def _beginning(cell: str, between: str) -> str | None:
    """Return the first side of an interval, or None where a cell is none."""
    sides = re.split(between, cell.strip())
    if len(sides) != 2 or _shape(sides[0]) != _shape(sides[1]):
        return None
    return sides[0] if sum(c.isdigit() for c in sides[0]) >= _LEAST_DIGITS else None


def _shape(text: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "0", text.strip()))
