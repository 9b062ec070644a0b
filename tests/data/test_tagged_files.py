"""Tagged sentences from CoNLL columns, parallel files and JSON lines, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import read
from elman.data.formats import conll, tagged_json
from elman.data.formats.tagged_json import tags_of_spans, tokenise
from elman.data.tagging import Span, scheme_of, spans
from elman.errors import InputError

DATA = Path(os.environ.get("ELMAN_DATA", "no"))


def written(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def sentences(table):
    return list(zip(table.frame["tokens"], table.frame["tags"], strict=True))


WANTED = [(["Ann", "ran"], ["B-PER", "O"]), (["#", "1"], ["O", "O"])]


@pytest.mark.parametrize(
    "text",
    [
        "Ann\tB-PER\nran\tO\n\n#\tO\n1\tO\n",
        "Ann B-PER\nran O\n\n# O\n1 O",
        "\ufeffAnn\tB-PER\r\nran\tO\r\n\r\n#\tO\r\n1\tO\r\n\r\n",
        "-DOCSTART-\tO\n\nAnn\tB-PER\nran\tO\n\n\n-DOCSTART-\tO\n#\tO\n1\tO\n",
        "-DOCSTART- -X- O\n\nAnn NN B-PER\nran VB O\n \n# SYM O\n1 CD O\n",
        "# sent_id = a\n# text = Ann ran\nAnn  NN\tB-PER\nran VB O\n"
        "\n# sent_id = b\n# SYM O\n1 CD O\n",
        "1\tAnn\tB-PER\n2\tran\tO\n\n1\t#\tO\n2\t1\tO\n",
    ],
)
def test_columns_are_found_in_the_file(tmp_path, text):
    table = conll.read([written(tmp_path, "a.conll", text)])
    assert sentences(table) == WANTED
    assert table.kinds["tokens"] == table.kinds["tags"] == "tokens"
    if "sent_id" in text:
        assert list(table.frame["id"]) == ["a", "b"]
    assert table.meta["conll"]["tag_column"] == table.meta["conll"]["columns"]


def test_rows_know_the_line_on_which_their_sentence_begins(tmp_path):
    first = written(tmp_path, "a.conll", "-DOCSTART- O\n\n# c\nAnn B-PER\n\n\nran O\n")
    second = written(tmp_path, "b.conll", "x O\n")
    table = conll.read([first, second])
    assert [table.where(row) for row in range(3)] == [(first, 4), (first, 7), (second, 1)]


def test_the_other_columns_are_there_by_number(tmp_path):
    path = written(tmp_path, "a.conll", "1 Ann NN x B-PER\n2 ran VB y O\n")
    table = read(path)
    assert list(table.kinds) == ["tokens", "tags", "column 3", "column 4"]
    assert set(table.kinds.values()) == {"tokens"}
    assert table.frame["column 3"][0] == ["NN", "VB"]
    assert table.frame["column 4"][0] == ["x", "y"]


def test_conll_u_gives_words_and_universal_parts_of_speech(tmp_path):
    rest = "\t_" * 6
    text = (
        "# newdoc\n# sent_id = w1\n"
        f"1-2\tdu\t_\t_{rest}\n1\tde\tde\tADP{rest}\n2\tle\tle\tDET{rest}\n"
        f"2.1\tnul\t_\t_{rest}\n3\t#\t#\tSYM{rest}\n\n"
        f"# sent_id = w2\n1\tx\tx\tNOUN{rest}\n"
    )
    table = read(written(tmp_path, "a.conllu", text))
    assert sentences(table) == [(["de", "le", "#"], ["ADP", "DET", "SYM"]), (["x"], ["NOUN"])]
    assert list(table.frame["id"]) == ["w1", "w2"]
    assert table.meta["conll"]["form"] == "CoNLL-U"
    assert scheme_of(table.frame["tags"]) == "plain"
    assert table.frame["lemma"][0] == ["de", "le", "#"]
    assert list(table.kinds)[2:] == [
        "lemma",
        "xpos",
        "feats",
        "head",
        "deprel",
        "deps",
        "misc",
        "id",
    ]
    assert table.where(1)[1] == 10


def test_comments_tell_the_intent(tmp_path):
    text = "# intent: alarm/set\nwake B-x\n\n# intent: weather\nrain O\n"
    table = read(written(tmp_path, "a.conll", text))
    assert list(table.frame["label"]) == ["alarm/set", "weather"]
    assert table.kinds["label"] == "category"


def test_a_file_without_tags_has_tokens_alone(tmp_path):
    table = conll.read([written(tmp_path, "a.conll", "Ann\nran\n\nhi\n")])
    assert list(table.frame.columns) == ["tokens"]
    assert list(table.frame["tokens"]) == [["Ann", "ran"], ["hi"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann B-PER\nran\nhome O\n", "row 2: The line has 1 column, the others have 2"),
        ("Ann B-PER\nran O O\nhome O\n", "row 2: The line has 3 columns, the others have 2"),
        ("Ann\tO\n#hashtag\nx\tO\n", "row 2: The line has 1 column"),
        ("#hashtag\nx\tO\ny\tO\n", "row 1: The line has 1 column"),
        ("Ann\tO\nx\tO\n\tO\n", "row 3: Column 1 of the line is empty"),
        ("Ann\tO\nran\t\n", "row 2: Column 2 of the line is empty"),
        ("-DOCSTART- O\n\n", "The file has no tokens"),
        ("# a comment\n", "The file has no tokens"),
        ("  \n", "The file is empty"),
    ],
)
def test_columns_that_are_wrong_are_refused_by_line(tmp_path, text, message):
    path = written(tmp_path, "a.conll", text)
    with pytest.raises(InputError, match=message) as error:
        conll.read([path])
    assert error.value.file == path


def test_files_of_other_columns_are_refused(tmp_path):
    first = written(tmp_path, "a.conll", "a O\n")
    second = written(tmp_path, "b.conll", "a X O\n")
    with pytest.raises(InputError, match=r"b.conll: Its lines have 3 columns .* a.conll has 2"):
        conll.read([first, second])


def test_parallel_files(tmp_path):
    written(tmp_path, "train/seq.in", "to Oslo\nhi\n\n")
    written(tmp_path, "train/seq.out", "O B-city\r\nO\r\n")
    written(tmp_path, "train/label", "go\nhello#ask \n")
    written(tmp_path, "dev/seq.in", "a\n")
    written(tmp_path, "dev/seq.out", "O\n")
    table = read(tmp_path / "train")
    assert sentences(table) == [(["to", "Oslo"], ["O", "B-city"]), (["hi"], ["O"])]
    assert list(table.frame["label"]) == ["go", "hello#ask"]
    assert table.kinds == {"tokens": "tokens", "tags": "tokens", "label": "category"}
    assert table.where(1) == (tmp_path / "train" / "seq.in", 2)
    assert "label" not in read(tmp_path / "dev").frame
    for several in (tmp_path, [tmp_path / "train", tmp_path / "dev"]):
        with pytest.raises(InputError, match="Some of the sentences have a file of labels"):
            read(several)


def test_parallel_files_of_other_names(tmp_path):
    path = written(tmp_path, "x.in", "a b\n")
    written(tmp_path, "x.out", "O O\n")
    written(tmp_path, "x.label", "yes\n")
    written(tmp_path, "y.in", "c\n")
    written(tmp_path, "y.out", "O\n")
    assert read(path).frame["label"][0] == "yes"
    assert len(read([path, path.with_suffix(".out")])) == 1
    with pytest.raises(InputError, match="This holds tags"):
        read(path.with_suffix(".out"))
    (tmp_path / "y.out").unlink()
    with pytest.raises(InputError, match=r"no file of tags beside it\. Add y\.out"):
        read(tmp_path / "y.in")


@pytest.mark.parametrize(
    ("tokens", "tags", "labels", "message"),
    [
        ("a b\nc d\n", "O O\nO\n", None, r"seq.out, row 2: The line has 1 tags for 2 tokens"),
        ("a\nb\n", "O\n", None, r"seq.in, row 2: seq.in has 2 lines and seq.out has 1"),
        ("a\nb\n", "O\nO\n", "x\ny\nz\n", r"label, row 3: seq.in has 2 lines and label has 3"),
        ("a\n\nb\n", "O\n\nO\n", None, r"seq.in, row 2: The sentence is empty"),
        ("a\nb\n", "O\nO\n", "\ny\n", r"label, row 1: The label is missing"),
    ],
)
def test_parallel_files_that_disagree_are_refused_by_line(tmp_path, tokens, tags, labels, message):
    written(tmp_path, "seq.in", tokens)
    written(tmp_path, "seq.out", tags)
    if labels is not None:
        written(tmp_path, "label", labels)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "record",
    [
        {"text": "Mr Li left.", "entities": [[3, 5, "PER"]]},
        {"text": "Mr Li left.", "label": [[3, 5, "PER"]]},
        {"text": "Mr Li left.", "spans": [{"start": 3, "end": 5, "label": "PER"}]},
        {
            "text": "Mr Li left.",
            "entities": [{"start_offset": 3, "end_offset": 5, "entity": "PER", "id": 1}],
        },
    ],
)
def test_texts_with_spans(tmp_path, record):
    lines = "\n".join(json.dumps(record | {"id": n, "intent": "tell"}) for n in (7, 8))
    path = written(tmp_path, "a.jsonl.gz", gzip.compress(lines.encode()))
    table = read(path)
    assert sentences(table) == [(["Mr", "Li", "left", "."], ["O", "B-PER", "O", "O"])] * 2
    assert list(table.frame["id"]) == ["7", "8"]
    assert list(table.frame["label"]) == ["tell"] * 2
    assert table.where(1) == (path, 2)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a"}, r"this one has no spans.*\"entities\": \[\]"),
        ({"tokens": ["a"], "tags": ["O"]}, "this one has no text"),
        ({"text": " ", "entities": []}, "The text is empty"),
        ({"text": "to New York", "entities": [[3, 9, "x"]]}, "3:9, 'New Yo', does not begin"),
        ({"text": "to New York", "entities": [[3, 9, "x"]]}, "is 3:11, 'New York'"),
        ({"text": "a  b", "entities": [[1, 2, "x"]]}, "It holds no word"),
        (
            {"text": "to New York", "entities": [[3, 11, "x"], [7, 11, "y"]]},
            "7:11, 'York', overlaps 3:11, 'New York'",
        ),
        ({"text": "a", "entities": [[0, 2, "x"]]}, "does not lie in the text"),
        ({"text": "a", "entities": [[1, 0, "x"]]}, "does not lie in the text"),
        ({"text": "a b", "entities": [[2, 2, "x"]]}, r"The span 2:2 \(x\) is empty"),
        (
            {"text": "a", "label": [{"start": 0, "end": 1, "labels": ["x", "y"]}]},
            r"0:1 has 2 labels \(x, y\), and can have one",
        ),
        (
            {"data": {"q": "a", "r": "b"}, "annotations": [{"result": []}]},
            "this one has no text",
        ),
        ({"text": "a", "entities": [[0, True, "x"]]}, "is no span"),
        ({"text": "a", "entities": [{"start": 0, "label": "x"}]}, "is no span"),
        ({"text": "a", "entities": ["a"]}, "is no span"),
    ],
)
def test_json_lines_that_are_wrong_are_refused_by_line(tmp_path, record, message):
    good = {"text": "a", "entities": []}
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, [good, record])))
    with pytest.raises(InputError, match=message) as error:
        tagged_json.read([path])
    assert (error.value.file, error.value.row) == (path, 2)


def test_one_line_without_spans_is_not_read_as_something_else(tmp_path):
    lines = [{"text": "to Oslo", "entities": [[3, 7, "city"]]}, {"text": "hi"}]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    with pytest.raises(InputError, match=r"a.jsonl, row 2: .*has no spans"):
        read(path)


VALUE = {"start": 3, "end": 5, "text": "Li", "labels": ["PER"]}


@pytest.mark.parametrize("many", [False, True])
def test_an_export_of_label_studio_is_read_and_says_what_is_left_out(tmp_path, many):
    text = "Mr Li's  left."
    result = [{"type": "labels", "value": VALUE}, {"type": "choices", "value": {"choices": ["x"]}}]
    cancelled = {"was_cancelled": True, "result": []}
    tasks = [
        {
            "id": 4,
            "data": {"text": text, "url": "u"},
            "annotations": [cancelled, {"result": result}],
        },
        {"id": 5, "data": {"text": "None."}, "annotations": [{"result": []}]},
        {"id": 6, "data": {"text": "Who?"}, "annotations": [cancelled]},
        {"id": 7, "data": {"text": "What?"}, "annotations": []},
    ]
    path = written(tmp_path, "export.json", json.dumps(tasks, indent=1 if many else None))
    table = read(path)
    assert sentences(table) == [
        (["Mr", "Li", "'", "s", "left", "."], ["O", "B-PER", "O", "O", "O", "O"]),
        (["None", "."], ["O", "O"]),
    ]
    assert list(table.frame["id"]) == ["4", "5"]
    cell = table.frame["tokens"][0]
    assert (cell.text, cell.places[4]) == (text, (9, 13))
    [note] = [one for one in table.notes() if "left out" in one]
    assert note.startswith("2 of 4 texts were left out: not annotated (the first in export.json")
    row = int(note.split("row ")[1].split(")")[0])
    assert row > 31 if many else row == 3
    path.write_text(json.dumps(tasks[3:]))
    assert sentences(read(path)) == [(["What", "?"], ["O", "O"])]


def test_several_annotations_of_label_studio_are_told_and_doubted_where_they_differ(tmp_path):
    other = VALUE | {"labels": ["ORG"]}
    left, agreeing, differing = (
        [{"was_cancelled": True, "result": []}, {"result": [{"value": VALUE}]}, *more]
        for more in (
            [],
            [{"result": [{"value": dict(reversed(VALUE.items()))}]}],
            [{"result": [{"value": other}]}],
        )
    )

    def export(*annotations):
        tasks = [{"data": {"text": "Mr Li left."}, "annotations": one} for one in annotations]
        return read(written(tmp_path, "two.json", json.dumps(tasks, indent=1)))

    table = export(left, agreeing, differing, differing)
    assert sentences(table) == [(["Mr", "Li", "left", "."], ["O", "B-PER", "O", "O"])] * 4
    told = "3 of 4 texts have several annotations; the first of each was taken"
    assert table.notes()[0] == f"{told}; in 2 they mark different spans."
    [doubt] = table.doubts()
    assert doubt.startswith("annotations of 2 of 4 texts mark different spans (the first in two.js")
    assert int(doubt.split("row ")[1].split(")")[0]) == table.where(2)[1]
    table = export(left, agreeing)
    assert table.notes()[0].startswith("1 of 2 texts have several annotations; the first of each")
    assert (table.notes()[0].endswith("they mark the same spans."), table.doubts()) == (True, [])
    assert (len(export(left, left).notes()), table.doubts()) == (1, [])


def test_a_short_export_of_label_studio_and_refusals_of_prodigy(tmp_path):
    path = written(
        tmp_path, "min.json", json.dumps([{"text": "Mr Li left.", "label": [VALUE]}] * 2)
    )
    assert sentences(read(path)) == [(["Mr", "Li", "left", "."], ["O", "B-PER", "O", "O"])] * 2
    span = {"start": 3, "end": 5, "token_start": 1, "token_end": 1, "label": "PER"}
    lines = [
        {"text": "Mr Li left.", "spans": [span], "answer": answer, "tokens": [{"text": "Mr"}]}
        for answer in ("accept", "reject", "accept", "ignore", "reject")
    ]
    path = written(tmp_path, "p.jsonl", "\n".join(map(json.dumps, lines)))
    table = read(path)
    assert len(table) == 2
    assert table.where(1) == (path, 3)
    assert [one for one in table.notes() if "left out" in one] == [
        '2 of 5 texts were left out: their answer is "reject" (the first in p.jsonl, row 2).',
        '1 of 5 texts were left out: their answer is "ignore" (the first in p.jsonl, row 4).',
    ]
    path.write_text(json.dumps(lines[1]) + "\n" + json.dumps(lines[3]))
    with pytest.raises(InputError, match=r"p.jsonl: Nothing in the file is annotated"):
        read(path)


@given(st.text("aB1.,' \n", max_size=20), st.data())
def test_spans_of_characters_come_back_from_the_tags(text, data):
    tokens = tokenise(text)
    assert all(text[one.start : one.end] == one.text for one in tokens)
    assert "".join(one.text for one in tokens) == "".join(text.split())
    cuts = sorted(data.draw(st.sets(st.integers(0, len(tokens)))))
    chosen = list(zip(cuts[::2], cuts[1::2], strict=False))
    given_ = [Span(tokens[a].start, tokens[b - 1].end, "x") for a, b in chosen]
    found, tags = tags_of_spans(text, given_)
    again = [
        Span(found[one.start].start, found[one.end - 1].end, one.label)
        for one in spans(tags, "BIO")
    ]
    assert again == given_


def test_formats_are_not_mixed(tmp_path):
    one = written(tmp_path, "a.conll", "a O\n")
    other = written(tmp_path, "a.jsonl", '{"tokens": ["a"], "tags": ["O"]}')
    with pytest.raises(InputError, match="several formats"):
        read([one, other])


@pytest.mark.skipif(not DATA.exists(), reason="ELMAN_DATA names no folder of data sets")
@pytest.mark.parametrize(
    ("name", "rows", "tokens", "entities"),
    [
        ("wnut17/train.conll", 3394, 62730, 1975),
        ("wnut17/test.conll", 1287, 23394, 1079),
        ("atis/train", 4478, 50497, 14851),
    ],
)
def test_real_files_have_the_published_counts(name, rows, tokens, entities):
    table = read(DATA / name)
    assert scheme_of(table.frame["tags"]) == "BIO"
    found = sum(len(spans(tags, "BIO")) for tags in table.frame["tags"])
    assert (len(table), sum(map(len, table.frame["tokens"])), found) == (rows, tokens, entities)


def test_tags_before_words_are_refused(tmp_path):
    path = written(tmp_path, "a.conll", "O\tsaw\nB-PER\tDora\n\nB-LOC\tUlm\nO\t.\n")
    with pytest.raises(InputError, match=r"row 2: The first column holds tags \('B-PER'\) and the"):
        read(path)
    right = written(tmp_path, "b.conll", "saw\tO\nO\tO\n\nB-LOC\tB-LOC\n")
    assert read(right).frame["tokens"].tolist() == [["saw", "O"], ["B-LOC"]]
