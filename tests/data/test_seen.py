"""Hashes tell what was seen, through JSON, and of many values by a share of them."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elman.data import seen
from elman.data.seen import Seen, hashes_of

TEXTS = st.lists(st.text("aAß \n", max_size=4), max_size=30)


@given(TEXTS, TEXTS)
def test_what_was_seen_is_counted(learnt, asked):
    again = Seen.from_json(json.loads(json.dumps(Seen.of(hashes_of(learnt)).to_json())))
    known = {" ".join(text.casefold().split()) for text in learnt}
    assert again.shared(hashes_of(asked)) == sum(
        " ".join(t.casefold().split()) in known for t in asked
    )


def test_arrays_are_told_apart_by_shape_and_values():
    found = Seen.of(hashes_of([np.zeros((2, 3)), np.ones(4)]))
    asked = hashes_of([np.zeros((3, 2)), np.zeros((2, 3)), np.ones(4), np.ones(5)])
    assert found.shared(asked) == 2


def test_of_many_a_share_is_kept_and_estimated(monkeypatch):
    monkeypatch.setattr(seen, "_MOST", 256)
    found = Seen.of(hashes_of(range(20_000)))
    assert len(found.hashes) <= 256
    asked = hashes_of([*range(10_000), *range(50_000, 60_000)])
    assert abs(found.shared(asked) - 10_000) < 2500
    assert found.shared(hashes_of(range(100_000, 120_000))) == 0
