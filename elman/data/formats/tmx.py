"""TMX 1.1 to 1.4: translation memories, as translators' programs exchange them.

The file is read as a stream. A file that declares entities is refused: a few lines of them can
unpack to gigabytes, or name files of the reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

from elman.data import files
from elman.data.kinds import Kind
from elman.data.table import Origin, Table, build
from elman.errors import InputError

_CODES = frozenset(["bpt", "ept", "ph", "it", "ut", "sub"])
"""Elements within a segment that hold marks of a layout, not text."""


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Table:
    """Read translation units: a column each for the languages, a row each for the units.

    Args:
        paths: the files. XML says its encoding itself.
        columns: those to keep.
        types: column → kind.

    Returns:
        The table; a unit without a language has an empty cell there. `meta["source"]` is the
        language that the header calls the source, where it names one.

    Raises:
        InputError: a file is not TMX, declares entities, or holds no unit.
    """
    import pandas as pd

    rows: list[dict[str, str]] = []
    origins: list[Origin] = []
    notes: list[str] = []
    source = None
    for path in paths:
        units = _Units(path)
        units.read()
        rows += units.rows
        origins.append(Origin(path, len(units.rows), units.lines.__getitem__))
        source = source or units.source
        if units.repeated:
            notes.append(
                f"{units.repeated} further translations into one language are left out of "
                f"{path.name}: the first counts."
            )
    found = Counter(language for row in rows for language in row)
    frame = pd.DataFrame(
        {name: pd.Series([row.get(name, "") for row in rows], dtype=object) for name in found}
    )
    known: dict[str, Kind] = dict.fromkeys(found, "text")
    meta: dict[str, Any] = {"notes": notes, "source": source}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


class _Units:
    """The units of one file, gathered while expat reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self.lines: list[int] = []
        self.source: str | None = None
        self.repeated = 0
        self._root: str | None = None
        self._language: str | None = None
        self._text: list[str] | None = None
        self._codes = 0
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._entity

    def read(self) -> None:
        """Read the whole file.

        Raises:
            InputError: as `read` of the module.
        """
        empty = True
        try:
            for number, block in enumerate(files.blocks(self.path)):
                if number == 0:
                    files.refuse_foreign(self.path, block, "web page")
                empty = empty and not block.strip()
                self._parser.Parse(block, False)
            if not empty:
                self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise InputError(
                f"The file is not sound XML ({expat.ErrorString(error.code)}).",
                file=self.path,
                row=error.lineno,
                fix="Export it again; where an encoding is named in its first line, it must be "
                "the one in which the file is written.",
            ) from None
        except (LookupError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The encoding that its first line names is not known ({error}).",
                file=self.path,
                row=1,
                fix="Save it as UTF-8.",
            ) from None
        if empty:
            raise InputError("The file is empty.", file=self.path)
        if not self.rows:
            raise InputError("The file holds no translation unit (<tu>).", file=self.path)

    def _begin(self, name: str, about: dict[str, str]) -> None:
        if self._root is None:
            self._root = name
            if name != "tmx":
                raise InputError(
                    f"This is XML of another kind: its outermost element is <{name}>, not <tmx>.",
                    file=self.path,
                    row=self._parser.CurrentLineNumber,
                )
        if name == "header":
            language = about.get("srclang", "")
            self.source = language.casefold() if language not in ("", "*all*") else None
        elif name == "tu":
            self.rows.append({})
            self.lines.append(self._parser.CurrentLineNumber)
        elif name == "tuv":
            self._language = (about.get("xml:lang") or about.get("lang") or "").casefold()
            if not self._language:
                raise InputError(
                    "The <tuv> does not say its language.",
                    file=self.path,
                    row=self._parser.CurrentLineNumber,
                    fix="Write it as xml:lang.",
                )
        elif name == "seg" and self._language:
            self._text = []
        elif name in _CODES:
            self._codes += 1

    def _end(self, name: str) -> None:
        if name == "seg" and self._text is not None and self._language and self.rows:
            row = self.rows[-1]
            if self._language in row:
                self.repeated += 1
            else:
                row[self._language] = " ".join("".join(self._text).split())
            self._text = None
        elif name == "tuv":
            self._language = None
        elif name in _CODES:
            self._codes -= 1

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._codes:
            self._text.append(text)

    def _entity(self, name: str, *about: object) -> None:
        raise InputError(
            f"The file declares an entity, {name!r}, which is not read: entities can unpack to "
            "any size.",
            file=self.path,
            row=self._parser.CurrentLineNumber,
            fix="Export it without a DTD of its own.",
        )
