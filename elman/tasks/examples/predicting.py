"""Predictions on new data, and where each sequence stands."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.data import Vocabulary
from elman.errors import InputError
from elman.scoring.blending import Blend
from elman.tasks import called, gaps
from elman.tasks.parts import check_cells
from elman.tasks.reading.examples import Examples
from elman.tasks.strangers import warn_of_levels, warn_of_unknown
from elman.tasks.streaming import CodecStream

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.examples.task import FromExamples


def predicted(
    task: FromExamples, model: Any, data: Any, why: bool, how: dict[str, Any]
) -> pd.DataFrame:
    """Return predictions on new data, a row each; see `FromExamples.predict`."""
    for name in how:
        if name not in inspect.signature(task.codec.raw).parameters:
            raise InputError(
                f"{name} means nothing for {task.layout.modality}.", fix="Leave it out."
            )
    cells = task.codec.raw(data, **how)
    if cells is None:
        in_memory = any(hasattr(data, name) for name in ("iloc", "__array__", "keys"))
        if not (isinstance(data, str | Path | list | tuple) or in_memory):
            raise InputError(
                f"{type(data).__name__} cannot be predicted on.",
                fix="Give a path, paths, a DataFrame, or arrays.",
            )
        found = task._read(data, answers=False)
    else:
        found = Examples(cells, None, lambda number: (None, number + 1))
        check_cells(task.codec, found)
        warn_of_levels(task.codec, task.layout, cells)
    there = gaps.filled(found.inputs, found.where)
    words = getattr(task.codec, "vocabulary", None)
    if isinstance(words, Vocabulary):
        every = (text for row in there for text in _texts_in(found.inputs[row]))
        warn_of_unknown(words, every)
    if task.layout.aligned:
        gaps.warn_of_steps(found.inputs, found.place)
    return task._answered(model, found, there, why)


def _texts_in(cell: Any) -> list[str]:
    """Return the text of a cell, or those of the turns of a conversation."""
    return [cell] if isinstance(cell, str) else [turn.text for turn in cell]


def answered(
    task: FromExamples, model: Any, found: Examples, there: NDArray[np.int64], why: bool
) -> pd.DataFrame:
    """Return a table of predictions, without an answer where a sequence holds nothing."""
    kept = found if len(there) == len(found) else found.take(there)
    outputs = task.given(model, kept, every=True)
    table = task._table(kept, outputs)
    if why:
        column = np.empty(len(kept), dtype=object)
        column[:] = task.why(model, kept, outputs)
        table["why"] = column
    if kept is found or task.layout.aligned:
        return table
    return gaps.beside(task._places(found), table, there)


def places_in(task: FromExamples, found: Examples) -> pd.DataFrame:
    """Return where each sequence stands, and what it is where it can be told."""
    import pandas as pd

    rows = np.empty(len(found), np.int64)
    files: list[str | None] = []
    for number in range(len(found)):
        file, rows[number] = found.where(number)
        files.append(file if file is None else file.name)
    columns: dict[str, Any] = {"row": rows}
    if len(set(files)) > 1:
        columns = {"file": files} | columns
    if found.names is not None:
        columns[task.layout.group or "group"] = found.names
    columns |= {
        name: of
        for name, of in found.owners.items()
        if name in task.layout.ids or called.an_id(name)
    }
    told = [None if cell is None else task.codec.told(cell) for cell in found.inputs]
    if any(text is not None for text in told):
        columns[task.layout.modality] = told
    return pd.DataFrame(columns)


def streamed(task: FromExamples, model: Any) -> CodecStream:
    """Return the model on a stream, or refuse one that cannot be read step by step."""
    if not isinstance(model, nn.Module):
        whole = model.baseline.name if isinstance(model, Blend) else model.name
        raise InputError(
            f"{whole} needs the whole sequence, so it cannot stream.",
            fix="Stream the model by itself.",
        )
    settings = task.settings
    if settings.bidirectional:
        raise InputError(
            "This model reads backwards too, so it needs the whole sequence and cannot stream.",
            fix="Train it with bidirectional=false.",
        )
    if settings.reverse:
        raise InputError(
            "This model reads sequences from their end, so it cannot begin before that has "
            "come, and cannot stream.",
            fix="Train it with reverse=false.",
        )
    if settings.front_channels:
        raise InputError(
            "This model has a convolution, which looks ahead, so it cannot stream.",
            fix="Train it without front_channels.",
        )
    return CodecStream(task.codec, model, task.said)
