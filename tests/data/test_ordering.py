"""Rows of a long table in the order of a column of words."""

from __future__ import annotations

import pytest

import elman.data
from elman.data import ordering
from elman.errors import InputError


def _ordered(cells: list[str]) -> list[str]:
    table = elman.data.read({"when": cells, "v": [0.5 + i for i in range(len(cells))]})
    return [cells[row] for row in ordering.order(table, "when")]


@pytest.mark.parametrize(
    "cells",
    [
        ["Day 1", "Day 2", "day 3", "Day 10", "Day 11"],
        ["Day -2", "Day -1", "Day 0", "Day 9", "Day 10"],
        ["0h", "1h", "1.5h", "9h", "10h", "11h"],
        ["w0", "w1", "w9", "w10", "w11"],
        ["visit-1 of 12", "visit-2 of 12", "visit-12 of 12"],
        ["2020 week 9", "2020 week 10", "2021 week 1"],
        ["January", "Feb.", "March", "April", "September", "October"],
        ["Januar", "Februar", "März", "Mai", "Oktober", "Dezember"],
    ],
)
def test_words_are_ordered_by_the_number_or_month_in_them(cells: list[str]) -> None:
    assert _ordered(cells[::-1]) == cells


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["Day 1", "baseline", "Day 2"], "'baseline' holds no number and is no month"),
        (["90 s", "2 min", "3 min"], "'2 min' is written in another way than '90 s'"),
        (["Q1 2020x", "Q2 2019x", "Q3 2020x"], "'Q1 2020x' holds several numbers"),
        (["low", "high", "low"], "'low' holds no number"),
        (["Day 1", "", "Day 2"], "is empty here"),
    ],
)
def test_words_without_an_order_are_refused(cells: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _ordered(cells)
