"""Find which columns of a table hold sequences and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

from elman.data import Table, written_tags
from elman.data.code_cells import written_in_code
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks import called, number_cells, word_rows
from elman.tasks.answers import Answer
from elman.tasks.reading.asking import check_label
from elman.tasks.reading.channels import numeric_columns, without_counters
from elman.tasks.reading.groups import (
    ask_for_group,
    ask_for_group_of_steps,
    ask_for_tags,
    may_be_group,
    unclear_repeats,
)
from elman.tasks.reading.ids import CODES, ids_of, without_ids
from elman.tasks.reading.layout import Layout

_OWN_LABELS = 0.5
"""Share of conversations with several answers from which those are of utterances."""


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
    if answer.word == "tag" and modality is None:
        written_tags.refuse_unequal(table)
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
    written = {n: why for n, why in written_in_code(table).items() if n not in {*given, *lists}}
    written |= {n: "its lists are empty" for n in _without_values(table) if n not in given}
    if not targets:
        free = [n for n in table.kinds if n not in others and n not in written]
        found = answer.guess(table, [n for n in free if n not in ids])
        # Codes may be an answer that is called so; what is called an id, or counts, never is.
        found = found or answer.guess(table, [n for n in free if ids.get(n, CODES) == CODES])
        if found is not None and answer.word in ("label", "tag"):
            check_label(table, found, [n for n in free if n not in ids], answer.word)
        if found is None:
            if table.kinds.get("tokens") == table.kinds.get("tags") == "tokens":
                raise InputError(
                    "These are tagged sentences: a tag for each word, and no answer for all of it.",
                    file=table.source,
                    fix="To learn the tags: elman train tag DATA.",
                )
            talks = [name for name, kind in table.kinds.items() if kind == "turns"]
            if len(talks) == 1 and all(name in (*talks, *ids) for name in free):
                raise InputError(
                    f"These are conversations, in column {talks[0]!r}, and no column says the "
                    f"{answer.word} of each.",
                    file=table.source,
                    fix=f"Write the {answer.word} into a column beside them, or into a table with "
                    f"the columns text and {answer.word}. To learn what is answered: elman train "
                    "translate DATA.",
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
            marks = [name for name in free if _says_yes_or_no(table, name)]
            if len(marks) > 1 and answer.word == "label" and "text" in table.kinds.values():
                raise InputError(
                    f"Columns {', '.join(marks[:8])}{' and more' if len(marks) > 8 else ''} hold 0 "
                    "and 1, as if each were a label that a text has or has not.",
                    file=table.source,
                    fix=f"To learn all of them: --set 'target=[{','.join(marks)}]'; to learn one: "
                    f"--set target={quote(marks[0])}.",
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
            ask_for_group(table, [n for n in free if n not in ids], ids, aligned)
            if aligned:
                ask_for_group_of_steps(table, free)
        kept = without_ids(table, free, ids)
        ids = {name: why for name, why in ids.items() if name not in kept}
        free = kept

    def layout(chosen: Any, form: Any, inputs: Sequence[str]) -> Layout:
        kept: tuple[str | None, str | None] = (None, None)
        counting: list[str] = []
        if form == "long":
            if columns is None:
                inputs, counting = without_counters(table, inputs, group)
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
        channels = columns or numeric_columns(table, free)
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
    numeric = numeric_columns(table, free)
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
        raise unclear_repeats(table, names[0], numeric)
    for chosen in cells:
        if len(names) == 1 and "category" in chosen.kinds:
            return layout(chosen, "cell", names)
    if aligned and numeric:
        return layout(able("long", "a row for each step"), "long", numeric)
    if not names and len(numeric) >= (1 if modality else 2):
        if not modality and answer.word == "label" and len(targets) == 1:
            ask_for_tags(table, targets[0], numeric)
        return layout(able("row", "a row of numbers"), "row", numeric)
    if written and not numeric:
        table.column(next(iter(written)), "series")  # refuses the first cell that is no series
    owner = next((n for n in table.kinds if n not in taken and may_be_group(table, n)), None)
    if aligned and owner is not None:
        raise InputError(
            f"It is not clear what a sequence is: {owner!r} holds a name for several rows.",
            file=table.source,
            fix=f"Set group={quote(owner)} if its rows are the steps of a sequence.",
        )
    if not names and len(numeric) == 1 and not aligned:
        raise InputError(
            f"{numeric[0]!r} is the only column of numbers to learn from, and a row of one number "
            "is a sequence of one step.",
            file=table.source,
            fix="Set modality=series to read it so; or group=NAME, a column that names a sequence, "
            "if its rows are the steps.",
        )
    prose = [n for n in free if table.kinds[n] == "text"]
    if aligned and len(prose) == 1 and len(targets) == 1:
        word_rows.refuse_tags_within(table, prose[0])
        raise InputError(
            f"column {targets[0]!r} has one label for the whole text in {prose[0]!r}, and none for "
            "each word.",
            file=table.source,
            fix="To learn it: elman train classify DATA. For tags give spans in JSON lines, or a "
            "word and its tag a line.",
        )
    number_cells.refuse_cut(table, free)
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
    groups = table.frame.groupby(table.names(there.group))
    differ = groups[list(layout.answers)].nunique(dropna=False) > 1
    several = groups.size() > 1
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


def _only_time(table: Table, free: Sequence[str]) -> str | None:
    """Return the one column of times, which orders the steps; None where there is none.

    Raises:
        InputError: there are several.
    """
    times = [name for name in free if table.kinds[name] == "time"]
    if len(times) > 1:
        raise _unclear(table, f"which of {', '.join(times)} orders the steps", "time")
    return times[0] if times else None


def _without_values(table: Table) -> list[str]:
    """Return the columns of lists in which every list is empty, as of notes that nobody wrote."""
    lists = [name for name, kind in table.kinds.items() if kind == "series"]
    return [n for n in lists if not any(cell is not None and len(cell) for cell in table.frame[n])]


def _says_yes_or_no(table: Table, name: str) -> bool:
    """Tell whether a column holds 0 and 1, and nothing else."""
    return table.kinds[name] == "number" and set(table.frame[name].unique()) == {0, 1}


def _unclear(table: Table, what: str, setting: str) -> InputError:
    columns = ", ".join(f"{name} ({kind})" for name, kind in list(table.kinds.items())[:12])
    more = f" and {len(table.kinds) - 12} more" if len(table.kinds) > 12 else ""
    return InputError(
        f"It is not clear {what}; there are: {columns}{more}.{table.meta.get('unlabelled', '')}",
        file=table.source,
        fix=f"Say it with --set {setting}=NAME.",
    )
