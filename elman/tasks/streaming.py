"""A task's model on a stream: what comes in and goes out is in the user's own terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from elman.errors import InputError
from elman.modalities.base import Codec


class CodecStream:
    """A model fed one step at a time; its memory can be saved, moved and put back.

    Args:
        codec: turns what comes into steps.
        model: has a method `stream`.
        said: turns one output `(1, O)` into what the user is given.
    """

    def __init__(self, codec: Codec, model: nn.Module, said: Callable[[Tensor], Any]) -> None:
        self._codec, self._said = codec, said
        streams: Any = model
        self._stream = streams.stream()

    @torch.inference_mode()
    def step(self, value: Any) -> Any:
        """Feed one input and return the output after it.

        Args:
            value: one step of the sequence as the modality has it: a piece of text (one word or
                character, or more), the numbers of a series' channels, the row of a picture.

        Raises:
            InputError: the value is empty or of another kind.
        """
        steps = self._codec.step(value)
        if steps.shape[1] == 1:
            return self._said(self._stream.step(steps[:, 0]))
        return self._said(self._stream.chunk(steps)[:, -1])

    @property
    def state(self) -> Any:
        """The memory: nested tuples of tensors. Setting None begins anew."""
        return self._stream.state

    @state.setter
    def state(self, state: Any) -> None:
        self._stream.state = state

    def snapshot(self) -> bytes:
        """Return the memory as bytes (safetensors)."""
        return packed(self._stream.snapshot())

    def restore(self, snapshot: bytes) -> None:
        """Put back a memory that `snapshot` of the same model returned.

        Raises:
            InputError: the bytes are damaged or come from another model.
        """
        self._stream.restore(unpacked(snapshot))


def packed(tensors: dict[str, Tensor]) -> bytes:
    """Return named tensors as the bytes of a snapshot."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def unpacked(snapshot: bytes) -> dict[str, Tensor]:
    """Return the tensors of a snapshot.

    Raises:
        InputError: the bytes are damaged.
    """
    try:
        return load(snapshot)
    except SafetensorError as error:
        raise InputError(f"this snapshot cannot be restored: {error}.") from None
