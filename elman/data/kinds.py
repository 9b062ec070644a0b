"""The kinds of a column: found from its cells, or converted to the kind that was given.

Kinds and their cells: `number` (int64 or float64, NaN where missing), `category` and `text`
(str, None where missing), `time` (datetime64, with a zone where the file gives one), `series`
(float64 arrays `(T, C)`, NaN where a value is missing), `tokens` (lists of str), `turns`
(`Conversation`, None where missing), `image` (uint8 arrays `(H, W)`), `sound` (`Sound`, None where
missing).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from elman.data import date_numbers, dates, number_lists, numerals
from elman.data.date_cells import half_swapped, written_dates
from elman.data.dates import Order
from elman.data.numerals import Decimal
from elman.data.readings import Reading, Unfit, shown
from elman.data.turns import NoTurns, conversation, is_conversation

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["number", "category", "text", "time", "series", "tokens", "turns", "image", "sound"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# How files without types write that a value is missing. In a column of words only the empty cell
# is missing: "NA" is also Namibia.
MISSING = frozenset(
    # The last two stand in files of Eurostat and of the World Bank.
    [
        "",
        "NA",
        "N/A",
        "n/a",
        "NaN",
        "nan",
        "NULL",
        "null",
        "None",
        "none",
        "?",
        "#N/A",
        "-",
        ":",
        "..",
    ]
)
_LOOKED_AT = 50
"""Lists of a column that are looked at to tell conversations from words."""
# A number that begins with a zero is a name: a postcode, an account.
_CODE = r"^[-+]?0\d+$"
_PARTS = "Give their real and imaginary parts, or their sizes and angles, as numbers of their own."
_FEW_AMOUNTS = 10
"""Different amounts (10 %, 20 %) at most that are classes rather than numbers."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A recording, one channel, at the rate of its file.

    Attributes:
        samples: float32 `(n,)`; full scale is from -1 to 1.
        rate: samples a second.
    """

    samples: NDArray[np.float32]
    rate: int

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"Sound({len(self) / self.rate:.3f} s at {self.rate} Hz)"


def infer(values: pd.Series) -> tuple[pd.Series, Kind]:
    """Find the kind of a column and convert the cells; the string "12" stays text.

    The `attrs` of the cells hold the arguments of `written` that would read the same again;
    `years`, the first and last year of dates whose years have two digits; `others`, the orders of
    day and month that the rows ruled out; and what `Numerals.told` tells of numbers.
    """
    import datetime
    import decimal

    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype):
        return _strings(values), "category"
    if pd.api.types.is_complex_dtype(values.dtype):
        raise Unfit("This number is complex.", 0, _PARTS)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return _numbers(values), "number"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values, "time"
    if isinstance(values.dtype, pd.CategoricalDtype):
        return to_category(values), "category"
    if values.dtype != object:
        return _words(values)
    present = values.dropna()
    sample = present.iloc[0] if len(present) else np.nan
    if not isinstance(sample, str):
        for place, cell in enumerate(values):
            if np.iscomplexobj(cell):
                raise Unfit("This cell holds complex numbers.", place, _PARTS)
    if isinstance(sample, np.ndarray) and sample.dtype == np.uint8 and sample.ndim >= 2:
        return to_image(values), "image"
    if isinstance(sample, Sound):
        return to_sound(values), "sound"
    if isinstance(sample, list | tuple | np.ndarray):
        return _listed(values)
    if all(isinstance(cell, bool) for cell in present) and len(present):
        return _strings(values), "category"
    # Parquet and data bases give decimals of Python.
    if all(isinstance(cell, int | float | decimal.Decimal) for cell in present):
        return values.astype(np.float64), "number"
    if all(isinstance(cell, datetime.date) for cell in present):
        try:
            return pd.to_datetime(values), "time"
        except ValueError:
            # Times of different offsets are read as they are written.
            return _words(_strings(values))
    return _words(_strings(values))


def numbers_in(cells: pa.ChunkedArray) -> NDArray[Any] | None:
    """Return a column of strings as numbers, or None where a cell is not a number.

    Words for "missing" become NaN. A column of whole numbers without a missing one is int64.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    trimmed = pc.utf8_trim_whitespace(cells)
    missing = pc.is_in(trimmed, value_set=pa.array(sorted(MISSING)))
    present = pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
    try:
        numbers = pc.cast(present, pa.float64())
        if pc.any(pc.match_substring_regex(present, _CODE)).as_py():
            return None
    except pa.ArrowInvalid:
        return None
    if not numbers.null_count:
        try:
            return np.asarray(pc.cast(present, pa.int64()))
        except pa.ArrowInvalid:
            pass
    return np.asarray(pc.fill_null(numbers, np.nan))


