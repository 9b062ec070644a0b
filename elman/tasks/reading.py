"""Sequences and their answers out of a user's files: which column is which, and how it is read.

A sequence is one cell, the numbers of one row, or the rows of a long table that share a group. The
answer is a column (a label, a number, tags). What was found in the training file is kept
(`Layout`), so that every later file is read in the same way.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from elman import data as elman_data
from elman.data import Table, files, numerals, recordings, transcripts
from elman.data.formats import dialogues
from elman.data.formats.text import FASTTEXT
from elman.data.numerals import Decimal
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks import called, number_cells, totals, units, word_rows
from elman.tasks.answers import Answer

TextLabels = Literal["file", "first", "before tab", "after tab", "none", "found"]
_IN_LINES = ("first", "before tab", "after tab")
_OF_PROSE = 0.08
"""Share of the words of lines that are first words of some line, from which they are sentences."""
_AS_SENTENCES = 0.8
"""Share of lines that begin with a capital and go on without one, from which labels are doubted."""
_MANY = 20
"""First words of which most may stand there once only in sentences."""
# A word with a digit in it, such as C17, 2024-0031 or the hexadecimal digits of a UUID; an address
# of electronic mail; a telephone number.
_CODE = re.compile(
    r"(?=\S{0,40}\d)[\w./:#-]{1,40}|[^\s@]{1,64}@[^\s@]{1,250}\.\w+|\+\d[\d ()/.-]{5,24}\d"
)
_ID_REPEATS = "an id that stands in several rows"
_CODES = "codes: another one in each row"
_ID = "an id: another one in each row"
_ROW_NUMBERS = "it numbers the rows"
_LOOKED_AT = 50
"""Cells of a column that are looked at for lists and objects."""
_OWN_LABELS = 0.5
"""Share of conversations with several answers from which those are of utterances."""
_PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "t10k": "test",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
}
_PART = re.compile(rf"(?<![a-z])({'|'.join(_PARTS)})(?:\d+k?)?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Where sequences and answers stand in a table.

    Attributes:
        modality: the name of what a sequence is made of.
        form: `"cell"`: one cell of `inputs[0]`; `"row"`: the numbers of a row, a step each;
            `"long"`: the rows of one `group`, a step each, with `inputs` as channels.
        inputs: the columns that sequences are read from.
        answers: the columns of the answer.
        group, time: of a long table: which sequence a row belongs to, and what orders its rows.
            Without a group all rows are one sequence.
        aligned: there is an answer for each step, not for each sequence.
        each: of plain text: whether a line or a whole file is a sequence.
        labels: of plain text: the place of the label; see `elman.data.read`.
        left_out: columns that are not read, and why.
        separator: of a cell with several labels: marks of which each parts them.
        signs: column → the currency or the per cent sign beside its numbers; None of a run that
            does not know them.
    """

    modality: str
    form: Literal["cell", "row", "long"]
    inputs: tuple[str, ...]
    answers: tuple[str, ...]
    group: str | None = None
    time: str | None = None
    aligned: bool = False
    each: Literal["line", "file"] | None = None
    labels: TextLabels | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    separator: str | None = None
    signs: dict[str, str] | None = None

    @property
    def target(self) -> str:
        """The column of the answer, or the first of several."""
        return self.answers[0]

    @property
    def ids(self) -> list[str]:
        """The columns that were left out since they tell one row from another."""
        known = (_ID, _CODES, _ROW_NUMBERS)
        return [name for name, why in self.left_out.items() if why in known]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"inputs": list(self.inputs), "answers": list(self.answers)}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Layout:
        """Return the layout that `to_json` described."""
        known = {name: value for name, value in about.items() if name != "first"}
        if about.get("first"):
            # How runs before this field say that the first word of a line is its label.
            known |= {"labels": "first", "each": "line"}
        return cls(**known | {"inputs": tuple(about["inputs"]), "answers": tuple(about["answers"])})


