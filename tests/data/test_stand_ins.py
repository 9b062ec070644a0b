"""Numbers that stand for a missing value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from elman.data.stand_ins import StandIn, stand_ins, together

RANDOM = np.random.default_rng(0)
TEMPERATURES = RANDOM.normal(10, 8, 400).round(1)
PRESSURES = RANDOM.normal(1000, 20, 400).round(1)


def holding(values: NDArray[np.float64], mark: float, places: list[int]) -> NDArray[np.float64]:
    held = values.copy()
    held[places] = mark
    return held


@pytest.mark.parametrize(
    ("values", "mark", "places"),
    [
        (TEMPERATURES, -999.0, [3, 9, 10, 300]),
        (TEMPERATURES, -9999.0, [7]),
        (TEMPERATURES, 99999.0, [7, 8]),
        (TEMPERATURES, -250.0, [1, 2, 3]),
        (PRESSURES, 9999.0, [5, 6, 7]),
        (PRESSURES, -1.0, [5, 6, 7]),
        (PRESSURES, 0.0, [5, 6, 7]),
        (PRESSURES, 65535.0, [5, 6, 7]),
        (PRESSURES, 1e20, [5, 6, 7]),
    ],
)
def test_marks_are_found_with_their_count_and_first_place(
    values: NDArray[np.float64], mark: float, places: list[int]
) -> None:
    others = np.delete(values, places)
    found = stand_ins(holding(values, mark, places))
    assert found == [StandIn(mark, len(places), places[0], others.min(), others.max())]


def test_two_marks_do_not_hide_each_other() -> None:
    values = holding(holding(TEMPERATURES, -999, [1, 2, 3]), 9999, [4, 5, 6])
    assert [each.value for each in stand_ins(values)] == [-999, 9999]
    assert [each.value for each in stand_ins(holding(values, -9999, [7, 8]))] == [-9999, -999, 9999]


@pytest.mark.parametrize(
    "values",
    [
        TEMPERATURES,
        RANDOM.poisson(0.5, 400),
        RANDOM.lognormal(3, 2, 400).round(),
        RANDOM.standard_cauchy(400).round(1),
        # Closed on Sundays, dark at night, sold out: zeros that come often are values.
        np.where(np.arange(400) % 7 == 6, 0, RANDOM.integers(4000, 5500, 400)),
        np.maximum(0, np.sin(np.arange(400) / 4)) * 900,
        holding(RANDOM.integers(100, 900, 400).astype(float), 0, [1, 2, 3, 4]),
        # A day of a sale comes once.
        holding(RANDOM.normal(100, 10, 400).round(), 1000, [77]),
        holding(RANDOM.integers(80, 99, 400).astype(float), 99, [1, 2, 3]),
        np.zeros(50),
        RANDOM.integers(0, 2, 100),
        np.arange(400.0),
        np.full(5, np.nan),
        np.empty(0),
    ],
)
def test_values_like_others_are_no_marks(values: NDArray[np.float64]) -> None:
    assert stand_ins(np.asarray(values, np.float64)) == []


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1e5), st.floats(-1e4, 1e4))
def test_noise_has_no_marks_at_any_scale(seed: int, scale: float, shift: float) -> None:
    assert stand_ins(shift + scale * np.random.default_rng(seed).normal(size=200)) == []


def test_marks_of_several_series_are_counted_together() -> None:
    first, second = StandIn(-9.0, 3, 4, 1.0, 2.0), StandIn(-9.0, 2, 0, 0.5, 1.5)
    assert together([(first, 14), (second, 20)]) == [StandIn(-9.0, 5, 14, 0.5, 2.0)]


@pytest.mark.parametrize(
    ("others", "mark"), [([1, 2, 3, 4, 5], 99), ([1, 2, 3, 4, 5], -9), ([0, 1], 99), ([1, 2], -999)]
)
def test_a_code_beside_ratings_or_classes_is_found(others: list[int], mark: int) -> None:
    values = np.array([*others * 4, mark, mark, mark], np.float64)
    (found,) = stand_ins(values, codes=True)
    assert (found.value, found.rows, found.first) == (mark, 3, 4 * len(others))
    assert (found.low, found.high) == (min(others), max(others))


@pytest.mark.parametrize(
    "values", [[0, 1], [0, 1, 2], [-1, 0, 1], [0, 2, 4], [1, 2, 9], [3, 7, 50]]
)
def test_classes_and_ratings_are_no_marks(values: list[int]) -> None:
    assert stand_ins(np.array(values * 6, np.float64), codes=True) == []
