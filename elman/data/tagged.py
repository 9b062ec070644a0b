"""`read_tagged`: tagged sentences from files of any format that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from elman.data import files
from elman.data.files import Source
from elman.data.formats import conll, parallel, tagged_json
from elman.data.formats.json_lines import records
from elman.data.table import Table
from elman.errors import InputError

_JSON = (".jsonl", ".ndjson", ".json")


def read_tagged(
    source: Source | Iterable[Source], *, encoding: str | None = None, tag_column: int | None = None
) -> Table:
    """Read one file of tagged sentences, several of one format, or a folder of parallel files.

    Formats are CoNLL columns and CoNLL-U (any ending but those below), parallel files (a folder
    with `seq.in` and `seq.out`, or a file `NAME.in`), and JSON lines (`.jsonl`, `.ndjson`,
    `.json`); see `elman.data.formats`.

    Args:
        source: path or paths.
        encoding: found when `None`.
        tag_column: of CoNLL columns, the column of the tags, counted from 1; found when `None`.

    Returns:
        A table with the columns `tokens` and `tags`, and `label` (the intent) and `id` where the
        files have them.

    Raises:
        InputError: with file and line, and what to do.
    """
    paths = files.given(source)
    kinds = {_format(path) for path in paths}
    if len(kinds) > 1:
        raise InputError(
            "The files are of several formats.", file=paths[0], fix="Name those of one."
        )
    kind = kinds.pop()
    if kind == "conll":
        return conll.read(paths, encoding=encoding, tag_column=tag_column)
    if tag_column is not None:
        raise InputError("tag_column= is for CoNLL columns.", file=paths[0])
    reader: Callable[..., Table] = parallel.read if kind == "parallel" else tagged_json.read
    return reader(paths, encoding=encoding)


def holds_tags(path: Path) -> bool:
    """Tell whether a path holds tagged sentences, as far as its name and first lines tell.

    True for folders of parallel files, for files with an ending that is used for CoNLL, and for
    JSON lines whose first object is a tagged sentence.
    """
    if path.is_dir():
        return parallel.holds(path)
    if files.suffix(path) in _JSON:
        return any(tagged_json.is_tagged(record) for _, record in islice(records(path), 1))
    return files.suffix(path) in conll.SUFFIXES


def _format(path: Path) -> str:
    if path.is_dir() or path.suffix.lower() in (parallel.TOKENS, parallel.TAGS):
        return "parallel"
    return "json" if files.suffix(path) in _JSON else "conll"
