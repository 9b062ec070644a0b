"""Tagged sentences come through `elman.data.read` as every other file does."""

from __future__ import annotations

import json

from elman.data import read


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
