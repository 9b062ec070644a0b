"""`read`: from files of any format we know to one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elman.data import files
from elman.data.files import Source
from elman.data.formats import delimited, idx, json_lines, parquet, text, ts, tsf
from elman.data.table import Origin, Table, build
from elman.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_READERS: dict[str, Callable[..., Table]] = {
    "csv": delimited.read,
    "json": json_lines.read,
    "parquet": parquet.read,
    "text": text.read,
    "ts": ts.read,
    "tsf": tsf.read,
    "idx": idx.read,
}
_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".ts": "ts",
    ".tsf": "tsf",
}


def format_of(path: Path) -> str | None:
    """The format a file's name tells, or None."""
    if idx.is_idx(path):
        return "idx"
    return _FORMATS.get(files.suffix(path))


def read(
    source: Source | Iterable[Source] | pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    each: Literal["line", "file"] | None = None,
    labels: Literal["file", "first"] | None = None,
) -> Table:
    """Read one file, several, a folder, or a DataFrame.

    CSV, TSV, JSON lines, Parquet, plain text, `.ts` (sktime), `.tsf` (Monash) and IDX images,
    each also gzipped. A folder gives its files of the one format they have.

    Args:
        source: path or paths, or a DataFrame.
        columns: the columns to keep, in that order; `None` keeps all.
        types: column → kind, where another than the one found is meant.
        encoding: of text; found when `None`.
        separator: of CSV; found when `None`. Text files with it are read as CSV.
        each: plain text: an example is a line that is not blank, or a whole file. `None`:
            a line, or a file where files lie in several folders.
        labels: plain text: where an example's class stands: `"file"`: the name of its file,
            or of the file's folder where there are several; `"first"`: it is the first word
            of the line. `None`: `"file"` where there are several files, else nowhere.

    Returns:
        A table. Plain text gives the columns `text` and, with labels, `label`; `.ts` gives
        `series` and `label`; `.tsf` its attributes and `series`; IDX `image` and, where a
        file of labels lies beside it, `label`.

    Raises:
        InputError: with file, row and column, and what to do.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True).rename(columns=str)
        if not len(frame):
            raise InputError("The DataFrame has no rows.")
        return build(frame, [Origin(None, len(frame))], columns=columns, types=types)
    kind, chosen = one_format(files.given(source), separator)
    options: dict[str, Any] = {"columns": columns, "types": types}
    if kind in ("csv", "json", "text", "ts", "tsf"):
        options["encoding"] = encoding
    if kind == "csv":
        options["separator"] = separator
    if kind == "text":
        options |= {"each": each, "labels": labels}
    return _READERS[kind](chosen, **options)


def one_format(sources: list[Path], separator: str | None) -> tuple[str, list[Path]]:
    """The format of the files, and the files: of a folder, those whose format is known.

    A file whose name tells nothing is text (and refused later if its bytes are not); text with
    a separator is CSV.
    """
    chosen: dict[Path, str] = {}
    for source in sources:
        if not source.is_dir():
            chosen[source] = format_of(source) or "text"
            continue
        found = {path: format_of(path) for path in files.listing(source)}
        known = {path: kind for path, kind in found.items() if kind is not None}
        chosen |= known or dict.fromkeys(found, "text")
    if separator is not None:
        chosen = {path: "csv" if kind == "text" else kind for path, kind in chosen.items()}
    kinds = sorted(set(chosen.values()))
    if len(kinds) > 1:
        raise InputError(
            f"The files are of several formats: {', '.join(kinds)}.",
            file=sources[0],
            fix="Name those to read.",
        )
    return kinds[0], list(chosen)