@dataclass(frozen=True)
class Examples:
    """Sequences, their answers where they have any, and where each one stands in its file.

    Attributes:
        inputs: a cell each.
        answers: an answer each, or one for each step in a list.
        where: from the number of a sequence to its file and row.
        names: the groups of a long table.
        steps: of a long table, the file and row of each step of each sequence.
        owners: from a column to whom or what each sequence belongs; see `owners_in`.
    """

    inputs: list[Any]
    answers: list[Any] | None
    where: Callable[[int], tuple[Path | None, int]]
    names: list[str] | None = None
    steps: list[list[tuple[Path | None, int]]] | None = None
    owners: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def place(self, number: int, step: int) -> tuple[Path | None, int]:
        """Return the file and row of a step of a sequence."""
        return self.where(number) if self.steps is None else self.steps[number][step]

    def take(self, rows: ArrayLike) -> Examples:
        """Return some of them; they keep their place."""
        chosen = np.asarray(rows, dtype=np.int64)
        return Examples(
            [self.inputs[row] for row in chosen],
            None if self.answers is None else [self.answers[row] for row in chosen],
            lambda row: self.where(int(chosen[row])),
            None if self.names is None else [self.names[row] for row in chosen],
            None if self.steps is None else [self.steps[row] for row in chosen],
            {name: [of[row] for row in chosen] for name, of in self.owners.items()},
        )

    def and_more(self, others: Examples) -> Examples:
        """Return these and others after them; what others do not say of themselves is empty."""
        count = len(self)

        def both(ours: Any, theirs: Any, missing: Any) -> Any:
            if ours is None:
                return None
            return [*ours, *([missing] * len(others) if theirs is None else theirs)]

        return Examples(
            [*self.inputs, *others.inputs],
            both(self.answers, others.answers, None),
            lambda n: self.where(n) if n < count else others.where(n - count),
            both(self.names, others.names, ""),
            both(self.steps, others.steps, []),
            {name: both(of, others.owners.get(name), "") for name, of in self.owners.items()},
        )

    def between(self, shares: Sequence[tuple[float, float]]) -> list[Examples]:
        """Return parts of every sequence in time, each from one share of its steps to another."""
        parts = []
        for low, high in shares:
            cuts = [slice(round(low * len(x)), round(high * len(x))) for x in self.inputs]

            def some(values: Any, cuts: list[slice] = cuts) -> Any:
                if values is None:
                    return None
                return [value[cut] for value, cut in zip(values, cuts, strict=True)]

            steps = some(self.steps)
            where = self.where if steps is None else lambda number, steps=steps: steps[number][0]
            parts.append(Examples(some(self.inputs), some(self.answers), where, self.names, steps))
        return parts


def parts(source: Any) -> dict[str, list[Path]] | None:
    """Return the files of a folder by part, where names say train and test (valid, dev, t10k).

    None where the source is no folder, or some file's name says nothing; files that lie beside
    folders of the parts are in none.
    """
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    folder = Path(source)
    found: dict[str, list[Path]] = {}
    folders = {_PARTS.get(path.name.lower()) for path in folder.iterdir() if path.is_dir()}
    for path in files.listing(folder):
        said = _PART.search(path.relative_to(folder).as_posix())
        if said is None and path.parent == folder and len(folders - {None}) > 1:
            continue  # lies beside the folders of the parts
        if said is None:
            return None
        found.setdefault(_PARTS[said[1].lower()], []).append(path)
    return found if "train" in found and len(found) > 1 else None


@dataclass(frozen=True)
class Writing:
    """How files are written, as settings say or training found.

    Attributes:
        encoding: of text files; found when None.
        sheet: of a workbook, the sheet to read.
        decimal: of CSV, the mark before decimals.
    """

    encoding: str | None = None
    sheet: str | None = None
    decimal: Decimal | None = None

    @classmethod
    def of(cls, settings: Any) -> Self:
        """Return what settings say."""
        return cls(settings.encoding, settings.sheet, settings.decimal)


def as_written(settings: Any, table: Table) -> Any:
    """Return settings with the mark before decimals that training data have, so that later files
    are read alike.

    Raises:
        InputError: a mark was given for data that are no CSV, or that hold no numbers.
    """
    if settings.decimal is not None and "decimal" not in table.meta:
        raise InputError(
            f"decimal={settings.decimal} is for CSV.", file=table.source, fix="Leave it out."
        )
    numbers = "number" in table.kinds.values() or number_cells.found(table)
    if settings.decimal is not None and not numbers:
        raise InputError(
            f"decimal={settings.decimal} has no effect: no column holds numbers.",
            file=table.source,
            fix="Leave it out.",
        )
    found = settings.decimal or table.meta.get("decimal")
    return settings.model_copy(update={"decimal": found})


def read(
    source: Any,
    writing: Writing = Writing(),
    *,
    each: Literal["line", "file"] | None = None,
    labels: TextLabels | None = None,
) -> Table:
    """Return a table of any format, or of what is in memory.

    Args:
        source: path, paths, folder, or data in memory (`elman.data.memory`).
        writing: how files are written.
        each, labels: as for `elman.data.read`.
    """
    return elman_data.read(source, each=each, labels=labels, **asdict(writing))


def learnable(source: Any, writing: Writing = Writing(), *, text: str | None = None) -> Table:
    """Return the table of training data, in which plain text must have labels.

    Files of numbers in folders of their classes, or that a list names, are recordings: see
    `elman.data.recordings`. A column that `text` names is read as it is.

    Raises:
        InputError: as `elman.data.read`; or lines of text begin with words of a language, not with
            labels.
    """
    table = _recordings(source, writing, text)
    if table is None:
        table = _recorded(read(source, writing, labels="found"), source, writing, text)
    # A line with several labels marks them.
    unmarked = table.kinds.get("label") == "category"
    if "each" in table.meta and table.meta["labels"] == "first" and unmarked:
        _refuse_prose(table)
        if (doubt := _as_prose(table)) is not None:
            doubts = [*table.meta.get("doubts", ()), doubt]
            return replace(table, meta=table.meta | {"doubts": doubts})
    return table


