"""An ensemble: several networks of one kind whose answers are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.nn.stream import EnsembleStream


class Ensemble(nn.Module):
    """Networks trained side by side, whose answers are averaged afterwards.

    Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using
    deep ensembles". Each member starts from other parameters and sees other noise, so members
    make different mistakes and the mean of their answers makes fewer.

    Args:
        members: modules that map the same arguments to outputs `(B, ..., C)`, or to a tuple that
            begins with them.
        average: what is averaged: "probabilities", of which outputs are the logits, or "outputs"
            as they are.

    >>> _ = torch.manual_seed(0)
    >>> model = Ensemble([nn.Linear(2, 3), nn.Linear(2, 3)])
    >>> model(torch.ones(5, 2)).shape
    torch.Size([5, 2, 3])
    >>> model.eval()(torch.ones(5, 2)).exp().sum(-1)[0].item()
    1.0
    """

    def __init__(
        self,
        members: Iterable[nn.Module],
        average: Literal["probabilities", "outputs"] = "probabilities",
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.average = average

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logarithm of the mean probability, or the mean output, `(B, ..., C)`.

        While training, return each member's outputs `(B, members, ..., C)`. Arguments are as for
        a member.
        """
        made = [member(*args, **kwargs) for member in self.members]
        return self._mean([one[0] if isinstance(one, tuple) else one for one in made])

    def start(self, batch: int = 1) -> tuple[Any, ...]:
        """Return the members' states before the first step.

        Raises:
            InputError: a member has no streaming form.
        """
        for k, member in enumerate(self.members):
            if not (hasattr(member, "start") and hasattr(member, "step")):
                raise InputError(
                    f"Member {k}, a {type(member).__name__}, cannot go step by step.",
                    fix="Make the ensemble of topologies, such as ManyToOne.",
                )
        return tuple(cast(Any, member).start(batch) for member in self.members)

    def step(self, x: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        """Take one step `(B, F)`; return the value for the sequence so far, and the new state.

        >>> from elman.nn import ManyToOne, Recurrent
        >>> _ = torch.manual_seed(0)
        >>> members = [ManyToOne(Recurrent("gru", 3, 4), nn.Linear(4, 2)) for _ in range(2)]
        >>> model = Ensemble(members).eval()
        >>> x, state = torch.randn(1, 5, 3), model.start()
        >>> for t in range(5):
        ...     y, state = model.step(x[:, t], state)
        >>> torch.allclose(y, model(x), atol=1e-6)
        True
        """
        taken = [
            cast(Any, member).step(x, part)
            for member, part in zip(self.members, state, strict=True)
        ]
        return self._mean([logits for logits, _ in taken]), tuple(part for _, part in taken)

    def stream(self, batch: int = 1) -> EnsembleStream:
        """Return the ensemble on a stream: after each step what a call gives for the steps so far.

        The state is the tuple of the members' states; see `elman.stream`.

        Args:
            batch: rows that are fed side by side.

        Raises:
            InputError: a member cannot stream.

        >>> from elman.nn import ManyToOne, Recurrent
        >>> members = [ManyToOne(Recurrent("gru", 3, 4), nn.Linear(4, 2)) for _ in range(2)]
        >>> model, x = Ensemble(members).eval(), torch.randn(1, 5, 3)
        >>> torch.allclose(model.stream().chunk(x)[:, -1], model(x), atol=1e-6)
        True
        """
        return EnsembleStream(self.members, batch, self._mean)

    def _mean(self, each: list[Tensor]) -> Tensor:
        if self.training:
            return torch.stack(each, 1)
        stacked = torch.stack(each)
        if self.average == "outputs":
            return stacked.mean(0)
        return stacked.log_softmax(-1).logsumexp(0) - math.log(len(each))
