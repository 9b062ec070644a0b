"""The decoder: a recurrence that writes tokens, for one-to-many and encoder-decoder models.

A decoder begins from a given state and, with attention, reads a given memory. `elman.nn.decoding`
samples and searches with its `step`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.attention import Attention, Memory
from elman.nn.masking import Lengths, masked_softmax
from elman.nn.recurrent import LayerState, Recurrent
from elman.nn.running import forward_only, run, run_step

Inner = tuple[LayerState, Tensor | None, Tensor | None]
"""The state of the recurrence, the fed vector a with input feeding, and the coverage."""

DecoderState = tuple[LayerState, Tensor | None, Memory | None, Tensor | None]
"""The state of the recurrence, the fed vector a with input feeding, the memory, the coverage."""


class Written(NamedTuple):
    """The outputs of a decoder before its head, and where it looked for each.

    Attributes:
        features: `(B, T, F)`, or `(B, F)` of one step.
        weights: of attention to the S steps of the memory, `(B, T, S)` or `(B, S)`; None without.
    """

    features: Tensor
    weights: Tensor | None


def linear_like(recurrent: Recurrent, size: int, output: int, bias: bool = True) -> nn.Linear:
    """Make a linear map on the device and of the dtype of a layer.

    >>> linear_like(Recurrent("gru", 2, 3).double(), 4, 5).weight.dtype
    torch.float64
    """
    like = recurrent.init_state(1)[0][0]
    return nn.Linear(size, output, bias, device=like.device, dtype=like.dtype)


class Decoder(nn.Module):
    """A decoder: it writes tokens one after another, each from the tokens before.

    h_t = recurrent(E y_{t-1})        logits_t = head(h_t)

    With attention (Luong, Pham & Manning 2015; with their scores or Bahdanau's):

    h_t = recurrent(E y_{t-1})        c_t = attention(h_t, memory)
    a_t = tanh(C [c_t; h_t])          logits_t = head(a_t)

    and with input feeding the recurrence reads [E y_{t-1}; a_{t-1}]. With coverage (Tu et al. 2016;
    See, Liu & Manning 2017) the score of a step of the memory also depends on the attention that it
    has had, by a learnt number u:

    s_t = score(h_t, memory) + u Σ_{k<t} weights_k

    Under teacher forcing without input feeding the recurrence runs once over the whole target, and
    with coverage only the softmax goes step by step; otherwise everything does, and then a dropout
    mask drawn for a sequence is drawn for each step.

    Args:
        embedding: tokens `(B, ...)` -> vectors, such as `nn.Embedding`.
        recurrent: reads the vectors; with input feeding, its input size is the embedding's plus
            its own output size.
        head: `recurrent.output_size` -> vocabulary, such as `nn.Linear`.
        bos: the token that is fed first.
        eos: the token that ends a sequence, if there is one.
        attention: reads a memory; its queries are the outputs of `recurrent`.
        input_feeding: whether a step also reads a of the step before.
        coverage: whether attention depends on the attention before.
        dropout: probability that a feature of an embedded token, or of the input of the head, is
            dropped in training.

    >>> decoder = Decoder(nn.Embedding(7, 4), Recurrent("gru", 4, 8), nn.Linear(8, 7), bos=0)
    >>> start = decoder.start(decoder.recurrent.init_state(2))
    >>> decoder(torch.tensor([[3, 1, 2], [5, 5, 1]]), *start).shape
    torch.Size([2, 3, 7])
    """

    def __init__(
        self,
        embedding: nn.Module,
        recurrent: Recurrent,
        head: nn.Module,
        *,
        bos: int,
        eos: int | None = None,
        attention: Attention | None = None,
        input_feeding: bool = False,
        coverage: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        forward_only(recurrent, "A decoder")
        if input_feeding and attention is None:
            raise InputError(
                "Input feeding feeds the output of attention, and there is no attention.",
                fix="Give attention=.",
            )
        if coverage and attention is None:
            raise InputError(
                "Coverage is the sum of attention, and there is no attention.",
                fix="Give attention=.",
            )
        self.embedding, self.recurrent, self.head = embedding, recurrent, head
        self.bos, self.eos = bos, eos
        self.attention, self.input_feeding = attention, input_feeding
        self.coverage, self.dropout = coverage, dropout
        if attention is not None:
            size = recurrent.output_size
            self.C = linear_like(recurrent, attention.memory_size + size, size, bias=False)
            if coverage:
                self.u = nn.Parameter(self.C.weight.new_zeros(()))

    def start(self, state: LayerState, memory: Memory | None = None) -> tuple[Tensor, DecoderState]:
        """Return the first tokens to feed, `bos` for every row, and the state before them.

        Args:
            state: the first state of `recurrent`.
            memory: the memory that attention reads, from its `remember`.

        Raises:
            InputError: a memory and no attention, or the other way round.
        """
        if memory is None and self.attention is not None:
            raise InputError("This decoder has attention and nothing to attend to: memory is None.")
        if memory is not None and self.attention is None:
            raise InputError("This decoder has no attention to read a memory with.")
        like = state[0][0]
        tokens = torch.full((len(like),), self.bos, device=like.device)
        fed = like.new_zeros(len(like), self.recurrent.output_size) if self.input_feeding else None
        seen = None
        if self.coverage and memory is not None:
            seen = like.new_zeros(memory[2].shape)
        return tokens, (state, fed, memory, seen)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Take tokens `(B,)`; return logits `(B, V)` of the next tokens, and the new state."""
        inner, fed, memory, seen = state
        written, (inner, fed, seen) = self.advance(tokens, (inner, fed, seen), memory)
        return self.head(written.features), (inner, fed, memory, seen)

    def advance(self, tokens: Tensor, state: Inner, memory: Memory | None) -> tuple[Written, Inner]:
        """Take one step, and leave the head to the caller.

        Args:
            tokens: `(N,)`.
            state: of N rows, without the memory.
            memory: of B rows, each of them read by N / B rows that lie together, as in beam search.
        """
        inner, fed, seen = state
        x = F.dropout(self.embedding(tokens), self.dropout, self.training)
        if fed is not None:
            x = torch.cat((x, fed), -1)
        h, inner = run_step(self.recurrent, x, inner)
        if self.attention is None or memory is None:
            return Written(self._dropped(h), None), (inner, None, None)
        keys, values, mask = memory
        scores = self.attention.scores(h.view(len(values), -1, h.shape[-1]), keys)
        if seen is not None:
            scores = scores + self.u * seen.view(scores.shape)
        weights = masked_softmax(scores, mask.unsqueeze(1))
        context = (weights @ values).flatten(0, 1)
        weights = weights.flatten(0, 1)
        a = torch.tanh(self.C(torch.cat((context, h), -1)))
        after = inner, a if fed is not None else None, None if seen is None else seen + weights
        return Written(self._dropped(a), weights), after

    def unroll(
        self,
        target: Tensor,
        tokens: Tensor,
        state: DecoderState,
        *,
        lengths: Lengths | None = None,
        free_running: float = 0.0,
        generator: Generator | None = None,
    ) -> Written:
        """Return the inputs of the head for every token of `target`; arguments as for `forward`.

        Args:
            target, tokens, state, free_running, generator: as for `forward`.
            lengths: `(B,)`, tokens of each target; what is returned beyond them means nothing.

        Raises:
            InputError: there is no token in `target`.
        """
        steps = target.shape[1]
        if steps == 0:
            raise InputError("There is no token to write.")
        if free_running == 0 and not self.input_feeding:
            inputs = torch.cat((tokens.unsqueeze(1), target[:, :-1]), 1)
            x = F.dropout(self.embedding(inputs), self.dropout, self.training)
            h, _ = run(self.recurrent, x, state[0], lengths=lengths)
            return self._read(h, state[2], state[3])
        device = target.device if generator is None else generator.device
        own = torch.rand(target.shape, generator=generator, device=device) < free_running
        own = own.to(target.device)
        inner, memory = (state[0], state[1], state[3]), state[2]
        found: list[Written] = []
        for t in range(steps):
            written, inner = self.advance(tokens, inner, memory)
            found.append(written)
            tokens = target[:, t]
            if free_running > 0:
                tokens = torch.where(own[:, t], self.head(written.features).argmax(-1), tokens)
        weights = [w.weights for w in found if w.weights is not None]
        return Written(
            torch.stack([w.features for w in found], 1),
            torch.stack(weights, 1) if weights else None,
        )

    def forward(
        self,
        target: Tensor,
        tokens: Tensor,
        state: DecoderState,
        *,
        free_running: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return logits `(B, T, V)` of every token of `target` `(B, T)`, given the tokens before.

        Args:
            target: the tokens to write, without `bos`. Tokens after the end of a sequence change
                nothing before it.
            tokens: the tokens to feed first, from `start`.
            state: the state before it, from `start`.
            free_running: probability that a step is fed the decoder's own likeliest token and not
                the target's: 0 is teacher forcing, 1 is generation, and between them is scheduled
                sampling (Bengio et al. 2015).
            generator: draws which steps are fed so; one on the CPU draws the same on every device.
        """
        if target.shape[1] == 0:
            return self.step(tokens, state)[0].unsqueeze(1)[:, :0]
        written = self.unroll(target, tokens, state, free_running=free_running, generator=generator)
        return self.head(written.features)  # type: ignore[no-any-return]

    def _read(self, h: Tensor, memory: Memory | None, seen: Tensor | None) -> Written:
        """Return the inputs of the head for outputs `(B, T, H)` of the recurrence."""
        if self.attention is None or memory is None:
            return Written(self._dropped(h), None)
        if seen is None:
            context, weights = self.attention.attend(h, memory)
        else:
            keys, values, mask = memory
            scores, found = self.attention.scores(h, keys), []
            for score in scores.unbind(1):
                found.append(masked_softmax(score + self.u * seen, mask))
                seen = seen + found[-1]
            weights = torch.stack(found, 1)
            context = weights @ values
        return Written(self._dropped(torch.tanh(self.C(torch.cat((context, h), -1)))), weights)

    def _dropped(self, features: Tensor) -> Tensor:
        return F.dropout(features, self.dropout, self.training)


class StateFrom(nn.Module):
    """The state of a recurrent layer from a vector v, tanh(W v).

    Cho et al. 2014; Bahdanau et al. 2015.

    >>> layer = Recurrent("lstm", 3, 4, num_layers=2)
    >>> (h, c), _ = StateFrom(5, layer)(torch.randn(2, 5))
    >>> h.shape, c.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    def __init__(self, size: int, recurrent: Recurrent) -> None:
        super().__init__()
        state = recurrent.init_state(1)
        self.sizes = [[tensor.shape[-1] for tensor in part] for part in state]
        self.W = linear_like(recurrent, size, sum(map(sum, self.sizes)))

    def forward(self, vector: Tensor) -> LayerState:
        """Return the state of the layer, batch B, for vectors `(B, size)`."""
        sizes = [size for part in self.sizes for size in part]
        tensors = iter(torch.split(torch.tanh(self.W(vector)), sizes, -1))
        return tuple(tuple(next(tensors) for _ in part) for part in self.sizes)
