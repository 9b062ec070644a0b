"""How a column of strings can be read as another kind, or what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

OTHER = "\N{REPLACEMENT CHARACTER}"
"""Stands for the number of another row in the words of `Unfit`."""


class Unfit(ValueError):
    """A cell does not fit the kind of its column.

    Attributes:
        place: position of the cell.
        fix: what to do.
        other: position of another cell that the words call `OTHER`, or None.
    """

    def __init__(
        self, what: str, place: int, fix: str | None = None, other: int | None = None
    ) -> None:
        super().__init__(what)
        self.place, self.fix, self.other = place, fix, other


@dataclass(frozen=True)
class Reading:
    """How a column of strings can be read as another kind.

    Attributes:
        kind: number or time.
        cells: the column in that kind; None where `unfit` says what stands in the way.
        words: how it was read, empty where there is nothing to say.
        unfit: what stands in the way, with the place of a cell.
        settings: arguments of `written` that read the same again.
        asks: the argument of `written` that would settle what stands in the way.
        years: the first and last year of dates whose years have two digits.
    """

    kind: Literal["number", "time"]
    cells: pd.Series | None
    words: str = ""
    unfit: Unfit | None = None
    settings: dict[str, str] = field(default_factory=dict)
    asks: str = ""
    years: str = ""


def shown(cell: Any) -> str:
    """Return a cell as a message shows it, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= 40 else text[:36] + "…" + text[-1]
