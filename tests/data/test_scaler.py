"""Scalers: back and forth, constant columns, missing values."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elman.data import Scaler
from elman.errors import InputError

ARRAYS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)
)


@settings(deadline=None, max_examples=50)
@given(ARRAYS, st.sampled_from(["standard", "minmax", "none"]))
def test_inverse_undoes_transform(array: np.ndarray, kind: str) -> None:
    scaler = Scaler.fit(array, kind)  # type: ignore[arg-type]
    # Exact relative to the largest value of the column: that is what float64 can hold.
    np.testing.assert_allclose(
        scaler.inverse(scaler.transform(array)), array, rtol=1e-9, atol=1e-9 * np.abs(array).max()
    )


def test_standard_and_minmax_have_their_moments() -> None:
    x = np.random.default_rng(0).normal([5, -2], [3, 0.1], size=(400, 2))
    z = Scaler.fit(x).transform(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0), 1)
    u = Scaler.fit(x, "minmax").transform(x)
    assert u.min(0).tolist() == [0, 0]
    np.testing.assert_allclose(u.max(0), 1)
    assert Scaler.fit(x, "none").transform(x).tolist() == x.tolist()


def test_a_constant_column_becomes_zero_and_comes_back() -> None:
    # Three tenths add up to a mean that is not one tenth: the deviation is a rounding error.
    x = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    for kind in ("standard", "minmax"):
        scaler = Scaler.fit(x, kind)  # type: ignore[arg-type]
        assert scaler.transform(x)[:, 0].tolist() == [0, 0, 0]
        assert scaler.inverse(scaler.transform(x))[:, 0].tolist() == [0.1, 0.1, 0.1]
        assert scaler.transform([[5.1, 2.0]])[0, 0] == 5.0


def test_what_is_seen_later_does_not_move_it() -> None:
    scaler = Scaler.fit([0.0, 2.0])
    assert scaler.transform([100.0]).tolist() == [99.0]
    assert scaler.to_json() == {"kind": "standard", "shift": [1.0], "scale": [1.0]}


def test_missing_values_are_left_out_and_stay_missing() -> None:
    scaler = Scaler.fit([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]])
    assert scaler.shift.tolist() == [2.0, 6.0]
    assert np.isnan(scaler.transform([[np.nan, 6.0]])).tolist() == [[True, False]]


def test_any_leading_axes_and_the_kind_of_float_is_kept() -> None:
    scaler = Scaler.fit(np.arange(12.0).reshape(2, 3, 2))
    batch = np.zeros((4, 5, 2), dtype=np.float32)
    assert scaler.transform(batch).dtype == np.float32
    assert scaler.transform(batch).shape == (4, 5, 2)
    assert scaler.transform(np.zeros((1, 2), dtype=int)).dtype == np.float64
    assert scaler.select([1]).inverse([0.0]).tolist() == [scaler.shift[1]]


def test_json_keeps_every_bit() -> None:
    scaler = Scaler.fit(np.random.default_rng(1).normal(size=(9, 3)))
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert again.shift.tolist() == scaler.shift.tolist()
    assert again.scale.tolist() == scaler.scale.tolist()
    assert again.kind == "standard"


def test_wrong_input_is_explained() -> None:
    with pytest.raises(InputError, match="no values"):
        Scaler.fit([])
    with pytest.raises(InputError, match="column 2"):
        Scaler.fit([[1.0, np.nan], [2.0, np.nan]])
    with pytest.raises(InputError, match="Column 1 holds an infinite value"):
        Scaler.fit([[np.inf, 1.0], [2.0, 1.0]])
    with pytest.raises(InputError, match="Did you mean 'minmax'"):
        Scaler.fit([1.0], "minmx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="fitted on 2 columns"):
        Scaler.fit([[1.0, 2.0]]).transform([1.0, 2.0, 3.0])


def test_values_far_from_zero_are_scaled_and_turned_back_without_rounding() -> None:
    wave = np.random.default_rng(0).normal(size=(200, 1))
    near, far = Scaler.fit(wave), Scaler.fit(wave + 1e9)
    np.testing.assert_allclose(far.transform(wave + 1e9), near.transform(wave), atol=1e-6)
    # Models count in float32; their numbers are turned back in float64.
    back = far.inverse(far.transform(wave + 1e9).astype(np.float32))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back - 1e9, wave, atol=1e-5)
