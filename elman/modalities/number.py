"""`number`: one or several numbers without an order, read as a single step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from elman.data import Scaler
from elman.errors import InputError
from elman.modalities.base import Array, Distance, Features, Place
from elman.modalities.levels import Far, Levels
from elman.modalities.likeness import nearest_neighbour
from elman.modalities.steps import StepsCodec, StepsSettings, plain_numbers

if TYPE_CHECKING:
    from elman.data import Table

Floats = NDArray[np.float64]


class NumberSettings(StepsSettings):
    """Settings of numbers."""

    scaling: Literal["standard", "minmax", "none"] = Field(
        "standard", description="how each column is scaled, by the training part alone"
    )


class NumberCodec(StepsCodec):
    """A vector of numbers as one step `(1, C)`, scaled column by column."""

    modality = "number"
    unit = "rows"
    distances = (Distance("1-nearest neighbour", nearest_neighbour),)

    def encode(self, cell: Any) -> Array:
        """Return the scaled numbers as one step, `(1, C)`."""
        return super().encode(np.asarray(cell, np.float64)[None])

    def decode(self, array: Array) -> Any:
        """Return the numbers in their own units, `(C,)`."""
        return super().decode(array)[0]

    def raw(self, data: Any) -> list[Any] | None:
        """Return vectors from arrays: one `(C,)`, or rows `(n, C)`."""
        plain = isinstance(data, np.ndarray) or plain_numbers(data)
        if not plain:
            return None
        try:
            array = np.atleast_2d(np.asarray(data, np.float64))
        except (TypeError, ValueError):
            raise InputError("The array does not hold numbers.") from None
        if array.ndim > 2:
            raise InputError(f"Numbers are an array (C,) or (n, C), not {array.shape}.")
        return list(array)

    def cut(self, cell: Any) -> list[Any]:
        """Return the numbers, which are one piece."""
        return [cell]

    def refuse(self, cell: Any) -> str | None:
        """Return what is wrong where there is another number of columns."""
        return super().refuse(np.asarray(cell)[None])

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return the columns of new cells whose numbers lie far from those of training."""
        rows = [cell for cell in cells if len(cell)]
        return super().far([np.stack(rows)]) if rows else []

    def features(self, cells: Sequence[Any]) -> Features:
        """Return the scaled numbers themselves."""

        return replace(self.kept_features({}, {}), train=self._rows(cells))

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the scaled numbers themselves: nothing is kept for them."""
        return Features("{}", None, self._rows)

    def _rows(self, cells: Sequence[Any]) -> Array:
        return np.concatenate([self.encode(cell) for cell in cells])


class Number:
    """Numbers without an order; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "number"
    summary: ClassVar[str] = "one or several numbers without an order"
    extra: ClassVar[str | None] = None
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ()
    forms: ClassVar[tuple[str, ...]] = ("row",)
    stepped: ClassVar[bool] = False
    Settings = NumberSettings
    suited: ClassVar[dict[str, Any]] = {}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[Floats]:
        """Return the numbers of each row, `(C,)`.

        Raises:
            InputError: a value is missing or no number, with file, row and column.
        """
        if strict:
            return list(np.stack([table.numbers(name) for name in place.inputs], 1))
        values = np.stack([table.numbers(name, allow_missing=True) for name in place.inputs], 1)
        empty = np.all(np.isnan(values), axis=1).tolist()
        for name in place.inputs:
            table.take(np.flatnonzero(np.logical_not(empty))).numbers(name)
        return [row[:0] if none else row for row, none in zip(values, empty, strict=True)]

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return nothing: no setting of numbers is left to the data."""
        return {}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> NumberCodec:
        """Return a codec whose scaler is fitted on the training cells."""
        rows = np.stack(cells)
        return NumberCodec(Scaler.fit(rows, settings.scaling), settings, Levels.of([rows]))

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> NumberCodec:
        """Return the codec that `to_json` described."""
        levels = Levels.from_json(about.get("levels"))
        return NumberCodec(Scaler.from_json(about["scaler"]), settings, levels)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Floats]:
        """Return `n` vectors of three numbers."""
        return list(generator.normal(size=(n, 3)) * [1, 10, 100] + 5)
