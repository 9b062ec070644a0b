"""The index of a DataFrame or Series: times, names of series, or numbers of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data import date_numbers, dates
from elman.tasks.forecast.counters import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    import pandas as pd


def framed(data: Any) -> tuple[Any, list[str]]:
    """Return data with the index of a DataFrame or Series as columns, and the groups it names.

    An index of whole numbers without a name is left out, unless it holds dates such as 20240131.
    """
    import pandas as pd

    if isinstance(data, pd.Series):
        data = data.to_frame("value" if data.name is None else data.name)
    if not isinstance(data, pd.DataFrame):
        return data, []
    index = data.index
    whole = index.nlevels == 1 and pd.api.types.is_integer_dtype(index.dtype)
    if (
        whole
        and index.name is None
        and date_numbers.from_numbers(index.to_numpy(), named=False) is None
    ):
        return data, []
    frame, groups, levels = data.reset_index(drop=True), [], []
    for level in range(index.nlevels):
        values = index.get_level_values(level)
        if isinstance(values, pd.PeriodIndex):
            values = values.to_timestamp()
        if isinstance(values, pd.TimedeltaIndex):
            values = pd.Index(values.total_seconds(), name="t")
        timed = _timed(values)
        name = str(values.name) if values.name is not None else "time" if timed else "group"
        if name in map(str, frame.columns):
            continue
        if index.nlevels > 1 and not timed:
            groups.append(name)
        levels.append(pd.Series(values, name=name).reset_index(drop=True))
    return pd.concat([*levels, frame], axis=1), groups


def years_in_an_index(data: Any) -> tuple[pd.DataFrame, str] | None:
    """Return data whose index without a name counts years, with its name, and a doubt; or None.

    Rows that were cut out of a longer table have such an index too.
    """
    import pandas as pd

    if not isinstance(data, pd.Series | pd.DataFrame) or data.index.name is not None:
        return None
    index = data.index
    if index.nlevels > 1 or not pd.api.types.is_integer_dtype(index.dtype) or len(index) < 3:
        return None
    first, last = int(index[0]), int(index[-1])
    if not FIRST_YEAR <= min(first, last) <= max(first, last) <= LAST_YEAR:
        return None
    if abs(np.diff(index.to_numpy())).max() != 1 or abs(last - first) != len(index) - 1:
        return None
    if isinstance(data, pd.Series):
        data = data.to_frame("value" if data.name is None else data.name)
    if "year" in map(str, data.columns):
        return None
    return data.rename_axis("year"), (
        f"the index goes from {first} to {last} and has no name: it is read as years. If it only "
        "numbers the rows, leave it out: data.reset_index(drop=True)."
    )


def _timed(values: pd.Index[Any]) -> bool:
    """Tell whether a level of an index holds times and not names."""
    import pandas as pd

    if isinstance(values, pd.DatetimeIndex):
        return True
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values.dtype):
        counts = name.casefold() in ("t", "step", "time")
        named = dates.named_like_a_time(name)
        return counts or date_numbers.from_numbers(values.to_numpy(), named=named) is not None
    found = dates.read(pd.Series(values.unique()).astype(str).str.strip())
    return found is not None
