"""Lists of numbers in a cell, in every way that people write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import data
from elman.data.kinds import to_series
from elman.data.number_lists import Writing, writing_of
from elman.data.readings import Unfit
from elman.errors import InputError

NUMBERS = [[1.5, -2.25, 3.0], [4.0, 0.5, 6.75, 8.0]]


def read(cells, decimal=None):
    return [array[:, 0].tolist() for array in to_series(pd.Series(cells), decimal)]


@pytest.mark.parametrize("mark", ["|", ";", ",", ", ", " ", "  ", "\t", " | ", "/", ":", "_", "; "])
def test_numbers_are_kept_apart_by_any_usual_mark(mark):
    cells = [mark.join(map(str, numbers)) for numbers in NUMBERS]
    assert writing_of(cells) is not None
    assert read(cells) == NUMBERS


@pytest.mark.parametrize("form", ["({})", "[{}]", "{{{}}}", "<{}>", "array([{}])", " {} "])
@pytest.mark.parametrize("mark", [", ", " ", ";"])
def test_brackets_around_a_list_are_no_part_of_it(form, mark):
    cells = [form.format(mark.join(map(str, numbers))) for numbers in NUMBERS]
    assert read(cells) == NUMBERS


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["|", ";", ",", " ", ", ", "\t"]),
)
def test_what_is_written_is_read(numbers, mark):
    cells = [mark.join(map(repr, row)) for row in numbers]
    assert read(cells) == numbers


@pytest.mark.parametrize("mark", ["|", ";", " ", " | ", "; "])
def test_a_comma_before_decimals_is_known_by_what_stands_beside_it(mark):
    cells = [
        mark.join(str(x).replace(".", ",") for x in row) for row in [[0.5, 12, 1.05], [3, 4.5]]
    ]
    assert read(cells) == [[0.5, 12.0, 1.05], [3.0, 4.5]]
    assert "comma before decimals" in writing_of(cells, 2).words


def test_a_comma_that_may_be_two_things_is_asked_for():
    cells = ["1,5;2,5;3,5", "4,5;2,5"]
    with pytest.raises(Unfit, match="'1,5;2,5;3,5' may stand before decimals or between two"):
        read(cells)
    assert read(cells, ",") == [[1.5, 2.5, 3.5], [4.5, 2.5]]
    pairs = to_series(pd.Series(cells), ".")
    assert pairs[0].tolist() == [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]


@pytest.mark.parametrize(
    "cells", [["1 2;3 4;5 6"], ["1.5,2|3,4|5,6"], ["1 2, 3 4, 5 6"], ["1,2,3;4,5,6"]]
)
def test_two_marks_make_steps_of_several_values(cells):
    (array,) = to_series(pd.Series(cells))
    flat = [
        float(x) for x in cells[0].replace(";", " ").replace("|", " ").replace(",", " ").split()
    ]
    assert array.shape[1] > 1
    assert array.ravel().tolist() == flat


def test_a_missing_number_stays_missing():
    (array,) = to_series(pd.Series(["1||NaN|4|"]))
    assert np.isnan(array[:, 0]).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    "cells",
    [
        ["030 1234 555", "089 4321 111"],
        ["10.0.0.1", "10.0.0.2"],
        ["2024-01-02", "2024-01-03"],
        ["12", "13"],
        ["3 little pigs and 4 more", "1 2 3 go"],
        ["1|2|3", "1;2;3", "1/2/3"],
        ["52.5, 13.4", "48.1, 11.6"],
    ],
)
def test_other_cells_with_digits_are_no_lists(cells):
    assert writing_of(cells) is None


def test_one_writing_holds_for_all_cells_of_a_column():
    assert writing_of(["1|2|3"] * 9 + ["1|x|3"]) == Writing("|")
    with pytest.raises(Unfit, match=r"'1\|x\|3' is not a list of numbers") as raised:
        read(["1|2|3"] * 9 + ["1|x|3"])
    assert raised.value.place == 9


def test_a_list_that_numpy_has_cut_is_refused():
    with pytest.raises(Unfit, match="NumPy left out the middle"):
        read(["[1. 2. 3.]"] * 4 + ["[1. 2. 3. ... 7. 8. 9.]"])


def test_lists_as_numpy_prints_them_are_series_of_a_file(tmp_path):
    file = tmp_path / "printed.csv"
    pd.DataFrame({"x": ["[1.  2.5]", "[3.\n 4. 5.]"], "y": [1, 2]}).to_csv(file, index=False)
    table = data.read(file)
    assert table.kinds["x"] == "series"
    assert [cell[:, 0].tolist() for cell in table.series("x")] == [[1.0, 2.5], [3.0, 4.0, 5.0]]


def test_the_mark_before_decimals_of_the_file_holds_for_its_lists(tmp_path):
    file = tmp_path / "comma.csv"
    file.write_text("x;y\n1,5|2,5|3,5;0,5\n4,5|2,5|1,5;1,5\n")
    assert data.read(file).series("x")[1][:, 0].tolist() == [4.5, 2.5, 1.5]
    file.write_text("x;y\n1,5|2,5|3,5;a\n4,5|2,5|1,5;b\n")
    with pytest.raises(InputError, match=r"row 2, column 'x'.*may stand before decimals"):
        data.read(file).series("x")
