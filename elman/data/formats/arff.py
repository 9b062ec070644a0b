"""ARFF, the format of Weka: a header that names the attributes, then a row a line."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest

_ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)\s+(.*)", re.I)
_NUMBERS = ("numeric", "real", "integer")


class _Attribute(NamedTuple):
    """A column: its kind, and the values it may have, or the names of a relation's own columns."""

    name: str
    kind: Kind
    values: list[str]


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Table:
    """Read ARFF: numeric, nominal, string and date attributes, and relations as series.

    A relational attribute (as in the UEA archive) becomes a series: a dimension a line of its text.

    Args:
        paths: the files; all have the same attributes.
        columns: those to keep.
        types: column → kind.
        encoding: found when `None`.

    Raises:
        InputError: the header or a row is wrong, or rows are written in braces (sparse).
    """
    import pandas as pd

    header: list[_Attribute] = []
    cells: list[list[Any]] = []
    origins = []
    for path in paths:
        own, rows = _parsed(path, encoding)
        if header and [one.name for one in own] != [one.name for one in header]:
            raise InputError(f"Its attributes are not those of {paths[0].name}.", file=path)
        header = own
        for number, line in rows:
            cells.append(_row(line, header, path, number))
        origins.append(Origin(path, len(rows), [number for number, _ in rows].__getitem__))
    frame = pd.DataFrame(
        {one.name: objects([row[place] for row in cells]) for place, one in enumerate(header)}
    )
    known = {one.name: one.kind for one in header}
    for name, kind in known.items():
        if kind == "number":
            frame[name] = frame[name].astype(np.float64)
    return build(frame, origins, known=known, columns=columns, types=types)


def _parsed(path: Path, encoding: str | None) -> tuple[list[_Attribute], list[tuple[int, str]]]:
    header: list[_Attribute] = []
    rows: list[tuple[int, str]] = []
    inner = in_data = False
    for number, line in enumerate(files.lines(path, encoding), 1):
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        if in_data:
            rows.append((number, line))
            continue
        word = line.split()[0].lower()
        if word == "@data":
            in_data = True
        elif word == "@end":
            inner = False
        elif word == "@attribute" and not inner:
            one = _attribute(line, path, number)
            if any(one.name == other.name for other in header):
                raise InputError("Two attributes have this name.", file=path, column=one.name)
            header.append(one)
            inner = one.kind == "series"
        elif word not in ("@relation", "@attribute"):
            raise InputError(
                f"{line[:40]!r} is no line of a header.",
                file=path,
                row=number,
                fix="Write @relation, @attribute or @data.",
            )
    if not header:
        raise InputError("There is no line @attribute.", file=path)
    if not rows:
        what = "There is no row after @data." if in_data else "There is no line @data."
        raise InputError(what, file=path)
    return header, rows


def _attribute(line: str, path: Path, number: int) -> _Attribute:
    match = _ATTRIBUTE.match(line)
    if match is None:
        raise InputError(
            "The attribute has no name or no type.",
            file=path,
            row=number,
            fix="Write @attribute NAME TYPE.",
        )
    name, kind = _bare(match[1]), match[2].strip()
    if kind.startswith("{"):
        values = _split(kind.strip("{} "), path, number)
        return _Attribute(name, "category", values)
    word = kind.split()[0].lower()
    if word in _NUMBERS:
        return _Attribute(name, "number", [])
    if word == "string":
        return _Attribute(name, "text", [])
    if word == "date":
        return _Attribute(name, "time", [])
    if word == "relational":
        return _Attribute(name, "series", [])
    raise InputError(
        f"The type {word!r} of {name!r} is not known.",
        file=path,
        row=number,
        fix=nearest(word, [*_NUMBERS, "string", "date", "relational"]),
    )


def _row(line: str, header: list[_Attribute], path: Path, number: int) -> list[Any]:
    if line.startswith("{"):
        raise InputError(
            "Sparse rows, in braces, are not read.",
            file=path,
            row=number,
            fix="Save it with Weka's filter SparseToNonSparse, or as CSV.",
        )
    fields = _split(line, path, number)
    if len(fields) != len(header):
        raise InputError(
            f"The row has {len(fields)} values; the header has {len(header)} attributes.",
            file=path,
            row=number,
            fix="Put quotes around a value that holds a comma.",
        )
    return [_cell(field, one, path, number) for field, one in zip(fields, header, strict=True)]


def _cell(field: str, one: _Attribute, path: Path, number: int) -> Any:
    def wrong(what: str, fix: str | None = None) -> InputError:
        return InputError(what, file=path, row=number, column=one.name, fix=fix)

    if field == "?":
        return np.nan if one.kind == "number" else None
    if one.kind == "number":
        try:
            return float(field)
        except ValueError:
            raise wrong(
                f"{field[:40]!r} is not a number.", "Write ? where it is missing."
            ) from None
    if one.kind == "series":
        dimensions = [part.split(",") for part in field.split("\\n")]
        if len({len(values) for values in dimensions}) > 1:
            raise wrong("The dimensions of this series have unequal lengths.")
        try:
            values = [[np.nan if x.strip() == "?" else float(x) for x in d] for d in dimensions]
        except ValueError:
            raise wrong("A value of the series is not a number.") from None
        return np.array(values, np.float64).T
    if one.kind == "category" and one.values and field not in one.values:
        raise wrong(f"{field[:40]!r} is not among its values.", nearest(field, one.values))
    return field


def _split(line: str, path: Path, number: int) -> list[str]:
    """Return the values of a line; they may stand in quotes of either kind."""
    quote = '"' if re.search(r'(^|,)\s*"', line) else "'"
    reader = csv.reader(
        [line.replace("\t", ",") if "," not in line else line],
        quotechar=quote,
        escapechar=None if "\\n" in line else "\\",
        skipinitialspace=True,
    )
    try:
        fields = next(reader)
    except (csv.Error, StopIteration) as error:
        raise InputError(f"The line cannot be read ({error}).", file=path, row=number) from None
    return [field.strip() for field in fields]


def _bare(name: str) -> str:
    quoted = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
    return name[1:-1].replace("\\", "") if quoted else name
