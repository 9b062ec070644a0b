"""`Tagger`: a tag for each step by a softmax or a CRF, and a class for the whole beside them.

`Taggers` are several, trained side by side, that decide together.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.crf import CRF
from elman.nn.dropout import locked
from elman.nn.masking import Lengths, blank, valid_steps
from elman.nn.pooling import Pooling, PoolingState, make_pooling
from elman.nn.recurrent import Recurrent
from elman.nn.running import forward_only, run
from elman.nn.stream import EnsembleStream, ModelStream, PoolingStream, Stream


class Outputs(NamedTuple):
    """The parts of a tagger's outputs, `(..., n)` each.

    Attributes:
        scores: of each tag: logits, or the emissions of a CRF.
        filtered: log probabilities of tags given the steps so far, of a CRF that goes forward.
        classes: logits of the sequence's classes, of the whole sequence where it was read both
            ways, else of the steps so far.
    """

    scores: Tensor
    filtered: Tensor | None
    classes: Tensor | None


class TagHead(Pooling):
    """From the outputs of a recurrence to a tag for each step and a class for the sequence.

    Args:
        size: features of an output of the recurrence.
        tags: K.
        classes: C, of the whole sequence; 0 for none.
        crf: a CRF on top of the scores of tags, or None for a softmax at each step.
        pooling: how outputs become one vector for the classes.
        dropout: of the outputs, one mask a sequence.
        bidirectional: the outputs are of a layer that reads both ways, and come all at once.

    Outputs are one row a step: K scores, with a CRF that goes forward K filtered log
    probabilities, and C logits; `split` takes them apart.
    """

    def __init__(
        self,
        size: int,
        tags: int,
        *,
        classes: int = 0,
        crf: CRF | None = None,
        pooling: str = "max",
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.tags, self.classes = tags, classes
        self.dropout, self.bidirectional = dropout, bidirectional
        self.filters = crf is not None and not bidirectional
        self.emit = nn.Linear(size, tags)
        self.crf = crf
        if classes:
            self.pooling = make_pooling(pooling, size, bidirectional=bidirectional)
            self.classify = nn.Linear(size, classes)

    def split(self, outputs: Tensor) -> Outputs:
        """Return the parts of outputs `(..., O)`."""
        parts = [self.tags, self.tags * self.filters, self.classes]
        scores, filtered, classes = torch.split(outputs, parts, -1)
        return Outputs(
            scores, filtered if self.filters else None, classes if self.classes else None
        )

    def loss(
        self,
        y: Tensor,
        tags: Tensor,
        classes: Tensor | None,
        *,
        lengths: Tensor,
        weight: float = 1.0,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Return the summed loss of a batch: of the tags, and `weight` times that of the classes.

        Args:
            y: outputs of the recurrence, `(B, T, F)`.
            tags: `(B, T)`; without a CRF, -100 is not counted.
            classes: `(B,)`, -100 is not counted; None where there are none.
            lengths: `(B,)`.
            weight: of the classes' cross-entropy.
            smoothing: of labels, where a softmax decides.
        """
        y = locked(y, self.dropout, self.training, time_axis=1)
        scores = self.emit(y)
        if self.crf is not None:
            total = -self.crf.log_likelihood(scores, tags.clamp(min=0), lengths=lengths)
        else:
            real = valid_steps(lengths, y.shape[1], y.device)
            total = F.cross_entropy(
                scores.flatten(0, 1),
                tags.masked_fill(~real, -100).flatten(),
                reduction="sum",
                label_smoothing=smoothing,
            )
        if classes is not None and self.classes:
            logits = self.classify(self.pooling(y, lengths=lengths))
            total = total + weight * F.cross_entropy(
                logits, classes, reduction="sum", label_smoothing=smoothing
            )
        return total

    def forward(self, y: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return outputs `(B, T, O)` of the recurrence's outputs `(B, T, F)`."""
        if not self.bidirectional:
            state = self.start(len(y), y.shape[-1], y.device, y.dtype)
            rows = []
            for step in y.unbind(1):
                row, state = self.step(step, state)
                rows.append(row)
            width = self.tags * (1 + self.filters) + self.classes
            return torch.stack(rows, 1) if rows else y.new_zeros(len(y), 0, width)
        found: Tensor = self.emit(y)
        if self.classes:
            logits = self.classify(self.pooling(y, lengths=lengths))
            found = torch.cat((found, logits.unsqueeze(1).expand(-1, y.shape[1], -1)), -1)
        return found

    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the state before the first step.

        It holds the filtered log probabilities and whether there are any, where there is a CRF,
        and the pooling's state, where there are classes.

        Raises:
            InputError: the outputs are of a layer that reads both ways.
        """
        if self.bidirectional:
            raise InputError("A bidirectional layer needs the whole sequence.")
        state: PoolingState = ()
        if self.filters:
            none = torch.zeros(batch, self.tags, device=device, dtype=dtype)
            state = none, torch.zeros(batch, 1, dtype=torch.bool, device=device)
        if self.classes:
            state = (*state, *self.pooling.start(batch, size, device, dtype))
        return state

    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`; return the outputs so far `(B, O)` and the state."""
        scores = self.emit(y)
        parts: list[Tensor] = [scores]
        kept: PoolingState = ()
        if self.crf is not None:
            before, begun = state[:2]
            first = self.crf.filter(scores, None)
            after = self.crf.filter(scores, before) if bool(begun.any()) else first
            filtered = torch.where(begun, after, first)
            parts.append(filtered)
            kept, state = (filtered, torch.ones_like(begun)), state[2:]
        if self.classes:
            pooled, state = self.pooling.step(y, state)
            parts.append(self.classify(pooled))
            kept = (*kept, *state)
        return torch.cat(parts, -1), kept


class Tagger(nn.Module):
    """A tag for each step: an embedding, a recurrence and a `TagHead`.

    Args:
        embedding: turns a step into a vector.
        recurrent: reads the sequence, batch first; bidirectional as the head is.
        head: gives the outputs.

    >>> import torch
    >>> recurrent = Recurrent("gru", 4, 8, batch_first=True)
    >>> model = Tagger(nn.Embedding(9, 4), recurrent, TagHead(8, 3, crf=CRF(3)))
    >>> outputs = model.split(model(torch.randint(9, (2, 5)), lengths=torch.tensor([5, 3])))
    >>> outputs.scores.shape, outputs.filtered.exp()[0].sum(-1).allclose(torch.ones(5))
    (torch.Size([2, 5, 3]), True)
    """

    def __init__(self, embedding: nn.Module, recurrent: Recurrent, head: TagHead) -> None:
        super().__init__()
        self.embedding, self.recurrent, self.head = embedding, recurrent, head

    @property
    def crf(self) -> CRF | None:
        """The CRF that decides, or None where a softmax does."""
        return self.head.crf

    def split(self, outputs: Tensor) -> Outputs:
        """Return the parts of outputs `(..., O)`."""
        return self.head.split(outputs)

    def read(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Return the outputs of the recurrence, `(B, T, F)`."""
        y, _ = run(self.recurrent, self.embedding(x), None, lengths=lengths)
        return y

    def loss(
        self, x: Tensor, tags: Tensor, classes: Tensor | None, *, lengths: Tensor, **how: float
    ) -> Tensor:
        """Return the summed loss of a batch; arguments as for `TagHead.loss`, but its inputs."""
        y = self.read(x, lengths)
        return self.head.loss(y, tags, classes, lengths=lengths, **how)

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the outputs `(B, T, O)` of the head, zero beyond each length."""
        found = self.head(self.read(x, lengths), lengths=lengths)
        if lengths is None:
            return found  # type: ignore[no-any-return]
        return blank(found, valid_steps(lengths, found.shape[1], found.device))

    def stream(self, batch: int = 1) -> ModelStream:
        """Return the model on a stream: after each step its tag and class, from the steps so far.

        Raises:
            InputError: the recurrence reads both ways, or a part cannot stream.
        """
        forward_only(self.recurrent, "A step")
        like = self.recurrent.init_state(1)[0][0]
        head = PoolingStream(self.head, batch, self.recurrent.output_size, like)
        parts: list[tuple[str, nn.Module | Stream]]
        parts = [("embedding", self.embedding), ("recurrent", self.recurrent), ("head", head)]
        return ModelStream(parts, batch, batch_first=True)


class Taggers(nn.Module):
    """Taggers trained side by side, which decide together by the means of their scores.

    The means of the emissions and of the transitions are those of a CRF again: its probability of
    a sequence of tags is the geometric mean of theirs, scaled to a sum of 1. So one sequence is
    decoded, and all its probabilities are those of one model.

    Args:
        members: alike in all but their parameters.

    >>> import torch
    >>> def one():
    ...     return Tagger(nn.Embedding(9, 4), Recurrent("gru", 4, 8), TagHead(8, 3, crf=CRF(3)))
    >>> model = Taggers([one(), one()])
    >>> model.crf.decode(model.split(model(torch.randint(9, (2, 5)))).scores).scores.shape
    torch.Size([2])
    """

    def __init__(self, members: Iterable[Tagger]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def crf(self) -> CRF | None:
        """A CRF with the means of the members' parameters, or None where a softmax decides."""
        each = [cast(Tagger, member).crf for member in self.members]
        if each[0] is None:
            return None
        joint = copy.deepcopy(each[0]).requires_grad_(False)
        for name in ("transitions", "starts", "ends"):
            getattr(joint, name).copy_(torch.stack([getattr(crf, name) for crf in each]).mean(0))
        return joint

    def split(self, outputs: Tensor) -> Outputs:
        """Return the parts of outputs `(..., O)`."""
        return cast(Tagger, self.members[0]).split(outputs)

    def loss(self, *inputs: Tensor | None, **how: Any) -> Tensor:
        """Return the mean of the members' losses; arguments as for a member."""
        each = [cast(Any, member).loss(*inputs, **how) for member in self.members]
        return torch.stack(each).mean(0)

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the means of the members' outputs `(B, T, O)`."""
        return self._mean([member(x, lengths=lengths) for member in self.members])

    def stream(self, batch: int = 1) -> EnsembleStream:
        """Return the taggers on a stream: after each step tag and class, from the steps so far.

        Raises:
            InputError: the recurrence reads both ways, or a part cannot stream.
        """
        return EnsembleStream(self.members, batch, self._mean)

    def _mean(self, each: list[Tensor]) -> Tensor:
        mean = torch.stack(each).mean(0)
        scores, filtered, classes = self.split(mean)
        if filtered is None:
            return mean
        parts = [scores, filtered.log_softmax(-1), *([] if classes is None else [classes])]
        return torch.cat(parts, -1)
