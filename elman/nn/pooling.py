"""From the outputs of a sequence to one vector: last, mean, maximum, attention.

Only valid steps count, and a row of length 0 gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest
from elman.nn.masking import Lengths, blank, masked_softmax, valid_steps


def _mask(x: Tensor, lengths: Lengths | None) -> Tensor:
    if lengths is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return valid_steps(lengths, x.shape[1], x.device)


class LastPooling(nn.Module):
    """Where each row ends: the output at its last valid step.

    The backward half of a bidirectional layer ends at the first step, and is taken there.

    >>> LastPooling()(torch.tensor([[[1.0], [2.0], [3.0]]]), [2])
    tensor([[2.]])
    >>> LastPooling(bidirectional=True)(torch.tensor([[[1.0, 5.0], [2.0, 6.0]]]))
    tensor([[2., 5.]])
    """

    def __init__(self, bidirectional: bool = False) -> None:
        super().__init__()
        self.bidirectional = bidirectional

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """`(B, T, F)` and lengths `(B,)` -> `(B, F)`."""
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


class MeanPooling(nn.Module):
    """The mean of the valid steps.

    >>> MeanPooling()(torch.tensor([[[1.0], [2.0], [9.0]]]), [2])
    tensor([[1.5000]])
    """

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """`(B, T, F)` and lengths `(B,)` -> `(B, F)`."""
        mask = _mask(x, lengths)
        return blank(x, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


class MaxPooling(nn.Module):
    """The largest value of each feature over the valid steps.

    >>> MaxPooling()(torch.tensor([[[1.0, 4.0], [2.0, 3.0], [9.0, 9.0]]]), [2])
    tensor([[2., 4.]])
    """

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """`(B, T, F)` and lengths `(B,)` -> `(B, F)`."""
        if x.shape[1] == 0:
            return x.sum(1)
        mask = _mask(x, lengths)
        return blank(x.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1), mask.any(1))


class AttentionPooling(nn.Module):
    """A weighted mean, the weights a softmax of q · tanh(W x) with a learned query q.

    Yang et al. 2016, "Hierarchical attention networks for document classification".

    >>> AttentionPooling(4)(torch.randn(2, 3, 4), [3, 0])[1]
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

    def weights(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """The weight of each step, `(B, T)`: exactly 0 beyond a length."""
        scores = self.q(torch.tanh(self.W(x))).squeeze(-1)
        return masked_softmax(scores, _mask(x, lengths))

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """`(B, T, F)` and lengths `(B,)` -> `(B, F)`."""
        x = blank(x, _mask(x, lengths))
        return (self.weights(x, lengths).unsqueeze(1) @ x).squeeze(1)


POOLINGS = ("last", "mean", "max", "attention")


def make_pooling(
    kind: str,
    size: int,
    *,
    bidirectional: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """The pooling called `kind`, one of `POOLINGS`, for outputs with `size` features.

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
