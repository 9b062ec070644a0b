"""A task's model on a stream: what comes in and goes out is in the user's own terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from elman.errors import InputError
from elman.modalities.base import Codec


class CodecStream:
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
        self._codec, self._said, self._each = codec, said, each
        streams: Any = model
        self._stream = streams.stream()
        self._waiting = codec.begin()
        self._last: Tensor | None = None

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
        return self._stream.state, self._waiting, self._last

    @state.setter
    def state(self, state: Any) -> None:
        if state is None:
            self._stream.state = None
            self._waiting, self._last = self._codec.begin(), None
        else:
            self._stream.state, self._waiting, self._last = state

    def snapshot(self) -> bytes:
        """Return the memory as bytes (safetensors)."""
        tensors = dict(self._stream.snapshot())
        tensors |= {f"waiting.{i}": tensor for i, tensor in enumerate(self._waiting)}
        if self._last is not None:
            tensors["last"] = self._last
        return packed(tensors)

    def restore(self, snapshot: bytes) -> None:
        """Put back a memory that `snapshot` of the same model returned.

        Raises:
            InputError: the bytes are damaged or come from another model.
        """
        tensors = unpacked(snapshot)
        last = tensors.pop("last", None)
        names = [f"waiting.{i}" for i in range(len(self._waiting))]
        if any(name not in tensors for name in names):
            raise InputError("This snapshot is of another stream.")
        waiting = tuple(tensors.pop(name) for name in names)
        self._stream.restore(tensors)
        self._waiting, self._last = waiting, last


def packed(tensors: dict[str, Tensor]) -> bytes:
    """Return named tensors as the bytes of a snapshot."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def unpacked(snapshot: bytes) -> dict[str, Tensor]:
    """Return the tensors of a snapshot.

    Raises:
        InputError: the bytes are damaged.
    """
    if not isinstance(snapshot, bytes | bytearray):
        raise InputError(
            f"a snapshot is bytes, as snapshot() gives them, not {type(snapshot).__name__}."
        )
    try:
        return load(bytes(snapshot))
    except SafetensorError as error:
        raise InputError(f"this snapshot cannot be restored: {error}.") from None
