"""Pictures and tables of a person's data before anything is trained, for `elman look`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.scoring import entities
from elman.tasks import told_steps, understood
from elman.tasks.base import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from elman.tasks.examples.task import FromExamples

_INK = "#1f3a5f"
_BARS, _EACH, _SHOWN, _DRAWN = 20, 3, 24, 6


def at_examples(task: FromExamples) -> list[Section]:
    """Return examples of each class, counts, lengths, columns, and what parts share."""
    import pandas as pd

    train = task._parts["train"]
    answers = [understood.shown_answer(answer) for answer in train.answers or []]
    sections = []
    rows = _some_of_each(answers)
    encoded = task._inputs("train")
    shown = [
        understood.shown_cell(encoded[row], task.codec.decode(encoded[row]), task.codec.unit)
        for row in rows
    ]
    places = [train.where(row) for row in rows]
    table = pd.DataFrame(
        {
            "file": [None if file is None else file.name for file, _ in places],
            "row": [number for _, number in places],
            "as the model reads it": shown,
            task.Answer.word: [answers[row] for row in rows],
        }
    )
    if table["file"].isna().all():
        table = table.drop(columns="file")
    sections.append(Section("Examples of training", table=table))
    drawn = [task.codec.show(encoded[row]).picture for row in rows[:_DRAWN]]
    if all(picture is not None for picture in drawn):
        figure = panels(drawn, [understood.shorter(answers[row], 20) for row in rows[:_DRAWN]])
        sections.append(Section("Pictures", figure=figure))
    elif encoded[rows[0]].ndim == 2 and encoded[rows[0]].dtype.kind == "f":
        figure = _curves([encoded[r] for r in rows[:_DRAWN]], [answers[r] for r in rows[:_DRAWN]])
        sections.append(Section("Sequences, scaled", "A line for each channel.", figure=figure))
    if (told := told_steps.looked_at(task, train)) is not None:
        sections.append(told)
    sections += task.look_at_answers(train.answers or [])
    lengths = [len(one) for one in encoded]
    if min(lengths) < max(lengths):
        figure = histogram(lengths, f"{task.codec.unit} of an example")
        sections.append(Section("Lengths", figure=figure))
    columns = pd.DataFrame(task.columns_read)
    sections.append(Section("Columns", "Empty cells are counted as missing.", columns))
    sections.append(Section("In several parts", str(task.shared)))
    return sections


def _some_of_each(answers: Sequence[str]) -> list[int]:
    """Return rows: a few of each answer where answers repeat, else the first ones."""
    places: dict[str, list[int]] = {}
    for row, answer in enumerate(answers):
        places.setdefault(answer, []).append(row)
    if len(places) > _SHOWN:
        return list(range(min(_SHOWN, len(answers))))
    return [row for rows in places.values() for row in rows[:_EACH]][:_SHOWN]


def pictures(task: FromExamples, titles: Sequence[str]) -> list[Section]:
    """Return a section with some test sequences drawn, where the modality can draw them."""
    arrays = task._inputs("test") if "test" in task._parts else []
    if not arrays or len(titles) != len(arrays):
        return []
    places = np.unique(np.linspace(0, len(arrays) - 1, _DRAWN).astype(int)).tolist()
    drawn = [(titles[k], task.codec.show(arrays[k]).picture) for k in places]
    if any(picture is None for _, picture in drawn):
        return []
    figure = panels([picture for _, picture in drawn], [title for title, _ in drawn])
    return [Section("Test examples", f"As the model reads them: {task.codec.unit}.", figure=figure)]


def bars(counts: Mapping[str, int], what: str) -> Figure:
    """Return counts as bars, the largest first; of many only the first."""
    from matplotlib.figure import Figure

    chosen = Counter(counts).most_common(_BARS)[::-1]
    figure = Figure(figsize=(7.5, 0.6 + 0.26 * len(chosen)))
    axes = figure.subplots()
    axes.barh([understood.shorter(n, 30) for n, _ in chosen], [c for _, c in chosen], color=_INK)
    axes.set_xlabel(what if len(counts) <= _BARS else f"{what}; the {_BARS} commonest")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def histogram(values: Sequence[float], what: str) -> Figure:
    """Return how often values come, in thirty bins at most."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 2.2))
    axes = figure.subplots()
    axes.hist(np.asarray(values, float), bins=min(30, len(set(values))), color=_INK)
    axes.set_xlabel(what)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def panels(drawn: Sequence[Any], titles: Sequence[str]) -> Figure:
    """Return pictures in two rows, each under its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.2))
    places = np.atleast_1d(figure.subplots(2, -(-len(drawn) // 2), squeeze=False)).ravel()
    for panel in places:
        panel.set_axis_off()
    for panel, title, picture in zip(places, titles, drawn, strict=False):
        panel.imshow(picture, aspect="auto", cmap="magma", interpolation="nearest")
        panel.set_title(title, fontsize=8)
    return figure


def _curves(arrays: Sequence[Any], titles: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(2, -(-len(arrays) // 2), squeeze=False)).ravel()
    for panel in panels[len(arrays) :]:
        panel.set_axis_off()
    for panel, title, array in zip(panels, titles, arrays, strict=False):
        panel.plot(array[:, :8], linewidth=0.9)
        panel.set_title(understood.shorter(title, 20), fontsize=8)
        panel.tick_params(labelsize=7)
    return figure


def reliability(what: str, stated: Sequence[float], right: Sequence[bool]) -> Section:
    """Return how often answers of a stated probability are right."""
    from matplotlib.figure import Figure

    title = "Can the probabilities be believed?"
    if not stated:
        return Section(title, f"No {what} was found in the test part.")
    chances = np.clip(stated, 0, 1)
    table = entities.reliability(chances, right)
    error = entities.calibration_error(chances, right)
    figure: Figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999", linewidth=0.8)
    filled = table[table["count"] > 0]
    axes.plot(filled["stated"], filled["right"], color="#1f3a5f", marker="o", markersize=4)
    for _, row in filled.iterrows():
        axes.annotate(str(int(row["count"])), (row["stated"], row["right"]), fontsize=7)
    axes.set_xlabel(f"stated probability of a {what}")
    axes.set_ylabel("share that is right")
    text = (
        f"On the line a stated probability is the share that is right; numbers count each {what} "
        f"of a tenth. The mean gap (expected calibration error) is {error:.3f}."
    )
    return Section(title, text, figure=figure)
