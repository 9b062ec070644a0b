"""Tables larger than memory, read as Arrow record batches, one after another.

CSV, JSON lines and Parquet are read so. Memory holds a few batches, whatever the size of the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.data import files, kinds
from elman.data.formats import delimited, json_lines, parquet
from elman.data.kinds import KINDS, MISSING
from elman.data.reading import one_format
from elman.errors import InputError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 1 << 20
_LONGEST = 1 << 26
_ROWS = 1 << 16


def scan(
    source: files.Source | Sequence[files.Source],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read CSV, TSV, JSON lines or Parquet a batch at a time.

    The types of columns are found in the first megabyte of the first file (numbers as
    float64, times as timestamps, all else as strings; JSON and Parquet have their own) and
    hold for all of it; what does not fit them later is an error that names its row.

    Args:
        source: a file, several with the same columns, or a folder of them.
        columns: the columns to read; the others cost next to nothing.
        types: for CSV: column → `"number"`, `"category"`, `"text"` or `"time"`, for columns
            whose kind is not the one that would be found.
        encoding, separator: as for `read`.

    Yields:
        `pyarrow.RecordBatch`es with one schema.

    Raises:
        InputError: as `read`.
    """
    kind, paths, _ = one_format(files.given(source), separator)
    if kind == "csv":
        return _csv(paths, columns, types, encoding, separator)
    if types:
        raise InputError("types= is for CSV: the other formats carry their types.")
    if kind == "json":
        return _json(paths, columns, encoding)
    if kind == "parquet":
        return _parquet(paths, columns)
    raise InputError(
        "Only CSV, TSV, JSON lines and Parquet are read in batches.",
        file=paths[0],
        fix="For text, use elman.data.lines; for the rest, elman.data.read.",
    )


def _csv(
    paths: list[Path],
    columns: Sequence[str] | None,
    types: Mapping[str, str] | None,
    encoding: str | None,
    separator: str | None,
) -> Iterator[pa.RecordBatch]:
    wanted: dict[str, Any] = {}
    for path in paths:
        head = delimited.header(path, files.encoding_of(path, encoding), separator)
        if head.separator == delimited.BLANKS:
            raise InputError(
                "Columns with blanks between them are not read in batches.",
                file=path,
                fix="Use elman.data.read.",
            )
        for name in [*(columns or ()), *(types or ()), *wanted]:
            if name not in head.names:
                raise _no_column(name, head.names, path)
        if not wanted:
            wanted = _types(head, list(columns or head.names), types or {})
        yield from _batches(head, wanted, MISSING)


