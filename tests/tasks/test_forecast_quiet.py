"""No warning of a library is left to be shown: what was amiss is said in words of our own."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from elman.data import dates
from elman.tasks.forecast.figures import mean_of_known, nearest_rival


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (["1/1/24", "1/2/24", "1/13/24", "1/14/24", ""], []),
        (["1/1/24", "", "1/13/24", "1/14/24", "Total"], [4]),
        (["2/13/24 10:00+01:00", "2/14/24 10:00+01:00", "", "2/15/24 10:00"], [3]),
    ],
)
def test_empty_cells_among_dates_are_read_without_a_warning(
    cells: list[str], wrong: list[int]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dates.read(pd.Series(cells))
    assert found is not None
    assert found.moments is not None
    assert found.wrong.tolist() == wrong
    assert found.moments.isna().tolist() == [c == "" or i in wrong for i, c in enumerate(cells)]


def test_a_step_whose_values_are_all_missing_has_no_error_and_no_warning() -> None:
    # Two windows of three steps; the second step is missing in both.
    near = np.array([[[1.0], [np.nan], [2.0]], [[-3.0], [np.nan], [np.nan]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means = mean_of_known(np.abs(near), (0, 2))
        nearest = nearest_rival({"far": 2 * near, "near": near}, np.ones((2, 1)))
    np.testing.assert_array_equal(means, [2.0, np.nan, 2.0])
    assert nearest == "near"
