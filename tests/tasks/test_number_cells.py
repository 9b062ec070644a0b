"""A column of lists of numbers is a series, however its cells are written; or it is doubted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def made(data, task="classify", **settings):
    return TASKS[task].from_data(data, settings_of(TASKS[task], settings))


def table(mark="|", n=30, form="{}"):
    rng = np.random.default_rng(0)
    cells = [form.format(mark.join(map(str, rng.integers(0, 9, 4 + i % 3)))) for i in range(n)]
    return pd.DataFrame({"signal": cells, "label": ["ab"[i % 2] for i in range(n)]})


@pytest.mark.parametrize("mark", ["|", ";", ",", " "])
def test_lists_of_numbers_are_a_series_and_it_is_said(mark, tmp_path):
    file = tmp_path / "lists.csv"
    table(mark).to_csv(file, index=False)
    task = made(file, test_fraction=0, valid_fraction=0)
    assert task.layout.modality == "series"
    first = task._parts["train"].inputs[0][:, 0].tolist()
    assert first == [float(x) for x in table(mark).signal[0].split(mark)]
    lines = dict(task.understood().lines)
    assert lines["lists"].startswith("blanks" if mark == " " else f"'{mark}'")
    assert ("modality=tokens" in lines["lists"]) == (mark == " ")
    # A later file is read in the same way.
    assert task._read(pd.DataFrame({"signal": ["7|8|9"]}), answers=False).inputs[0][1, 0] == 8


def test_one_broken_list_is_refused_with_its_row():
    data = table()
    data.loc[7, "signal"] = "1|2|oops"
    with pytest.raises(InputError, match=r"'1\|2\|oops' is not a list of numbers") as raised:
        made(data)
    assert (raised.value.row, raised.value.column) == (8, "signal")


def test_digits_that_are_read_as_text_are_doubted():
    _, doubts = (found := made(table("-")).understood()).lines, found.doubts
    assert any("nothing but digits and marks" in doubt for doubt in doubts)
    text = made(table(), modality="text")
    assert text.layout.modality == "text"
    assert not text.understood().doubts


def test_numbers_with_a_unit_that_are_read_as_text_are_doubted():
    data = table("; ")
    data["signal"] = [cell.replace(";", " kg;") + " kg" for cell in data["signal"]]
    assert any("with the unit 'kg'" in doubt for doubt in made(data).understood().doubts)


def test_one_list_of_another_length_is_doubted():
    data = table()
    data["signal"] = [f"{i}|2|3" for i in range(len(data))]
    assert not made(data).understood().doubts
    data.loc[7, "signal"] = "1|2"
    doubts = made(data).understood().doubts
    assert any("row 8, has 2" in doubt for doubt in doubts), doubts


def test_labels_of_numbers_are_no_series():
    data = pd.DataFrame(
        {
            "text": [f"some words {i}" for i in range(40)],
            "labels": [["1|2|3", "2|3", "1|3|4", "4|1"][i % 4] for i in range(40)],
        }
    )
    assert made(data, label_separator="|").classes == ["1", "2", "3", "4"]


def test_decimal_settles_what_a_comma_is(tmp_path):
    file = tmp_path / "lists.csv"
    rows = "".join(f"{i},5;1,{i};2,2|{'ab'[i % 2]}\n" for i in range(1, 10)) * 3
    file.write_text("signal|label\n" + rows)
    with pytest.raises(InputError, match="before decimals or between two values"):
        made(file)
    task = made(file, decimal=",", test_fraction=0, valid_fraction=0)
    assert task._parts["train"].inputs[0][:, 0].tolist() == [1.5, 1.1, 2.2]


@pytest.mark.parametrize("names", [("Unnamed: 0.1", "Unnamed: 0"), ("level_0", "index")])
@pytest.mark.parametrize("first", [0, 1])
def test_every_index_that_counts_the_rows_is_left_out(names, first):
    rng = np.random.default_rng(0)
    counted = np.arange(60) + first
    data = pd.DataFrame(dict.fromkeys(names, counted) | {"x1": rng.normal(size=60)})
    data["x2"], data["y"] = rng.normal(size=60), 2.5 * counted
    task = made(data, "regress", target="y")
    assert task.layout.inputs == ("x1", "x2")
    assert all(name in dict(task.understood().lines)["left out"] for name in names)


@pytest.mark.parametrize(
    "form",
    [
        "tensor([{}])",
        "tensor([{}], device='cuda:0', dtype=torch.float64)",
        "array([{}], dtype=float32)",
        "np.array([{}])",
        "tensor([{}], grad_fn=<AddBackward0>)",
    ],
)
def test_arrays_as_python_prints_them_are_series(form, tmp_path):
    file = tmp_path / "printed.csv"
    table(", ", form=form).to_csv(file, index=False)
    first = made(file, test_fraction=0, valid_fraction=0)._parts["train"].inputs[0][:, 0]
    assert first.tolist() == [float(x) for x in table(",").signal[0].split(",")]


def test_numbers_as_numpy_prints_them_in_a_list_are_a_series(tmp_path):
    file = tmp_path / "printed.csv"
    data = table(", ", form="[{}]")
    data["signal"] = data["signal"].str.replace(r"(\d)", r"np.float64(\1.0)", regex=True)
    data.to_csv(file, index=False)
    first = made(file, test_fraction=0, valid_fraction=0)._parts["train"].inputs[0][:, 0]
    assert first.tolist() == [float(x) for x in table(",").signal[0].split(",")]


@pytest.mark.parametrize("form", ["[{} ... {}]", "tensor([{},  ..., {}])"])
@pytest.mark.parametrize("modality", [None, "series"])
def test_lists_that_were_printed_without_their_middle_are_refused(form, modality, tmp_path):
    file = tmp_path / "printed.csv"
    mark = ", " if "tensor" in form else " "
    data = table(mark)
    data["signal"] = [form.format(cell, cell) for cell in data["signal"]]
    data.to_csv(file, index=False)
    with pytest.raises(InputError, match="numbers are missing, in 30 of 30 cells") as raised:
        made(file, modality=modality)
    assert (raised.value.row, raised.value.column) == (2, "signal")
