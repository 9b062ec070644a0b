"""A recurrent language model, what each token costs it, and what it would write next."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn import Recurrent
from elman.nn.decoder import StateFrom
from elman.nn.dropout import locked
from elman.nn.stream import ModelStream
from elman.tasks.generate.corpus import Tokens

WARM_UP = 1000
"""Tokens a row of an evaluation reads before those it is judged on."""

IGNORED = -100
"""A target that is none: padding."""

LABEL_SIZE = 32
"""Features of the vector of a label."""

# Spread of what an embedded symbol adds to a gate at the start of training.
_HEARD = 0.5
_ROWS = 64
_PIECE = 4 * WARM_UP
"""Tokens of a long document that are counted in one row, beside those that lead to them."""
# Scores held at once, so that a large vocabulary does not take much memory.
_SCORES = 1 << 22


class LanguageModel(nn.Module):
    """Embedding, recurrence, scores of every next symbol; time comes first.

    Args:
        symbols: size of the vocabulary.
        embedding_size: features of an embedded symbol.
        recurrent: takes `embedding_size` features.
        dropout: of embedded symbols and of the recurrence's output.
        embedding_dropout: of whole symbols (Gal & Ghahramani 2016).
        variational: the masks of `dropout` are the same in every step.
        tied: the scores use the embedding's weights (Inan et al. 2017; Press & Wolf 2017);
            where the recurrence's output has another size, a linear map comes between.
        labels: how many labels a text may have. Its vector, of `LABEL_SIZE` features, is read
            beside each symbol, so `recurrent` takes as many more; and a document begins with the
            state that a linear map and tanh make of it.
    """

    def __init__(
        self,
        symbols: int,
        embedding_size: int,
        recurrent: Recurrent,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        variational: bool = False,
        tied: bool = False,
        labels: int = 0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding_size)
        self.recurrent = recurrent
        self.dropout, self.embedding_dropout = dropout, embedding_dropout
        self.variational = variational
        width = recurrent.output_size
        between = tied and width != embedding_size
        self.between = nn.Linear(width, embedding_size) if between else nn.Identity()
        # One weight under one name, so that it is saved once.
        self.head = None if tied else nn.Linear(width, symbols, bias=False)
        self.bias = nn.Parameter(torch.zeros(symbols))
        if tied:
            # Scores begin small, so that all symbols are about equally likely.
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        else:
            # Gates hear their input from the first step: with Glorot's weights what a symbol adds
            # to them has this spread.
            spread = _HEARD * math.sqrt((embedding_size + width) / (2 * embedding_size))
            nn.init.normal_(self.embedding.weight, std=spread)
        self.label: nn.Embedding | None = None
        if labels:
            self.label = nn.Embedding(labels, LABEL_SIZE)
            nn.init.normal_(self.label.weight, std=_HEARD)
            self.begin = StateFrom(LABEL_SIZE, recurrent)

    def start(self, label: Tensor | None = None, batch: int = 1) -> Any:
        """Return the state before a document's first symbol.

        Args:
            label: the codes of labels, `(B,)`; None where the model has none.
            batch: how many documents, where there is no label.
        """
        if label is None:
            return self.recurrent.init_state(batch, self.embedding.weight.device)
        return self.begin(self._vectors(label))

    def _vectors(self, label: Tensor) -> Tensor:
        assert self.label is not None
        found: Tensor = self.label(label)
        return found

    def read(
        self,
        tokens: Tensor,
        state: Any = None,
        reset: Tensor | None = None,
        lengths: Tensor | None = None,
        label: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Tokens `(T, B)` to what the recurrence gives out, `(T, B, H)`, and its state.

        Args:
            tokens: `(T, B)`.
            state: before the first; None where documents begin.
            reset: where another document begins. It begins from zero, whatever its label.
            lengths: `(B,)`.
            label: codes of labels, of each row `(B,)` or of each step `(T, B)`.
        """
        weight = self.embedding.weight
        if self.training and self.embedding_dropout:
            weight = weight * F.dropout(weight.new_ones(len(weight), 1), self.embedding_dropout)
        x = self._dropped(F.embedding(tokens, weight))
        if label is not None:
            vectors = self._vectors(label)
            x = torch.cat((x, vectors.expand(*x.shape[:2], -1)), 2)
            if state is None and len(tokens):
                state = self.begin(vectors if label.dim() == 1 else vectors[0])
        output, state = self.recurrent(x, state, lengths=lengths, reset=reset)
        return output, state

    def scores(self, output: Tensor) -> Tensor:
        """Turn outputs of `read` into unnormalised log-probabilities `(..., symbols)`."""
        return F.linear(*self.scoring(output))

    def scoring(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what scores are a linear map of, its weight and its bias."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        return self.between(output), weight, self.bias

    def dropped(self, output: Tensor) -> Tensor:
        """`read`'s output as `scores` is to have it in training."""
        return self._dropped(output)

    def forward(
        self,
        tokens: Tensor,
        state: Any = None,
        reset: Tensor | None = None,
        label: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Tokens `(T, B)` to scores of the token after each, `(T, B, symbols)`, and the state."""
        output, state = self.read(tokens, state, reset, label=label)
        return self.scores(self.dropped(output)), state

    def stream(
        self, batch: int = 1, label: int | None = None, *, scored: bool = True
    ) -> ModelStream:
        """Return the model on a stream: symbols `(B,)` in, scores of the next `(B, symbols)` out.

        It begins from zero: where there is a label, set its state to `start` first.

        Args:
            batch: rows that go side by side.
            label: the code of the label of all rows.
            scored: whether scores come out; otherwise what `scores` makes them of, `(B, H)`.
        """
        read = self.embedding
        if self.label is not None:
            assert label is not None
            beside = self.label.weight[label].expand(len(self.embedding.weight), -1)
            table = torch.cat((self.embedding.weight, beside), 1).detach()
            read = nn.Embedding(table.shape[0], table.shape[1], _weight=table)
        parts: list[tuple[str, nn.Module]] = [("embedding", read), ("recurrent", self.recurrent)]
        if scored:
            weight = self.embedding.weight if self.head is None else self.head.weight
            scores = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
            scores.weight, scores.bias = nn.Parameter(weight), self.bias
            parts += [("between", self.between), ("scores", scores)]
        return ModelStream(parts, batch)

    def _dropped(self, x: Tensor) -> Tensor:
        if self.variational:
            return locked(x, self.dropout, self.training)
        return F.dropout(x, self.dropout, self.training)


@torch.inference_mode()
def costs(model: LanguageModel, tokens: Tokens, *, rows: int | None = None) -> NDArray[np.float64]:
    """Nats that each of `tokens.ids[1:]` costs the model, `(N - 1,)`, given all before it.

    Short documents are run whole, many at a time. A longer text is one sequence whose
    state is carried to its end and reset only where a document begins; to run many
    tokens at once it is cut into rows, and each row first reads the `WARM_UP` tokens
    before it. `rows=1` cuts nothing, and takes longer.

    Where documents have labels each is run by itself, the long ones in pieces side by side, which
    read the tokens before them in the same way.
    """
    model.eval()
    if tokens.labels is not None:
        return _in_pieces(model, tokens, tokens.labels)
    if rows is None and short(tokens, _ROWS):
        return _by_document(model, tokens)
    rows = rows or min(_ROWS, max(1, tokens.predicted // (4 * WARM_UP)))
    return _in_rows(model, tokens, rows)


def short(tokens: Tokens, rows: int) -> bool:
    """Tell whether documents are better run whole than as `rows` rows of one text.

    They are where resets in one row or another would come every few steps.
    """
    lengths = np.diff(tokens.starts)
    return len(lengths) > 0 and lengths.mean() < 8 * rows and lengths.max() <= 2 * WARM_UP


def _in_rows(model: LanguageModel, tokens: Tokens, rows: int) -> NDArray[np.float64]:
    count, symbols = tokens.predicted, len(model.embedding.weight)
    device = model.embedding.weight.device
    width = math.ceil(count / rows)
    firsts = np.arange(rows) * width
    begins = np.zeros(len(tokens.ids), bool)
    begins[tokens.starts] = True
    steps = min(256, max(1, _SCORES // (rows * symbols)))
    warm_up = min(WARM_UP, width) if rows > 1 else 0
    windows = [(low, min(low + steps, 0)) for low in range(-warm_up, 0, steps)]
    windows += [(low, min(low + steps, width)) for low in range(0, width, steps)]
    found = np.zeros((rows, width))
    state = None
    for low, high in windows:
        wanted = firsts + np.arange(low, high)[:, None]
        places = np.clip(wanted, 0, count - 1)
        inputs = torch.from_numpy(tokens.ids[places].astype(np.int64)).to(device)
        reset = begins[places] & (places == wanted)
        if state is None:
            reset[0] = False
        here = torch.from_numpy(reset).to(device) if reset.any() else None
        output, state = model.read(inputs, state, here)
        if low >= 0:
            targets = torch.from_numpy(tokens.ids[places + 1].astype(np.int64)).to(device)
            found[:, low:high] = _nats(model.scores(output), targets).T
    return found.reshape(-1)[:count]


def _by_document(model: LanguageModel, tokens: Tokens) -> NDArray[np.float64]:
    device = model.embedding.weight.device
    found = np.zeros(tokens.predicted)
    lengths = tokens.lengths
    order = np.argsort(-lengths, kind="stable")
    room = _SCORES // len(model.embedding.weight)
    done = 0
    while done < len(order):
        chosen = order[done : done + max(1, room // max(1, int(lengths[order[done]])))]
        done += len(chosen)
        inputs, targets = padded(tokens, chosen)
        if not len(inputs):
            break
        sizes = torch.from_numpy(lengths[chosen])
        output, _ = model.read(inputs.to(device), lengths=sizes.to(device))
        nats = _nats(model.scores(output), targets.to(device))
        for column, document in enumerate(chosen):
            first, size = tokens.starts[document], lengths[document]
            found[first : first + size] = nats[:size, column]
    return found


def _in_pieces(
    model: LanguageModel, tokens: Tokens, labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the costs of documents with labels, the long ones cut into pieces."""
    symbols, device = len(model.embedding.weight), model.embedding.weight.device
    found = np.zeros(tokens.predicted)
    # Where each piece begins to read, where it begins to count, where it ends, and its label.
    pieces = np.array(
        [
            (max(int(begin), first - WARM_UP), first, min(first + _PIECE, int(end)), code)
            for begin, end, code in zip(
                tokens.starts, tokens.starts + tokens.lengths, labels, strict=True
            )
            for first in range(int(begin), int(end), _PIECE)
        ],
        np.int64,
    ).reshape(-1, 4)
    order = np.argsort(pieces[:, 0] - pieces[:, 2], kind="stable")
    done = 0
    while done < len(order):
        longest = int(pieces[order[done], 2] - pieces[order[done], 0])
        rows = max(_ROWS, _SCORES // (symbols * min(longest, 256)))
        steps = min(256, max(1, _SCORES // (rows * symbols)))
        chosen = pieces[order[done : done + rows]]
        done += len(chosen)
        code = torch.from_numpy(chosen[:, 3]).to(device)
        state = model.start(code)
        for low in range(0, longest, steps):
            places = chosen[:, 0] + np.arange(low, min(low + steps, longest))[:, None]
            there = places < chosen[:, 2]
            inside = np.minimum(places, tokens.predicted - 1)
            inputs, targets = (
                torch.from_numpy(tokens.ids[at].astype(np.int64)).to(device)
                for at in (inside, inside + 1)
            )
            sizes = torch.from_numpy(there.sum(0)).to(device)
            output, state = model.read(inputs, state, lengths=sizes, label=code)
            counted = there & (places >= chosen[:, 1])
            if counted.any():
                found[places[counted]] = _nats(model.scores(output), targets)[counted]
    return found


def padded(tokens: Tokens, documents: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Inputs and targets `(T, B)` of whole documents; targets beyond an end are `IGNORED`."""
    lengths = tokens.lengths[documents]
    steps = np.arange(lengths.max(initial=0))[:, None]
    places = np.minimum(tokens.starts[documents] + steps, tokens.predicted - 1)
    inputs = tokens.ids[places].astype(np.int64)
    targets = np.where(steps < lengths, tokens.ids[places + 1].astype(np.int64), IGNORED)
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def _nats(scores: Tensor, targets: Tensor) -> NDArray[np.float64]:
    nats = F.cross_entropy(
        scores.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED
    )
    return nats.view(targets.shape).double().cpu().numpy()
