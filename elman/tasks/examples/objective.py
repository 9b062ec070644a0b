"""The loss that training on examples lowers, and its validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.tasks.base import device_of
from elman.tasks.examples.batch import Batch
from elman.tasks.parts import pieces

if TYPE_CHECKING:
    from elman.tasks.examples.task import FromExamples


class ExamplesObjective:
    """The loss of a task from examples, and its metrics on the validation part."""

    def __init__(self, task: FromExamples, model: nn.Module) -> None:
        self.task, self.model = task, model
        self.metric, self.higher_is_better = task.metric, task.higher_is_better

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the summed loss and the number of its terms."""
        if not len(batch):
            return torch.zeros((), device=device_of(self.model)), 0.0, None
        return self.task.loss(self.model, batch), self.task.terms(batch), None

    def validate(self) -> dict[str, float]:
        """Return metrics and loss of the validation part; nothing where no example is held out."""
        if "valid" not in self.task._parts:
            return {}
        found = self.task.validate(self.model)
        # Where a task tells no loss of its own, the one that training lowers.
        return found if "loss" in found else {**found, "loss": self._validation_loss()}

    def _validation_loss(self) -> float:
        inputs, answers = self.task._inputs("valid"), self.task._answers("valid")
        stretch = getattr(self.task.settings, "stretch", None)
        if stretch is not None and self.task.layout.aligned:
            inputs, answers = pieces(inputs, stretch), self.task.cut(answers, stretch)
        total, terms = 0.0, 0.0
        for first in range(0, len(inputs), size := self.task.settings.batch_size):
            rows = slice(first, first + size)
            batch = self.task._batch(inputs[rows], answers[rows])
            total += float(self.task.loss(self.model, batch))
            terms += self.task.terms(batch)
        return total / max(terms, 1.0)
