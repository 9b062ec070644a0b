"""Reading: the same values from every format, kinds found and told, rows as a person counts."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from elman import data
from elman.data import read
from elman.errors import InputError


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


ROWS = [
    {"when": "2024-01-01", "x": 1.5, "label": "a", "note": 'he said "no",\nthen left'},
    {"when": "2024-01-02", "x": -2.0, "label": "b", "note": "second"},
    {"when": "2024-01-03", "x": 3.25, "label": "a", "note": "third one"},
    {"when": "2024-01-04", "x": 1e-3, "label": "b", "note": "four"},
]


@pytest.fixture
def every_format(tmp_path: Path) -> list[Path]:
    frame = pd.DataFrame(ROWS)
    paths = [
        put(tmp_path / "a.csv", frame.to_csv(index=False)),
        put(tmp_path / "b.csv", frame.to_csv(index=False, sep=";", lineterminator="\r\n")),
        put(tmp_path / "c.tsv", frame.to_csv(index=False, sep="\t")),
        put(tmp_path / "d.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
    ]
    frame.to_parquet(tmp_path / "e.parquet")
    paths.append(tmp_path / "e.parquet")
    paths += [put(p.with_name(p.name + ".gz"), gzip.compress(p.read_bytes())) for p in paths]
    return paths


def test_every_format_gives_the_same_table(every_format: list[Path]) -> None:
    for path in every_format:
        table = read(path)
        assert table.kinds == {"when": "time", "x": "number", "label": "category", "note": "text"}
        assert table.numbers("x").tolist() == [row["x"] for row in ROWS]
        assert table.labels("label") == ["a", "b", "a", "b"]
        notes = [note.replace("\r\n", "\n") for note in table.texts("note")]
        assert notes == [row["note"] for row in ROWS]
        assert table.column("when").dt.day.tolist() == [1, 2, 3, 4]
        assert table.source == path
    frame = read(pd.DataFrame(ROWS))
    assert frame.kinds == table.kinds
    assert frame.where(2) == (None, 3)


def test_a_row_is_the_line_of_the_file_on_which_it_begins(every_format: list[Path]) -> None:
    for path in every_format:
        expected = (
            [1, 2, 3, 4] if ".csv" not in path.name and ".tsv" not in path.name else [2, 4, 5, 6]
        )
        assert [read(path).where(row)[1] for row in range(4)] == expected


def test_blank_lines_and_several_files_count_in_rows(tmp_path: Path) -> None:
    a = put(tmp_path / "d" / "a.csv", "\nx,y\n\n1,p\n\n\n2,q\n")
    b = put(tmp_path / "d" / "b.csv", 'x,y\n3,"p\n\np"\n4,q\n')
    table = read(tmp_path / "d")
    assert table.numbers("x").tolist() == [1, 2, 3, 4]
    assert [table.where(i) for i in range(4)] == [(a, 4), (a, 7), (b, 2), (b, 5)]
    part = table.take([3, 0])
    assert part.numbers("x").tolist() == [4, 1]
    assert [part.where(0), part.take([1]).where(0)] == [(b, 5), (a, 4)]


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a"), max_size=8)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), separator=st.sampled_from(",;\t")
)
def test_any_cells_come_back(tmp_path: Path, rows: list[tuple[str, str]], separator: str) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerows([("one", "two"), *rows])
    table = read(path, types={"one": "text", "two": "text"})
    got = list(zip(table.column("one"), table.column("two"), strict=True))
    assert got == rows


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "-3"], "number"),
        ([" 1.5 ", "+2", "1e5", "inf"], "number"),
        (["1", "", "NA", "?", "null"], "number"),
        (["01", "02", "10"], "text"),
        (["01", "02", "01", "02"], "category"),
        (["0", "0.5", "00"], "text"),
        (["a", "b", "a", "b"], "category"),
        (["a", "b", "c", "d"], "text"),
        (["1", "x", "1", "x"], "category"),
        (["2024-01", "2024-02"], "time"),
        (["2024-01-31 12:00:05", "2024-02-01 00:00:00"], "time"),
        (["2024-01-31T12:00:05Z", "2024-02-01T00:00:00Z"], "time"),
        (["31.01.2024", "01.02.2024"], "time"),
        (["01/31/2024", "02/01/2024 "], "time"),
        (["31/01/2024 10:30", "01/02/2024 11:30"], "time"),
        (["1-01", "1-02"], "text"),
        (["[1, 2]", "[3.5]", ""], "series"),
        (["[[1, 2], [3, 4]]"], "series"),
        (["[1, 2]", "[see note]"], "text"),
        (["true", "false", "true", "true"], "category"),
        (["", ""], "number"),
    ],
)
def test_kinds_are_found(tmp_path: Path, cells: list[str], kind: str) -> None:
    frame = pd.DataFrame({"i": range(len(cells)), "c": cells})
    table = read(put(tmp_path / "a.csv", frame.to_csv(index=False)))
    assert table.kinds["c"] == kind


def test_numbers_are_exact_and_whole_ones_stay_whole(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    path = put(
        tmp_path / "a.csv", "x,i\n" + "".join(f"{v!r},{i}\n" for i, v in enumerate(x.tolist()))
    )
    table = read(path)
    assert table.numbers("x").tolist() == x.tolist()
    assert table.frame["i"].dtype == np.int64
    assert table.labels("i")[:3] == ["0", "1", "2"]


def test_day_or_month_first_is_the_one_in_which_time_goes_forward(tmp_path: Path) -> None:
    cells = ["01/02/2024", "02/02/2024", "03/02/2024"]
    path = put(tmp_path / "a.csv", "t\n" + "\n".join(cells) + "\n")
    assert read(path).kinds["t"] == "text"  # forward either way: not for us to say
    path = put(tmp_path / "a.csv", "t\n11/01/2024\n12/01/2024\n01/02/2024\n")
    assert read(path).column("t").dt.month.tolist() == [1, 1, 2]


def test_kinds_can_be_told(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.csv", "n,day,unix,seq,words\n1,20240131,0,1 2 3,a b\n0,20240201,60,4 5,c\n"
    )
    kinds = {"n": "category", "day": "time", "unix": "time", "seq": "series", "words": "tokens"}
    table = read(path, types=kinds)
    assert table.kinds == kinds
    assert table.labels("n") == ["1", "0"]
    assert [str(t) for t in table.column("day")] == ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]
    assert table.column("unix").dt.minute.tolist() == [0, 1]
    assert [s.tolist() for s in table.series("seq")] == [[[1], [2], [3]], [[4], [5]]]
    assert list(table.column("words")) == [["a", "b"], ["c"]]
    assert list(read(path, columns=["seq", "n"]).frame.columns) == ["seq", "n"]
    assert read(path).column("n", "text").tolist() == ["1", "0"]


def test_typed_sources_keep_their_types(tmp_path: Path) -> None:
    rows = [
        {
            "id": "12",
            "s": [1, None, 3],
            "m": [[1, 2], [3, 4]],
            "t": ["a", "b"],
            "b": True,
            "o": {"k": 1},
        },
        {"id": "13", "s": [4], "m": [[5, 6]], "t": [], "b": False, "z": 5},
    ]
    table = read(put(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert table.kinds == {
        "id": "text", "s": "series", "m": "series", "t": "tokens", "b": "category", "o.k": "number",
        "z": "number",
    }  # fmt: skip
    assert table.labels("b") == ["true", "false"]
    assert table.column("o.k")[0] == 1
    first = table.series("s", allow_missing=True)[0]
    assert first.shape == (3, 1)
    assert np.isnan(first[1, 0])
    assert table.series("m")[1].tolist() == [[5, 6]]
    arrow = pa.table(
        {
            "s": [[1.0, 2.0], [3.0]],
            "d": [date(2024, 1, 1), None],
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "w": [["a"], ["b", "c"]],
            "i": pa.array([1, None], pa.int32()),
        }
    )
    parquet.write_table(arrow, tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet")
    assert table.kinds == {
        "s": "series",
        "d": "time",
        "c": "category",
        "w": "tokens",
        "i": "number",
    }
    assert table.series("s")[0].tolist() == [[1], [2]]
    assert table.numbers("i", allow_missing=True)[0] == 1


# What a column cannot give


def refused(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **named)
    return str(caught.value)


def test_text_or_nan_among_numbers_names_file_row_and_column(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'x,y,s\n1,2,"a\nb"\n2,,c\n3,4,d\nfour,"5,5,5",e\n')
    table = read(path)
    assert refused(table.numbers, "x") == (
        f"{path}, row 6, column 'x': 'four' is not a number. Correct or remove it."
    )
    assert (
        "row 6, column 'y': '5,5,5' is not a number. Write decimals with a point, and no commas."
        in refused(table.numbers, "y")
    )
    assert "row 6, column 'x'" in refused(read, path, types={"x": "number"})
    numeric = read(put(tmp_path / "b.csv", "x,y\n1,2\n2,\n3,inf\n"))
    assert refused(numeric.numbers, "y").startswith(
        f"{tmp_path / 'b.csv'}, row 3, column 'y': A value is missing."
    )
    assert "row 4, column 'y': inf is not a finite number" in refused(
        numeric.numbers, "y", allow_missing=True
    )
    assert "row 2, column 'y'" in refused(numeric.take([1]).numbers, "y").replace("row 3", "row 2")
    assert refused(read(pd.DataFrame({"x": [1.0, None]})).numbers, "x").startswith("row 2, column")


def test_no_such_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "price,day\n1,2\n")
    assert refused(read(path).numbers, "prise").endswith(
        "There is no column 'prise'. Did you mean 'price'?"
    )
    assert "Did you mean 'day'" in refused(read, path, columns=["days"])
    assert "Did you mean 'price'" in refused(read, path, types={"pric": "text"})
    assert "There is no type 'txt'. Did you mean 'text'" in refused(
        read, path, types={"day": "txt"}
    )


def test_empty_cells_are_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'text,label,seq\nhello,a,[1]\n" ",a,[]\nyou,,[2]\nx,a,[3]\n')
    table = read(path)
    assert "row 3, column 'text': The text is empty" in refused(table.texts, "text")
    assert "row 4, column 'label': The label is missing" in refused(table.labels, "label")
    assert "row 3, column 'seq': The series has no values" in refused(table.series, "seq")
    path = put(tmp_path / "b.jsonl", '{"s": [[1, 2]]}\n\n{"s": [[3]]}\n')
    assert "row 3, column 's': The series has 1 channels; the first one has 2" in refused(
        read(path).series, "s"
    )
    path = put(tmp_path / "c.jsonl", '{"s": [1, 2]}\n{"s": [1, null]}\n')
    assert "row 2, column 's': Value 2 of the series is missing" in refused(read(path).series, "s")
    path = put(tmp_path / "d.jsonl", '{"s": [[1, 2], [3]]}\n')
    assert "row 1, column 's': The steps of this series have different numbers" in refused(
        read, path, types={"s": "series"}
    )


# Files that are no tables


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3\n", "row 3: The row has 1 field; the header has 2."),
        ("a,b\n1,2\n3,4,5\n", "row 3: The row has 3 fields; the header has 2."),
        ('a,b\n"x\ny",2\n3,4,5\n', "row 4: The row has 3 fields"),
        ('a,b\n1,2\n3,"open\n4,5\n6,7\n', "row 3: A quote that opens in this row is not closed."),
        ('a,b\n1,2\n3,"open\n4,5', "row 3: A quote that opens in this row is not closed."),
        ("a,b\n", "The file has a header and no rows."),
        ("a,b", "The file has a header and no rows."),
        ("a,b,a\n1,2,3\n", "row 1, column 'a': Two columns have this name."),
    ],
)
def test_a_broken_csv_is_explained(tmp_path: Path, content: str, expected: str) -> None:
    path = put(tmp_path / "a.csv", content)
    assert expected in refused(read, path)
    assert str(path) in refused(read, path)


def test_columns_that_are_numbered_or_have_no_name(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.csv", ",0,1\n5,6,7\n"))
    assert list(table.kinds) == ["column 1", "0", "1"]
    assert list(read(put(tmp_path / "b.csv", "0,1\n5,6\n")).kinds) == ["0", "1"]
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert "column 'a': Two columns have this name" in refused(read, twice)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1}\n{"a": \n', "row 2: The line is not JSON"),
        ('{"a": 1}\n\n[1, 2]\n', "row 3: Here stands a list, not an object"),
        ("{}\n", "The objects have no named values"),
    ],
)
def test_broken_json_lines_are_explained(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in refused(read, put(tmp_path / "a.jsonl", content))


def test_broken_parquet_is_explained(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(1000)}).to_parquet(tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    cut = put(tmp_path / "b.parquet", data[: len(data) // 2])
    assert "The file is not Parquet, or damaged" in refused(read, cut)
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "c.parquet")
    assert "The file has no rows" in refused(read, tmp_path / "c.parquet")


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path / "empty" / "README.md", "notes")
    put(tmp_path / "empty" / ".hidden.csv", "a\n1\n")
    put(tmp_path / "empty" / "__pycache__" / "a.pyc", b"\0")
    assert "holds no file that can be read" in refused(read, tmp_path / "empty")
    put(tmp_path / "mixed" / "a.csv", "a\n1\n")
    put(tmp_path / "mixed" / "b.jsonl", '{"a": 1}\n')
    assert "several formats: csv, json" in refused(read, tmp_path / "mixed")
    put(tmp_path / "uneven" / "a.csv", "a,b\n1,2\n")
    put(tmp_path / "uneven" / "b.csv", "a,c\n1,2\n")
    assert "b.csv: Its columns are not those of a.csv: 'b'" in refused(read, tmp_path / "uneven")
    assert "The DataFrame has no rows" in refused(read, pd.DataFrame({"a": []}))


# Plain text


def test_a_text_file_is_its_lines(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.txt", "one\r\n\r\n two  \r\nthree"))
    assert table.kinds == {"text": "text"}
    assert table.texts("text") == ["one", " two  ", "three"]
    assert [table.where(i)[1] for i in range(3)] == [1, 3, 4]
    assert len(read(tmp_path / "a.txt", each="file")) == 1


def test_labels_stand_in_file_names_folder_names_or_first(tmp_path: Path) -> None:
    put(tmp_path / "n" / "Irish.txt", "Adam\nAhearn\n")
    put(tmp_path / "n" / "Greek.txt.gz", gzip.compress(b"Adamou\n"))
    put(tmp_path / "n" / "README.md", "notes\n")
    table = read(tmp_path / "n")
    assert list(zip(table.texts("text"), table.labels("label"), strict=True)) == [
        ("Adamou", "Greek"), ("Adam", "Irish"), ("Ahearn", "Irish"),
    ]  # fmt: skip
    for kind in ("pos", "neg"):
        put(tmp_path / "r" / f"rt.{kind}", f"{kind} one\n{kind} two\n")
        put(tmp_path / "f" / kind / "1.txt", f"{kind}\nfilm\n")
    assert read(tmp_path / "r").labels("label") == ["rt.neg", "rt.neg", "rt.pos", "rt.pos"]
    table = read(tmp_path / "f")
    assert table.texts("text") == ["neg\nfilm\n", "pos\nfilm\n"]
    assert table.labels("label") == ["neg", "pos"]
    table = read(put(tmp_path / "s.txt", "0 bad film\n1 good\n"), labels="first")
    assert (table.texts("text"), table.labels("label")) == (["bad film", "good"], ["0", "1"])
    assert "row 2: The line has a label, '1', and no text" in refused(
        read, put(tmp_path / "s.txt", "0 bad film\n1\n"), labels="first"
    )


def test_a_separator_makes_a_table_of_text(tmp_path: Path) -> None:
    path = put(tmp_path / "clicks.txt", "session\titem\n1\t7\n1\t8\n")
    assert read(path, separator="\t").numbers("item").tolist() == [7, 8]


# IDX


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def test_images_and_the_labels_beside_them(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = put(tmp_path / "t-images-idx3-ubyte.gz", gzip.compress(idx(pixels)))
    table = read(path)
    assert table.kinds == {"image": "image"}
    np.testing.assert_array_equal(np.stack(list(table.column("image"))), pixels)
    put(tmp_path / "t-labels-idx1-ubyte", idx(np.array([7, 3], np.uint8)))
    assert read(path).labels("label") == ["7", "3"]
    assert read(tmp_path).labels("label") == ["7", "3"]
    put(tmp_path / "t-labels-idx1-ubyte", idx(np.array([7], np.uint8)))
    assert "There are 1 labels for 2 images" in refused(read, path)


def test_a_broken_idx_is_explained(tmp_path: Path) -> None:
    whole = idx(np.zeros((2, 3, 4), np.uint8))
    path = tmp_path / "t-images-idx3-ubyte"
    assert "has 39 bytes; its header promises 40" in refused(read, put(path, whole[:-1]))
    assert "its header is wrong" in refused(read, put(path, b"\1\2\3\4" + whole))
    assert "its header is wrong" in refused(read, put(path, b""))
    labels = put(tmp_path / "t-labels-idx1-ubyte", idx(np.zeros(2, np.uint8)))
    assert "This holds labels" in refused(read, labels)


# Real files


def test_real_tables(data_dir: Path) -> None:
    table = read(data_dir / "etth1" / "ETTh1.csv.gz")
    assert len(table) == 17_420
    assert table.kinds["date"] == "time"
    assert table.numbers("OT")[0] == 30.5310001373291
    assert table.where(17_419)[1] == 17_421
    table = read(data_dir / "banking77" / "train.csv")
    assert len(table) == 10_003
    assert table.kinds == {"text": "text", "category": "category"}
    assert len(set(table.labels("category"))) == 77
    assert any("\n" in text for text in table.texts("text"))
    table = read(data_dir / "small_series" / "airline-passengers.csv")
    assert table.kinds == {"Month": "time", "Passengers": "number"}
    assert table.numbers("Passengers")[[0, -1]].tolist() == [112, 432]


def test_real_texts(data_dir: Path) -> None:
    table = read(data_dir / "names")
    assert len(table) == 20_050
    assert len(set(table.labels("label"))) == 18
    assert "Béringer" in table.texts("text")
    table = read(data_dir / "rotten_tomatoes")
    assert len(table) == 10_662
    assert table.labels("label").count("rt-polarity.pos") == 5_331
    assert any("clichés" in text for text in table.texts("text"))
    assert not any("\x85" in text or "\ufffd" in text for text in table.texts("text"))
    assert len(read(data_dir / "sst2" / "stsa.binary.train.txt", labels="first")) == 6_920


def test_real_images(data_dir: Path) -> None:
    table = read(data_dir / "mnist" / "train10k-images-idx3-ubyte.gz")
    assert len(table) == 10_000
    assert table.labels("label")[:5] == ["5", "0", "4", "1", "9"]
    assert table.column("image")[0].shape == (28, 28)


def test_every_public_name_is_there() -> None:
    assert sorted(data._HOMES) == data.__all__
    for name in data.__all__:
        assert getattr(data, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Windows'"):
        data.Windows  # noqa: B018


@pytest.mark.parametrize("dtype", [float, int])
def test_masked_values_are_missing(dtype: type) -> None:
    values = np.array([1, 2, -9999, 4] * 10, dtype)
    masked = np.ma.masked_array(values, mask=[0, 0, 1, 0] * 10)
    expected = np.where(values == -9999, np.nan, values.astype(float))
    for source in (masked, {"value": masked}):
        table = read(source)
        np.testing.assert_array_equal(table.numbers("value", allow_missing=True), expected)
        assert "10 masked values count as missing." in table.notes()
    grid = masked.reshape(10, 4)
    for inputs in (grid, list(grid)):
        table = read((inputs, np.ma.masked_array(np.arange(10), mask=[1] + [0] * 9)))
        np.testing.assert_array_equal(np.ravel(list(table.frame["series"])), expected)
        assert np.isnan(table.numbers("label", allow_missing=True)[0])
        assert "11 masked values count as missing." in table.notes()
        with pytest.raises(InputError, match="Value 3 of the series is missing"):
            table.series("series")


def test_an_array_whose_mask_is_empty_is_read_as_it_is() -> None:
    table = read(np.ma.masked_array([1, 2, 3], mask=False))
    assert table.frame["value"].tolist() == [1, 2, 3]
    assert not any("masked" in note for note in table.notes())


LARGE = [1152921504606846976 + i % 7 for i in range(30)]


def test_whole_numbers_that_float64_cannot_tell_apart_are_doubted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": range(30), "v": LARGE})
    lines = [json.dumps({"day": day, "v": value}) for day, value in enumerate(LARGE)]
    table = "".join(f"{day},{value}\n" for day, value in enumerate(LARGE))
    gap = "day,v\n" + table.replace("6976\n", "6976\n99,\n", 1)
    found = {
        "2": read(frame),
        "3": read(put(tmp_path / "a.csv", "day,v\n" + table)),
        "4": read(put(tmp_path / "gap.csv", gap)),
        "2 ": read(put(tmp_path / "a.jsonl", "\n".join(lines))),
        " 2": read(frame.assign(v=frame["v"].astype("uint64"))),
    }
    for row, one in found.items():
        (doubt,) = one.doubts()
        assert f"1,152,921,504,606,846,977 in row {row.strip()} of column 'v'" in doubt
        assert "Subtract a constant" in doubt


def test_large_numbers_that_stay_different_are_not_doubted() -> None:
    assert not read(pd.DataFrame({"v": [2**60, 2**61, -(2**60), 5]})).doubts()
    assert not read(pd.DataFrame({"v": [2**53 - 1, 2**53 - 2]})).doubts()
    assert not read(pd.DataFrame({"v": [2**60, 2**60]})).doubts()
