"""Poolings: from the outputs of a sequence to one vector: last, mean, maximum, attention.

Only valid steps count, and a row of length 0 gives zeros. A pooling is called with a whole
sequence, or is fed step by step: `start` gives the state before the first step, and `step` takes
one output and returns the pooled value of the sequence so far.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest
from elman.nn.masking import Lengths, blank, masked_softmax, valid_steps

PoolingState = tuple[Tensor, ...]
"""The state of a pooling between two steps: tensors whose first axis is the batch."""


def _mask(x: Tensor, lengths: Lengths | None) -> Tensor:
    if lengths is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return valid_steps(lengths, x.shape[1], x.device)


class Pooling(nn.Module):
    """Base of the poolings.

    A subclass gives `forward` for whole sequences, and `start` and `step` for one step at a time.
    """

    @abstractmethod
    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Pool outputs `(B, T, F)`, of which `lengths` `(B,)` are valid, to `(B, F)`."""

    @abstractmethod
    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the state before the first step.

        Args:
            batch: rows that are fed side by side.
            size: features of an output.
            device: where the outputs are.
            dtype: type of the outputs. Sums are kept in float32 or better.
        """

    @abstractmethod
    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`; return the pooled value so far `(B, F)` and the state."""


class LastPooling(Pooling):
    """Take the output at the last valid step of each row.

    The backward half of a bidirectional layer ends at the first step, and is taken there.

    >>> LastPooling()(torch.tensor([[[1.0], [2.0], [3.0]]]), lengths=[2])
    tensor([[2.]])
    >>> LastPooling(bidirectional=True)(torch.tensor([[[1.0, 5.0], [2.0, 6.0]]]))
    tensor([[2., 5.]])
    """

    def __init__(self, bidirectional: bool = False) -> None:
        super().__init__()
        self.bidirectional = bidirectional

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Pool outputs `(B, T, F)`, of which `lengths` `(B,)` are valid, to `(B, F)`."""
        batch, steps, features = x.shape
        if steps == 0:
            return x.sum(1)
        if lengths is None:
            last = x[:, -1]
        else:
            ends = torch.as_tensor(lengths, device=x.device)
            last = x[torch.arange(batch, device=x.device), (ends - 1).clamp(min=0)]
        if self.bidirectional:
            half = features // 2
            last = torch.cat((last[:, :half], x[:, 0, half:]), -1)
        return last if lengths is None else blank(last, ends > 0)

    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the state before the first step, which is empty.

        Raises:
            InputError: the outputs are those of a bidirectional layer.
        """
        if self.bidirectional:
            raise InputError(
                "A bidirectional layer needs the whole sequence; its outputs do not come one at a "
                "time.",
                fix="Use bidirectional=False.",
            )
        return ()

    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`, which is also the pooled value; the state is empty."""
        return y, state


class MeanPooling(Pooling):
    """Take the mean of the valid steps.

    >>> MeanPooling()(torch.tensor([[[1.0], [2.0], [9.0]]]), lengths=[2])
    tensor([[1.5000]])
    >>> pooling = MeanPooling()
    >>> _, state = pooling.step(torch.tensor([[1.0]]), pooling.start(1, 1))
    >>> pooling.step(torch.tensor([[2.0]]), state)[0]
    tensor([[1.5000]])
    """

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Pool outputs `(B, T, F)`, of which `lengths` `(B,)` are valid, to `(B, F)`."""
        mask = _mask(x, lengths)
        return blank(x, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the number of steps `(B, 1)` and their mean `(B, F)`, both zero."""
        count = torch.zeros(batch, 1, dtype=torch.int64, device=device)
        return count, torch.zeros(batch, size, device=device, dtype=_summed(dtype))

    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`; return the mean so far `(B, F)` and the state."""
        count, mean = state
        count = count + 1
        # The mean and not the sum: a sum would lose the digits of a step in a long stream.
        mean = mean + (y - mean) / count
        return mean.to(y.dtype), (count, mean)


class MaxPooling(Pooling):
    """Take the largest value of each feature over the valid steps.

    >>> MaxPooling()(torch.tensor([[[1.0, 4.0], [2.0, 3.0], [9.0, 9.0]]]), lengths=[2])
    tensor([[2., 4.]])
    """

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Pool outputs `(B, T, F)`, of which `lengths` `(B,)` are valid, to `(B, F)`."""
        if x.shape[1] == 0:
            return x.sum(1)
        mask = _mask(x, lengths)
        return blank(x.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1), mask.any(1))

    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the largest values before any step, `(B, F)`: minus infinity."""
        return (torch.full((batch, size), -torch.inf, device=device, dtype=dtype),)

    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`; return the largest values so far and the state."""
        largest = torch.maximum(state[0], y)
        return largest, (largest,)


class AttentionPooling(Pooling):
    """Take a weighted mean, the weights a softmax of q · tanh(W x) with a learned query q.

    Yang et al. 2016, "Hierarchical attention networks for document classification".

    >>> AttentionPooling(4)(torch.randn(2, 3, 4), lengths=[3, 0])[1]
    tensor([0., 0., 0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.W = nn.Linear(size, size, device=device, dtype=dtype)
        self.q = nn.Linear(size, 1, bias=False, device=device, dtype=dtype)

    def _scores(self, x: Tensor) -> Tensor:
        return self.q(torch.tanh(self.W(x)))  # type: ignore[no-any-return]

    def weights(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the weight of each step, `(B, T)`: exactly 0 beyond a length."""
        return masked_softmax(self._scores(x).squeeze(-1), _mask(x, lengths))

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Pool outputs `(B, T, F)`, of which `lengths` `(B,)` are valid, to `(B, F)`."""
        x = blank(x, _mask(x, lengths))
        return (self.weights(x, lengths=lengths).unsqueeze(1) @ x).squeeze(1)

    def start(
        self,
        batch: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> PoolingState:
        """Return the largest score, the sum of weights and the weighted sum before any step.

        Weights are relative to the largest score: exp(score - largest). `(B, 1)`, `(B, 1)` and
        `(B, F)`.
        """
        total = torch.zeros(batch, size, device=device, dtype=_summed(dtype))
        return total.new_full((batch, 1), -torch.inf), total.new_zeros(batch, 1), total

    def step(self, y: Tensor, state: PoolingState) -> tuple[Tensor, PoolingState]:
        """Take one more output `(B, F)`; return the weighted mean so far and the state."""
        largest, weights, total = state
        score = self._scores(y).to(largest.dtype)
        top = torch.maximum(largest, score)
        before, new = torch.exp(largest - top), torch.exp(score - top)
        weights, total = weights * before + new, total * before + y * new
        return (total / weights).to(y.dtype), (top, weights, total)


def _summed(dtype: torch.dtype | None) -> torch.dtype:
    """Return the type in which sums of outputs of `dtype` are kept: float32 or better."""
    return torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)


POOLINGS = ("last", "mean", "max", "attention")


def make_pooling(
    kind: str,
    size: int,
    *,
    bidirectional: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Pooling:
    """Make the pooling called `kind`, one of `POOLINGS`, for outputs with `size` features.

    >>> make_pooling("mean", 4)
    MeanPooling()

    Raises:
        InputError: `kind` is unknown.
    """
    if kind == "last":
        return LastPooling(bidirectional)
    if kind == "mean":
        return MeanPooling()
    if kind == "max":
        return MaxPooling()
    if kind == "attention":
        return AttentionPooling(size, device=device, dtype=dtype)
    raise InputError(f"Pooling {kind!r} is not known.", fix=nearest(kind, POOLINGS))
