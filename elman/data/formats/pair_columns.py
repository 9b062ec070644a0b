"""The columns of a table that are source and target of pairs, and tables whose columns have no
names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elman.data import files, reading, turn_names
from elman.data.formats import delimited
from elman.data.formats.sides import by_names, given_sides, is_code, is_language, is_side
from elman.data.table import Table
from elman.data.turns import Conversation, Turn
from elman.errors import InputError

WRITTEN = ("text", "category", "tokens", "turns")
"""Kinds of columns that hold what was written, and not what it means."""
_NAME = 3
"""Words of the name of a column at most."""
_PICTURE = r"\S+\.(?:png|jpe?g|gif|bmp|tiff?|webp)"
_LANGUAGES = 100
"""Codes of languages in a column at most."""
_HEAD = 200
"""Lines of a text file by which its form is known."""


@dataclass(frozen=True)
class Named:
    """Source and target as settings name them, and whether there must be a target."""

    source: str | None
    target: str | None
    needs_target: bool

    def table_with_tabs(
        self,
        paths: list[Path],
        encoding: str | None,
        *,
        types: Mapping[str, str] | None = None,
    ) -> Table:
        """Read a table with tabs; its first row is a pair where it has no usual names."""
        head = (line for line in files.lines(paths[0], encoding) if line.strip())
        first, second = next(head), next(head, "")
        cells, below = ([cell.strip() for cell in line.split("\t")] for line in (first, second))
        wanted = {self.source, self.target} - {None}
        # A code that the next row has too is the language of a row.
        names = [c for n, c in enumerate(cells) if is_side(c) and below[n : n + 1] != [c]]
        named = len(names) > 1 or bool(wanted & set(cells))
        named = named or _of_turns(cells)
        table = delimited.read(
            paths, encoding=encoding, separator="\t", headless=not named, types=types
        )
        if not named:
            table.meta["notes"].append(
                f"The first row is read as a pair: {first.strip()[:60]!r} holds no usual names of "
                "columns; source= and target= name them."
            )
        return table

    def table_of_rows(
        self, paths: list[Path], *, types: Mapping[str, str] | None = None, **written: Any
    ) -> Table:
        """Read CSV whose first row is a pair where it has no usual names and is like sentences.

        Args:
            paths: files.
            types: kinds of columns.
            written: encoding and separator.
        """
        name = written["encoding"] or files.encoding_of(paths[0])
        head = delimited.header(paths[0], name, written["separator"])
        wanted = {self.source, self.target} - {None}
        names = head.names
        usual = any(map(is_side, names)) or bool(wanted & set(names)) or _of_turns(names)
        shown = ", ".join(repr(name[:40]) for name in names[:2])
        if head.headless or usual:
            return reading.read(paths, types=types, **written)
        if any(map(_is_sentence, names)):
            table = delimited.read(paths, types=types, headless=True, **written)
            note = f"The first row is read as a pair: {shown} are no names of columns."
        else:
            table = reading.read(paths, types=types, **written)
            note = (
                f"The first row, {shown}, is read as the names of columns; if it is a pair, write "
                "a row such as source,target above it."
            )
        notes = [*table.meta.get("notes", ()), note]
        return replace(table, meta={**table.meta, "notes": notes})

    def columns_of(
        self, table: Table, unread: Mapping[str, str] | None = None
    ) -> tuple[str, str | None, str]:
        """Return the columns of source and target, and how they are known.

        Args:
            table: typed columns.
            unread: columns that are no text, and what they hold.
        """
        unread = unread or {}
        names = [name for name in table.kinds if name not in unread]
        texts = [name for name in names if table.kinds[name] in WRITTEN]
        told_apart = [name for name in texts if not _of_codes(table, name)]
        texts = told_apart if len(told_apart) > 1 else texts
        if not self.needs_target and self.target is not None and self.target not in names:
            # Later data need not have what is asked for.
            if self.source is not None and self.source in names:
                return self.source, None, "as set"
            if len(texts) == 1:
                return texts[0], None, "the only text"
        told = given_sides(names, self.source, self.target, "column", table.source)
        if told is not None:
            return *told, "as set"
        if self.source is not None or self.target is not None:
            left = [name for name in texts if name not in (self.source, self.target)]
            if len(left) == 1:
                pair = (self.source or left[0], self.target or left[0])
                return *pair, "as set, and the only other text"
            if self.source is not None and not self.needs_target and not left:
                return self.source, None, "as set"
            raise self._undecided(table, left, unread)
        if (named := by_names(names)) is not None:
            return *named, "by their names"
        language = table.meta.get("source")
        spoken = [name for name in names if is_language(name)]
        for some in (
            texts,
            _coded(names),
            spoken,
            [name for name in texts if table.kinds[name] == "text"],
        ):
            if len(some) != 2:
                continue
            if language == some[1]:
                return some[1], some[0], "as the header says"
            return some[0], some[1], "as the header says" if language else "by their place"
        if len(texts) == 1 and not self.needs_target:
            return texts[0], None, "the only text"
        raise self._undecided(table, texts, unread)

    def _undecided(
        self, table: Table, texts: Sequence[str], unread: Mapping[str, str]
    ) -> InputError:
        shown = few([repr(name) for name in table.kinds])
        if len(texts) < 2:
            held = "".join(f" {name!r} holds {what}." for name, what in unread.items())
            return InputError(
                "The table has no two columns of text, a source and a target (columns: "
                f"{shown}).{held}",
                file=table.source,
                fix="Give a table with both, and name them with source= and target=.",
            )
        coded = [name for name in _coded(table.kinds) if name in texts]
        first, second = (coded if len(coded) > 1 else texts)[:2]
        return InputError(
            f"Nothing says which columns are source and target: {few([repr(n) for n in texts])}.",
            file=table.source,
            fix=f"Set source={first} and target={second}, say.",
        )


def _coded(names: Iterable[str]) -> list[str]:
    """Return the names that are codes of languages, or end in one as `translation.en` does."""
    return [name for name in names if is_code(name.rsplit(".", 1)[-1])]


def _of_codes(table: Table, name: str) -> bool:
    """Tell whether all cells of a column are codes of languages, which say what a row is in."""
    if table.kinds[name] not in ("text", "category"):
        return False
    cells = table.frame[name].dropna().unique()
    return 0 < len(cells) <= _LANGUAGES and all(is_code(str(cell)) for cell in cells)


def refuse_pictures(table: Table, name: str) -> None:
    """Refuse a column that names pictures, where texts are read.

    Raises:
        InputError: all of its cells are names of pictures.
    """
    if table.kinds[name] not in ("text", "category"):
        return
    cells = table.frame[name].dropna().astype(str).str.strip()
    if len(cells) and cells.str.fullmatch(_PICTURE, case=False).all():
        raise InputError(
            f"It holds names of pictures, such as {cells.iloc[0]!r}, and texts are read here.",
            file=table.source,
            column=name,
            fix="Name a column of texts with source= or target=.",
        )


def _is_sentence(cell: str) -> bool:
    """Tell whether a cell is rather something that is said than the name of a column.

    >>> _is_sentence("I am cold."), _is_sentence("how are you now"), _is_sentence("English text")
    (True, True, False)
    """
    text = cell.strip()
    ends = text[-1:] in ".?!…。？！" and any(map(str.isalpha, text))
    return bool(text) and (ends or len(text.split()) > _NAME)


def _of_turns(cells: Sequence[str]) -> bool:
    """Tell whether cells are called like the conversation and the text of an utterance."""
    numbers = [cell for cell in cells if turn_names.of_conversation(cell) is not None]
    return any(
        turn_names.of_text(cell) is not None
        for cell in cells
        if numbers and (len(numbers) > 1 or cell not in numbers)
    )


def tabs_of(path: Path, encoding: str | None) -> int:
    """Return the tabs of each line, or 0 where lines differ."""
    head = itertools.islice(files.lines(path, encoding), _HEAD)
    counts = {line.count("\t") for line in head if line.strip()}
    return counts.pop() if len(counts) == 1 else 0


def texts_of(table: Table, name: str) -> list[str]:
    """Return the cells of a column as texts; a missing one is empty.

    Symbols of a list have a blank between them. An utterance of a conversation is a line, its
    speaker before a colon.
    """
    if table.kinds[name] == "turns":
        return ["" if cell is None else _spoken(cell) for cell in table.column(name)]
    if table.kinds[name] == "tokens":
        return ["" if cell is None else " ".join(cell) for cell in table.column(name)]
    return [cell or "" for cell in table.column(name, "text")]


def _spoken(cell: Conversation) -> str:
    said = ((one.speaker.strip(), " ".join(one.text.split())) for one in cell)
    return str(Conversation(Turn(speaker, text) for speaker, text in said if text))


def unfit_symbols(table: Table, name: str) -> str | None:
    """Return where a list holds an entry that is no symbol, for it is empty or has a blank inside.

    Returns:
        The first such entry and its place, in words; None where there is none.
    """
    for row, cell in enumerate(table.column(name)):
        for entry in cell or ():
            if len(entry.split()) != 1:
                file, line = table.where(row)
                return f"{entry!r} ({'' if file is None else f'{file.name}, '}row {line})"
    return None


def few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def shown_place(place: tuple[Path | None, int]) -> str:
    """Return a file and a row in words."""
    file, row = place
    return f"row {row}" if file is None else f"{file.name}, row {row}"


def from_files(paths: Sequence[Path]) -> str:
    """Return in words what a text was read from."""
    if len(paths) == 1:
        return f"from {paths[0].name}"
    return f"from {len(paths)} files, {few([path.name for path in paths])}"
