"""What a run's units are searched on: a longer stretch of its text, or windows of its series whose
place in time is known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspect.following import Stretch
from elman.inspect.passage import observe
from elman.tasks.base import Sample, Task, device_of

ROWS, STEPS, WARM = 16, 500, 100
"""Of a text: so many pieces of so many steps, each after so many that are only read."""

WINDOWS = 256
"""Of a series: of so many those are searched that do not overlap."""

_MOST = 20_000
"""Steps of labelled sequences."""


def stretch(task: Task, sample: Sample, module: nn.Module) -> Stretch:
    """Sequences of a run to search its units on.

    Args:
        task: of the run.
        sample: of its data, or of other data.
        module: its model.

    Raises:
        InputError: no window of a series lies whole in the longest.
    """
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            if task.name == "generate":
                return _running_text(cast(Any, task).vocabulary, sample, module)
            if sample.inputs is not None:
                encoder = getattr(task, "encoder", None)
                known = encoder if isinstance(encoder, Vocabulary) else None
                return _labelled(known, sample, module)
            return _windows(sample, module)
    finally:
        module.train(training)


def pieces(vocabulary: Vocabulary, ids: Any) -> list[str]:
    """The text of each id; joined they are the whole.

    >>> pieces(Vocabulary.fit(["to be or not"], unit="words"), [1, 2, 0])
    ['be', ' not', ' <unk>']
    """
    found = [vocabulary.symbols[int(i)] for i in ids]
    if vocabulary.unit == "subwords":
        hidden = {vocabulary.pad, vocabulary.bos, vocabulary.eos}
        return [
            s if i in hidden else vocabulary.decode([i]) for i, s in zip(ids, found, strict=True)
        ]
    if vocabulary.unit == "characters":
        return found
    if vocabulary.line_ends:
        end = vocabulary.symbols[vocabulary.eos] if vocabulary.eos is not None else ""
        found = ["\n" if s == end else s for s in found]
    apart = zip(["\n", *found], found, strict=False)
    return [s if "\n" in (s, before) else f" {s}" for before, s in apart]


def _running_text(vocabulary: Vocabulary, sample: Sample, module: nn.Module) -> Stretch:
    ids = np.asarray(sample.series)
    warm = min(WARM, len(ids) // 10)
    steps = min(STEPS, len(ids) - warm)
    rows = max(1, min(ROWS, (len(ids) - warm) // steps))
    firsts = np.linspace(0, len(ids) - warm - steps, rows).astype(np.int64)
    places = torch.from_numpy(firsts + np.arange(warm + steps)[:, None])
    tokens = torch.from_numpy(ids.astype(np.int64))[places]
    begins = tokens == (-1 if vocabulary.bos is None else vocabulary.bos)
    begins[0] = False
    read, device = cast(Any, module).read, device_of(module)
    reset = begins.to(device) if bool(begins.any()) else None
    _, passages = observe(module, lambda: read(tokens.to(device), None, reset))
    # Documents are apart: what is open in one is not in the next.
    firsts_of = [0, *np.flatnonzero(ids == vocabulary.bos).tolist(), len(ids)]
    texts = [pieces(vocabulary, ids[a:b]) for a, b in pairwise(firsts_of)]
    return Stretch(passages, places, texts, skip=warm)


def _labelled(vocabulary: Vocabulary | None, sample: Sample, module: nn.Module) -> Stretch:
    assert sample.inputs is not None
    assert sample.lengths is not None
    rows = int((sample.lengths.cumsum(0) <= _MOST).sum().clamp(min=1))
    lengths = sample.lengths[:rows]
    inputs = torch.from_numpy(sample.inputs[: int(lengths.max()), :rows])
    device = device_of(module)
    x, at = inputs.transpose(0, 1).to(device), lengths.to(device)
    _, passages = observe(module, lambda: module(x, lengths=at))
    if vocabulary is not None:
        texts = [pieces(vocabulary, row[:n]) for row, n in zip(inputs.T, lengths, strict=True)]
        return Stretch.of_texts(passages, texts)
    places = torch.arange(len(inputs))[:, None].expand(-1, rows)
    return Stretch(passages, places, values=inputs[:, :, 0])


def _windows(sample: Sample, module: nn.Module) -> Stretch:
    """Windows of the longest series."""
    assert sample.begins is not None
    read: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        read.append(args[0].detach().cpu().double())

    hook = module.register_forward_pre_hook(before)
    try:
        _, passages = observe(module, lambda: sample.loss(module))
    finally:
        hook.remove()
    past, begins = read[0], torch.from_numpy(sample.begins)
    apart = _apart(begins, past.shape[1])
    if not bool(apart.any()):
        raise InputError(
            "None of the windows looked at lies whole in the longest series.",
            fix="Follow a pattern with elman.inspect.follow, which takes it as numbers.",
        )
    # A model of segments has one row a channel, of which the first is looked at, and reads as many
    # whole segments as there are.
    main = [p for p in passages if p.steps > 1 and p.batch % len(past) == 0]
    main = [p for p in main if (p.steps, p.batch) == (main[0].steps, main[0].batch)]
    each, channels = past.shape[1] // main[0].steps, main[0].batch // len(past)
    last = past.shape[1] - 1 - each * torch.arange(main[0].steps - 1, -1, -1)
    kept = torch.zeros(len(past), channels, dtype=torch.bool)
    kept[:, 0] = apart
    places = begins[apart] + last[:, None]
    return Stretch([p.part(kept.flatten()) for p in main], places, values=past[apart][:, last, 0].T)


def _apart(begins: Tensor, length: int) -> Tensor:
    """Windows of which no two share a value, which would be taken for evidence twice: `(B,)`.

    None of those that begin nowhere, at a negative place.
    """
    kept, end = torch.zeros(len(begins), dtype=torch.bool), 0
    for row in begins.argsort().tolist():
        if begins[row] >= end:
            kept[row], end = True, int(begins[row]) + length
    return kept
