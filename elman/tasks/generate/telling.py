"""Words and pictures about a text: how it was read and cut, what its symbols are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.tasks.base import Section
from elman.tasks.generate import labelled, sameness
from elman.tasks.generate.labelled import Labelled
from elman.tasks.generate.overlap import doubts_of_given, duplicates_in
from elman.tasks.looking import bars, histogram
from elman.tasks.understood import Understood, listed, many, shorter

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

# A look at data, and a sampled softmax, count so many symbols.
COUNTED = 5_000_000
# A look shows so many characters of each part.
_BEGINNING = 400


def understood_of(task: Generate) -> Understood:
    """Return how the text was read, what a symbol is, and how it was cut."""
    train, settings = task._parts["train"], task.settings
    files = [source.name for source in train.sources if isinstance(source, Path)]
    read = listed(files, 4) if files else f"{len(train.sources):,} texts"
    named = {name for name in train.encodings if name is not None}
    if named:
        read += f", as {listed(sorted(named))}"
    what = "1 document" if task.documents == 1 else f"{task.documents:,} documents"
    sizes = ", ".join(f"{tokens.predicted:,} {n}" for n, tokens in task._tokens.items())
    lines = [
        ("read", f"{read}; {train.characters:,} characters"),
        *([("left out", listed(train.left_out))] if train.left_out else []),
        ("documents", f"{what} to train on"),
        ("symbols", f"{settings.unit}; {many(_symbols(task), 'different ones')}"),
        ("split", f"{sizes} symbols, {_cut(task)}"),
    ]
    if isinstance(train, Labelled):
        told = f"{many(len(task.labels), 'labels')} as label={settings.label} says; to train on"
        lines.insert(-1, ("label", f"{told}: {labelled.shown(train)}"))
    elif train.unread:
        lines.insert(-1, ("label", f"none; there could be one: {'; '.join(train.unread)}"))
    for name, share in task._unknown.items():
        if share:
            lines.append((f"in {name}", f"{share:.2%} of the symbols are unknown"))
    lines.append(("the first", repr(shorter(next(iter(train)).text[:200]))))
    doubts = [*train.doubts, *sameness.doubts(train.texts()), *doubts_of_given(task)]
    return Understood(lines, doubts)


def looked_at(task: Generate) -> list[Section]:
    """Return the commonest symbols, lengths of documents, and how each part begins."""
    ids = np.asarray(task._tokens["train"].ids[:COUNTED], np.int64)
    counts = np.bincount(ids, minlength=len(task.vocabulary))
    symbols = {
        repr(symbol): int(count)
        for symbol, count in zip(task.vocabulary.symbols, counts.tolist(), strict=True)
        if count
    }
    sections = [Section("Commonest symbols", figure=bars(symbols, "times in training"))]
    if task.documents > 1:
        lengths = [len(text) for text in task._parts["train"].whole()]
        sections.append(Section("Lengths", figure=histogram(lengths, "characters")))
    begins = [next(iter(part)).text[:_BEGINNING] for part in task._parts.values()]
    text = f"The first characters of {', '.join(task._parts)}."
    sections.append(Section("Where the parts begin", text, preformatted=begins))
    sections.append(Section("In several parts", duplicates_in(task)))
    return sections


def described(task: Generate) -> dict[str, Any]:
    """Sizes of the parts, of the vocabulary, and what the parts share."""
    facts: dict[str, Any] = {
        "unit": task.settings.unit,
        "symbols": _symbols(task),
        "split": _cut(task),
    }
    for name, part in task._parts.items():
        tokens = task._tokens[name]
        facts[name] = {"documents": part.count, "tokens": tokens.predicted}
        if isinstance(part, Labelled):
            facts[name]["labels"] = labelled.shown(part)
        if name != "train":
            facts[name]["unknown"] = f"{task._unknown[name]:.2%}"
    facts["duplicates"] = duplicates_in(task)
    return facts


def _cut(task: Generate) -> str:
    """How the parts were made, in words."""
    train = task._parts["train"]
    own = [name for name, part in task._parts.items() if part.sources is train.sources]
    if len(own) == 1:
        return "as they were given"
    order = ("train", "valid", "test") if task.labels else ("valid", "train", "test")
    does = {"train": "train", "valid": "choose the model", "test": "test"}
    places = ("the first", "the next", "the last") if len(own) == 3 else ("the first", "the last")
    said = (does[name] for name in order if name in own)
    where = " in the text of each label" if task.labels else ""
    return f"by position{where}: " + ", ".join(map(" ".join, zip(places, said, strict=True)))


def _symbols(task: Generate) -> int:
    """Symbols that stand for text: neither the unknown nor the end of a document."""
    own = (task.vocabulary.unk, task.vocabulary.bos)
    return len(task.vocabulary) - sum(symbol is not None for symbol in own)
