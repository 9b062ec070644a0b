"""How well a reply matches a context, learnt by telling the true reply from others of a batch."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.masking import blank, valid_steps

_FIRST_SCALE = 10.0
"""The scale s before training; cosines alone would hardly tell replies apart."""
_FASTER = 5.0
"""How much faster the weights of symbols learn than other parameters."""
_OUTPUTS = 1.0
"""Size of U y before training, where all numbers of y are 1 in size; W x has about 1."""
_AT_ONCE = 1 << 24
"""Pairs of symbols of contexts and replies that are compared at once in training, at most."""


class Terms(NamedTuple):
    """The symbols of texts, as they are compared.

    Attributes:
        vectors: of length 1, `(..., T, size)`; 0 beyond the end of a text.
        weights: of each symbol in its text, `(..., T)`, together 1 where there are any.
    """

    vectors: Tensor
    weights: Tensor

    def of(self, rows: slice) -> Self:
        """Return some of the texts."""
        return type(self)(self.vectors[rows], self.weights[rows])

    def shared_out(self, each: int) -> Self:
        """Return the texts `(n · each, ...)` as `(n, each, ...)`."""
        return type(self)(*(part.reshape(-1, each, *part.shape[1:]) for part in self))


class Matching(nn.Module):
    """Score replies after contexts by the likeness of their symbols.

    v_t = (W x_t + U y_t) / |W x_t + U y_t|        a_t = softplus(5 w · x_t + b) / Σ softplus(…)

    score = s/2 (Σ_t a_t max(0, max_j v_t · v'_j) + Σ_j a'_j max(0, max_t v_t · v'_j))

    with the embedded symbols x of a context, the encoder's outputs y, the vectors v' and weights a'
    of a reply, which the same encoder reads, and a learnt scale s. It is learnt by a softmax over
    the replies of a batch (Henderson et al. 2017). Two texts were first told apart so by one vector
    each (Lowe et al. 2015); the likest symbol of each symbol: Khattab & Zaharia 2020.

    Args:
        embedded: size of x.
        outputs: size of y.
        size: of v.

    >>> matching = Matching(2, 3, 4)
    >>> terms = matching(torch.randn(5, 7, 2), torch.randn(5, 7, 3), torch.tensor([7, 3, 2, 1, 0]))
    >>> matching.scores(terms, terms).shape
    torch.Size([5, 5])
    """

    def __init__(self, embedded: int, outputs: int, size: int) -> None:
        super().__init__()
        self.W = nn.Linear(embedded, size, bias=False)
        self.U = nn.Linear(outputs, size, bias=False)
        self.w = nn.Linear(embedded, 1)
        # At first a symbol is like itself wherever it stands, and all weigh the same.
        nn.init.orthogonal_(self.W.weight)
        nn.init.normal_(self.U.weight, std=_OUTPUTS / math.sqrt(size * outputs))
        nn.init.zeros_(self.w.weight)
        nn.init.zeros_(self.w.bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))

    def forward(self, x: Tensor, y: Tensor, lengths: Tensor) -> Terms:
        """Return the symbols of texts as they are compared.

        Args:
            x: the embedded symbols, `(B, T, E)`.
            y: what the encoder gives out for them, `(B, T, H)`.
            lengths: symbols of each text, `(B,)`.
        """
        there = valid_steps(lengths, x.shape[1])
        vectors = F.normalize(_exact(self.W(x) + self.U(y)), dim=-1)
        weights = F.softplus(_FASTER * _exact(self.w(x)).squeeze(-1)) * there
        total = weights.sum(-1, keepdim=True).clamp(min=1e-12)
        return Terms(blank(vectors, there), weights / total)

    def scores(self, contexts: Terms, replies: Terms) -> Tensor:
        """Return the score of each reply after each context, `(C, R)`.

        Args:
            contexts: `(C, S, size)`.
            replies: `(R, T, size)`, or `(C, R, T, size)` where each context has its own.
        """
        own = "c" if replies.vectors.dim() == 4 else ""
        like = torch.einsum(f"csd,{own}rtd->crst", contexts.vectors, replies.vectors)
        if not like.numel():
            return like.sum((-1, -2))
        # Where nothing is alike there is 0, as beyond the end of a text.
        of_replies = (like.max(2).values.clamp(min=0) * replies.weights).sum(-1)
        of_contexts = (like.max(3).values.clamp(min=0) * contexts.weights.unsqueeze(1)).sum(-1)
        return self.log_scale.exp() * (of_replies + of_contexts) / 2

    def cost(self, contexts: Terms, replies: Terms, same: Tensor) -> Tensor:
        """Return the mean nats of choosing the true reply of a context, and the reverse.

        A batch of long texts is shared out, and the true reply is chosen among fewer.

        Args:
            contexts, replies: B of each, of which one row belongs together.
            same: `(B, B)`, true where two replies are one text; they are not told apart.
        """
        pairs = contexts.weights.shape[1] * replies.weights.shape[1]
        each = max(2, math.isqrt(_AT_ONCE // max(1, pairs)))
        total = contexts.vectors.new_zeros(())
        for first in range(0, len(same), each):
            rows = slice(first, first + each)
            scores = self.scores(contexts.of(rows), replies.of(rows))
            true = torch.arange(len(scores), device=scores.device)
            others = true != true.unsqueeze(1)
            scores = scores.masked_fill(same[rows, rows] & others, -torch.inf)
            both = F.cross_entropy(scores, true) + F.cross_entropy(scores.t(), true)
            total = total + len(scores) * both / 2
        return total / max(1, len(same))


def _exact(x: Tensor) -> Tensor:
    """Return numbers in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
