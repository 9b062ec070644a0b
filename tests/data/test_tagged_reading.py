"""Tagged sentences come through `elman.data.read` as every other file does."""

from __future__ import annotations

import json

import pytest

from elman.data import read
from elman.errors import InputError
from elman.tasks.generate.corpus import find


def test_columns_of_conll(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("a\tO\nb\tB-x\n\nc\tO\n")
    table = read(path)
    assert table.frame["tokens"].tolist() == [["a", "b"], ["c"]]
    assert table.where(1) == (path, 4)


def test_a_folder_of_parallel_files(tmp_path):
    for name, lines in (("seq.in", "a b\nc\n"), ("seq.out", "O O\nB-x\n"), ("label", "u\nv\n")):
        (tmp_path / name).write_text(lines)
    for source in (tmp_path, sorted(tmp_path.iterdir())):
        table = read(source)
        assert table.kinds == {"tokens": "tokens", "tags": "tokens", "label": "category"}
        assert table.frame["label"].tolist() == ["u", "v"]


def test_texts_with_spans_and_texts_with_labels(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "to Oslo", "spans": [[3, 7, "city"]]}) + "\n")
    assert read(path).frame["tags"].tolist() == [["O", "B-city"]]
    path.write_text(json.dumps({"text": "to Oslo", "labels": ["travel", "city"]}) + "\n")
    assert list(read(path).kinds) == ["text", "labels"]


TEXT = "Ann Lee is in Oslo.\r\n\r\nBo went to New York\r\nCity and home.\r\n"
BRAT = """T1\tPER 0 7\tAnn Lee
T2\tLOC 14 18\tOslo
T3\tPER 0 3\tAnn
T4\tLOC 34 42\tNew York
T5\tPER 23 25;52 56\tBo home
T6\tLOC 34 48\tNew York City
R1\tIn Arg1:T1 Arg2:T2
#1\tAnnotatorNotes T1\tsure
"""


def brat(folder, spans=BRAT, text=TEXT):
    (folder / "a.txt").write_bytes(text.encode())
    (folder / "a.ann").write_text(spans)
    return folder


def test_annotations_of_brat_are_read_with_the_text_beside_them(tmp_path):
    table = read(brat(tmp_path))
    assert table.frame["tokens"].tolist()[0] == ["Ann", "Lee", "is", "in", "Oslo", "."]
    assert table.frame["tags"].tolist() == [
        ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],
        ["O"] * 5,
        ["O"] * 4,
    ]
    assert table.where(1) == (tmp_path / "a.txt", 3)
    told = "spans in several pieces 1, relations 1, notes 1, spans within or across another one 2"
    assert f"Left out: {told}, spans over several lines 1." in table.notes()
    # A text without annotations is left out, and the annotations are no text to write.
    (tmp_path / "b.txt").write_text("Nobody read this.")
    (tmp_path / "c.ann").write_text("")
    (tmp_path / "c.txt").write_text("Nothing here.")
    table = read(tmp_path)
    assert len(table) == 4
    assert "texts without annotations 1." in table.left_out()[0]
    assert find(tmp_path, None, None).left_out[0] == "a.ann (annotations of brat)"


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ("T1\tPER 0 7\tAnn Lea\n", r"a.ann, row 1: T1 is 'Ann Lea', and at 0 to 7 .*'Ann Lee'"),
        ("T1 PER 0 7 Ann\n", r"a.ann, row 1: The line is no annotation of brat"),
        ("T1\tPER 0 5\tAnn L\n", r"a.txt, row 1: The span 0:5.* does not begin and end with"),
        ("", "No span is annotated"),
    ],
)
def test_annotations_of_brat_that_are_wrong_are_refused(tmp_path, spans, message):
    with pytest.raises(InputError, match=message):
        read(brat(tmp_path, spans))


def test_training_data_of_spacy_2(tmp_path):
    pairs = [["to Oslo", {"entities": [[3, 7, "city"]]}], ["to us", {"entities": []}]]
    for name, text in (
        ("a.json", json.dumps(pairs)),
        ("b.json", json.dumps(pairs, indent=1)),
        ("c.jsonl", "\n".join(map(json.dumps, pairs))),
    ):
        (tmp_path / name).write_text(text)
        assert read(tmp_path / name).frame["tags"].tolist() == [["O", "B-city"], ["O", "O"]]
    (tmp_path / "train.py").write_text(f"import spacy\n\nTRAIN_DATA = {pairs}\n")
    with pytest.raises(InputError, match=r"train.py: This is Python code with .*TRAIN_DATA.*json"):
        read(tmp_path / "train.py")


RASA = """version: "3.1"
nlu:
- intent: greet
  examples: |
    - hey there
    - hi [Ann](name)
- intent: book
  examples: |
    - fly to [NYC]{"entity": "city", "value": "New York"}

    - from [Oslo](city:OSL) to [Bern](city) please
- lookup: country
  examples: |
    - Norway
"""


def test_training_data_of_rasa(tmp_path):
    path = tmp_path / "nlu.yml"
    path.write_text(RASA)
    (tmp_path / "domain.yml").write_text("intents:\n- greet\n")
    for source in (path, tmp_path):
        table = read(source)
        assert table.frame["label"].tolist() == ["greet", "greet", "book", "book"]
        assert table.frame["tokens"].tolist()[2:] == [
            ["fly", "to", "NYC"],
            ["from", "Oslo", "to", "Bern", "please"],
        ]
        assert table.frame["tags"].tolist()[1:] == [
            ["O", "B-name"],
            ["O", "O", "B-city"],
            ["O", "B-city", "O", "B-city", "O"],
        ]
        assert [table.where(row) for row in (1, 3)] == [(path, 6), (path, 11)]
        assert "no examples of an intent: lookup 1." in table.left_out()[0]
    assert "files without intents: domain.yml." in read(tmp_path).left_out()[1]
    path.write_text(RASA.replace('"entity": "city", ', ""))
    with pytest.raises(InputError, match=r"nlu.yml, row 9: .* is no entity"):
        read(path)
    one = {"text": "to Oslo", "intent": "book", "entities": [{"start": 3, "end": 7}]}
    one["entities"][0] |= {"value": "OSL", "entity": "city"}
    held = {"rasa_nlu_data": {"common_examples": [one, one], "lookup_tables": []}}
    (tmp_path / "nlu.json").write_text(json.dumps(held))
    table = read(tmp_path / "nlu.json")
    assert table.frame["tags"].tolist() == [["O", "B-city"]] * 2
    assert table.frame["label"].tolist() == ["book"] * 2
