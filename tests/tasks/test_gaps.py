"""Inputs that hold nothing have no answer, and it is said how many there are and where."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from elman.errors import InputError, PredictionWarning
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

WORDS = ("great", "lovely", "superb", "awful", "boring", "dire")


def made(task: str, data, **settings):
    torch.manual_seed(0)
    small = {"hidden_size": 4, "valid_fraction": 0, **settings}
    kind = TASKS[task]
    found = kind.from_data(data, settings_of(kind, small))
    return found, found.build()


def predicted(task, model, data):
    """The predictions, and what was said of them."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = task.predict(model, data)
    return table, [str(one.message) for one in told if one.category is PredictionWarning]


def reviews(n: int = 24) -> pd.DataFrame:
    texts = [f"the film {i} was {WORDS[i % 6]} in part" for i in range(n)]
    return pd.DataFrame({"text": texts, "label": ["pos" if i % 6 < 3 else "neg" for i in range(n)]})


@pytest.fixture(scope="module")
def texts():
    return made("classify", reviews())


@pytest.mark.parametrize("blank", ["", "  ", " \t ", "\u200b"])
def test_a_blank_text_has_no_class(texts, blank, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(f'text\na great film\n"{blank}"\ndire\n"{blank}"\n')
    table, told = predicted(*texts, path)
    assert table["row"].tolist() == [2, 3, 4, 5]
    assert table["prediction"].isna().tolist() == [False, True, False, True]
    assert table["probability"].isna().tolist() == [False, True, False, True]
    assert table["p_neg"].isna().tolist() == [False, True, False, True]
    assert told == [
        f"2 of 4 inputs are empty (the first: {path}, row 3); their answers are left empty."
    ]


def test_the_others_are_answered_as_without_it(texts):
    task, model = texts
    whole, _ = predicted(task, model, ["a great film", "", "dire"])
    alone, told = predicted(task, model, ["a great film", "dire"])
    assert not told
    np.testing.assert_allclose(whole["p_pos"].iloc[[0, 2]], alone["p_pos"], rtol=1e-5)
    assert whole["prediction"].tolist() == [alone["prediction"][0], None, alone["prediction"][1]]


def test_a_missing_cell_in_memory(texts):
    table, told = predicted(*texts, pd.DataFrame({"text": ["good", None, "bad"]}))
    assert table["prediction"].isna().tolist() == [False, True, False]
    assert told == [
        "1 of 3 inputs is empty (row 2); its answer is left empty.",
        "2 of 2 words here are unknown to the model: what it says of them means little.",
    ]


def test_nothing_at_all_is_refused(texts):
    with pytest.raises(InputError, match=r"All 2 inputs are empty\. Give something"):
        texts[0].predict(texts[1], ["", " "])


@pytest.mark.parametrize("modality", ["series", "number"])
def test_a_row_of_blanks_has_no_answer(modality, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, 3)), columns=["a", "b", "c"])
    frame["y"] = frame["a"] * 2
    task, model = made("regress", frame, modality=modality, target="y")
    path = tmp_path / "new.csv"
    path.write_text("a,b,c\n1,2,3\n,,\n4,5,6\n")
    table, told = predicted(task, model, path)
    assert table["prediction"].isna().tolist() == [False, True, False]
    assert told == [f"1 of 3 inputs is empty ({path}, row 3); its answer is left empty."]
    path.write_text("a,b,c\n1,2,3\n,5,\n4,5,6\n")
    with pytest.raises(InputError, match=r"A value is missing|no values"):
        task.predict(model, path)


def test_an_empty_series_has_no_class():
    x = [[float(i % 2), 1.0, 2.0] for i in range(24)]
    frame = pd.DataFrame({"x": x, "label": ["a", "b"] * 12})
    task, model = made("classify", frame)
    table, told = predicted(task, model, pd.DataFrame({"x": [[1.0, 2.0], [], None, [0.5]]}))
    assert table["prediction"].isna().tolist() == [False, True, True, False]
    assert told == ["2 of 4 inputs are empty (the first: row 2); their answers are left empty."]


def test_an_empty_sentence_has_neither_spans_nor_intent():
    frame = pd.DataFrame(
        {
            "tokens": [["go", "to", "Oslo"], ["see", "Bo"]] * 8,
            "tags": [["O", "O", "B-LOC"], ["O", "B-PER"]] * 8,
            "intent": ["travel", "meet"] * 8,
        }
    )
    task, model = made("tag", frame)
    table, told = predicted(task, model, ["go to Bergen", "  "])
    last = table[table["row"] == 2]
    assert len(last) == 1
    assert last[["label", "intent"]].isna().all(axis=None)
    assert told == ["1 of 2 inputs is empty (row 2); its answer is left empty."]
