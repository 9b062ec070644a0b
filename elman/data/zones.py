"""Offsets of local times from UTC: named zones, and the places whose clocks fit several."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

NAMED_ZONES = {
    **{"wet": 0, "west": 60, "cet": 60, "mez": 60, "cest": 120, "mesz": 120, "eet": 120},
    **{"eest": 180, "msk": 180, "est": -300, "edt": -240, "cdt": -300, "mst": -420, "mdt": -360},
    **{"pst": -480, "pdt": -420, "aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780, "jst": 540},
}
"""Names of zones that mean one offset, in minutes; CST, BST and IST mean several."""
# The commoner ones of those whose clocks have the same rules.
_ZONES = (
    *("Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "Europe/Helsinki", "Australia/Sydney", "America/Sao_Paulo"),
)


def offset_of(zone: str) -> int:
    """Return the minutes of an offset from UTC.

    >>> offset_of("z"), offset_of("+0530"), offset_of("-08:00"), offset_of("+01"), offset_of("cest")
    (0, 330, -480, 60, 120)
    """
    if zone[0] not in "+-":
        return NAMED_ZONES.get(zone, 0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)


def zone_of_several(cells: pd.Series) -> str | None:
    """Return the name of a zone after a time of day that most cells end in and that is not read.

    >>> import pandas as pd
    >>> zone_of_several(pd.Series(["2024-01-31 12:00 IST", "2024-01-31 13:00 IST"]))
    'IST'
    """
    found = cells.str.extract(r"\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*\(?([A-Za-z]{2,5})\)?\s*$")[
        0
    ].dropna()
    found = found[~found.str.lower().isin({*NAMED_ZONES, "am", "pm", "utc", "gmt", "uhr"})]
    return str(found.iloc[0]) if 2 * len(found) > len(cells) else None


def zoned_by(moments: pd.Series, offsets: pd.Series) -> pd.Series:
    """Return local times with their zone: one offset, or the rules of a place that fit all."""
    different = offsets.dropna().unique()
    exact = (moments - offsets).dt.tz_localize("UTC")
    if len(different) == 1:
        fixed = datetime.timezone(datetime.timedelta(seconds=different[0].total_seconds()))
        return exact.dt.tz_convert("UTC" if not different[0].total_seconds() else fixed)
    there = exact.notna()
    place = _place(exact[there], moments[there], offsets[there])
    last = offsets[there].iloc[-1].total_seconds()
    return exact.dt.tz_convert(place or datetime.timezone(datetime.timedelta(seconds=last)))


def _place(exact: pd.Series, moments: pd.Series, offsets: pd.Series) -> str | None:
    """Return the name of a place whose clocks showed `moments`, or None where there is none."""
    import pandas as pd

    steps = np.flatnonzero(offsets.to_numpy()[1:] != offsets.to_numpy()[:-1])
    edges = np.unique(np.concatenate([[0, len(exact) - 1], steps, steps + 1]))[:200]
    # A clock that nobody has set, and this machine's own, are no places.
    places = zoneinfo.available_timezones() - {"Factory", "localtime"}
    for name in (*_ZONES, *sorted(places)):
        shown = exact.iloc[edges].dt.tz_convert(name).dt.tz_localize(None)
        if shown.equals(moments.iloc[edges]):
            whole = exact.dt.tz_convert(name).dt.tz_localize(None)
            if pd.Series(whole).equals(moments):
                return name
    return None
