"""CSV and TSV, parsed by Arrow; a file that Arrow refuses is read again to name the line."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data import comments, decimals, files
from elman.data.headers import above, are_units, header_of, is_header, levels
from elman.data.kinds import is_number, numbers_in, spelling
from elman.data.numerals import Decimal
from elman.data.table import Origin, Table, build
from elman.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATORS = ",;\t|"
_LOOKED_AT = 200
"""Rows by which a header is told from values."""
EXCEL = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The first line of a file that Excel is to open, with the mark between cells."""
_RULE = re.compile(r":?-{2,}:?|:-:?|-:")
_BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")
_STEADY = 0.8
"""Share of lines with as many separators as most, from which they are rows of a table."""
_ONE_BYTE = ("utf-8", "utf-8-sig", "ascii", "cp1252", "iso8859-1", "latin-1")
"""Encodings in which the byte of a quote mark is one."""
BLANKS = " "
"""The separator of columns that runs of blanks keep apart."""
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
    headless: bool | None = None,
) -> Table:
    """Read one file, or several with the same columns, into one table.

    `meta` says which mark stands before `decimal` places, where the file tells. `headless` says
    whether the columns have no names; found when None.
    """
    import pandas as pd
    import pyarrow as pa

    tables: list[Any] = []
    separators: list[str] = []
    origins: list[Origin] = []
    notes: list[str] = []
    doubts: list[str] = []
    for path in paths:
        table, origin, head = _read_one(path, encoding, separator, headless)
        notes += head.notes()
        doubts += head.doubts
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
        mark, between = (".", "A point") if settled.mark == "," else (",", "A comma")
        held = [name for name in settled.numbers if _some_hold(joined[name], mark)]
        if held:
            shown = ", ".join(map(repr, held))
            notes.append(f"{between} stands between thousands in {shown}.")
    meta: dict[str, Any] = {"notes": list(dict.fromkeys(notes)), "decimal": settled.mark}
    if doubts:
        meta["doubts"] = doubts
    spelt = {n: spelling(joined[n], got) for n, got in numbers.items() if got is not None}
    table = build(
        pd.DataFrame(cells),
        origins,
        columns=columns,
        types=types,
        meta=meta,
        spelt={name: cells for name, cells in spelt.items() if cells is not None},
    )
    for name, told in settled.told.items():
        table.how.setdefault(name, {}).update(told)
    if any(how.get("decimal") == "," for how in table.how.values()):
        table.meta["decimal"] = ","
    return table


def _some_hold(column: pa.ChunkedArray, mark: str) -> bool:
    from pyarrow import compute as pc

    return bool(pc.any(pc.match_substring(column, mark)).as_py())


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
    path: Path, encoding: str | None, separator: str | None, headless: bool | None
) -> tuple[pa.Table, Origin, Header]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    name = files.encoding_of(path, encoding)
    head = _with_quotes(header(path, name, separator, headless=headless), headless)
    if head.separator == BLANKS:
        data = "".join(head.text()).encode()
    elif name in ("utf-8", "utf-8-sig", "ascii"):
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
    return table, Origin(path, table.num_rows, _lines_of(head, table.num_rows, data)), head


_FOOTER = 20
"""Lines at most of a footer in quotes."""
_FEW = 8
"""Rows of a file in which a last one is not taken for a footer."""


