"""JSON as people have it: an object a line, an array, an object that holds the rows, columns."""

import json

import pandas as pd
import pytest

from elman import data
from elman.data import read as read_table
from elman.errors import InputError

ROWS = [{"text": f"a, [{i}] {{film}}", "n": i, "label": "ab"[i % 2]} for i in range(12)]


def lines(rows):
    return "\n".join(map(json.dumps, rows))


FORMS = {
    "lines": lines(ROWS),
    "array on a line": json.dumps(ROWS),
    "array, indented": json.dumps(ROWS, indent=2),
    "array, an object a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "objects over lines": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "under a name": json.dumps({"version": 2, "data": ROWS}),
    "under a name, indented": json.dumps({"data": ROWS}, indent=4),
    "columns of pandas": pd.DataFrame(ROWS).to_json(),
    "records of pandas": pd.DataFrame(ROWS).to_json(orient="records"),
    "blank lines before": "\n\n" + json.dumps(ROWS, indent=1),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_whatever_the_form(form, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(FORMS[form], encoding="utf-8")
    table = data.read(file)
    assert table.frame.to_dict("records") == ROWS
    folded = "under" in form or form.startswith("columns")
    assert ("is one object" in " ".join(table.notes())) == folded


def test_a_row_is_the_line_on_which_its_object_begins(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROWS, indent=1))
    table = data.read(file)
    # An object of three values takes five lines; the bracket takes the first.
    assert [table.where(row)[1] for row in range(3)] == [2, 7, 12]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[{"a": 1}, {"a": 2}, {"a": 3}]', [1, 2, 3]),
        ('\n\n[{"a": 1}, {"a": 2}, {"a": 3}]\n', [1, 2, 3]),
        ('[\n{"a": 1}, {"a": 2}\n]\n', [1, 2]),
        ('[\n{"a": 1}\n]\n', [2]),
        ('[{"a": 1},\n{"a": 2}, {"a": 3}]', [1, 2, 2]),
        ('{"of": "x", "data": [{"a": 1}, {"a": 2}]}', [1, 2]),
    ],
)
def test_a_row_of_an_array_on_one_line_is_its_number_there(text, rows, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(text)
    table = data.read(file)
    assert [table.where(row)[1] for row in range(len(table))] == rows


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        ('{"a": 1\n{"a": 2}\n', 1, "not JSON"),
        ('{"a": 1}\n{"a": \n', 2, "not JSON"),
        ('[\n{"a": 1},\n{"a" 2}\n]', 3, "not JSON"),
        ('[\n{"a": 1},\n{"a": 2}\n', 4, "does not end"),
        ('[{"a": 1}, {"a": "x', 1, "not JSON"),
        ('[{"a": 1}]\n{"a": 1}', 1, "a list, not an object"),
        ('[\n{"a": 1}\n]\n[]', 3, "follows the array"),
        ("[[1, 2], [3, 4]]", 1, "a list, not an object"),
        ('[\n{"a": 1},,\n{"a": 2}]', 3, "two commas"),
        ("3\n4\n", 1, "a number, not an object"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, row, said, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        data.read(file)
    assert caught.value.row == row


@pytest.mark.parametrize("text", ["", "[]", "[\n]\n", "\n \n"])
def test_no_rows(text, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(InputError, match="empty"):
        data.read(file)


NESTED = [
    {"id": i, "review": {"text": f"film {i}", "by": {"stars": i % 5}}, "tags": [{"t": i}]}
    for i in range(12)
]


def test_objects_within_objects_are_columns_named_after_the_way(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines([*NESTED, {"id": 12, "review": None}]))
    table = data.read(file)
    assert list(table.kinds) == ["id", "review.text", "review.by.stars", "tags"]
    assert table.frame["review.text"].tolist() == [f"film {i}" for i in range(12)] + [""]
    assert table.frame["review.by.stars"].tolist()[:12] == [i % 5 for i in range(12)]
    assert table.kinds["review.by.stars"] == "number"
    assert "'review' holds objects" in " ".join(table.notes())
    assert "review.text, review.by.stars" in " ".join(table.notes())


def test_objects_in_memory_and_in_parquet_are_read_as_those_of_json(tmp_path):
    frame = pd.DataFrame([{"id": row["id"], "review": row["review"]} for row in NESTED])
    frame.to_parquet(tmp_path / "rows.parquet")
    for source in (frame, NESTED, tmp_path / "rows.parquet"):
        table = data.read(source)
        assert table.frame["review.by.stars"].tolist() == [i % 5 for i in range(12)]
        assert table.kinds["review.text"] == "text"
    kept = data.read(frame, types={"review": "text"})
    assert json.loads(kept.frame["review"][3]) == NESTED[3]["review"]


def test_objects_among_other_cells_and_two_columns_of_a_name_are_refused(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines([{"a": {"b": 1}}, {"a": "plain"}]))
    with pytest.raises(InputError, match="no object") as caught:
        data.read(file)
    assert (caught.value.row, caught.value.column) == (2, "a")
    file.write_text(lines([{"a.b": 2, "a": {"b": 1}}] * 2))
    with pytest.raises(InputError, match="within an object") as caught:
        data.read(file)
    assert caught.value.column == "a.b"


def test_a_map_from_many_ids_stays_in_its_cell():
    table = data.read([{"seen": {f"u{i}_{k}": k for k in range(10)}} for i in range(60)])
    assert list(table.kinds) == ["seen"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.json", '["a b", "c d"]'),
        ("a.json", '[\n "a b",\n "c d"\n]\n'),
        ("a.jsonl", '"a b"\n"c d"\n'),
    ],
)
def test_an_array_of_texts_has_a_row_for_each(tmp_path, name, written):
    file = tmp_path / name
    file.write_text(written)
    table = data.read(file)
    assert table.kinds == {"text": "text"}
    assert table.texts("text") == ["a b", "c d"]


def test_a_line_of_texts_stays_a_conversation(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('["a b", "c d"]\n')
    assert data.read(file).kinds == {"turns": "turns"}


def test_choices_of_label_studio_are_labels(tmp_path):
    def task(n, *choices, start=None):
        value = {"choices": list(choices)}
        result = [{"from_name": "mood", "to_name": "text", "type": "choices", "value": value}]
        if start is not None:
            span = {"start": start, "end": start + 4, "labels": ["WHAT"]}
            result.append({"from_name": "what", "type": "labels", "value": span})
        made = [{"result": result}] if choices else []
        return {"id": n, "data": {"text": f"text {n}"}, "annotations": made}

    place = tmp_path / "a.json"
    place.write_text(json.dumps([task(1, "good"), task(2), task(3, "bad")], indent=1))
    table = data.read(place)
    assert table.frame.to_dict("list") == {"text": ["text 1", "text 3"], "mood": ["good", "bad"]}
    assert "1 of 3 texts were left out: not annotated." in table.notes()
    first, second = (table.where(row)[1] for row in range(2))
    assert first < second
    place.write_text(json.dumps([task(1, "good"), task(2, "bad", "late")]))
    assert list(data.read(place).frame["mood"].map(list)) == [["good"], ["bad", "late"]]
    # Spans beside choices are tags, as they were.
    place.write_text(json.dumps([task(1, "good", start=0), task(2, "bad", start=0)]))
    assert list(data.read(place).frame["tags"].map(list)) == [["B-WHAT", "O"]] * 2


def test_what_was_not_accepted_in_prodigy_is_no_example(tmp_path):
    answers = ["accept", "reject", "accept", "ignore"] * 5
    lines = [
        {"text": f"t{i}", "label": "A", "answer": answer, "_input_hash": i}
        for i, answer in enumerate(answers)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    table = read_table(path)
    assert list(table.kinds) == ["text", "label"]
    assert len(table) == 10
    assert table.where(1) == (path, 3)
    assert "5 with the answer 'reject', 5 with the answer 'ignore'" in " ".join(table.notes())


@pytest.mark.parametrize("several", [False, True])
def test_choices_of_prodigy_are_labels(tmp_path, several):
    lines = [
        {
            "text": f"t{i}",
            "options": [{"id": "P"}, {"id": "N"}],
            "accept": ["P", "N"] if several and i == 0 else ["P" if i % 2 else "N"],
            "answer": "ignore" if i == 3 else "accept",
        }
        for i in range(8)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    table = read_table(path)
    assert list(table.kinds) == ["text", "label"]
    labels = list(table.frame["label"])
    assert labels[:2] == ([["P", "N"], ["P"]] if several else ["N", "P"])
    assert len(table) == 7


DAYS = pd.date_range("2023-01-01", periods=12)


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
@pytest.mark.parametrize("form", ["epoch", "iso"])
@pytest.mark.parametrize("names", [["sales", "temp"], ["sales"]])
def test_labels_of_rows_that_are_times_are_a_column(tmp_path, orient, form, names):
    frame = pd.DataFrame({name: range(12) for name in names}, index=DAYS[::-1])
    frame.to_json(tmp_path / "a.json", orient=orient, date_format=form)
    if orient == "index" and len(names) == 1:
        return  # {"2023-01-01": {"sales": 1}} may be anything
    table = data.read(tmp_path / "a.json")
    assert list(table.frame) == ["index", *names]
    assert pd.to_datetime(table.frame["index"]).dt.day.tolist() == [*range(12, 0, -1)]
    assert table.frame["sales"].tolist() == [*range(12)]
    assert "the labels of the rows are column 'index'" in " ".join(table.notes())


def test_years_are_kept_and_numbers_of_rows_are_not(tmp_path):
    frame = pd.DataFrame({"a": range(12), "b": range(12)})
    frame.set_axis(range(1990, 2002)).to_json(tmp_path / "a.json")
    assert data.read(tmp_path / "a.json").frame["year"].tolist() == [*range(1990, 2002)]
    frame.set_axis(range(0, 36, 3)).to_json(tmp_path / "a.json")
    table = data.read(tmp_path / "a.json")
    assert list(table.frame) == ["a", "b"]
    assert "the numbers of the rows were left out" in " ".join(table.notes())


def test_a_text_in_parts_is_whole(tmp_path):
    link = {"type": "link", "text": "http://x.y"}
    rows = [{"from": "A", "text": ["see ", link, " ok"]}, {"from": "B", "text": "fine"}] * 3
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"name": "us", "messages": rows}))
    table = read_table(path)
    assert table.texts("text")[:2] == ["see http://x.y ok", "fine"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("form", ["{}", '{{"text": "a", "x": {}}}', "[\n{}\n]"])
def test_lists_that_stand_too_deep_are_refused(tmp_path, name, form):
    path = tmp_path / name
    path.write_text(form.format("[" * 3000 + "]" * 3000) + "\n")
    with pytest.raises(InputError, match="more deeply than can be read"):
        data.read(path)


def test_a_cell_of_lists_that_stand_too_deep_is_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("turns,label\n" + f"{'[' * 3000}{']' * 3000},a\n" * 4)
    assert data.read(path).kinds["turns"] in ("text", "category")


_DAYS = [f"2023-01-0{day}" for day in range(1, 6)]
_TEMPERATURES = [1.5, None, 2.5, 3.0, 4.0]
_TABLE = {"time": _DAYS, "temp": _TEMPERATURES}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (_TABLE, "its columns are the lists."),
        ({"daily": _TABLE}, "its columns are the lists under 'daily'."),
        (
            {"latitude": 52.5, "daily_units": {"time": "iso8601"}, "daily": _TABLE},
            "the lists under 'daily'; left out: 'latitude', 'daily_units'.",
        ),
    ],
)
def test_lists_side_by_side_are_the_columns_of_a_table(record, said, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(record))
    table = data.read(file)
    assert table.kinds == {"time": "time", "temp": "number"}
    assert len(table) == 5
    assert said in " ".join(table.notes())


def test_texts_beside_labels_are_a_table_and_words_beside_tags_are_a_sentence(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"text": ["so good", "so bad", "it is"], "label": [1, 0, 1]}))
    assert len(data.read(file)) == 3
    file.write_text(json.dumps({"tokens": ["so", "good", "!"], "tags": ["O", "A", "O"]}))
    assert len(data.read(file)) == 1
    file.write_text(json.dumps({"start": "2023-01-01", "target": [1, 2, 3], "feat": [4, 5, 6]}))
    assert len(data.read(file)) == 1


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"time": _DAYS, "temp": [1, 2, 3, 4]}, "unequal lengths: 'time' 5, 'temp' 4"),
        ({"hourly": _TABLE, "daily": _TABLE}, "more than one table, such as 'hourly' and 'daily'"),
    ],
)
def test_lists_that_are_no_one_table_are_refused(record, what, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match=what) as raised:
        data.read(file)
    assert raised.value.file == file


@pytest.mark.parametrize(
    "moments",
    [
        [f"2024-01-{day:02}" for day in range(1, 21)],
        [1704067200000 + 86400000 * k for k in range(20)],
    ],
)
def test_lists_of_a_moment_and_numbers_are_times_and_values(moments, tmp_path):
    rows = [[moment, place + 0.5] for place, moment in enumerate(moments)]
    for name, text in (("a.json", json.dumps(rows)), ("a.jsonl", lines(rows))):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        table = read_table(file)
        assert list(table.frame["value"]) == [place + 0.5 for place in range(20)]
        assert list(table.frame["time"].astype(str)) == list(map(str, moments))
    file.write_text(lines([[*row, "7.25"] for row in rows]), encoding="utf-8")
    assert list(read_table(file).kinds) == ["time", "value 1", "value 2"]


def test_lists_of_texts_stay_conversations_and_of_other_numbers_are_refused(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps([["Hi.", "Hello."], ["2024-01-01", "Today."]]), encoding="utf-8")
    assert read_table(file).kinds == {"turns": "turns"}
    file.write_text(json.dumps([[1.5, 2.5], [3.5, 4.5]]), encoding="utf-8")
    with pytest.raises(InputError, match="not an object with named values"):
        read_table(file)
