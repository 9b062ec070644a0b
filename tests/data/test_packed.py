"""Many arrays in a few long ones are the arrays that went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import packed
from elman.data.packed import Packed, lengths_of

SIZES = st.lists(st.integers(0, 5), max_size=12)


@settings(deadline=None, max_examples=60)
@given(SIZES, st.sampled_from([(), (2,)]), st.integers(1, 4))
def test_each_array_comes_back(sizes, more, together):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_IN_A_BLOCK", together)
        arrays = [np.full((n, *more), k, np.int32) for k, n in enumerate(sizes)]
        found = Packed.of(iter(arrays))
        assert len(found) == len(arrays)
        assert lengths_of(found).tolist() == sizes
        for way in (list(found), [found[k] for k in range(len(arrays))], found[:]):
            for one, known in zip(way, arrays, strict=True):
                assert one.dtype == known.dtype
                np.testing.assert_array_equal(one, known)
        if arrays:
            np.testing.assert_array_equal(found[-1], arrays[-1])
        with pytest.raises(IndexError):
            found[len(arrays)]


def test_arrays_of_unlike_shape_stay_a_list(monkeypatch):
    monkeypatch.setattr(packed, "_IN_A_BLOCK", 2)
    arrays = [np.zeros((1, 2)), np.zeros((3, 2)), np.zeros((1, 4)), np.zeros((2, 2))]
    found = Packed.of(iter(arrays))
    assert isinstance(found, list)
    assert [one.shape for one in found] == [(1, 2), (3, 2), (1, 4), (2, 2)]
    assert lengths_of(found).tolist() == [1, 3, 1, 2]
