"""Files that people have: formats found by content, and what is something else is named."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from workbooks import ROWS, ods, xlsx

from elman.data import read
from elman.errors import InputError


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Workbooks


@pytest.mark.parametrize("name", ["a.xlsx", "a.ods"])
def test_a_sheet_gives_its_columns_with_their_types(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    xlsx(path, {"One": ROWS, "Empty": []}) if name == "a.xlsx" else ods(path, ROWS)
    table = read(path)
    assert list(table.kinds) == ["id", "text", "n", "label"]
    assert table.numbers("n").tolist() == [1.5, 2, 3]
    assert table.labels("label") == ["x", "y", "x"]
    assert table.where(1) == (path, 3)
    assert table.notes()[0] == "Sheet 'One'."


def test_several_sheets_are_named_and_one_is_chosen(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "a.xlsx", {"One": ROWS, "Two": [["a"], [7], [8]]})
    with pytest.raises(InputError, match=r"several sheets: 'One' \(4 rows\), 'Two' \(3 rows\)"):
        read(path)
    assert read(path, sheet="Two").numbers("a").tolist() == [7, 8]
    with pytest.raises(InputError, match=r"There is no sheet 'Too'\. Did you mean 'Two'"):
        read(path, sheet="Too")
    with pytest.raises(InputError, match="is for workbooks"):
        read(put(tmp_path / "a.csv", "a\n1\n"), sheet="Two")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"a,b\n1,2\n", "not a workbook, or damaged"),
        (b"PK\x03\x04" + b"\0" * 90, "workbook is damaged|zip archive"),
        (b"%PDF-1.4", "This is a PDF document"),
    ],
)
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(put(tmp_path / "a.xlsx", content))


def test_a_workbook_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sheets of the workbook are empty"):
        read(xlsx(tmp_path / "a.xlsx", {"One": []}))
    with pytest.raises(InputError, match="has a header and no rows"):
        read(xlsx(tmp_path / "b.xlsx", {"One": [["a", "b"]]}))


@pytest.mark.parametrize("several", [False, True])
def test_formulas_without_their_values_are_named(tmp_path: Path, several: bool) -> None:
    rows: list[list[Any]] = [["n", "twice"], [1, "=A2*2&gt;1"], [2, "=A3*2"], [3, 6]]
    sheets = {"One": rows, "Two": []} if several else {"One": [["=SUM(1,2)"]]}
    path = xlsx(tmp_path / "a.xlsx", sheets)
    count, first = (2, r"\(=A2\*2>1\)") if several else (1, r"\(=SUM\(1,2\)\)")
    said = rf"{count} cells hold formulas without .* cell B2 {first}: .*Excel or LibreOffice"
    with pytest.raises(InputError, match=said):
        read(path)


# ARFF, rows of numbers, tables without a header, targets

ARFF = """% made for this test
@RELATION 'a b'
@attribute 'first one' numeric
@attribute second REAL
@attribute name string
@attribute class {yes, 'not yet'}
@DATA
1, 2.5, 'it, is', yes
?, 3, "so", 'not yet'
"""


def test_arff(tmp_path: Path) -> None:
    for name in ("a.arff", "a.data"):
        path = put(tmp_path / name, ARFF.replace('"so"', "'so'"))
        table = read(path)
        assert table.kinds == {
            "first one": "number",
            "second": "number",
            "name": "text",
            "class": "category",
        }
        assert table.frame["second"].tolist() == [2.5, 3]
        assert np.isnan(table.frame["first one"][1])
        assert table.frame["name"].tolist() == ["it, is", "so"]
        assert table.labels("class") == ["yes", "not yet"]
        assert table.where(1) == (path, 9)


def test_a_relation_is_a_series_with_a_dimension_a_line(tmp_path: Path) -> None:
    text = (
        "@relation x\n@attribute r relational\n@attribute t0 numeric\n@end r\n"
        "@attribute c {a,b}\n@data\n'1,2,3\\n4,5,6',a\n'7,8,9\\n1,?,3',b\n"
    )
    table = read(put(tmp_path / "a.arff", text))
    assert table.frame["r"][0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert table.labels("c") == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1, 2, 3\n", r"row 8: The row has 3 values; the header has 4"),
        ("x, 2, a, yes\n", r"row 8, column 'first one': 'x' is not a number"),
        ("1, 2, a, no\n", r"row 8, column 'class': 'no' is not among"),
        ("{0 1, 3 yes}\n", r"row 8: Sparse rows"),
    ],
)
def test_a_wrong_row_of_arff_is_named(tmp_path: Path, line: str, said: str) -> None:
    head = ARFF[: ARFF.index("1, 2.5")]
    with pytest.raises(InputError, match=said):
        read(put(tmp_path / "a.arff", head + line))


@pytest.mark.parametrize("mark", ["  ", "\t", ",", " , "])
@pytest.mark.parametrize("name", ["X_TRAIN", "X_TRAIN.txt", "X_TRAIN.tsv"])
def test_ucr_text(tmp_path: Path, mark: str, name: str) -> None:
    rows = [[i % 2 + 1, 0.5, -1.25, i + 0.125] for i in range(8)]
    lines = [f"  {mark.join(f'{v:.7e}' for v in row)}\n" for row in rows]
    lines[3] = lines[3].rstrip("\n") + f"{mark}NaN\n"
    table = read(put(tmp_path / name, "".join(lines)))
    assert table.labels("label") == ["1", "2"] * 4
    assert table.frame["series"][2][:, 0].tolist() == [0.5, -1.25, 2.125]
    few = read(put(tmp_path / "new" / name, "".join(lines[1:3])))
    assert few.kinds == table.kinds
    assert len(table.frame["series"][3]) == 3  # what is missing at the end is not there
    assert "its label" in table.notes()[0]


def test_rows_of_numbers_without_labels_are_numbered_columns(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.txt", "0.5,1\n0.7,2\n0.9,3\n"))
    assert table.kinds == {"column 1": "number", "column 2": "number"}
    assert table.frame["column 2"].tolist() == [1, 2, 3]
    path = put(tmp_path / "b.txt", "0.5 1 2\n0.7 2\n")
    with pytest.raises(InputError, match=r"b.txt, row 2: The row has 2 numbers"):
        read(path)
    late = put(tmp_path / "c.txt", "0.5 1 2\n" * 20_000 + "0.5 x 2\n")
    with pytest.raises(InputError, match=r"row 20001, column 'column 2': 'x' is not a number"):
        read(late)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n" * 5, ["number", "number", "category"]),
        ("ham,see you at eight\nspam,win it\nham,well\n" + "ham,so 1\nspam,yes 2\n" * 5, None),
        ("3,1\n1,2\n2,4\n", ["number", "number"]),
    ],
)
def test_a_table_without_a_header(tmp_path: Path, text: str, kinds: list[str] | None) -> None:
    table = read(put(tmp_path / "a.csv", text))
    assert list(table.kinds) == [
        f"column {n + 1}" for n in range(text.split("\n")[0].count(",") + 1)
    ]
    assert len(table) == text.count("\n")
    assert kinds is None or list(table.kinds.values()) == kinds
    assert "header" in table.notes()[0]
    assert table.where(0)[1] == 1


@pytest.mark.parametrize(
    "text",
    [
        "name,2019,2020,2021\nA,1,2,3\nB,4,5,6\n",  # years name the columns
        "0,1,2\n5,6,7\n8,9,1\n",
        "name,2020\nA,5\nB,7\n",
        "text,label\nso it is,a\nno,a\nyes,b\n",
    ],
)
def test_a_header_stays_one(tmp_path: Path, text: str) -> None:
    assert list(read(put(tmp_path / "a.csv", text)).kinds) == text.split("\n")[0].split(",")


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\na,b\n3,4\n", "a,b\n1,2\n a, b\n", "text,label\nso it is,a\ntext,label\nyes,b\n"],
)
def test_a_header_in_the_middle_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="row 3: The row repeats the names of the columns"):
        read(put(tmp_path / "a.csv", text))


def test_one_name_among_the_values_is_a_value(tmp_path: Path) -> None:
    assert len(read(put(tmp_path / "a.csv", "text,label\nso,a\ntext,a\nyes,label\n"))) == 3


def test_targets_of_ts_files_are_numbers(tmp_path: Path) -> None:
    head = "@problemName x\n@targetlabel true\n@data\n"
    table = read(put(tmp_path / "a.ts", head + "1,2:3,4:0.5\n1,2:3,4:-2\n"))
    assert table.numbers("target").tolist() == [0.5, -2]
    assert table.frame["series"][0].shape == (2, 2)
    with pytest.raises(InputError, match=r"a.ts, row 4: The target 'x' is not a number"):
        read(put(tmp_path / "a.ts", head + "1,2:x\n"))


@pytest.mark.parametrize("name", ["a.txt", "a", "a.tsv"])
def test_tokens_with_tags_are_known_by_their_lines(tmp_path: Path, name: str) -> None:
    text = "Ann\tB-PER\nran\tO\n\nBob\tB-PER\nsat\tO\n\n"
    table = read(put(tmp_path / name, text))
    assert table.frame["tokens"].tolist() == [["Ann", "ran"], ["Bob", "sat"]]


# Text with labels


def test_labels_stand_beside_a_tab_whatever_the_files_are_called(tmp_path: Path) -> None:
    for name in ("imdb_labelled", "yelp_labelled"):
        put(tmp_path / f"{name}.txt", "".join(f"film {name} {i} .\t{i % 2}\n" for i in range(9)))
    table = read(tmp_path)
    assert set(table.labels("label")) == {"0", "1"}
    assert table.texts("text")[1] == "film imdb_labelled 1 ."
    one = read(
        put(
            tmp_path / "other" / "sms",
            "ham\tsee you\nham\tat eight\nspam\twin it\nspam\tnow or never\n",
        )
    )
    assert one.labels("label") == ["ham", "ham", "spam", "spam"]
    assert "before the tab" in one.notes()[0]
    assert set(read(sorted(tmp_path.glob("*.txt")), labels="file").labels("label")) == {
        "imdb_labelled",
        "yelp_labelled",
    }


@pytest.mark.parametrize(
    ("first", "row"),
    [
        ("review\tsentiment", "a {good} film {i}\t{pos}"),
        ("Satz\tKlasse", "a {good} film {i}\t{pos}"),
        ("Satz\tWert", "a {good} film {i}\t{one}"),
        ("label\ttext", "{pos}\ta {good} film {i}"),
        ("label text", "{pos} a {good} film {i}"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_names_above_labelled_texts_are_no_example(
    tmp_path: Path, first: str, row: str, encoding: str
) -> None:
    words = [{"good": "dull", "pos": "neg", "one": 0}, {"good": "fine", "pos": "pos", "one": 1}]
    lines = [first, *(row.format(i=i, **words[i % 2]) for i in range(12))]
    path = put(tmp_path / "a.txt", "\n".join(lines).encode(encoding))
    table = read(path, labels="found")
    assert len(table) == 12
    assert len(set(table.labels("label"))) == 2
    assert table.where(0) == (path, 2)
    assert f"The first line is a header: {first.replace(chr(9), ', ')}." in table.notes()


@pytest.mark.parametrize(
    "lines",
    [
        ["fine\tneutral", "a good film\tpos", "a bad one\tneg", "too good\tpos"],
        ["text\tpos", "a good film\tpos", "a bad one\tneg", "too good\tneg"],
        ["Not bad, not good\tmixed", "a good film\tpos", "a bad film\tneg", "so good\tpos"],
    ],
)
def test_a_rare_label_in_the_first_line_stays_an_example(tmp_path: Path, lines: list[str]) -> None:
    table = read(put(tmp_path / "a.txt", "\n".join(lines)), labels="after tab")
    assert table.texts("text")[0] == lines[0].split("\t")[0]


def test_pairs_of_sentences_are_no_labels(tmp_path: Path) -> None:
    text = "".join(f"go home {i}\tgeh heim {i}\n" for i in range(20))
    assert list(read(put(tmp_path / "a.txt", text)).kinds) == ["text"]


def test_a_line_without_its_tab_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", "so\t1\nno label\n")
    with pytest.raises(
        InputError, match=r"a.txt, row 2: The line has no tab.*Write the text, a tab"
    ):
        read(path, labels="after tab")


# What is something else


def packed(kind: str) -> bytes:
    held = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=held, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())
    elif kind == "npz":
        np.savez(held, a=np.zeros(3))
    elif kind == "npy":
        np.save(held, np.zeros(3))
    else:
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("a.csv", "a\n1\n")
    return held.getvalue()


FOREIGN = {
    "a WAV recording": b"RIFF\0\0\0\0WAVEfmt ",
    "an MP3 recording": b"ID3\x03\0\0\0\0",
    "a tar archive": packed("tar"),
    "a zip archive": packed("zip"),
    "a PNG picture": b"\x89PNG\r\n\x1a\n",
    "a JPEG picture": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a PDF document": b"%PDF-1.7\n",
    "a Python pickle": pickle.dumps({"a": 1}),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n\0",
    "a NumPy array": packed("npy"),
    "a NumPy archive": packed("npz"),
    "a Parquet file": b"PAR1\x15\x04",
    "an old Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a web page": b"<!DOCTYPE html><html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a", "a.conll", "a.jsonl"])
def test_what_is_something_else_is_named(tmp_path: Path, what: str, name: str) -> None:
    # The end of an archive, which says what is in it, is not looked for inside gzip.
    inside = "a zip archive" if what == "a NumPy archive" else what
    for content, said in ((FOREIGN[what], what), (gzip.compress(FOREIGN[what]), inside)):
        with pytest.raises(InputError, match=f"This is {said}") as error:
            read(put(tmp_path / name, content))
        assert error.value.fix


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "opened"), "w"))

    for name in ("a.csv", "a.npy", "a.parquet", "a.xlsx", "a.pkl"):
        with pytest.raises(InputError):
            read(put(tmp_path / name, pickle.dumps(Bomb())))
    assert not (tmp_path / "opened").exists()


def test_text_that_begins_as_a_format_does_stays_text(tmp_path: Path) -> None:
    for word in ("ORCHESTRA", "FORM", "RDX2", "ID3", "BZh", "PAR1"):
        path = put(tmp_path / "a.txt", f"{word} is here\nand there\n")
        assert read(path).texts("text")[0] == f"{word} is here"


def test_a_few_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    text = "Déjà vu à Genève.\n" * 20
    path = put(tmp_path / "a.txt", text.encode() + b"It\x92s\n" + text.encode())
    with pytest.raises(InputError, match=r"a.txt, row 21: The file is UTF-8, but one byte.*cp1252"):
        read(path)
    assert read(path, encoding="cp1252").texts("text")[20] == "It’s"
    # A file of another encoding is still read, by a guess.
    assert len(read(put(tmp_path / "b.txt", text.encode("cp1252"))).texts("text")) == 20


def test_an_empty_recording_in_a_folder_is_named(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    import soundfile

    soundfile.write(tmp_path / "a_1.wav", np.zeros(100), 8000)
    put(tmp_path / "b_1.wav", b"")
    with pytest.raises(InputError, match=r"b_1.wav: The file is empty"):
        read(tmp_path)
    soundfile.write(tmp_path / "b_1.wav", np.zeros(0), 8000)
    with pytest.raises(InputError, match=r"b_1.wav: The recording has no samples"):
        read(tmp_path)


# In memory


def test_arrays_dicts_and_lists(tmp_path: Path) -> None:
    x = np.arange(24.0).reshape(4, 3, 2)
    table = read((x, ["a", "b"] * 2))
    assert table.kinds == {"series": "series", "label": "category"}
    np.testing.assert_array_equal(table.frame["series"][1], x[1])
    assert read((x[:, :, 0], [0, 1, 0, 1])).frame["series"][0].shape == (3, 1)
    assert read(([np.zeros(3), np.zeros((5, 1))], [1, 2])).frame["series"][1].shape == (5, 1)
    assert read((["so it is", "no"], np.array([1.0, 2.0]))).texts("text") == ["so it is", "no"]
    assert read([("so it is", "a"), ("no", "b")]).frame["label"].tolist() == ["a", "b"]
    assert read({"a": [1, 2], "b": ["x", "y"]}).numbers("a").tolist() == [1, 2]
    assert read([{"a": 1}, {"a": 2}]).numbers("a").tolist() == [1, 2]
    assert read(pd.Series([1.0, 2.0])).numbers("value").tolist() == [1, 2]
    assert list(read(np.zeros((5, 2))).kinds) == ["x1", "x2"]
    pictures = np.zeros((2, 4, 4), np.uint8)
    assert read((pictures, [0, 1])).kinds["image"] == "image"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (3, "int is no data"),
        (None, "NoneType is no data"),
        ((np.zeros((4, 3)), [1, 2]), "X has 4 examples and y has 2 answers"),
        ((np.zeros(4), [1, 2, 3, 4]), "X has the shape"),
        ((np.zeros((4, 3)), "y"), "y is str"),
        ({"a": [1, 2], "b": [1]}, "unequal lengths: a 2, b 1"),
        ({"a": 3}, "The column 'a' is int"),
        ([None, None], "A list of NoneType"),
        (np.zeros((2, 2, 2)), "with the shape"),
        (np.array(["a", "b"]), "is no data that can be read"),
        ([["a b", 1, 2]], "A list of list"),
        ("", "The path of the file is empty"),
        (b"abc", "is no path of a file"),
        ((n for n in range(3)), "'0' is no path of a file"),
        ("x" * 5000, "cannot be the path"),
        ("a\0b", "no such file"),
    ],
)
def test_data_in_memory_that_means_nothing(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(data)


def test_labels_meet_wherever_they_come_from(tmp_path: Path) -> None:
    frame = read(pd.DataFrame({"y": [True, False, True]})).labels("y")
    text = read(put(tmp_path / "a.csv", "y\nTrue\nFalse\nTrue\n")).labels("y")
    lines = read(put(tmp_path / "a.jsonl", '{"y": true}\n{"y": false}\n{"y": true}\n')).labels("y")
    assert frame == text == lines == ["true", "false", "true"]
    assert read(put(tmp_path / "b.csv", "y\n1.0\n2.0\n1.0\n")).labels("y") == ["1", "2", "1"]
    assert read(pd.DataFrame({"y": ["1.0", "2", "1.0"]})).labels("y") == ["1", "2", "1"]
    assert read(pd.DataFrame({"y": ["01", "1", "01"]})).labels("y") == ["01", "1", "01"]


def test_decimals_of_parquet_are_numbers(tmp_path):
    cells = [Decimal("1.25"), None, Decimal("-3.50")]
    frame = pd.DataFrame({"amount": cells, "name": ["a", "b", "c"]})
    frame.to_parquet(tmp_path / "a.parquet")
    for source in (frame, tmp_path / "a.parquet"):
        table = read(source)
        assert table.kinds["amount"] == "number"
        assert table.frame["amount"].fillna(0).tolist() == [1.25, 0, -3.5]


def test_a_footer_in_quotes_over_several_lines_is_called_so(tmp_path):
    rows = "".join(f"2023-01-{i:02},{i}.5\n" for i in range(1, 29))
    text = f'date,sales\n{rows}"Applied filters:\nRegion is West\nYear is 2016"\n'
    with pytest.raises(InputError, match=r"row 30: .*looks like a footer\. Take these rows out"):
        read(put(tmp_path / "a.csv", text))
    with pytest.raises(InputError, match="row 30: A quote that opens in this row is not closed"):
        read(put(tmp_path / "b.csv", text.replace('2016"', "2016")))