def spelling(cells: pa.ChunkedArray, numbers: NDArray[Any]) -> pd.Series | None:
    """Return the cells of a column of numbers as they are written, or None where the numbers tell.

    Args:
        cells: strings.
        numbers: what they were read as.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    trimmed = pc.utf8_trim_whitespace(cells)
    plain = pc.cast(pa.array(numbers, from_pandas=True), pa.string())
    if pc.all(pc.equal(trimmed, plain), skip_nulls=True).as_py():
        return None
    written_so: pd.Series = pc.dictionary_encode(trimmed).to_pandas()
    return written_so


def is_number(cell: str) -> bool:
    """Return true if a string is a number or one of the words for a missing one."""
    cell = cell.strip()
    try:
        float(cell)
    except ValueError:
        return cell in MISSING
    return "_" not in cell


def _words(values: pd.Series) -> tuple[pd.Series, Kind]:
    import pandas as pd

    filled = values.fillna("").astype(str)
    stripped = filled.str.strip()
    present = stripped[stripped != ""]
    if not len(present):
        return pd.Series(np.nan, index=values.index), "number"
    if present.str.match(r"\[|[\w.]{,12}\(\s*\[").all():
        try:
            return to_series(values), "series"
        except Unfit:
            pass
    moments = dates.read(stripped.where(~stripped.isin(MISSING), ""))
    if moments is not None and moments.moments is not None and not len(moments.wrong):
        found = written_dates(stripped, moments)
        moments.moments.attrs |= found.settings
        if moments.others and found.settings:
            moments.moments.attrs["others"] = " ".join(moments.others)
        if moments.languages:
            moments.moments.attrs["months"] = moments.languages[0]
        if moments.years:
            moments.moments.attrs["years"] = moments.years
        if moments.intervals:
            moments.moments.attrs["intervals"] = "beginnings"
        return moments.moments, "time"
    repeated = present.nunique() * 2 <= len(present) and present.str.len().max() <= 64
    numbers = numerals.read(stripped, MISSING)
    # Plain numbers in quotes are names; amounts that repeat (10 %, 20 %) are classes.
    if (
        numbers is not None
        and numbers.values is not None
        and not len(numbers.wrong)
        and numbers.words
        and not (numbers.marks and repeated and present.nunique() <= _FEW_AMOUNTS)
    ):
        made = pd.Series(numbers.values, index=values.index)
        made.attrs |= numbers.told()
        if "comma before" in numbers.words:
            made.attrs["decimal"] = ","
        return made, "number"
    if repeated:
        return to_category(values), "category"
    return filled.astype(object), "text"


def _listed(values: pd.Series) -> tuple[pd.Series, Kind]:
    if any(is_conversation(values.name, cell) for cell in values.dropna()[:_LOOKED_AT]):
        return to_turns(values), "turns"
    for cell in values.dropna():
        if len(cell) and isinstance(cell[0], str):
            return to_tokens(values), "tokens"
        if len(cell):
            break
    try:
        return to_series(values), "series"
    except Unfit:
        return to_text(values), "text"


def convert(values: pd.Series, kind: Kind) -> pd.Series:
    """Convert a column to `kind`.

    Raises:
        Unfit: a cell cannot be converted.
    """
    return _CONVERTERS[kind](values)


def to_number(values: pd.Series) -> pd.Series:
    """Convert a column to numbers; words for "missing" become NaN."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
        return _numbers(values)
    cells = _strings(values).fillna("").str.strip()
    plain = pd.to_numeric(cells.where(~cells.isin(MISSING), "nan"), errors="coerce")
    wrong = np.flatnonzero(plain.isna() & ~cells.isin(MISSING))
    if not len(wrong):
        return plain.astype(np.float64)
    found = written(values)
    if found is not None and found.kind == "number":
        if found.unfit is not None:
            raise found.unfit
        assert found.cells is not None
        return found.cells
    place = next((row for row in wrong.tolist() if not _a_number(cells.iloc[[row]])), None)
    if place is not None:
        raise Unfit(f"{shown(cells.iloc[place])} is not a number.", place, "Correct or remove it.")
    place = int(wrong[0])
    raise Unfit(
        f"The cells of the column are not written alike, so {shown(cells.iloc[place])} is not "
        "read as a number (the mark before decimals, the currency or the per cent sign).",
        place,
        "Write all cells of the column alike.",
    )


