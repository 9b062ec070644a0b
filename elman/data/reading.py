"""Read files of any known format into one table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elman.data import files, memory, repeats, stems, written_tags
from elman.data.formats import FORMATS, sound, subtitles, tagged_json
from elman.data.guessing import format_in
from elman.data.numerals import Decimal
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


_ASKED = 100
"""Files of a folder at most whose encoding is looked at to say that it was guessed."""
_MANIFESTS = ("csv", "json", "parquet")
"""Formats in which a column may hold the paths of recordings or subtitles."""


def read(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    each: Literal["line", "file"] | None = None,
    labels: Literal["file", "first", "before tab", "after tab", "none", "found"] | None = None,
    sheet: str | None = None,
    decimal: Decimal | None = None,
) -> Table:
    """Read one file, several, a folder, or what is in memory.

    CSV, TSV, JSON lines, Parquet, Excel, ARFF, plain text, `.ts` (sktime), `.tsf` (Monash), rows of
    numbers (UCR), IDX images, CoNLL columns and parallel files of tagged sentences, subtitles (VTT,
    SRT), chats and dialogues (DailyDialog, YAML), each also gzipped (Excel is not). A folder gives
    its files of the one format they have. Where a name says nothing, or `.txt`, the first lines do.

    Args:
        source: path or paths; or a DataFrame, a dict of columns, arrays, or a list of texts with
            their labels: see `elman.data.memory`.
        columns: the columns to keep, in that order; `None` keeps all.
        types: column → kind, for columns whose kind is not the one that would be found.
        encoding: the encoding of text; found when `None`.
        separator: the separator of CSV; found when `None`. Text files are read as CSV when it
            is given.
        each: for plain text: `"line"` makes an example of each line that is not blank, `"file"`
            of each file. `None` is `"line"`, or `"file"` where files lie in several folders.
        labels: for plain text: the place of an example's class. `"file"`: the name of its file,
            or of the file's folder where there are several folders. `"first"`: the first word
            of the line. `"before tab"` and `"after tab"`: that part of a line with one tab.
            `"none"`: there are none. `None` finds a tab with few different words on one side of it
            in every line, else is `"file"` for several files and `"none"` for one. `"found"` is as
            `None`, but `"first"` for one file of lines without such a tab.
        sheet: of a workbook, the sheet to read; `None` takes the only one that holds something.
        decimal: of CSV, the mark before decimals; found when `None`, for the whole file.

    Returns:
        A table. Plain text gives the columns `text` and, with labels, `label`; `.ts` gives
        `series` and `label` or `target`; `.tsf` its attributes and `series`; IDX `image` and,
        where a file of labels lies beside it, `label`. `Table.notes` says how it was read.

    Raises:
        InputError: a file is wrong; the message names file, row, column and the fix.
    """
    source, notes = memory.without_masks(source)
    found = memory.frame_of(source)
    if found is not None:
        frame = _with_index(found).rename(columns=str)
        if not len(frame):
            raise InputError("The DataFrame has no rows.")
        meta = {"notes": notes} if notes else None
        return build(frame, [Origin(None, len(frame))], columns=columns, types=types, meta=meta)
    kind, chosen, repeated = one_format(files.given(source), separator)
    if sheet is not None and kind != "sheet":
        raise InputError(
            f"sheet={sheet} is for workbooks (.xlsx, .ods).", file=chosen[0], fix="Leave it out."
        )
    reader = FORMATS[kind].load()
    options = {
        "encoding": encoding,
        "separator": separator,
        "each": each,
        # Recordings have places of labels of their own.
        "labels": labels if kind == "text" else None,
        "sheet": sheet,
        "decimal": decimal,
    }
    own = inspect.signature(reader).parameters
    options = {name: value for name, value in options.items() if name in own}
    table = reader(chosen, columns=columns, types=types, **options)
    if kind in _MANIFESTS and sound.path_column(table) is None:
        table = stems.with_endings(table, sound.SUFFIXES)
    if kind in _MANIFESTS and sound.path_column(table) is not None:
        table = sound.from_manifest(table)
    if kind in _MANIFESTS and (named := subtitles.path_column(table)) is not None:
        table = subtitles.from_manifest(table, named)
    if kind in _MANIFESTS and columns is None and not types:
        rows = written_tags.spans_in(table)
        table = written_tags.with_tags(table)
        if rows is not None:
            table = tagged_json.table_of(rows, chosen, None, None)
    doubts = [*table.meta.get("doubts", ()), *repeated]
    left_out = [*table.meta.get("left_out", ())]
    if "encoding" in own and not encoding:
        asked = [path for path in chosen[:_ASKED] if path.stat().st_size]
        names = {path: files.encoding_of(path) for path in asked}
        doubts += files.doubts(names)
        if marked := files.marks_within(names):
            left_out.append(f"Byte order marks within {marked[0].name} were left out.")
    heeded = [name for name in ("encoding", "sheet") if name in own]
    meta = table.meta | {"heeded": heeded} | ({"doubts": doubts} if doubts else {})
    meta |= {"left_out": left_out} if left_out else {}
    return replace(table, meta=meta)


def one_format(sources: list[Path], separator: str | None) -> tuple[str, list[Path], list[str]]:
    """Return the one format of the files, the files themselves, each once, and doubts about those
    that are there twice.

    From a folder, the files whose format is known are taken. A file whose name says nothing is
    what its first lines show, else text (and is refused later if its bytes are not text); text with
    a separator is CSV.
    """
    wanted: list[Path] = []
    for source in sources:
        if not source.is_dir():
            wanted.append(source)
            continue
        found = files.listing(source)
        known = [path for path in found if format_of(path) is not None]
        if len(known) * 10 < len(found):
            known = []  # a note or a list among files without endings
        # Settings lie beside data in YAML too; it is read where it is all there is.
        known = [path for path in known if format_of(path) != "yaml"] or known
        known = known or files.that_may_be_text(found)[0]
        wanted += known
    # The reader of annotations takes the text beside each.
    annotations = [path for path in wanted if format_of(path) == "brat"]
    wanted, repeated = repeats.once(annotations or wanted)
    if annotations:
        repeated = []  # short lists of spans may be alike where texts are not
    chosen = {path: format_found(path, separator) for path in wanted}
    if separator is not None:
        chosen = {path: "csv" if kind == "text" else kind for path, kind in chosen.items()}
    kinds = sorted(set(chosen.values()))
    if len(kinds) > 1:
        raise InputError(
            f"The files are of several formats: {', '.join(kinds)}.",
            file=sources[0],
            fix="Name those to read.",
        )
    return kinds[0], wanted, repeated


def format_found(path: Path, separator: str | None = None) -> str:
    """Return the format of a file by its name, and by its first lines where that says little."""
    named = format_of(path)
    shown = format_in(path, named) if separator is None else None
    return shown or named or "text"


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame whose index, where it says something, is columns."""
    import pandas as pd

    index = frame.index
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    timed = isinstance(index, pd.DatetimeIndex)
    if not timed and not isinstance(index, pd.MultiIndex) and index.name is None:
        return frame.reset_index(drop=True)
    names = list(index.names)
    if timed and names[0] is None:
        names = ["time"]
    names = [f"index {n}" if name is None else name for n, name in enumerate(names, 1)]
    if any(name in frame.columns for name in names):
        return frame.reset_index(drop=True)
    return frame.set_axis(index.set_names(names), axis=0).reset_index()
