"""A finished run as an object: predict, generate, stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from elman.errors import InputError
from elman.tasks.base import Streamed, Task

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A trained model with everything it needs to be used, loaded from a run."""

    def __init__(self, task: Task, module: nn.Module, path: Path) -> None:
        self.task, self.module, self.path = task, module, path

    def predict(self, data: Any, **how: Any) -> pd.DataFrame:
        """Predictions on new data (a path, paths or a DataFrame), a row each."""
        return self.task.predict(self.module, data, **how)

    def generate(self, prompt: str = "", **options: Any) -> list[str]:
        """New sequences that begin with `prompt`; options as in `elman generate`.

        Raises:
            InputError: the task of this run does not generate.
        """
        return _generator(self).generate(self.module, prompt, **options)  # type: ignore[no-any-return]

    def complete(self, prompt: str, **options: Any) -> Any:
        """The likeliest next symbols after `prompt` with their probabilities."""
        return _generator(self).complete(self.module, prompt, **options)

    def stream(self) -> Streamed:
        """The model one step at a time, in constant memory."""
        return self.task.stream(self.module)


def _generator(model: Model) -> Any:
    if not hasattr(model.task, "generate"):
        raise InputError(
            f"a {model.task.name} model does not generate text.", fix="Use predict instead."
        )
    return model.task
