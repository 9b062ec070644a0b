"""A Transformer with the interface of `Recurrent`, to set beside one of as many parameters.

It takes the place of the recurrent layers of any model: the same features go in and come out, and
the model around it stays as it is. Nothing else of the package needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn.masking import Lengths, blank, valid_steps
from elman.nn.recurrent import LayerState, Recurrent
from elman.nn.transformer_shape import Shape, shape_of

CONTEXT = 512
"""Steps that a step can look at, itself included, where layers read forward only."""
_FAR = -(1 << 40)
"""The place of a step that nothing looks at."""

Extend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the keys and values of the steps of a call to all that can be looked at."""
Turns = tuple[Tensor, Tensor]
"""Cosine and sine of the angles of each step, `(B, T, 1, pairs)`."""


class Transformer(nn.Module):
    """A stack of pre-norm Transformer layers, called as `Recurrent` is.

    x := W x + b, then for each layer
    x := x + attention(norm(x))        x := x + V gelu(U norm(x))
    and y = W' norm(x) + b'. Layers that read a memory attend to it between the two.

    Vaswani et al. 2017, with the norm before each part (Xiong et al. 2020). Places are told by
    rotating queries and keys through sinusoids (Su et al. 2021): only distances count, so a
    context can slide over a text without end.

    Args:
        input_size: features of the input.
        output_size: features of the output.
        shape: the sizes inside.
        bidirectional: every step looks at all of its sequence; otherwise at itself and those
            before it.
        batch_first: layout of the input, as of `Recurrent`.
        dropout: probability that a feature is dropped where a part's result is added.
        reads: features of a memory that every layer also attends to; 0 for none.
        context: steps that a step can look at where the layers read forward only.

    The state of layers that read forward holds the keys and values of the steps that the next one
    can look at (a key–value cache), and that of layers which read both ways nothing.

    >>> _ = torch.manual_seed(0)
    >>> layer = Transformer(3, 16, shape_of(800, 3, 16), bidirectional=True)
    >>> y, _ = layer(torch.ones(5, 2, 3), lengths=torch.tensor([5, 2]))
    >>> y.shape, y[2:, 1].abs().max().item()
    (torch.Size([5, 2, 16]), 0.0)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        shape: Shape,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        dropout: float = 0.0,
        reads: int = 0,
        context: int = CONTEXT,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size, self.shape = input_size, output_size, shape
        self.bidirectional, self.batch_first = bidirectional, batch_first
        self.reads, self.context = reads, context
        self.enter = nn.Linear(input_size, shape.width)
        self.layers = nn.ModuleList(_Layer(shape, reads, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.leave = nn.Linear(shape.width, output_size)

    @classmethod
    def like(
        cls, layers: Recurrent, *, share: float = 1.0, reads: int = 0, dropout: float = 0.0
    ) -> Transformer:
        """Return a stack in the place of recurrent layers, of about as many learnt parameters.

        Args:
            layers: what it stands in for.
            share: how many times as many parameters.
            reads: features of a memory that it attends to.
            dropout: of the stack.

        Raises:
            InputError: the layers learn too little for any Transformer.
        """
        count = round(share * trainable(layers))
        sizes = layers.input_size, layers.output_size
        return cls(
            *sizes,
            shape_of(count, *sizes, reads),
            bidirectional=layers.bidirectional,
            batch_first=layers.batch_first,
            dropout=dropout,
            reads=reads,
        )

    def init_state(
        self,
        batch: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> LayerState:
        """Return the state before the first step: nothing to look at, of steps or memory."""
        like = self.enter.weight
        device, dtype = device or like.device, dtype or like.dtype
        none = torch.zeros(batch, 0, self.shape.width, device=device, dtype=dtype)
        where = torch.zeros(batch, 0, device=device, dtype=torch.int64)
        ahead = torch.zeros(batch, 1, device=device, dtype=torch.int64)
        each = (none, none, none, none) if self.reads else (none, none)
        ends = (where, ahead, where.bool()) if self.reads else (where, ahead)
        return (*[each] * self.shape.layers, ends)

    def start(self, memory: Tensor, lengths: Lengths | None = None) -> LayerState:
        """Return the state before the first step, with a memory `(B, S, reads)` to attend to."""
        batch, steps = memory.shape[:2]
        *each, (where, ahead, _) = self.init_state(batch, memory.device, memory.dtype)
        there = torch.ones(batch, steps, dtype=torch.bool, device=memory.device)
        if lengths is not None:
            there = valid_steps(lengths, steps, memory.device)
        found = [
            (k, v, *layer.remember(memory))
            for layer, (k, v, *_) in zip(self._layers(), each, strict=True)
        ]
        return (*found, (where, ahead, there))

    def forward(
        self,
        x: Tensor,
        state: Sequence[Sequence[Tensor]] | None = None,
        *,
        lengths: Lengths | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, LayerState]:
        """Run the layers over a batch of sequences; arguments and results as of `Recurrent`.

        Args:
            x: `(T, B, input_size)`, or `(B, T, input_size)` if `batch_first`.
            state: as an earlier call or `start` returned it; None to begin anew.
            lengths: `(B,)`, steps of each row, zero included; None if all are whole.
            reset: bool, shaped as `x` without its features: true where a new sequence begins.
        """
        if not self.batch_first:
            x, reset = x.transpose(0, 1), None if reset is None else reset.t()
        rows, steps = x.shape[:2]
        if state is None:
            state = self.init_state(rows, x.device, self.enter.weight.dtype)
        *each, (where, ahead, *memory) = state
        valid = None if lengths is None else valid_steps(lengths, steps, x.device)
        places = ahead + torch.arange(steps, device=x.device)
        own = places if valid is None else places.masked_fill(~valid, _FAR)
        part = None if reset is None else reset.cumsum(1)
        mask = self._seen(where, own, places, part, valid)
        there = memory[0] if memory else None

        turns = _turns(places, self.shape, self.enter.weight.dtype)
        y, kept = self.enter(blank(x, valid)), []
        for layer, (k, v, *remembered) in zip(self._layers(), each, strict=True):
            seen: list[Tensor] = []

            def extend(
                keys: Tensor,
                values: Tensor,
                k: Tensor = k,
                v: Tensor = v,
                seen: list[Tensor] = seen,
            ) -> tuple[Tensor, Tensor]:
                seen[:] = torch.cat((k, keys), 1), torch.cat((v, values), 1)
                return seen[0], seen[1]

            y = layer(y, turns, extend, mask, not self.bidirectional, remembered, there)
            kept.append((*seen, *remembered))
        y = blank(self.leave(self.norm(y)), valid)
        after = self._after(kept, where, own, ahead, part, lengths, memory)
        return (y if self.batch_first else y.transpose(0, 1)), after

    def cached(self, length: int) -> Callable[[Tensor], Tensor]:
        """Return the step after `length - 1` others of one sequence, to be timed.

        The cache has its place for the step already, as in a program that writes; what it holds is
        drawn at random. A memory is not attended to.

        >>> layer = Transformer(3, 4, shape_of(500, 3, 4))
        >>> layer.cached(100)(torch.ones(1, 3)).shape
        torch.Size([1, 4])
        """
        like, width = self.enter.weight, self.shape.width
        held = [
            (like.new_empty(1, length, width).normal_(), like.new_empty(1, length, width).normal_())
            for _ in self.layers
        ]
        place = torch.full((1, 1), length - 1, device=like.device)

        def step(x: Tensor) -> Tensor:
            turns = _turns(place, self.shape, like.dtype)
            y = self.enter(x.unsqueeze(1))
            for layer, (k, v) in zip(self._layers(), held, strict=True):

                def extend(
                    keys: Tensor, values: Tensor, k: Tensor = k, v: Tensor = v
                ) -> tuple[Tensor, Tensor]:
                    k[:, -1:], v[:, -1:] = keys, values
                    return k, v

                y = layer(y, turns, extend, None, False)
            found: Tensor = self.leave(self.norm(y))
            return found.squeeze(1)

        return step

    def _seen(
        self,
        where: Tensor,
        own: Tensor,
        places: Tensor,
        part: Tensor | None,
        valid: Tensor | None,
    ) -> Tensor | None:
        """Return what each step looks at, `(B, 1, T, N + T)`; None for all, or all before it."""
        before, steps = where.shape[1], own.shape[1]
        whole = valid is None and part is None and before == 0
        if whole and (self.bidirectional or steps <= self.context):
            return None
        keys = torch.cat((where, own), 1)
        if self.bidirectional:
            seen = (keys > _FAR).unsqueeze(1).expand(-1, steps, -1)
        else:
            lag = places.unsqueeze(2) - keys.unsqueeze(1)
            seen = (lag >= 0) & (lag < self.context)
        if part is not None:
            begun = torch.cat((part.new_zeros(where.shape), part), 1)
            seen = seen & (begun.unsqueeze(1) == part.unsqueeze(2))
        # Padding looks at itself, so that no row of the softmax is empty.
        alone = torch.eye(steps, dtype=torch.bool, device=own.device)
        return (seen | F.pad(alone, (before, 0))).unsqueeze(1)

    def _after(
        self,
        kept: list[tuple[Tensor, ...]],
        where: Tensor,
        own: Tensor,
        ahead: Tensor,
        part: Tensor | None,
        lengths: Lengths | None,
        memory: Sequence[Tensor],
    ) -> LayerState:
        """Return the state after each row's last step: the last steps of each, side by side."""
        rows, steps = own.shape
        if self.bidirectional:
            return self.init_state(rows, own.device, kept[0][0].dtype)
        ends = torch.full((rows, 1), steps, device=own.device)
        if lengths is not None:
            ends = torch.as_tensor(lengths, device=own.device).unsqueeze(1)
        known = torch.cat((where, own), 1)
        if part is not None and steps:
            begun = torch.cat((part.new_zeros(where.shape), part), 1)
            last = part.gather(1, (ends - 1).clamp(min=0)) * (ends > 0)
            known = known.masked_fill(begun != last, _FAR)
        many = min(self.context - 1, known.shape[1])
        if lengths is None:
            first = known.shape[1] - many
            known = known[:, first:]
            cut = [(k[:, first:], v[:, first:], *rest) for k, v, *rest in kept]
        else:
            from_ = where.shape[1] + ends - many + torch.arange(many, device=own.device)
            chosen = from_.clamp(min=0)
            known = known.gather(1, chosen).masked_fill(from_ < 0, _FAR)
            wide = chosen.unsqueeze(2).expand(-1, -1, self.shape.width)
            cut = [(k.gather(1, wide), v.gather(1, wide), *rest) for k, v, *rest in kept]
        return (*cut, (known, ahead + ends, *memory))

    def _layers(self) -> list[_Layer]:
        return [layer for layer in self.layers if isinstance(layer, _Layer)]


