"""CSV and TSV: parsed by Arrow; where Arrow refuses, read again slowly to name the line."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.data import files
from elman.data.table import Origin, Table, build
from elman.errors import InputError

if TYPE_CHECKING:
    pass

_SEPARATORS = ",;\t|"
# A cell may be a whole document.
csv.field_size_limit(1 << 30)


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
) -> Table:
    """One file, or several with the same columns."""
    import pandas as pd

    frames: list[pd.DataFrame] = []
    origins: list[Origin] = []
    for path in paths:
        frame, origin = _read_one(path, encoding, separator)
        if frames and list(frame.columns) != list(frames[0].columns):
            odd = next(iter(set(frame.columns) ^ set(frames[0].columns)), "the order of columns")
            raise InputError(
                f"Its columns are not those of {paths[0].name}: {odd!r} differs.", file=path
            )
        frames.append(frame)
        origins.append(origin)
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return build(frame, origins, typed=False, columns=columns, types=types)


def _read_one(path: Path, encoding: str | None, separator: str | None) -> tuple[Any, Origin]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    name = files.encoding_of(path, encoding)
    text = files.whole(path, name)
    head = header(path, io.StringIO(text, newline=""), separator)
    data = text.encode("utf-8")
    try:
        table = arrow.read_csv(pa.BufferReader(data), **head.arrow_options(len(data)))
    except pa.ArrowInvalid as error:
        raise head.explain(io.StringIO(text, newline=""), error) from None
    if not table.num_rows:
        raise InputError(
            "The file has a header and no rows.", file=path, fix="Give a file with data."
        )
    lines = functools.partial(_line, head, name)
    return table.to_pandas(), Origin(path, table.num_rows, lines)


class Header:
    """The first record of a file: its columns, how they are separated, and where data begins."""

    def __init__(self, path: Path, names: list[str], separator: str, lines: int) -> None:
        self.path, self.names, self.separator, self.lines = path, names, separator, lines

    def arrow_options(self, block: int) -> dict[str, Any]:
        """What `pyarrow.csv` is to do: every cell as text, nothing taken for missing."""
        import pyarrow as pa
        from pyarrow import csv as arrow

        return {
            "read_options": arrow.ReadOptions(
                column_names=self.names,
                skip_rows=self.lines,
                block_size=max(min(block + 1, 1 << 30), 1 << 12),
            ),
            "parse_options": arrow.ParseOptions(delimiter=self.separator, newlines_in_values=True),
            "convert_options": arrow.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()), strings_can_be_null=False
            ),
        }

    def records(self, text: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """The line each record under the header begins on, and its fields."""
        reader = csv.reader(text, delimiter=self.separator)
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

    def explain(self, text: Iterator[str], error: Exception) -> InputError:
        """The error for a file that Arrow refused: the first record that is not as the header."""
        for line, fields in self.records(text):
            if len(fields) != len(self.names):
                return InputError(
                    f"The row has {len(fields)} fields; the header has {len(self.names)}.",
                    file=self.path,
                    row=line,
                    fix="Fill or remove fields, or put quotes around one that holds "
                    f"{self.separator!r}.",
                )
        return InputError(f"It cannot be read as CSV ({error}).", file=self.path)


def header(path: Path, text: Iterator[str], separator: str | None) -> Header:
    """Read the header; the separator is the one that it has most of."""
    lines: list[str] = []
    for line in text:
        lines.append(line)
        if line.strip():
            break
    if not lines or not lines[-1].strip():
        raise InputError("The file is empty.", file=path)
    if separator is None:
        suffix = files.suffix(path)
        separator = "\t" if suffix in (".tsv", ".tab") else _sniff(lines[-1])
    elif len(separator) != 1:
        raise InputError(f"A separator is one character, not {separator!r}.")

    def more() -> Iterator[str]:
        yield from lines
        yield from text

    reader = csv.reader(more(), delimiter=separator)
    names = [name.strip() for name in next(fields for fields in reader if fields)]
    names = [name or f"column {place}" for place, name in enumerate(names, 1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "Two columns have this name.",
            file=path,
            row=reader.line_num,
            column=twice,
            fix="Rename one.",
        )
    return Header(path, names, separator, reader.line_num)


def _sniff(line: str) -> str:
    bare = "".join(line.split('"')[::2])
    return max(_SEPARATORS, key=bare.count)


def _line(head: Header, encoding: str, row: int) -> int:
    text = io.StringIO(files.whole(head.path, encoding), newline="")
    for number, (line, _) in enumerate(head.records(text)):
        if number == row:
            return line
    return head.lines + row + 1
