"""Where a column of numbers may be the label as well as the only one of words, Elman asks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks import TASKS
from elman.tasks.answers import Labels, Tags
from elman.tasks.reading import tables
from elman.tasks.reading.finding import find_layout
from elman.tasks.settings import settings_of

N = 60
_RNG = np.random.default_rng(0)
REAL = _RNG.normal(0, 1, N).round(3)
TWO = _RNG.integers(0, 2, N)
FIVE = _RNG.integers(1, 6, N)
MANY = _RNG.integers(18, 80, N)
TEXTS = [f"a {'fine' if i % 3 else 'poor'} film of {i} scenes" for i in range(N)]


def names(*some: str) -> list[str]:
    return [some[i % len(some)] for i in range(N)]


def layout_of(data: dict, answer=Labels, **told):
    return find_layout(tables.read(pd.DataFrame(data)), answer, list(MODALITIES), **told)


@pytest.mark.parametrize(
    ("columns", "word", "number"),
    [
        ({"sex": names("M", "F"), "age": MANY, "bp": MANY + 50, "disease": TWO}, "sex", "disease"),
        ({"region": names("N", "S"), "m1": MANY, "m2": MANY, "late": TWO}, "region", "late"),
        ({"churned": TWO, "plan": names("A", "B"), "x": REAL, "z": REAL}, "plan", "churned"),
        ({"text": TEXTS, "source": names("app", "web"), "stars": FIVE}, "source", "stars"),
        ({"review": TEXTS, "lang": names("en", "de"), "helpful": TWO}, "lang", "helpful"),
    ],
)
@pytest.mark.parametrize("answer", [Labels, Tags])
def test_numbers_of_few_values_may_be_the_label(columns, word, number, answer):
    with pytest.raises(InputError, match=rf"the (label|tag): '{word}' .* or '{number}'") as raised:
        layout_of(columns, answer)
    assert f"target={number}" in str(raised.value)
    assert f"target={word}" in str(raised.value)
    assert "group=" not in str(raised.value)


@pytest.mark.parametrize("owner", ["customer", "device", "machine", "sensor_id"])
def test_names_of_owners_may_be_the_group(owner):
    columns = {owner: names("K1", "K2", "K3"), "hour": MANY, "power": REAL, "alarm": TWO}
    columns[owner] = sorted(columns[owner])
    with pytest.raises(InputError, match=f"group={owner}") as raised:
        layout_of(columns)
    assert f"together={owner}" in str(raised.value)
    assert layout_of(columns, target="alarm", group=owner).target == "alarm"


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ({"text": TEXTS, "label": names("a", "b")}, "label"),
        ({"x1": REAL, "x2": REAL, "species": names("a", "b", "c")}, "species"),
        ({"x1": REAL, "x2": REAL, "kind": names("a", "b", "c")}, "kind"),
        ({"kind": names("a", "b", "c"), "x1": REAL, "x2": MANY}, "kind"),
        ({"smoker": TWO, "age": MANY, "verdict": names("a", "b")}, "verdict"),
        ({"text": TEXTS, "sentiment": names("a", "b"), "stars": FIVE}, "sentiment"),
        ({"text": TEXTS, "verdict": names("a", "b"), "year": 2019 + FIVE}, "verdict"),
        ({"text": TEXTS, "verdict": names("a", "b"), "n_lines": FIVE}, "verdict"),
        ({"party": names("a", "b"), "v1": TWO, "v2": 1 - TWO, "v3": TWO}, "party"),
        ({"text": TEXTS, "source": names("a", "b"), "class": TWO}, "class"),
    ],
)
def test_ordinary_tables_are_read_as_before(columns, target):
    assert layout_of(columns).target == target


def test_a_column_of_names_may_be_left_out():
    columns = {"sex": names("M", "F"), "age": MANY, "bp": MANY + 50, "disease": TWO}
    with pytest.raises(InputError, match=r"To leave it out, .* columns=\[age,bp\]"):
        layout_of(columns, target="disease")
    found = layout_of(columns, target="disease", columns=["age", "bp"])
    assert (found.inputs, found.form) == (("age", "bp"), "row")


def blocks(**more) -> dict:
    return {**more, "x": REAL, "z": REAL[::-1], "label": np.repeat(["a", "b", "a", "b"], N // 4)}


@pytest.mark.parametrize("clock", [np.arange(N) * 0.02, np.cumsum(0.5 + TWO)])
def test_the_clock_of_one_recording_is_no_channel(clock):
    with pytest.raises(
        InputError, match=r"'time' rises in .* train tag .* time=time.*columns=\[x,z\]"
    ):
        layout_of(blocks(time=clock))
    assert layout_of(blocks(time=clock), columns=["x", "z"]).inputs == ("x", "z")
    steps = layout_of(blocks(time=clock), Tags, aligned=True, time="time")
    assert (steps.time, steps.inputs) == ("time", ("x", "z"))


def test_a_column_that_rises_with_the_class_is_no_clock():
    rises = np.sort(REAL) + np.arange(N) / 1000
    assert layout_of(blocks(width=rises)).inputs == ("width", "x", "z")
    mixed = blocks(time=np.arange(N) * 0.02) | {"label": names("a", "b")}
    assert "time" in layout_of(mixed).inputs


def test_rows_of_one_recording_with_dates_are_doubted():
    def doubts(table):
        made = TASKS["classify"].from_data(pd.DataFrame(table), settings_of(TASKS["classify"], {}))
        return " ".join(made.understood().doubts)

    days = pd.date_range("2024-01-01", periods=N, freq="D")
    assert "'day' rises in each" in doubts(blocks(day=days))
    assert "rises in each" not in doubts(blocks(day=days) | {"label": names("a", "b")})
