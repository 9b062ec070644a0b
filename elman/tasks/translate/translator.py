"""An encoder-decoder over symbols, with copying from the source, and what each target costs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn import state as states
from elman.nn.attention import Memory, make_attention
from elman.nn.decoder import Decoder, Inner, Written
from elman.nn.decoding import Step
from elman.nn.masking import reverse_valid
from elman.nn.seq2seq import EncoderDecoder, free_running_rate
from elman.tasks.translate.matching import Matching, Terms
from elman.tasks.translate.symbols import Source, Symbols

IGNORED = -100
"""A target that is none: padding."""


class Scores(nn.Module):
    """Scores of every symbol from the features of a decoder: E (B a) + b, with E its embedding.

    Inan, Khosravi & Socher 2017; Press & Wolf 2017. B is left out where both have one size.

    Args:
        features: size of a.
        embedding: whose weights are E; None where the scores have weights of their own.
        symbols: how many there are.
    """

    def __init__(self, features: int, embedding: nn.Embedding | None, symbols: int) -> None:
        super().__init__()
        width = features if embedding is None else embedding.embedding_dim
        self.between = nn.Linear(features, width) if width != features else nn.Identity()
        self.own = nn.Linear(features, symbols, bias=False) if embedding is None else None
        self.bias = nn.Parameter(torch.zeros(symbols))
        # In a list, so that one weight has one name and is saved once.
        self._tied = [embedding]

    def forward(self, features: Tensor) -> Tensor:
        """Return scores `(..., symbols)` of features `(..., F)`."""
        tied = self._tied[0]
        weight = self.own.weight if self.own is not None else tied.weight  # type: ignore[union-attr]
        return F.linear(self.between(features), weight, self.bias)


class Batch(NamedTuple):
    """Pairs side by side.

    Attributes:
        source: `(B, S)`; lengths: `(B,)`.
        copies: what each symbol of a source is when it is copied, `(B, S)`.
        target: `(B, T)` with its end, `IGNORED` beyond it.
    """

    source: Tensor
    lengths: Tensor
    copies: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.source)

    def to(self, device: Any) -> Batch:
        """Return the batch on a device."""
        return Batch(*(part.to(device) for part in self))

    def take(self, rows: Tensor) -> Batch:
        """Return some of the pairs, by their numbers `(n,)`."""
        return Batch(*(part[rows] for part in self))

    @classmethod
    def of(
        cls, sources: Sequence[Source], targets: Sequence[np.ndarray[Any, Any]], pad: int
    ) -> Self:
        """Return sources and as many targets, padded."""
        ids = _padded([one.ids for one in sources], pad)
        copies = _padded([one.copies for one in sources], pad)
        lengths = torch.tensor([len(one.ids) for one in sources], dtype=torch.int64)
        return cls(ids, lengths, copies, _padded(targets, IGNORED))


def _padded(rows: Sequence[np.ndarray[Any, Any]], pad: int) -> Tensor:
    longest = max(map(len, rows), default=0)
    found = np.full((len(rows), longest), pad, np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return torch.from_numpy(found)


class Read(NamedTuple):
    """Texts that the encoder has read.

    Attributes:
        x: the embedded symbols, `(B, S, E)`.
        outputs, ended: what the encoder gives out, `(B, S, H)`, and its last state.
        lengths: symbols of each, `(B,)`.
    """

    x: Tensor
    outputs: Tensor
    ended: Any
    lengths: Tensor


class Translator(nn.Module):
    """Read symbols, write symbols; batch first.

    With copying (See, Liu & Manning 2017) the probability of a symbol y at a step is

    P(y) = p softmax(scores)_y + (1 - p) Σ_{j: x_j = y} weights_j        p = σ(w · a)

    with the attention `weights` to the source x and the features a that the scores are made of.

    Args:
        symbols: both vocabularies.
        settings: of the task.
    """

    def __init__(self, symbols: Symbols, settings: Any) -> None:
        super().__init__()
        self.unk, self.bos = symbols.unk, symbols.bos
        self.size, self.pad = len(symbols.target), symbols.pad
        width = settings.embedding_size or settings.hidden_size
        embedding = _embedding(self.size, width, symbols.target.pad)
        ours = embedding
        if not symbols.joint:
            ours = _embedding(len(symbols.source), width, symbols.source.pad)
        encoder = settings.build(width, bidirectional=settings.bidirectional)
        attention = None
        inside = settings.input_feeding
        plain = settings.build(width, reads=encoder.output_size)
        if settings.attention != "none":
            attention = make_attention(settings.attention, plain.output_size, encoder.output_size)
        recurrent = settings.build(width + plain.output_size) if inside else plain
        head = Scores(recurrent.output_size, embedding if settings.tied else None, self.size)
        decoder = Decoder(
            embedding,
            recurrent,
            head,
            bos=symbols.bos,
            eos=symbols.eos,
            attention=attention,
            input_feeding=inside,
            coverage=settings.coverage > 0,
            dropout=settings.dropout,
        )
        self.net = EncoderDecoder(
            encoder,
            decoder,
            embedding=None,
            reverse_source=settings.reverse_source,
        )
        # A joint embedding has one name, that of the decoder.
        self.reading = None if symbols.joint else ours
        self.gate = nn.Linear(recurrent.output_size, 1) if settings.copying else None
        self.share = settings.matching or 0.0
        self.matching = None
        if self.share:
            self.matching = Matching(width, encoder.output_size, settings.hidden_size)
        self.dropout = settings.dropout
        self.covering = settings.coverage
        self.sampling: int | None = settings.scheduled_sampling
        # Kept with the parameters, so that a resumed run samples as often.
        self.batches: Tensor
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def start(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Inner, Memory | None]:
        """Read sources `(B, S)`; return the first symbols, the state before them, the memory."""
        return self._begin(self._read(source, lengths))

    def written(self, batch: Batch, *, free_running: float = 0.0) -> Written:
        """Return features and attention for every symbol of the targets, given those before."""
        return self._written(batch, self._read(batch.source, batch.lengths), free_running)

    def _read(self, source: Tensor, lengths: Tensor) -> Read:
        table = self.reading if self.reading is not None else self.net.decoder.embedding
        x = F.dropout(table(source), self.dropout, self.training)
        outputs, ended, _ = self.net.encode(x, lengths=lengths)
        return Read(x, outputs, ended, lengths)

    def _begin(self, read: Read) -> tuple[Tensor, Inner, Memory | None]:
        begun = self.net.begin(read.outputs, read.ended, lengths=read.lengths)
        tokens, (inner, fed, memory, seen) = begun
        return tokens, (inner, fed, seen), memory

    def _written(self, batch: Batch, read: Read, free_running: float) -> Written:
        tokens, (inner, fed, seen), memory = self._begin(read)
        target = self._known(batch.target.clamp(min=0))
        lengths = (batch.target != IGNORED).sum(1)
        state = inner, fed, memory, seen
        return self.net.decoder.unroll(
            target, tokens, state, lengths=lengths, free_running=free_running
        )

    def matches(self, batch: Batch, each: int) -> Tensor:
        """Return how well each of some replies matches its context, `(B, each)`.

        Only a model that learns to match can tell.

        Args:
            batch: B contexts, and `each` replies for each of them, `(B · each, T)`.
            each: replies for each context.
        """
        assert self.matching is not None
        contexts = self._terms(self._read(batch.source, batch.lengths))
        found: Tensor = self.matching.scores(contexts, self._reply(batch).shared_out(each))
        return found

    def _reply(self, batch: Batch) -> Terms:
        there = batch.target != IGNORED
        # One vocabulary serves both sides, so that the encoder can read a reply, with its end.
        ids = self._known(batch.target).masked_fill(~there, self.pad)
        return self._terms(self._read(ids, there.sum(1)))

    def _terms(self, read: Read) -> Terms:
        assert self.matching is not None
        # Outputs of an encoder that reads backwards are in that order.
        y = self._in_memory(read.outputs, read.lengths)
        found: Terms = self.matching(read.x, y, read.lengths)
        return found

    def loss(self, batch: Batch, smoothing: float) -> Tensor:
        """Return the summed cost of the targets in training, with what coverage adds.

        Where the model learns to match, its mean is (1 - share) of this and share of the nats of
        choosing the true reply among those of the batch.
        """
        rate = 0.0
        if self.sampling is not None:
            rate = free_running_rate(int(self.batches), self.sampling)
            if self.training:
                self.batches += 1
        read = self._read(batch.source, batch.lengths)
        written = self._written(batch, read, rate)
        total = self._costs(written, batch, smoothing).sum()
        if self.covering and written.weights is not None:
            there = (batch.target != IGNORED).unsqueeze(-1)
            before = written.weights.cumsum(1) - written.weights
            twice = torch.minimum(written.weights, before) * there
            total = total + self.covering * twice.sum()
        if self.matching is None:
            return total
        replies = self._known(batch.target)
        same = (replies.unsqueeze(0) == replies.unsqueeze(1)).all(-1)
        choosing = self.matching.cost(self._terms(read), self._reply(batch), same)
        symbols = (batch.target != IGNORED).sum()
        return (1 - self.share) * total + self.share * symbols * choosing

    def costs(self, batch: Batch) -> Tensor:
        """Return the nats that each symbol of the targets costs, `(B, T)`, 0 beyond their ends."""
        found = self._costs(self.written(batch), batch, 0.0)
        there = batch.target != IGNORED
        return found.new_zeros(there.shape).masked_scatter(there, found)

    def looks(self, batch: Batch) -> Tensor | None:
        """Return where the decoder looks for each symbol of the targets, `(B, T, S)`, or None."""
        weights = self.written(batch).weights
        if weights is None or not self.net.reverse_source:
            return weights
        return reverse_valid(weights.transpose(1, 2), batch.lengths).transpose(1, 2)

    def _costs(self, written: Written, batch: Batch, smoothing: float) -> Tensor:
        """Return the cost of each symbol that is there, `(n,)`: only those are scored."""
        there = batch.target != IGNORED
        features, target = written.features[there], batch.target[there]
        scores = self.net.decoder.head(features).float()
        if self.gate is None or written.weights is None:
            target = self._known(target)
            return F.cross_entropy(scores, target, reduction="none", label_smoothing=smoothing)
        own = scores.log_softmax(-1)
        p = self.gate(features).float().squeeze(-1)
        inside = target < self.size
        chosen = own.gather(-1, target.clamp(max=self.size - 1).unsqueeze(-1)).squeeze(-1)
        made = (F.logsigmoid(p) + chosen).masked_fill(~inside, -torch.inf)
        copies = self._in_memory(batch.copies, batch.lengths)
        same = copies.unsqueeze(1) == batch.target.unsqueeze(2)
        copied = (written.weights.float() * same).sum(-1)[there]
        copied = F.logsigmoid(-p) + copied.clamp(min=1e-30).log()
        cost = -torch.logaddexp(made, copied)
        if smoothing:
            cost = (1 - smoothing) * cost - smoothing * own.mean(-1)
        return cost

    def step(self, batch: Batch, memory: Memory | None) -> Step:
        """Return a step for `elman.nn.decoding`, from the sources of a batch that were read.

        The rows that are searched for one source lie together. The logits are of the vocabulary;
        with copying they are logarithms of probabilities, also of words beyond the vocabulary.
        """
        decoder = self.net.decoder
        copies, beyond = self._in_memory(batch.copies, batch.lengths), 0
        if self.gate is not None and copies.numel():
            beyond = max(0, int(copies.max()) + 1 - self.size)

        def step(tokens: Tensor, state: Inner) -> tuple[Tensor, Inner]:
            written, state = decoder.advance(self._known(tokens), state, memory)
            scores = decoder.head(written.features).float()
            if self.gate is not None and written.weights is not None:
                scores = self._with_copies(scores, written, copies, beyond)
            scores[..., [self.bos, self.pad]] = -torch.inf
            return scores, state

        return step

    def narrowed(self, batch: Batch, memory: Memory | None) -> Callable[[Tensor], Step]:
        """Return what gives the step for some rows of a batch that was read, from their numbers."""

        def step_of(rows: Tensor) -> Step:
            some = None if memory is None else states.index(memory, rows)
            return self.step(batch.take(rows), some)

        return step_of

    def _with_copies(self, scores: Tensor, written: Written, copies: Tensor, beyond: int) -> Tensor:
        assert self.gate is not None
        assert written.weights is not None
        p = torch.sigmoid(self.gate(written.features).float())
        found = F.pad(p * scores.softmax(-1), (0, beyond))
        each = copies.repeat_interleave(len(found) // len(copies), 0)
        return found.scatter_add(-1, each, (1 - p) * written.weights.float()).log()

    def _in_memory(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return steps of sources `(B, S, ...)` in the order in which the encoder reads, or back.

        Twice reversed they are as they were.
        """
        return reverse_valid(steps, lengths) if self.net.reverse_source else steps

    def _known(self, tokens: Tensor) -> Tensor:
        """Return symbols with those beyond the vocabulary unknown."""
        return tokens if self.gate is None else tokens.masked_fill(tokens >= self.size, self.unk)


def _embedding(symbols: int, size: int, pad: int | None) -> nn.Embedding:
    table = nn.Embedding(symbols, size, padding_idx=pad)
    # Tied scores begin small, so that all symbols are about equally likely.
    nn.init.normal_(table.weight, std=size**-0.5)
    with torch.no_grad():
        table.weight[pad] = 0
    return table
