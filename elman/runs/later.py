"""Data that a finished run is given: an error about them proposes nothing that is told only before
its training."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from elman.errors import InputError

_OF_READING = re.compile(
    r"\b(?P<name>decimal|date_order|missing|fill|layout|group|time)=|Lower the (?P<size>horizon)"
)
_HOW = {
    "decimal": "Write numbers as the training data does.",
    "date_order": "Write dates as the training data does, or as 2024-01-31.",
    "missing": "Correct it, or take the row out.",
    "fill": "Fill it in, or train with fill=linear (or forward, season, mask).",
    "horizon": "Give longer series, or leave out those that are too short.",
}
_OTHERS = "Write the file as the training data is written."


@contextmanager
def read_as_in_training(free: Collection[str] = ()) -> Iterator[None]:
    """Let errors about later data say how to write them, where they would name a setting.

    Args:
        free: settings that may be set for these data all the same.

    >>> with read_as_in_training():
    ...     raise InputError("'1,5' is no number.", row=3, fix="Leave decimal= out.")
    Traceback (most recent call last):
    elman.errors.InputError: row 3: '1,5' is no number. Write numbers as the training data does.
    """
    try:
        yield
    except InputError as error:
        named = _OF_READING.search(error.fix or "")
        name = "" if named is None else named["name"] or named["size"]
        if not name or name in free:
            raise
        told = InputError(str(error).removesuffix(str(error.fix)) + _HOW.get(name, _OTHERS))
        told.file, told.row, told.column = error.file, error.row, error.column
        told.fix = _HOW.get(name, _OTHERS)
        raise told from None
