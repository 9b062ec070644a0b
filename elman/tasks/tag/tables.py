"""Tables of predictions: a row for each step, or for each span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.data.tagging import Span
from elman.nn.tagger import Tagger, Taggers
from elman.tasks import gaps
from elman.tasks.answers import only_tags
from elman.tasks.examples.judging import Memo
from elman.tasks.reading.examples import Examples
from elman.tasks.tag.deciding import chances_of
from elman.tasks.tag.said import Said

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.tag.task import Tag

Array = NDArray[Any]


def steps_table(task: Tag, found: Examples, said: Sequence[Said]) -> pd.DataFrame:
    """Return a row for each step, in the order of the file."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for number, one in enumerate(said):
        told = task.codec.told_steps(found.inputs[number])
        answer = (found.answers or [None] * len(said))[number]
        # What holds no word has no answer.
        blank = gaps.blank_steps(found.inputs[number])
        tags: list[str | None] = [*one.tags] or [None] * len(blank)
        for step, tag in enumerate(tags):
            where = found.place(number, step)
            row: dict[str, Any] = {"file": where[0] and where[0].name, "row": where[1]}
            if found.names is not None:
                row[task.layout.group or "group"] = found.names[number]
            row["step"] = step
            row |= {name: values[step] for name, values in told.items()}
            if answer is not None:
                row["truth"] = answer[step][0]
            row["prediction"] = None if step in blank else tag
            chances = None if step in blank else one.chances
            row["probability"] = None if chances is None else float(chances[step])
            if task.answer.intents:
                row["intent"], row["intent_probability"] = one.intent, one.intent_chance
            rows.append(row)
    table = pd.DataFrame(rows, columns=None if rows else ["row", "step", "prediction"])
    if rows and found.steps is not None:
        files = {file: place for place, file in enumerate(dict.fromkeys(table["file"]))}
        order = np.lexsort((table["row"], table["file"].map(files)))
        table = table.iloc[order].reset_index(drop=True)
    if rows and table["file"].nunique(dropna=False) < 2:
        table = table.drop(columns="file")
    return table


def spans_table(
    task: Tag,
    found: Examples,
    said: Sequence[Said],
    missed: Mapping[tuple[int, Span], float] | None = None,
) -> pd.DataFrame:
    """Return a row for each span, and where the truth is known one for each that was missed."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for number, one in enumerate(said):
        cell = found.inputs[number]
        text, places = placed(task, cell, len(one.tags))
        file, line = found.where(number)
        head: dict[str, Any] = {"file": file and file.name, "row": line}
        if text is not None:
            head["text"] = text
        head["tags"] = " ".join(one.tags)
        judged = found.answers is not None and missed is not None
        truth = set(task.answer.spans(only_tags(found.answers[number]))) if judged else set()  # type: ignore[index]
        listed = [
            (span, chance, "right" if span in truth else "wrong")
            for span, chance in zip(one.spans, _known(one), strict=True)
        ]
        if judged:
            assert missed is not None
            gone = sorted(truth - set(one.spans))
            listed += [(span, missed[number, span], "missed") for span in gone]
        shown: list[tuple[Span | None, float, str]] = [*sorted(listed)]
        for span, chance, outcome in shown or [(None, float("nan"), "")]:
            row = dict(head)
            start, end = (places[span.start][0], places[span.end - 1][1]) if span else (0, 0)
            row |= {"start": start, "end": end}
            if text is not None:
                row["entity"] = text[start:end]
            row |= {"label": span.label if span else None, "probability": chance}
            if judged:
                row["outcome"] = outcome
            if task.answer.intents:
                if judged:
                    row["true_intent"] = found.answers[number][0][1]  # type: ignore[index]
                row["intent"] = one.intent or None
                row["intent_probability"] = one.intent_chance
            rows.append(row)
    table = pd.DataFrame(rows)
    if rows and table["file"].nunique(dropna=False) < 2:
        table = table.drop(columns="file")
    return table


def _known(one: Said) -> list[float]:
    """Return the probability of each span; a baseline gives none."""
    return one.span_chances if one.chances is not None else [float("nan")] * len(one.spans)


def placed(task: Tag, cell: Any, steps: int) -> tuple[str | None, list[tuple[int, int]]]:
    """Return a cell as text with the places of its steps; else None, and numbers of steps."""
    text = task.codec.told(cell)
    places = getattr(task.codec, "places", None)
    if text is None or places is None:
        return None, [(step, step + 1) for step in range(steps)]
    return text, places(cell)


def answers_table(
    task: Tag, model: nn.Module, found: Examples, said: Sequence[Said], memo: Memo
) -> pd.DataFrame:
    """Return the predictions beside the truth."""
    if not task.answer.has_spans:
        return steps_table(task, found, said)
    assert isinstance(model, Tagger | Taggers)
    gone = [
        (number, span)
        for number, answer in enumerate(found.answers or [])
        for span in task.answer.spans(only_tags(answer))
        if span not in said[number].spans
    ]
    chances = chances_of(task, model, task.outputs_for(model, found, memo), gone)
    return spans_table(task, found, said, dict(zip(gone, chances, strict=True)))
