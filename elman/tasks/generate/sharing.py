"""Text shared out to parts, and the settings that follow from it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from elman.errors import InputError
from elman.tasks.generate import labelled
from elman.tasks.generate.corpus import Documents, Tokens, find
from elman.tasks.generate.labelled import Labelled
from elman.tasks.generate.settings import GenerateSettings
from elman.training.update import multiplies_bfloat16

# Of a large text this much is enough to choose a model by, and to score it: characters.
_VALID_AT_MOST, _TEST_AT_MOST = 500_000, 2_000_000
_SCORES_AT_MOST = 1e9
"""Scores by which a test part that was cut off is judged: one for each symbol of the vocabulary at
each place. They cost a network some seconds."""
_TOO_RARE = 10_000_000
"""Characters of a text in which one must come once on average, or it is unknown: there is little to
learn of it, and thousands of such make every step dear."""
# So many symbols are held out to choose by, a tenth of the text at most.
HELD_OUT = {"characters": 30_000, "words": 150_000, "subwords": 100_000}
LEAST_HELD = 0.0005
"""Share of a long text that is held out at least: a few pages say little of many books."""


def parts_of(
    whole: Documents, settings: GenerateSettings, told: Collection[str]
) -> dict[str, Documents]:
    """Return training, validation and test text by position; parts that are told are not cut off.

    What stands just before the test part teaches most for it, so it is trained on, and the
    beginning of the text is what a model is chosen by. Texts with labels are cut within each label,
    where documents are mostly short and do not go on from one another: there the first ones train.
    """
    valid = 0.0 if "valid" in told else settings.valid_fraction
    test = 0.0 if "test" in told else settings.test_fraction
    if valid + test >= 1:
        raise InputError(
            f"valid_fraction={valid} and test_fraction={test} leave nothing to train on."
        )
    words = settings.unit != "characters"
    if isinstance(whole, Labelled):
        limits = {"train": None, "valid": _VALID_AT_MOST, "test": _TEST_AT_MOST}
        names = [name for name, held in (("valid", valid), ("test", test)) if held]
        cuts = [1 - valid - test, 1 - test][-len(names) :] if names else []
        made = whole.split(cuts, words, [limits[name] for name in ("train", *names)])
        return _with_all(dict(zip(("train", *names), made, strict=True)))
    first, second = whole.cut(valid, words), whole.cut(1 - test, words)
    parts = {"train": whole.part(first, second)}
    if valid:
        parts["valid"] = whole.part(0, min(first, _VALID_AT_MOST))
    if test:
        parts["test"] = whole.part(second, min(whole.characters, second + _TEST_AT_MOST))
    return parts


def judged_in_time(part: Documents, symbols: int, classes: int) -> Documents:
    """Return the beginning of a test part, where judging all of it would take minutes.

    Args:
        part: as it was cut off.
        symbols: in it.
        classes: symbols of the vocabulary, each of which is scored at each place.
    """
    share = _SCORES_AT_MOST / (classes * max(1, symbols))
    if share >= 1 or isinstance(part, Labelled):
        return part
    return part.part(part.low, part.low + int(share * part.size))


def _with_all(parts: dict[str, Labelled]) -> dict[str, Documents]:
    """Refuse labels that have too little text to train on.

    Raises:
        InputError: with the label.
    """
    train = parts["train"]
    absent = sorted(set(range(len(train.names))) - set(train.labels.tolist()))
    if absent:
        raise InputError(
            f"label {train.names[absent[0]]!r} has too little text to train on.",
            file=train.name,
            fix="Give it more text, or take it out.",
        )
    return dict(parts)


def documents_in(source: Any, settings: GenerateSettings, labels: Sequence[str] = ()) -> Documents:
    """Return the documents of `source`, with their labels where there are any.

    Args:
        source: as a person gave it.
        settings: name the columns.
        labels: those that are known; none where the data tell them.
    """
    where = settings.encoding, settings.sheet
    if settings.label is None:
        return find(source, settings.text, *where)
    if settings.k2 is not None and settings.k2 > settings.k1:
        raise InputError(
            "with label= gradients flow back k1 steps, and k2 has no effect.",
            fix="Leave k2 out, or set k1 higher.",
        )
    return labelled.find(source, settings.text, settings.label, *where, labels or None)


def decided(settings: GenerateSettings, train: Documents) -> GenerateSettings:
    """Return the settings with what vocabulary and precision need filled in."""
    found: dict[str, Any] = {
        "precision": "bf16" if multiplies_bfloat16(settings.device) else "float32"
    }
    sample = next(train.texts(), "")
    characters = train.size
    if settings.unit == "words":
        prepared = "<unk>" in sample
        found["punctuation"] = _has_attached_marks(sample)
        found["min_count"] = 1 if prepared else 2
        found["vocabulary_size"] = None if prepared else 10_000
    elif settings.unit == "subwords":
        found["vocabulary_size"] = int(np.clip(characters // 500, 500, 8000))
    else:
        found["min_count"] = max(1, characters // _TOO_RARE)
    found = {name: value for name, value in found.items() if getattr(settings, name) is None}
    return settings.model_copy(update=found)


def _has_attached_marks(sample: str) -> bool:
    """Tell whether marks stand against words, as in plain prose, and not apart already."""
    attached = len(re.findall(r"\w[,;!?](?=\s)", sample))
    return attached > 0.005 * len(sample.split())


def check_sizes(tokens: dict[str, Tokens], where: Documents) -> None:
    """Refuse a part that has no text to learn from or to be scored on."""
    for name, part in tokens.items():
        if part.predicted < 2:
            raise InputError(
                f"there is too little text: the {name} part has {part.predicted} symbols.",
                file=where.name,
                fix="Give more text, or other files with valid= and test=.",
            )
    if "test" not in tokens:
        raise InputError(
            "there is no text to test with.", fix="Set test_fraction above 0, or give test=."
        )
