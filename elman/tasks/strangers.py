"""New text of which training knew little, and numbers that are far from those of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from elman.data import Scaler, Vocabulary
from elman.errors import PredictionWarning, warn
from elman.modalities.base import Codec
from elman.modalities.levels import Far, Floats, Levels
from elman.tasks.gaps import is_empty
from elman.tasks.reading.layout import Layout
from elman.writing import written

_LOOKED_AT = 1000
"""Texts or sequences that are looked at."""
_MOST = 0.5
"""Share of unknown symbols up to which a text is like those of training."""


def warn_of_unknown(vocabulary: Vocabulary, texts: Iterable[str]) -> None:
    """Warn where most symbols of new texts are none that training knew.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warn_of_unknown(Vocabulary(["<unk>", "a", "dog"], "words"), ["a cat sat", "ein Hund"])
    >>> print(said[0].message)
    4 of 5 words here are unknown to the model: what it says of them means little.
    """
    count = unknown = 0
    for ids in vocabulary.encode_each(islice(texts, _LOOKED_AT)):
        count += len(ids)
        unknown += int((ids == vocabulary.unk).sum())
    if unknown > _MOST * count:
        warn(
            f"{unknown:,} of {count:,} {vocabulary.unit} here are unknown to the model: what it "
            "says of them means little.",
            PredictionWarning,
        )


def warn_of_levels(codec: Codec, layout: Layout, cells: Sequence[Any]) -> None:
    """Warn of sequences whose numbers may be in another unit than those of training."""
    some = [cells[place] for place in range(0, len(cells), -(-len(cells) // _LOOKED_AT) or 1)]
    far = codec.far([cell for cell in some if not is_empty(cell)])
    warn_of_unit([(_channel(layout, one), one.median, one.level) for one in far], "answers")


def warn_of_targets(names: Sequence[str], trained: Scaler, values: Floats) -> None:
    """Warn of truths `(n, K)` that may be in another unit than the targets of training."""
    levels = Levels(trained.shift, trained.scale, np.full(len(names), np.inf))
    far = levels.far([values])
    warn_of_unit([(repr(names[one.channel]), one.median, one.level) for one in far], "scores")


def warn_of_unit(found: Sequence[tuple[str, float, float]], wrong: str) -> None:
    """Warn of values that are in another unit, it seems.

    Args:
        found: of each column its name, the median of its values and the level of training.
        wrong: what is wrong then.
    """
    if not found:
        return
    name, median, level = found[0]
    more = f" ({len(found) - 1:,} more are so)" if len(found) > 1 else ""
    warn(
        f"the values of {name} lie about {written(median)}, those of training about "
        f"{written(level)}{more}. If they are in another unit, the {wrong} are wrong: write "
        "them in that of training.",
        PredictionWarning,
    )


def _channel(layout: Layout, far: Far) -> str:
    if len(layout.inputs) == far.channels:
        return repr(layout.inputs[far.channel])
    if far.channels == 1:
        return "the sequences"
    return f"channel {far.channel + 1} of {layout.inputs[0]!r}"
