"""Numbers as they are written: one reading of a column, or a question."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import kinds, numerals, read
from elman.data.kinds import MISSING
from elman.data.readings import Unfit


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "2", "3,25"], [1.5, 2, 3.25]),
        (["1.234,50", "12,5"], [1234.5, 12.5]),
        (["1,234.50", "999"], [1234.5, 999]),
        (["1,234,567", "1,234"], [1234567, 1234]),
        (["0,123", "1,234"], [0.123, 1.234]),
        (["$5", "$1,234.50", "(3)"], [5, 1234.5, -3]),
        (["12 %", "3%"], [12, 3]),
        (["€5", "7", "1 234"], [5, 7, 1234]),
        (["1'234.50", "3"], [1234.5, 3]),
        (["1,23,456", "12,34,567.5", "1,234"], [123456, 1234567.5, 1234]),
        (["−5", "3,1"], [-5, 3.1]),
        (["-$3.50", "$-4"], [-3.5, -4]),
        (["279,08-", "1.300,50", "12,5-"], [-279.08, 1300.5, -12.5]),
        (["1,5e3", "2,5"], [1500, 2.5]),
        (["1,5", "NA", ""], [1.5, np.nan, np.nan]),
    ],
)
def test_written_numbers_are_read(cells: list[str], values: list[float]) -> None:
    found = numerals.read(pd.Series(cells), MISSING)
    assert found is not None
    assert found.values is not None
    assert not len(found.wrong)
    np.testing.assert_array_equal(found.values, values)


def test_a_mark_that_could_be_either_is_asked_for() -> None:
    found = numerals.read(pd.Series(["1,234", "2,345"]), MISSING)
    assert found is not None
    assert found.values is None
    for mark, value in ((",", 1.234), (".", 1234.0)):
        told = numerals.read(pd.Series(["1,234", "2,345"]), MISSING, mark)  # type: ignore[arg-type]
        assert told is not None
        assert told.values is not None
        assert told.values[0] == value


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (["3", "n.a.", "4"], [1]),
        (["2.5", "4", "5,5"], [2]),
        (["12 %", "3 %", "4 %", "5"], [3]),
        (["€5", "$6", "€7"], [1]),
        (["1", "2", "1,2,3"], [2]),
        (["1", "2", "-3-"], [2]),
        (["1", "2", "3-4"], [2]),
    ],
)
def test_cells_that_do_not_belong_are_named(cells: list[str], wrong: list[int]) -> None:
    found = numerals.read(pd.Series(cells), MISSING)
    assert found is not None
    assert found.wrong.tolist() == wrong


def test_remarks_beside_a_few_numbers_that_repeat_are_named() -> None:
    values = ["4.5", "5.5", "6.5"] * 10
    found = numerals.read(pd.Series([*values, "4.5 p", "5.5 e", "6.5 x", "7.5 p"]), MISSING)
    assert found is not None
    assert found.wrong.tolist() == [30, 31, 32, 33]
    # Two codes beside names are names too.
    assert numerals.read(pd.Series(["1", "2"] * 10 + ["Easter", "Whitsun"]), MISSING) is None


@pytest.mark.parametrize(
    ("cell", "words"),
    [("(5)", "brackets as a minus sign"), ("−3", "'−' as a minus sign")],
)
def test_a_minus_among_plain_numbers_that_repeat_makes_no_classes(
    tmp_path: Path, cell: str, words: str
) -> None:
    rows = [*(f"{n % 7}" for n in range(60)), cell]
    (tmp_path / "data.csv").write_text("y,z\n" + "".join(f"{one},1\n" for one in rows))
    table = read(tmp_path / "data.csv")
    assert table.kinds["y"] == "number"
    assert table.frame["y"].iloc[-1] == -float(cell.strip("(−)"))
    found = numerals.read(pd.Series(rows), MISSING)
    assert found is not None
    assert found.words == words


@pytest.mark.parametrize("cells", [["01", "02"], ["a", "1"], ["1 2 3", "4 5"], ["1,2,3", "4,5,6"]])
def test_names_and_lists_are_no_numbers(cells: list[str]) -> None:
    assert numerals.read(pd.Series(cells), MISSING) is None


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.integers(-(10**9), 10**9).map(lambda n: n / 100), min_size=3, max_size=20, unique=True
    ),
    european=st.booleans(),
)
def test_numbers_with_marks_come_back(values: list[float], european: bool) -> None:
    cells = [f"{value:,.2f}" for value in values]
    if european:
        cells = [cell.translate(str.maketrans(",.", ".,")) for cell in cells]
    found = numerals.read(pd.Series(cells), MISSING)
    assert found is not None
    assert found.values is not None
    assert found.values.tolist() == values


def test_columns_are_numbers_unless_they_repeat_like_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b;c;d\n1,5;10 %;$1.50;7\n2,5;20 %;$2.50;x\n3,5;10 %;$3;7\n4;20 %;$4;x\n")
    table = read(path)
    assert table.kinds == {"a": "number", "b": "category", "c": "number", "d": "category"}
    assert table.numbers("a").tolist() == [1.5, 2.5, 3.5, 4]
    # Asked for as numbers, shares are read too.
    assert table.numbers("b").tolist() == [10, 20, 10, 20]
    assert table.how["a"] == {"words": "a comma before decimals", "decimal": ","}


@pytest.mark.parametrize("bad", ["n.a.", "abc", "31.2.2021"])
@pytest.mark.parametrize("good", ["1.150,20 €", "20,0 %", "4,9"])
def test_the_cell_that_is_no_number_is_named(good: str, bad: str) -> None:
    with pytest.raises(Unfit, match=f"^'{re.escape(bad)}' is not a number") as raised:
        kinds.to_number(pd.Series([good, bad]))
    assert raised.value.place == 1


def test_numbers_that_are_not_written_alike_are_said_to_be_so() -> None:
    with pytest.raises(Unfit, match="not written alike"):
        kinds.to_number(pd.Series(["20,0 %", "40,0"]))
