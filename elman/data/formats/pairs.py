"""Pairs of a source and a target: sentences and translations, documents and summaries, contexts
and replies; from parallel files, tables, TMX and dialogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from elman.data import files, memory, reading
from elman.data.code_cells import written_in_code
from elman.data.formats import bitext, dialogues, pair_checks, pair_cues, pair_turns, replies
from elman.data.formats.pair_columns import (
    WRITTEN,
    Named,
    few,
    from_files,
    refuse_pictures,
    shown_place,
    tabs_of,
    texts_of,
    unfit_symbols,
)
from elman.data.formats.sides import by_names
from elman.data.guessing import format_in
from elman.data.table import Table
from elman.errors import InputError

Place = tuple[Path | None, int]


@dataclass(frozen=True)
class Pairs:
    """Sources and targets, one of each an example.

    Attributes:
        source: what is read.
        target: what is to be written; None where the data have sources only.
        places: the file and the line or row of each.
        parts: the part that the names of files or folders give each; None where they do not.
        said: in sentences, what was read, guessed, left out and counted.
        names: of the source and the target: columns, or endings of files. With these as
            `source=` and `target=` later data are read in the same way.
        groups: the number of the dialogue of each, which must not be parted; dialogues of the same
            turns have one. None for what is no dialogue.
        doubts: what a person should look at, in sentences.
        listed: the sides, `source` or `target`, that are lists; each with the first entry that is
            no symbol, in words, or None. A text of such a side has blanks between the entries.
    """

    source: list[str]
    target: list[str] | None
    places: list[Place]
    parts: list[pair_checks.Part | None]
    said: list[str]
    names: tuple[str, str] = ("source", "target")
    groups: list[int] | None = None
    doubts: list[str] = field(default_factory=list)
    listed: dict[str, str | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.source)


@dataclass
class _Found:
    """Pairs as they stand in the data, before empty ones are left out."""

    source: list[str]
    target: list[str] | None
    places: list[Place]
    said: list[str]
    names: tuple[str, str] = ("source", "target")
    groups: list[int] | None = None
    parts: list[pair_checks.Part | None] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    listed: dict[str, str | None] = field(default_factory=dict)


def read_pairs(
    data: Any,
    /,
    *,
    source: str | None = None,
    target: str | None = None,
    turns: int = 1,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
    needs_target: bool = True,
    talks: bool = False,
) -> Pairs:
    """Read pairs of a source and a target.

    - Parallel files: `train.en` and `train.de`, also gzip; a folder of them; or two files in any
      name, the source first. One file alone is read with the other beside it where `source=` or
      `target=` names a side of them, or as a doubt, where both end in codes of languages and the
      one cannot be read alone.
    - Tables (CSV, TSV, Excel, JSON lines, Parquet, DataFrame, TMX, a list of pairs) with two
      columns, known by their names or their place. A source may be a conversation, which is read
      as a text with a line for each utterance.
    - Dialogues, of which each turn but the first is a target: a dialogue a line with `__eou__`
      after each turn, a turn a line with a blank line between dialogues, lists of turns in JSON or
      YAML, a table with a row for each turn.

    Args:
        data: a path, several, a folder, or data in memory.
        source, target: the columns, or the endings of parallel files; found when None.
        turns: of a dialogue, the turns before a reply that are its source, at most; `TURN` of
            `elman.data.formats.replies` stands between them.
        encoding: of text; found when None.
        separator: of CSV; found when None.
        sheet: of a workbook.
        needs_target: False where there may be sources alone, as for `predict`. Empty ones are then
            kept.
        talks: True where lines are turns of dialogues if they may be, though there may be sources
            alone, as for `predict` after training on dialogues.

    Raises:
        InputError: a file is wrong, files disagree, or there are no two sides; the message names
            file, row, column and the fix.
    """
    if turns < 1:
        raise InputError(f"turns={turns}: a reply needs at least 1 turn before it.")
    asked = _Asked(source, target, turns, encoding, separator, sheet, needs_target, talks)
    in_files = memory.names_files(data)
    found = asked.of_files(data) if in_files else asked.of_table(partial(reading.read, data))
    if turns > 1 and needs_target and found.groups is None and not talks:
        raise InputError(
            f"turns={turns} is for dialogues, and these are pairs.",
            file=found.places[0][0] if found.places else None,
            fix="Leave it out.",
        )
    return _counted(found, needs_target)


@dataclass(frozen=True)
class _Asked:
    """The settings of `read_pairs`, and a method for each form of data."""

    source: str | None
    target: str | None
    turns: int
    encoding: str | None
    separator: str | None
    sheet: str | None
    needs_target: bool
    talks: bool

    @property
    def _named(self) -> Named:
        return Named(self.source, self.target, self.needs_target)

    @property
    def _may_be_turns(self) -> bool:
        """True where no columns are named, or only what the sides of dialogues are called."""
        return (self.source, self.target) in ((None, None), pair_checks.TALK)

    def of_files(self, data: Any) -> _Found:
        """Read files: by the names of parallel files first, then by the form that all have."""
        given = files.given(data)
        folder = given[0] if len(given) == 1 and given[0].is_dir() else None
        paths = [p for one in given for p in (files.listing(one) if one.is_dir() else [one])]
        kinds = {path: self._kind(path) for path in paths}
        texts = [path for path, kind in kinds.items() if kind == "text"]
        films = pair_cues.films(paths) if set(kinds.values()) == {"subtitles"} else []
        found, beside = None, dict[str, Path]()
        doubts: list[str] = []
        if len(texts) == len(paths):
            if self.sheet is not None:
                raise InputError(
                    f"sheet={self.sheet} is for workbooks (.xlsx, .ods).",
                    file=paths[0],
                    fix="Leave it out.",
                )
            if len(texts) == 1 and folder is None:
                beside, doubts = self._beside(texts[0])
            found = self._parallel(texts, given, folder, beside)
        if films and self.needs_target:
            found = self._of_sides(films, folder, paths, ordered=folder is None)
        if found is None:
            found = self._of_form(paths)
        found.doubts += doubts
        parts = [None if path is None else pair_checks.part_of(path) for path, _ in found.places]
        if len({part for part in parts if part is not None}) > 1:
            found.parts = parts
            counts = Counter("no part" if part is None else part for part in parts)
            shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            found.said.append(f"Parts by the names of the files: {shown}.")
        return found

    def _of_form(self, paths: list[Path]) -> _Found:
        kinds = {path: self._form(path) for path in paths}
        several = sorted(set(kinds.values()))
        if len(several) > 1:
            shown = ", ".join(
                f"{kind} ({next(p.name for p in paths if kinds[p] == kind)})" for kind in several
            )
            raise InputError(
                f"The files are of several forms: {shown}.",
                file=paths[0].parent,
                fix="Name those to read.",
            )
        kind = several[0]
        if kind in ("dialogues", "turn a line"):
            read = dialogues.read if kind == "dialogues" else dialogues.read_lines
            pair_checks.refuse_names(self.source, self.target, paths[0])
            if kind == "turn a line":
                pair_checks.refuse_other_files(paths, self.encoding)
            table = read(paths, columns=["turns"], encoding=self.encoding)
            found, told = cast("tuple[list[replies.Dialogue], list[str]]", replies.of_table(table))
            said = [f"Dialogues {from_files(paths)}.", *told, *self._doubts(paths)]
            return self._replies(found, said, paths[0])
        if kind == "lines":
            return self._alone(paths)
        if kind == "tabs":
            return self.of_table(partial(self._named.table_with_tabs, paths, self.encoding))
        if kind == "csv":
            how: dict[str, Any] = {"encoding": self.encoding, "separator": self.separator}
            return self.of_table(partial(self._named.table_of_rows, paths, **how))
        options: dict[str, Any] = {"encoding": self.encoding, "sheet": self.sheet}
        return self.of_table(partial(reading.read, paths, separator=self.separator, **options))

    def _kind(self, path: Path) -> str:
        """Return "text" for a file that may be a side of a text, else what it is."""
        named = reading.format_of(path)
        if named in (None, "text", "parallel"):
            if self.separator is not None:
                return "table"
            return "subtitles" if format_in(path, named) == "subtitles" else "text"
        if named == "subtitles":
            return named
        if named == "csv" and self.sheet is None:
            return "csv"
        return "yaml" if named == "yaml" else "table"

    def _form(self, path: Path) -> str:
        kind = self._kind(path)
        if kind == "csv" and files.suffix(path) in (".tsv", ".tab") and self.separator is None:
            return "tabs"
        if kind != "text":
            return kind
        turns = dialogues.in_lines(path, self.encoding)
        if turns == "marks":
            return "dialogues"
        if tabs_of(path, self.encoding):
            return "tabs"
        if (shown := format_in(path, reading.format_of(path))) in ("csv", "chats"):
            return "csv" if shown == "csv" else "table"
        if self.talks and turns is None and dialogues.names_speakers(path, self.encoding):
            turns = "lines"
        return "turn a line" if turns == "lines" and (self.needs_target or self.talks) else "lines"

    def _parallel(
        self, texts: list[Path], given: list[Path], folder: Path | None, beside: dict[str, Path]
    ) -> _Found | None:
        """Read parallel files, or return None where there are none.

        Args:
            texts: the files.
            given: files and folders that were given.
            folder: the one folder that was given, or None.
            beside: other sides of a file that was given alone.
        """
        groups = bitext.bitexts(texts)
        ordered = folder is None
        if beside:
            name, side = cast("tuple[str, str]", bitext.side_of(texts[0]))
            groups = [bitext.Bitext(name, {side: texts[0], **beside})]
        paired = [group for group in groups if len(group.sides) > 1]
        if not paired and len(texts) == len(given) == 2:
            if self.source is not None or self.target is not None:
                names = (self.source or "source", self.target or "target")
            else:
                names = ("source", "target")
            sides = dict(zip(names, texts, strict=True))
            paired = groups = [bitext.Bitext(texts[0].stem, sides)]
        if not paired:
            return None
        return self._of_sides(groups, folder, texts, ordered)

    def _of_sides(
        self, groups: list[bitext.Bitext], folder: Path | None, texts: list[Path], ordered: bool
    ) -> _Found:
        """Read files of lines, or of subtitles, that are sides of one text.

        Args:
            groups: files that belong together.
            folder: the one folder that was given, or None.
            texts: all files.
            ordered: the source was given first.
        """
        called = folder.resolve().name if folder is not None else texts[0].name
        source, target, how = bitext.direction(groups, self.source, self.target, called, ordered)
        used = [group for group in groups if group.sides.keys() & {source, target}]
        said = [
            f"Parallel files {from_files([group.sides.get(source, texts[0]) for group in used])}: "
            f"source .{source}, target .{target} ({how})."
        ]
        found = _Found([], [], [], said, (source, target))
        for group in used:
            missing = next((side for side in (source, target) if side not in group.sides), None)
            if missing is not None:
                there = next(iter(group.sides.values()))
                raise InputError(
                    f"There is no .{missing} of this text.",
                    file=there,
                    fix="Add it, or name the files to read.",
                )
            one, other = group.sides[source], group.sides[target]
            if self._kind(one) == "subtitles":
                ours, theirs, numbers = pair_cues.lines_of(one, other, self.encoding)
            else:
                ours, theirs = bitext.lines_of(one, other, self.encoding)
                numbers = [*range(1, len(ours) + 1)]
            found.source += ours
            cast("list[str]", found.target).extend(theirs)
            found.places += [(one, number) for number in numbers]
        read = [group.sides[side] for group in used for side in (source, target)]
        left = [path.name for path in texts if path not in read]
        if left and len(texts) > 1:
            said.append(f"Left out: {few(left)}.")
        said += self._doubts(read)
        return found

    def _beside(self, path: Path) -> tuple[dict[str, Path], list[str]]:
        """Return the other sides of a file that was given alone, side → file, and doubts.

        A file that was not given is read where a setting names a side of the two, or where both
        end in codes of languages and the one that was given cannot be read alone.

        Raises:
            InputError: the file holds what is to be written, and only sources are asked for.
        """
        beside, about = bitext.partners(path), bitext.side_of(path)
        if not beside or about is None:
            return {}, []
        sides = {side.casefold() for side in (about[1], *beside)}
        named = {name.casefold() for name in (self.source, self.target) if name is not None}
        if not self.needs_target:
            if named <= sides and about[1].casefold() == (self.target or "").casefold():
                raise InputError(
                    f"This file is the side .{about[1]}, which is to be written.",
                    file=path,
                    fix=f"Give the side .{self.source} of it.",
                )
            return {}, []
        if named & sides:
            return beside, []
        languages = bitext.languages_beside(path)
        if len(languages) != 1:
            return ({} if self._form(path) != "lines" else languages), []
        [(side, other)] = languages.items()
        fix = f"set source={about[1]} and target={side}"
        if self._form(path) == "lines":
            return languages, [
                f"{other.name} was not given; it was read because it stands beside {path.name}, as "
                f"its lines in another language. If it is so, {fix}; if not, give the two files "
                "that belong together, the source first."
            ]
        return {}, [
            f"{other.name} stands beside {path.name} and was not read. If its lines are "
            f"translations, {fix}."
        ]

    def _alone(self, paths: list[Path]) -> _Found:
        if self.needs_target:
            raise InputError(
                "The lines have one column only: there are sources and no targets.",
                file=paths[0],
                fix="Give the file of the targets after it (a.en a.de), or both in a table; turns "
                "of a dialogue need __eou__ after each, or a blank line between dialogues.",
            )
        found = _Found([], None, [], [f"Lines {from_files(paths)}, a source each."])
        for path in paths:
            for number, line in enumerate(files.lines(path, self.encoding), 1):
                found.source.append(line.rstrip("\n"))
                found.places.append((path, number))
        found.said += self._doubts(paths)
        return found

    def of_table(self, read: Callable[..., Table]) -> _Found:
        """Read two columns of a table, or the turns in its rows.

        Args:
            read: reads the table; `types=` gives kinds of columns.
        """
        table = read()
        said = [*table.notes(), *table.doubts()]
        names = list(table.kinds)
        turns = pair_turns.no_sides(table)
        may_be = [name for name in names if name not in turns]
        talks = self._may_be_turns and by_names(may_be) is None
        if "turns" in table.kinds.values() and by_names(names) is None:
            talks = not {self.source, self.target} & set(names)
        if talks and (talk := replies.of_table(table)) is not None:
            if "turns" in table.kinds.values():
                pair_checks.refuse_names(self.source, self.target, table.source)
            made = self._replies(talk[0], said + talk[1], table.source)
            made.doubts += pair_turns.unread_texts(table, turns) if self.source is None else []
            return made
        told = (self.source, self.target)
        unread = {n: what for n, what in written_in_code(table).items() if n not in told}
        said += [f"{name!r} holds {what}." for name, what in unread.items()]
        source, target, how = self._named.columns_of(
            table, unread | (turns if told == (None, None) else {})
        )
        sides = [name for name in (source, target) if name is not None]
        for side in sides:
            refuse_pictures(table, side)
        if target is not None and table.kinds[target] == "turns":
            raise InputError(
                f"{target!r} holds conversations, which can be read and not written.",
                file=table.source,
                fix=f"Set source={target}, and target= to a column of texts.",
            )
        if table.kinds[source] == "turns":
            said.append(
                f"{source!r} holds conversations; each utterance is a line of its text, the "
                "speaker before a colon."
            )
        if any(table.kinds[name] not in WRITTEN for name in sides):
            # A text of dates or numbers alone is to stay as it is written.
            table = read(types=dict.fromkeys(sides, "text"))
        texts = texts_of(table, source)
        found = _Found(
            texts,
            None if target is None else texts_of(table, target),
            [table.where(row) for row in range(len(table))],
            said,
            (source, target or self.target or "target"),
        )
        for side, name in (("source", source), ("target", target)):
            if name is not None and table.kinds[name] == "tokens":
                found.listed[side] = unfit_symbols(table, name)
        if told == (None, None) and target is not None:
            found.doubts += pair_turns.doubts(table, source, target, turns)
        named = f"source {source!r}" + ("" if target is None else f", target {target!r}")
        left = [name for name in names if name not in (source, target)]
        said.append(
            f"{named[0].upper()}{named[1:]} ({how})"
            + (f"; left out: {few([repr(name) for name in left])}." if left else ".")
        )
        return found

    def _replies(
        self,
        found: Sequence[replies.Dialogue],
        said: list[str],
        file: Path | None,
    ) -> _Found:
        made = list(replies.replies(found, self.turns))
        lonely = [one for one in found if len(one.turns) == 1]
        count = sum(len(one.turns) for one in found)
        if not made:
            raise InputError(
                f"The {len(found):,} dialogues have no turn that answers another.",
                file=file,
                fix="A dialogue needs two turns or more.",
            )
        context = "the turn" if self.turns == 1 else f"up to {self.turns} turns"
        said.append(
            f"{len(found):,} dialogues of {count:,} turns; each turn but the first is a target, "
            f"and {context} before it the source (turns={self.turns})."
        )
        if lonely:
            where = shown_place((lonely[0].file, lonely[0].turns.lines[0]))
            said.append(
                f"Dialogues of one turn, which give no pair: {len(lonely):,}; the first is {where}."
            )
        return _Found(
            [one.context for one in made],
            [one.text for one in made],
            [one.place for one in made],
            said,
            pair_checks.TALK,
            [one.dialogue for one in made],
        )

    def _doubts(self, paths: Iterable[Path]) -> list[str]:
        if self.encoding is not None:
            return []
        return files.doubts({path: files.encoding_of(path) for path in paths})


def _counted(found: _Found, needs_target: bool) -> Pairs:
    """Return the pairs without those of which a side is empty, and count what may be wrong."""
    said = list(found.said)
    count = len(found.source)
    kept = list(range(count))
    if needs_target and found.target is not None:
        target = found.target
        empty = {
            "source": [n for n in kept if not found.source[n].strip()],
            "target": [n for n in kept if not target[n].strip()],
        }
        for side, places in empty.items():
            if places:
                where = shown_place(found.places[places[0]])
                said.append(
                    f"Pairs with an empty {side}, left out: {len(places):,}; the first is {where}."
                )
        gone = set(empty["source"]) | set(empty["target"])
        kept = [n for n in kept if n not in gone]
    if not kept:
        file = found.places[0][0] if found.places else None
        raise InputError("No pair has both sides.", file=file)
    parts = found.parts or [None] * count
    pairs = Pairs(
        [found.source[n].strip() for n in kept],
        None if found.target is None else [found.target[n].strip() for n in kept],
        [found.places[n] for n in kept],
        [parts[n] for n in kept],
        said,
        found.names,
        None if found.groups is None else [found.groups[n] for n in kept],
        found.doubts,
        found.listed,
    )
    if pairs.target is not None and needs_target:
        said += pair_checks.copies(pairs.source, pairs.target)
        said += pair_checks.repeats(pairs.source, pairs.target)
        said += pair_checks.across_parts(pairs.source, pairs.target, pairs.parts)
    return pairs
