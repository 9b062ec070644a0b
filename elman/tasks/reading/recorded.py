"""Files that are sequences themselves: recordings and conversations, one a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elman.data import Table, recordings, stems, transcripts
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks.reading.layout import Layout
from elman.tasks.reading.tables import Writing, read


def group_of(table: Table) -> str | None:
    """Return the column that says which recording a row belongs to, if there is one."""
    return recordings.FILE if recordings.FILE in table.meta.get("made", ()) else None


def recordings_in(source: Any, writing: Writing, text: str | None) -> Table | None:
    """Return the recordings of a folder in which a file lists them; None where there is none."""
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    listed = recordings.list_of_sounds(Path(source))
    if listed is not None:
        found = read(listed, writing)
        if "sound" not in found.kinds.values():
            raise InputError(
                f"It lies beside recordings, and no column of it names them (columns: "
                f"{', '.join(map(repr, found.kinds))}).",
                file=listed,
                fix="Write their names into a column, such as rec1.wav; or take it out of the "
                "folder.",
            )
        return found
    listed = recordings.list_in(Path(source))
    if listed is None:
        return None
    found = as_recordings(read(listed, writing), listed, writing, text)
    return found if group_of(found) else None


def as_recordings(table: Table, source: Any, writing: Writing, text: str | None) -> Table:
    """Return the recordings that a table lists, or that its files are; else the table."""
    if isinstance(source, list) or (isinstance(source, str | Path) and Path(source).is_dir()):
        return recordings.of_folders(table) or table
    if not isinstance(source, str | Path):
        return table
    if text is not None and recordings.path_column(table) in (None, text):
        return table
    table = stems.with_endings(table, recordings.SUFFIXES)
    column = recordings.path_column(table)
    if column is None:
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
    table = as_recordings(table, source, writing, None)
    return table if layout.group in table.kinds else recordings.by_file(table)
