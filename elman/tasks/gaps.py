"""Sequences that hold nothing: they have no answer, and it is said how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.data.table import is_blank
from elman.data.turns import Conversation
from elman.errors import InputError, PredictionWarning, warn

if TYPE_CHECKING:
    import pandas as pd


def is_empty(cell: Any) -> bool:
    """Tell whether a sequence has nothing that could be read: no symbol, no word, no step.

    >>> is_empty(" \\t"), is_empty([""]), is_empty(np.empty((0, 2))), is_empty("a")
    (True, True, True, False)
    """
    if cell is None:
        return True
    if isinstance(cell, str):
        return is_blank(cell)
    if isinstance(cell, Conversation):
        return len(blank_steps(cell)) == len(cell)
    if isinstance(cell, list):
        return all(isinstance(word, str) and is_blank(word) for word in cell)
    return len(cell) == 0


def blank_steps(cell: Any) -> list[int]:
    """Return the places of the utterances of a conversation in which there is no word.

    >>> from elman.data.turns import conversation
    >>> blank_steps(conversation(["Hi.", " "])), blank_steps(["", "a"])
    ([1], [])
    """
    if not isinstance(cell, Conversation):
        return []
    return [place for place, one in enumerate(cell) if is_blank(one.text)]


def warn_of_steps(
    cells: Sequence[Any], where: Callable[[int, int], tuple[Any, int | None]]
) -> None:
    """Warn of steps that have no answer, for they hold no word; those of empty sequences apart.

    Args:
        cells: the sequences.
        where: gives the file and the row of a step, given the numbers of sequence and step.
    """
    blank = [
        (number, step)
        for number, cell in enumerate(cells)
        if not is_empty(cell)
        for step in blank_steps(cell)
    ]
    if blank:
        file, row = where(*blank[0])
        place = f"row {row}" if file is None else f"{file}, row {row}"
        count = len(blank)
        one = count == 1
        warn(
            f"{count:,} utterance{'' if one else 's'} {'is' if one else 'are'} empty "
            f"({'' if one else 'the first: '}{place}); {'its' if one else 'their'} "
            f"answer{'' if one else 's'} {'is' if one else 'are'} left empty.",
            PredictionWarning,
        )


def filled(
    cells: Sequence[Any], where: Callable[[int], tuple[Any, int | None]]
) -> NDArray[np.int64]:
    """Return the numbers of the sequences that hold something, and warn of the others.

    Args:
        cells: the sequences.
        where: gives the file and the row of a sequence, given its number.

    Raises:
        InputError: all are empty.
    """
    empty = np.array([is_empty(cell) for cell in cells], dtype=bool)
    if empty.any():
        file, row = where(int(np.argmax(empty)))
        if empty.all():
            what = "The input is" if len(empty) == 1 else f"All {len(empty):,} inputs are"
            raise InputError(
                f"{what} empty.", file=file, row=row, fix="Give something to predict on."
            )
        place = f"row {row}" if file is None else f"{file}, row {row}"
        count = int(empty.sum())
        one = count == 1
        warn(
            f"{count:,} of {len(empty):,} inputs {'is' if one else 'are'} empty "
            f"({'' if one else 'the first: '}{place}); {'its' if one else 'their'} "
            f"answer{'' if one else 's'} {'is' if one else 'are'} left empty.",
            PredictionWarning,
        )
    return np.flatnonzero(~empty)


def beside(places: pd.DataFrame, answers: pd.DataFrame, there: NDArray[np.int64]) -> pd.DataFrame:
    """Return all places, each with its answers where there are any.

    Args:
        places: a row for each sequence.
        answers: a row for each sequence that holds something, and its columns of places too.
        there: the numbers of those sequences.
    """
    own = answers.drop(columns=places.columns, errors="ignore").set_axis(there)
    made = places.join(own)
    for name in own.select_dtypes(object):
        made[name] = made[name].where(made[name].notna(), None)
    return made
