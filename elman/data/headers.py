"""Rows above the first row of values: the names of columns."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from elman.data import dates
from elman.data.kinds import MISSING, is_number

_YEARS = range(1000, 3000)
_COMMA = re.compile(r"[-+]?\d[\d.']*,\d+")
_NAME = re.compile(r"[^\W\d_][\w.\-/]*( [\w.\-/]+){0,2}")
_ABOVE = 30
"""Rows at most that stand above a header."""
_UNIT = re.compile(
    r"\[[^\[\]]{0,20}\]|\([^()]{0,20}\)|[^\W\d_°µμ%‰Ω]{0,4}[°µμ%‰Ω/²³^][\w°²³^/%.-]{0,8}|[^\W\d_]{1,6}"
)
_KNOWN_UNITS = {
    *(
        "a",
        "bar",
        "bool",
        "bpm",
        "c",
        "cm",
        "count",
        "d",
        "db",
        "deg",
        "eur",
        "f",
        "g",
        "gw",
        "gwh",
    ),
    *("h", "hpa", "hz", "j", "k", "kg", "khz", "km", "kpa", "kw", "kwh", "l", "lux", "m", "ma"),
    *(
        "mbar",
        "mg",
        "mhz",
        "min",
        "ml",
        "mm",
        "ms",
        "mv",
        "mw",
        "mwh",
        "n",
        "nm",
        "pa",
        "ppm",
        "psi",
    ),
    *("rpm", "s", "sec", "t", "usd", "v", "w", "wh", "y"),
}
# Names of the two columns that files of labelled texts mostly have.
_LABEL = {
    *("annotation", "category", "class", "emotion", "intent", "label", "labels", "lang"),
    *("language", "polarity", "rating", "score", "sentiment", "stars", "tag", "target", "topic"),
    *("type", "y"),
}
_TEXT = {
    *("body", "comment", "content", "description", "document", "headline", "message", "name"),
    *("phrase", "question", "review", "sentence", "sms", "summary", "text", "title", "tweet"),
    *("utterance", "words", "x"),
}


def header_of(rows: Sequence[Sequence[str]]) -> tuple[list[str], bool]:
    """Return the names of columns, and whether the first row holds values instead of names.

    It holds values where a cell of it is a number like all below it, or a word that stands again
    and again below it. Numbers that count up, such as years, may be names.

    >>> header_of([["day", "y"], ["2024-01-01", "3"]])
    (['day', 'y'], False)
    >>> header_of([["5.1", "3.5", "setosa"], ["4.9", "3.0", "setosa"]])
    (['column 1', 'column 2', 'column 3'], True)
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    names = [name or f"column {place}" for place, name in enumerate(first, 1)]
    below = [row for row in below if len(row) == len(first)]
    written = [name for name in first if is_written_number(name)]
    named = len(written) > 1 and _counted(written)
    values = False
    for place, cell in enumerate(first):
        column = [row[place].strip() for row in below]
        if not cell or not column:
            continue
        if is_written_number(cell):
            present = [below for below in column if below not in MISSING]
            alike = bool(present) and all(map(is_written_number, present))
            year = cell.isdigit() and int(cell) in _YEARS and set(map(len, column)) != {4}
            values = values or (alike and not named and not year)
        else:
            again = column.count(cell)
            values = values or (again > 1 and 4 * len(set(column)) <= len(column))
    if not below and len(written) == len([cell for cell in first if cell]) > 0 and not named:
        values = True
    # A header in the middle is one of files that were put together, and is no value.
    repeated = not written and first in [[cell.strip() for cell in row] for row in below]
    if not values or repeated or _names_dates(first, below):
        return names, False
    return [f"column {place}" for place in range(1, len(first) + 1)], True


