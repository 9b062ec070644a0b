"""Windows: the right values, and no copy until a batch is made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import Windows
from elman.errors import InputError


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_every_window_of_every_series_in_order(
    sizes: list[int], length: int, horizon: int, step: int
) -> None:
    arrays = [np.arange(n) + 100.0 * i for i, n in enumerate(sizes)]
    expected = [
        (i, start)
        for i, n in enumerate(sizes)
        for start in range(0, n - length - horizon + 1, step)
    ]
    if not expected:
        with pytest.raises(InputError, match="a window needs"):
            Windows(arrays, length, horizon, step)
        return
    windows = Windows(arrays, length, horizon, step)
    assert [windows.where(i) for i in range(len(windows))] == expected
    for index, (i, start) in enumerate(expected):
        past, future = windows[index]
        assert past.tolist() == arrays[i][start : start + length].tolist()
        assert future.tolist() == arrays[i][start + length :][:horizon].tolist()
        assert np.shares_memory(past, arrays[i])
        assert not horizon or np.shares_memory(future, arrays[i])


def test_a_batch_is_a_copy_of_the_windows_asked_for() -> None:
    array = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    windows = Windows(array, 5, 2)
    past, future = windows.take([3, 0])
    assert past.shape == (2, 5, 3)
    assert past.dtype == np.float32
    np.testing.assert_array_equal(past, np.stack([array[3:8], array[0:5]]))
    np.testing.assert_array_equal(future, np.stack([array[8:10], array[5:7]]))
    assert not np.shares_memory(past, array)
    assert windows.take([])[1].shape == (0, 2, 3)


def test_windows_end() -> None:
    windows = Windows(np.arange(10.0), 3, 1)
    assert len(list(windows)) == len(windows) == 7
    with pytest.raises(IndexError):
        windows.where(7)


def test_too_short_a_series_is_explained() -> None:
    with pytest.raises(InputError, match=r"has 10 values; a window needs 12 \(8 before and 4"):
        Windows(np.arange(10.0), 8, 4)
    with pytest.raises(InputError, match="length >= 1"):
        Windows(np.arange(10.0), 0, 4)