def _a_number(cell: pd.Series) -> bool:
    """Tell whether a cell is a number where nothing stands beside it."""
    alone = numerals.read(cell, MISSING)
    return alone is not None and not len(alone.wrong)


def written(
    values: pd.Series,
    *,
    missing: Collection[str] = (),
    decimal: Decimal | None = None,
    date_order: Order | None = None,
) -> Reading | None:
    """Read a column of strings as the numbers or dates that most of its cells write.

    Args:
        values: the column.
        missing: words for a missing value, beside the usual ones.
        decimal: the mark before decimals; found when None.
        date_order: what stands first in a date; found when None.

    Returns:
        The reading, or None where most cells are neither numbers nor dates.
    """
    import pandas as pd

    cells = _strings(values).fillna("").astype(str).str.strip()
    absent = MISSING | set(missing)
    present = cells.where(~cells.isin(absent), "")
    if (halves := half_swapped(present)) is not None:
        return Reading("time", None, unfit=halves)
    moments = dates.read(present, date_order)
    if moments is not None:
        return written_dates(cells, moments)
    numbers = numerals.read(cells, absent, decimal)
    if numbers is None:
        return None
    if len(numbers.wrong):
        place = int(numbers.wrong[0])
        cell = cells.iloc[place]
        alone = numerals.read(cells.iloc[place : place + 1], absent, decimal)
        if alone is not None and not len(alone.wrong):
            raised = Unfit(
                f"{shown(cell)} is written in another way than the other cells (the mark before "
                "decimals, the currency or the per cent sign).",
                place,
                "Write all cells of the column alike.",
            )
            return Reading("number", None, unfit=raised)
        fix = "Correct or remove it."
        if re.fullmatch(r"[-+]?[\d.]*(,\d+)+(\.\d+)?", cell):
            fix = "Write decimals with a point, and no commas."
        raised = Unfit(f"{shown(cell)} is not a number.", place, fix)
        return Reading("number", None, unfit=raised, asks="missing")
    if numbers.values is None:
        place = int(np.argmax(cells.str.contains(r"[.,]")))
        cell = cells.iloc[place]
        raised = Unfit(
            f"The mark in {shown(cell)} may stand before decimals or between thousands.",
            place,
            "Write decimals with a point and thousands without a mark; or, of CSV, set decimal=.",
        )
        return Reading("number", None, unfit=raised, asks="decimal")
    known = {"decimal": ","} if "comma before" in numbers.words else {}
    made = pd.Series(numbers.values, index=values.index)
    made.attrs |= numbers.told()
    zero = "a zero before a digit left off" if numerals.zeros(cells) else ""
    words = ", ".join(filter(None, (numbers.words, zero)))
    return Reading("number", made, words, settings=known)