class _Layer(nn.Module):
    """Attention to steps, to a memory where there is one, and a map of each step by itself."""

    def __init__(self, shape: Shape, reads: int, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.dropout = shape.heads, dropout
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        if reads:
            self.norm_read = nn.LayerNorm(width)
            self.ask_read = nn.Linear(width, width)
            self.read = nn.Linear(reads, 2 * width)
            self.mix_read = nn.Linear(width, width)
        self.norm_each = nn.LayerNorm(width)
        self.U = nn.Linear(width, shape.inner)
        self.V = nn.Linear(shape.inner, width)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a memory."""
        keys, values = self.read(memory).chunk(2, -1)
        return keys, values

    def forward(
        self,
        x: Tensor,
        turns: Turns,
        extend: Extend,
        mask: Tensor | None,
        causal: bool,
        memory: Sequence[Tensor] = (),
        there: Tensor | None = None,
    ) -> Tensor:
        """Return `(B, T, width)`."""
        q, k, v = self.ask(self.norm(x)).chunk(3, -1)
        keys, values = extend(_rotated(k, turns, self.heads), v)
        q = _rotated(q, turns, self.heads)
        found = self._attended(q, keys, values, mask, causal and mask is None)
        x = x + self._dropped(self.mix(found))
        if there is not None:
            # A row without a memory reads any, and then nothing of it.
            some = there.any(1)
            seen = (there | ~some.unsqueeze(1))[:, None, None]
            if there.shape[1]:
                asked, (keys, values) = self.ask_read(self.norm_read(x)), memory
                found = self.mix_read(self._attended(asked, keys, values, seen, False))
                x = x + self._dropped(blank(found, some.unsqueeze(1)))
        return x + self._dropped(self.V(F.gelu(self.U(self.norm_each(x)))))

    def _attended(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        q, k, v = (_apart(t, self.heads).transpose(1, 2) for t in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return found.transpose(1, 2).flatten(2)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def _turns(places: Tensor, shape: Shape, dtype: torch.dtype) -> Turns:
    """Return cosine and sine of how far each place `(B, T)` turns pairs of features.

    The angles are found in float64: a text may have gone on for long.
    """
    size = shape.width // shape.heads
    pairs = torch.arange(size // 2, device=places.device, dtype=torch.float64)
    slower = torch.exp(-math.log(10_000.0) * 2 * pairs / size)
    angles = (places.unsqueeze(-1) * slower).unsqueeze(2)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotated(x: Tensor, turns: Turns, heads: int) -> Tensor:
    """Turn each pair of features of each head."""
    a, b = _apart(x, heads).chunk(2, -1)
    cos, sin = turns
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).flatten(2)


def _apart(x: Tensor, heads: int) -> Tensor:
    """Return the features of each head apart, `(B, T, heads, size)`."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads)


def trainable(module: nn.Module) -> int:
    """Return the number of parameters that a module learns."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
