"""A name that is made of digits keeps its text, and a number stays a number."""

from __future__ import annotations

from collections import Counter

import numpy as np

from elman.data import read
from elman.data.transcripts import rows_of
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def put(folder, text, name="a.csv"):
    (folder / name).write_text(text)
    return folder / name


def labelled(folder, names, count=120, name="a.csv"):
    rows = [f"word{i % 7} thing {i},{names[i % len(names)]}" for i in range(count)]
    return put(folder, "\n".join(["text,label", *rows]) + "\n", name)


def test_labels_that_differ_as_text_are_different_classes(tmp_path):
    found = read(labelled(tmp_path, ["1.1", "1.10", "1.2", "2.0"]))
    assert found.kinds["label"] == "number"
    assert Counter(found.labels("label")) == {"1.1": 30, "1.10": 30, "1.2": 30, "2": 30}
    # A part of the rows is named as the whole is.
    assert found.take([1, 5]).labels("label") == ["1.10", "1.10"]
    made = TASKS["classify"].from_data(tmp_path / "a.csv", settings_of(TASKS["classify"], {}))
    assert dict(made.understood().lines)["classes"].startswith("4 classes: ")


def test_zeros_exponents_and_long_numbers_are_names(tmp_path):
    names = ["01.1", "01.10", "10E4", "1E5", "12345678901234567890", "12345678901234567891"]
    found = read(labelled(tmp_path, names))
    assert Counter(found.labels("label")) == dict.fromkeys(names, 20)


def test_a_later_file_with_one_of_the_names_keeps_it(tmp_path):
    assert set(read(labelled(tmp_path, ["1.10"])).labels("label")) == {"1.10"}


def test_whole_numbers_lose_their_point_and_decimal_commas_stay(tmp_path):
    assert set(read(labelled(tmp_path, ["1.0", "2.0"])).labels("label")) == {"1", "2"}
    comma = read(put(tmp_path, "a;b\n1,10;x\n1,1;y\n2,5;z\nNA;z\n"))
    assert comma.kinds["a"] == "number"
    assert comma.take([0, 1, 2]).labels("a") == ["1,10", "1,1", "2,5"]
    np.testing.assert_array_equal(comma.numbers("a", allow_missing=True), [1.1, 1.1, 2.5, np.nan])


def test_a_target_of_regression_stays_a_number(tmp_path):
    path = labelled(tmp_path, ["1.1", "1.10", "1.2", "2.0"])
    made = TASKS["regress"].from_data(path, settings_of(TASKS["regress"], {"target": "label"}))
    answers = [answer for part in made._parts.values() for answer in part.answers]
    assert {float(np.asarray(answer).item()) for answer in answers} == {1.1, 1.2, 2.0}


def test_series_are_told_apart_by_the_text_of_their_names(tmp_path):
    rows = [
        f"2024-{1 + i // 28:02}-{1 + i % 28:02},{sku},{10 * k + i % 7}"
        for i in range(90)
        for k, sku in enumerate(("1.1", "1.10", "1.2"))
    ]
    path = put(tmp_path, "\n".join(["date,sku,qty", *rows]) + "\n")
    task = TASKS["forecast"]
    made = task.from_data(path, settings_of(task, {"group": "sku"}))
    assert "3 series" in str(made.understood())


def test_conversations_are_told_apart_by_all_their_digits(tmp_path):
    calls = ["123456789012345678901", "123456789012345678902"]
    rows = [f"{call},{k},say {k} of it" for call in calls for k in range(3)]
    table = read(put(tmp_path, "\n".join(["call_id,turn,text", *rows]) + "\n"))
    assert table.kinds["call_id"] == "number"
    assert rows_of(table, "call_id", "turn") == {calls[0]: [0, 1, 2], calls[1]: [3, 4, 5]}


def test_names_that_stand_in_the_first_row_only_keep_their_text(tmp_path):
    rows = [
        f"{name if k == 0 else ''},{word},{tag}"
        for name in ("1.1", "1.10", "1.2", "1.20")
        for k, (word, tag) in enumerate((("Ada", "B-PER"), ("went", "O"), ("home", "O")))
    ]
    path = put(tmp_path, "\n".join(["sentence,word,tag", *rows]) + "\n")
    made = TASKS["tag"].from_data(path, settings_of(TASKS["tag"], {"group": "sentence"}))
    assert sum(len(part.inputs) for part in made._parts.values()) == 4


def test_a_list_of_recordings_keeps_the_text_of_labels(tmp_path):
    for i in range(8):
        put(tmp_path, "x,y\n" + "".join(f"{i + k},{k * k}\n" for k in range(5)), f"r{i}.csv")
    rows = [f"r{i}.csv,{('1.1', '1.10')[i % 2]}" for i in range(8)]
    path = put(tmp_path, "\n".join(["file,label", *rows]) + "\n", "labels.csv")
    task = TASKS["classify"]
    made = task.from_data(path, settings_of(task, {}))
    assert {label for part in made._parts.values() for label in part.answers} == {"1.1", "1.10"}