@dataclass(frozen=True)
class Header:
    """The first record of a file: its columns, what separates them, the lines it takes.

    Attributes:
        separator: the mark between cells, or `BLANKS`.
        lines: those up to the first record.
        skipped: those above the names.
        headless: the columns have no names.
        quoted: quote marks enclose cells; else they are read as written.
        odd: the line in which they do not enclose a whole cell.
        doubts: what is doubtful, in sentences.
    """

    path: Path
    encoding: str
    names: list[str]
    separator: str
    lines: int
    skipped: int = 0
    headless: bool = False
    quoted: bool = True
    odd: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def delimiter(self) -> str:
        """The mark between cells in the lines of `text`."""
        return "\t" if self.separator == BLANKS else self.separator

    def text(self) -> Iterator[str]:
        """Yield the lines of the file; runs of blanks between columns become tabs."""
        return _text(self.path, self.encoding, self.separator)

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
            "parse_options": arrow.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if self.quoted else False,
                newlines_in_values=self.quoted,
            ),
            "convert_options": arrow.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                strings_can_be_null=False,
                null_values=sorted(missing),
            ),
        }

    def notes(self) -> list[str]:
        """Return in sentences how the file is read."""
        marks = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", BLANKS: "blanks"}
        between = marks.get(self.separator, repr(self.separator))
        header = "names in its first row"
        if self.skipped:
            header = "names below the lines that were skipped"
        if self.headless:
            header = "no header: columns are numbered"
        said = [f"Text in {self.encoding}, {between} between cells, {header}."]
        if self.skipped:
            lines = itertools.islice(files.raw_lines(self.path, self.encoding), self.skipped)
            first = next((line.strip() for line in lines if line.strip()), "")
            many = "row 1" if self.skipped == 1 else f"rows 1 to {self.skipped}"
            said.append(f"Skipped above the table: {many}, {first[:60]!r}.")
        if not self.quoted:
            said.append(
                f"Quote marks are read as written: in row {self.odd} they enclose no whole cell."
            )
        return said

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line on which each record under the header begins, and its fields."""
        reader = _reader(itertools.islice(self.text(), self.lines, None), self)
        begin = self.lines + 1
        try:
            for fields in reader:
                if fields:
                    yield begin, fields
                begin = self.lines + reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"The line cannot be read as CSV ({error}).", file=self.path, row=begin
            ) from None

    def explain(self, error: Exception) -> InputError:
        """Return the error for a file that Arrow refused: the first record unlike the header."""
        if self._lacks_a_name():
            return InputError(
                f"Each row has one field more than the {len(self.names)} names in the header.",
                file=self.path,
                row=self.lines,
                fix="Write a name for the first column too. R's write.table leaves out that of its "
                "row names: there, set col.names=NA or row.names=FALSE.",
            )
        line, records = 0, self.records()
        for line, fields in records:
            if len(fields) == len(self.names):
                continue
            if fields[0].lstrip().startswith("#"):
                what = f"The row looks like a comment: {fields[0].strip()[:40]!r}."
                return InputError(what, file=self.path, row=line, fix="Take it out.")
            if len(self.names) == 1:
                return InputError(
                    f"The row has {len(fields)} fields; the first row has 1: "
                    f"{self.names[0][:40]!r}.",
                    file=self.path,
                    row=line,
                    fix="If rows of notes stand above the names of the columns, take them out. If "
                    f"there is one column, put quotes around cells that hold {self.separator!r}.",
                )
            rows = fields[-1].count("\n")
            if rows > 1 and len(fields) < len(self.names):
                closed = files.last_bytes(self.path).endswith(b'"')
                if closed and len(fields) == 1 and rows <= _FOOTER:
                    what = "The quote that opens in this row closes in the last one, and the row "
                    what += f"has 1 field; the header has {len(self.names)}. It looks like a footer"
                    fix = "Take these rows out."
                    return InputError(f"{what}.", file=self.path, row=line, fix=fix)
                return self.unclosed(line)
            what = (
                f"The row has {len(fields)} field{'s' if len(fields) > 1 else ''}; "
                f"the header has {len(self.names)}."
            )
            # Among few rows a short one is a slip.
            many = line > self.lines + _FEW
            if many and len(fields) < len(self.names) and next(records, None) is None:
                what += " It is the last row, which looks like a footer."
                return InputError(what, file=self.path, row=line, fix="Take it out.")
            return InputError(
                what,
                file=self.path,
                row=line,
                fix="Fill or remove fields, or put quotes around one that holds "
                f"{self.separator!r}.",
            )
        if not line:
            return self.no_rows()
        return InputError(f"It cannot be read as CSV ({error}).", file=self.path)

    def _lacks_a_name(self) -> bool:
        """Tell whether the first rows all have one field more than there are names."""
        sizes = {len(fields) for _, fields in itertools.islice(self.records(), _LOOKED_AT)}
        return sizes == {len(self.names) + 1} and len(self.names) > 1

    def check_end(self, last: object) -> None:
        """Refuse a file whose last cell is the rest of it, behind a quote that never closes."""
        if not self.quoted or not isinstance(last, str):
            return
        if "\n" in last and files.last_bytes(self.path)[-1:] != b'"':
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


def header(
    path: Path,
    encoding: str,
    separator: str | None,
    quoted: bool = True,
    headless: bool | None = None,
) -> Header:
    """Read the header; a separator that is not given is the one that most lines share.

    Comments and rows of fewer cells above it are skipped.

    Args:
        path: the file.
        encoding: its encoding.
        separator: one character; found when None.
        quoted: quote marks enclose cells.
        headless: the columns have no names; found when None.

    Raises:
        InputError: the file is empty, two columns have one name, or units stand below the names.
    """
    first = list(itertools.islice(files.raw_lines(path, encoding), _LOOKED_AT))
    if not any(line.strip() for line in first):
        first = [next((x for x in files.raw_lines(path, encoding) if x.strip()), "")]
        if not first[0]:
            raise InputError("The file is empty.", file=path)
    if separator is not None and len(separator) != 1:
        raise InputError(f"A separator is one character, not {separator!r}.")
    skipped = 0
    told = next((EXCEL.fullmatch(line.strip()) for line in first if line.strip()), None)
    if told is not None:
        skipped = 1 + next(n for n, line in enumerate(first) if line.strip())
        separator = separator or told[1]
    noted = skipped + comments.count(first[skipped:])
    named = None
    if separator is None:
        separator = separator_of(path, first[noted:])
        if separator != BLANKS:
            named = named_in_comment(first[:noted], first[noted:])
            separator = separator if named is None else BLANKS
    head = Header(path, encoding, [], separator, 0, quoted=quoted)
    in_last = noted > skipped and separator != BLANKS and _names_in_comment(head, noted)
    skipped = noted - 1 if in_last else noted
    reader = _reader(itertools.islice(head.text(), skipped, None), head)
    rows, ends = [], [skipped]
    if named is not None:
        rows, ends = [named.names], [named.line, noted]
    try:
        for fields in itertools.islice(_filled(reader), _LOOKED_AT + 1):
            rows.append(fields)
            ends.append(skipped + reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"The line cannot be read as CSV ({error}).", file=path, row=skipped + reader.line_num
        ) from None
    title = 0 if headless else above(rows)
    rows, skipped, lines = rows[title:], ends[title], ends[title + 1]
    names, nameless = header_of(rows)
    if headless is None:
        headless = nameless
    elif headless != nameless:
        names = [
            f"column {place}" if headless else cell.strip() or f"column {place}"
            for place, cell in enumerate(rows[0], 1)
        ]
    if not headless and (index := levels(rows)) is not None:
        raise InputError(
            "The header has three rows, as pandas and yfinance write names of two levels.",
            file=path,
            row=ends[title + 2],
            fix=f"Take this row and the next out, and write {index!r} in place of {names[0]!r}.",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "Two columns have this name.",
            file=path,
            row=lines,
            column=twice,
            fix="Rename one of them.",
        )
    if not headless and len(rows) > 1 and are_units(rows[1:]):
        units = ", ".join(cell.strip() for cell in rows[1] if cell.strip())
        raise InputError(
            f"The row looks like the units of the columns: {units[:60]}.",
            file=path,
            row=ends[title + 2],
            fix="Take it out.",
        )
    if len(rows) > 1 and _is_rule(rows[1]):
        raise InputError(
            "The row is the rule of a table in Markdown, and holds no values.",
            file=path,
            row=ends[title + 2],
            fix="Take it out.",
        )
    if headless:
        lines = skipped
    return replace(head, names=names, lines=lines, skipped=skipped, headless=headless)


def _is_rule(row: Sequence[str]) -> bool:
    """Tell whether a row is dashes alone, as below the names of a table in Markdown."""
    filled = [cell.strip() for cell in row if cell.strip()]
    return bool(filled) and all(map(_RULE.fullmatch, filled))


def _names_in_comment(head: Header, comments: int) -> bool:
    """Tell whether the last of the comments has as many cells as the row below, which holds no
    names itself: `#id,label`."""
    lines = itertools.islice(head.text(), comments - 1, _LOOKED_AT)
    first, *below = itertools.islice(_filled(_reader(lines, head)), _LOOKED_AT)
    return len(below) > 0 and len(first) == len(below[0]) > 1 and not is_header(below[0], below[1:])


def named_in_comment(lines: Sequence[str], rows: Sequence[str]) -> comments.Named | None:
    """Return names above columns that blanks keep apart, where a comment holds them.

    Args:
        lines: those above the first row.
        rows: the first ones.
    """
    if not lines or not rows or any(mark in rows[0] for mark in _SEPARATORS):
        return None
    return comments.names_of(lines, rows)


def separator_of(path: Path, lines: Sequence[str]) -> str:
    """Return the mark that occurs most often in the first line, or as often in all others."""
    if files.suffix(path) in (".tsv", ".tab"):
        return "\t"
    bare = ["".join(line.split('"')[::2]) for line in lines if line.strip()]
    if not bare:
        return ","
    found = max(_SEPARATORS, key=bare[0].count)
    if found == "," and "," in bare[0] and "," not in _BETWEEN_DIGITS.sub("", bare[0]):
        # Commas before decimals, where another mark keeps the numbers apart.
        other = max(";\t|", key=lambda mark: min(line.count(mark) for line in bare))
        found = other if all(other in line for line in bare) else found
    marks = {mark: _steady([line.count(mark) for line in bare[1:]]) for mark in _SEPARATORS}
    if len(bare) > 1 and {bare[0].count(found), bare[1].count(found)} != {marks[found]}:
        found = max(_SEPARATORS, key=lambda mark: (marks[mark], mark == found))
    if not bare[0].count(found) and not marks[found] and _apart_by_blanks(bare):
        return BLANKS
    return found


def _steady(counts: Sequence[int]) -> int:
    """Return the count that most lines have, or 0 where they differ."""
    if not counts:
        return 0
    count, lines = Counter(counts).most_common(1)[0]
    return count if lines >= _STEADY * len(counts) else 0


def _apart_by_blanks(lines: Sequence[str]) -> bool:
    """Tell whether runs of blanks keep columns apart: names above, and numbers in one of them.

    Rows may have one cell more than there are names, which R writes so.
    """
    first, *below = (line.split() for line in lines)
    if len(below) < 2 or len(first) < 2 or len(set(map(len, below))) > 1:
        return False
    more = len(below[0]) - len(first)
    return more in (0, 1) and any(
        not is_number(name) and all(is_number(cells[place]) for cells in below)
        for place, name in enumerate(first, more)
    )


def _text(path: Path, encoding: str, separator: str) -> Iterator[str]:
    lines = files.raw_lines(path, encoding)
    if separator != BLANKS:
        return lines
    return ("\t".join(line.split()) + "\n" for line in lines)


def _reader(lines: Iterator[str], head: Header) -> Any:
    if head.quoted:
        return csv.reader(lines, delimiter=head.delimiter)
    return csv.reader(lines, delimiter=head.delimiter, quoting=csv.QUOTE_NONE)


def _with_quotes(head: Header, headless: bool | None) -> Header:
    """Return the header, without quoting where a quote mark encloses no whole cell of a row.

    Such marks would vanish, and a cell could go on in the next row. Where the rows have unequal
    numbers of cells without quoting, it stays, and that is a doubt.
    """
    line = _odd_quote(head)
    if line is None:
        return head
    plain = header(head.path, head.encoding, head.separator, quoted=False, headless=headless)
    width = len(plain.names)
    if all(len(fields) == width for _, fields in plain.records()):
        return replace(plain, odd=line)
    doubt = (
        f"a quote mark in row {line} of {head.path.name} encloses no whole cell, so quote marks "
        "are lost there. Write two of them within a cell, and one on each side of it."
    )
    return replace(head, doubts=(doubt,))


def _odd_quote(head: Header) -> int | None:
    """Return the line in which text follows the closing quote of a cell, or None."""
    if head.separator == BLANKS or (
        head.encoding in _ONE_BYTE
        and head.delimiter.isascii()
        and _quotes_enclose(files.blocks(head.path), head.delimiter)
    ):
        return None
    reader = csv.reader(head.text(), delimiter=head.delimiter, strict=True)
    begin = 0
    try:
        for _ in reader:
            begin = reader.line_num
    except csv.Error as error:
        # A table with tabs is often written without quoting.
        open_end = head.separator == "\t" and "end of data" in str(error)
        return begin + 1 if open_end or "expected after" in str(error) else None
    return None


def _quotes_enclose(blocks: Iterator[bytes], delimiter: str) -> bool:
    """Tell whether every quote mark begins or ends a cell, or is one of a pair.

    Marks open and close in turn. One that opens follows the beginning of a cell or a mark, one
    that closes stands before the end of a cell or a mark. False says only that a reader of CSV
    must tell; it parses ten times as slowly.
    """
    beside = np.zeros(256, bool)
    beside[list(f'{delimiter}\r\n"'.encode())] = True
    opens, held = True, b"\n\n"
    for number, block in enumerate(itertools.chain(blocks, (b"\n",))):
        if number == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
        # A mark is looked at when the bytes on both sides of it are there.
        held += block
        if b'"' in held:
            read = np.frombuffer(held, np.uint8)
            marks = 1 + np.flatnonzero(read[1:-1] == ord('"'))
            opening = (np.arange(len(marks)) % 2 == 0) == opens
            if not beside[read[np.where(opening, marks - 1, marks + 1)]].all():
                return False
            opens ^= len(marks) % 2 == 1
        held = held[-2:]
    return opens


def _filled(reader: Any) -> Iterator[list[str]]:
    return (fields for fields in reader if fields)


def _lines_of(head: Header, rows: int, data: bytes) -> Callable[[int], int]:
    """Return what gives the line of a row.

    Where there are as many lines as rows each is one; else the file is read again, for the first
    row that is asked for.
    """
    ends = data.count(b"\n") + (not data.endswith(b"\n"))
    if ends == head.lines + rows and data.count(b"\r") == data.count(b"\r\n"):
        return lambda row: head.lines + 1 + row
    found = array("q")

    def line(row: int) -> int:
        if not found:
            found.extend(number for number, _ in head.records())
        if row >= len(found):
            raise InputError("The file has changed since it was read.", file=head.path)
        return found[row]

    return line