def _as_prose(table: Table) -> str | None:
    """Return a doubt where first words are written as sentences begin, or None.

    A sentence begins with a capital and goes on without; a label beside a text is written as it
    likes, and the text begins with a capital of its own.
    """
    labels, texts = table.frame["label"], table.frame["text"]
    begun = labels.str.istitle() & labels.str.isalpha()
    going_on = texts.str.strip().str[:1].str.islower()
    if float((begun & going_on).mean()) < _AS_SENTENCES:
        return None
    shown = ", ".join(f"{name!r} ({count})" for name, count in Counter(labels).most_common(3))
    return (
        f"the first word of each line is taken as its label ({shown}); they are written as the "
        "beginnings of sentences are. If the lines have no labels, write the label, a tab and the "
        "text on each line."
    )


def group_of(table: Table) -> str | None:
    """Return the column that says which recording a row belongs to, if there is one."""
    return recordings.FILE if recordings.FILE in table.meta.get("made", ()) else None


def _recordings(source: Any, writing: Writing, text: str | None) -> Table | None:
    """Return the recordings of a folder in which a file lists them; None where there is none."""
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    listed = recordings.list_in(Path(source))
    if listed is None:
        return None
    found = _recorded(read(listed, writing), listed, writing, text)
    return found if group_of(found) else None


def _recorded(table: Table, source: Any, writing: Writing, text: str | None) -> Table:
    """Return the recordings that a table lists, or that its files are; else the table."""
    if isinstance(source, list) or (isinstance(source, str | Path) and Path(source).is_dir()):
        return recordings.of_folders(table) or table
    if not isinstance(source, str | Path):
        return table
    column = recordings.path_column(table)
    if column is None or column == text:
        return table
    return recordings.from_list(table, column, lambda places: read(places, writing))


def as_calls(table: Table, settings: Any, aligned: bool) -> Table:
    """Return a table of utterances in which no column names the conversation with one that says the
    file of each row, and the folder of each file as its label where there are several.

    It is one where conversations are asked for, or each row is to have an answer and has a speaker
    and a text.
    """
    given = (settings.group, settings.columns)
    if any(given) or group_of(table):
        return table
    asked = settings.modality is not None
    if asked and not hasattr(MODALITIES[settings.modality], "transcript"):
        return table
    taken = [settings.target] if isinstance(settings.target, str) else settings.target or ()
    there = transcripts.transcript_of(table, text=settings.text, taken=taken, asked=True)
    if there is None or there.group is not None or not (asked or aligned):
        return table
    cells = table.frame[there.text].astype(str).str.strip()
    if not asked and 2 * cells.str.contains(r"\s").sum() < len(cells):
        return table  # words, and no utterances
    return recordings.with_labels(transcripts.by_file(table))


def recorded_like(table: Table, source: Any, layout: Layout, writing: Writing) -> Table:
    """Return a table as recordings where those of training were."""
    if layout.group != recordings.FILE or layout.group in table.kinds:
        return table
    if hasattr(MODALITIES[layout.modality], "transcript"):
        return transcripts.by_file(table)
    table = _recorded(table, source, writing, None)
    return table if layout.group in table.kinds else recordings.by_file(table)


def _refuse_prose(table: Table) -> None:
    """Refuse lines whose first words are as frequent within the lines: sentences, not labels."""
    firsts = Counter(table.frame["label"])
    words = {name.casefold() for name in firsts if name.replace("'", "").replace("’", "").isalpha()}
    spelt = sum(count for name, count in firsts.items() if name.casefold() in words)
    if len(words) <= 2 or 2 * spelt < len(table):
        return
    inside = Counter(word.casefold() for text in table.frame["text"] for word in text.split())
    share = sum(inside[word] for word in words) / max(1, inside.total())
    once = sum(count == 1 for count in firsts.values())
    if share < _OF_PROSE and not (len(firsts) > _MANY and 3 * once > len(firsts)):
        return
    shown = ", ".join(f"{name!r} ({count})" for name, count in firsts.most_common(3))
    raise InputError(
        f"The lines have no labels: they begin with {len(firsts)} different words, such as "
        f"{shown}, which are words of sentences.",
        file=table.source,
        fix="Write the label, a tab and the text on each line, or give a table with the columns "
        "text and label.",
    )


