"""File formats, one module each; `FORMATS` names them all.

To add a format, write a module with a function that reads a list of files into a table, and add
an entry to `FORMATS`. The module is imported when a file of its format is read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from elman.errors import require

if TYPE_CHECKING:
    from elman.data.table import Table


@dataclass(frozen=True)
class Format:
    """A file format: how its files are recognised, and the function that reads them.

    Attributes:
        title: the name of the format in messages.
        reader: `"module:function"`. The function is called as
            `function(paths, *, columns, types, **options)` and returns a `Table`. Of the options
            of `elman.data.read` (`encoding`, `separator`, `each`, `labels`, `sheet`) it gets those
            that are parameters of its own.
        suffixes: endings of file names, in lower case, such as `".csv"`; `.gz` after them is
            ignored.
        names: a regular expression, searched for in the name of a file, without regard to case.
            It comes before the suffixes of all formats.
        extra: the pip extra that the reader's module needs.
    """

    title: str
    reader: str
    suffixes: tuple[str, ...] = ()
    names: str | None = None
    extra: str | None = None

    def load(self) -> Callable[..., Table]:
        """Import the reader.

        Raises:
            MissingExtra: a package that the reader needs is not installed.
        """
        module, _, function = self.reader.partition(":")
        found = require(module, self.extra) if self.extra else importlib.import_module(module)
        return cast("Callable[..., Table]", getattr(found, function))


FORMATS = {
    "csv": Format("CSV, TSV", "elman.data.formats.delimited:read", (".csv", ".tsv", ".tab")),
    "json": Format(
        "JSON lines", "elman.data.formats.json_lines:read", (".jsonl", ".ndjson", ".json")
    ),
    "parquet": Format("Parquet", "elman.data.formats.parquet:read", (".parquet", ".pq")),
    "text": Format("text", "elman.data.formats.text:read", (".txt", ".text")),
    "ts": Format(".ts", "elman.data.formats.ts:read", (".ts",)),
    "tsf": Format(".tsf", "elman.data.formats.tsf:read", (".tsf",)),
    "sound": Format("sound", "elman.data.formats.sound:read", (".wav", ".flac", ".ogg", ".mp3")),
    "subtitles": Format("subtitles", "elman.data.formats.subtitles:read", (".vtt", ".srt")),
    "mail": Format("mail", "elman.data.formats.mail:read", (".mbox", ".mbx", ".eml")),
    "dialogues": Format("dialogues", "elman.data.formats.dialogues:read", names=r"^dialogues_text"),
    "chats": Format("chats", "elman.data.formats.chats:read", names=r"^(WhatsApp|_chat\.txt)"),
    "yaml": Format("YAML", "elman.data.formats.yaml_dialogues:read", (".yml", ".yaml")),
    "arff": Format("ARFF", "elman.data.formats.arff:read", (".arff",)),
    "numbers": Format("rows of numbers", "elman.data.formats.numbers:read"),
    "sheet": Format(
        "Excel, LibreOffice",
        "elman.data.formats.sheets:read",
        (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
        extra="excel",
    ),
    "conll": Format(
        "CoNLL",
        "elman.data.formats.conll:read",
        (".conll", ".conllu", ".conll2003", ".iob", ".iob2", ".bio", ".bioes", ".bilou"),
    ),
    "parallel": Format(
        "parallel files",
        "elman.data.formats.parallel:read",
        (".in", ".out"),
        names=r"^(labels?|intents?)$",
    ),
    "brat": Format("brat", "elman.data.formats.brat:read", (".ann",)),
    "tmx": Format("TMX", "elman.data.formats.tmx:read", (".tmx",)),
    "idx": Format("IDX", "elman.data.formats.idx:read", names=r"[-.]idx\d"),
}
"""Every format that `elman.data.read` knows, by name."""
