"""Facts about every cell: its equation, its source, its backends and its class of speed.

Nothing here is written down a second time: words come from the cells' docstrings, the rest from
the plan that a cell's kernel is made from and from what torch's kernels refuse.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

import torch

from elman.cells import CELLS, Cell, make, options_of
from elman.kernels import torch_backend
from elman.kernels.plan import make_plans
from elman.kernels.sequence import prepare
from elman.kernels.trace import Untraceable, trace

SPEEDS = {
    "pointwise": "no matrix multiplies the state: a step is a few operations a unit",
    "one product": "what a step multiplies by matrices, it multiplies at once",
    "several products": "a product waits for the result of another within the step",
    "loop": "no kernel can be compiled: the reference, step by step",
}
"""Classes of speed, fastest first, and what they mean. Products are most of a step's time; those of
the input alone wait for nothing and do not count."""


@dataclass(frozen=True)
class Entry:
    """One cell.

    Attributes:
        name: what `make` calls it.
        summary, equation, source: of its docstring: what it is, one step, the paper.
        backends: which serve it with its default options, fastest first.
        leaves_torch: options, each other than its default, with which torch has no kernel for it.
        speed: one of `SPEEDS`, with its default options.
    """

    name: str
    summary: str
    equation: str
    source: str
    backends: tuple[str, ...]
    leaves_torch: tuple[str, ...]
    speed: str

    def runs_on(self) -> str:
        """Backends and speed in words."""
        words = list(self.backends)
        if self.leaves_torch:
            words[words.index("torch")] += f" (not with {', '.join(self.leaves_torch)})"
        return f"{', '.join(words)}; {self.speed}"


def entry(name: str) -> Entry:
    """All that is known of the cell called `name`.

    >>> found = entry("lstm")
    >>> found.source, found.speed
    ('Hochreiter & Schmidhuber 1997; forget gate, Gers et al. 2000', 'one product')
    >>> found.backends, found.leaves_torch
    (('cpu', 'torch', 'reference'), ('peepholes', 'coupled', 'layer_norm'))
    """
    cls = CELLS[name]
    cell = make(name, 3, 5)
    speed = _speed(cell)
    torch_too = _in_torch(cell)
    served = {"cpu": speed != "loop", "torch": torch_too, "reference": True}
    summary = re.sub(r"\s+", " ", inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0])
    paper = re.search(r"\(([^()]*\d{4}[^()]*)\)", summary)
    return Entry(
        name,
        summary,
        cls.equation(),
        paper[1] if paper else "",
        tuple(backend for backend, serves in served.items() if serves),
        tuple(_leave_torch(name)) if torch_too else (),
        speed,
    )


def _speed(cell: Cell) -> str:
    try:
        plans = make_plans(trace(cell, (None,) * len(cell.state_sizes)), cell.state_sizes)
    except Untraceable:
        return "loop"
    phases = plans.plans["infer"].phases
    waiting = sum(any(p.source.array != "x" for p in phase.products) for phase in phases)
    return ("pointwise", "one product", "several products")[min(waiting, 2)]


def _in_torch(cell: Cell) -> bool:
    call = prepare(cell, torch.zeros(1, 1, cell.input_size))
    return torch_backend.refusal(cell, call) is None


def _leave_torch(name: str) -> list[str]:
    """Switches of a cell that torch has no kernel for, turned the other way."""
    switches = {o: not d for o, d in options_of(name).items() if isinstance(d, bool)}
    return [
        option if value else f"{option}=False"
        for option, value in switches.items()
        if not _in_torch(make(name, 3, 5, **{option: value}))
    ]
