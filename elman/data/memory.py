"""Data in memory that is no DataFrame: arrays, dicts of columns, lists of texts with labels."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.data.kinds import objects
from elman.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_TAKEN = (
    "Give a path, paths, a DataFrame, a dict of columns, arrays (X, y) with X (examples, steps) or "
    "(examples, steps, channels), or a list of pairs (text, label)."
)


def texts_of(source: Any) -> list[str] | None:
    """Return a list of texts, or None where `source` is something else or names files.

    >>> texts_of(["up and away", "down"]), texts_of(["train.csv"]) is None
    (['up and away', 'down'], True)
    """
    if not isinstance(source, list | tuple) or not source:
        return None
    if not all(isinstance(text, str) for text in source):
        return None
    # One that can be no path says what all of them are, unless a file of that name is there.
    if all(map(_may_be_path, source)) or any(map(_is_there, source)):
        return None
    return list(source)


def names_files(source: Any) -> bool:
    """Tell whether data are the path of a file or folder, or several.

    >>> names_files("a.csv"), names_files(["a.csv"]), names_files(["up and away"])
    (True, True, False)
    """
    if isinstance(source, str | os.PathLike):
        return True
    if not isinstance(source, list | tuple) or not source:
        return False
    return all(isinstance(one, str | os.PathLike) for one in source) and texts_of(source) is None


_MAY_HOLD_MASKS = (np.ma.MaskedArray, list, tuple, dict)


def without_masks(source: Any) -> tuple[Any, list[str]]:
    """Return data whose masked values are missing (NaN), and what is to be said of them.

    Args:
        source: data, as `frame_of` takes them; a masked array of NumPy may be all of them, X or y,
            a column of a dict, or an example of a list.

    >>> without_masks(np.ma.masked_array([1, -9999], mask=[0, 1]))
    (array([ 1., nan]), ['1 masked value counts as missing.'])
    """
    counts: list[int] = []
    source = _filled(source, counts, 2)
    count = sum(counts)
    many = "value counts" if count == 1 else "values count"
    return source, [f"{count:,} masked {many} as missing."] if count else []


def _filled(source: Any, counts: list[int], depth: int) -> Any:
    """Return data with masked values as missing, and add how many they were to `counts`."""
    if isinstance(source, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(source)
        if not masked.any():
            return source.data
        counts.append(int(masked.sum()))
        if source.dtype.kind in "biufc":
            kind = np.complex128 if source.dtype.kind == "c" else np.float64
            return np.where(masked, np.nan, np.asarray(source.data).astype(kind))
        held = np.asarray(source.data).astype(object)
        held[masked] = None
        return held
    if not depth or not isinstance(source, list | tuple | dict):
        return source
    cells = list(source.values()) if isinstance(source, dict) else source
    if not any(issubclass(kind, _MAY_HOLD_MASKS) for kind in set(map(type, cells))):
        return source
    found = [_filled(cell, counts, depth - 1) for cell in cells]
    if all(one is cell for one, cell in zip(found, cells, strict=True)):
        return source
    if isinstance(source, dict):
        return dict(zip(source, found, strict=True))
    return tuple(found) if isinstance(source, tuple) else found


def frame_of(source: Any) -> pd.DataFrame | None:
    """Return data in memory as a table, or None where `source` names files.

    - A DataFrame as it is; a Series as one column; a dict of columns.
    - `(X, y)`: X `(N, T)` or `(N, T, C)`, or a list of N arrays `(T,)` or `(T, C)`, or of N texts,
      and N answers; pictures where X `(N, H, W)` is uint8.
    - An array `(T,)` as one column of numbers, `(T, C)` as C columns.
    - A list of texts as one column; a list of pairs `(text, label)` or `(array, label)`; a list of
      dicts, a row each.

    Raises:
        InputError: it is none of these; X and y have unequal lengths.

    >>> frame_of((np.zeros((4, 3)), [0, 1, 0, 1])).columns.tolist()
    ['series', 'label']
    >>> frame_of([("up and away", "a"), ("down", "b")])["label"].tolist()
    ['a', 'b']
    """
    import pandas as pd

    if isinstance(source, str | os.PathLike | pd.DataFrame):
        return source if isinstance(source, pd.DataFrame) else None
    if isinstance(source, pd.Series):
        return source.to_frame("value") if source.name is None else source.to_frame()
    if isinstance(source, Mapping):
        return _columns(source)
    if _is_array(source):
        return _rows(np.asarray(source))
    if isinstance(source, tuple) and len(source) == 2 and _are_sequences(source[0]):
        return _examples(*source)
    if isinstance(source, list | tuple) and source:
        return _listed(list(source))
    if not hasattr(source, "__iter__"):
        raise InputError(f"{type(source).__name__} is no data that can be read.", fix=_TAKEN)
    return None


def _listed(cells: list[Any]) -> pd.DataFrame | None:
    import pandas as pd

    if names_files(cells):
        return None
    if all(isinstance(cell, str) for cell in cells):
        return pd.DataFrame({"text": pd.Series(cells, dtype=object)})
    if all(isinstance(cell, Mapping) for cell in cells):
        return pd.DataFrame.from_records([dict(cell) for cell in cells])
    if all(isinstance(cell, tuple | list) and len(cell) == 2 for cell in cells) and all(
        isinstance(one, str) or _is_array(one) for one, _ in cells
    ):
        return _examples([one for one, _ in cells], [label for _, label in cells])
    if all(isinstance(cell, int | float | np.number) for cell in cells):
        return _rows(np.asarray(cells))
    raise InputError(
        f"A list of {type(cells[0]).__name__} is no data that can be read.", fix=_TAKEN
    )


def _examples(inputs: Any, answers: Any) -> pd.DataFrame:
    import pandas as pd

    name = "label"
    if _is_array(inputs):
        inputs = np.asarray(inputs)
        if inputs.ndim not in (2, 3):
            raise InputError(
                f"X has the shape {inputs.shape}.",
                fix="Give (examples, steps) or (examples, steps, channels).",
            )
        picture = inputs.dtype == np.uint8 and inputs.ndim == 3
        cells = list(inputs) if picture else [_series(one) for one in inputs]
    else:
        inputs = list(inputs)
        if not inputs:
            raise InputError("X has no examples.")
        texts = all(isinstance(one, str) for one in inputs)
        picture = False
        cells = inputs if texts else [_series(one) for one in inputs]
    column = "image" if picture else "text" if isinstance(cells[0], str) else "series"
    if isinstance(answers, pd.DataFrame):
        raise InputError(
            "y is a DataFrame.",
            fix="Put X and its columns into one DataFrame, and name them: target=[...].",
        )
    if not (_is_array(answers) or isinstance(answers, list | tuple | pd.Series)):
        raise InputError(f"y is {type(answers).__name__}.", fix="Give one answer an example.")
    known = list(np.asarray(answers)) if _is_array(answers) else list(answers)
    if len(known) != len(cells):
        raise InputError(f"X has {len(cells)} examples and y has {len(known)} answers.")
    if isinstance(known[0], np.ndarray) and known[0].ndim:
        _refuse_one_hot(known, cells)
        return pd.DataFrame({column: objects(cells), name: objects(known)})
    return pd.DataFrame({column: objects(cells), name: pd.Series(known)})


def _refuse_one_hot(answers: list[Any], cells: list[Any]) -> None:
    """Refuse rows that hold a single 1, for the class of each, and 0 elsewhere.

    Raises:
        InputError: with what to give in place of them.
    """
    sizes = {np.shape(one) for one in answers}
    if len(sizes) > 1 or len(size := sizes.pop()) != 1 or size[0] < 2:
        return
    rows = np.asarray(answers)
    steps = not isinstance(cells[0], str) and len(cells[0]) == size[0]
    if steps or rows.dtype.kind not in "biuf" or len(rows) < 2:
        return
    if np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all():
        raise InputError(
            f"y is one-hot: each of its rows of {size[0]} numbers has a single 1, for the class.",
            fix="Give the number of the class of each example: y.argmax(1).",
        )


def _series(one: Any) -> Any:
    if np.iscomplexobj(one):
        raise InputError(
            "The numbers are complex.",
            fix="Give their parts as channels: np.stack([X.real, X.imag], -1), where X has one.",
        )
    try:
        array = np.asarray(one, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{str(one)[:60]!r} is no series of numbers.", fix=_TAKEN) from None
    if array.ndim not in (1, 2):
        raise InputError(f"An example has the shape {array.shape}.", fix="Give (T,) or (T, C).")
    return array[:, None] if array.ndim == 1 else array


def _rows(array: np.ndarray[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    if array.dtype.kind == "c":
        raise InputError(
            "The numbers are complex.",
            fix="Give their parts as columns: np.column_stack([X.real, X.imag]).",
        )
    if array.dtype.kind not in "iufb" or array.ndim not in (1, 2) or not array.size:
        raise InputError(
            f"An array of {array.dtype} with the shape {array.shape} is no data that can be read.",
            fix=_TAKEN,
        )
    if array.ndim == 1:
        return pd.DataFrame({"value": array})
    return pd.DataFrame({f"x{place}": column for place, column in enumerate(array.T, 1)})


def _columns(source: Mapping[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    columns = {}
    for name, cells in source.items():
        if isinstance(cells, str | bytes) or not hasattr(cells, "__len__"):
            raise InputError(
                f"The column {name!r} is {type(cells).__name__}.",
                fix="Give a list for each column.",
            )
        several = _is_array(cells) and np.ndim(cells) > 1
        values = [np.asarray(cell) for cell in np.asarray(cells)] if several else list(cells)
        columns[str(name)] = pd.Series(objects(values)) if several else pd.Series(values)
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in list(lengths.items())[:6])
        raise InputError(f"The columns have unequal lengths: {shown}.")
    return pd.DataFrame(columns)


def _is_array(value: Any) -> bool:
    """Return true for arrays and tensors, which say their shape; a DataFrame is none."""
    return hasattr(value, "__array__") and hasattr(value, "shape") and not hasattr(value, "iloc")


def _are_sequences(value: Any) -> bool:
    """Tell whether the first of two is X, not the first of two paths or of two pairs."""
    if _is_array(value):
        return True
    if not isinstance(value, list | tuple) or not value:
        return False
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    return not pair


def _may_be_path(text: str) -> bool:
    """Tell whether a string may be meant for a path: it has no blanks, or an ending."""
    ending = re.search(r"\.\w{1,8}$", text) is not None
    return "\n" not in text and (ending or " " not in text.strip())


def _is_there(text: str) -> bool:
    try:
        return os.path.exists(text)
    except (OSError, ValueError):  # too long, or a null character
        return False
