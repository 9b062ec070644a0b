"""`turns`: a conversation, a sequence of utterances with their speakers.

Two levels (Serban et al. 2016): the words of each utterance are read both ways and pooled into one
vector; a recurrence reads these vectors, each beside the vector of its speaker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from elman.data import Vocabulary
from elman.data.transcripts import said, transcript_of
from elman.data.turns import Conversation, Turn
from elman.errors import InputError
from elman.modalities.base import ModalitySettings, Place
from elman.modalities.text import VocabularySettings, vocabulary_of
from elman.modalities.turn_codec import TurnsCodec
from elman.needs import Need

if TYPE_CHECKING:
    from elman.data import Table

_KNOWN = 0.05
"""Share of training conversations in which a speaker takes part who has a code by name."""
_LONGEST = {"words": 100, "subwords": 100, "characters": 400}
"""Steps of an utterance that are read where no other bound is given."""
_SHORTEST = 16


class TurnsSettings(VocabularySettings, ModalitySettings):
    """Settings of conversations."""

    anew: ClassVar[frozenset[str]] = frozenset({"speaker_dropout", "word_dropout"})
    needs: ClassVar[Mapping[str, Need]] = {
        "speaker_dropout": Need("speaker_size", bool, "speaker_size"),
    }

    max_length: int | None = Field(
        None, ge=1, description="utterances of a conversation at most, the rest is cut off"
    )
    utterance_length: int | None = Field(
        None,
        ge=1,
        description="words (characters, subwords) of an utterance that are read at most, the first "
        "ones (100; of characters 400)",
    )
    utterance_size: int = Field(
        64, ge=0, description="units that read an utterance, each way; 0: its words are pooled"
    )
    utterance_pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="how the words of an utterance become one vector"
    )
    speaker_size: int = Field(
        8, ge=0, description="numbers that stand for a speaker; 0: speakers are not read"
    )
    speaker_dropout: float = Field(
        0.1, ge=0, lt=1, description="chance that training does not know the speakers of a sequence"
    )
    word_dropout: float = Field(
        0.05, ge=0, lt=1, description="chance that a symbol is made unknown in training"
    )
    input_dropout: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="dropout of words and of what the recurrence reads, one mask a sequence",
    )


class Turns:
    """Conversations; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "turns"
    summary: ClassVar[str] = "a conversation: utterances one after another, with their speakers"
    extra: ClassVar[str | None] = None
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("turns",)
    forms: ClassVar[tuple[str, ...]] = ("cell", "long")
    stepped: ClassVar[bool] = True
    Settings = TurnsSettings
    suited: ClassVar[dict[str, Any]] = {}
    transcript: ClassVar[Callable[..., Any]] = staticmethod(transcript_of)
    """Returns the columns of a table whose rows are utterances, or None."""

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[Conversation]:
        """Return the conversations.

        Raises:
            InputError: a conversation has no utterances, or an utterance or its time is missing,
                with file, row and column.
        """
        if rows is None:
            return _from_cells(table, place.inputs[0], strict)
        text, *others = place.inputs
        if len(others) > 1:
            raise InputError(
                f"Of an utterance its text and its speaker are read, not {', '.join(others)}.",
                file=table.source,
                fix="Set columns=[TEXT,SPEAKER], or columns=[TEXT] without speakers.",
            )
        found = said(table, text, next(iter(others), None), place.time, rows)
        for members, cell in zip(rows, found, strict=True):
            for row, one in zip(members, cell, strict=True):
                if strict and not one.text.strip():
                    raise table.refuse("The utterance is empty.", row, text, "Take the row out.")
        return found

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return unit, case and longest utterance where they were left to the data."""
        unit = settings.unit or "words"
        lower = (unit != "characters") if settings.lower is None else settings.lower
        longest = settings.utterance_length or _LONGEST[unit]
        return {"unit": unit, "lower": lower, "utterance_length": longest}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> TurnsCodec:
        """Return a codec with the words and speakers of the training conversations."""
        texts = [one.text for cell in cells for one in cell]
        vocabulary = vocabulary_of(texts, settings)
        longest = max(map(len, vocabulary.encode_each(texts)), default=1)
        most = settings.utterance_length or _LONGEST[vocabulary.unit]
        counts = Counter(name for cell in cells for name in {one.speaker for one in cell} - {""})
        least = max(2, _KNOWN * len(cells))
        speakers = sorted(name for name, count in counts.items() if count >= least)
        orders = {tuple(one.speaker for one in cell) for cell in cells}
        first = max(orders, key=len, default=())[:2]
        taken = len(set(first)) == 2 and sorted(first) == sorted(speakers)
        turns = taken and all(names == (first * len(names))[: len(names)] for names in orders)
        if turns:
            speakers = list(first)
        width = min(most, max(longest, _SHORTEST))
        return TurnsCodec(vocabulary, speakers, turns, width, settings)

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> TurnsCodec:
        """Return the codec that `to_json` described."""
        vocabulary = Vocabulary.from_json(about["vocabulary"])
        return TurnsCodec(
            vocabulary, about["speakers"], about["turns"], int(about["width"]), settings
        )

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Conversation]:
        """Return `n` conversations of 3 to 8 utterances of an agent and a named caller."""
        words = ["thanks", "the", "router", "is", "slow", "again", "please", "wait", "ok", "bye"]
        names = ["Ada", "Bo", "Cy", "Di"]
        made = []
        for number in range(n):
            speakers = ("Agent", names[number % len(names)] + str(number))
            said = [
                Turn(
                    speakers[int(generator.integers(2))],
                    " ".join(generator.choice(words, generator.integers(1, 9))),
                )
                for _ in range(int(generator.integers(3, 9)))
            ]
            made.append(Conversation(said))
        return made


def _from_cells(table: Table, column: str, strict: bool) -> list[Conversation]:
    found: list[Conversation] = []
    for row, cell in enumerate(table.column(column, "turns")):
        if not cell:
            what = "The conversation has no utterances."
            raise table.refuse(what, row, column, "Take the row out.")
        for place, one in enumerate(cell, 1):
            if strict and not one.text.strip():
                what = f"Utterance {place} of the conversation is empty."
                raise table.refuse(what, row, column, "Take it out, and its label.")
        found.append(cell)
    return found