def find_layout(
    table: Table,
    answer: type[Answer],
    modalities: Sequence[str],
    *,
    modality: str | None = None,
    text: str | None = None,
    target: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    together: str | None = None,
    aligned: bool | Callable[[Sequence[str]], bool] = False,
) -> Layout:
    """Return where sequence and answer stand: as given, else by name and by what columns hold.

    Args:
        table: typed columns.
        answer: the kind of answer that the task learns.
        modalities: names of what a sequence can be made of, the likelier ones first.
        modality: the one that is meant, where it was given.
        text, target, columns, group, time: columns that were given.
        together: a column that was given for the split, which is no input.
        aligned: whether each step has an answer, or a function that says so of the columns of
            the answer.

    Raises:
        InputError: a column that was given is missing, or it cannot be guessed; the message
            names the columns and the setting.
    """
    targets = [target] if isinstance(target, str) else list(target or ())
    for name in (text, group, time, together, *targets, *(columns or ())):
        if name is not None:
            table.column(name)
    known = [MODALITIES[name] for name in ([modality] if modality else modalities)]
    found_in = columns is None and next(
        (m for m in known if "long" in m.forms and hasattr(m, "transcript")), None
    )
    if found_in:
        kept = [name for name in (*targets, together) if name is not None]
        there = found_in.transcript(
            table, text=text, group=group, time=time, taken=kept, asked=modality is not None
        )
        if there is None and modality is not None and group is not None:
            raise _unclear(table, "which column holds the text of an utterance", "text")
        known_as = there and _of_transcript(
            table,
            answer,
            there,
            modalities,
            targets,
            together,
            aligned,
            (found_in.name, modality is not None),
            group is not None,
        )
        if known_as:
            return known_as
    others = [n for n in (text, group, time, together, *(columns or ())) if n is not None]
    given = {*targets, *others}
    lists: set[str] = set()
    if "series" in {m.name for m in known} and aligned is not True:
        lists = set(number_cells.found(table, targets))
    ids = {n: why for n, why in ids_of(table).items() if n != text and n not in lists}
    written = {n: why for n, why in _written_in_code(table).items() if n not in {*given, *lists}}
    if not targets:
        free = [n for n in table.kinds if n not in others and n not in written]
        found = answer.guess(table, [n for n in free if n not in ids])
        # Codes may be an answer that is called so; what is called an id, or counts, never is.
        found = found or answer.guess(table, [n for n in free if ids.get(n, _CODES) == _CODES])
        if found is None:
            if table.kinds.get("tokens") == table.kinds.get("tags") == "tokens":
                raise InputError(
                    "These are tagged sentences: a tag for each word, and no answer for all of it.",
                    file=table.source,
                    fix="To learn the tags: elman train tag DATA.",
                )
            if len(table.origins) > 1 and set(table.kinds.values()) <= {"number", "time"}:
                raise InputError(
                    f"There are {len(table.origins)} files of numbers, and none says its "
                    f"{answer.word}.",
                    file=table.source,
                    fix="Put the files into a folder for each class, or beside them labels.csv, "
                    "with their names in the column file and the answer in another. If each row "
                    "is an example, say which column is the answer: --set target=NAME.",
                )
            raise _unclear(table, f"which column holds {answer.words}", "target")
        targets = found
    if callable(aligned):
        aligned = aligned(targets)
    other_names = called.other_names(table, targets, given) if answer.word == "label" else []
    written |= dict.fromkeys(other_names, f"it says what {targets[0]!r} says")
    ids = {name: why for name, why in ids.items() if name not in other_names}
    if not aligned:
        table = number_cells.as_series(table, lists - set(targets))
    taken = (*targets, group, time, together)
    free = [n for n in table.kinds if n not in taken and n not in written]
    if columns is None and text is None:
        if group is None and together is None:
            _ask_for_group(table, [n for n in free if n not in ids], ids, aligned)
            if aligned:
                _ask_for_group_of_steps(table, free)
        kept = _without_ids(table, free, ids)
        ids = {name: why for name, why in ids.items() if name not in kept}
        free = kept

    def layout(chosen: Any, form: Any, inputs: Sequence[str]) -> Layout:
        kept: tuple[str | None, str | None] = (None, None)
        counting: list[str] = []
        if form == "long":
            if columns is None:
                inputs, counting = _without_counters(table, inputs, group)
            kept = group, time or _only_time(table, free) or next(iter(counting), None)
        used = {*inputs, *targets, group, *kept}
        return Layout(
            chosen.name,
            form,
            tuple(inputs),
            tuple(targets),
            *kept,
            aligned,
            table.meta.get("each"),
            table.meta.get("labels") if "each" in table.meta else None,
            {
                n: "it only counts the time"
                if n in counting
                else (ids | written).get(n, f"{table.kinds[n]}, neither input nor answer")
                for n in table.kinds
                if n not in used or n in counting
            },
        )

    def able(form: str, setting: str) -> Any:
        """Return the likeliest modality that is read in this form."""
        # Numbers without an order are never guessed; of cells that may be anything, text is.
        fit = [m for m in known if form in m.forms and (m.kinds or modality)]
        # Rows are utterances only where a transcript was found, or asked for.
        fit = [m for m in fit if modality or form != "long" or not hasattr(m, "transcript")]
        if form == "cell" and any(m.name == "text" for m in fit):
            return MODALITIES["text"]
        if not fit:
            raise InputError(f"{setting} means nothing for a sequence of {known[0].name}.")
        return fit[0]

    if text is not None:
        fit = [m for m in known if table.kinds[text] in m.kinds]
        return layout(fit[0] if fit else able("cell", "text"), "cell", [text])
    if group is not None:
        chosen = able("long", "group")
        channels = columns or _numeric(table, free)
        words = [n for n in free if table.kinds[n] in ("text", "category")]
        stepped = [m for m in known if "long" in m.forms and m.kinds[:1] == ("tokens",)]
        called_so = (
            word_rows.word_column(table, free, getattr(stepped[0], "each_row", ()))
            if stepped
            else None
        )
        if columns is None and stepped and (called_so or (not channels and len(words) == 1)):
            chosen, channels = stepped[0], [called_so or words[0]]
        if not channels:
            raise _unclear(table, "which columns are the channels of the series", "columns")
        if chosen in stepped and time is None:
            word_rows.check_runs(table, group)
        return layout(chosen, "long", channels)
    if columns is not None:
        form = "long" if aligned else "row"
        return layout(able(form, "columns"), form, columns)
    for chosen in known if aligned and together is None and time is None else ():
        each_row = getattr(chosen, "each_row", ())
        rows_of_words = word_rows.found(table, [n for n in table.kinds if n not in taken], each_row)
        if rows_of_words is not None:
            word, group = rows_of_words
            return layout(chosen, "long", [word])
    numeric = _numeric(table, free)
    cells = [m for m in known if "cell" in m.forms and m.kinds]
    for chosen in cells:
        names = [n for n in free if table.kinds[n] == chosen.kinds[0] and n not in numeric]
        if len(names) > 1:
            usual = getattr(chosen, "usual", ())
            names = [n for n in names if n.casefold().strip() in usual] or names
        if len(names) == 1:
            return layout(chosen, "cell", names)
        if names:
            raise _unclear(table, f"which of the {chosen.kinds[0]} columns to use", "text")
    names = [n for n in free if table.kinds[n] == "category" and n not in numeric]
    if len(names) == 1 and numeric and not aligned and table.frame[names[0]].duplicated().any():
        # An id of several rows is no sequence, and its letters would be learnt.
        raise _repeats(table, names[0], numeric)
    for chosen in cells:
        if len(names) == 1 and "category" in chosen.kinds:
            return layout(chosen, "cell", names)
    if aligned and numeric:
        return layout(able("long", "a row for each step"), "long", numeric)
    if not names and len(numeric) >= (1 if modality else 2):
        return layout(able("row", "a row of numbers"), "row", numeric)
    if written and not numeric:
        table.column(next(iter(written)), "series")  # refuses the first cell that is no series
    owner = next((n for n in table.kinds if n not in taken and _may_be_group(table, n)), None)
    if aligned and owner is not None:
        raise InputError(
            f"It is not clear what a sequence is: {owner!r} holds a name for several rows.",
            file=table.source,
            fix=f"Set group={quote(owner)} if its rows are the steps of a sequence.",
        )
    raise _unclear(table, "which column holds the sequence", "text")


