"""The cost of the next token, with the state carried from window to window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data import CarriedBatch
from elman.tasks.base import device_of
from elman.tasks.generate.corpus import Tokens
from elman.tasks.generate.language_model import IGNORED, LanguageModel, costs, padded
from elman.tasks.generate.scores import overall, units_of
from elman.tasks.generate.windows import LabelledBatch
from elman.training import TruncatedBPTT

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate


class NextToken:
    """Cross-entropy of the next token, with the state carried from window to window."""

    model: nn.Module
    higher_is_better = False

    def __init__(self, task: Generate, model: LanguageModel) -> None:
        self.model = self.language = model
        self.task, self.metric = task, task.metric
        self.through = TruncatedBPTT(task.settings.k1, task.settings.k2)
        self.some = task.sampled_softmax()

    def loss(
        self, batch: CarriedBatch | LabelledBatch | WholeDocuments, carried: Any
    ) -> tuple[Tensor, float, Any]:
        """The summed cost of the tokens of a window, and the state for the next one."""
        device = device_of(self.model)
        if isinstance(batch, LabelledBatch):
            output, carried = batch.read(self.language, carried, device)
            return *self._cost(output, batch.targets.to(device)), carried
        inputs, targets = batch.inputs.to(device), batch.targets.to(device)
        if isinstance(batch, WholeDocuments):
            output, _ = self.language.read(inputs, lengths=batch.lengths.to(device))
            return *self._cost(output, targets), None
        reset = batch.reset.to(device) if bool(batch.reset.any()) else None
        state = None if batch.first else carried
        output, carried = self.through(
            self.language.read, inputs, state, reset=reset, context=batch.context
        )
        return *self._cost(output, targets[batch.context :]), carried

    def _cost(self, output: Tensor, targets: Tensor) -> tuple[Tensor, float]:
        settings = self.task.settings
        if not targets.numel():
            return torch.zeros((), device=output.device), 0.0
        dropped = self.language.dropped(output)
        there = targets != IGNORED
        count = float(there.sum())
        if self.some is not None:
            some = self.some.to(output.device)
            total = some(*self.language.scoring(dropped[there]), targets[there]).sum()
        else:
            total = F.cross_entropy(
                self.language.scores(dropped).flatten(0, 1).float(),
                targets.flatten(),
                reduction="sum",
                ignore_index=IGNORED,
                label_smoothing=settings.label_smoothing,
            )
        penalty = torch.zeros((), device=output.device)
        if settings.activation_penalty:
            penalty = penalty + settings.activation_penalty * dropped.float().square().mean()
        if settings.slowness_penalty and len(output) > 1:
            change = output[1:].float() - output[:-1].float()
            penalty = penalty + settings.slowness_penalty * change.square().mean()
        # Penalties have gradients and no value: the loss that is shown is the cost of the text.
        return total + count * (penalty - penalty.detach()), count

    def validate(self) -> dict[str, float]:
        """The scores of the validation part; nothing where there is none."""
        tokens = self.task._tokens.get("valid")
        if tokens is None:
            return {}
        tokens = tokens.first(self.task.settings.validate_on)
        nats_of_each = costs(self.language, tokens)
        units = units_of(self.task, tokens, nats_of_each, np.zeros(1, np.int64))
        found = overall(self.task, units)
        nats = next(
            found[name] for name in ("nats_per_character", "nats_per_token") if name in found
        )
        return {**found, "loss": nats}


@dataclass(frozen=True)
class WholeDocuments:
    """A batch of whole documents: `(T, B)` inputs and targets, `(B,)` lengths."""

    inputs: Tensor
    targets: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, tokens: Tokens, lengths: NDArray[np.int64], rows: NDArray[np.int64]) -> Self:
        """Return the documents of some rows, padded."""
        return cls(*padded(tokens, rows), torch.from_numpy(lengths[rows]))
