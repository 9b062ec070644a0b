"""Numbers with a zero before them, of another script, or with a unit: read and said, or doubted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.data import kinds, read
from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def made(tmp_path, column, task="classify", n=60, **settings):
    """Read a table with `column(i)` beside a number and a label; return it and its doubts."""
    path = tmp_path / "a.csv"
    rows = [f"{column(i)},{i % 2 + i / 100},{'pn'[i % 2]}" for i in range(n)]
    path.write_text("\n".join(["a,x,label", *rows]) + "\n", encoding="utf-8")
    kind = TASKS[task]
    found = kind.from_data(path, settings_of(kind, settings))
    return found, " ".join(found.understood().doubts)


@pytest.mark.parametrize(
    ("column", "first"),
    [
        (lambda i: f"{i % 24:02d}", "'00' in row 2"),
        (lambda i: "03" if i == 4 else str(i % 9), "'03' in row 6"),
    ],
)
def test_a_zero_before_a_digit_makes_no_name(column, first, tmp_path):
    task, doubts = made(tmp_path, column)
    assert task.layout.inputs == ("a", "x")
    assert f"column 'a' is read as numbers ({first})" in doubts


def test_postcodes_are_no_numbers(tmp_path):
    with pytest.raises(InputError, match="'a' holds names that repeat"):
        made(tmp_path, lambda i: ("01067", "04109", "20095")[i % 3])
    task, doubts = made(tmp_path, lambda i: ("01067", "04109", "20095")[i % 3], columns=["x"])
    assert doubts == ""
    assert task.layout.inputs == ("x",)


def test_ids_keep_their_zeros(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,label\n01,a\n02,b\n")
    assert read(path).frame["id"].tolist() == ["01", "02"]


@pytest.mark.parametrize("every", [True, False])
def test_full_width_digits_are_numbers(every, tmp_path):
    def wide(i):
        text = str(i * 7 % 50)
        return text.translate({48 + d: 0xFF10 + d for d in range(10)}) if every or i == 7 else text

    task, _ = made(tmp_path, wide)
    assert task.layout.inputs == ("a", "x")
    cells = np.concatenate([part.inputs for part in task._parts.values()])
    assert sorted(cells[:, 0, 0]) == sorted(i * 7 % 50 for i in range(60))


@pytest.mark.parametrize(
    ("column", "first"),
    [
        (lambda i: f"{i}.04{'KM'[i % 2]}", "'0.04K' in row 2"),
        (lambda i: f"{i / 10} kg", "'0.0 kg' in row 2"),
        (lambda i: f"{i / 10}*", "'0.0*' in row 2"),
        (lambda i: f"{i}°C", "'0°C' in row 2"),
    ],
)
def test_numbers_with_a_unit_are_doubted_with_their_row(column, first, tmp_path):
    _, doubts = made(tmp_path, column)
    assert f"column 'a' is read as text, for its numbers have something behind them ({first})" in (
        doubts
    )
    _, doubts = made(tmp_path, column, columns=["x"])
    assert f"column 'a' is left out, for its numbers have something behind them ({first})" in doubts


@pytest.mark.parametrize("name", ["A{}", "so {} it is", "{}ab{}", "2024-{}"])
def test_names_with_a_number_are_not_doubted(name, tmp_path):
    _, doubts = made(tmp_path, lambda i: name.format(i, i), columns=["x"])
    assert "something behind" not in doubts


def test_many_per_cent_are_numbers_and_few_are_classes():
    many = kinds.infer(pd.Series([f"{i % 30} %" for i in range(90)]))
    few = kinds.infer(pd.Series([f"{i % 3}0 %" for i in range(90)]))
    assert (many[1], few[1]) == ("number", "category")
    assert many[0].iloc[7] == 7


def test_a_zero_before_a_digit_is_said_where_a_column_is_read_as_numbers():
    found = kinds.written(pd.Series(["03", "4", "5"]))
    assert found.cells.tolist() == [3, 4, 5]
    assert found.words == "a zero before a digit left off"
    assert kinds.written(pd.Series(["01067", "04109"])) is None
