"""Vectors of runs of symbols: the last two, three, … symbols together, found by a hash."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.stream import identity
from elman.nn.stream import HeldStream

# Odd numbers with bits all over: the multipliers of a hash (Steele & Vigna 2021, for 64 bits).
_MIX, _NEXT = 0xD1342543DE82EF95 - (1 << 64), 0xAF251AF3B0F025B5 - (1 << 64)


class GramVectors(nn.Module):
    """A vector for each run of 2 to `longest` symbols that ends with a symbol, summed.

    g_t = Σ_{n=2}^{N} G_n[hash(y_{t-n+1}, …, y_t)]

    It is added to the vector of the symbol itself, so that a recurrence need not remember the
    last few symbols by their order to know them (hash n-gram embeddings, Pagnoni et al. 2024;
    Mikolov et al. 2011 gave such features to the output). Runs that share a place in a table
    share a vector. A run never reaches beyond the beginning of a document: what would be there
    is one symbol of its own.

    Args:
        symbols: size of the vocabulary.
        size: features of a vector.
        longest: symbols of the longest run, 2 at least.
        rows: vectors for the runs of each length.
        spread: of the vectors at the start of training.

    >>> grams = GramVectors(symbols=9, size=4, longest=3, rows=50)
    >>> vectors, before = grams(torch.tensor([[1], [5], [2]]))
    >>> vectors.shape, before
    (torch.Size([3, 1, 4]), tensor([[5, 2]]))
    """

    def __init__(
        self, symbols: int, size: int, longest: int, rows: int, spread: float = 0.3
    ) -> None:
        super().__init__()
        self.symbols, self.rows, self.before = symbols, rows, longest - 1
        self.table = nn.Parameter(torch.randn(self.before * rows, size) * spread)

    def start(self, batch: int, device: torch.device | None = None) -> Tensor:
        """Return the symbols before a document, `(batch, longest - 1)`: none."""
        return torch.full((batch, self.before), self.symbols, device=device)

    def forward(
        self, tokens: Tensor, before: Tensor | None = None, reset: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the vectors `(T, B, size)` of tokens `(T, B)`, and the last symbols.

        Args:
            tokens: the symbols.
            before: `(B, longest - 1)`, the symbols before them; None where a document begins.
            reset: `(T, B)`, where another document begins.
        """
        steps = len(tokens)
        if before is None:
            before = self.start(tokens.shape[1], tokens.device)
        whole = torch.cat((before.T, tokens))
        begun = None
        if reset is not None:
            begun = F.pad(reset.long().cumsum(0), (0, 0, self.before, 0))
        places = []
        found = tokens + 1
        for back in range(1, self.before + 1):
            past = whole[self.before - back : len(whole) - back]
            if begun is not None:
                same = begun[self.before :] == begun[self.before - back : len(begun) - back]
                past = torch.where(same, past, self.symbols)
            # Products leave 64 bits and go on with what is left, as a hash wants it.
            found = (found * _MIX + past + 1) * _NEXT
            places.append((found >> 32) % self.rows + (back - 1) * self.rows)
        vectors = F.embedding(torch.stack(places, -1), self.table).sum(-2)
        last = whole[steps:]
        if begun is not None:
            last = torch.where(begun[steps:] == begun[-1], last, self.symbols)
        return vectors, last.T


class GramStream(HeldStream):
    """The vectors of symbols and of the runs they end, on a stream of symbols.

    Args:
        embedding: vectors of the symbols; its weights are copied, as those of `grams`.
        grams: vectors of the runs.
        batch: rows that are fed side by side.

    >>> grams = GramVectors(symbols=9, size=4, longest=3, rows=50)
    >>> stream = GramStream(nn.Embedding(9, 4), grams, batch=2)
    >>> stream.step(torch.tensor([3, 1])).shape
    torch.Size([2, 4])
    """

    def __init__(self, embedding: nn.Embedding, grams: GramVectors, batch: int) -> None:
        super().__init__(batch, (grams.start(batch, grams.table.device),))
        self._embedding = copy.deepcopy(embedding).requires_grad_(False)
        self._grams = copy.deepcopy(grams).requires_grad_(False)
        self.identity = identity(self._embedding, self._grams)

    def _step(self, given: Any) -> Tensor:
        return self._chunk(torch.as_tensor(given)[None])[0]

    def _chunk(self, x: Tensor) -> Tensor:
        (before,) = self._state
        vectors, before = self._grams(x, before)
        self._state = (before,)
        return vectors + self._embedding(x)  # type: ignore[no-any-return]
