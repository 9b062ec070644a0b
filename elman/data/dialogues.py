"""Conversations written as objects: what is said of each utterance becomes a column of its own.

`turns` with speaker, text and act becomes `turns` and `turns.act`, a list for each conversation.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from elman.data.kinds import objects, to_turns
from elman.data.turn_names import SPEAKER, TEXT, TIME, plain
from elman.data.turns import is_conversation

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 50
"""Cells of a column that are looked at."""


def unfolded(values: pd.Series) -> pd.DataFrame | None:
    """Return a column of conversations, and a column for each value of their utterances.

    A conversation of which an utterance lacks a value has none. Where times go backwards, the
    `attrs` say so under "doubts".

    Args:
        values: a column; a missing cell has no utterances.

    Returns:
        The columns, or None where these are no conversations of objects.

    Raises:
        Unfit: some cells are conversations and some are not.

    >>> import pandas as pd
    >>> cells = [[{"who": "A", "text": "Hello.", "act": "greet"}], [{"text": "Yes.", "act": "say"}]]
    >>> unfolded(pd.Series(cells, name="turns"))["turns.act"].tolist()
    [['greet'], ['say']]
    """
    import pandas as pd

    if values.dtype != object:
        return None
    first = [cell for cell in values.dropna()[:_LOOKED_AT] if is_conversation(values.name, cell)]
    if not any(isinstance(one, Mapping) for cell in first for one in cell):
        return None
    made = {str(values.name): to_turns(values)}
    cells = [cell if isinstance(cell, list | tuple) else [] for cell in values]
    names = dict.fromkeys(
        str(key) for cell in cells for one in cell if isinstance(one, Mapping) for key in one
    )
    own = [_first(cells, keys) for keys in (TEXT, SPEAKER)]
    doubts = []
    for name in names:
        if name in own:
            continue
        said = [_values(cell, name) for cell in cells]
        if all(one is None for one in said):
            continue
        column = f"{values.name}.{name}"
        made[column] = pd.Series(objects(said), index=values.index, name=column)
        back = [place for place, one in enumerate(said) if one and goes_back(one)]
        if plain(name) in TIME and back:
            doubts.append(
                f"the times {column!r} go backwards in {len(back):,} of {len(cells):,} "
                f"conversations, the first in row {back[0] + 1}; utterances are read in the order "
                "in which they stand."
            )
    found = pd.DataFrame(made)
    found.attrs["doubts"] = doubts
    return found


def goes_back(times: Sequence[Any]) -> bool:
    """Tell whether one of several times is before the one above it.

    >>> goes_back([1, 2, 2.5]), goes_back(["00:02", "00:01"]), goes_back([1, "b"])
    (False, True, False)
    """
    kinds = {float if isinstance(time, int) else type(time) for time in times}
    if len(kinds) != 1 or not kinds <= {float, str, datetime.datetime}:
        return False
    return any(later < earlier for earlier, later in pairwise(times))


def _first(cells: Sequence[Sequence[Any]], names: Sequence[str]) -> str | None:
    """Return the name, as it is written, under which utterances have a text or a speaker."""
    found = {plain(str(k)): str(k) for cell in cells for one in cell[:1] for k in _keys(one)}
    return next((found[name] for name in names if name in found), None)


def _keys(one: Any) -> list[Any]:
    return list(one) if isinstance(one, Mapping) else []


def _values(cell: Sequence[Any], name: str) -> list[Any] | None:
    """Return the value of each utterance, or None where one has none; truth values are words."""
    said = [one.get(name) if isinstance(one, Mapping) else None for one in cell]
    if not said or any(value is None for value in said):
        return None
    if any(isinstance(value, bool | str) for value in said):
        return [str(v).lower() if isinstance(v, bool) else str(v) for v in said]
    return said
