"""The loss of `translate`, and its validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.tasks.base import device_of
from elman.tasks.translate.translator import IGNORED, Batch, Translator

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate


class CostOfSymbols:
    """Cross-entropy of the symbols of the targets."""

    metric = "loss"
    higher_is_better = False
    model: nn.Module

    def __init__(self, task: Translate, model: Translator) -> None:
        self.task, self.model, self.translator = task, model, model

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the summed cost, and the number of symbols."""
        if not len(batch):
            return torch.zeros((), device=device_of(self.model)), 0.0, None
        total = self.translator.loss(
            batch.to(device_of(self.model)), self.task.settings.label_smoothing
        )
        return total, float((batch.target != IGNORED).sum()), None

    def validate(self) -> dict[str, float]:
        """Return nats and perplexity of a symbol of the validation part."""
        if "valid" not in self.task._parts:
            return {}
        sources, targets = self.task._of("valid")
        nats = self.task.costs(self.translator, sources, targets).sum()
        loss = float(nats) / sum(map(len, targets))
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
