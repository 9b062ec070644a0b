"""Objects in cells become columns of their own: `review` with text and stars becomes `review.text`
and `review.stars`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.readings import Unfit

if TYPE_CHECKING:
    import pandas as pd

_DEEP = 8
"""Objects within objects that are unfolded."""
_MANY = 500
"""Columns that one may become; an object with more names than these is a table of its own."""


def unfolded(values: pd.Series) -> pd.DataFrame | None:
    """Return a column of objects as a column for each of their values, named after the way to it.

    Args:
        values: a column; a missing cell has no values.

    Returns:
        The columns, or None where the cells are no objects, or have too many names.

    Raises:
        Unfit: some cells are objects and some are not.

    >>> import pandas as pd
    >>> unfolded(pd.Series([{"stars": 1, "by": {"id": 7}}, {"stars": 5}], name="review"))
       review.stars  review.by.id
    0             1           7.0
    1             5           NaN
    """
    import pandas as pd

    if values.dtype != object:
        return None
    are = values.map(lambda cell: isinstance(cell, Mapping)).to_numpy(bool)
    if not are.any():
        return None
    odd = ~are & values.notna().to_numpy(bool)
    if odd.any():
        raise Unfit(
            "Here stands no object, and in other rows there are objects with named values.",
            int(np.argmax(odd)),
            "Write all cells of the column alike.",
        )
    rows = [
        _paths(cell, str(values.name)) if here else {}
        for cell, here in zip(values, are, strict=True)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > _MANY:
        return None
    columns = {name: as_column([row.get(name) for row in rows]) for name in names}
    return pd.DataFrame(columns, index=values.index)


def _paths(cell: Mapping[Any, Any], way: str, depth: int = 1) -> dict[str, Any]:
    """Return each value of an object under the names that lead to it."""
    found: dict[str, Any] = {}
    for name, value in cell.items():
        here = f"{way}.{name}"
        if isinstance(value, Mapping) and depth < _DEEP:
            found |= _paths(value, here, depth + 1)
        else:
            found[here] = value
    return found


def as_column(cells: list[Any]) -> pd.Series:
    """Return cells as a column of numbers where all are, else of what they are."""
    import pandas as pd

    numbers = all(
        cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))
        for cell in cells
    )
    return pd.Series(cells) if numbers else pd.Series(cells, dtype=object)