def _names_dates(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Tell whether a cell says that it stands over times, and dates stand below it."""
    return any(
        dates.named_like_a_time(name)
        and not dates.like_dates([name])
        and dates.like_dates([row[place] for row in below])
        for place, name in enumerate(first)
        if name and below
    )


def above(rows: Sequence[Sequence[str]]) -> int:
    """Return how many of the first rows stand above the header: a title, or notes.

    They have fewer cells than the table, and the first row with as many is a header: a name stands
    over a column of numbers or dates, or all are names of which one is usual. Names may be years or
    dates, beside words.

    >>> above([["Report 2022"], ["made by", "us"], ["day", "kWh", "t"], ["2022-01-01", "5", "3"]])
    2
    >>> above([["day", "kWh"], ["2022-01-01", "5"]])
    0
    """
    sizes = [_size(row) for row in rows]
    if not sizes or len(rows) < 3:
        return 0
    width, _ = max(Counter(sizes).items(), key=lambda pair: (pair[1], pair[0]))
    place = next((n for n, size in enumerate(sizes[:_ABOVE]) if size >= width), 0)
    return place if place and is_header(rows[place], rows[place + 1 :]) else 0


def _size(row: Sequence[str]) -> int:
    """Return the number of cells up to the last one that is filled."""
    return max((n for n, cell in enumerate(row, 1) if cell.strip()), default=0)


def is_header(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Tell whether a row holds the names of the columns below it: a name stands over numbers or
    dates, or all are names of which one is usual."""
    names = [cell.strip() for cell in row]
    below = [cells for cells in below if len(cells) >= len(names)]
    values = [name for name in names if is_written_number(name) or dates.like_dates([name])]
    # Years and dates that run on are names of columns, beside words.
    if not below or (values and (not _run_on(values) or len(values) == sum(map(bool, names)))):
        return False
    columns = [[cells[n].strip() for cells in below] for n in range(len(names))]
    filled = [[cell for cell in column if cell not in MISSING] for column in columns]
    if any(
        name and cells and (all(map(is_written_number, cells)) or dates.like_dates(cells))
        for name, cells in zip(names, filled, strict=True)
    ):
        return True
    usual = any(map(is_usual_name, names))
    return usual and all(_NAME.fullmatch(name) for name in names if name)


def is_usual_name(cell: str) -> bool:
    """Return true for a name that columns of labels, texts and ids mostly have.

    >>> is_usual_name("Label"), is_usual_name("good film")
    (True, False)
    """
    return cell.strip().casefold() in _LABEL | _TEXT | {"id"}


def are_units(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first of the rows below a header holds the units of the columns.

    >>> are_units([["[h]", "[m3/s]"], ["0", "10.2"], ["1", "9.8"]])
    True
    >>> are_units([["n.a.", "5"], ["0", "10.2"], ["1", "9.8"]])
    False
    """
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if len(below) < 2:
        return False
    units = []
    for place, unit in enumerate(first):
        column = [row[place].strip() for row in below]
        present = [cell for cell in column if cell not in MISSING]
        if len(present) > 1 and all(map(is_written_number, present)):
            units.append(unit.strip())
    given = [unit for unit in units if unit not in MISSING]
    known = [u for u in given if u.casefold() in _KNOWN_UNITS or not u.isalpha()]
    return bool(known) and 2 * len(known) >= len(units) and all(map(_UNIT.fullmatch, given))


def levels(rows: Sequence[Sequence[str]]) -> str | None:
    """Return the name of the first column where the header has three rows, as pandas writes names
    of two levels: each level's name before its names, then the name of the index alone.

    >>> levels([["Price", "Close"], ["Ticker", "AAPL"], ["Date", ""], ["2024-01-02", "5"]])
    'Date'
    """
    if len(rows) < 4 or any(len(row) != len(rows[0]) for row in rows[:4]) or len(rows[0]) < 2:
        return None
    _, second, index, values = ([cell.strip() for cell in row] for row in rows[:4])
    words = all(cell and not is_written_number(cell) and not cell[0].isdigit() for cell in second)
    alone = bool(index[0]) and not index[0][0].isdigit() and not any(index[1:])
    labelled = is_written_number(values[0]) or dates.like_dates(values[:1])
    numbers = labelled and all(map(is_written_number, values[1:]))
    return index[0] if words and alone and numbers else None


def names_label_and_text(
    labels: Sequence[str], texts: Sequence[str], *, strictly: bool = False
) -> bool:
    """Tell whether the first of labelled texts are the names of the two columns.

    Its label stands nowhere else, and is a word where all others are numbers, or one of the names
    that such columns have. Other words are names where every label below stands there twice or
    more and the texts below are longer.

    Args:
        labels, texts: a label and a text each.
        strictly: ask for two such names.

    >>> names_label_and_text(["sentiment", "pos", "neg"], ["review", "a good film", "a bad one"])
    True
    >>> names_label_and_text(["neutral", "pos", "neg"], ["fine", "a good film", "a bad one"])
    False
    """
    first, below = labels[0].strip(), Counter(label.strip() for label in labels[1:])
    name = texts[0].strip()
    if not below or first in below or not (_NAME.fullmatch(first) and _NAME.fullmatch(name)):
        return False
    if strictly:
        return first.casefold() in _LABEL and name.casefold() in _TEXT
    if all(map(is_written_number, below)) or first.casefold() in _LABEL or name.casefold() in _TEXT:
        return True
    long = median(len(text.split()) for text in texts[1:]) > 2
    return min(below.values()) > 1 and long and " " not in first and " " not in name


def is_written_number(cell: str) -> bool:
    """Return true for a number, also with a comma before decimals; none that is missing.

    >>> is_written_number("1.234,5"), is_written_number("NA"), is_written_number("1,a")
    (True, False, False)
    """
    cell = cell.strip()
    if cell in MISSING:
        return False
    return is_number(cell) or _COMMA.fullmatch(cell) is not None


def _run_on(cells: Sequence[str]) -> bool:
    """Return true for two or more whole numbers that count up, or dates of which none is twice."""
    if len(cells) < 2:
        return False
    return _counted(cells) or (dates.like_dates(cells) and len(set(cells)) == len(cells))


def _counted(cells: Sequence[str]) -> bool:
    """Return true for whole numbers that rise by the same step, such as 0, 1, 2 or years."""
    if not all(cell.isdigit() for cell in cells):
        return False
    steps = {int(b) - int(a) for a, b in itertools.pairwise(cells)}
    return len(steps) == 1 and min(steps) > 0
