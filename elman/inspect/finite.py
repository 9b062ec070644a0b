"""Numbers that are none: which tensor holds them, and at which step they come in.

A NaN in an input makes everything after it a NaN, so that every other measurement measures that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from elman.inspect.passage import Passage


def of_inputs(batch: Any, name: str = "batch") -> str:
    """Return which tensor of a model's input is not finite and where, or nothing.

    >>> import torch
    >>> of_inputs({"x": torch.tensor([[1.0, float("nan")]])})
    "The input batch['x'] is not finite: 1 of 2 values, the first, nan, at [0, 1]."
    """
    return next((f"The input {_told(n, t)}." for n, t in _tensors(batch, name) if _bad(t)), "")


def of_weights(model: nn.Module) -> str:
    """Return which parameter or buffer of a model is not finite and where, or nothing."""
    named = (*model.named_parameters(), *model.named_buffers())
    return next((f"The weight {_told(n, t)}." for n, t in named if _bad(t)), "")


def of_layers(passages: Sequence[Passage]) -> str:
    """Return the layer that first reads or makes what is not finite, with step and row, or
    nothing."""
    for passage in passages:
        states = [("has a state that", s) for s in passage.states]
        parts = [("reads what", passage.x), *states, ("gives out what", passage.output)]
        for what, rows in parts:
            bad = ~rows.isfinite().all(-1) & passage.valid
            if bool(bad.any()):
                step = int(bad.any(1).nonzero()[0])
                row = int(bad[step].nonzero()[0])
                where = f"step {step} of row {row}"
                return f"layer {passage.name} {what} is not finite at {where}"
    return ""


def broken(batch: Any, model: nn.Module, passages: Sequence[Passage], loss: Tensor | None) -> str:
    """Return in a sentence or two what is not finite: inputs first, then weights, layers, loss."""
    cause, layer = of_inputs(batch) or of_weights(model), of_layers(passages)
    if cause:
        return cause + (f" From there {layer}." if layer else "")
    if layer:
        return (
            f"Inputs and weights are finite, but {layer}: numbers grow beyond what their type "
            "holds, or something is divided by 0 before."
        )
    if loss is not None and _bad(loss):
        return (
            "The loss is not finite, though inputs, weights and the states of all layers are: it "
            "is in what comes after the recurrence, or in the targets."
        )
    return ""


def _tensors(given: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(given, Tensor):
        yield name, given
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _tensors(value, f"{name}[{key!r}]")
    elif isinstance(given, tuple | list):
        for k, value in enumerate(given):
            yield from _tensors(value, f"{name}[{k}]")


def _bad(tensor: Tensor) -> bool:
    floating = tensor.is_floating_point() or tensor.is_complex()
    return floating and not bool(tensor.detach().isfinite().all())


def _told(name: str, tensor: Tensor) -> str:
    bad = (~tensor.detach().isfinite()).nonzero()
    at = bad[0].tolist()
    value = tensor.detach()[tuple(at)].item()
    return (
        f"{name} is not finite: {len(bad)} of {tensor.numel()} values, the first, {value}, at {at}"
    )
