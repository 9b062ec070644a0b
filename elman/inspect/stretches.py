"""Units of a run are searched on a longer stretch of its text, on its sequences, or on windows of
its series whose place in time is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.errors import InputError
from elman.inspect.following import Stretch
from elman.inspect.passage import Passage, observe
from elman.tasks.base import Sample

ROWS, STEPS, WARM = 16, 500, 100
"""Pieces of a series that can be cut anywhere, the steps of each that are searched, and the steps
before them that are only read."""

WINDOWS = 256
"""Windows of a series that are drawn. Windows that do not overlap are searched."""

_MOST = 20_000
"""Steps of sequences that have no place in a series."""


def stretch(sample: Sample, module: nn.Module) -> Stretch:
    """Run a model on sequences to search its units on.

    Args:
        sample: sequences of the run's data, or of other data.
        module: the run's model.

    Raises:
        InputError: no window of a series lies whole in the longest.
    """
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            if sample.read is not None:
                return _pieces(sample, module)
            if sample.begins is not None:
                return _windows(sample, module)
            return _sequences(sample, module)
    finally:
        module.train(training)


def _pieces(sample: Sample, module: nn.Module) -> Stretch:
    """Read pieces of a series that can be cut anywhere, evenly spread."""
    series, read = sample.series, sample.read
    assert series is not None
    assert read is not None
    warm = min(WARM, len(series) // 10)
    steps = min(STEPS, len(series) - warm)
    rows = max(1, min(ROWS, (len(series) - warm) // steps))
    firsts = np.linspace(0, len(series) - warm - steps, rows).astype(np.int64)
    places = firsts + np.arange(warm + steps)[:, None]
    _, passages = observe(module, lambda: read(module, places))
    known = torch.from_numpy(places)
    if sample.texts is None:
        return Stretch(passages, known, values=_first_channel(series[places]), skip=warm)
    return Stretch(passages, known, sample.texts(), skip=warm)


def _sequences(sample: Sample, module: nn.Module) -> Stretch:
    """Read the first sequences, whole."""
    inputs, lengths = sample.inputs, sample.lengths
    assert inputs is not None
    assert lengths is not None
    rows = int((lengths.cumsum(0) <= _MOST).sum().clamp(min=1))
    passages = _passages(sample, module, np.arange(rows))
    if sample.texts is not None:
        return Stretch.of_texts(passages, sample.texts()[:rows])
    inputs = inputs[: int(lengths[:rows].max()), :rows]
    places = torch.arange(len(inputs))[:, None].expand(-1, rows)
    return Stretch(passages, places, values=_first_channel(inputs))


def _windows(sample: Sample, module: nn.Module) -> Stretch:
    """Read windows of the longest series that do not overlap."""
    assert sample.begins is not None
    assert sample.inputs is not None
    length, begins = len(sample.inputs), torch.from_numpy(sample.begins)
    apart = _apart(begins, length).nonzero()[:, 0]
    if not len(apart):
        raise InputError(
            "None of the windows looked at lies whole in the longest series.",
            fix="Follow a pattern with elman.inspect.follow, which takes it as numbers.",
        )
    passages = _passages(sample, module, apart.numpy())
    # A model of segments has one row a channel, of which the first is looked at, and reads as many
    # whole segments as there are.
    main = [p for p in passages if p.steps > 1 and p.batch % len(apart) == 0]
    main = [p for p in main if (p.steps, p.batch) == (main[0].steps, main[0].batch)]
    each, channels = length // main[0].steps, main[0].batch // len(apart)
    last = length - 1 - each * torch.arange(main[0].steps - 1, -1, -1)
    first = torch.zeros(len(apart), channels, dtype=torch.bool)
    first[:, 0] = True
    values = _first_channel(sample.inputs)[last][:, apart]
    places = begins[apart] + last[:, None]
    return Stretch([p.part(first.flatten()) for p in main], places, values=values)


def _passages(sample: Sample, module: nn.Module, rows: NDArray[np.int64]) -> list[Passage]:
    forward = sample.forward
    assert forward is not None
    return observe(module, lambda: forward(module, rows))[1]


def _first_channel(numbers: NDArray[Any]) -> Tensor:
    """Return the numbers `(T, B)` of the first channel, where there are channels."""
    found = torch.from_numpy(numbers).double()
    return found if found.dim() == 2 else found[..., 0]


def _apart(begins: Tensor, length: int) -> Tensor:
    """Choose windows of which no two share a value, which would be evidence twice: `(B,)`.

    A window that begins nowhere, at a negative place, is not chosen.
    """
    kept, end = torch.zeros(len(begins), dtype=torch.bool), 0
    for row in begins.argsort().tolist():
        if begins[row] >= end:
            kept[row], end = True, int(begins[row]) + length
    return kept