def _of_transcript(
    table: Table,
    answer: type[Answer],
    there: Any,
    modalities: Sequence[str],
    targets: Sequence[str],
    together: str | None,
    aligned: bool | Callable[[Sequence[str]], bool],
    named: tuple[str, bool],
    grouped: bool,
) -> Layout | None:
    """Return the layout of a table whose rows are utterances; None where it is something else.

    Each utterance is read alone where the task learns one answer for each sequence and most
    conversations have several, unless conversations were asked for.

    Args:
        table: typed columns.
        answer: the kind of answer.
        there: the columns of the utterances.
        modalities: names of what a sequence can be made of.
        targets, together, aligned: as for `find_layout`.
        named: the modality of conversations, and whether it was asked for.
        grouped: whether a column of conversations was given.
    """
    name, asked = named
    columns = [column for column in (there.text, there.speaker) if column is not None]
    used = {*columns, there.group, there.time, together}
    free = [column for column in table.kinds if column not in used]
    if not asked and not targets and answer.guess(table, free) is None:
        return None
    layout = find_layout(
        table,
        answer,
        [name],
        modality=name,
        target=targets,
        columns=columns,
        group=there.group,
        time=there.time,
        together=together,
        aligned=aligned,
    )
    if asked or layout.aligned:
        return layout
    differ = table.frame.groupby(there.group)[list(layout.answers)].nunique(dropna=False) > 1
    several = table.frame.groupby(there.group).size() > 1
    share = float(differ.any(axis=1)[several].mean()) if several.any() else 0.0
    if share <= _OWN_LABELS or grouped:
        return layout
    return find_layout(
        table,
        answer,
        [other for other in modalities if other != name],
        text=there.text,
        target=targets,
        together=together,
        aligned=aligned,
    )


def ids_of(table: Table) -> dict[str, str]:
    """Return the columns that hold an id of each row, and by what they are known.

    An id tells rows apart and nothing else: codes with digits of which each stands there once, or
    whole numbers of which each does in a column that is called so, or that counts the rows. Whole
    numbers that repeat in a column called like whom a row belongs to (`patient`) are an id too.
    """
    found = {}
    for name, kind in table.kinds.items():
        if kind not in ("text", "category", "number") or len(table) < 2:
            continue
        cells = table.frame[name].dropna()
        named = called.an_id(name)
        different = not cells.duplicated().any() and len(cells) == len(table)
        if kind == "number":
            if not (cells % 1 == 0).all():
                continue
            counts = different and bool((cells.diff().iloc[1:] == 1).all())
            if counts and (named or called.unnamed(name)):
                found[name] = _ROW_NUMBERS
            elif named:
                found[name] = _ID_REPEATS if not different else _ID
            elif called.owns(table, name):
                found[name] = _ID_REPEATS
        elif named and all(" " not in str(cell).strip() for cell in cells):
            found[name] = _ID_REPEATS if not different else _ID
        elif (
            different
            and all(_CODE.fullmatch(str(cell).strip()) for cell in cells)
            # Amounts such as 1.04K are all different too.
            and numerals.with_units(cells.astype(str).str.strip(), ()) is None
        ):
            found[name] = _CODES
    return found


