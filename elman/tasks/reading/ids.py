"""Columns that tell one row from another and hold nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from elman.data import Table, numerals
from elman.errors import InputError
from elman.tasks import called

ID_REPEATS = "an id that stands in several rows"
CODES = "codes: another one in each row"
ID = "an id: another one in each row"
ROW_NUMBERS = "it numbers the rows"
# A word with a digit in it, such as C17, 2024-0031 or the hexadecimal digits of a UUID; an address
# of electronic mail; a telephone number.
_CODE = re.compile(
    r"(?=\S{0,40}\d)[\w./:#-]{1,40}|[^\s@]{1,64}@[^\s@]{1,250}\.\w+|\+\d[\d ()/.-]{5,24}\d"
)


def ids_of(table: Table) -> dict[str, str]:
    """Return the columns that hold an id of each row, and by what they are known.

    An id tells rows apart and nothing else: codes with digits of which each stands there once, or
    whole numbers of which each does in a column that is called so or like whom a row belongs to
    (`patient`), or that counts the rows. Whole numbers that repeat in such a column are an id too.
    """
    found = {}
    for name, kind in table.kinds.items():
        if kind not in ("text", "category", "number") or len(table) < 2:
            continue
        cells = table.frame[name].dropna()
        different = not table.names(name).duplicated().any() and len(cells) == len(table)
        named = called.an_id(name)
        if kind == "number":
            if not (cells % 1 == 0).all():
                continue
            named = named or (different and called.a_number(name))
            counts = different and bool((cells.diff().iloc[1:] == 1).all())
            if counts and (named or called.unnamed(name)):
                found[name] = ROW_NUMBERS
            elif named:
                found[name] = ID_REPEATS if not different else ID
            elif called.owns(table, name):
                found[name] = ID_REPEATS
        elif named and all(" " not in str(cell).strip() for cell in cells):
            found[name] = ID_REPEATS if not different else ID
        elif (
            different
            and all(_CODE.fullmatch(str(cell).strip()) for cell in cells)
            # Amounts such as 1.04K are all different too.
            and numerals.with_units(cells.astype(str).str.strip(), ()) is None
        ):
            found[name] = CODES
    return found


def ids_by_name(table: Table, used: Collection[str | None]) -> list[str]:
    """Return columns that are called ids, have another one in each row, and have no other use."""
    return [
        name
        for name, kind in table.kinds.items()
        if kind in ("text", "category", "number") and called.an_id(name) and name not in used
        if table.frame[name].notna().all() and table.frame[name].is_unique
        if table.frame[name].astype(str).str.strip().all()
    ]


def without_ids(table: Table, free: Sequence[str], ids: dict[str, str]) -> list[str]:
    """Return the columns that may be read, without ids where there is anything else.

    Raises:
        InputError: an id is all there is.
    """
    others = [n for n in free if n not in ids and table.kinds[n] != "time"]
    if others:
        return [n for n in free if n not in ids]
    named = [n for n in free if n in ids and called.an_id(n)]
    if named:
        raise InputError(
            f"There is no input but {named[0]!r}, an id: it tells rows apart, and nothing else.",
            file=table.source,
            fix=f"Add columns to learn from, or set text={named[0]} if its letters are to be read.",
        )
    return list(free)
