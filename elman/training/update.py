"""An update computes the gradients of a global batch, clips them, and moves the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.nn.state import detach
from elman.training import averaging, distributed, optimisers
from elman.training.clipping import CLIPPING
from elman.training.objective import Objective
from elman.training.parts import Carried, Part, Tensors
from elman.training.settings import Settings


class Update:
    """The model's parameters, and everything that changes with them."""

    def __init__(self, objective: Objective, settings: Settings, ranks: distributed.Ranks) -> None:
        self.objective, self.ranks = objective, ranks
        self.device = device(settings.device)
        self.model = objective.model.to(self.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = optimisers.make(
            settings.optimizer,
            self.parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self.averaging = averaging.make(
            settings.averaging,
            self.parameters,
            ema_decay=settings.ema_decay,
            asgd_after=settings.asgd_after,
        )
        self.carried = Carried(self.device)
        self._clip, self._clip_at = CLIPPING[settings.clip], settings.clip_threshold
        self._precision: AbstractContextManager[Any] = (
            torch.autocast(self.device.type, torch.bfloat16)
            if settings.precision == "bf16"
            else nullcontext()
        )

    def gradients(
        self,
        parts: Sequence[Any],
        notes: Callable[[], list[float]],
        look: Callable[[nn.Module], None] | None = None,
    ) -> tuple[Tensor, float, Tensor, list[float]]:
        """Compute the gradients of the mean loss over the global batch, and clip them.

        Args:
            parts: this process's share, in one or several batches.
            notes: numbers to add up over the processes along the way, asked for last.
            look: called with the model when it has its gradients, before they are clipped.

        Returns:
            The sum of the losses, the number of its terms, the norm of the gradient of their
            mean before clipping, and the notes added up.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total, count = self._backward(parts)
        added = notes()
        if not self.ranks.alone:
            distributed.sum_gradients(self.parameters)
            distributed.share_buffers(self.model)
            shared, count, *added = distributed.sums([total.item(), count, *added])
            total = torch.tensor(shared, dtype=torch.float64)
        if len(parts) > 1 or not self.ranks.alone:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            if gradients:
                torch._foreach_mul_(gradients, 1.0 / (count or 1.0))
        if look is not None:
            look(self.model)
        return total, count, self._clip(self.parameters, self._clip_at), added

    def _backward(self, parts: Sequence[Any]) -> tuple[Tensor, float]:
        """Compute gradients of the summed loss of all parts; of the mean where there is one part.

        Returns:
            The sum of the losses, and the number of their terms.
        """
        lone = len(parts) == 1 and self.ranks.alone
        losses, count = [], 0.0
        for batch in parts:
            with self._precision:
                loss, terms, carried = self.objective.loss(batch, self.carried.value)
            self.carried.value = detach(carried)
            if loss.requires_grad:  # not so where this process's share is empty
                weight = torch.full_like(loss, 1.0 / (terms or 1.0)) if lone else None
                loss.backward(weight)  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            count += terms
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum(), count

    def apply(self, lr: float) -> None:
        """Let the optimiser move the parameters at this rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.averaging.update()

    def parts(self) -> dict[str, Part]:
        """Return the parts that have a state, by the names that checkpoints use."""
        return {
            "parameters": Tensors(self.model.named_parameters),
            "optimizer": self.optimizer,
            "averaging": self.averaging,
            "buffers": Tensors(self.model.named_buffers),
            "carried": self.carried,
        }


def device(name: str) -> torch.device:
    """Return the device that a setting names; `auto` is a GPU where there is one.

    >>> device("cpu")
    device(type='cpu')

    Raises:
        InputError: no such device, or no GPU here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(name)
    except RuntimeError:
        raise InputError(f"There is no device {name!r}.", fix="Choose cpu, cuda or auto.") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no GPU that torch can use here.", fix="Set device to auto.")
    return found


def multiplies_bfloat16(name: str = "auto") -> bool:
    """Tell whether a device has instructions for products of bfloat16.

    A processor without them computes in float32 and rounds, which is slower than float32 alone.
    """
    if device(name).type != "cpu":
        return True
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
