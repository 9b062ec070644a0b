"""`series`: numbers step by step.

A series is one cell that holds it, the numbers of a row, or the rows of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from elman.data import Scaler
from elman.modalities.base import Distance, Place
from elman.modalities.levels import Levels
from elman.modalities.likeness import nearest_neighbour, nearest_neighbour_dtw
from elman.modalities.steps import StepsCodec, StepsSettings

if TYPE_CHECKING:
    from elman.data import Table

Floats = NDArray[np.float64]


class SeriesSettings(StepsSettings):
    """Settings of series."""

    scaling: Literal["standard", "minmax", "none"] = Field(
        "standard", description="how each channel is scaled, by the training part alone"
    )


class SeriesCodec(StepsCodec):
    """Series of numbers `(T, C)`, scaled channel by channel."""

    modality = "series"
    timed: ClassVar[bool] = True
    distances = (
        Distance("1-nearest neighbour", nearest_neighbour),
        Distance("1-nearest neighbour, DTW", nearest_neighbour_dtw),
    )


class Series:
    """Numbers step by step; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "series"
    summary: ClassVar[str] = "numbers step by step, one or several channels"
    extra: ClassVar[str | None] = None
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("series",)
    forms: ClassVar[tuple[str, ...]] = ("cell", "row", "long")
    stepped: ClassVar[bool] = True
    Settings = SeriesSettings
    suited: ClassVar[dict[str, Any]] = {}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[Floats]:
        """Return `(T, C)` in float64 for each sequence.

        Raises:
            InputError: a value is missing or no number, with file, row and column.
        """
        if rows is not None:
            values = np.stack([table.numbers(name) for name in place.inputs], 1)
            return [values[members] for members in rows]
        if place.form == "row":
            return _from_rows(table, place.inputs, strict)
        cells = table.series(place.inputs[0], allow_empty=not strict)
        return [np.asarray(series, np.float64) for series in cells]

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return nothing: no setting of a series is left to the data."""
        return {}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> SeriesCodec:
        """Return a codec whose scaler is fitted on all steps of the training cells."""
        scaler = Scaler.fit(np.concatenate(cells), settings.scaling)
        return SeriesCodec(scaler, settings, Levels.of(cells))

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> SeriesCodec:
        """Return the codec that `to_json` described."""
        levels = Levels.from_json(about.get("levels"))
        return SeriesCodec(Scaler.from_json(about["scaler"]), settings, levels)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Floats]:
        """Return `n` waves of two channels, 15 to 25 steps long."""
        made = []
        for _ in range(n):
            t = np.arange(generator.integers(15, 25)) * 0.7 + generator.uniform(0, 6)
            made.append(np.stack([np.sin(t), np.cos(t)], 1) * 50 + 7)
        return made


def _from_rows(table: Table, columns: Sequence[str], strict: bool) -> list[Floats]:
    values = np.stack([table.numbers(name, allow_missing=True) for name in columns], 1)
    present = ~np.isnan(values)
    # A series may end early; within it nothing may be missing.
    ends = np.where(present.any(1), values.shape[1] - np.argmax(present[:, ::-1], 1), 0)
    found = []
    for place, end in enumerate(ends.tolist()):
        holes = np.flatnonzero(~present[place, :end])
        if (strict and not end) or len(holes):
            raise table.refuse(
                "A value is missing." if end else "The series has no values.",
                place,
                columns[int(holes[0]) if end else 0],
                "Fill it in, or take the row out.",
            )
        found.append(values[place, :end, None])
    return found
