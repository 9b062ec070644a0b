"""Sequences of texts with the label of each step, for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Mark, Section
from elman.tasks.understood import shorter, shown_answer

if TYPE_CHECKING:
    from elman.modalities.base import Codec
    from elman.tasks.examples.task import FromExamples
    from elman.tasks.reading.examples import Examples

_COLOURS = ("#cfe3f7", "#fbdcc4", "#d6edcf", "#e9d8f2", "#fdeaa8", "#f9d3de", "#cdeeea", "#e3e0cf")
_WRONG, _RIGHT = 8, 2
"""Sequences that are shown: those with the most errors, and some with the fewest."""
_FIRST = 6
"""Sequences of training that are shown before anything is trained."""
_LONGEST, _STEPS = 200, 60
"""Characters of a step, and steps of a sequence, that are shown."""


def texts_of(codec: Codec, cell: Any) -> list[str]:
    """Return what each step of a sequence says; nothing where steps are no texts."""
    columns = codec.told_steps(cell).values()
    return [": ".join(filter(None, step)) for step in zip(*columns, strict=True)]


def section(
    found: Examples,
    texts: Sequence[Sequence[str]],
    truth: Sequence[Sequence[str]],
    given: Sequence[Sequence[str]],
    chances: Sequence[Any],
) -> Section:
    """Return some sequences with the label of each step, those with the most errors first.

    Args:
        found: where the sequences stand.
        texts: of each step of each.
        truth, given: the labels that steps have, and those that the model gave them.
        chances: the probability of each label that was given.
    """
    errors = [
        sum(a != b for a, b in zip(x, y, strict=True)) for x, y in zip(truth, given, strict=True)
    ]
    order = np.argsort([-count for count in errors], kind="stable").tolist()
    rows = list(dict.fromkeys([*order[:_WRONG], *order[::-1][:_RIGHT]]))
    notes = {
        row: [_note(*one) for one in zip(given[row], truth[row], chances[row], strict=True)]
        for row in rows
    }
    text = (
        f"{len(rows)} of {len(truth)} test sequences, step by step, with the label that was given "
        "and its probability; those with the most errors come first, ✗ is followed by the truth."
    )
    return Section("Sequences", text, marked=_lines(found, rows, texts, given, notes))


def looked_at(task: FromExamples, found: Examples) -> Section | None:
    """Return the first sequences of a part with the label of each step, or of the whole; None where
    steps are no texts."""
    rows = range(min(_FIRST, len(found)))
    texts = [texts_of(task.codec, found.inputs[row]) for row in rows]
    if not _long(texts):
        return None
    answers = [(found.answers or [""] * len(found))[row] for row in rows]
    said = [[shown_answer(step) for step in one] if task.layout.aligned else [] for one in answers]
    tags = [one or [""] * len(text) for one, text in zip(said, texts, strict=True)]
    wholes = ["" if task.layout.aligned else shown_answer(one) for one in answers]
    lines = _lines(found, rows, texts, tags, dict(enumerate(tags)), wholes)
    return Section("Sequences, step by step", f"The first {len(rows)} of training.", marked=lines)


def _lines(
    found: Examples,
    rows: Sequence[int],
    texts: Sequence[Sequence[str]],
    tags: Sequence[Sequence[str]],
    notes: Mapping[int, Sequence[str]],
    wholes: Sequence[str] = (),
) -> list[list[Mark]]:
    """Return sequences with a title, and each step in the colour of its tag with a note."""
    names = sorted({tag for row in rows for tag in tags[row]} - {""})
    colours = {"": ""} | {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)}
    long = _long([texts[row] for row in rows])
    lines: list[list[Mark]] = []
    for row in rows:
        each = list(zip(texts[row], notes[row], tags[row], strict=True))
        steps = [Mark(shorter(t, _LONGEST), note, colours[tag]) for t, note, tag in each[:_STEPS]]
        if len(each) > len(steps):
            steps.append(Mark(f"… and {len(each) - len(steps)} more"))
        title = Mark(f"{_name(found, row)}{f' → {wholes[row]}' if wholes and wholes[row] else ''}:")
        if long:
            lines += [[title], *([step] for step in steps)]
        else:
            lines.append([title, *(part for step in steps for part in (Mark(" "), step))])
    return lines


def _long(texts: Sequence[Sequence[str]]) -> bool:
    """Tell whether steps are texts: words have no blanks, and stand side by side."""
    return any(" " in step for steps in texts for step in steps)


def _note(tag: str, true: str, chance: float) -> str:
    return f"{tag} {chance:.0%}" + ("" if tag == true else f" ✗ {true}")


def _name(found: Examples, row: int) -> str:
    file, number = found.where(row)
    name = found.names[row] if found.names is not None else f"row {number}"
    return f"{name} of {file.name}" if file is not None else name