def _written_in_code(table: Table) -> dict[str, str]:
    """Return the columns of objects or lists, written out as JSON or as Python prints them."""
    found = {}
    for name, kind in table.kinds.items():
        if kind not in ("text", "category"):
            continue
        cells = [str(cell).strip() for cell in table.frame[name].dropna()[:_LOOKED_AT]]
        read = [_from_code(cell) for cell in cells if cell]
        if read and all(isinstance(value, dict | list) for value in read):
            objects = any(isinstance(value, dict) for value in chain(read, *_lists(read)))
            found[name] = (
                f"{'objects' if objects else 'lists'}, and no sequence of numbers or words"
            )
    return found


def _lists(read: Sequence[Any]) -> list[list[Any]]:
    return [value for value in read if isinstance(value, list)]


def _from_code(cell: str) -> Any:
    """Return the object or list that a cell writes out, or None."""
    if cell[:1] + cell[-1:] not in ("{}", "[]"):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _without_ids(table: Table, free: Sequence[str], ids: dict[str, str]) -> list[str]:
    """Return the columns that may be read, without ids where there is anything else.

    Raises:
        InputError: an id is all there is.
    """
    others = [n for n in free if n not in ids and table.kinds[n] != "time"]
    if others:
        return [n for n in free if n not in ids]
    named = [n for n in free if n in ids and called.an_id(n)]
    if named:
        raise InputError(
            f"There is no input but {named[0]!r}, an id: it tells rows apart, and nothing else.",
            file=table.source,
            fix=f"Add columns to learn from, or set text={named[0]} if its letters are to be read.",
        )
    return list(free)


def _ask_for_group(table: Table, others: Sequence[str], ids: dict[str, str], aligned: bool) -> None:
    """Ask for the group where an id stands in several rows that hold numbers."""
    repeated = [name for name, why in ids.items() if why == _ID_REPEATS]
    numeric = [name for name in others if table.kinds[name] == "number"]
    cells = any(
        table.kinds[name] in ("series", "tokens", "image", "sound", "text") for name in others
    )
    if repeated and numeric and not cells and not aligned:
        raise _repeats(table, repeated[0], numeric)


def _ask_for_group_of_steps(table: Table, free: Sequence[str]) -> None:
    """Ask for the group where a clock begins anew for each owner of rows of numbers."""
    clocks = [name for name in free if table.kinds[name] in ("number", "time")]
    owners = [name for name in free if called.an_id(name) or called.an_owner(name)]
    numbers = [name for name in clocks if table.kinds[name] == "number" and name not in owners]
    if not numbers or not set(free) <= {*clocks, *owners}:
        return
    for owner in owners:
        cells = table.frame[owner]
        if cells.isna().any() or not 1 < cells.nunique() <= len(cells) / 2:
            continue
        by = table.frame.groupby(owner, sort=False)
        for clock in clocks:
            times = table.frame[clock]
            if clock == owner or times.isna().any() or times.is_monotonic_increasing:
                continue
            if all(own.is_monotonic_increasing and own.is_unique for _, own in by[clock]):
                raise InputError(
                    f"It is not clear what a sequence is: {owner!r} holds names that repeat, and "
                    f"{clock!r} begins anew for each of them.",
                    file=table.source,
                    fix=f"Set group={quote(owner)} and time={quote(clock)}; or, if all rows are "
                    "one sequence, name its channels with columns=[A,B,…].",
                )


def _repeats(table: Table, name: str, numeric: Sequence[str]) -> InputError:
    text = ""
    if table.kinds[name] != "number":
        text = f", or text={name} if the names themselves are to be read"
    return InputError(
        f"It is not clear what a sequence is: {name!r} holds names that repeat, beside columns of "
        f"numbers ({', '.join(numeric[:6])}).",
        file=table.source,
        fix=f"Set group={quote(name)} if its rows are the steps of a series{text}, or "
        f"together={quote(name)} if "
        "each row stands alone: then all rows of one are in one part.",
    )


def _without_counters(
    table: Table, names: Sequence[str], group: str | None
) -> tuple[list[str], list[str]]:
    """Part columns that only count the time of each sequence from the channels.

    Where there is nothing else, they are the channels.
    """
    sizes = [len(table)]
    owner = np.zeros(len(table))
    if group is not None:
        owner = table.frame[group].factorize()[0]
        sizes = np.bincount(owner[owner >= 0]).tolist()

    def counts(name: str) -> bool:
        if table.kinds[name] != "number" or (owner < 0).any():
            return False
        values = table.frame[name].to_numpy(np.float64)
        return recordings.counts(values[np.lexsort((values, owner))], sizes)

    counting = [name for name in names if counts(name)]
    kept = [name for name in names if name not in counting]
    return (kept, counting) if kept else (list(names), [])


