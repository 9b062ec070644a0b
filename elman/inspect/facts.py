"""Diagnoses are made of facts: plain numbers of a layer, and of a run. None is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class LayerFacts:
    """The facts of one layer; None is not known.

    Attributes:
        name, cell, hidden_size: of the layer; `cell` is the class's name.
        steps: of the sequences looked at.
        decay: factor of the gradient's norm in a step back.
        growth: norm of the gradient at the last lag over that at lag 1.
        gradient: its norm by the states of this layer at all lags of all rows together.
        horizon, beyond: steps of memory, and whether it reaches past what was looked at.
        stuck: for each gate the share of units that are above 0.95, and below 0.05, in at least
            95 % of all steps.
        saturated: for each gate the share of all its values outside [0.05, 0.95].
        keeps: the name of the gate that keeps the old state.
        dead, constant: shares of units.
        rectified: whether the cell's units are rectified.
        drift: norm of the state at the end of a run four times as long as those trained on, over
            its largest within them.
        unbounded: whether it then still grows by a like factor, and not as a sum does.
        radius: median spectral radius of the step's Jacobian.
        cut: share of the weights' gradient that comes from lags which training cuts off.
        enough: lags that hold nine tenths of it.
        detached: steps of a loop written by hand that were given the state out of the graph.
    """

    name: str
    cell: str
    hidden_size: int
    steps: int
    decay: float | None = None
    growth: float | None = None
    gradient: float | None = None
    horizon: float | None = None
    beyond: bool = False
    stuck: dict[str, tuple[float, float]] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)
    keeps: str | None = None
    dead: float | None = None
    constant: float | None = None
    rectified: bool = False
    drift: float | None = None
    unbounded: bool = False
    radius: float | None = None
    cut: float | None = None
    enough: int | None = None
    detached: int = 0


@dataclass
class RunFacts:
    """The facts of a run, its training and its task; None is not known.

    Attributes:
        need: how many steps back the data depends on itself, or the target on the input.
        need_by: how that was measured.
        need_reversed: the same if sequences were read from their other end; of tasks that give
            one answer a sequence.
        settings: of the run.
        window: steps that gradients flow through in training.
        clip_rate: share of the later steps whose gradient was clipped.
        clip_at: the threshold.
        norms: median and 90 % quantile of the gradient's norm, before clipping.
        spikes: share of steps whose loss leapt.
        rollbacks: how often training diverged and went back.
        update_ratio, largest_update: size of an update over that of the weights, the median and
            the largest.
        trained, validated: the losses of training and of validation, each with its step.
        sequences: of the training part, where each has one answer.
        stopped: why training ended, as a run's results tell it.
        metric, score, interval, examples: the headline metric on the test part, its 95 % interval,
            and the number of rows behind it.
        broken: what is no finite number, in a sentence; nothing else can be judged then.
        unit: what a step is, in the plural.
    """

    need: float | None = None
    need_by: str = ""
    need_reversed: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    window: int | None = None
    clip_rate: float | None = None
    clip_at: float | None = None
    norms: tuple[float, float] | None = None
    spikes: float | None = None
    rollbacks: int = 0
    update_ratio: float | None = None
    largest_update: float | None = None
    trained: list[tuple[int, float]] = field(default_factory=list)
    validated: list[tuple[int, float]] = field(default_factory=list)
    sequences: int | None = None
    stopped: str = ""
    metric: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    examples: int | None = None
    broken: str = ""
    unit: str = "steps"
