"""The codec of conversations: utterances as rows of integers, and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Generator, Tensor, nn

from elman.data import Vocabulary
from elman.data.packed import lengths_of
from elman.data.turns import Conversation, NoTurns, Turn, before_colons, conversation, turn
from elman.errors import InputError
from elman.modalities.base import (
    Array,
    Distance,
    Features,
    Indexed,
    Mixture,
    Padded,
    Shown,
    Stepwise,
)
from elman.modalities.steps import front
from elman.modalities.text import is_path, is_text
from elman.modalities.turn_features import TurnGrams
from elman.modalities.turn_reader import TurnReader

NOBODY = 0
"""Code of a speaker who is not known, and of padding."""
SLOTS = 4
"""Speakers without a name of their own that are told apart; later ones share the last code."""


class TurnsCodec(Stepwise):
    """Conversations as rows of integers: the speaker, then the symbols of the utterance.

    A speaker who takes part in many training conversations has a code by name; any other one by
    the order in which those speak whose names are not known.

    Args:
        vocabulary: of the utterances.
        speakers: those with a code by name.
        turns: whether two of them always took turns in training, in that order, so that this is
            how utterances without speakers are read.
        width: symbols of an utterance that are read.
        settings: a task's, joined with `TurnsSettings`.
    """

    modality: ClassVar[str] = "turns"
    unit = "utterances"
    distances: tuple[Distance, ...] = ()

    def __init__(
        self,
        vocabulary: Vocabulary,
        speakers: Sequence[str],
        turns: bool,
        width: int,
        settings: Any,
    ) -> None:
        assert vocabulary.pad is not None
        self.vocabulary, self.settings, self.width = vocabulary, settings, width
        self.pad: int = vocabulary.pad
        self.speakers, self.turns = list(speakers), turns
        self._codes = {name: code for code, name in enumerate(self.speakers, NOBODY + 1)}
        self._grams = TurnGrams(vocabulary.unit, frozenset(self.speakers))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "vocabulary": self.vocabulary.to_json(),
            "speakers": self.speakers,
            "turns": self.turns,
            "width": self.width,
        }

    @property
    def codes(self) -> int:
        """Different codes of speakers."""
        return NOBODY + 1 + len(self.speakers) + SLOTS

    def encode(self, cell: Any) -> Array:
        """Return `(T, 1 + W)`: the code of the speaker, then the utterance's symbols, padded."""
        return self._rows(cell[: self.settings.max_length], self.begin()[0])[0]

    def _rows(self, said: Sequence[Turn], met: Tensor) -> tuple[Array, Tensor]:
        """Return utterances as rows, and whom the conversation has met then."""
        rows = np.full((len(said), 1 + self.width), self.pad, np.int32)
        each = self.vocabulary.encode_each([one.text for one in said])
        for row, symbols in zip(rows, each, strict=True):
            row[1 : 1 + len(symbols)] = symbols[: self.width]
        known = met.tolist()
        for row, one in zip(rows, said, strict=True):
            row[0] = self._speaker(one.speaker, known)
        return rows, torch.tensor(known)

    def _speaker(self, name: str, met: list[int]) -> int:
        """Return the code of the next speaker; `met` counts utterances and keeps new names."""
        count, *others = met
        met[0] = count + 1
        if not name:
            return self._codes[self.speakers[count % 2]] if self.turns else NOBODY
        if name in self._codes:
            return self._codes[name]
        mark = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") >> 1 or 1
        if mark not in others:
            place = others.index(0) if 0 in others else SLOTS - 1
            met[1 + place] = mark
            return NOBODY + 1 + len(self.speakers) + place
        return NOBODY + 1 + len(self.speakers) + others.index(mark)

    def decode(self, array: Array) -> Any:
        """Return the conversation, in symbols of the vocabulary, with speakers by name or order."""
        return Conversation(
            Turn(self._name(int(row[0])), self.vocabulary.decode(row[1:])) for row in array
        )

    def _name(self, code: int) -> str:
        if code <= len(self.speakers):
            return "" if code == NOBODY else self.speakers[code - NOBODY - 1]
        return f"speaker {code - len(self.speakers)}"

    def refuse(self, cell: Any) -> str | None:
        """Return what is wrong with a conversation without utterances."""
        return None if len(cell) else "The conversation has no utterances."

    def batch(self, arrays: Sequence[Array]) -> Padded:
        """Return `(B, T, 1 + W)`; beyond each length nobody says nothing."""
        lengths = lengths_of(arrays)
        shape = (len(arrays), int(lengths.max(initial=0)), 1 + self.width)
        padded = np.full(shape, self.pad, np.int32)
        padded[..., 0] = NOBODY
        for row, x in enumerate(arrays):
            padded[row, : len(x)] = x
        return Padded(torch.from_numpy(padded), torch.from_numpy(lengths))

    def reader(self) -> tuple[nn.Module, int]:
        """Return the vectors of utterances beside those of their speakers."""
        reader = TurnReader(self.vocabulary, self.codes, self.settings)
        return reader, reader.output_size

    def grown(self, other: Self) -> Self:
        """Return the codec with the words and speakers of another one after its own."""
        return type(self)(
            self.vocabulary.grown(other.vocabulary),
            [*dict.fromkeys([*self.speakers, *other.speakers])],
            self.turns,
            max(self.width, other.width),
            self.settings,
        )

    def indexed(self) -> list[Indexed]:
        """Return the words and the codes of speakers, each with a row of its embedding."""
        words = self.vocabulary
        symbols = Indexed(words.unit, words.symbols, {"table.table.weight": (0,)}, words.unknown)
        if not self.settings.speaker_size:
            return [symbols]
        codes = [NOBODY, *self.speakers, *((NOBODY, place) for place in range(SLOTS))]
        return [symbols, Indexed("speakers", codes, {"speakers.weight": (0,)})]

    def front(self, size: int) -> Any:
        """Return convolutions over utterances, or None."""
        return front(self.settings, size)

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return the batch with the speakers of some conversations unknown."""
        chance = self.settings.speaker_dropout if self.settings.speaker_size else 0.0
        if not chance:
            return batch
        drawn = torch.rand(len(batch.inputs), 1, generator=generator) < chance
        inputs = batch.inputs.clone()
        inputs[..., 0] = inputs[..., 0].masked_fill(drawn.to(inputs.device), NOBODY)
        return Padded(inputs, batch.lengths)

    def mixed(self, batch: Padded) -> Mixture | None:
        """Return None: conversations cannot be mixed."""
        return None

    def features(self, cells: Sequence[Any]) -> Features:
        """Return tf-idf weights of n-grams of whole conversations, and their presence as counts."""
        return self._grams.whole(cells)

    def step_features(self, cells: Sequence[Any]) -> list[Features]:
        """Return tf-idf weights of each utterance and its speaker: alone, and with its neighbours.

        A model that reads forwards only has those before it as its rivals' neighbours too.
        """
        return self._grams.steps(cells, getattr(self.settings, "bidirectional", True))

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the features whose n-grams were kept."""
        return self._grams.kept(facts, arrays)

    def step(self, value: Any) -> Tensor:
        """Return the utterance of a new conversation, `(1, 1, 1 + W)`."""
        return self.take(value, self.begin())[0]

    def begin(self) -> tuple[Tensor, ...]:
        """Return the number of utterances so far and the speakers met: none, `(1 + SLOTS,)`."""
        return (torch.zeros(1 + SLOTS, dtype=torch.int64),)

    def take(self, value: Any, waiting: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next utterance, or several of a list, and whom the conversation has met.

        Args:
            value: a text, a pair (speaker, text), an object with both, or a list of them.
            waiting: what the utterance before left.

        Raises:
            InputError: it is none of these, or there is no word in it.
        """
        try:
            said = conversation(value) if isinstance(value, list) else Conversation([turn(value)])
        except NoTurns as error:
            raise InputError(
                str(error), fix='Give a text, a pair ("agent", "Hello."), or a list of them.'
            ) from None
        if not said or not all(one.text.strip() for one in said):
            raise InputError("There is no word in this utterance.")
        rows, met = self._rows(said, waiting[0])
        return torch.from_numpy(rows)[None], (met,)

    def raw(self, data: Any) -> list[Any] | None:
        """Return conversations from lists of utterances; None where `data` names files.

        Args:
            data: a list of conversations, each a list of texts, pairs (speaker, text) or objects;
                or one conversation; or a text with an utterance a line, whose speaker may stand
                before a colon.

        Raises:
            InputError: an utterance is none of these.
        """
        if isinstance(data, Conversation):
            return [data]
        if is_text(data):
            lines = [line.strip() for line in data.splitlines() if line.strip()]
            return [Conversation(before_colons(lines))]
        if not isinstance(data, list) or not data:
            return None
        if all(isinstance(one, str) for one in data):
            return None if any(map(is_path, data)) else [conversation(data)]
        if not all(isinstance(one, list | Conversation | tuple | dict) for one in data):
            return None
        cells = data if all(isinstance(one, list | Conversation) for one in data) else [data]
        found = []
        for place, cell in enumerate(cells, 1):
            try:
                found.append(conversation(cell))
            except NoTurns as error:
                raise InputError(
                    f"Conversation {place}: {error}",
                    fix='Give lists of texts, or of pairs ("agent", "Hello.").',
                ) from None
        return found

    def cut(self, cell: Any) -> list[Any]:
        """Return the utterances."""
        return list(cell[: self.settings.max_length])

    def show(self, array: Array) -> Shown:
        """Return each utterance as the model reads it."""
        steps = [str(one) or "…" for one in self.decode(array)]
        return Shown(steps, pieces=[f"{step}\n" for step in steps])

    def told(self, cell: Any) -> str | None:
        """Return the conversation, an utterance a line."""
        return str(cell)

    def places(self, cell: Any) -> list[tuple[int, int]]:
        """Return the characters of the text of `told` where each utterance begins and ends."""
        ends = np.cumsum([len(str(one)) + 1 for one in cell]).tolist()
        return [(end - len(str(one)) - 1, end - 1) for one, end in zip(cell, ends, strict=True)]

    def told_steps(self, cell: Any) -> dict[str, list[Any]]:
        """Return who speaks and what."""
        return {
            "speaker": [one.speaker for one in cell],
            "utterance": [one.text for one in cell],
        }

    def told_cells(self, cells: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return how many conversations and utterances there are, and who speaks."""
        said = [one for cell in cells for one in cell]
        counts = Counter(one.speaker for one in said if one.speaker)
        words = f"{len(cells):,} conversations of {len(said):,} utterances; {self._who(counts)}"
        longer = sum(len(ids) > self.width for ids in self._symbols(said))
        if longer:
            words += f"; {longer:,} utterances are longer than {self.width} {self.vocabulary.unit}"
            words += " and cut"
        doubts = []
        single = sum(len(cell) == 1 for cell in cells)
        if single:
            doubts.append(
                f"{single:,} of {len(cells):,} conversations have one utterance. If their rows "
                "belong together, name the column that says so with --set group=NAME."
            )
        if len(counts) == 1 and len(said) > single:
            doubts.append(
                f"all utterances are of one speaker, {next(iter(counts))!r}: is the right column "
                "read as the speaker? If not, set columns=[TEXT,SPEAKER]."
            )
        mute = sum(not one.speaker for one in said)
        if counts and mute:
            doubts.append(f"{mute:,} of {len(said):,} utterances name no speaker.")
        return [("turns", words)], doubts

    def _symbols(self, said: Sequence[Turn]) -> Iterable[Array]:
        return self.vocabulary.encode_each([one.text for one in said])

    def _who(self, counts: Counter[str]) -> str:
        if not counts:
            return "no speakers are named"
        named = [f"{name} {counts[name]:,}" for name in self.speakers[:6]]
        others = len(set(counts) - set(self.speakers))
        if len(self.speakers) > 6:
            named.append(f"{len(self.speakers) - 6} more")
        if others:
            order = "by the order in which they speak"
            named.append(f"{others:,} {'others ' * bool(named)}{order}")
        return f"speakers: {', '.join(named)}"
