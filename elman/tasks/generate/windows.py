"""Batches of documents that have labels: whole ones, or windows of them side by side.

Every document begins with the state of its label, so none may begin inside a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.data import Batches, bucketed
from elman.errors import InputError
from elman.nn.state import flatten, unflatten
from elman.tasks.generate.corpus import Tokens
from elman.tasks.generate.language_model import IGNORED, LanguageModel, short

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledBatch:
    """Steps of documents side by side.

    Attributes:
        inputs: `(T, B)`.
        targets: `(T, B)`, `IGNORED` beyond each length.
        lengths: `(B,)`.
        labels: `(B,)`, codes.
        begins: `(B,)` bool: the state of the label comes before the first step; otherwise that of
            the batch before.
        whole: all are whole documents, so that nothing goes on from them.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor
    labels: Tensor
    begins: Tensor
    whole: bool = False

    @classmethod
    def of(
        cls,
        tokens: Tokens,
        firsts: Ints,
        lengths: Ints,
        labels: Ints,
        begins: NDArray[np.bool_],
        whole: bool = False,
    ) -> Self:
        """Read some steps of some documents from where they stand in `tokens`."""
        steps = np.arange(lengths.max(initial=0))[:, None]
        places = np.minimum(firsts + steps, tokens.predicted - 1)
        targets = np.where(steps < lengths, tokens.ids[places + 1].astype(np.int64), IGNORED)
        return cls(
            torch.from_numpy(tokens.ids[places].astype(np.int64)),
            torch.from_numpy(targets),
            torch.from_numpy(lengths),
            torch.from_numpy(labels),
            torch.from_numpy(begins),
            whole,
        )

    def read(self, model: LanguageModel, carried: Any, device: Any) -> tuple[Tensor, Any]:
        """Return the outputs of a model, and the state to go on from.

        Args:
            model: has labels.
            carried: the state after the batch before; None at the beginning.
            device: of the model.
        """
        labels = self.labels.to(device)
        state = model.start(labels)
        if carried is not None:
            begins = self.begins.to(device)[:, None]
            pairs = zip(flatten(state), flatten(carried), strict=True)
            state = unflatten(state, [torch.where(begins, own, before) for own, before in pairs])
        lengths = self.lengths.to(device)
        output, state = model.read(self.inputs.to(device), state, lengths=lengths, label=labels)
        return output, None if self.whole else state


def batches(
    tokens: Tokens, rows: int, k1: int, *, seed: int, rank: int = 0, world_size: int = 1
) -> Batches[LabelledBatch]:
    """Return batches of documents in a new order each epoch.

    Short documents are read whole. Of long ones, windows of `k1` steps stand one after another in
    `rows` rows; a row that begins inside a document begins with the state of its label.

    Args:
        tokens: documents with labels.
        rows: side by side.
        k1: steps of a window.
        seed: of the orders.
        rank, world_size: this process, and how many share each batch.

    Raises:
        InputError: there are fewer windows than rows.
    """
    assert tokens.labels is not None
    labels, lengths = tokens.labels, tokens.lengths
    share = {"rank": rank, "world_size": world_size}
    if short(tokens, rows):
        size = max(rows, int(rows * k1 / lengths.mean()))

        def whole(chosen: Ints) -> LabelledBatch:
            begins, own = np.ones(len(chosen), bool), lengths[chosen]
            return LabelledBatch.of(
                tokens, tokens.starts[chosen], own, labels[chosen], begins, whole=True
            )

        return Batches(bucketed(lengths, size), whole, seed=seed, **share)
    counts = -(-lengths // k1)
    document = np.repeat(np.arange(len(lengths)), counts)
    place = (np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)) * k1
    if len(document) < rows:
        raise InputError(
            f"there are {len(document)} windows of {k1} symbols for {rows} rows.",
            fix=f"Set batch_size to at most {len(document)}, k1 lower, or give more text.",
        )

    def window(chosen: Ints) -> LabelledBatch:
        there = chosen >= 0
        which = document[chosen]
        left = np.where(there, np.minimum(k1, lengths[which] - place[chosen]), 0)
        begins = place[chosen] == 0
        return LabelledBatch.of(
            tokens, tokens.starts[which] + place[chosen], left, labels[which], begins
        )

    return Batches(_in_rows(counts, rows), window, seed=seed, **share)


def _in_rows(counts: Ints, rows: int) -> Callable[[np.random.Generator], list[Ints]]:
    """Return a rule that puts the windows of shuffled documents into rows, -1 where none is left.

    >>> windows = _in_rows(np.array([2, 1, 2]), 2)(np.random.default_rng(0))
    >>> [one.tolist() for one in windows]
    [[3, 1], [4, 2], [0, -1]]
    """
    firsts = np.cumsum(counts) - counts

    def order(generator: np.random.Generator) -> list[Ints]:
        shuffled = generator.permutation(len(counts))
        windows = [np.arange(firsts[one], firsts[one] + counts[one]) for one in shuffled]
        held = np.full((rows, -(-int(counts.sum()) // rows)), -1)
        held.reshape(-1)[: counts.sum()] = np.concatenate(windows)
        return list(held.T)

    return order
