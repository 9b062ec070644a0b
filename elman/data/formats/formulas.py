"""Formulas of Excel without their values: a program wrote them, and none has reckoned them."""

from __future__ import annotations

import html
import posixpath
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from elman.data.contents import BROKEN_ZIP
from elman.errors import InputError

_BARE = re.compile(
    rb"<c\b(?P<about>[^>]*)>\s*<f\b(?:[^>]*/>|[^>]*>(?P<formula>[^<]*)</f>)"
    rb"\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"
)
_PLACE = re.compile(rb'\br="([A-Z]+\d+)"')
_TEXT = re.compile(rb'\bt="str"')
"""Marks a formula of which the value is a text, which may be empty."""


def refuse(path: Path, sheets: Sequence[str]) -> None:
    """Refuse a sheet in which formulas have no values, for its cells would be read as missing.

    Args:
        path: an `.xlsx` or `.xlsm`; other files are not looked at.
        sheets: the names of its sheets that are read.

    Raises:
        InputError: a formula has no value; the message names the first cell.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            known = [part for name, part in parts(archive).items() if name in sheets]
            texts = [archive.read(part) for part in known]
    except (*BROKEN_ZIP, ElementTree.ParseError):
        return  # no workbook of this kind, or its reader says what is wrong
    found = [
        cell
        for text in texts
        if b"<f" in text
        for cell in _BARE.finditer(text)
        if _TEXT.search(cell["about"]) is None
    ]
    if not found:
        return
    place = _PLACE.search(found[0]["about"])
    formula = html.unescape((found[0]["formula"] or b"").decode("utf-8", "replace"))
    shown = f" (={formula[:40]})" if formula else ""
    where = f"cell {place[1].decode()}" if place is not None else "a cell"
    raise InputError(
        f"{len(found):,} cells hold formulas without their values, the first is {where}{shown}: "
        "the program that wrote the workbook has not reckoned them.",
        file=path,
        fix="Open it in Excel or LibreOffice and save it, or save it as CSV there.",
    )


def parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the part of a workbook that holds each of its sheets."""
    related = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {one.get("Id"): one.get("Target", "") for one in related}
    found = {}
    for one in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter():
        name = one.get("name")
        key = next((value for key, value in one.attrib.items() if key.endswith("}id")), None)
        if one.tag.endswith("}sheet") and name is not None and key in targets:
            found[name] = posixpath.normpath(posixpath.join("/xl", targets[key])).lstrip("/")
    return found
