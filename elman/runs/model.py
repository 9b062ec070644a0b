"""A finished run as an object: predict, generate, stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from elman.errors import InputError
from elman.nn import state as states
from elman.tasks.base import Stepper, Task

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A trained model with everything it needs to be used, loaded from a run."""

    def __init__(self, task: Task, module: nn.Module, path: Path) -> None:
        self.task, self.module, self.path = task, module, path

    def predict(self, data: Any) -> pd.DataFrame:
        """Predictions on new data (a path, paths or a DataFrame), a row each."""
        return self.task.predict(self.module, data)

    def generate(self, prompt: str = "", **options: Any) -> list[str]:
        """New sequences that begin with `prompt`; options as in `elman generate`.

        Raises:
            InputError: the task of this run does not generate.
        """
        return _generator(self).generate(self.module, prompt, **options)  # type: ignore[no-any-return]

    def complete(self, prompt: str, **options: Any) -> Any:
        """The likeliest next symbols after `prompt` with their probabilities."""
        return _generator(self).complete(self.module, prompt, **options)

    def stream(self) -> Stream:
        """The model one step at a time, in constant memory."""
        return Stream(self.task.stepper(self.module))


class Stream:
    """A model fed one step at a time; its memory can be saved, moved and put back."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self.state: Any = stepper.start()

    @torch.inference_mode()
    def step(self, value: Any) -> Any:
        """Feed one input and return the output after it."""
        output, self.state = self._stepper.step(value, self.state)
        return output

    def snapshot(self) -> bytes:
        """The memory as bytes (safetensors)."""
        tensors = {str(i): t.contiguous() for i, t in enumerate(states.flatten(self.state))}
        return save_tensors(tensors)

    def restore(self, snapshot: bytes) -> None:
        """Put back a memory that `snapshot` of the same model returned.

        Raises:
            InputError: the bytes are damaged or come from another model.
        """
        like = states.flatten(self._stepper.start())
        try:
            found = load_tensors(snapshot)
            tensors = [found[str(i)] for i in range(len(like))]
        except (SafetensorError, KeyError) as error:
            raise InputError(f"this snapshot cannot be restored: {error}.") from None
        if len(found) != len(like) or any(
            a.shape != b.shape or a.dtype != b.dtype for a, b in zip(tensors, like, strict=True)
        ):
            shapes = json.dumps([list(t.shape) for t in tensors])
            raise InputError(f"this snapshot is of another model: its states are {shapes}.")
        self.state = states.unflatten(self._stepper.start(), tensors)


def _generator(model: Model) -> Any:
    if not hasattr(model.task, "generate"):
        raise InputError(
            f"a {model.task.name} model does not generate text.", fix="Use predict instead."
        )
    return model.task
