"""The kinds of a column: found from its cells, or converted to the kind that was given.

Kinds and their cells: `number` (int64 or float64, NaN where missing), `category` and `text`
(str, None where missing), `time` (datetime64), `series` (float64 arrays `(T, C)`, NaN where a
value is missing), `tokens` (lists of str), `image` (uint8 arrays `(H, W)`), `sound` (`Sound`,
None where missing).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["number", "category", "text", "time", "series", "tokens", "image", "sound"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# How files without types write that a value is missing. In a column of words only the empty cell
# is missing: "NA" is also Namibia.
MISSING = frozenset(
    ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "?", "#N/A", "-"]
)
# A number that begins with a zero is a name: a postcode, an account.
_CODE = r"^[-+]?0\d+$"
_TIMES = ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")


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


class Unfit(ValueError):
    """A cell does not fit the kind of its column; `place` is its position there."""

    def __init__(self, what: str, place: int, fix: str | None = None) -> None:
        super().__init__(what)
        self.place, self.fix = place, fix


def infer(values: pd.Series) -> tuple[pd.Series, Kind]:
    """Find the kind of a column and convert the cells; the string "12" stays text."""
    import datetime

    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype):
        return _strings(values), "category"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return _numbers(values), "number"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return _naive(values), "time"
    if isinstance(values.dtype, pd.CategoricalDtype):
        return to_category(values), "category"
    if values.dtype != object:
        return _words(values)
    present = values.dropna()
    sample = present.iloc[0] if len(present) else np.nan
    if isinstance(sample, np.ndarray) and sample.dtype == np.uint8 and sample.ndim >= 2:
        return to_image(values), "image"
    if isinstance(sample, Sound):
        return to_sound(values), "sound"
    if isinstance(sample, list | tuple | np.ndarray):
        return _listed(values)
    if all(isinstance(cell, bool) for cell in present) and len(present):
        return _strings(values), "category"
    if all(isinstance(cell, int | float) for cell in present):
        return values.astype(np.float64), "number"
    if all(isinstance(cell, datetime.date) for cell in present):
        return pd.to_datetime(values), "time"
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
    if present.str.startswith("[").all():
        try:
            return to_series(values), "series"
        except Unfit:
            pass
    moments = _times(stripped)
    if moments is not None:
        return moments, "time"
    if present.nunique() * 2 <= len(present) and present.str.len().max() <= 64:
        return to_category(values), "category"
    return filled.astype(object), "text"


def _listed(values: pd.Series) -> tuple[pd.Series, Kind]:
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
    cells = values.fillna("").astype(str).str.strip()
    cells = cells.where(~cells.isin(MISSING), "nan")
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = (numbers.isna() & (cells != "nan")).to_numpy()
    if wrong.any():
        place = int(np.argmax(wrong))
        cell = cells.iloc[place]
        comma = re.fullmatch(r"[-+]?[\d.]*(,\d+)+(\.\d+)?", cell) is not None
        raise Unfit(
            f"{_shown(cell)} is not a number.",
            place,
            "Write decimals with a point, and no commas." if comma else "Correct or remove it.",
        )
    return numbers.astype(np.float64)


def to_category(values: pd.Series) -> pd.Series:
    """Convert a column to names; whole numbers lose their point, a missing cell is None."""
    cells = _strings(values).map(lambda cell: cell.strip() or None, na_action="ignore")
    return cells.astype(object).where(cells.notna(), None)


def to_text(values: pd.Series) -> pd.Series:
    """Convert a column to strings; lists and mappings become JSON."""
    return _strings(values)


def to_time(values: pd.Series) -> pd.Series:
    """Convert written dates, 8 digits (year, month, day) or seconds since 1970 to times."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return _naive(values)
    cells = _strings(values).fillna("").str.strip()
    present = cells[cells != ""]
    if present.str.fullmatch(r"\d{8}").all():
        parsed = pd.to_datetime(cells.where(cells != "", None), format="%Y%m%d", errors="coerce")
    elif present.str.fullmatch(r"-?\d+(\.\d+)?").all():
        parsed = pd.to_datetime(pd.to_numeric(cells, errors="coerce"), unit="s")
    else:
        found = _times(cells)
        parsed = (
            pd.to_datetime(cells, format="ISO8601", errors="coerce") if found is None else found
        )
    wrong = (parsed.isna() & (cells != "")).to_numpy()
    if wrong.any():
        place = int(np.argmax(wrong))
        raise Unfit(
            f"{_shown(cells.iloc[place])} is not a date or a time.",
            place,
            "Write 2024-01-31 or 2024-01-31 12:00:00.",
        )
    return parsed


