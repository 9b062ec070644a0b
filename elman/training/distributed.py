"""Several processes that torchrun started share out one global batch.

Every process computes the summed gradients of its share. The sums are added up and divided by
the global count, which gives what one process would get from the whole batch. There is no
wrapper around the model.

`RANK` and `WORLD_SIZE` are torchrun's environment variables; without them there is one
process and every function here does nothing.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """The number of this process, and how many there are."""

    rank: int = 0
    world_size: int = 1

    @property
    def alone(self) -> bool:
        """True if this is the only process."""
        return self.world_size == 1

    @property
    def writes(self) -> bool:
        """True in the one process that writes files and shows progress."""
        return self.rank == 0


def ranks() -> Ranks:
    """Return this process's place among all; the first call joins them."""
    if not dist.is_available():
        return Ranks()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Ranks()
        # gloo carries CPU tensors, nccl those of GPUs; both at once where there are GPUs.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        # A process that ends with the group's threads still running may be aborted.
        atexit.register(_leave)
    return Ranks(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    """End the group's threads while there is an interpreter for them to end in."""
    if dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()


def same_start(model: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes.

    A parameter that got a gradient in some processes only counts as zero in the others;
    one that got none anywhere keeps none, so that optimisers go on passing it by.
    """
    for group in _by_kind(parameters):
        used = torch.tensor(
            [float(p.grad is not None) for p in group], dtype=group[0].dtype, device=group[0].device
        )
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
        flat = torch.cat([used, *(part.reshape(-1) for part in parts)])
        dist.all_reduce(flat)
        sizes = [len(group), *(p.numel() for p in group)]
        used, *totals = torch.split(flat, sizes)
        for p, total, anywhere in zip(group, totals, used.tolist(), strict=True):
            p.grad = total.view_as(p) if anywhere else None


def share_buffers(model: nn.Module) -> None:
    """Give every process the running statistics of the first, as one process would have one set."""
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)


def sums(values: Sequence[float]) -> list[float]:
    """Return each value summed over the processes, in float64."""
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(tensor)
    result: list[float] = tensor.tolist()
    return result


def from_first(value: Any) -> Any:
    """Return the first process's value (anything JSON can hold) in every process."""
    box = [json.dumps(value)]
    dist.broadcast_object_list(box, src=0)
    return json.loads(box[0])


def gather(value: Any) -> list[Any]:
    """Return every process's value in the first process, and an empty list in the others."""
    first = dist.get_rank() == 0
    box: list[Any] | None = [None] * dist.get_world_size() if first else None
    dist.gather_object(value, box, dst=0)
    return box or []


def _by_kind(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    groups: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
    for p in parameters:
        groups.setdefault((p.dtype, p.device), []).append(p)
    return list(groups.values())
