"""A language model of which nothing is set is chosen from its text and from the time there is.

A run can pay for so much work. A larger network learns more from a symbol, and sees fewer of them
for the same work. Both are balanced by one rule: a network may have as many weights as it will see
symbols, divided by `SYMBOLS_A_WEIGHT`. Of the numbers here, rate and symbols for a weight were
chosen on the validation part of Tiny Shakespeare in a minute's budget; the others are estimates.
"""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from elman.errors import InputError
from elman.nn import Recurrent
from elman.training.settings import Settings
from elman.training.update import device

SIZES = ((1, 64), (1, 96), (1, 128), (1, 192), (1, 256), (1, 384), (1, 512), (2, 512), (2, 768))
"""Layers and units, from the smallest network to the largest."""
SYMBOLS_A_WEIGHT = {"characters": 4.0, "subwords": 2.0, "words": 1.5}
"""Symbols that are trained on, repetitions included, for each weight that reads one."""
MOST_EPOCHS = 30
"""Passes over a text beyond which more of them teach little; a small text bounds the run."""
WORK = 1e14
"""Floating-point operations of a run that nothing bounds: ten minutes on two cores or so."""
OPERATIONS = 6
"""Floating-point operations of training for each weight and symbol: forward, and back twice."""
LOOKED_AT = 0.06
"""Symbols a validation reads, as a share of those trained on; it only goes forward."""
LEAST_LOOKED_AT = 10_000
"""Symbols that a validation reads at least."""
TRAINED = 0.75
"""Share of a budget that is left for training."""
ROWS = ((4e6, 16), (2e7, 32), (math.inf, 64))
"""Rows of a batch, for runs of up to so many symbols: few rows make many updates."""
DROPOUT = ((2.0, 0.0), (5.0, 0.1), (10.0, 0.2), (math.inf, 0.3))
"""Dropout, for up to so many passes over the text."""
PENALTY = {"characters": 2.0, "subwords": 2.0, "words": 4.0}
"""Weight of the mean square of the output, which lies between -1 and 1 in the cells of `HELD_DOWN`.
At a high rate it keeps gates where they learn."""
HELD_DOWN = ("lstm", "gru")
DECAY = {"characters": 0.0, "subwords": 0.0, "words": 0.1}
"""Decay of weight matrices by AdamW: weights that stay small leave gates where they learn."""
LR = 1e-2
"""The rate at its highest for 256 units or fewer."""
SAMPLED_FROM = 4_000
"""Symbols of a vocabulary from which scores of all of them cost more than they teach."""
SAMPLED = 0.06
"""Share of such a vocabulary that is drawn beside the symbols of a batch."""
_PROBE_ROWS, _PROBE_STEPS, _PROBES = 16, 32, 4


def weights(settings: Any, layers: int, hidden: int, classes: int) -> tuple[int, int]:
    """Return how many weights a symbol is multiplied by: to be read, and to score the next.

    Args:
        settings: name the cell and its options.
        layers, hidden: the size of the network.
        classes: symbols that are scored at once.
    """
    chosen = settings.model_copy(
        update={"num_layers": layers, "hidden_size": hidden, "dropout": 0.0}
    )
    with torch.device("meta"):
        recurrent = chosen.build(chosen.embedding_size or width(settings, hidden))
    return sum(p.numel() for p in recurrent.parameters()), recurrent.output_size * classes


def drawn(settings: Any, classes: int) -> int:
    """Return how many symbols are drawn in a step to stand for all; 0 where all are scored.

    Raises:
        InputError: there are no more to draw from, or all must be scored for other reasons.
    """
    if not settings.sampled:
        large = classes >= SAMPLED_FROM and not settings.label_smoothing
        return int(SAMPLED * classes) if large and settings.sampled is None else 0
    if settings.label_smoothing:
        raise InputError(
            "label_smoothing spreads a share over all symbols; with sampled= only some are scored.",
            fix="Leave one of them out.",
        )
    if settings.sampled >= classes:
        raise InputError(
            f"sampled={settings.sampled} has no effect: there are {classes:,} symbols.",
            fix="Leave it out.",
        )
    return int(settings.sampled)


