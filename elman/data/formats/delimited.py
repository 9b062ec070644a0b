"""CSV and TSV, parsed by Arrow; a file that Arrow refuses is read again to name the line."""

from __future__ import annotations

import csv
import itertools
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.data import decimals, files
from elman.data.headers import header_of
from elman.data.kinds import numbers_in
from elman.data.numerals import Decimal
from elman.data.table import Origin, Table, build
from elman.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATORS = ",;\t|"
_LOOKED_AT = 200
"""Rows by which a header is told from values."""
# A cell may be a whole document.
csv.field_size_limit(1 << 28)


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    decimal: Decimal | None = None,
) -> Table:
    """Read one file, or several with the same columns, into one table.

    `meta` says which mark stands before `decimal` places, where the file tells.
    """
    import pandas as pd
    import pyarrow as pa

    tables: list[Any] = []
    separators: list[str] = []
    origins: list[Origin] = []
    notes: list[str] = []
    for path in paths:
        table, origin, head = _read_one(path, encoding, separator)
        notes.append(head.note())
        separators.append(head.separator)
        if tables and table.schema.names != tables[0].schema.names:
            odd = sorted(set(table.schema.names) ^ set(tables[0].schema.names))
            raise InputError(
                f"Its columns are not those of {paths[0].name}"
                + (f": {odd[0]!r} is in one of them only." if odd else ": their order differs."),
                file=path,
            )
        tables.append(table)
        origins.append(origin)
    joined = pa.concat_tables(tables)
    typed = set(types or ())
    numbers = {
        name: None if name in typed else numbers_in(joined[name]) for name in joined.schema.names
    }
    settled = decimals.settle(
        {name: joined[name] for name in numbers if name not in typed},
        {name: found for name, found in numbers.items() if name not in typed},
        separators[0],
        decimal,
    )
    if settled.asks is not None or settled.against is not None:
        raise _unsettled(joined, origins, settled, decimal)
    numbers |= settled.numbers
    cells = {n: joined[n].to_pandas() if got is None else got for n, got in numbers.items()}
    if settled.numbers:
        shown = ", ".join(map(repr, settled.numbers))
        between = "A point" if settled.mark == "," else "A comma"
        notes.append(f"{between} stands between thousands in {shown}.")
    meta = {"notes": list(dict.fromkeys(notes)), "decimal": settled.mark}
    table = build(pd.DataFrame(cells), origins, columns=columns, types=types, meta=meta)
    if any(how.get("decimal") == "," for how in table.how.values()):
        table.meta["decimal"] = ","
    return table


def _unsettled(
    joined: pa.Table, origins: Sequence[Origin], settled: decimals.Settled, decimal: str | None
) -> InputError:
    """Return the error about a cell that may be read in two ways, or not as was said."""
    found = settled.asks or settled.against
    assert found is not None
    name, place = found
    cell = joined[name][place].as_py().strip()
    what = (
        f"The point in {cell!r} may stand before decimals or between thousands, and nothing in the "
        "file tells."
    )
    fix = "Set decimal=',' if it is a thousand, decimal='.' if it is not."
    if settled.against is not None:
        what = f"{cell!r} is no number with {decimal!r} before decimals."
        fix = "Leave decimal= out, or correct the cell."
    for origin in origins:
        if place < origin.rows:
            break
        place -= origin.rows
    return InputError(what, file=origin.file, row=origin.line(place), column=name, fix=fix)


def _read_one(
    path: Path, encoding: str | None, separator: str | None
) -> tuple[pa.Table, Origin, Header]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    name = files.encoding_of(path, encoding)
    head = header(path, name, separator)
    if name in ("utf-8", "utf-8-sig", "ascii"):
        data = b"".join(files.blocks(path))
    else:
        data = files.whole(path, name).encode()
    try:
        table = arrow.read_csv(
            pa.BufferReader(data),
            **head.options(dict.fromkeys(head.names, pa.string()), block=len(data) + 1),
        )
    except pa.ArrowInvalid as error:
        raise head.explain(error) from None
    if not table.num_rows:
        raise head.no_rows()
    head.check_end(table[-1][-1].as_py())
    return table, Origin(path, table.num_rows, _lines_of(head)), head


