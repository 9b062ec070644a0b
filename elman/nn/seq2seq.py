"""The encoder-decoder: many to many, unaligned; one sequence is read, another is written."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import Generator, Tensor, nn

from elman.errors import InputError, nearest
from elman.nn.decoder import Decoder, DecoderState, StateFrom
from elman.nn.decoding import SampleOptions, Samples, sample
from elman.nn.masking import Lengths, reverse_valid
from elman.nn.recurrent import Recurrent
from elman.nn.running import read, run
from elman.nn.state import flatten, unflatten
from elman.nn.transformer import Transformer

BRIDGES = ("affine", "copy")


class EncoderDecoder(nn.Module):
    """An encoder-decoder: one recurrence reads the source, another writes the target.

    Sutskever, Vinyals & Le 2014 and Cho et al. 2014; with attention in the decoder, Bahdanau,
    Cho & Bengio 2015 and Luong, Pham & Manning 2015.

    Args:
        encoder: reads the source; may be bidirectional.
        decoder: writes the target; attends to the encoder's outputs if it has attention, whose
            `memory_size` is then `encoder.output_size`.
        embedding: turns the source into vectors, such as `nn.Embedding`; None where it is numbers.
        front: maps `(B, T, F)` and lengths to a shorter sequence and its lengths, before the
            encoder.
        reverse_source: read the source backwards, each row from its own end (Sutskever et al.
            2014).
        bridge: how the decoder's first state is made of the encoder's last: "affine", tanh of a
            linear map; "copy", the same numbers, which needs the same sizes.

    >>> model = EncoderDecoder(
    ...     Recurrent("gru", 4, 8),
    ...     Decoder(nn.Embedding(7, 4), Recurrent("gru", 4, 8), nn.Linear(8, 7), bos=0, eos=1),
    ...     embedding=nn.Embedding(9, 4),
    ... )
    >>> source, target = torch.randint(9, (2, 5)), torch.tensor([[3, 1], [4, 1]])
    >>> model(source, target, lengths=[5, 3]).shape
    torch.Size([2, 2, 7])
    >>> from elman.nn.decoding import beam_search
    >>> [first, second] = beam_search(
    ...     model.step, *model.start(source, lengths=[5, 3]), beam=3, max_length=4, eos=1
    ... )
    """

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Decoder,
        *,
        embedding: nn.Module | None = None,
        front: nn.Module | None = None,
        reverse_source: bool = False,
        bridge: str = "affine",
    ) -> None:
        super().__init__()
        if bridge not in BRIDGES:
            raise InputError(f"bridge={bridge!r} is not known.", fix=nearest(bridge, BRIDGES))
        ours = [t.shape[-1] for t in flatten(encoder.init_state(1))]
        theirs = [t.shape[-1] for t in flatten(decoder.recurrent.init_state(1))]
        if bridge == "copy" and ours != theirs:
            raise InputError(
                f"The encoder's state has sizes {ours}, the decoder's {theirs}; they cannot be "
                "copied.",
                fix="Use bridge='affine'.",
            )
        if decoder.attention is not None and decoder.attention.memory_size != encoder.output_size:
            raise InputError(
                f"The attention reads a memory of size {decoder.attention.memory_size}, the "
                f"encoder writes {encoder.output_size}.",
            )
        self.encoder, self.decoder = encoder, decoder
        self.embedding, self.front = embedding, front
        self.reverse_source = reverse_source
        # A Transformer attends to all that the encoder gives out; nothing is handed on beside it.
        layers: nn.Module = decoder.recurrent
        handed = bridge == "affine" and not isinstance(layers, Transformer)
        self.bridge = StateFrom(sum(ours), decoder.recurrent) if handed else None

    def start(
        self, source: Tensor, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Read a source; return the first tokens `(B,)` and the state before them.

        `step` and `elman.nn.decoding` take both.

        Args:
            source: `(B, S, F)`, or tokens `(B, S)` where there is an embedding.
            lengths: `(B,)`, steps of each source; steps beyond them change nothing.
        """
        outputs, ended, lengths = self.encode(source, lengths=lengths)
        return self.begin(outputs, ended, lengths=lengths)

    def encode(
        self, source: Tensor, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, Any, Lengths | None]:
        """Read a source, as `start` does; return the encoder's outputs, last state and lengths.

        With `reverse_source` the outputs `(B, S, F)` are in the order in which it was read.
        """
        x, lengths = read(source, self.embedding, self.front, lengths=lengths)
        if self.reverse_source:
            x = reverse_valid(x, lengths)
        outputs, ended = run(self.encoder, x, lengths=lengths)
        return outputs, ended, lengths

    def begin(
        self, outputs: Tensor, ended: Any, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Return, of a source that `encode` read, what `start` does."""
        layers: nn.Module = self.decoder.recurrent
        if isinstance(layers, Transformer):
            state = layers.start(outputs, lengths)
        elif self.bridge is None:
            like = self.decoder.recurrent.init_state(len(outputs))
            state = unflatten(like, flatten(ended))
        else:
            state = self.bridge(torch.cat(flatten(ended), -1))
        attention = self.decoder.attention
        memory = None if attention is None else attention.remember(outputs, lengths=lengths)
        return self.decoder.start(state, memory)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Take tokens `(B,)`; return logits `(B, V)` of the next tokens, and the new state."""
        return self.decoder.step(tokens, state)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        lengths: Lengths | None = None,
        free_running: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return logits `(B, T, V)` for every token of `target` `(B, T)`; see `Decoder.forward`."""
        start = self.start(source, lengths=lengths)
        return self.decoder(  # type: ignore[no-any-return]
            target, *start, free_running=free_running, generator=generator
        )

    def generate(
        self,
        source: Tensor,
        *,
        lengths: Lengths | None = None,
        max_length: int,
        **options: Unpack[SampleOptions],
    ) -> Samples:
        """Write up to `max_length` tokens or `decoder.eos`; options as for `decoding.sample`."""
        start = self.start(source, lengths=lengths)
        return sample(self.step, *start, max_length=max_length, eos=self.decoder.eos, **options)


def free_running_rate(step: int, k: float) -> float:
    """Return how often scheduled sampling feeds a decoder its own tokens at a training step.

    1 - k / (k + exp(step / k)), the inverse sigmoid decay of teacher forcing (Bengio et al.
    2015, section 2.4): near 0 at first, one half at step k ln k, near 1 at the end.

    >>> [round(free_running_rate(step, k=100), 3) for step in (0, 460, 461, 2000)]
    [0.01, 0.499, 0.501, 1.0]

    Raises:
        InputError: `k` below 1.
    """
    if k < 1:
        raise InputError(f"k is 1 or more, not {k}.")
    return 1 / (1 + math.exp(min(math.log(k) - step / k, 700)))
