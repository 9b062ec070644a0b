"""`image`: pictures read row by row, each row a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.data import Scaler
from elman.errors import InputError
from elman.modalities.base import Array, Distance, Features, Place, Shown
from elman.modalities.likeness import common_length, flat, nearest_neighbour
from elman.modalities.steps import StepsCodec, StepsSettings
from elman.nn.conv import ConvFront2d

if TYPE_CHECKING:
    from elman.data import Table


class ImageSettings(StepsSettings):
    """Settings of pictures."""


class ImageCodec(StepsCodec):
    """Rows of brightness between 0 and 1, `(rows, columns)`, as they are."""

    modality = "image"
    unit = "rows"
    distances = (Distance("1-nearest neighbour", nearest_neighbour),)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"columns": self.channels}

    def front(self, size: int) -> Any:
        """Return convolutions over the picture that keep its rows, or None."""
        s = self.settings
        if not s.front_channels:
            return None
        stride = s.front_stride
        strides = stride if isinstance(stride, list) else [stride] * len(s.front_channels)
        kernel = s.front_kernel
        return ConvFront2d(
            size,
            s.front_channels,
            # mypy: a list of int is not a list of int | tuple.
            kernel_size=[*kernel] if isinstance(kernel, list) else kernel,
            stride=[(1, step) for step in strides],
            norm=s.front_norm,
        )

    def features(self, cells: Sequence[Any]) -> Features:
        """Return the pixels; a picture of another height is stretched to that of training."""
        arrays = [self.encode(cell) for cell in cells]
        steps = common_length(arrays, [])
        return replace(self._pixels(steps), train=flat(arrays, steps))

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the pixels, of pictures as high as those of training."""
        return self._pixels(facts["rows"])

    def _pixels(self, rows: int) -> Features:
        return Features(
            "{} on pixels",
            None,
            lambda others: flat([self.encode(cell) for cell in others], rows),
            state=lambda: ({"rows": rows}, {}),
        )

    def raw(self, data: Any) -> list[Any] | None:
        """Return pictures from arrays; whole numbers are brightness from 0 to 255.

        Raises:
            InputError: as `StepsCodec.raw`, or brightness is not between 0 and 1.
        """
        given = data if isinstance(data, list) else [data]
        whole = all(getattr(x, "dtype", None) == np.uint8 for x in given)
        found = super().raw(data)
        if found is None:
            return None
        pictures = [x / np.float32(255) for x in found] if whole else found
        low, high = (float(f([f(x) for x in pictures if x.size])) for f in (np.min, np.max))
        if low < 0 or high > 1:
            raise InputError(
                f"The pictures have values from {low:g} to {high:g}; brightness lies between 0 "
                "and 1.",
                fix="Give arrays of uint8 from 0 to 255, or divide by the largest value.",
            )
        return pictures

    def show(self, array: Array) -> Shown:
        """Return the picture, and the brightness of the first column."""
        return Shown(super().show(array).steps, picture=array)


class Image:
    """Pictures read row by row; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "image"
    summary: ClassVar[str] = "pictures, read row by row"
    extra: ClassVar[str | None] = "image"
    modules: ClassVar[tuple[str, ...]] = ("PIL",)
    kinds: ClassVar[tuple[str, ...]] = ("image",)
    forms: ClassVar[tuple[str, ...]] = ("cell",)
    stepped: ClassVar[bool] = True
    Settings = ImageSettings
    suited: ClassVar[dict[str, Any]] = {}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[NDArray[np.float32]]:
        """Return rows of brightness between 0 and 1; colours are averaged.

        Raises:
            InputError: a picture is empty, with file and row.
        """
        column = place.inputs[0]
        pictures = []
        for row, cell in enumerate(table.column(column, "image")):
            if cell is None or not np.size(cell):
                if not strict:
                    pictures.append(np.empty((0, 0), np.float32))
                    continue
                raise table.refuse("The picture is empty.", row, column, "Take the row out.")
            picture = np.asarray(cell, np.float32)
            picture = picture.mean(-1) if picture.ndim > 2 else picture
            pictures.append(picture / 255.0 if np.asarray(cell).dtype == np.uint8 else picture)
        return pictures

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return nothing: no setting of a picture is left to the data."""
        return {}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> ImageCodec:
        """Return a codec for pictures as wide as the first."""
        return cls.codec({"columns": np.asarray(cells[0]).shape[1]}, settings)

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> ImageCodec:
        """Return the codec that `to_json` described."""
        columns = int(about["columns"])
        return ImageCodec(Scaler(np.zeros(columns), np.ones(columns), "none"), settings)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Any]:
        """Return `n` pictures with a bright bar, 6 to 9 rows of 6 pixels."""
        made = []
        for _ in range(n):
            picture = generator.integers(0, 60, (int(generator.integers(6, 10)), 6), dtype=np.uint8)
            picture[generator.integers(0, len(picture)), 1:5] = 255
            made.append(picture)
        return made
