"""Names of files are nothing to read: a list of pictures is no column of texts."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from elman.data import contents

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout

_MOSTLY = 0.9
"""Share of the cells that name files, from which a column is a list of them."""
_WORDS = 4
"""Words of the name of a file at most."""


def refuse(table: Table, layout: Layout) -> None:
    """Refuse to read the names of pictures, videos or recordings as texts.

    Raises:
        InputError: with the row of the first name.
    """
    name = layout.inputs[0]
    if layout.form != "cell" or table.kinds[name] not in ("text", "category") or layout.each:
        return
    kinds = [_kind_of(cell) for cell in table.frame[name]]
    places = [place for place, kind in enumerate(kinds) if kind is not None]
    if not places or len(places) < _MOSTLY * len(kinds):
        return
    kind = str(kinds[places[0]])
    raise table.refuse(
        f"{str(table.frame[name].iloc[places[0]])!r} is the name of {kind}: its letters would be "
        "read, not what is in the file.",
        places[0],
        name,
        f"{contents.fix_of(kind)} If the names themselves are to be read, set text={quote(name)}.",
    )


def _kind_of(cell: object) -> str | None:
    if not isinstance(cell, str) or "\n" in cell.strip() or len(cell.split()) > _WORDS:
        return None
    return contents.named(Path(cell.strip()))
