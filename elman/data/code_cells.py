"""Cells in which objects or lists are written out."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from elman.data.table import Table

_LOOKED_AT = 50
"""Cells of a column that are looked at for lists and objects."""


def written_in_code(table: Table) -> dict[str, str]:
    """Return the columns of objects or lists, written out as JSON or as Python prints them."""
    found = {name: in_code(table, name) for name in table.kinds}
    return {name: what for name, what in found.items() if what is not None}


def in_code(table: Table, name: str) -> str | None:
    """Return in words what is written out in the cells of a column; None for anything else."""
    if table.kinds[name] not in ("text", "category"):
        return None
    cells = [str(cell).strip() for cell in table.frame[name].dropna()[:_LOOKED_AT]]
    read = [_from_code(cell) for cell in cells if cell]
    if not read or not all(isinstance(value, dict | list) for value in read):
        return None
    objects = any(isinstance(value, dict) for value in chain(read, *_lists(read)))
    return f"{'objects' if objects else 'lists'}, and no sequence of numbers or words"


def _lists(read: Sequence[Any]) -> list[list[Any]]:
    return [value for value in read if isinstance(value, list)]


def _from_code(cell: str) -> Any:
    """Return the object or list that a cell writes out, or None."""
    if cell[:1] + cell[-1:] not in ("{}", "[]"):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None