def width(settings: Any, hidden: int) -> int:
    """Return the features of an embedded symbol where they are not set."""
    return 64 if settings.unit == "characters" and not settings.tied else hidden


def planned(settings: Any, text: int, classes: int) -> Any:
    """Return the settings with network, batches, rate and length of training filled in.

    A run that a budget bounds is as large as this machine can train in it, by a measurement of a
    fraction of a second; any other is the same on every machine.

    Args:
        settings: those that are given stay.
        text: symbols of the training text.
        classes: symbols that are scored.
    """
    work = WORK
    if settings.budget is not None:
        work = settings.own_budget * TRAINED * pace(settings)
    settings = settings.model_copy(update={"sampled": drawn(settings, classes)})
    layers, hidden, symbols = network(settings, text, classes, work)
    passes = symbols / text
    found: dict[str, Any] = {
        "num_layers": layers,
        "hidden_size": hidden,
        "embedding_size": width(settings, hidden),
        "batch_size": next(rows for most, rows in ROWS if symbols <= most),
        "lr": LR * min(1.0, math.sqrt(256 / hidden)),
        "dropout": next(share for most, share in DROPOUT if passes <= most),
        "activation_penalty": PENALTY[settings.unit] if settings.cell in HELD_DOWN else 0.0,
        "weight_decay": DECAY[settings.unit] if settings.optimizer == "adamw" else 0.0,
        "validate_on": max(LEAST_LOOKED_AT, int(LOOKED_AT * symbols)),
    }
    chosen = settings.model_copy(
        update={name: value for name, value in found.items() if getattr(settings, name) is None}
    )
    if settings.epochs is not None or settings.max_steps is not None:
        return chosen
    bound: dict[str, int] = {}
    if settings.budget is None and passes < 1:
        bound = {"epochs": 1, "max_steps": max(1, int(symbols / chosen.batch_size / chosen.k1))}
    elif settings.budget is None or passes >= MOST_EPOCHS:
        bound = {"epochs": round(passes)}
    return chosen.model_copy(update=bound)


def network(settings: Any, text: int, classes: int, work: float) -> tuple[int, int, float]:
    """Return layers and units of the largest network that can be fed, and what it is fed.

    Args:
        settings: sizes and bounds that are given stay.
        text: symbols of the training text.
        classes: symbols of the vocabulary.
        work: floating-point operations.

    Returns:
        Layers, units, and the symbols that the run will train on, repetitions included.
    """
    sizes = [
        (layers, hidden)
        for layers, hidden in SIZES
        if settings.num_layers in (None, layers) and settings.hidden_size in (None, hidden)
    ] or [(settings.num_layers or 1, settings.hidden_size or 256)]
    if settings.sampled:
        # Those of the batch are scored too, of which about half are different.
        classes = settings.sampled + (settings.batch_size or ROWS[0][1]) * settings.k1 // 2
    most = float(text * (settings.epochs or MOST_EPOCHS))
    if settings.max_steps is not None:
        rows = settings.batch_size or ROWS[0][1]
        most = min(most, float(settings.max_steps * rows * settings.k1))
    found: tuple[int, int, float] | None = None
    for layers, hidden in sizes:
        reading, scoring = weights(settings, layers, hidden, classes)
        symbols = min(work / (OPERATIONS * (reading + scoring)), most)
        if found is not None and symbols < SYMBOLS_A_WEIGHT[settings.unit] * reading:
            break
        found = layers, hidden, symbols
    assert found is not None  # the smallest size is always taken
    return found


def pace(settings: Settings) -> float:
    """Measure how many floating-point operations of training this machine makes in a second."""
    where = device(settings.device)
    layer = Recurrent("lstm", 64, 256).to(where)
    x = torch.randn(_PROBE_STEPS, _PROBE_ROWS, 64, device=where)
    best = math.inf
    for _ in range(_PROBES):
        began = time.perf_counter()
        layer(x)[0].square().mean().backward()
        best = min(best, time.perf_counter() - began)
    size = sum(p.numel() for p in layer.parameters())
    return OPERATIONS * size * _PROBE_ROWS * _PROBE_STEPS / best