@dataclass(frozen=True)
class Header:
    """The first record of a file: its columns, what separates them, the lines it takes."""

    path: Path
    encoding: str
    names: list[str]
    separator: str
    lines: int

    def options(
        self, types: Mapping[str, pa.DataType], *, block: int, missing: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the options of `pyarrow.csv`: types of columns as given, text never missing."""
        from pyarrow import csv as arrow

        return {
            "read_options": arrow.ReadOptions(
                column_names=self.names,
                skip_rows=self.lines,
                block_size=min(max(block, 1 << 12), (1 << 31) - 1),
            ),
            "parse_options": arrow.ParseOptions(delimiter=self.separator, newlines_in_values=True),
            "convert_options": arrow.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                strings_can_be_null=False,
                null_values=sorted(missing),
            ),
        }

    def note(self) -> str:
        """Return in words how the file is read."""
        marks = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
        between = marks.get(self.separator, repr(self.separator))
        header = "names in its first row" if self.lines else "no header: columns are numbered"
        return f"Text in {self.encoding}, {between} between cells, {header}."

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line on which each record under the header begins, and its fields."""
        reader = csv.reader(files.raw_lines(self.path, self.encoding), delimiter=self.separator)
        begin = 1
        try:
            for fields in reader:
                if fields and begin > self.lines:
                    yield begin, fields
                begin = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"The line cannot be read as CSV ({error}).", file=self.path, row=begin
            ) from None

    def explain(self, error: Exception) -> InputError:
        """Return the error for a file that Arrow refused: the first record unlike the header."""
        line = 0
        for line, fields in self.records():
            if len(fields) == len(self.names):
                continue
            if fields[-1].count("\n") > 1 and len(fields) < len(self.names):
                return self.unclosed(line)
            return InputError(
                f"The row has {len(fields)} field{'s' if len(fields) > 1 else ''}; "
                f"the header has {len(self.names)}.",
                file=self.path,
                row=line,
                fix="Fill or remove fields, or put quotes around one that holds "
                f"{self.separator!r}.",
            )
        if not line:
            return self.no_rows()
        return InputError(f"It cannot be read as CSV ({error}).", file=self.path)

    def check_end(self, last: object) -> None:
        """Refuse a file whose last cell is the rest of it, behind a quote that never closes."""
        if isinstance(last, str) and "\n" in last and files.last_bytes(self.path)[-1:] != b'"':
            raise self.unclosed(max(line for line, _ in self.records()))

    def unclosed(self, line: int) -> InputError:
        """Return the error for a quote that is not closed before the end of the file."""
        what = "A quote that opens in this row is not closed."
        return InputError(what, file=self.path, row=line, fix="Close or remove it.")

    def no_rows(self) -> InputError:
        """Return the error for a file that ends after its header."""
        return InputError(
            "The file has a header and no rows.", file=self.path, fix="Give a file with data."
        )


def header(path: Path, encoding: str, separator: str | None) -> Header:
    """Read the header; a separator that is not given is the one that occurs most often in it.

    Raises:
        InputError: the file is empty, or two columns have one name.
    """
    text = files.raw_lines(path, encoding)
    first = next((line for line in text if line.strip()), None)
    if first is None:
        raise InputError("The file is empty.", file=path)
    if separator is None:
        tabs = files.suffix(path) in (".tsv", ".tab")
        bare = "".join(first.split('"')[::2])
        separator = "\t" if tabs else max(_SEPARATORS, key=bare.count)
    elif len(separator) != 1:
        raise InputError(f"A separator is one character, not {separator!r}.")
    reader = csv.reader(files.raw_lines(path, encoding), delimiter=separator)
    try:
        rows = list(itertools.islice(_filled(reader), 1))
        lines = reader.line_num
        rows += itertools.islice(_filled(reader), _LOOKED_AT)
    except csv.Error as error:
        raise InputError(
            f"The line cannot be read as CSV ({error}).", file=path, row=reader.line_num
        ) from None
    names, headless = header_of(rows)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "Two columns have this name.",
            file=path,
            row=lines,
            column=twice,
            fix="Rename one of them.",
        )
    return Header(path, encoding, names, separator, 0 if headless else lines)


def _filled(reader: Any) -> Iterator[list[str]]:
    return (fields for fields in reader if fields)


def _lines_of(head: Header) -> Callable[[int], int]:
    """Return what gives the line of a row; the file is read again for the first one only."""
    found = array("q")

    def line(row: int) -> int:
        if not found:
            found.extend(number for number, _ in head.records())
        if row >= len(found):
            raise InputError("The file has changed since it was read.", file=head.path)
        return found[row]

    return line
