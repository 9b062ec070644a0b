"""The parts of a report on tags: sentences, labels, reliability, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from elman.data.tagging import Span
from elman.scoring import Evaluation, confusion, entities
from elman.tasks import told_steps
from elman.tasks.answers import only_tags
from elman.tasks.base import Mark, Section
from elman.tasks.looking import reliability
from elman.tasks.reading.examples import Examples
from elman.tasks.tag.labels import is_text
from elman.tasks.tag.said import Said
from elman.tasks.tag.tables import placed

if TYPE_CHECKING:
    from elman.tasks.tag.task import Tag

_SHOWN = 40
"""Sentences that a report shows."""
_COLOURS = ("#cfe3f7", "#fbdcc4", "#d6edcf", "#e9d8f2", "#fdeaa8", "#f9d3de", "#cdeeea", "#e3e0cf")


def sections_of(task: Tag, model: nn.Module, evaluation: Evaluation) -> list[Section]:
    """Return sentences with their spans, scores of labels, reliability and errors."""
    found = task._parts["test"]
    said = task.says(model, task._inputs("test"))
    if task.answer.has_spans:
        return _span_sections(task, found, said, evaluation)
    return _step_sections(task, found, said)


def _span_sections(
    task: Tag, found: Examples, said: Sequence[Said], evaluation: Evaluation
) -> list[Section]:
    assert evaluation.predictions is not None
    truth = [task.answer.spans(only_tags(answer)) for answer in found.answers or []]
    units = entities.entity_units(truth, [one.spans for one in said])
    table = evaluation.predictions
    stated = [c for one in said for c in one.span_chances]
    hits = [s in true for one, true in zip(said, truth, strict=True) for s in one.spans]
    shown = [
        _sentences(task, found, said, truth),
        Section("Labels", table=entities.by_label(units)),
        reliability("entity", stated, hits),
    ]
    wrong = table[table["outcome"].isin(["wrong", "missed"])]
    if len(wrong):
        kept = ["row", "entity", "label", "outcome", "probability"]
        chances = wrong["probability"].to_numpy()
        sure = np.where(wrong["outcome"] == "wrong", chances, 1 - chances)
        worst = wrong.iloc[np.argsort(-sure, kind="stable")[:25]]
        shown.append(
            Section(
                "Errors",
                "Those that the model was surest of: often the label is at fault. A span is "
                "right if its label and both its ends are.",
                worst[[name for name in kept if name in worst]],
            )
        )
    if task.answer.intents:
        intents = [[answer[0][1]] for answer in found.answers or []]
        counted = entities.step_units(intents, [[one.intent] for one in said])
        shown.append(Section("Intents", table=entities.by_label(counted)))
    return shown


def _sentences(
    task: Tag, found: Examples, said: Sequence[Said], truth: Sequence[Sequence[Span]]
) -> Section:
    """Return sentences with what was found in colour, those with errors first."""
    labels = sorted({s.label for spans in truth for s in spans} | task.answer.labels)
    colours = {label: _COLOURS[k % len(_COLOURS)] for k, label in enumerate(labels)}
    errors = [len(set(a) ^ set(b.spans)) for a, b in zip(truth, said, strict=True)]
    order = np.argsort([-count for count in errors], kind="stable")
    wrong = [k for k in order if errors[k]][: _SHOWN * 3 // 4]
    rows = wrong + [k for k in order if not errors[k] and truth[k]][: _SHOWN - len(wrong)]
    lines = []
    for row in rows:
        text, places = placed(task, found.inputs[row], len(said[row].tags))
        if text is None:
            continue
        line: list[Mark] = []
        at = 0
        for span, chance in zip(said[row].spans, said[row].span_chances, strict=True):
            start, end = places[span.start][0], places[span.end - 1][1]
            right = span in truth[row]
            note = f"{span.label} {chance:.0%}" + ("" if right else " ✗")
            line += [Mark(text[at:start]), Mark(text[start:end], note, colours[span.label])]
            at = end
        line.append(Mark(text[at:]))
        for span in sorted(set(truth[row]) - set(said[row].spans)):
            start, end = places[span.start][0], places[span.end - 1][1]
            line.append(Mark(f" [missed: {text[start:end]} is {span.label}]"))
        lines.append(line)
    text = (
        f"What was found in {len(lines)} test sentences, with its probability; sentences with "
        "errors come first, ✗ marks what is not so."
    )
    return Section("Sentences", text, marked=lines)


def _step_sections(task: Tag, found: Examples, said: Sequence[Said]) -> list[Section]:
    truth = [only_tags(answer) for answer in found.answers or []]
    given = [one.tags for one in said]
    units = entities.step_units(truth, given)
    names = sorted({tag for one in (*truth, *given) for tag in one})
    codes = {name: code for code, name in enumerate(names)}
    pairs = np.zeros((len(names), len(names)), np.int64)
    for a, b in zip(truth, given, strict=True):
        np.add.at(pairs, ([codes[x] for x in a], [codes[x] for x in b]), 1)
    stated = [float(c) for one in said if one.chances is not None for c in one.chances]
    hits = [x == y for a, b in zip(truth, given, strict=True) for x, y in zip(a, b, strict=True)]
    shown = [
        Section("Labels", table=entities.by_label(units)),
        reliability("step", stated, hits),
    ]
    if len(names) <= confusion.READABLE:
        shown.append(Section("Confusion matrix", figure=confusion.figure(pairs, names)))
    if is_text(task, found):
        shown.insert(0, _told(task, found, said, truth))
    else:
        shown.append(_strips(truth, given, names))
    confused = confusion.most_confused(pairs, names)
    if len(confused):
        shown.append(Section("Most often confused", table=confused))
    return shown


def _told(
    task: Tag, found: Examples, said: Sequence[Said], truth: Sequence[Sequence[str]]
) -> Section:
    """Return sequences of texts with the tag of each step."""
    texts = [told_steps.texts_of(task.codec, cell) for cell in found.inputs]
    chances = [one.chances for one in said]
    return told_steps.section(found, texts, truth, [one.tags for one in said], chances)


def _strips(
    truth: Sequence[list[str]], given: Sequence[list[str]], names: Sequence[str]
) -> Section:
    """Return a few sequences as strips of colour: the truth above, the prediction below."""
    from matplotlib.figure import Figure

    pairs = list(zip(truth, given, strict=True))
    shares = [np.mean([a == b for a, b in zip(x, y, strict=True)]) for x, y in pairs]
    rows = np.argsort(shares, kind="stable")[:6].tolist()
    codes = {name: code for code, name in enumerate(names)}
    figure = Figure(figsize=(7.5, 0.6 * len(rows) + 0.4), layout="constrained")
    for axes, row in zip(np.atleast_1d(figure.subplots(len(rows))), rows, strict=True):
        picture = [[codes[tag] for tag in one[row]] for one in (truth, given)]
        axes.imshow(picture, aspect="auto", cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
        axes.set_yticks([0, 1], ["truth", "said"], fontsize=7)
        axes.tick_params(labelbottom=False)
    return Section("Segments", "The sequences with the most errors, step by step.", figure=figure)
