"""A task made of the data of a user: read, split, its codecs fitted on the training part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from elman.data import files, markup, transcripts
from elman.data.seen import Seen
from elman.errors import InputError
from elman.tasks import number_cells, understood, units
from elman.tasks.parts import (
    check_cells,
    check_steps,
    chosen,
    installed,
    kept_aligned,
    shared_out,
)
from elman.tasks.reading import clocks, file_names, tables, told_parts
from elman.tasks.reading.examples import Examples, examples_in, row_words
from elman.tasks.reading.finding import find_layout
from elman.tasks.reading.groups import doubts_of_steps, filled_down, owners_in
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.recorded import as_calls, group_of, recorded_like
from elman.tasks.reading.tables import Writing, as_written, named_parts
from elman.tasks.settings import ExamplesSettings, joined

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples

Task = TypeVar("Task", bound="FromExamples")


def made_from(
    kind: type[Task], data: Any, settings: Any, valid: Any = None, test: Any = None
) -> Task:
    """Return the task that `FromExamples.from_data` makes."""
    given, first_settings = given_parts(data, valid, test), settings
    asked = settings.model_dump()
    table = learnable(given["train"], Writing.of(settings), text=settings.text)
    table = as_calls(table, settings, kind.aligned)
    settings = as_written(settings, table)
    kind = kind.suited(table, settings)
    writing = Writing.of(settings)
    layout = find_layout(
        table,
        kind.Answer,
        kind.modalities(),
        modality=settings.modality,
        text=settings.text,
        target=kind.targets(table, settings),
        columns=settings.columns,
        group=settings.group or group_of(table),
        time=settings.time,
        together=settings.together,
        aligned=lambda targets: kind.each_step(table, targets, settings),
    )
    if settings.text is None:
        file_names.refuse(table, layout)
    if settings.modality is None:
        number_cells.refuse_cut(table, layout.inputs)
    layout = replace(layout, separator=getattr(settings, "label_separator", None))
    modality = installed(layout.modality)
    settings = joined(kind, modality, settings)
    if layout.aligned:
        settings = kept_aligned(settings)
    table = filled_down(table, layout.group)
    layout = replace(layout, signs=units.signs_of(table, layout))
    owners = owners_in(table, layout, settings.together)
    everything = examples_in(table, layout, kind.Answer, owners=owners)
    everything = kind.extended(everything, settings, layout)
    try:
        kind.refuse(everything, table, layout)
    except InputError as error:
        raise error.knowing(table.left_out()) from None
    parts = {"train": everything}
    for part in ("valid", "test"):
        if part in given:
            other = tables.read(given[part], writing, each=layout.each, labels=layout.labels)
            other = recorded_like(other, given[part], layout, writing)
            other = filled_down(other, layout.group)
            wider = kind.suited_to(other, layout)
            if wider is not None:
                return made_from(wider, data, first_settings, valid, test)
            there = [name for name in owners if name in other.kinds]
            parts[part] = examples_in(other, layout, kind.Answer, owners=there)
    settings = chosen(settings, layout, modality, everything)
    settings = settings.model_copy(update=kind.decide(settings, layout, everything))
    parts = shared_out(parts, settings, kind.Answer)
    train = parts["train"]
    answer = kind.Answer.fit(train, layout, settings)
    codec = modality.fit(train.inputs, settings)
    for found in parts.values():
        answer.check(found, layout)
        check_cells(codec, found)
    made = kind(settings, layout, codec, answer, parts)
    made.columns_read = understood.columns_of(table, layout)
    made._read_lines = [
        ("read", " ".join(table.notes())),
        ("input", understood.input_words(layout, asked)),
        *((("lists", lists),) if (lists := number_cells.words(table, layout)) else ()),
        *row_words(table, layout),
        ("answer", understood.answer_words(layout, asked, kind.Answer.word)),
        ("split", split_words(data, given, settings, parts)),
    ]
    made._read_doubts = [
        *table.doubts(),
        *(number_cells.doubts(table, layout) if asked["modality"] is None else ()),
        *understood.doubts_of_numbers(table, layout),
        *understood.doubts_of_marks(table, layout),
        *understood.doubts_of_times(table, layout),
        *understood.doubts_of_answers(table, layout, asked),
        *understood.doubts_of_utterances(table, layout),
        *(doubts_of_steps(table, layout) if kind.Answer.word == "label" else ()),
        *transcripts.in_several_files(table, layout.group),
        *clocks.doubts(table, layout),
        *(
            doubt
            for name in layout.inputs
            if layout.form == "cell" and table.kinds.get(name) == "text"
            for doubt in markup.doubts(f"column {name!r}", table.frame[name])
        ),
        *(told_parts.doubts(table, layout, settings.together) if len(given) == 1 else ()),
    ]
    learnt = [made._hashes[part] for part in ("train", "valid") if part in parts]
    made.seen = Seen.of(np.concatenate(learnt))
    if layout.aligned:
        for part, found in parts.items():
            check_steps(found, made._inputs(part), made.codec.unit, layout, kind.Answer.word)
    return made


def given_parts(data: Any, valid: Any, test: Any) -> dict[str, Any]:
    """Return the data of each part that is given; a folder may hold several parts."""
    given = {"train": data, "valid": valid, "test": test}
    if valid is None and test is None:
        given |= named_parts(data) or {}
    given = {part: source for part, source in given.items() if source is not None}
    if "train" not in given:
        raise InputError(
            "There are no data to train on: None was given.",
            fix="Give a path, paths, a folder, a DataFrame, or arrays.",
        )
    return given


def split_words(
    data: Any, given: dict[str, Any], settings: ExamplesSettings, parts: dict[str, Examples]
) -> str:
    """Return how the examples were shared out to the parts."""
    drawn = [part for part in parts if part not in given]
    said = [f"{part} as given" for part in given if part != "train"]
    if drawn and parts["train"].steps is not None and len(parts["train"]) < 3:
        said.append(f"{' and '.join(drawn)} are the last steps of each sequence")
    elif drawn:
        said.append(f"{' and '.join(drawn)} drawn at random (seed {settings.seed})")
        if settings.together:
            said.append(f"all of one {settings.together!r} in one part")
    if "valid" not in parts:
        said.append("none held out to choose the best step")
    if isinstance(data, str | Path) and given["train"] is not data:
        used = {path for paths in given.values() for path in paths}
        left = [path.name for path in files.listing(Path(data)) if path not in used]
        if left:
            said.append(f"left out, beside the folders of the parts: {', '.join(left[:3])}")
    return "; ".join(said)
