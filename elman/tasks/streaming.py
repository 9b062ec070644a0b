"""A task's model on a stream: what comes in and goes out is in the user's own terms."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor, nn

from elman.kernels.stream import Copied, OneAtATime, identity
from elman.modalities.base import Codec
from elman.nn.stream import check_identity, marked, packed, unpacked


class TaskStream(Copied):
    """Base of streams in the user's own terms: their memory can be saved, moved and put back.

    One thread at a time can use a stream; a second one gets an `InputError`. `copy()`, as
    `copy.copy` and `copy.deepcopy` do, makes an independent stream that shares the weights.
    """

    instead = (
        "Save its memory with to_bytes(), load the run in the other place, open its stream, and "
        "give it the memory with from_bytes()."
    )

    def __init__(self) -> None:
        self._alone = OneAtATime()

    def snapshot(self) -> bytes:
        """Return the memory as bytes (safetensors), with what tells the model and its weights."""
        with self._alone:
            return packed({**self._named(), "of": marked(self._identity())})

    def restore(self, snapshot: bytes) -> None:
        """Put back a memory that `snapshot` of the same model returned.

        Raises:
            InputError: the bytes are damaged, come from another model or another run, or do not
                say from which; nothing has changed then.
        """
        tensors = unpacked(snapshot)
        came_from = tensors.pop("of", None)
        with self._alone:
            check_identity(came_from, self._identity())
            self._take(tensors)

    def to_bytes(self) -> bytes:
        """Return what `snapshot` returns; all streams have a method of this name."""
        return self.snapshot()

    def from_bytes(self, data: bytes) -> None:
        """Put back what `to_bytes` returned, as `restore` does."""
        self.restore(data)

    def copy(self) -> Self:
        """Return a stream that goes on from the same memory by itself; weights are shared."""
        new = object.__new__(type(self))
        with self._alone:
            vars(new).update(vars(self))
            new._alone = OneAtATime()
            new._part()
        return new

    def _named(self) -> Mapping[str, Tensor]:
        """Return the memory."""
        raise NotImplementedError

    def _take(self, tensors: dict[str, Tensor]) -> None:
        """Put back a memory of the same model."""
        raise NotImplementedError

    def _part(self) -> None:
        """Replace what is shared with the stream that this is a copy of, and changes."""
        raise NotImplementedError

    def _identity(self) -> str:
        raise NotImplementedError


class CodecStream(TaskStream):
    """A model fed piece by piece; its memory can be saved, moved and put back.

    Args:
        codec: turns what comes into steps.
        model: has a method `stream`.
        said: turns one output `(1, O)` into what the user is given.
        each: give a list with the answer of each step that a piece completes, not only the last.
    """

    def __init__(
        self,
        codec: Codec,
        model: nn.Module,
        said: Callable[[Tensor], Any],
        *,
        each: bool = False,
    ) -> None:
        super().__init__()
        self._codec, self._said, self._each = codec, said, each
        streams: Any = model
        self._stream = streams.stream()
        self._waiting = codec.begin()
        self._last: Tensor | None = None
        self._known = ""

    def step(self, value: Any) -> Any:
        """Feed one piece and return the answer after it.

        Args:
            value: a piece of the sequence as the modality has it: of a text one word or character
                or more, the numbers of a series' channels, the row of a picture, samples of a
                recording.

        Returns:
            The answer after the last step that the piece completes; the one before where it
            completes none, or None where there has been none.

        Raises:
            InputError: the value is empty or of another kind.
        """
        with self._alone:
            return self._step(value)

    def _step(self, value: Any) -> Any:
        steps, waiting = self._codec.take(value, self._waiting)
        if steps.shape[1] == 1:  # nearly always, and worth the shortest way
            outputs = [self._stream.step(steps[:, 0])]
        else:
            outputs = list(self._stream.chunk(steps).unbind(1)) if steps.shape[1] else []
        self._waiting = waiting
        if outputs:
            self._last = outputs[-1]
        if self._each:
            return [self._said(output) for output in outputs]
        return None if self._last is None else self._said(self._last)

    @property
    def state(self) -> Any:
        """The memory: the model's state, what waits for the next piece, and the last output.

        Setting None begins anew.
        """
        with self._alone:
            return self._stream.state, self._waiting, self._last

    @state.setter
    def state(self, state: Any) -> None:
        with self._alone:
            if state is None:
                self._stream.state = None
                self._waiting, self._last = self._codec.begin(), None
            else:
                self._stream.state, self._waiting, self._last = state

    def _named(self) -> Mapping[str, Tensor]:
        tensors = dict(self._stream.snapshot())
        tensors |= {f"waiting.{i}": tensor for i, tensor in enumerate(self._waiting)}
        if self._last is not None:
            tensors["last"] = self._last
        return tensors

    def _take(self, tensors: dict[str, Tensor]) -> None:
        last = tensors.pop("last", None)
        waiting = tuple(tensors.pop(f"waiting.{i}") for i in range(len(self._waiting)))
        self._stream.restore(tensors)
        self._waiting, self._last = waiting, last

    def _part(self) -> None:
        self._stream = copy.deepcopy(self._stream)

    def _identity(self) -> str:
        # Of a large vocabulary it takes long, and most streams are never asked.
        if not self._known:
            codec = json.dumps(self._codec.to_json(), sort_keys=True)
            self._known = identity(self._stream.identity, self._codec.modality, codec)
        return self._known
