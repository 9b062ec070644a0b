"""A last row of totals is no example, and the answer under another name is no input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def made(data, task="regress", **settings):
    return TASKS[task].from_data(data, settings_of(TASKS[task], settings))


def sales(n=24):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customers": rng.integers(20, 60, n),
            "staff": rng.integers(3, 7, n),
            "sales": rng.integers(100, 900, n),
        }
    )


def with_row(data, row):
    return pd.concat([data, pd.DataFrame([row])], ignore_index=True)


@pytest.mark.parametrize("name", ["Total", "Sum", "Summe", "Grand total", "TOTAL:", "Gesamt", ""])
def test_a_last_row_of_totals_is_refused(name):
    data = sales().assign(store=[f"shop {'NSWO'[i % 4]}{i}" for i in range(24)])
    total = {**sales().sum().to_dict(), "store": name}
    with pytest.raises(InputError, match=r"total of the others .* Take the row out") as raised:
        made(with_row(data, total), target="sales", text="store")
    assert raised.value.row == 25


@pytest.mark.parametrize("what", ["sum", "mean"])
def test_sums_and_means_are_refused_under_each_other(what):
    data = sales().assign(store=[f"shop {i}" for i in range(24)])
    data = with_row(data, {**getattr(sales(), what)().to_dict(), "store": what})
    data = with_row(data, {**sales().max().to_dict(), "store": "highest"})
    with pytest.raises(InputError, match="total of the others") as raised:
        made(data, target="sales", text="store")
    assert raised.value.row == 25


def test_sums_without_a_name_are_refused():
    with pytest.raises(InputError, match="total of the others") as raised:
        made(with_row(sales(), sales().sum().to_dict()), target="sales")
    assert raised.value.row == 25


def test_a_last_row_like_the_others_is_an_example():
    assert len(made(sales(), target="sales", test_fraction=0)._parts["train"]) == 24
    named = sales().assign(store=[f"shop {i}" for i in range(23)] + ["Total"])
    assert made(named, target="sales", text="store").layout.target == "sales"


@pytest.mark.parametrize("name", ["label_id", "LabelNum", "label name", "target"])
def test_the_answer_under_another_name_is_left_out(name):
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 60)
    data = pd.DataFrame(
        {
            "a": rng.normal(size=60),
            "b": rng.normal(size=60),
            name: which if name != "label name" else [f"kind {k}" for k in which],
            "label": [["pos", "neg", "neu"][k] for k in which],
        }
    )
    task = made(data, "classify", target="label")
    assert task.layout.inputs == ("a", "b")
    assert task.layout.left_out[name] == "it says what 'label' says"
    kept = made(data, "classify", target="label", columns=["a", "b"])
    assert kept.layout.inputs == ("a", "b")


def test_a_column_that_does_not_tell_the_answer_stays():
    data = pd.DataFrame({"a": range(40), "class_size": [i % 4 for i in range(40)]})
    data["b"], data["class"] = [i % 7 for i in range(40)], ["xy"[i % 2] for i in range(40)]
    assert "class_size" in made(data, "classify").layout.inputs
