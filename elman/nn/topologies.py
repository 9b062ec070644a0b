"""The topologies, all batch-first: the shape of what goes in and of what comes out.

- `OneToOne`: from a vector to a vector.
- `OneToMany`: from a note, a label, a picture or nothing to a sequence.
- `ManyToOne`: from a sequence to a vector.
- `Aligned`: from a sequence to one of the same length, step by step.
- `EncoderDecoder` (in `seq2seq`): from a sequence to one of another length.

Each takes an `embedding` (it turns a step into a vector: `nn.Embedding` for tokens, any module of
the last axis) and a `front` (a `ConvFront1d`, `ConvFront2d`, or any module with
`y, lengths = front(x, lengths=lengths)`) to put before its recurrence.

Each has a streaming form: `start` gives the state before the first step, and `step` takes one
step and that state and returns the output and the new state. `stream` of the first, third and
fourth runs the same through compiled steps, without gradients.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Generator, Tensor, nn

from elman.errors import InputError, nearest
from elman.nn.decoder import Decoder, DecoderState, StateFrom, linear_like
from elman.nn.decoding import SampleOptions, Samples, sample
from elman.nn.masking import Lengths, blank, valid_steps
from elman.nn.pooling import MeanPooling, PoolingState, make_pooling
from elman.nn.recurrent import LayerState, Recurrent
from elman.nn.running import forward_only, read, run, run_step
from elman.nn.stream import ModelStream, PoolingStream, Stream


class OneToOne(nn.Module):
    """One to one: from a vector to a vector by one step of the recurrence.

    Without a state it is a feed-forward network. With the state that it returned it takes the
    next step of a stream.

    Args:
        recurrent: the recurrent layer, which takes one step.
        head: applied to its output.
        embedding: turns the input into a vector.
        front: turns a picture or window `(B, T, F)` into steps, whose mean is the vector.

    >>> import torch
    >>> model = OneToOne(Recurrent("elman", 3, 8), nn.Linear(8, 2))
    >>> y, state = model(torch.randn(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        recurrent: Recurrent,
        head: nn.Module,
        *,
        embedding: nn.Module | None = None,
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.front = embedding, front
        self.recurrent, self.head = recurrent, head

    def forward(
        self, x: Tensor, state: Any = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, Any]:
        """Return the output `(B, O)` and the state.

        Args:
            x: `(B, F)`; where there is a front, `(B, T, F)`.
            state: from `start` or an earlier call; None begins anew.
            lengths: `(B,)`, steps of what the front reads.
        """
        x, lengths = read(x, self.embedding, self.front, lengths=lengths)
        if self.front is not None:
            x = MeanPooling()(x, lengths=lengths)
        y, state = run_step(self.recurrent, x, state)
        return self.head(y), state

    def start(self, batch: int = 1) -> LayerState:
        """Return the state before the first step."""
        return self.recurrent.init_state(batch)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Take one input; return the output `(B, O)` and the new state."""
        y, state = self(x, state)
        return y, state

    def stream(self, batch: int = 1) -> ModelStream:
        """Return the model on a stream of vectors, each from the state of the one before.

        Raises:
            InputError: there is a front, or a part cannot stream; see `elman.stream`.
        """
        _no_front(self.front)
        return ModelStream(_parts(self), batch, batch_first=True)


class ManyToOne(nn.Module):
    """Many to one: from a sequence to a vector, the pooled outputs of the recurrence.

    Args:
        recurrent: reads the sequence; may be bidirectional.
        head: applied to the pooled output.
        embedding: turns a step into a vector.
        front: shortens the sequence before the recurrence.
        pooling: "last", "mean", "max" or "attention", see `elman.nn.pooling`.
        beside: a second branch, called as a front is, that reads what the recurrence reads; the
            mean of its outputs goes to the head beside the pooled output (LSTM-FCN, Karim et al.
            2018). The head takes the features of both.

    >>> import torch
    >>> model = ManyToOne(Recurrent("gru", 3, 8), nn.Linear(8, 2), pooling="mean")
    >>> model(torch.randn(5, 7, 3), lengths=[7, 7, 2, 1, 0]).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        recurrent: Recurrent,
        head: nn.Module,
        *,
        embedding: nn.Module | None = None,
        front: nn.Module | None = None,
        pooling: str = "last",
        beside: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.front = embedding, front
        self.recurrent, self.head, self.beside = recurrent, head, beside
        like = recurrent.init_state(1)[0][0]
        self.pooling = make_pooling(
            pooling,
            recurrent.output_size,
            bidirectional=recurrent.bidirectional,
            device=like.device,
            dtype=like.dtype,
        )

    def forward(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the output `(B, O)` for sequences; a row of length 0 gives head(0).

        Args:
            x: `(B, T, F)`, or tokens `(B, T)` where there is an embedding.
            lengths: `(B,)`, steps of each row, zero included; None if all are whole.
        """
        x, lengths = read(x, self.embedding, self.front, lengths=lengths)
        y, _ = run(self.recurrent, x, lengths=lengths)
        pooled = self.pooling(y, lengths=lengths)
        if self.beside is not None:
            z, after = self.beside(x, lengths=lengths)
            pooled = torch.cat([pooled, MeanPooling()(z, lengths=after)], -1)
        return self.head(pooled)  # type: ignore[no-any-return]

    def start(self, batch: int = 1) -> tuple[LayerState, PoolingState]:
        """Return the states of the recurrence and of the pooling before the first step.

        Raises:
            InputError: as for `stream`.
        """
        self._goes_forward()
        state = self.recurrent.init_state(batch)
        like, size = state[0][0], self.recurrent.output_size
        return state, self.pooling.start(batch, size, like.device, like.dtype)

    def step(
        self, x: Tensor, state: tuple[LayerState, PoolingState]
    ) -> tuple[Tensor, tuple[LayerState, PoolingState]]:
        """Take one step, `(B, F)` or tokens `(B,)`; return the output `(B, O)` and the state.

        The output is the one for the sequence so far, as if it had been given whole.

        >>> import torch
        >>> model = ManyToOne(Recurrent("gru", 3, 8), nn.Linear(8, 2), pooling="mean")
        >>> x, state = torch.randn(5, 7, 3), model.start(5)
        >>> for t in range(7):
        ...     y, state = model.step(x[:, t], state)
        >>> torch.allclose(y, model(x), atol=1e-6)
        True
        """
        self._goes_forward()
        recurrent, pooling = state
        x, _ = read(x, self.embedding)
        y, recurrent = run_step(self.recurrent, x, recurrent)
        pooled, pooling = self.pooling.step(y, pooling)
        return self.head(pooled), (recurrent, pooling)

    def stream(self, batch: int = 1) -> ModelStream:
        """Return the model on a stream: after each step the output for the sequence so far.

        It runs in constant memory and without gradients; see `elman.stream`. The state holds the
        recurrence's and the pooling's.

        Args:
            batch: rows that are fed side by side.

        Raises:
            InputError: the layer is bidirectional, there is a front or a branch beside the
                recurrence, or a part cannot stream.

        >>> import torch
        >>> model = ManyToOne(Recurrent("gru", 3, 8), nn.Linear(8, 2), pooling="max")
        >>> stream, x = model.stream(), torch.randn(1, 7, 3)
        >>> torch.allclose(stream.chunk(x)[:, -1], model(x), atol=1e-6), stream.backend
        (True, 'cpu')
        """
        self._goes_forward()
        like = self.recurrent.init_state(1)[0][0]
        pooling = PoolingStream(self.pooling, batch, self.recurrent.output_size, like)
        return ModelStream(_parts(self, pooling), batch, batch_first=True)

    def _goes_forward(self) -> None:
        forward_only(self.recurrent, "A step")
        _no_front(self.front)
        if self.beside is not None:
            raise InputError(
                "The branch beside the recurrence looks ahead, so this model cannot go step by "
                "step.",
                fix="Build the model without beside=.",
            )


class Aligned(nn.Module):
    """Many to many, aligned: from a sequence to an output for every step.

    It makes taggers and language models. With a front that strides, there are as many outputs
    as the front leaves steps: `front.output_lengths(lengths)`.

    Args:
        recurrent: reads the sequence; bidirectional only where whole sequences are read.
        head: applied to each output.
        embedding: turns a step into a vector.
        front: maps the sequence before the recurrence.

    >>> import torch
    >>> model = Aligned(Recurrent("lstm", 4, 8), nn.Linear(8, 9), embedding=nn.Embedding(9, 4))
    >>> tokens = torch.randint(9, (2, 6))
    >>> y, state = model(tokens[:, :5])
    >>> y.shape
    torch.Size([2, 5, 9])
    >>> torch.allclose(model.step(tokens[:, 5], state)[0], model(tokens)[0][:, 5], atol=1e-6)
    True
    """

    def __init__(
        self,
        recurrent: Recurrent,
        head: nn.Module,
        *,
        embedding: nn.Module | None = None,
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.front = embedding, front
        self.recurrent, self.head = recurrent, head

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Return the outputs `(B, T, O)`, zero beyond each length, and the state.

        Args:
            x: `(B, T, F)`, or tokens `(B, T)` where there is an embedding.
            state: from `start` or an earlier call; None begins anew.
            lengths: `(B,)`, steps of each row, zero included; None if all are whole.
            reset: bool `(B, T)`, true where a new sequence begins.

        Raises:
            InputError: `reset` with a front, which would look across it.
        """
        if reset is not None and self.front is not None:
            raise InputError("A front looks across a reset; give each sequence a row of its own.")
        x, lengths = read(x, self.embedding, self.front, lengths=lengths)
        y, state = run(self.recurrent, x, state, lengths=lengths, reset=reset)
        y = self.head(y)
        if lengths is not None:
            y = blank(y, valid_steps(lengths, y.shape[1], y.device))
        return y, state

    def start(self, batch: int = 1) -> LayerState:
        """Return the state before the first step."""
        return self.recurrent.init_state(batch)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Take one step, `(B, F)` or tokens `(B,)`; return the output `(B, O)` and the state.

        `elman.nn.decoding` writes with it.

        Raises:
            InputError: there is a front, or the layer is bidirectional.
        """
        forward_only(self.recurrent, "A step")
        _no_front(self.front)
        x, _ = read(x, self.embedding)
        y, state = run_step(self.recurrent, x, state)
        return self.head(y), state

    def stream(self, batch: int = 1) -> ModelStream:
        """Return the model on a stream, in constant memory, without gradients; see `elman.stream`.

        Raises:
            InputError: there is a front, the layer is bidirectional, or a part cannot stream.

        >>> import torch
        >>> model = Aligned(Recurrent("gru", 4, 8), nn.Linear(8, 9), embedding=nn.Embedding(9, 4))
        >>> stream, tokens = model.stream(), torch.tensor([[3, 1, 4]])
        >>> y = stream.chunk(tokens)
        >>> torch.allclose(y, model(tokens)[0], atol=1e-6), stream.step(tokens[:, 0]).shape
        (True, torch.Size([1, 9]))
        """
        _no_front(self.front)
        return ModelStream(_parts(self), batch, batch_first=True)


def _parts(
    model: OneToOne | ManyToOne | Aligned, pooling: PoolingStream | None = None
) -> list[tuple[str, nn.Module | Stream]]:
    """Return the parts of a model in the order in which a step goes through them, by name."""
    parts: dict[str, nn.Module | Stream | None] = {
        "embedding": model.embedding,
        "recurrent": model.recurrent,
        "pooling": pooling,
        "head": model.head,
    }
    return [(name, part) for name, part in parts.items() if part is not None]


def _no_front(front: nn.Module | None) -> None:
    if front is not None:
        raise InputError(
            "A front needs its whole window, so this model cannot go step by step.",
            fix="Build the model without front=.",
        )


WAYS_IN = ("state", "input", "both")


class OneToMany(nn.Module):
    """One to many: from a condition, or from nothing, to a sequence of tokens.

    `condition` turns the condition into a vector: a label or a note by `nn.Embedding`, the
    features of a picture by `nn.Linear`.

    Args:
        decoder: writes the sequence.
        condition_size: features of the condition; None writes from nothing.
        condition: turns what the model is given into a vector; None where it is one already.
        into: where the condition goes. "state": tanh of a linear map of it is the first state.
            "input": a linear map of it is read once, before the first token (Vinyals et al.
            2015, "Show and tell"). "both".
        front: turns a picture or sequence `(B, T, F)` into steps, whose mean goes to
            `condition`.

    >>> import torch
    >>> decoder = Decoder(nn.Embedding(7, 4), Recurrent("gru", 4, 8), nn.Linear(8, 7), bos=0)
    >>> model = OneToMany(decoder, condition_size=5, condition=nn.Embedding(3, 5))
    >>> label, target = torch.tensor([0, 2]), torch.tensor([[3, 1, 2], [5, 5, 1]])
    >>> model(target, label).shape
    torch.Size([2, 3, 7])
    >>> model.generate(label, max_length=4, temperature=0).tokens.shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        condition_size: int | None = None,
        condition: nn.Module | None = None,
        into: str = "state",
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if into not in WAYS_IN:
            raise InputError(f"into={into!r} is not known.", fix=nearest(into, WAYS_IN))
        if condition_size is None and not (condition is None and front is None):
            raise InputError("A condition has a size.", fix="Give condition_size=.")
        self.decoder, self.condition, self.front = decoder, condition, front
        self.conditioned = condition_size is not None
        self.to_state = self.to_input = None
        if condition_size is not None:
            recurrent = decoder.recurrent
            if into != "input":
                self.to_state = StateFrom(condition_size, recurrent)
            if into != "state":
                self.to_input = linear_like(recurrent, condition_size, recurrent.input_size)

    def start(
        self,
        condition: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        batch: int = 1,
    ) -> tuple[Tensor, DecoderState]:
        """Return the first tokens `(B,)` and the state before them.

        `step` and `elman.nn.decoding` take both.

        Args:
            condition: what the sequences are written from, `(B, ...)`.
            lengths: `(B,)`, steps of the condition where there is a front.
            batch: how many sequences to write where there is no condition.

        Raises:
            InputError: a condition is given and none is used, or the other way round.
        """
        recurrent = self.decoder.recurrent
        if condition is None and not self.conditioned:
            return self.decoder.start(recurrent.init_state(batch))
        if condition is None or not self.conditioned:
            uses = "a condition" if self.conditioned else "no condition"
            raise InputError(f"This model writes from {uses}.")
        if self.front is not None:
            seen, after = self.front(condition, lengths=lengths)
            condition = MeanPooling()(seen, lengths=after)
        if self.condition is not None:
            condition = self.condition(condition)
        if self.to_state is None:
            state = recurrent.init_state(len(condition))
        else:
            state = self.to_state(condition)
        if self.to_input is not None:
            _, state = run_step(recurrent, self.to_input(condition), state)
        return self.decoder.start(state)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Take tokens `(B,)`; return logits `(B, V)` of the next tokens, and the new state."""
        return self.decoder.step(tokens, state)

    def forward(
        self,
        target: Tensor,
        condition: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        free_running: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return logits `(B, T, V)` for every token of `target` `(B, T)`; see `Decoder.forward`."""
        start = self.start(condition, lengths=lengths, batch=len(target))
        return self.decoder(  # type: ignore[no-any-return]
            target, *start, free_running=free_running, generator=generator
        )

    def generate(
        self,
        condition: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        batch: int = 1,
        max_length: int,
        **options: Unpack[SampleOptions],
    ) -> Samples:
        """Write up to `max_length` tokens or `decoder.eos`.

        Arguments as for `start` and `decoding.sample`.
        """
        start = self.start(condition, lengths=lengths, batch=batch)
        return sample(self.step, *start, max_length=max_length, eos=self.decoder.eos, **options)
