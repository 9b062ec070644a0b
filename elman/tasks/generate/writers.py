"""Writers out of a network, n-grams or a blend, in the manner of a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import nn

from elman.errors import InputError, nearest
from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.blending import Blend
from elman.tasks.generate.language_model import LanguageModel
from elman.tasks.generate.writing import Counts, Writer
from elman.tasks.understood import listed

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate


def writer_of(task: Generate, model: Any, label: str | None = None) -> Writer:
    """Return what writes with a network, n-grams, or a blend, in the manner of a label.

    Raises:
        InputError: the label is not known, or is given or left out where it must not be.
    """
    code = _code(task, label)
    if isinstance(model, nn.Module):
        network, share, grams = cast(LanguageModel, model), 1.0, None
    elif isinstance(model, Blend):
        network, share, grams = cast(LanguageModel, model.model), model.weight, model.baseline
    else:
        network, share, grams = None, 0.0, model
    counts = None
    if grams is not None:
        counted = grams.shared
        if isinstance(counted, LabelledKneserNey):
            assert code is not None  # such counts are of a run with labels
            counted = counted.of[code]
        counts = Counts(counted, grams.map.order)
    return Writer(network, task.vocabulary, task.documents > 1, counts, share, code)


def _code(task: Generate, label: str | None) -> int | None:
    if label is None and not task.labels:
        return None
    if not task.labels:
        raise InputError(
            f"label {label!r} means nothing here: the model was trained without labels.",
            fix="Leave the label out, or train with --set label=COLUMN.",
        )
    if label is None:
        raise InputError(
            "this model writes in the manner of a label, and none is named.",
            fix=f"Name one with --label: {listed(task.labels, 12)}.",
        )
    if label not in task.labels:
        raise InputError(f"there is no label {label!r}.", fix=nearest(label, task.labels))
    return task.labels.index(label)
