"""Series and panels of them, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
VALUE = "value"
COUNTED = "steps, not dates"
"""How numbers were read that put rows in order and are no dates."""


@dataclass(frozen=True)
class Series:
    """One series in the order of time.

    Attributes:
        name: its id; empty where there is only one series without a name.
        values: `(T, C)` targets.
        known: `(T + F, K)` covariates, F rows of them beyond the last value.
        times: of the `T + F` rows, or None where there is no time column.
        missing: `(T, C)`, which of the values were filled in; None where none was.
    """

    name: str
    values: Floats
    known: Floats
    times: pd.DatetimeIndex | None
    missing: NDArray[np.bool_] | None = None

    @property
    def observed(self) -> Floats:
        """The values, NaN where one is missing."""
        return self.values if self.missing is None else np.where(self.missing, np.nan, self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return f"series {self.name!r}" if self.name else "the series"


@dataclass(frozen=True)
class Panel:
    """All series of a data set, with the same targets and covariates.

    Attributes:
        found: the settings that say how it was read, so that later data are read alike.
        numbers: how a column of numbers was read as times, in words; `COUNTED` where they only
            count; None where times were not written as numbers.
        used: the settings of reading that changed something, such as `decimal` and `missing=n.a.`.
        time: the columns that the times were read from; empty where there are none.
        horizon: the one that a `.tsf` file asks for.
        told: how it was read: what a sentence is about (read, target, time, …), and the sentence.
        doubts: what a person should look at, a sentence or two each.
    """

    series: list[Series]
    targets: list[str]
    covariates: list[str]
    frequency: str | None
    source: object = None
    found: dict[str, Any] = field(default_factory=dict)
    horizon: int | None = None
    numbers: str | None = None
    time: list[str] = field(default_factory=list)
    used: frozenset[str] = frozenset()
    told: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """How the data were read, in sentences."""
        return [sentence for _, sentence in self.told]
