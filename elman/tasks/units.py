"""The currency or the per cent sign beside numbers, in training and in later files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elman.data import numerals
from elman.data.kinds import MISSING

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_ALIKE = {
    **{"EUR": "€", "US$": "$", "USD": "$", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹"},
    **{"PLN": "zł", "kr.": "kr", "SEK": "kr", "NOK": "kr", "DKK": "kr", "CHF": "Fr", "Fr.": "Fr"},
}
"""Other ways to write a currency."""


def signs_of(table: Table, layout: Layout) -> dict[str, str]:
    """Return the columns of input and answer beside whose numbers a sign stands, and the sign."""
    if layout.form == "cell":
        return {}
    signs = {name: _sign(table, name) for name in (*layout.inputs, *layout.answers)}
    return {name: sign for name, sign in signs.items() if sign}


def refuse_others(table: Table, layout: Layout) -> None:
    """Refuse a table whose numbers stand in other units than those of training.

    An amount without its currency is still that amount. A number without a per cent sign is one
    of per cent, unless all of the column are fractions.

    Raises:
        InputError: with the first row and the column.
    """
    if layout.signs is None or layout.form == "cell" or not len(table):
        return
    for name in (*layout.inputs, *layout.answers):
        if name not in table.kinds:
            continue
        there, here = layout.signs.get(name, ""), _sign(table, name)
        if there == here or (not here and there != "%") or (not there and here != "%"):
            continue
        if not here and not _fractions(table, name):
            continue
        if here and there and _plain(here) == _plain(there):
            continue
        trained = f"had {there!r} beside them" if there else "had no per cent sign"
        found = f"have {here!r} beside them" if here else "are fractions without a per cent sign"
        raise table.refuse(
            f"The numbers of this column {found}; in training they {trained}.",
            0,
            name,
            "Write them in the unit of the training data.",
        )


def _sign(table: Table, name: str) -> str:
    known = table.how.get(name, {}).get("sign", "")
    if known or table.kinds[name] not in ("text", "category"):
        return known
    cells = table.frame[name].fillna("").astype(str).str.strip()
    found = numerals.read(cells, MISSING)
    return "" if found is None else found.sign


def _plain(sign: str) -> set[str]:
    return {_ALIKE.get(one, one) for one in sign.split()}


def _fractions(table: Table, name: str) -> bool:
    """Tell whether all numbers of a column lie between -1 and 1, and some are not whole."""
    values = table.numbers(name, allow_missing=True)
    values = values[~np.isnan(values)]
    return bool((np.abs(values) <= 1).all() and (values % 1 != 0).any())