def to_series(values: pd.Series) -> pd.Series:
    """Convert lists of numbers, lists of lists, or their JSON to arrays `(T, C)`."""
    import pandas as pd

    cells = [_array(cell, place) for place, cell in enumerate(values)]
    return pd.Series(objects(cells), index=values.index)


def to_tokens(values: pd.Series) -> pd.Series:
    """Convert a column to lists of strings; a string is split at blanks."""
    import pandas as pd

    cells: list[list[str] | None] = []
    for place, cell in enumerate(values):
        if isinstance(cell, str):
            cells.append(cell.split())
        elif isinstance(cell, list | tuple | np.ndarray):
            cells.append([str(token) for token in cell])
        elif cell is None or cell != cell:
            cells.append(None)
        else:
            raise Unfit(f"{_shown(cell)} is not a list of tokens.", place)
    return pd.Series(objects(cells), index=values.index)


def to_image(values: pd.Series) -> pd.Series:
    """Check that every cell is an array of at least two axes."""
    for place, cell in enumerate(values):
        if not (isinstance(cell, np.ndarray) and cell.ndim >= 2):
            raise Unfit(f"{_shown(cell)} is not an image.", place)
    return values


def to_sound(values: pd.Series) -> pd.Series:
    """Recordings; None where missing."""
    for place, cell in enumerate(values):
        if not (cell is None or isinstance(cell, Sound)):
            raise Unfit(f"{_shown(cell)} is not a recording.", place)
    return values


_CONVERTERS = {
    "number": to_number,
    "category": to_category,
    "text": to_text,
    "time": to_time,
    "series": to_series,
    "tokens": to_tokens,
    "image": to_image,
    "sound": to_sound,
}


def _array(cell: Any, place: int) -> NDArray[np.float64] | None:
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        if not text.startswith("["):
            cell = [None if part in MISSING else part for part in re.split(r"[,;\s]+", text)]
        else:
            try:
                cell = json.loads(text.replace("NaN", "null"))
            except ValueError:
                raise Unfit(f"{_shown(text)} is not a list of numbers.", place) from None
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
            else f"{_shown(cell)} is not a list of numbers."
        )
        raise Unfit(what, place) from None
    if array.size == 0:
        return np.empty((0, 1))
    if array.ndim != 2:
        raise Unfit("A series is a list of numbers, or of lists of numbers.", place)
    return array


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
        return json.dumps(cell.tolist())
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


def _naive(values: pd.Series) -> pd.Series:
    zone = getattr(values.dtype, "tz", None)
    return values.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else values


def _times(cells: pd.Series) -> pd.Series | None:
    """Return the times that all non-empty cells write, or None."""
    import pandas as pd

    present = cells[cells != ""]
    if not present.iloc[:100].str.contains(r"\d[-/.]\d|\dT\d", regex=True).all():
        return None
    holes = cells.where(cells != "", None)

    def parse(pattern: str) -> pd.Series | None:
        try:
            # A few cells first: a column of words is refused at little cost.
            pd.to_datetime(present.iloc[:20], format=pattern, utc=pattern == "ISO8601")
            parsed = pd.to_datetime(holes, format=pattern, utc=pattern == "ISO8601")
        except (ValueError, TypeError, OverflowError):
            return None
        return _naive(parsed)

    if present.iloc[:100].str.match(r"\d{4}-\d\d").all():
        return parse("ISO8601")
    found = [
        parsed for day in _TIMES for clock in _CLOCKS if (parsed := parse(day + clock)) is not None
    ]
    if len(found) == 2:
        # Day and month could each be first: the reading in which time goes forward is right.
        forward = [parsed for parsed in found if parsed.dropna().is_monotonic_increasing]
        return forward[0] if len(forward) == 1 else None
    return found[0] if found else None


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else text[:36] + "…" + text[-1]
