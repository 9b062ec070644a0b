"""Several networks of one kind whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Classifiers trained side by side, averaged afterwards.

    Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using
    deep ensembles": each starts from other parameters and sees other noise, so their mistakes
    differ; the mean of their probabilities is right more often, and surer of what is right.

    Args:
        members: modules that map the same arguments to logits `(B, C)`.

    >>> _ = torch.manual_seed(0)
    >>> model = Ensemble([nn.Linear(2, 3), nn.Linear(2, 3)])
    >>> model(torch.ones(5, 2)).shape
    torch.Size([5, 2, 3])
    >>> model.eval()(torch.ones(5, 2)).exp().sum(-1)[0].item()
    1.0
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, *args: Any) -> Tensor:
        """In training each member's logits `(B, members, C)`; else the logarithm of the mean
        probability `(B, C)`."""
        logits = torch.stack([member(*args) for member in self.members], 1)
        if self.training:
            return logits
        return logits.log_softmax(-1).logsumexp(1) - math.log(len(self.members))
