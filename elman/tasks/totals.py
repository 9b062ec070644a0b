"""A last row that holds sums or means of the rows above it is no example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elman.data.wide import named_like_a_total, resolution

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_LAST = 3
"""Rows at the end of a table that may be a sum and a mean."""
_ABOVE = 5
"""Rows above a total at least."""


def refuse(table: Table, layout: Layout) -> None:
    """Refuse a table of examples that ends with a total of the others.

    It is called so (Total, Sum, Summe, …), or its cells beside the numbers are empty, and one of
    its numbers is the sum or the mean of those above or larger than all of them; or two of its
    numbers and half of them are sums.

    Raises:
        InputError: with the row.
    """
    numeric = [name for name, kind in table.kinds.items() if kind == "number"]
    if layout.each is not None or not set(numeric) & {*layout.inputs, *layout.answers}:
        return
    values = table.frame[numeric].to_numpy(np.float64)
    filled = np.nan_to_num(values, posinf=0, neginf=0)
    for row in range(max(_ABOVE, len(table) - _LAST), len(table)):
        own, above = filled[row], filled[:row]
        named = _named(table, row)
        sums = _near(own, above.sum(0), above)
        means = _near(own, above.mean(0), above)
        largest = own > 2 * np.abs(above).max(0)
        known = {"Total": sums | means | largest, "": sums}.get(named, np.zeros(1, bool)).any()
        if not known and (sums.sum() < 2 or 2 * sums.sum() < len(numeric)):
            continue
        place = int(np.argmax(sums if sums.any() else means | largest))
        there = values[:row, place]
        raise table.refuse(
            f"The row is a total of the others and no example: it holds {own[place]:g}, and the "
            f"{row:,} rows above it hold {np.nanmin(there):g} to {np.nanmax(there):g}.",
            row,
            numeric[place],
            "Take the row out.",
        )


def _named(table: Table, row: int) -> str:
    """Return "Total" where a cell names the row so and no row above, "" where all cells that are no
    numbers are empty, else "other"."""
    words = [name for name, kind in table.kinds.items() if kind in ("text", "category")]
    cells = {name: table.frame[name].iloc[row] for name in words}
    for name, cell in cells.items():
        if isinstance(cell, str) and named_like_a_total(cell):
            return "other" if (table.frame[name].iloc[:row] == cell).any() else "Total"
    empty = [not isinstance(cell, str) or not cell.strip() for cell in cells.values()]
    return "" if empty and all(empty) else "other"


def _near(
    own: NDArray[np.float64], expected: NDArray[np.float64], above: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell in which columns a number is what is expected, and varying rows lie above it."""
    slack = np.array([resolution(column) for column in above.T]) * np.sqrt(len(above))
    varying = (above != 0).sum(0) > 2
    spread = above.max(0) - above.min(0)
    close = np.abs(own - expected) <= np.minimum(slack, 0.001 * np.abs(expected) + 1e-9)
    found: NDArray[np.bool_] = close & varying & (spread > 0)
    return found
