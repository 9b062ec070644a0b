"""Parquet: columns that carry their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.data import files
from elman.data.table import Origin, Table, build
from elman.errors import InputError


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Table:
    """Read Parquet; the number of a row is its place in the file, counted from 1."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    tables: list[Any] = []
    frames: list[pd.DataFrame] = []
    origins: list[Origin] = []
    for path in paths:
        try:
            table = parquet.ParquetFile(pa.BufferReader(b"".join(files.blocks(path)))).read()
            # What pandas notes of its own may be damaged too; an index it kept is a column.
            frames.append(table.to_pandas(ignore_metadata=True))
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise not_parquet(path, error) from None
        if not table.num_rows:
            raise InputError("The file has no rows.", file=path)
        if tables and table.schema.names != tables[0].schema.names:
            raise InputError(f"Its columns are not those of {paths[0].name}.", file=path)
        tables.append(table)
        origins.append(Origin(path, table.num_rows))
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    frame = frame.rename(columns={"__index_level_0__": "index"})
    return build(frame, origins, columns=columns, types=types)


def not_parquet(path: Path, error: Exception) -> InputError:
    """Return the error for a file that Arrow cannot read as Parquet.

    Raises:
        InputError: it is something else that is known.
    """
    files.refuse_foreign(path, next(files.blocks(path, 1 << 12), b""), "Parquet")
    reason = str(error).split(".")[0]
    return InputError(
        f"The file is not Parquet, or damaged ({reason}).", file=path, fix="Write it again."
    )
