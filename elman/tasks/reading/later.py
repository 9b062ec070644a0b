"""Files that come after training, read as the training file was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from elman.data import Table, recordings, transcripts
from elman.data.formats import dialogues
from elman.data.formats.text import FASTTEXT
from elman.errors import PredictionWarning, warn
from elman.modalities import MODALITIES
from elman.tasks.answers import Answer
from elman.tasks.reading.examples import Examples, examples_in
from elman.tasks.reading.groups import filled_down
from elman.tasks.reading.ids import ids_by_name
from elman.tasks.reading.layout import Layout, TextLabels
from elman.tasks.reading.recorded import recorded_like, recordings_in
from elman.tasks.reading.tables import AS_FOUND, Writing, read

_IN_LINES = ("first", "before tab", "after tab")


def read_like(
    source: Any,
    layout: Layout,
    answer: type[Answer] | None,
    known: Sequence[str] = (),
    writing: Writing = AS_FOUND,
) -> Examples:
    """Return examples of a file that is laid out as the training file was; see `table_like`."""
    table, there = table_like(source, layout, answer, known, writing)
    for doubt in table.doubts():
        warn(f"Doubtful: {doubt}", PredictionWarning)
    ids: list[str] = []
    if answer is None and there.form != "long":
        ids = [name for name in there.ids if name in table.kinds] or ids_by_name(
            table, {*there.inputs, *there.answers, there.group, there.time}
        )
    return examples_in(table, there, answer, strict=answer is not None, owners=ids)


def table_like(
    source: Any,
    layout: Layout,
    answer: type[Answer] | None,
    known: Sequence[str] = (),
    writing: Writing = AS_FOUND,
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

    may_be_listed = layout.group == recordings.FILE or "sound" in MODALITIES[layout.modality].kinds
    table = recordings_in(source, writing, None) if may_be_listed else None
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
    if lacks and table.kinds.get("sound") == "sound":
        # Recordings alone, where training had a list of them.
        layout = replace(layout, inputs=("sound",))
    return table, layout


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
