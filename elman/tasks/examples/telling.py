"""Words about the examples: how they were read, how many there are, how long they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data.packed import lengths_of
from elman.tasks import alike, understood
from elman.tasks.examples import contradictions
from elman.tasks.understood import Understood

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples

_FEW_ODD = 0.02
"""Share of the sequences up to which another length than that of all others is doubtful."""
_LEAST_ALIKE = 20
"""Sequences from which a single one of another length is."""


def understood_of(task: FromExamples) -> Understood:
    """Return how the data were read, what was taken for what, and what is doubtful."""
    train = task._parts["train"]
    lines = [pair for pair in task._read_lines if pair[0] != "split"]
    gone = understood.left_out(task.columns_read, task.layout.left_out)
    lines += [("left out", gone)] if gone else []
    every = [answer for found in task._parts.values() for answer in found.answers or []]
    told = zip(task.answer_lines(train.answers or []), task.answer_lines(every), strict=True)
    said, more = task.codec.told_cells(train.inputs)
    lines += [(word, f"{words} in train") for word, words in said]
    for (word, own), (_, whole) in told:
        lines.append((word, own if own == whole else f"{own} in train; in all {whole}"))
    sizes = {part: len(found) for part, found in task._parts.items()}
    counts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
    lines.append(("examples", f"{counts}; {dict(task._read_lines)['split']}"))
    lengths = lengths_of(task._inputs("train"))
    longest = task.settings.max_length
    cut = int((lengths == longest).sum()) if longest else 0
    lines.append(
        ("lengths", f"{_spread(lengths, task.codec.unit)}{f', {cut:,} cut' if cut else ''}")
    )
    encoded = task._inputs("train")[0]
    shown = understood.shown_cell(encoded, task.codec.decode(encoded), task.codec.unit)
    answer = understood.shown_answer((train.answers or [""])[0])
    lines.append(("the first", f"{shown} → {answer}"))
    doubts = task._read_doubts + more
    doubts += understood.doubts_of_inputs(task.layout, train.inputs)
    doubts += _odd_lengths(task) if task.layout.modality == "series" else []
    doubts += task.answer_doubts(train)
    names = Counter(n for found in task._parts.values() for n in set(found.names or []))
    doubts += alike.doubts(names, "groups", alike.AS_OTHERS)
    torn = contradictions.found(task)
    doubts += contradictions.doubts(task, torn)
    doubts += understood.doubts_of_parts(contradictions.apart(task, torn), sizes, "examples")
    drawn = "drawn at random" in dict(task._read_lines)["split"]
    if task.settings.together is None:
        owners = {part: found.owners for part, found in task._parts.items()}
        doubts += understood.doubts_of_owners(owners, drawn)
    return Understood(lines, doubts)


def _odd_lengths(task: FromExamples) -> list[str]:
    """Return a doubt where nearly all sequences have one length and few have another."""
    lengths = {part: lengths_of(task._inputs(part)) for part in task._parts}
    every = np.concatenate(list(lengths.values()))
    values, counts = np.unique(every, return_counts=True)
    usual, odd = int(values[np.argmax(counts)]), len(every) - int(counts.max())
    if not 0 < odd <= max(1, _FEW_ODD * len(every)) or len(every) < _LEAST_ALIKE:
        return []
    part, place = next(
        (part, int(np.argmax(found != usual)))
        for part, found in lengths.items()
        if (found != usual).any()
    )
    file, row = task._parts[part].where(place)
    where = f"row {row}" if file is None else f"{file.name}, row {row}"
    unit = task.codec.unit
    others = "another has not" if odd == 1 else f"{odd:,} others have not"
    return [
        f"{len(every) - odd:,} sequences have {usual} {unit}, and {others}: the first, in {where}, "
        f"has {int(lengths[part][place])}. If a value is missing there, write NaN in its place."
    ]


def described(task: FromExamples) -> dict[str, Any]:
    """Return sizes, lengths and duplicates across the parts."""
    facts: dict[str, Any] = {"modality": task.layout.modality}
    if not task._parts:
        return facts | task.facts()
    lengths = lengths_of(task._inputs("train"))
    return {
        **facts,
        "input": ", ".join(task.layout.inputs[:8]),
        "target": ", ".join(task.layout.answers[:8]),
        "examples": {part: len(found) for part, found in task._parts.items()},
        **({"group": task.layout.group} if task.layout.group else {}),
        **({"time": task.layout.time} if task.layout.time else {}),
        **task.facts(),
        f"{task.codec.unit} of an example": spread(lengths),
        "duplicates": str(task.shared),
    }


def _spread(lengths: NDArray[np.int64], unit: str) -> str:
    if len(np.unique(lengths)) == 1:
        return f"{understood.many(int(lengths[0]), unit)} each"
    return f"{spread(lengths)} {unit}"


def spread(values: Any) -> str:
    """Return smallest, largest and median in words.

    >>> spread([3, 1, 2])
    '1 to 3 (median 2)'
    """
    numbers = np.array(list(values))
    return f"{numbers.min()} to {numbers.max()} (median {int(np.median(numbers))})"


def counted(labels: Sequence[Any]) -> str:
    """Return how often the labels come, in words."""
    return spread(Counter(labels).values())
