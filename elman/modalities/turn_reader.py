"""The layer that reads utterances: their words become one vector, beside that of the speaker."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor, nn

from elman.data import Vocabulary
from elman.modalities.text import TokenEmbedding
from elman.nn import Recurrent
from elman.nn.dropout import locked
from elman.nn.pooling import make_pooling

_SHORT = 8
"""Words up to which utterances are read together whatever their lengths are."""


class TurnReader(nn.Module):
    """Conversations `(B, T, 1 + W)`, or utterances `(B, 1 + W)`, to a vector for each utterance.

    All utterances of a batch are read side by side, in a few runs of about equal length: none is
    padded to more than twice its length.

    Args:
        vocabulary: of the words, or characters, or subwords.
        speakers: different codes of speakers.
        settings: `TurnsSettings`.
    """

    stepwise = True

    def __init__(self, vocabulary: Vocabulary, speakers: int, settings: Any) -> None:
        super().__init__()
        assert vocabulary.pad is not None
        self.pad, self.dropout = vocabulary.pad, settings.input_dropout
        self.table = TokenEmbedding(vocabulary, settings)
        self.size = int(settings.embedding_size)
        self.words: Recurrent | None = None
        if settings.utterance_size:
            self.words = Recurrent(
                "gru", self.size, settings.utterance_size, bidirectional=True, batch_first=True
            )
            self.size = self.words.output_size
        self.pooling = make_pooling(
            settings.utterance_pooling, self.size, bidirectional=self.words is not None
        )
        self.output_size = self.size
        self.speakers: nn.Embedding | None = None
        if settings.speaker_size:
            self.speakers = nn.Embedding(speakers, settings.speaker_size, padding_idx=0)
            self.output_size += settings.speaker_size

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, T, F)` or `(B, F)`; without words an utterance has its speaker alone."""
        said = self._read(x[..., 1:].reshape(-1, x.shape[-1] - 1))
        found = said.view(*x.shape[:-1], self.size)
        if self.speakers is not None:
            found = torch.cat((found, self.speakers(x[..., 0])), -1)
        if x.dim() == 2:
            return found
        return locked(found, self.dropout, self.training, time_axis=1)

    def _read(self, words: Tensor) -> Tensor:
        """Return the vector of each utterance `(N, W)`, `(N, F)`."""
        lengths = (words != self.pad).sum(1)
        order = lengths.argsort()
        order = order[int((lengths == 0).sum()) :]
        sizes = lengths[order].tolist()
        parts, first = [], 0
        while first < len(sizes):
            end = bisect_right(sizes, max(_SHORT, 2 * sizes[first]), first)
            rows = order[first:end]
            y = self.table(words[rows, : sizes[end - 1]])
            if self.words is not None:
                y, _ = self.words(y, lengths=lengths[rows])
            parts.append(self.pooling(y, lengths=lengths[rows]))
            first = end
        if not parts:
            return self.table.table.weight.new_zeros(len(words), self.size)
        read = torch.cat(parts)
        return read.new_zeros(len(words), self.size).index_copy(0, order, read)
