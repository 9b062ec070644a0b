"""Read files of any known format into one table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elman.data import files
from elman.data.files import Source
from elman.data.formats import FORMATS, sound
from elman.data.table import Origin, Table, build
from elman.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def format_of(path: Path) -> str | None:
    """Return the format of a file by its name, or None if the name says nothing.

    >>> [format_of(Path(name)) for name in ("a.CSV.gz", "train-images-idx3-ubyte", "a")]
    ['csv', 'idx', None]
    """
    for name, known in FORMATS.items():
        if known.names is not None and re.search(known.names, path.name, re.IGNORECASE):
            return name
    suffix = files.suffix(path)
    return next((name for name, known in FORMATS.items() if suffix in known.suffixes), None)


_MANIFESTS = ("csv", "json", "parquet")
"""Formats in which a column may hold the paths of recordings."""


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

    CSV, TSV, JSON lines, Parquet, plain text, `.ts` (sktime), `.tsf` (Monash), IDX images, CoNLL
    columns and parallel files of tagged sentences, each also gzipped. A folder gives its files of
    the one format they have.

    Args:
        source: path or paths, or a DataFrame.
        columns: the columns to keep, in that order; `None` keeps all.
        types: column → kind, for columns whose kind is not the one that would be found.
        encoding: the encoding of text; found when `None`.
        separator: the separator of CSV; found when `None`. Text files are read as CSV when it
            is given.
        each: for plain text: `"line"` makes an example of each line that is not blank, `"file"`
            of each file. `None` is `"line"`, or `"file"` where files lie in several folders.
        labels: for plain text: the place of an example's class. `"file"`: the name of its file,
            or of the file's folder where there are several folders. `"first"`: the first word
            of the line. `None` is `"file"` for several files; one file has no classes.

    Returns:
        A table. Plain text gives the columns `text` and, with labels, `label`; `.ts` gives
        `series` and `label`; `.tsf` its attributes and `series`; IDX `image` and, where a
        file of labels lies beside it, `label`.

    Raises:
        InputError: a file is wrong; the message names file, row, column and the fix.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True).rename(columns=str)
        if not len(frame):
            raise InputError("The DataFrame has no rows.")
        return build(frame, [Origin(None, len(frame))], columns=columns, types=types)
    kind, chosen = one_format(files.given(source), separator)
    reader = FORMATS[kind].load()
    options = {"encoding": encoding, "separator": separator, "each": each, "labels": labels}
    own = inspect.signature(reader).parameters
    options = {name: value for name, value in options.items() if name in own}
    table = reader(chosen, columns=columns, types=types, **options)
    if kind in _MANIFESTS and sound.path_column(table) is not None:
        return sound.from_manifest(table)
    return table


def one_format(sources: list[Path], separator: str | None) -> tuple[str, list[Path]]:
    """Return the one format of the files, and the files themselves.

    From a folder, the files whose format is known are taken. A file whose name says nothing is
    text (and is refused later if its bytes are not text); text with a separator is CSV.
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
