"""The loss of `translate`, and its validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.tasks.base import device_of
from elman.tasks.translate import dialogues, ranking
from elman.tasks.translate.translator import IGNORED, Batch, Translator

if TYPE_CHECKING:
    from elman.tasks.translate.task import Translate


_CONTEXTS = 300
"""Contexts of the validation part for which replies are chosen while a model trains, at most."""


class CostOfSymbols:
    """Cross-entropy of the symbols of the targets, and of the choice of replies if it is learnt."""

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
        found = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
        choosing = self._choosing()
        if choosing is not None:
            share = self.translator.share
            found |= {"loss": (1 - share) * loss + share * choosing, "nats_of_choosing": choosing}
        return found

    def _choosing(self) -> float | None:
        """Return the mean nats of choosing the true reply of contexts of the validation part.

        It is None where the model does not learn it, or where there are too few replies.
        """
        asked = None if self.translator.matching is None else self.task.asked
        if asked is None:
            return None
        every = slice(None, None, -(-len(asked.rows) // _CONTEXTS))
        some = dialogues.Choice(asked.rows[every], asked.among[every])
        scores = ranking.matches(self.task, self.translator, self.task._parts["valid"], some)
        return float(-torch.from_numpy(scores).log_softmax(-1)[:, 0].mean())
