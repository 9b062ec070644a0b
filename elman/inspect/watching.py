"""A model is watched in a training loop that is not ours.

Now and then a forward call of the module is looked at; the backward pass that follows brings the
gradients of all states, and from them, and from a few rows run once more, come some numbers a
layer. Between looks a call goes to the module as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import MethodType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

import elman.nn
from elman.cells.base import Cell
from elman.errors import InputError
from elman.inspect.handed import Runs
from elman.inspect.passage import Passage, joined, observe
from elman.kernels import run, use
from elman.kernels.sequence import Call
from elman.kernels.witness import Witness, witnessed
from elman.training.health import ROWS, Probe, probe

LAGS = (0, 25, 50, 75, 100)
"""Where a sequence's gradients are read off: how far back from its end, in hundredths of it."""


class Log(Protocol):
    """The part of TensorBoard's `SummaryWriter` that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Log one number."""

    def add_histogram(self, tag: str, values: Tensor, global_step: int) -> Any:
        """Log many numbers."""


def watch(module: nn.Module, every: int = 100, log: Log | None = None) -> Watch:
    """Watch the recurrent layers of any model while it is trained.

    Every so many calls in training mode, from the first on, the module's layers (`elman.nn`'s,
    torch.nn's RNN, LSTM and GRU, or cells in a loop of the module's own) are looked at. In such a
    call torch's layers are computed by ours: the same to within rounding, outputs and gradients.
    All other calls are the module's own, the same to the last bit.

    Args:
        module: called as a whole in the training loop.
        every: calls between looks.
        log: told every number under `layer/...`, at the number of the call: a `SummaryWriter`.

    Returns:
        What has been seen; `remove()`, or the end of a `with`, leaves the module as it was.

    Raises:
        InputError: nothing in the module is recurrent, or it is a cell and its loop outside.

    >>> model = nn.LSTM(3, 8)
    >>> with watch(model, every=2) as seen:
    ...     for _ in range(3):
    ...         model(torch.randn(20, 4, 3))[0].square().mean().backward()
    >>> [(row["step"], row["layer"], row["state"]) for row in seen.history]
    [(0, 'l0', 0), (0, 'l0', 1), (2, 'l0', 0), (2, 'l0', 1)]
    """
    return Watch(module, every, log)


class Watch:
    """The record of a module that is watched; made by `watch`.

    Attributes:
        module: what is watched.
        calls: forward calls in training mode so far.
    """

    def __init__(self, module: nn.Module, every: int, log: Log | None) -> None:
        _check(module, every)
        self.module, self.every, self.log, self.calls = module, every, log, 0
        self._pending: tuple[int, list[Passage]] | None = None
        self._latest: list[Passage] = []
        self._history: list[dict[str, Any]] = []
        self._forward = _Forward(self)
        module.forward = self._forward

    @property
    def latest(self) -> list[Passage]:
        """The passages of the last call that was looked at and had its backward pass, with the
        gradients. Their graph is gone."""
        self._gather()
        return self._latest

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each look, layer and state.

        `step` is the call's number, `layer` the layer's name and `state` which of its states.
        `gradient_0` to `gradient_100` are norms of ∂L/∂s, the gradient of the loss that was
        differentiated, at the last step of a sequence, a quarter of its length before, ..., at its
        first, means over the batch: where every step has a loss of its own, an early state's
        gradient mixes those of all later ones, and none comes across a reset. `horizon`, in steps
        of `window`, and `saturation` do not hang on the loss: see `elman.training.health.Probe`.
        They are of the layer with the zoneout of evaluation, and of rows that are not reset: how
        often the data does that is no matter of the layer. None is what a layer has not.
        """
        self._gather()
        return self._history

    def remove(self) -> None:
        """Leave the module as it was before."""
        self._gather()
        if self.module.__dict__.get("forward") is self._forward:
            del self.module.forward

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        module = self.module
        own = _own_forward(module)
        if not (module.training and torch.is_grad_enabled()):
            return own(*args, **kwargs)
        self._gather()
        step, self.calls = self.calls, self.calls + 1
        if step % self.every:
            return own(*args, **kwargs)
        # A layer that is itself watched has its forward replaced while it is looked at.
        del module.forward
        try:
            found, passages = observe(module, lambda: module.forward(*args, **kwargs))
        finally:
            module.forward = self._forward
        if isinstance(module, elman.nn.Recurrent | nn.RNNBase):
            # Its own hooks are about to run, and so only its forward was called.
            for k, passage in enumerate(passages):
                end = "_reverse" if passage.reverse else ""
                passage.name = f"l{k // (1 + int(module.bidirectional))}{end}"
                if passage.zoneout and isinstance(module, elman.nn.Recurrent):
                    passage.zoneout = module.zoneout
        self._pending = step, joined(passages)
        return found

    def _gather(self) -> None:
        """Take down what a backward pass has brought, if there was one."""
        if self._pending is None or all(p.gradients is None for p in self._pending[1]):
            return
        (step, self._latest), self._pending = self._pending, None
        for passage in self._latest:
            _cut_off(passage)
            self._take_down(step, passage, _probed(passage))

    def _take_down(self, step: int, passage: Passage, found: Probe | None) -> None:
        common: dict[str, Any] = {
            "horizon": found and found.horizon,
            "saturation": found and found.saturation,
        }
        for i, gradient in enumerate(passage.gradients or ()):
            norms = gradient.norm(dim=-1)
            marks = _at_lags(norms, passage.lengths)
            head = {"step": step, "layer": passage.name, "state": i, "window": passage.steps}
            self._history.append({**head, **marks, **common})
            self._tell(f"{passage.name}/state{i}", marks, step)
            if self.log is not None:
                self.log.add_histogram(
                    f"{passage.name}/state{i}/gradients", norms[passage.valid], step
                )
        self._tell(passage.name, common, step)

    def _tell(self, name: str, numbers: Mapping[str, float | None], step: int) -> None:
        for what, number in numbers.items():
            if self.log is not None and number is not None:
                self.log.add_scalar(f"{name}/{what}", number, step)


class _Forward:
    """Stand in the place of a module's forward; a copy of it is the forward of the copy."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.watch._call(args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _own_forward, (self.watch.module,)