def _batches(
    head: delimited.Header, types: Mapping[str, pa.DataType], missing: Collection[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    block, good = _BLOCK, 0
    while True:
        skip = good
        try:
            options = head.options(types, block=block, missing=missing)
            with arrow.open_csv(_utf8(head.path, head.encoding), **options) as batches:
                for batch in batches:
                    fresh = batch.slice(min(skip, batch.num_rows))
                    skip -= batch.num_rows - fresh.num_rows
                    if fresh.num_rows:
                        good += fresh.num_rows
                        last = fresh
                        yield fresh
        except (pa.ArrowInvalid, UnicodeError) as error:
            if "straddling" in str(error) and block < _LONGEST:
                # A row is longer than a block: from the beginning again, with longer ones.
                block *= 8
                continue
            raise _misfit(head, types, good, error) from None
        if not good:
            raise head.no_rows()
        if head.names[-1] in types:
            head.check_end(last[head.names[-1]][-1].as_py())
        return


def _types(
    head: delimited.Header, columns: list[str], given: Mapping[str, str]
) -> dict[str, pa.DataType]:
    import pyarrow as pa

    strings = dict.fromkeys(columns, pa.string())
    first = pa.Table.from_batches([next(_batches(head, strings, ()))])
    found: dict[str, pa.DataType] = {}
    for name in columns:
        kind = given.get(name)
        if kind is None:
            if kinds.numbers_in(first[name]) is not None:
                kind = "number"
            else:
                kind = kinds.infer(first[name].to_pandas())[1]
                # Arrow reads plain numbers alone; decimal commas stay strings.
                kind = "text" if kind == "number" else kind
        elif kind not in KINDS:
            raise InputError(f"There is no type {kind!r}.", column=name, fix=nearest(kind, KINDS))
        iso = kind == "time" and _is_iso(first[name])
        found[name] = (
            pa.float64() if kind == "number" else pa.timestamp("us") if iso else pa.string()
        )
    return found


def _is_iso(cells: pa.ChunkedArray) -> bool:
    """Return true if Arrow itself can read these times; others stay strings."""
    import pyarrow as pa
    from pyarrow import compute as pc

    try:
        pc.cast(cells, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return True


def _utf8(path: Path, encoding: str) -> Any:
    import pyarrow as pa

    stream = pa.PythonFile(files.gunzip(path), mode="r")
    if encoding in ("utf-8", "utf-8-sig", "ascii"):
        return stream
    return pa.transcoding_input_stream(stream, encoding, "utf-8")


def _misfit(
    head: delimited.Header, wanted: Mapping[str, pa.DataType], good: int, error: Exception
) -> InputError:
    """Find the first row, after the `good` ones, with a cell that is unlike its column."""
    import pyarrow as pa

    numeric = [name for name, dtype in wanted.items() if dtype == pa.float64()]
    places = [(head.names.index(name), name) for name in numeric]
    for line, fields in itertools.islice(head.records(), good, None):
        if len(fields) != len(head.names):
            break
        for place, name in places:
            if not kinds.is_number(fields[place]):
                return InputError(
                    f"{fields[place]!r} is not a number. The column held numbers up to here.",
                    file=head.path,
                    row=line,
                    column=name,
                    fix=f"Correct it, or read the column as text: types={{{name!r}: 'text'}}.",
                )
    return head.explain(error)


def _json(
    paths: list[Path], columns: Sequence[str] | None, encoding: str | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema: pa.Schema | None = None

    def batch(path: Path, numbers: list[int], held: list[dict[str, Any]]) -> pa.RecordBatch:
        nonlocal schema
        if schema is None:
            names = list(dict.fromkeys(name for record in held for name in record))
            for name in columns or ():
                if name not in names:
                    raise _no_column(name, names, path)
            chosen = list(columns or names)
            cells = {name: [record.get(name) for record in held] for name in chosen}
            schema = pa.schema([_field(name, cells[name], path, numbers) for name in chosen])
        try:
            return pa.RecordBatch.from_pylist(held, schema=schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            for number, record in zip(numbers, held, strict=True):
                for field in schema:
                    try:
                        pa.array([record.get(field.name)], type=field.type)
                    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                        raise InputError(
                            f"The value is no {field.type}, but the values before it are.",
                            file=path,
                            row=number,
                            column=field.name,
                        ) from None
            raise

    for path in paths:
        numbers: list[int] = []
        held: list[dict[str, Any]] = []
        for number, record in json_lines.records(path, encoding):
            numbers.append(number)
            held.append(record)
            if len(held) == _ROWS:
                yield batch(path, numbers, held)
                numbers, held = [], []
        if held:
            yield batch(path, numbers, held)


def _field(name: str, cells: list[Any], path: Path, numbers: list[int]) -> pa.Field:
    """Return the type of a column by the values of its first batch."""
    import pyarrow as pa

    try:
        return _widened(pa.field(name, pa.array(cells).type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        kinds = [type(cell) for cell in cells]
        first = next(kind for kind in kinds if kind is not type(None))
        odd = next((n for n, kind in enumerate(kinds) if kind not in (first, type(None))), 0)
        raise InputError(
            "The value is of another type than those before it.",
            file=path,
            row=numbers[odd],
            column=name,
        ) from None


def _widened(field: pa.Field) -> pa.Field:
    """Turn whole numbers into float64, because a later one may have a point."""
    import pyarrow as pa

    return field.with_type(pa.float64()) if pa.types.is_integer(field.type) else field


def _parquet(paths: list[Path], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import parquet as arrow

    for path in paths:
        if files.is_gzip(path):
            raise InputError(
                "Parquet inside gzip cannot be read in batches.",
                file=path,
                fix="Unpack it; Parquet is compressed in itself.",
            )
        try:
            file = arrow.ParquetFile(path)
            for name in columns or ():
                if name not in file.schema_arrow.names:
                    raise _no_column(name, file.schema_arrow.names, path)
            yield from file.iter_batches(batch_size=_ROWS, columns=columns)
        except InputError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise parquet.not_parquet(path, error) from None


def _no_column(name: str, names: Sequence[str], path: Path) -> InputError:
    return InputError(f"There is no column {name!r}.", file=path, fix=nearest(name, names))
