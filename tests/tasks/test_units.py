"""Numbers in another unit than in training are refused, not read as if they were in it."""

from __future__ import annotations

import numpy as np
import pytest

from elman.data import read
from elman.errors import InputError
from elman.tasks.reading.layout import Layout
from elman.tasks.regress import Regress
from elman.tasks.settings import settings_of


@pytest.fixture(scope="module", params=[None, ","])
def task(request, tmp_path_factory):
    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("units") / "train.csv"
    rows = [
        f"{rng.integers(100, 999)},5 €;{rng.integers(1, 99)},5 %;{rng.normal():.3f};{i / 7:.4f}"
        for i in range(40)
    ]
    text = "price;share;plain;y\n" + "\n".join(rows) + "\n"
    file.write_text(text if request.param is None else text.replace(".", ","))
    told = {"target": "y"} if request.param is None else {"target": "y", "decimal": ","}
    return Regress.from_data(file, settings_of(Regress, told))


def row_of(task, folder, price, share, plain="1"):
    file = folder / "new.csv"
    file.write_text(f"price;share;plain\n{price};{share};{plain}\n7,5;{share};2\n")
    return task._read(file, answers=False).inputs[0].ravel().tolist()


def test_the_signs_of_training_are_kept(task):
    assert task.layout.signs == {"price": "€", "share": "%"}
    assert Layout.from_json(task.layout.to_json()).signs == task.layout.signs


@pytest.mark.parametrize("price", ["300,5 €", "300,5 EUR", "300,5"])
def test_the_same_unit_is_read_however_it_is_written(task, tmp_path, price):
    assert row_of(task, tmp_path, price, "34,5 %") == [300.5, 34.5, 1.0]
    assert row_of(task, tmp_path, price, "34,5") == [300.5, 34.5, 1.0]


@pytest.mark.parametrize(
    ("price", "share", "plain", "column", "said"),
    [
        ("$300,5", "34,5 %", "1", "price", "have '\\$' beside them; in training they had '€'"),
        ("300,5 €", "0,345", "1", "share", "are fractions without a per cent sign"),
        ("300,5 €", "34,5 £", "1", "share", "have '£' beside them; in training they had '%'"),
        ("300,5 €", "34,5 %", "1 %", "plain", "have '%' beside them; in training they had no per"),
    ],
)
def test_another_unit_is_refused_with_row_and_column(
    task, tmp_path, price, share, plain, column, said
):
    file = tmp_path / "new.csv"
    file.write_text(f"price;share;plain\n{price};{share};{plain}\n{price};{share};{plain}\n")
    with pytest.raises(InputError, match=said) as raised:
        task._read(file, answers=False)
    assert (raised.value.row, raised.value.column) == (2, column)


def test_the_sign_of_a_column_is_known_of_its_table(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("a,b\n$5.5,1\n$6.5,2\n")
    assert read(file).how["a"]["sign"] == "$"
    assert "sign" not in read(file).how["b"]