def _own_forward(module: nn.Module) -> MethodType:
    """Return the forward of a module's class."""
    return MethodType(type(module).forward, module)


def _check(module: nn.Module, every: int) -> None:
    if every < 1:
        raise InputError(f"every={every} is no number of calls.", fix="Look every 1 or more.")
    if isinstance(module, Cell | nn.RNNCellBase):
        raise InputError(
            f"{type(module).__name__} takes one step a call, and the loop over it is elsewhere.",
            fix="Watch the module whose forward has the loop.",
        )
    kinds = elman.nn.Recurrent, nn.RNNBase, Cell, nn.RNNCellBase
    if not any(isinstance(part, kinds) for part in module.modules()):
        raise InputError(
            f"There is nothing recurrent in this {type(module).__name__}.",
            fix="Watch a module that holds layers of elman.nn or torch.nn, or cells.",
        )
    if module.__dict__.get("forward", _own_forward(module)) != _own_forward(module):
        raise InputError(
            f"The forward of this {type(module).__name__} has been replaced already.",
            fix="Remove the other watch first; of a compiled model watch the module inside.",
        )


def _cut_off(passage: Passage) -> None:
    """Keep the gradients and let go of the graph."""
    if passage.seen is not None:
        call = Call(passage.x, passage.start, None, None, passage.reverse, None, True)
        passage.seen = Runs([Witness(passage.cell, {}, call, gradients=passage.seen.gradients)])
    passage.by = None


def _at_lags(norms: Tensor, lengths: Tensor) -> dict[str, float]:
    """Return norms `(T, B)` at parts of each row's length before its end, means over rows."""
    rows = (lengths > 0).nonzero()[:, 0]
    found = {}
    for part in LAGS:
        steps = ((lengths[rows] - 1) * (100 - part) / 100).round().long()
        found[f"gradient_{part}"] = norms[steps, rows].mean().item()
    return found


def _probed(passage: Passage) -> Probe | None:
    """Probe the longest rows, run again by the layer's step through resets; None where no row has
    two steps."""
    if passage.batch == 0 or int(passage.lengths.max()) < 2:
        return None
    rows = passage.lengths.topk(min(ROWS, passage.batch)).indices
    x, start = passage.x[:, rows], tuple(s[rows] for s in passage.start)
    backend = nullcontext() if x.device.type == "cpu" else use("reference")
    with backend, torch.enable_grad(), witnessed() as runs:
        run(
            passage.cell,
            x,
            start,
            lengths=passage.lengths[rows],
            weights=passage.weights,
            hold=passage.zoneout or None,
        )
        return probe(runs[0])
