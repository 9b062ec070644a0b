"""Columns of strings whose cells are lists of numbers, such as `3|4|6`: they are series."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from elman.data import number_lists
from elman.data.number_lists import Writing
from elman.data.readings import shown
from elman.tasks import called

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_WORDS = ("text", "category")
_LOOKED_AT = 20_000
"""Rows of a column that are looked at."""


def found(table: Table, apart_from: Collection[str] = ()) -> dict[str, Writing]:
    """Return the columns of strings that hold lists of numbers, and how those are written."""
    ways = {
        name: _writing(table, name)
        for name, kind in table.kinds.items()
        if kind in _WORDS and name not in apart_from and not called.an_id(name)
    }
    return {name: how for name, how in ways.items() if how is not None}


def as_series(table: Table, names: Collection[str]) -> Table:
    """Return a table that calls these columns series; their cells stay as they are written."""
    return replace(table, kinds=table.kinds | dict.fromkeys(names, "series"))


def words(table: Table, layout: Layout) -> str:
    """Return how the lists of numbers of the input are written; empty where they are none."""
    how = _writing(table, layout.inputs[0], 1) if _reads_lists(table, layout) else None
    if how is None:
        return ""
    codes = ""
    if how.mark == " " and not how.inner and _whole(_cells(table, layout.inputs[0])):
        codes = "; set modality=tokens if they are the names of words or things"
    return f"{how.words}{codes}"


def doubts(table: Table, layout: Layout) -> list[str]:
    """Return a doubt where the input is read as text though its cells are digits and marks."""
    name = layout.inputs[0]
    if layout.form != "cell" or layout.each is not None or _reads_lists(table, layout):
        return []
    if table.kinds[name] not in _WORDS:
        return []
    cells = _cells(table, name)
    place = number_lists.of_digits(cells)
    if place is None:
        unit = number_lists.unit_of(cells)
        if unit is None:
            return []
        return [
            f"column {name!r} is read as {layout.modality}, though its cells are numbers with the "
            f"unit {unit!r}. If they are lists of numbers, write them without it, such as 1;2;3."
        ]
    row = table.where(place * _apart(table))[1]
    return [
        f"column {name!r} is read as {layout.modality}, though its cells are nothing but digits "
        f"and marks ({cells[place]!r} in row {row}). If they are lists of "
        "numbers, write one mark between the numbers, such as 1;2;3, and set modality=series."
    ]


def refuse_cut(table: Table, names: Sequence[str]) -> None:
    """Refuse columns of lists that were printed without their middle.

    Raises:
        InputError: with the row of the first such list.
    """
    for name in names:
        if table.kinds[name] not in _WORDS:
            continue
        cells = _cells(table, name)
        cut = [place for place, cell in enumerate(cells) if number_lists.is_cut(cell)]
        if 2 * len(cut) > len(cells):
            raise table.refuse(
                f"The list {shown(cells[cut[0]])} was printed without its middle, so numbers "
                f"are missing, in {len(cut):,} of {len(cells):,} cells.",
                cut[0] * _apart(table),
                name,
                "Write all of its numbers, as with json.dumps(array.tolist()).",
            )


def _reads_lists(table: Table, layout: Layout) -> bool:
    from elman.modalities import MODALITIES

    name = layout.inputs[0]
    series = MODALITIES[layout.modality].kinds == ("series",)
    return series and layout.form == "cell" and table.kinds[name] in _WORDS


def _writing(table: Table, name: str, least: int | None = None) -> Writing | None:
    cells = _cells(table, name)
    decimal = table.meta.get("decimal")
    if least is not None:
        return number_lists.writing_of(cells, least, decimal)
    return number_lists.writing_of(cells, decimal=decimal)


def _cells(table: Table, name: str) -> list[str]:
    """Return the cells of a column, of a long one some that are evenly spread."""
    cells = table.frame[name].iloc[:: _apart(table)]
    return [cell if isinstance(cell, str) else "" for cell in cells]


def _apart(table: Table) -> int:
    return max(1, len(table) // _LOOKED_AT)


def _whole(cells: Sequence[str]) -> bool:
    """Tell whether the first lists have whole numbers that are not negative alone."""
    return not any(mark in cell for cell in cells[:100] for mark in ".,-−")
