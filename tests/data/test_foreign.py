"""Files that are something else than they seem, and names that lead nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elman.data import read
from elman.errors import InputError
from elman.runs.look import look
from elman.tasks.generate.corpus import find

JPEG = b"\xff\xd8\xff\xe0" + b"not a picture " * 9
PROSE = "It was a dark night, and the wind had not yet come.\n" * 4


def test_a_picture_beside_books_is_left_out_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(PROSE)
    (tmp_path / "cover.jpg").write_bytes(JPEG)
    (tmp_path / "scan").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r")
    found = find(tmp_path, None, None)
    assert [Path(str(source)).name for source in found.sources] == ["one.txt"]
    assert found.left_out == ("cover.jpg (a picture)", "scan (a PNG picture)")
    lines = dict(look("generate", tmp_path)[0].lines)
    assert lines["left out"] == "cover.jpg (a picture), scan (a PNG picture)"


def test_a_folder_of_pictures_alone_says_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r")
    with pytest.raises(InputError, match="This is a PNG picture"):
        find(tmp_path, None, None)


@pytest.mark.parametrize("name", ["a.ipynb", "a.txt"])
def test_a_notebook_is_no_text(tmp_path: Path, name: str) -> None:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [PROSE] * 9}]
    (tmp_path / name).write_text(json.dumps({"cells": cells, "nbformat": 4}, indent=1))
    with pytest.raises(
        InputError, match=r"This is a notebook of Jupyter\. Write its text to a file"
    ):
        find(tmp_path / name, None, None)
    (tmp_path / "one.txt").write_text(PROSE)
    assert find(tmp_path, None, None).left_out == (f"{name} (a notebook of Jupyter)",)


def test_a_cue_above_prose_makes_no_subtitles_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nSo.\n\n" + PROSE * 20)
    assert PROSE in "".join(find(path, None, None).texts())


def test_a_picture_among_texts_without_endings_is_no_example(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_text(PROSE)
        (tmp_path / folder / "logo.gif").write_bytes(b"GIF89a" + b"x" * 20)
    assert read(tmp_path).labels("label") == ["a", "b"]


def test_a_few_words_again_and_again_are_no_text_to_learn_from(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,left\n" + "".join(f"{n},{n % 2 == 0}\n" for n in range(12)))
    with pytest.raises(InputError, match=r"Column 'left' holds 2 different words \(False, True\)"):
        find(path, None, None)
    assert "no writing can be learnt" in find(path, "left", None).doubts[0]
    path.write_text("n,said\n" + "".join(f"{n},so it goes {n % 2}\n" for n in range(12)))
    assert find(path, None, None).doubts == ()


@pytest.mark.parametrize(
    ("head", "what", "fix"),
    [
        (b"r\2\1\0\6\0\x2c\1" + b"\0" * 9, "a Stata file", "pandas.read_stata"),
        (b"<stata_dta><header>", "a Stata file", "pandas.read_stata"),
        (b"$FL2@(#) SPSS\0", "an SPSS file", "pandas.read_spss"),
        (b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14", "a SAS file", "pandas.read_sas"),
        (b"\xff\xff\xff\xff\xd0\0\0\0\x10", "an Arrow file, as [^.]*", "load_from_disk"),
        (b"X\n\0\0\0\3\0\4", "an R file", "write.csv"),
        (b"RDX3\nX\n\0\0", "an R file", "write.csv"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file", "pandas.read_hdf"),
        (b"ARROW1\0\0", r"an Arrow \(Feather\) file", "pandas.read_feather"),
        (b"\x93NUMPY\1\0", "a NumPy array", "numpy.load"),
        (b"SQLite format 3\0", "an SQLite database", "pandas.read_sql"),
    ],
)
def test_files_of_other_programs_are_named_with_what_to_do(
    tmp_path: Path, head: bytes, what: str, fix: str
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(head)
    with pytest.raises(InputError, match=rf"This is {what}\..*{fix}"):
        read(path)


def test_a_link_to_nothing_and_a_name_like_no_other(tmp_path: Path) -> None:
    link = tmp_path / "a.csv"
    link.symlink_to("gone.csv")
    with pytest.raises(InputError, match=r"a.csv: This is a link to gone.csv, which is not there"):
        read(link)
    (tmp_path / "46_nolabel.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"no such file\. The folder holds '46_nolabel.csv', 'a"):
        read(tmp_path / "nope.csv")
    with pytest.raises(InputError, match=r"Did you mean '46_nolabel\.csv'"):
        read(tmp_path / "46_nolable.csv")


def test_marks_of_labels_for_fasttext_are_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("__label__pos a fine film\n__label__neg a dull one\n" * 3)
    table = read(path, labels="found")
    assert table.labels("label") == ["pos", "neg"] * 3
    assert "__label__ was taken off the names of the classes." in table.notes()
    path.write_text("__label__pos a fine film\n__label__neg __label__sad a dull one\n")
    table = read(path, labels="found")
    assert table.kinds["label"] == "tokens"
    assert list(table.frame["label"]) == [["pos"], ["neg", "sad"]]
    assert list(table.frame["text"]) == ["a fine film", "a dull one"]
    path.write_text("__label__pos a fine film\nneg a dull one\n")
    with pytest.raises(InputError, match="row 2: The line has no label that begins with __label__"):
        read(path, labels="found")


def test_a_saved_dataset_of_hugging_face_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "state.json").write_text('{"_fingerprint": "x"}')
        (tmp_path / part / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff\xd0\0\0\0")
    for task in ("classify", "generate", "translate"):
        with pytest.raises(InputError, match=r"arrow: This is an Arrow file.*load_from_disk"):
            look(task, tmp_path)
