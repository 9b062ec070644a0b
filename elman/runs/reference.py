"""A reference beside the model: a Transformer of as many parameters, on the same task.

It takes the place of the recurrent layers; embedding, front, pooling, head and loss stay. It is
trained on the same batches with the same seed and judged on the same units. It is no baseline: it
has no part in the verdict, in the blend and in what a run recommends.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from elman.errors import InputError
from elman.nn.transformer import CONTEXT, Transformer, trainable
from elman.scoring import Evaluation
from elman.tasks.base import Section, Task
from elman.tasks.settings import TaskSettings
from elman.training import Fit, Interrupted, fit, seed
from elman.training.progress import Tick
from elman.writing import written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "Transformer (reference)"
CLOSE = 0.05
"""Share by which the parameters of reference and model may differ."""
LR = 2e-3
"""The learning rate at its highest; lower where that of the run is."""
DROPOUT = 0.1
"""Dropout inside the layers at its highest; lower where that of the run is."""
LENGTHS = tuple(2**k for k in range(7, 14))
_TIMED, _AT_LEAST = 0.15, 7
"""Seconds that a step is timed for, and how often at least."""


@dataclass(frozen=True)
class Reference:
    """A trained reference.

    Attributes:
        task: the task of the run, with the settings of the reference.
        module: the trained network.
        fitted: how training went.
    """

    task: Task
    module: nn.Module
    fitted: Fit

    def judged(self) -> Evaluation:
        """Score it on the test part, once what is left is found on the validation part."""
        self.module.eval()
        self.task.settle(self.module)
        return self.task.evaluate(self.module)

    def facts(self) -> dict[str, Any]:
        """Return what the results say of it beside its scores, as plain values."""
        fitted, stacks = self.fitted, _stacks(self.module)
        return {
            "name": NAME,
            "parameters": trainable(self.module),
            "shape": [str(stack.shape) for stack in stacks],
            "context": None if all(stack.bidirectional for stack in stacks) else CONTEXT,
            "seconds": round(fitted.seconds, 1),
            "steps": fitted.steps,
            "epochs": fitted.epochs,
            "stopped": fitted.stopped,
            "still_improving": fitted.improving,
        }


def built(task: Task, model: nn.Module) -> tuple[Task, nn.Module]:
    """Return the task with the settings of a reference, and the reference as its seed begins it.

    Args:
        task: of the run.
        model: whose parameters are counted.

    Raises:
        InputError: there is no Transformer with about as many parameters.
    """
    aim, share = trainable(model), 1.0
    other = copy.copy(task)
    for _ in range(4):
        make = partial(_in_place, share=share)
        other.settings = task.settings.in_place(make)
        seed(task.settings.seed)
        module = other.build()
        found = trainable(module)
        if abs(found - aim) <= CLOSE * aim:
            return other, module
        inside = sum(trainable(stack) for stack in _stacks(module))
        # What else differs, such as a decoder that is not fed what it attended to, is made up for.
        share *= max(inside + aim - found, 1) / inside
    raise InputError(
        f"no Transformer of about {aim:,} parameters was found: the nearest has {found:,}.",
        fix="Set a larger hidden_size, or leave the reference out.",
    )


def _in_place(layers: Any, *, share: float, reads: int, dropout: float) -> Transformer:
    return Transformer.like(layers, share=share, reads=reads, dropout=min(dropout, DROPOUT))


def _stacks(module: nn.Module) -> list[Transformer]:
    return [part for part in module.modules() if isinstance(part, Transformer)]


def trained(
    task: Task,
    model: nn.Module,
    settings: TaskSettings,
    folder: Path,
    *,
    progress: Callable[[Tick], None] | None = None,
    **how: Any,
) -> Reference:
    """Train a reference of a model, on the same batches and by the same settings.

    Args:
        task: of the run.
        model: of the run.
        settings: by which the model was trained, with the reference's part of the budget.
        folder: for its checkpoints.
        progress: as for `elman.training.fit`.
        how: `resume`, `around` and `judging`, as for `elman.training.fit`.
    """
    other, module = built(task, model)
    wanted = settings.model_copy(update={"lr": min(settings.lr, LR)})
    folder.mkdir(exist_ok=True)
    try:
        fitted = fit(
            other.objective(module),
            other.batches(),
            wanted,
            run=folder,
            progress=progress,
            **how,
        )
    except Interrupted:
        raise Interrupted(
            f"Stopped while the reference was trained. Go on with: elman resume {folder.parent}"
        ) from None
    return Reference(other, module, fitted)


@torch.inference_mode()
def step_costs(task: Task, module: nn.Module) -> dict[str, Any]:
    """Measure what one more step of one sequence costs after so many others, on the processor.

    Layers of the same sizes that read forward only are taken: the last of the reference's stacks,
    and the recurrent layers that its place was made for.
    """
    last = copy.deepcopy(_stacks(module)[-1]).cpu().eval()
    layers = task.settings.build(last.input_size).eval()
    stream = layers.stream()
    x = torch.randn(1, last.input_size)
    return {
        "lengths": list(LENGTHS),
        "recurrent": _timed(stream.step, x),
        "transformer": [_timed(last.cached(length), x) for length in LENGTHS],
        "state": sum(t.shape[-1] for part in layers.init_state(1) for t in part),
        "cache": 2 * last.shape.layers * last.shape.width * LENGTHS[-1],
    }


def _timed(step: Callable[[Tensor], Any], x: Tensor) -> float:
    """Return the seconds of a step, the least of some: other work on the machine only adds."""
    took: list[float] = []
    for _ in range(3):
        step(x)
    began = time.perf_counter()
    while len(took) < _AT_LEAST or time.perf_counter() - began < _TIMED:
        at = time.perf_counter()
        step(x)
        took.append(time.perf_counter() - at)
    return float(f"{min(took):.3g}")


def sentence(results: dict[str, Any]) -> str:
    """Return what results say of score, parameters and time of the reference, in words."""
    found, metric = results["reference"], results["metric"]
    words = metric.replace("_", " ")
    said = f"{NAME}: {words} {written(found['test'][metric])}"
    gain = found["difference"]
    if gain is not None and gain["difference"] is not None:
        by, between = gain["difference"], gain["ci95"]
        side = "better" if by > 0 else "worse"
        more = f"is {side} by {written(abs(by), 3)}" if by else "has as much"
        said += f"; the model {more}"
        if between is not None:
            low, high = sorted(between if by >= 0 else (-end for end in between))
            said += f" [{written(low, 3)}, {written(high, 3)}]"
    return (
        f"{said}. {found['parameters']:,} parameters against {results['parameters']:,}, trained "
        f"{found['seconds']:g} s and {found['steps']:,} steps against "
        f"{found['model_seconds']:g} s and {results['training']['steps']:,} steps."
    )


def section(results: dict[str, Any]) -> Section:
    """Return the part of the report about the reference: a few sentences and a picture."""
    found = results["reference"]
    costs = found["step_costs"]
    shapes = " and ".join(dict.fromkeys(found["shape"]))
    looks = ""
    if found["context"] is not None:
        looks = f"Where it reads forward, a step looks at the last {found['context']} steps. "
    text = (
        f"{sentence(results)} It is no baseline and has no part in the verdict. It has {shapes} in "
        "the place of the recurrent layers; all else, the batches, the seed and the loss are the "
        f"same. {looks}The picture shows one more step of one sequence by layers that read forward "
        f"only. The recurrence goes on from a state of {costs['state']:,} numbers, which takes "
        f"{_micro(costs['recurrent'])} after any number of steps. The Transformer looks at the "
        "keys and values of all steps before, which are kept (a key–value cache): "
        f"{_micro(costs['transformer'][0])} at {costs['lengths'][0]:,} steps, "
        f"{_micro(costs['transformer'][-1])} at {costs['lengths'][-1]:,}, where it holds "
        f"{costs['cache']:,} numbers. It runs in plain torch operations, whose calls are most of "
        "its time where few steps went before."
    )
    return Section("The Transformer beside it", text, figure=_picture(costs))


def _micro(seconds: float) -> str:
    return f"{written(1e6 * seconds, 3)} µs"


def _picture(costs: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(5.8, 2.2))
    axes = figure.subplots()
    lengths = costs["lengths"]
    flat = [1e6 * costs["recurrent"]] * len(lengths)
    each = [1e6 * seconds for seconds in costs["transformer"]]
    axes.plot(lengths, flat, color="#1f3a5f", linewidth=1.4, label="recurrent layers")
    axes.plot(lengths, each, color="#b35c1e", linewidth=1.4, marker="o", ms=3, label="Transformer")
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.set_xlabel("steps so far")
    axes.set_ylabel("µs for one more")
    axes.set_ylim(0, 1.1 * max(*flat, *each))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
