"""Sequences of texts with the label of each step, for a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Mark, Section
from elman.tasks.understood import shorter

if TYPE_CHECKING:
    from elman.tasks.reading import Examples

_COLOURS = ("#cfe3f7", "#fbdcc4", "#d6edcf", "#e9d8f2", "#fdeaa8", "#f9d3de", "#cdeeea", "#e3e0cf")
_WRONG, _RIGHT = 8, 2
"""Sequences that are shown: those with the most errors, and some with the fewest."""
_SIDE_BY_SIDE = 24
"""Characters of a step in the mean up to which steps stand side by side, as words do."""
_LONGEST, _STEPS = 200, 60
"""Characters of a step, and steps of a sequence, that are shown."""


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
    names = sorted({tag for tags in (*truth, *given) for tag in tags})
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)}
    sizes = [len(text) for row in rows for text in texts[row]]
    words = bool(sizes) and float(np.mean(sizes)) <= _SIDE_BY_SIDE
    lines: list[list[Mark]] = []
    for row in rows:
        steps = [
            Mark(shorter(text, _LONGEST), _note(tag, true, chance), colours[tag])
            for text, tag, true, chance in zip(
                texts[row], given[row], truth[row], chances[row], strict=True
            )
        ][:_STEPS]
        more = len(given[row]) - len(steps)
        rest = [Mark(f"… and {more} more")] if more else []
        title = Mark(f"{_name(found, row)}: ")
        if words:
            lines.append([title, *(part for step in steps for part in (step, Mark(" "))), *rest])
        else:
            lines += [[title], *([step] for step in steps), *([one] for one in rest)]
    text = (
        f"{len(rows)} of {len(truth)} test sequences, step by step, with the label that was given "
        "and its probability; those with the most errors come first, ✗ is followed by the truth."
    )
    return Section("Sequences", text, marked=lines)


def _note(tag: str, true: str, chance: float) -> str:
    return f"{tag} {chance:.0%}" + ("" if tag == true else f" ✗ {true}")


def _name(found: Examples, row: int) -> str:
    file, number = found.where(row)
    name = found.names[row] if found.names is not None else f"row {number}"
    return f"{name} of {file.name}" if file is not None else name
