"""Files: names, gzip, encodings, fingerprints."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import documents, files, fingerprint, lines, read
from elman.data.files import encoding_of
from elman.errors import InputError

WORDS = "naïve café – “déjà vu”, señor Müller’s £5 crème brûlée, Ångström\n" * 3


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_are_found(tmp_path: Path, encoding: str, packed: bool) -> None:
    data = WORDS.encode(encoding)
    path = put(tmp_path / "a.txt", gzip.compress(data) if packed else data)
    assert "".join(lines(path)) == WORDS
    table = put(tmp_path / "t.csv", f'text,n\n"{WORDS.strip()}",1\n'.encode(encoding))
    assert read(table).texts("text") == [WORDS.strip()]


def test_latin_1_is_read_without_a_word_and_other_alphabets_too(tmp_path: Path) -> None:
    assert list(lines(put(tmp_path / "a.txt", "Ñandú\n".encode("latin-1")))) == ["Ñandú\n"]
    russian = "Привет, как дела? Это проверка кодировки текста на русском языке.\n"
    assert list(lines(put(tmp_path / "b.txt", russian.encode("cp1251")))) == [russian]
    japanese = "これはテストです。日本語の文章をいくつか書きます。\n"
    assert list(lines(put(tmp_path / "c.txt", japanese.encode("shift_jis")))) == [japanese]


def test_one_late_byte_decides(tmp_path: Path) -> None:
    data = b"plain words only\n" * 200_000 + b"caf\xe9\n"
    path = put(tmp_path / "a.txt", data)
    assert encoding_of(path) == "cp1252"
    assert list(lines(path))[-1] == "café\n"
    cut = put(tmp_path / "b.txt", "x" * 70 + "\nna\u00efv\u00e9"[:-1] + "\xe9")
    assert encoding_of(cut) == "utf-8"


def test_a_wrong_encoding_names_byte_line_and_fix(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", b"one\ntwo\ncaf\xe9 x\n")
    with pytest.raises(InputError) as caught:
        list(lines(path, encoding="utf-8"))
    assert str(caught.value) == (
        f"{path}, row 3: Byte 12 is not utf-8 text. "
        "It reads as cp1252: set encoding='cp1252', or leave it out."
    )
    # The same far into the file, in gzip, in CSV, and for an encoding of two bytes.
    far = b"a,b\n" + b"1,2\n" * 400_000 + b"\xe9,2\n"
    for name, data in (("far.csv", far), ("far.csv.gz", gzip.compress(far))):
        with pytest.raises(InputError, match=r"row 400002: Byte 1600005 is not utf-8"):
            read(put(tmp_path / name, data), encoding="utf-8")
    with pytest.raises(InputError, match=r"is not utf-16"):
        list(lines(put(tmp_path / "odd.txt", b"abc"), encoding="utf-16"))
    with pytest.raises(InputError, match="Byte 4 is not ascii"):
        read(put(tmp_path / "c.csv", "a,é\n1,2\n"[:2] + "xé\n1,2\n"), encoding="ascii")
    with pytest.raises(InputError, match=r"no encoding 'utf8x'\. Did you mean 'utf-8'"):
        list(lines(path, encoding="utf8x"))


def test_only_line_ends_end_lines(tmp_path: Path) -> None:
    text = "a\x0bb\x0cc\x85d\u2028e\x1cf\r\ng\rh\ni"
    path = put(tmp_path / "a.txt", text)
    assert list(lines(path)) == ["a\x0bb\x0cc\x85d\u2028e\x1cf\n", "g\n", "h\n", "i"]
    assert list(documents(path)) == ["a\x0bb\x0cc\x85d\u2028e\x1cf\ng\nh\ni"]


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", "a\n1\n")
    with pytest.raises(InputError, match=r"trian\.csv: There is no such file\. Did you mean 'tr"):
        read(tmp_path / "trian.csv")
    with pytest.raises(InputError, match="its folder does not exist"):
        read(tmp_path / "none" / "train.csv")
    with pytest.raises(InputError, match="No file was given"):
        read([])


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl", "a.tsv", "a.ts", "a.tsf", "a"])
@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    for data in (content, gzip.compress(content)):
        with pytest.raises(InputError, match=rf"{name}: The file is empty"):
            read(put(tmp_path / name, data))


def test_junk_is_refused(tmp_path: Path) -> None:
    junk = os.urandom(5000) + b"\0"
    for name in ("a.csv", "a.txt", "a.jsonl", "b"):
        with pytest.raises(InputError, match="not a text file"):
            read(put(tmp_path / name, b"\x01" + junk))
    with pytest.raises(InputError, match="not gzip"):
        read(put(tmp_path / "a.csv.gz", b"a,b\n1,2\n"))
    packed = gzip.compress(b"a,b\n" + os.urandom(3000).hex().encode() + b",2\n")
    with pytest.raises(InputError, match="cut off"):
        read(put(tmp_path / "c.csv.gz", packed[: len(packed) // 2]))
    with pytest.raises(InputError, match="damaged"):
        read(put(tmp_path / "d.csv.gz", packed[:-8] + b"12345678"))
    with pytest.raises(InputError, match="This is a zip archive"):
        read(put(tmp_path / "x.csv", b"PK\x03\x04rest"))
    with pytest.raises(InputError, match="not Parquet"):
        read(put(tmp_path / "a.parquet", b"PAR1 nothing PAR1"))


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", gzip.compress(b"a\n1\n"))
    assert read(path).numbers("a").tolist() == [1]


def test_fingerprints_follow_the_content(tmp_path: Path) -> None:
    a, b = put(tmp_path / "d" / "a", "one"), put(tmp_path / "d" / "b", "one")
    assert fingerprint(a) == fingerprint(b)
    assert fingerprint(a).startswith("3:")
    whole = fingerprint(tmp_path / "d")
    put(b, "two")
    assert fingerprint(a) != fingerprint(b)
    assert fingerprint(tmp_path / "d") != whole
    with pytest.raises(InputError, match="no such file"):
        fingerprint(tmp_path / "c")


def test_a_large_file_is_sampled_from_first_to_last(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    before = fingerprint(path)
    for place in (0, 98 << 20, (200 << 20) - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        after = fingerprint(path)
        assert after != before
        before = after


@settings(deadline=None, max_examples=100)
@given(st.text("aé\r\n ", max_size=30), st.integers(1, 7))
def test_pieces_are_the_lines_and_end_with_one(text: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_bytes(text.encode())
        found = list(files.pieces(path, "utf-8", size))
        assert "".join(found) == "".join(files.lines(path, "utf-8"))
        assert all(found)
        assert all(piece.endswith("\n") for piece in found[:-1])


def test_a_list_of_texts_is_not_taken_for_paths() -> None:
    with pytest.raises(InputError, match=r"none of the 2 is there: 'good'.*\{'text': \[\.\.\.\]\}"):
        read(["good", "bad"])


def test_a_folder_is_listed_as_people_count(tmp_path):
    for number in (1, 2, 10, 11, 100):
        (tmp_path / f"part{number}.csv").write_text("a,b\n1,2\n")
    names = [path.stem for path in files.listing(tmp_path)]
    assert names == ["part1", "part2", "part10", "part11", "part100"]


def test_standard_input_and_pipes_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in ("-", pipe):
        with pytest.raises(
            InputError, match=r"pipes are not read .*> data\.csv|not read, for data"
        ):
            files.find(source)
    (tmp_path / "-").write_text("a,b")
    assert files.find("-").read_text() == "a,b"


def test_what_describes_a_dump_of_data_is_no_data(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"features": {"text": "string"}}')
    (tmp_path / "train.jsonl").write_text('{"text": "so", "label": "a"}\n' * 3)
    assert [path.name for path in files.listing(tmp_path)] == ["train.jsonl"]
