"""A language model made of text: read, shared out, its vocabulary fitted on the training part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from elman.data import Vocabulary, markup
from elman.data.seen import Seen, hashes_of
from elman.errors import InputError
from elman.modalities.text import TextCodec
from elman.tasks.generate.corpus import Documents, encode, joined
from elman.tasks.generate.labelled import Labelled
from elman.tasks.generate.overlap import LOOKED_AT, compared
from elman.tasks.generate.plan import planned
from elman.tasks.generate.settings import GenerateSettings
from elman.tasks.generate.sharing import (
    HELD_OUT,
    LEAST_HELD,
    check_sizes,
    decided,
    documents_in,
    judged_in_time,
    parts_of,
)

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

Task = TypeVar("Task", bound="Generate")
_BEGINNING = 1_000_000
"""Characters of a document in which marks are looked for."""


def made_from(
    kind: type[Task], data: Any, settings: GenerateSettings, valid: Any = None, test: Any = None
) -> Task:
    """Read text and cut it by position: the last part tests.

    Raises:
        InputError: no text, or too little to train on and to test with.
    """
    whole = documents_in(data, settings)
    whole = replace(whole, doubts=(*whole.doubts, *markup.doubts("the text", _lines(whole))))
    labels = whole.names if isinstance(whole, Labelled) else ()
    told = {
        name: documents_in(source, settings, labels)
        for name, source in (("valid", valid), ("test", test))
        if source is not None
    }
    settings = _holding_out(settings, whole, told)
    parts = parts_of(whole, settings, told) | told
    settings = decided(settings, parts["train"])
    line_ends = settings.unit == "words" and "\n" in next(parts["train"].texts(), "")
    vocabulary = _fitted(settings, parts["train"], line_ends)
    documents = parts["train"].count
    tokens = {name: encode(part, vocabulary, ended=documents > 1) for name, part in parts.items()}
    if "test" in parts and "test" not in told:
        shorter = judged_in_time(parts["test"], tokens["test"].predicted, len(vocabulary))
        if shorter is not parts["test"]:
            parts["test"] = shorter
            tokens["test"] = encode(shorter, vocabulary, ended=documents > 1)
    check_sizes(tokens, whole)
    settings = planned(settings, tokens["train"].predicted, len(vocabulary))
    made = kind(settings, TextCodec(vocabulary, settings), documents, parts, tokens, labels)
    if sum(part.predicted for part in tokens.values()) <= LOOKED_AT:
        learnt = [compared(parts[n], documents > 1) for n in ("train", "valid") if n in parts]
        made.seen = Seen.of(hashes_of(chain.from_iterable(learnt)))
    return made


def _lines(documents: Documents) -> Iterator[str]:
    """Yield lines that are not blank, of a long document those of its beginning."""
    beginnings = (text[:_BEGINNING] for text in documents.texts())
    return (line for text in beginnings for line in text.splitlines() if line.strip())


def _holding_out(settings: Any, whole: Documents, told: Mapping[str, Documents]) -> Any:
    """Return the settings with the share of the text that is held out, where none is set."""
    if "valid_fraction" in settings.model_fields_set or "valid" in told:
        return settings
    held = min(0.1, max(LEAST_HELD, HELD_OUT[settings.unit] / max(1, whole.characters)))
    return settings.model_copy(update={"valid_fraction": float(f"{held:.3g}")})


def _fitted(settings: Any, train: Documents, line_ends: bool) -> Vocabulary:
    """Return the symbols of the training text."""
    return Vocabulary.fit(
        train.texts(),
        settings.unit,
        size=settings.vocabulary_size,
        min_count=settings.min_count or 1,
        lower=settings.lower,
        specials=("unk", "bos"),
        punctuation=bool(settings.punctuation),
        line_ends=line_ends,
    )


def grown_from(
    kind: type[Task], old: Task, data: Any, settings: Any, valid: Any = None, test: Any = None
) -> Task:
    """Read new text, and stretches of the old one; see `elman.tasks.base.Growing`.

    Raises:
        InputError: as `from_data`.
    """
    if old.labels:
        raise InputError(
            "a run that writes in the manner of labels cannot be gone on from yet.",
            fix="Train a new run on all the data.",
        )
    given = {"train": data, "valid": valid, "test": test}
    if data is None:
        raise InputError("There are no data to train on: None was given.")
    told = {
        name: documents_in(source, settings) for name, source in given.items() if source is not None
    }
    whole = told.pop("train")
    settings = _holding_out(settings, whole, told)
    parts = parts_of(whole, settings, told) | told
    vocabulary = old.vocabulary
    if settings.unit != "subwords":  # which can write every text
        vocabulary = vocabulary.grown(_fitted(settings, parts["train"], vocabulary.line_ends))
    # Whether the end of a document is to be learnt stays as it was.
    ended = old.documents > 1
    tokens = {name: encode(part, vocabulary, ended=ended) for name, part in parts.items()}
    check_sizes(tokens, whole)
    for name in ("train", "valid"):
        again = old._parts[name].stretches(settings.rehearsal) if name in old._parts else []
        if again and name in tokens:
            read = [encode(part, vocabulary, ended=ended) for part in again]
            # Validation may stop before the end, so the old text comes first there.
            order = [tokens[name], *read] if name == "train" else [*read, tokens[name]]
            tokens[name] = joined(order)
    settings = planned(settings, tokens["train"].predicted, len(vocabulary))
    documents = max(2, parts["train"].count) if ended else 1
    made = kind(settings, TextCodec(vocabulary, settings), documents, parts, tokens)
    if old.seen is not None:
        learnt = [compared(parts[n], ended) for n in ("train", "valid") if n in parts]
        made.seen = old.seen.with_more(hashes_of(chain.from_iterable(learnt)))
    return made
