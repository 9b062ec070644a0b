"""Scaling of numbers to a common range and back, fitted on the training part only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import InputError, nearest

Kind = Literal["standard", "minmax", "none"]
KINDS: tuple[Kind, ...] = ("standard", "minmax", "none")


class Scaler:
    """`(x - shift) / scale` for each column (the last axis); a constant column becomes 0.

    >>> s = Scaler.fit([[0.0, 5.0], [2.0, 5.0]])
    >>> s.transform([[2.0, 5.0]]).tolist(), s.inverse([[1.0, 0.0]]).tolist()
    ([[1.0, 0.0]], [[2.0, 5.0]])
    """

    def __init__(self, shift: ArrayLike, scale: ArrayLike, kind: Kind = "standard") -> None:
        self.shift: NDArray[np.float64] = np.atleast_1d(np.asarray(shift, dtype=np.float64))
        self.scale: NDArray[np.float64] = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        self.kind: Kind = kind

    @classmethod
    def fit(cls, array: ArrayLike, kind: Kind = "standard") -> Scaler:
        """Learn shift and scale from `array`: `(n,)` is one column, `(..., columns)` several.

        `"standard"` gives mean 0 and standard deviation 1 (divided by n), `"minmax"` the range
        0 to 1, `"none"` changes nothing. NaN values are left out.

        Raises:
            InputError: no values, a column of NaN only, or an infinite value.
        """
        if kind not in KINDS:
            raise InputError(f"There is no scaler {kind!r}.", fix=nearest(kind, KINDS))
        values = np.asarray(array, dtype=np.float64)
        values = values.reshape(-1, 1) if values.ndim <= 1 else values.reshape(-1, values.shape[-1])
        empty = np.isnan(values).all(axis=0)
        if values.size == 0 or empty.any():
            where = "" if values.size == 0 else f" (column {int(np.argmax(empty)) + 1})"
            raise InputError(f"There are no values to fit a scaler on{where}.")
        if np.isinf(values).any():
            column = int(np.argmax(np.isinf(values).any(axis=0))) + 1
            raise InputError(f"Column {column} holds an infinite value: it cannot be scaled.")
        if kind == "none":
            return cls(np.zeros(values.shape[1]), np.ones(values.shape[1]), kind)
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        # A constant column is recognised exactly: its computed deviation may be a rounding error.
        # All else is measured in units of its range, whose squares do not vanish or overflow.
        constant = low == high
        spread = np.where(constant, 1.0, high - low)
        unit = (values - low) / spread
        shift = low if kind == "minmax" else low + np.nanmean(unit, axis=0) * spread
        scale = spread if kind == "minmax" else np.nanstd(unit, axis=0) * spread
        constant |= scale == 0
        return cls(np.where(constant, low, shift), np.where(constant, 1.0, scale), kind)

    def transform(self, array: ArrayLike) -> NDArray[Any]:
        """Scale an array; float32 stays float32, every other type becomes float64."""
        values, dtype = self._check(array)
        return ((values - self.shift) / self.scale).astype(dtype, copy=False)

    def inverse(self, array: ArrayLike) -> NDArray[Any]:
        """Return the values that `transform` turns into `array`, in float64.

        Values far from zero would be rounded in float32.
        """
        values, _ = self._check(array)
        return values * self.scale + self.shift

    def select(self, columns: list[int]) -> Scaler:
        """Return the scaler of some of the columns (such as the target alone)."""
        return Scaler(self.shift[columns], self.scale[columns], self.kind)

    def to_json(self) -> dict[str, Any]:
        """Return everything that `from_json` needs, as plain JSON values."""
        return {"kind": self.kind, "shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Scaler:
        """Make the scaler that `to_json` described."""
        return cls(about["shift"], about["scale"], about["kind"])

    def _check(self, array: ArrayLike) -> tuple[NDArray[np.float64], np.dtype[Any]]:
        given = np.asarray(array)
        if len(self.shift) > 1 and (given.ndim == 0 or given.shape[-1] != len(self.shift)):
            raise InputError(
                f"The scaler was fitted on {len(self.shift)} columns; "
                f"it was given an array of shape {given.shape}."
            )
        dtype = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
        return given.astype(np.float64, copy=False), dtype
