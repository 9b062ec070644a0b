"""Several labels in one cell, however they are written: read, refused with the row, or doubted."""

from __future__ import annotations

import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.classify.task import Classify
from elman.tasks.classify.written_sets import separator_in, written_lists
from elman.tasks.settings import settings_of


def made(cells, column="labels", **told):
    rows = [cells[i % len(cells)] for i in range(40)]
    data = pd.DataFrame({"text": [f"some words here {i}" for i in range(40)], column: rows})
    return Classify.from_data(data, settings_of(Classify, told))


@pytest.mark.parametrize(
    "cells",
    [
        ["{'late'}", "{'late', 'rude'}", "{'rude'}"],
        ["['late']", "['rude' 'late']", "['rude']"],
        ["['late']", '["rude", "late"]', "{'rude'}"],
        ["[late]", "[late rude]", "[rude]"],
        ["[late]", "[late, rude]", "[rude]"],
        ["{late}", "{late;rude}", "{rude}"],
        ["(late)", "(late, rude)", "(rude)"],
        ["('late',)", "('late', 'rude')", "('rude')"],
        ["frozenset({'late'})", "frozenset({'late', 'rude'})", "{'rude'}"],
    ],
)
def test_lists_in_any_brackets_are_sets_of_labels(cells):
    task = made(cells, test_fraction=0, valid_fraction=0)
    assert task.classes == ["late", "rude"]
    assert task._parts["train"].answers[:3] == [("late",), ("late", "rude"), ("rude",)]


@pytest.mark.parametrize("cell", ["['late', 'ru", "late", "late, rude"])
def test_what_is_no_list_among_lists_is_refused_with_its_row(cell):
    cells = ["['late']", "['late', 'rude']", "['rude']"] * 3 + [cell]
    with pytest.raises(InputError, match=r"is no list of labels, as .* in row 1 is") as raised:
        made(cells)
    assert (raised.value.row, raised.value.column) == (10, "labels")


@pytest.mark.parametrize("mark", [", ", "|", ";", " / ", "+"])
def test_labels_with_a_mark_between_them_are_doubted(mark):
    task = made(["late", f"late{mark}rude", "rude"])
    assert sorted(task.classes) == sorted(["late", f"late{mark}rude", "rude"])
    (doubt,) = [d for d in task.understood().doubts if "several labels" in d]
    assert "set label_separator=" in doubt
    parted = made(["late", f"late{mark}rude", "rude"], label_separator=mark.strip())
    assert parted.classes == ["late", "rude"]


def test_marks_within_names_are_no_separators():
    assert separator_in(["pos", "neg", "pos#neg"]) == ("#", "pos#neg")  # as doccano writes them
    assert separator_in(["Rome, Italy", "Oslo, Norway", "Boston, USA"]) is None
    assert separator_in(["science & art", "sport", "R&D"]) is None
    assert written_lists(["[spam]", "ham", "ham", "ham"]) is None
    assert written_lists(["(none)", "(some)", "(all)"]) is None
    assert written_lists(['{"a": 1}', '{"b": 2}']) is None


@pytest.mark.parametrize("name", ["N/A", "?", "unknown", "None"])
def test_a_class_that_says_there_is_none_is_doubted(name):
    task = made(["pos", "neg", "pos", "neg", name], "label")
    doubts = [doubt for doubt in task.understood().doubts if "learnt as a class" in doubt]
    assert doubts
    assert f"set outside={name!r}" in doubts[0] or f"set outside={name}" in doubts[0]
    assert not made(["pos", "neg"], "label").understood().doubts
