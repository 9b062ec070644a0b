"""Pictures and tables of pairs, of answers, and of where the decoder looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.scoring import translations
from elman.scoring.health import health
from elman.tasks.base import Panel, Section
from elman.tasks.looking import histogram
from elman.tasks.translate import dialogues
from elman.tasks.translate.symbols import Piece, Symbols, words_of
from elman.tasks.translate.writing import Answer
from elman.tasks.understood import shorter
from elman.training.progress import say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from elman.scoring import Evaluation
    from elman.tasks.translate.corpus import Part
    from elman.tasks.translate.task import Translate
    from elman.tasks.translate.translator import Translator

_SHOWN, _EACH = 20, 3
_DRAWN = 30
"""Words of a side that are drawn at most."""
_CURES = {
    "repeats": "block_repeats=3, or training with coverage=1",
    "generic": "more training, or temperature=1 where answers may differ",
    "copies": "more training; look for pairs whose target is its source",
    "short": "length_penalty=1, or min_length",
    "endless": "max_length, or block_repeats=3",
    "unknown": "unit=subwords, a larger vocabulary_size, or copying=true",
}
_OF_SYMBOLS = {"unknown": "a larger vocabulary_size, or a lower min_count"}
_SIDES = ("source", "prediction", "reference")
_INK, _OTHER = "#1f3a5f", "#b35c1e"


def look(parts: Mapping[str, Part], shared: str, units: tuple[Piece, Piece]) -> list[Section]:
    """Return pairs of training, lengths of both sides, and what parts share."""
    ours_are, theirs_are = ("symbols" if unit == "symbols" else "words" for unit in units)
    import pandas as pd

    train = parts["train"]
    some = train.take(range(min(_SHOWN, len(train))))
    table = pd.DataFrame(
        {
            "row": [row for _, row in some.places],
            "source": [shorter(text, 200) for text in some.source],
            "target": [shorter(text, 200) for text in some.target],
        }
    )
    ours, theirs = (_words(texts) for texts in (train.source, train.target))
    ratio = np.clip(theirs / np.maximum(ours, 1), 0, 5)
    return [
        Section("Pairs of training", table=table),
        Section(
            f"{ours_are.capitalize()} of sources",
            figure=histogram(ours.tolist(), f"{ours_are} of a source"),
        ),
        Section(
            f"{theirs_are.capitalize()} of targets",
            figure=histogram(theirs.tolist(), f"{theirs_are} of a target"),
        ),
        Section(
            "Targets beside their sources",
            "Pairs far from the others are often no pairs: look at their lines.",
            figure=histogram(
                ratio.tolist(), f"{theirs_are} of a target for each of the {ours_are} of its source"
            ),
        ),
        Section("In several parts", shared),
    ]


def sections(task: Translate, model: Translator, evaluation: Evaluation) -> list[Section]:
    """Return examples with attention, lengths of answers beside references, and repeats."""
    assert evaluation.predictions is not None
    # Sequences of symbols are shown as texts with blanks between them.
    table = evaluation.predictions.assign(
        **{name: list(map(_text, evaluation.predictions[name])) for name in _SIDES}
    )
    evaluation = replace(evaluation, predictions=table)
    found = [_examples(task, model, evaluation)]
    said, known = list(table["prediction"]), list(table["reference"])
    found.append(_health(task, table))
    if task.where.talks:
        found.append(_replies(task, evaluation))
    found.append(
        Section(
            "Lengths",
            "Answers beside the references of the same sources.",
            figure=_lengths(_words(said), _words(known)),
        )
    )
    return found


def _health(task: Translate, table: pd.DataFrame) -> Section:
    """Return the faults of decoding, and the setting that mends what is sick."""
    import pandas as pd

    symbols, references = task.symbols, list(table["reference"])
    mark, seen = None, None
    if symbols.target.unit != "subwords":
        mark = symbols.target.symbols[symbols.unk]
        seen = [symbols.text(symbols.write(text)[:-1].tolist()) for text in references]
    signs = health(
        list(table["prediction"]),
        references,
        list(table["source"]),
        ended=table["ended"].tolist(),
        unknown=mark,
        seen=seen,
        cures=_CURES if mark is None or symbols.units[1] != "symbols" else _CURES | _OF_SYMBOLS,
    )
    warnings = [sign.warning for sign in signs if sign.warning is not None]
    for warning in warnings:
        say(warning)
    rows = pd.DataFrame(
        {
            "share of answers that": [sign.said for sign in signs],
            "answers": [f"{sign.outputs:.1%}" for sign in signs],
            "references": [
                "" if sign.references is None else f"{sign.references:.1%}" for sign in signs
            ],
        }
    )
    text = " ".join(warnings) or "Nothing is sick."
    return Section("The answers themselves", f"{text} {_way(task)}", rows)


def _way(task: Translate) -> str:
    """Return how an answer is chosen, in a sentence."""
    penalty = f"with the length penalty {task._options.length_penalty:g}"
    if not task.consensus:
        return f"Each answer is the likeliest that was found {penalty}."
    return (
        f"Each answer is, of {task.consensus} that were found, the one most like the others, "
        f"weighted by their probabilities {penalty}."
    )


def _replies(task: Translate, evaluation: Evaluation) -> Section:
    """Return how varied the answers to dialogues are, and how replies were chosen from others."""
    import pandas as pd

    table = evaluation.predictions
    assert table is not None
    ours = translations.distinct(list(table["prediction"]))
    theirs = translations.distinct(list(table["reference"]))
    rows = pd.DataFrame(
        {
            "different n-grams by all": [name.replace("_", "-") for name in ours],
            "answers": [f"{share:.3f}" for share in ours.values()],
            "references": [f"{share:.3f}" for share in theirs.values()],
        }
    )
    choice = dialogues.said_of_choice(task.predictors(), evaluation.units, task.usual, task.matched)
    text = (
        "Distinct-1 and -2 (Li et al. 2016) are the different words, and pairs of words, among all "
        f"that were written. {choice} "
        "Perplexity is of a symbol of the replies; perplexity per word is of a word or mark, so "
        "that models with other vocabularies can be compared."
    )
    return Section("Replies", text, rows)


def _examples(task: Translate, model: Translator, evaluation: Evaluation) -> Section:
    """Return the best, middling and worst answers, with where the decoder looked."""
    table, units = evaluation.predictions, evaluation.units
    assert table is not None
    each = translations.each(units)
    order = np.argsort(-each, kind="stable")
    middle = max(0, len(order) // 2 - _EACH // 2)
    places = {
        "best": order[:_EACH],
        "middling": order[middle : middle + _EACH],
        "worst": order[::-1][:_EACH],
    }
    rows = list(dict.fromkeys(int(row) for some in places.values() for row in some))
    answers = dict(
        zip(rows, task.looked(model, [table["source"].iloc[r] for r in rows]), strict=True)
    )
    panels = []
    for name, some in places.items():
        for number, row in enumerate(some.tolist(), 1):
            source, answer = str(table["source"].iloc[row]), answers[row]
            panels.append(
                Panel(
                    {"answer": f"{name} {number}"},
                    attention(task.symbols, source, answer),
                    _beside(source, answer.text, str(table["reference"].iloc[row])),
                )
            )
    by = "the error rate" if task.symbols.units[1] == "symbols" else "chrF"
    text = (
        "Darker is where the decoder looked when it wrote a word, a row each; parts of words are "
        f"added up. The order is by {by} of each answer by itself."
    )
    return Section("Answers and where the decoder looked", text, panels=panels)


def _beside(source: str, said: str, reference: str) -> pd.DataFrame:
    import pandas as pd

    texts = {"source": source, "answer": said, "reference": reference}
    return pd.DataFrame({"": list(texts), "text": [shorter(t, 600) for t in texts.values()]})


def attention(symbols: Symbols, source: str, answer: Answer) -> Figure:
    """Return where the decoder looked for each word that it wrote, drawn over the words."""
    from matplotlib.figure import Figure

    ours, theirs, weights = by_words(symbols, source, answer)
    if weights is None or not ours or not theirs:
        figure = Figure(figsize=(5.8, 0.6))
        axes = figure.subplots()
        axes.set_axis_off()
        axes.text(0, 0.5, "There is nothing to draw.", va="center")
        return figure
    ours, theirs, weights = ours[:_DRAWN], theirs[:_DRAWN], weights[:_DRAWN, :_DRAWN]
    size = 1.2 + 0.19 * len(ours), 0.9 + 0.19 * len(theirs)
    figure = Figure(figsize=(min(5.8, size[0]), size[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(weights, aspect="auto", cmap="Blues", vmin=0, vmax=max(0.5, weights.max()))
    axes.set_xticks(range(len(ours)), [shorter(w, 14) for w in ours], rotation=60, ha="right")
    axes.set_yticks(range(len(theirs)), [shorter(w, 14) for w in theirs])
    axes.tick_params(labelsize=7, length=0)
    return figure


def by_words(
    symbols: Symbols, source: str, answer: Answer
) -> tuple[list[str], list[str], NDArray[np.float64] | None]:
    """Return the words of both sides, and how much the decoder looked at one for the other.

    Weights of the parts of a word of the source are added, those of an answer averaged.
    """
    read = symbols.read(source)
    ours, our_places = words_of(symbols.source, read.ids.tolist())
    ids = [symbols.unk if i >= len(symbols.target) else i for i in answer.ids]
    theirs, their_places = words_of(symbols.target, ids)
    if read.split:
        ours = read.split[: len(ours)]
    if answer.looks is None:
        return ours, theirs, None
    found = np.zeros((len(theirs), len(ours)))
    counts = np.bincount(their_places, minlength=len(theirs)) if their_places else np.ones(0)
    for row, place in enumerate(their_places):
        np.add.at(found[place], our_places, answer.looks[row] / counts[place])
    return ours, theirs, found


def aligned(symbols: Symbols, source: str, answer: Answer) -> list[tuple[str, str]]:
    """Return each word of an answer with the word of the source that was looked at most."""
    ours, theirs, weights = by_words(symbols, source, answer)
    if weights is None or not ours:
        return []
    best = weights.argmax(1)
    return [(word, ours[int(place)]) for word, place in zip(theirs, best, strict=True)]


def _lengths(said: NDArray[np.int64], known: NDArray[np.int64]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.8, 2.4), layout="constrained")
    axes = figure.subplots()
    most = int(max(said.max(initial=1), known.max(initial=1)))
    bins = np.linspace(-0.5, most + 0.5, min(40, most + 2))
    axes.hist(
        [known, said], bins=bins.tolist(), color=[_OTHER, _INK], label=["references", "answers"]
    )
    axes.set_xlabel("words")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else " ".join(cell)


def _words(texts: Sequence[str]) -> NDArray[Any]:
    return np.array([len(text.split()) for text in texts], np.int64)
