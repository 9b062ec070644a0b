"""Runs one after another in one process: the answers of one are what the next reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.runs.model import Model

if TYPE_CHECKING:
    import pandas as pd


def fits(models: Sequence[Model]) -> None:
    """Refuse runs of which one cannot read what the one before it answers.

    Raises:
        InputError: names both runs, and what one gives and the other reads.
    """
    for model, after in pairwise(models):
        gives = getattr(model.task, "gives", None)
        layout = getattr(after.task, "layout", None)
        told = f"{gives}s" if gives else "no answers that another run reads"
        takes = getattr(after.task, "takes", None)
        reads, kinds, form = takes or after.task.name, (takes,), "cell" if takes else ""
        if layout is not None:
            reads, kinds, form = layout.modality, MODALITIES[layout.modality].kinds, layout.form
        if gives is None or gives not in kinds or form != "cell":
            raise InputError(
                f"{model.path} ({model.task.name}) gives {told}, and {after.path} "
                f"({after.task.name}) reads {reads}.",
                fix="Give --then a run that reads what the one before it answers.",
            )


def _input(task: Any) -> str:
    """Return the name of the column that a task reads."""
    name: str = task.reads_column if hasattr(task, "takes") else task.layout.inputs[0]
    return name


def predict(models: Sequence[Model], data: Any, **how: Any) -> pd.DataFrame:
    """Return the predictions of the first run on data, and beside them those of each next run.

    The columns of the second run end in `_2`, of the third in `_3`.

    Args:
        models: two at least, of which each reads what the one before it answers.
        data: of the first.
        how: as for `Model.predict` of each.

    Raises:
        InputError: they do not fit, which is found out before anything is computed.
    """
    import pandas as pd

    fits(models)
    table = models[0].predict(data, **how)
    answers = table["prediction"]
    for number, model in enumerate(models[1:], 2):
        if answers.isna().all():
            # Nothing to go on with: there are no more answers.
            table[f"prediction_{number}"] = answers
            continue
        cells = np.empty(len(answers), dtype=object)
        cells[:] = ["" if answer is None else answer for answer in answers]
        column = _input(model.task)
        found = model.predict(pd.DataFrame({column: cells}), **how)
        answers = found["prediction"]
        kept = found.drop(columns=["row", "file", "reply", column], errors="ignore")
        table = table.join(kept.add_suffix(f"_{number}"))
    return table