def to_category(values: pd.Series) -> pd.Series:
    """Convert a column to names; whole numbers lose their point, a missing cell is None."""
    cells = _strings(values).map(lambda cell: cell.strip() or None, na_action="ignore")
    return cells.astype(object).where(cells.notna(), None)


def to_text(values: pd.Series) -> pd.Series:
    """Convert a column to strings; lists and mappings become JSON."""
    return _strings(values)


def to_time(values: pd.Series) -> pd.Series:
    """Convert written dates, digits (20240131), or numbers that count from 1970 to times.

    Years and the days of a spreadsheet are known by their size.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    cells = _strings(values).fillna("").str.strip()
    cells = cells.where(~cells.isin(MISSING), "")
    present = cells != ""
    if cells[present].str.fullmatch(r"-?\d+(\.\d+)?").all():
        numbers = pd.to_numeric(cells.where(present, None), errors="coerce")
        read = date_numbers.from_numbers(numbers.to_numpy(np.float64), named=True)
        if read is not None:
            return read[0].set_axis(values.index)
        moments = pd.to_datetime(numbers, unit="s", errors="coerce")
        wrong = moments.isna() & present
        if not wrong.any():
            return moments
        place = int(np.argmax(wrong))
    elif (halves := half_swapped(cells)) is not None:
        raise halves
    elif (found := dates.read(cells)) is not None:
        reading = written_dates(cells, found)
        if reading.unfit is not None:
            raise reading.unfit
        assert reading.cells is not None
        return reading.cells
    else:
        # Half of the cells or more are no dates; the first one that is unlike them is named.
        unlike = present & ~cells.map(lambda cell: dates.like_dates([cell]))
        place = int(np.argmax(unlike if unlike.any() else present))
    raise Unfit(
        f"{shown(cells.iloc[place])} is not a date or a time.",
        place,
        "Write 2024-01-31 or 2024-01-31 12:00:00.",
    )


def to_series(values: pd.Series, decimal: Decimal | None = None) -> pd.Series:
    """Convert lists of numbers, lists of lists, or how people write them to arrays `(T, C)`.

    Args:
        values: the column.
        decimal: the mark before decimals, where it is known.
    """
    import pandas as pd

    strings = [cell for cell in values if isinstance(cell, str)]
    how = number_lists.writing_of(strings, 1, decimal)
    if how is not None and how.comma == "either":
        place = next(p for p, cell in enumerate(values) if isinstance(cell, str) and "," in cell)
        raise Unfit(
            f"A comma in {shown(values.iloc[place])} may stand before decimals or between two "
            "values of a step.",
            place,
            "Set decimal=, if it stands before decimals; or write [[1, 2], [3, 4]].",
        )
    cells = [_array(cell, place, how) for place, cell in enumerate(values)]
    return pd.Series(objects(cells), index=values.index)


def to_tokens(values: pd.Series) -> pd.Series:
    """Convert a column to lists of strings; a string is split at blanks."""
    import pandas as pd

    cells: list[list[str] | None] = []
    for place, cell in enumerate(values):
        if isinstance(cell, str):
            cells.append(cell.split())
        elif isinstance(cell, list) and all(isinstance(token, str) for token in cell):
            cells.append(cell)  # as it is: it may know more of its words, such as their places
        elif isinstance(cell, list | tuple | np.ndarray):
            cells.append([str(token) for token in cell])
        elif cell is None or cell != cell:
            cells.append(None)
        else:
            raise Unfit(f"{shown(cell)} is not a list of tokens.", place)
    return pd.Series(objects(cells), index=values.index)


def to_turns(values: pd.Series) -> pd.Series:
    """Convert lists of texts, of pairs or of objects to conversations; None where missing."""
    import pandas as pd

    cells: list[Any] = []
    for place, cell in enumerate(values):
        missing = cell is None or (isinstance(cell, float) and cell != cell)
        try:
            cells.append(None if missing else conversation(cell))
        except NoTurns as error:
            raise Unfit(
                str(error),
                place,
                "Write a list of texts, of pairs [speaker, text], or of objects with speaker and "
                "text.",
            ) from None
    return pd.Series(objects(cells), index=values.index)


def to_image(values: pd.Series) -> pd.Series:
    """Check that every cell is an array of at least two axes."""
    for place, cell in enumerate(values):
        if not (isinstance(cell, np.ndarray) and cell.ndim >= 2):
            raise Unfit(f"{shown(cell)} is not an image.", place)
    return values


def to_sound(values: pd.Series) -> pd.Series:
    """Recordings; None where missing."""
    for place, cell in enumerate(values):
        if not (cell is None or isinstance(cell, Sound)):
            raise Unfit(f"{shown(cell)} is not a recording.", place)
    return values


_CONVERTERS = {
    "number": to_number,
    "category": to_category,
    "text": to_text,
    "time": to_time,
    "series": to_series,
    "tokens": to_tokens,
    "turns": to_turns,
    "image": to_image,
    "sound": to_sound,
}


def _array(
    cell: Any, place: int, how: number_lists.Writing | None = None
) -> NDArray[np.float64] | None:
    if isinstance(cell, str):
        text = number_lists.unwrapped(cell)
        if not text:
            return None
        try:
            cell = json.loads(text.replace("NaN", "null")) if text.startswith("[") else None
        except (ValueError, RecursionError):
            cell = None
        if not isinstance(cell, list):
            cell = _parsed(text, place, how)
    elif cell is None or (isinstance(cell, float) and cell != cell):
        return None
    try:
        array = np.array(
            [row if isinstance(row, list | tuple | np.ndarray) else [row] for row in cell],
            dtype=np.float64,
        )
    except (TypeError, ValueError):
        ragged = len({len(row) for row in cell if isinstance(row, list | tuple)}) > 1
        what = (
            "The steps of this series have different numbers of values."
            if ragged
            else f"{shown(cell)} is not a list of numbers."
        )
        raise Unfit(what, place) from None
    if array.size == 0:
        return np.empty((0, 1))
    if array.ndim != 2:
        raise Unfit("A series is a list of numbers, or of lists of numbers.", place)
    return array


def _parsed(text: str, place: int, how: number_lists.Writing | None) -> list[Any]:
    """Return the steps of a list of numbers that is no JSON."""
    try:
        if how is None:
            raise number_lists.NoList(text)
        return number_lists.parsed(text, how)
    except number_lists.NoList:
        fix = "Write it as the other lists of the column are, or take the row out."
        if number_lists.is_cut(text):
            what = f"NumPy left out the middle of the list {shown(text)}."
            fix = "Write all of its numbers, as with json.dumps(array.tolist())."
            raise Unfit(what, place, fix) from None
        raise Unfit(f"{shown(text)} is not a list of numbers.", place, fix) from None


def objects(cells: list[Any]) -> NDArray[np.object_]:
    """Make an array of objects with one cell each, where numpy would stack equal shapes."""
    held = np.empty(len(cells), dtype=object)
    held[:] = cells
    return held


def _strings(values: pd.Series) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_float_dtype(values.dtype):
        present = values.dropna()
        if len(present) and (present == present.round()).all() and np.isfinite(present).all():
            whole = values.map(lambda x: str(int(x)), na_action="ignore")
            return whole.astype(object).where(values.notna(), None)
    cells = values.astype(object).map(_string, na_action="ignore")
    return cells.astype(object).where(cells.notna(), None)


def _string(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, dict | list | tuple):
        return json.dumps(cell, ensure_ascii=False, default=str)
    if isinstance(cell, np.ndarray):
        return json.dumps(cell.tolist(), ensure_ascii=False, default=str)
    return str(cell)


def _numbers(values: pd.Series) -> pd.Series:
    kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else ""
    if kind == "i" or (kind == "u" and values.dtype != np.uint64):
        return values.astype(np.int64)
    if not kind:
        # Nullable and Arrow types: whole numbers stay whole where nothing is missing.
        import pandas as pd

        if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
            return values.astype(np.int64)
    return values.astype(np.float64)
