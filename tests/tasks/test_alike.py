"""Labels that differ only in how they are written are doubted, with counts and what to do."""

from __future__ import annotations

import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.alike import doubts
from elman.tasks.settings import settings_of


def made(labels, task="classify"):
    frame = pd.DataFrame(
        {"text": [f"so it is in {i} and {i * i}" for i in range(len(labels))], "label": labels}
    )
    kind = TASKS[task]
    return kind.from_data(frame, settings_of(kind, {}))


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("spam", "Spam"),
        ("very good", "very  good"),
        ("very good", "very\u00a0good"),
        ("café", "cafe\u0301"),
        ("spam", "ｓｐａｍ"),
        ("spam", "sp\u00adam"),
        ("straße", "STRASSE"),
    ],
)
def test_labels_that_are_alike_are_named_with_counts(usual, other):
    task = made(([usual] * 3 + ["no", other]) * 8)
    [doubt] = [d for d in task.understood().doubts if "how they are written" in d]
    assert "(24)" in doubt
    assert "(8)" in doubt
    assert "write them alike" in doubt
    assert repr(usual) in doubt or ascii(usual) in doubt


def test_blanks_around_a_label_are_taken_off():
    assert made(["a", "a ", " b", "b"] * 6).classes == ["a", "b"]


@pytest.mark.parametrize("labels", [["a", "b"], ["very good", "very bad"], ["1", "10"], ["é", "e"]])
def test_other_labels_are_not_doubted(labels):
    assert not doubts(dict.fromkeys(labels, 9), "classes", "")


def test_two_that_look_the_same_are_told_apart():
    assert r"'caf\xe9' (2) and 'cafe\u0301' (1)" in doubts({"café": 2, "cafe\u0301": 1}, "x", "")[0]


def test_a_new_class_that_is_written_otherwise_is_named():
    task = made(["spam", "ham"] * 12)
    new = pd.DataFrame({"text": ["so it is"], "label": ["Spam"]})
    with pytest.raises(InputError, match="Training has 'spam': write it so here"):
        task._read(new, answers=True)


def test_tags_that_are_alike_are_doubted():
    frame = pd.DataFrame(
        {
            "tokens": [["Ada", "ran"], ["Bo", "sat"]] * 12,
            "tags": [["B-PER", "O"], ["B-Per", "O"]] * 12,
        }
    )
    task = TASKS["tag"].from_data(frame, settings_of(TASKS["tag"], {}))
    [doubt] = [d for d in task.understood().doubts if "how they are written" in d]
    assert "'PER' (12) and 'Per' (12)" in doubt


def test_groups_that_are_alike_are_doubted():
    rows = [
        {"who": w, "x": float(i), "label": "ab"[k % 2]}
        for k, w in enumerate(("s1", "S1", "s2", "s3", "s4", "s5"))
        for i in range(4)
    ]
    kind = TASKS["classify"]
    task = kind.from_data(pd.DataFrame(rows), settings_of(kind, {"group": "who"}))
    assert "'S1' (1) and 's1' (1)" in " ".join(task.understood().doubts)
