"""Attention of a decoder to the outputs of an encoder: additive and multiplicative scores.

Both work in two parts, because the memory is read again for every output step: `remember`
computes what depends on the memory alone, and `attend` the rest.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest
from elman.nn.masking import Lengths, blank, masked_softmax, valid_steps

Memory = tuple[Tensor, Tensor, Tensor]
"""Keys `(B, S, K)`, values `(B, S, memory_size)`, and where they are real `(B, S)`."""


class Attention(nn.Module):
    """A weighted mean of a memory, the weights a softmax of scores against a query.

    A subclass gives `keys` and `scores`.
    """

    query_size: int
    memory_size: int

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """Compute from the memory `(B, S, memory_size)` what the scores need of it, `(B, S, K)`."""

    @abstractmethod
    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Score queries `(B, T, query_size)` against keys `(B, S, K)`: `(B, T, S)`."""

    def remember(self, memory: Tensor, *, lengths: Lengths | None = None) -> Memory:
        """Prepare a memory `(B, S, memory_size)`; its steps beyond `lengths` are never read."""
        batch, steps = memory.shape[:2]
        if lengths is None:
            mask = torch.ones(batch, steps, dtype=torch.bool, device=memory.device)
        else:
            mask = valid_steps(lengths, steps, memory.device)
        values = blank(memory, mask)
        return self.keys(values), values, mask

    def attend(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Read a prepared memory: query `(B, T, query_size)` or, for one step, `(B, query_size)`.

        Returns:
            The context, as the query but with `memory_size` features, and the weights, as the
            query but over the S steps: exactly 0 beyond a length. A memory of length 0 gives a
            context of zeros.
        """
        if query.dim() == 2:
            context, weights = self.attend(query.unsqueeze(1), memory)
            return context.squeeze(1), weights.squeeze(1)
        keys, values, mask = memory
        weights = masked_softmax(self.scores(query, keys), mask.unsqueeze(1))
        return weights @ values, weights

    def forward(
        self, query: Tensor, memory: Tensor, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend to a memory that is read only once; see `remember` and `attend`."""
        return self.attend(query, self.remember(memory, lengths=lengths))


class AdditiveAttention(Attention):
    """Additive attention: score(q, m) = v · tanh(W q + U m)   (Bahdanau, Cho & Bengio 2015).

    >>> attention = AdditiveAttention(query_size=3, memory_size=4, hidden_size=5)
    >>> context, weights = attention(torch.randn(2, 3), torch.randn(2, 6, 4), lengths=[6, 1])
    >>> context.shape, weights[1]
    (torch.Size([2, 4]), tensor([1., 0., 0., 0., 0., 0.], grad_fn=<SelectBackward0>))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.query_size, self.memory_size = query_size, memory_size
        self.W = nn.Linear(query_size, hidden_size, device=device, dtype=dtype)
        self.U = nn.Linear(memory_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.v = nn.Linear(hidden_size, 1, bias=False, device=device, dtype=dtype)

    def keys(self, memory: Tensor) -> Tensor:
        """Return U m."""
        return self.U(memory)  # type: ignore[no-any-return]

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return v · tanh(W q + keys)."""
        hidden = torch.tanh(self.W(query).unsqueeze(2) + keys.unsqueeze(1))
        return self.v(hidden).squeeze(-1)  # type: ignore[no-any-return]


class MultiplicativeAttention(Attention):
    """Multiplicative attention (Luong, Pham & Manning 2015).

    score(q, m) = q · m in the form "dot", and q · W m in the form "general".

    Args:
        query_size: features of the query.
        memory_size: features of the memory; for "dot" the same.
        form: "general" or "dot".

    >>> attention = MultiplicativeAttention(2, 2, form="dot")
    >>> attention(torch.tensor([[0.0, 1.0]]), torch.tensor([[[5.0, 1.0], [6.0, 1.0]]]))
    (tensor([[5.5000, 1.0000]]), tensor([[0.5000, 0.5000]]))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        form: str = "general",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if form not in ("general", "dot"):
            raise InputError(f"form={form!r} is not known.", fix=nearest(form, ("general", "dot")))
        if form == "dot" and query_size != memory_size:
            raise InputError(
                f"A dot product needs queries and memory of one size, not {query_size} and "
                f"{memory_size}.",
                fix="Use form='general'.",
            )
        self.query_size, self.memory_size, self.form = query_size, memory_size, form
        if form == "general":
            self.W = nn.Linear(memory_size, query_size, bias=False, device=device, dtype=dtype)

    def keys(self, memory: Tensor) -> Tensor:
        """Return W m, or m for "dot"."""
        return self.W(memory) if self.form == "general" else memory

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return q · keys."""
        return query @ keys.transpose(1, 2)


ATTENTIONS = ("additive", "general", "dot")


def make_attention(
    kind: str,
    query_size: int,
    memory_size: int,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Attention:
    """Make the attention called `kind`, one of `ATTENTIONS`.

    >>> make_attention("additive", 3, 4).W
    Linear(in_features=3, out_features=3, bias=True)

    Raises:
        InputError: `kind` is unknown, or "dot" between different sizes.
    """
    if kind not in ATTENTIONS:
        raise InputError(f"Attention {kind!r} is not known.", fix=nearest(kind, ATTENTIONS))
    if kind == "additive":
        return AdditiveAttention(query_size, memory_size, query_size, device=device, dtype=dtype)
    return MultiplicativeAttention(query_size, memory_size, form=kind, device=device, dtype=dtype)
