"""Rows and columns of a workbook that its program does not show, which are read all the same."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from elman.data.contents import BROKEN_ZIP
from elman.data.formats.formulas import parts

_ROW = re.compile(rb"<row\b[^>]*>")
_COLUMN = re.compile(rb"<col\b[^>]*>")
_HIDDEN = re.compile(rb'\bhidden="(?:1|true)"')
_NUMBER = re.compile(rb'\br="(\d+)"')
_FROM, _TO = re.compile(rb'\bmin="(\d+)"'), re.compile(rb'\bmax="(\d+)"')


def hidden_in(path: Path, sheet: str) -> tuple[set[int], set[int]]:
    """Return the numbers of the rows and of the columns of a sheet that are hidden, from 1.

    Args:
        path: an `.xlsx` or `.xlsm`; of other files nothing is known.
        sheet: the name of the sheet.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = parts(archive).get(sheet)
            text = b"" if part is None else archive.read(part)
    except (*BROKEN_ZIP, ElementTree.ParseError):
        return set(), set()
    if _HIDDEN.search(text) is None:
        return set(), set()
    rows, number = set(), 0
    for found in _ROW.finditer(text):
        told = _NUMBER.search(found[0])
        number = number + 1 if told is None else int(told[1])
        if _HIDDEN.search(found[0]):
            rows.add(number)
    columns: set[int] = set()
    for found in _COLUMN.finditer(text):
        first, last = _FROM.search(found[0]), _TO.search(found[0])
        if _HIDDEN.search(found[0]) and first is not None and last is not None:
            columns |= set(range(int(first[1]), min(int(last[1]), 1 << 14) + 1))
    return rows, columns


def doubts_of(path: Path, sheet: str, rows: Sequence[int], columns: Mapping[int, str]) -> list[str]:
    """Return doubts about what is hidden among the rows and columns of a sheet that were read.

    Args:
        path: the workbook.
        sheet: the name of the sheet.
        rows: the numbers of the rows that were read.
        columns: number of a column → its name.
    """
    unseen, apart = hidden_in(path, sheet)
    doubts = []
    some = [row for row in rows if row in unseen]
    if some:
        doubts.append(
            f"{len(some):,} of {len(rows):,} rows of sheet {sheet!r} are hidden in {path.name}, as "
            f"a filter hides them (row {some[0]} is the first), and are read too. If they do not "
            "belong to the data, copy those that are seen to a file of their own."
        )
    names = [name for place, name in columns.items() if place in apart]
    if names:
        doubts.append(
            f"{len(names):,} column{'s' if len(names) > 1 else ''} of sheet {sheet!r} "
            f"({', '.join(map(repr, names[:4]))}{', …' if len(names) > 4 else ''}) "
            f"{'are' if len(names) > 1 else 'is'} hidden in {path.name}, and read too. Take out "
            "what does not belong to the data."
        )
    return doubts