def _only_time(table: Table, free: Sequence[str]) -> str | None:
    """Return the one column of times, which orders the steps; None where there is none.

    Raises:
        InputError: there are several.
    """
    times = [name for name in free if table.kinds[name] == "time"]
    if len(times) > 1:
        raise _unclear(table, f"which of {', '.join(times)} orders the steps", "time")
    return times[0] if times else None


def examples(
    table: Table,
    layout: Layout,
    answer: type[Answer] | None,
    *,
    strict: bool = True,
    owners: Sequence[str] = (),
) -> Examples:
    """Return the sequences of a table, and with `answer` the answer of each.

    Args:
        table: typed columns.
        layout: of the training file.
        answer: the kind of answer, where the table is to have answers.
        strict: refuse a sequence that is empty.
        owners: columns of whom or what a sequence belongs to.

    Raises:
        InputError: a value is missing or of the wrong kind, with its file, row and column; the
            answer, or an owner, changes within a group.
    """
    if answer is not None:
        totals.refuse(table, layout)
    units.refuse_others(table, layout)
    modality = MODALITIES[layout.modality]
    rows = groups = None
    if layout.form == "long":
        groups = transcripts.rows_of(table, layout.group, layout.time)
        rows = list(groups.values())
    inputs = modality.cells(table, layout, rows, strict)
    found = None if answer is None else answer.read(table, layout)
    known = {name: table.labels(name) for name in owners}
    if rows is None:
        return Examples(inputs, found, table.where, owners=known)
    assert groups is not None
    firsts = [members[0] for members in rows]
    if found is not None and layout.aligned:
        found = [[found[row] for row in members] for members in rows]
    elif found is not None:
        assert answer is not None
        _one_a_group(table, layout, groups, found, answer.word, layout.target)
        found = [found[row] for row in firsts]
    for name, of in known.items():
        if layout.group is not None:
            _one_a_group(table, layout, groups, of, name, name)
    known = {name: [of[row] for row in firsts] for name, of in known.items()}
    names = list(groups) if layout.group is not None else None
    steps = [[table.where(row) for row in members] for members in rows] if layout.aligned else None
    return Examples(inputs, found, lambda number: table.where(firsts[number]), names, steps, known)


def owners_in(table: Table, layout: Layout, together: str | None) -> list[str]:
    """Return the columns of whom or what a sequence belongs to: the one that was given, else ids
    that stand in several rows and are not used for anything else.

    Those that lack a cell, or change within a sequence, say it of no sequence.
    """
    if together is not None:
        return [together]
    found = [name for name, why in layout.left_out.items() if why == _ID_REPEATS]
    found = [name for name in found if table.frame[name].notna().all()]
    if layout.group is None:
        return found
    by = table.frame.groupby(layout.group)
    return [name for name in found if (by[name].nunique() == 1).all()]


def _may_be_group(table: Table, name: str) -> bool:
    """Tell whether a column is called an id and repeats, or names a sequence in its first row."""
    repeats = called.an_id(name) and table.frame[name].duplicated().any()
    return bool(repeats) or _in_first_rows(table.frame[name])


def _in_first_rows(cells: Any) -> bool:
    """Tell whether the first row is filled and others are not, each with another value."""
    named = cells.replace("", None).notna()
    some = len(cells) > 0 and not named.all() and named.iloc[0]
    return bool(some and named.sum() > 1 and not cells[named].duplicated().any())


def filled_down(table: Table, group: str | None) -> Table:
    """Return a table whose group is named in every row, where only the first row of each had its
    name."""
    if group is None or group not in table.kinds:
        return table
    cells = table.frame[group].replace("", None)
    if not _in_first_rows(cells):
        return table
    note = f"{group!r} stands in the first row of each only, and was filled in below it."
    notes = [*table.meta.get("notes", ()), note]
    return replace(
        table,
        frame=table.frame.assign(**{group: cells.ffill()}),
        meta={**table.meta, "notes": notes},
    )


def read_like(
    source: Any,
    layout: Layout,
    answer: type[Answer] | None,
    known: Sequence[str] = (),
    writing: Writing = Writing(),
) -> Examples:
    """Return examples of a file that is laid out as the training file was; see `table_like`."""
    table, there = table_like(source, layout, answer, known, writing)
    ids: list[str] = []
    if answer is None and there.form != "long":
        ids = [name for name in there.ids if name in table.kinds]
    return examples(table, there, answer, strict=answer is not None, owners=ids)


