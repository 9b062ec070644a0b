"""Tags and spans that stand in one cell for a whole sentence, or behind its words."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from elman import data
from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

SENTENCES = ["Anna goes to Paris", "to Rome , France", "Bob sees Anna"] * 4
TAGS = ["B-PER O O B-LOC", "O B-LOC O B-LOC", "B-PER O B-PER"] * 4


@pytest.mark.parametrize("form", ["csv", "jsonl", "lists"])
@pytest.mark.parametrize("plain", [False, True])
def test_words_and_tags_with_blanks_between_them_are_lists(tmp_path, form, plain):
    tags = [own.replace("-", "") for own in TAGS] if plain else TAGS
    frame = pd.DataFrame({"sentence": SENTENCES, "tags": tags})
    path = tmp_path / f"a.{'csv' if form == 'csv' else 'jsonl'}"
    if form == "csv":
        frame.to_csv(path, index=False)
    else:
        frame["tags"] = frame["tags"].str.split() if form == "lists" else frame["tags"]
        frame.to_json(path, orient="records", lines=True)
    table = data.read(path)
    assert table.kinds == {"sentence": "tokens", "tags": "tokens"}
    assert table.frame["sentence"][1] == ["to", "Rome", ",", "France"]
    assert table.frame["tags"][1] == tags[1].split()
    assert "a tag for each word of 'sentence'" in " ".join(table.notes())


def test_sentences_with_more_words_than_tags_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    frame = pd.DataFrame(
        {"sentence": [*SENTENCES, "Bob sees Rome, France"], "tags": [*TAGS, "O O"]}
    )
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match="There are 2 tags, and 'sentence' has 4 words") as raised:
        TASKS["tag"].from_data(path, settings_of(TASKS["tag"], {}))
    assert (raised.value.row, raised.value.column) == (14, "tags")
    assert data.read(path).kinds["sentence"] == "category"


def test_labels_of_several_words_are_no_tags(tmp_path):
    path = tmp_path / "a.csv"
    frame = pd.DataFrame({"text": SENTENCES, "label": ["very good", "bad", "so so"] * 4})
    frame.to_csv(path, index=False)
    assert data.read(path).kinds["label"] == "category"


@pytest.mark.parametrize("write", [str, json.dumps])
def test_spans_in_a_cell_are_read(tmp_path, write):
    path = tmp_path / "a.csv"
    spans = [[(0, 4, "PER"), (13, 18, "LOC")], [(3, 7, "LOC"), (10, 16, "LOC")], []] * 4
    pd.DataFrame({"text": SENTENCES, "entities": map(write, spans)}).to_csv(path, index=False)
    table = data.read(path)
    assert table.frame["tags"][:3].map(list).tolist() == [
        ["B-PER", "O", "O", "B-LOC"],
        ["O", "B-LOC", "O", "B-LOC"],
        ["O", "O", "O"],
    ]
    assert table.where(2)[1] == 4


def test_a_file_of_the_annotator_for_spacy_is_read(tmp_path):
    path = tmp_path / "a.json"
    pairs = [["Anna left", {"entities": [[0, 4, "PER"]]}], None, ["no one", {"entities": []}]]
    path.write_text(json.dumps({"classes": ["PER"], "annotations": pairs}))
    table = data.read(path)
    assert table.frame["tags"].map(list).tolist() == [["B-PER", "O"], ["O", "O"]]


def test_tags_behind_the_words_are_named(tmp_path):
    path = tmp_path / "a.txt"
    lines = [
        " ".join(f"{w}/{t}" for w, t in zip(["Anna", "is", "in", "Rome"], "POOL", strict=True))
        + "\n"
    ] * 30
    path.write_text("".join(lines))
    with pytest.raises(InputError, match="Each word has something behind '/'"):
        TASKS["tag"].from_data(path, settings_of(TASKS["tag"], {}))