def table_like(
    source: Any,
    layout: Layout,
    answer: type[Answer] | None,
    known: Sequence[str] = (),
    writing: Writing = Writing(),
) -> tuple[Table, Layout]:
    """Return the table of a file that is laid out as the training file was, and where in it
    sequences stand.

    Plain text is read whatever the training file was; a line or a file is one sequence as it was
    in training. Without `answer` its lines may have a label, as those of training did, or not.

    Args:
        source: path, paths, folder, or data in memory.
        layout: of the training file.
        answer: the kind of answer, where the file is to have answers.
        known: labels of training, by which lines that have one are recognised.
        writing: how files are written.
    """

    def table_of(labels: TextLabels | None) -> Table:
        return read(source, writing, each=layout.each, labels=labels)

    table = _recordings(source, writing, None) if layout.group == recordings.FILE else None
    if table is None:
        table = table_of(layout.labels if answer is not None else "none")
        table = recorded_like(table, source, layout, writing)
    ours = answer is None and "each" in table.meta and layout.labels in _IN_LINES
    if ours and _labelled(table.texts("text"), layout.labels, set(known)):
        table = table_of(layout.labels)
    if "each" in table.meta and hasattr(MODALITIES[layout.modality], "transcript"):
        # A line of a text is an utterance to what reads conversations.
        paths = [origin.file for origin in table.origins if origin.file is not None]
        table = dialogues.read_lines(paths, encoding=writing.encoding)
    table, layout = _as_there(table, layout)
    table = filled_down(table, layout.group)
    # Other modalities may read raw text where training had no such column.
    raw = "each" in table.meta or "text" not in MODALITIES[layout.modality].kinds
    lacks = layout.form == "cell" and layout.inputs[0] not in table.kinds
    if lacks and raw and "text" in table.kinds:
        layout = replace(layout, inputs=("text",))
    return table, layout


def order_words(table: Table, layout: Layout) -> list[str]:
    """Return in words that rows did not stand in the order of their times; nothing where all do."""
    if layout.form != "long" or layout.time is None:
        return []
    groups = transcripts.rows_of(table, layout.group, layout.time)
    moved = [name for name, rows in groups.items() if rows != sorted(rows)]
    if not moved:
        return []
    of = f" of {len(moved):,} of {len(groups):,} {layout.group!r}" if layout.group else ""
    return [f"rows{of} did not stand in the order of {layout.time!r}, and were put in it"]


def _as_there(table: Table, layout: Layout) -> tuple[Table, Layout]:
    """Return the table and the layout of sequences in another form than training had: one a cell
    where they were rows, rows where they were cells, or one a file."""
    kind = MODALITIES[layout.modality]
    needed = {*layout.inputs, layout.group, layout.time} - {None}
    if needed <= set(table.kinds) or not hasattr(kind, "transcript"):
        return table, layout
    cells = [name for name, of in table.kinds.items() if of in kind.kinds]
    if len(cells) == 1:
        return table, replace(layout, form="cell", inputs=(cells[0],), group=None, time=None)
    there = kind.transcript(table, taken=layout.answers, asked=True)
    if there is None:
        return table, layout
    if there.group is None:
        table = transcripts.by_file(table)
        there = there._replace(group=recordings.FILE)
    inputs = tuple(name for name in (there.text, there.speaker) if name is not None)
    return table, replace(layout, form="long", inputs=inputs, group=there.group, time=there.time)


def _labelled(lines: Sequence[str], place: TextLabels | None, known: set[str]) -> bool:
    """Tell whether each line has a label of training where training had it."""
    if place == "first":
        known = known | {FASTTEXT + name for name in known}
        return all(len(parts := line.split(maxsplit=1)) > 1 and parts[0] in known for line in lines)
    side = 0 if place == "before tab" else -1
    return all(line.count("\t") == 1 and line.split("\t")[side].strip() in known for line in lines)


def _one_a_group(
    table: Table,
    layout: Layout,
    groups: dict[str, list[int]],
    found: Sequence[Any],
    word: str,
    column: str,
) -> None:
    instead = ""
    if hasattr(MODALITIES[layout.modality], "transcript"):
        instead = (
            ": correct it. Answers for each utterance are learnt by `elman train tag`; to take "
            f"each utterance alone, set text={quote(layout.inputs[0])}"
        )
    for group, members in groups.items():
        for row in members:
            if found[row] != found[members[0]]:
                raise table.refuse(
                    f"The {word} {found[row]!r} differs from {found[members[0]]!r}, the {word} "
                    f"of other rows of {layout.group} {group!r}.",
                    row,
                    column,
                    f"Each has one {word}{instead}.",
                )


def _numeric(table: Table, names: Sequence[str]) -> list[str]:
    """The columns of numbers. One that is numbers but for a few cells is refused, not dropped."""
    found = []
    for name in names:
        kind = table.kinds[name]
        if kind in ("text", "category"):
            import pandas as pd

            cells = table.frame[name]
            if pd.to_numeric(cells, errors="coerce").notna().mean() <= 0.5:
                continue
            if numerals.codes(cells.dropna().astype(str).str.strip()):
                continue
            table.numbers(name, allow_missing=True)
        elif kind != "number":
            continue
        found.append(name)
    return found


def _unclear(table: Table, what: str, setting: str) -> InputError:
    columns = ", ".join(f"{name} ({kind})" for name, kind in list(table.kinds.items())[:12])
    more = f" and {len(table.kinds) - 12} more" if len(table.kinds) > 12 else ""
    return InputError(
        f"It is not clear {what}; there are: {columns}{more}.",
        file=table.source,
        fix=f"Say it with --set {setting}=NAME.",
    )
