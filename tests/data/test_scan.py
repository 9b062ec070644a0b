"""Arrow batches: the same values as `read`, and errors that name the row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from elman.data import read, scan, scanning
from elman.errors import InputError


def put(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 5000
    return pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=n, freq="h").strftime("%Y-%m-%d %H:%M:%S"),
            "x": rng.normal(size=n).tolist(),
            "n": rng.integers(0, 9, n).tolist(),
            "words": [f'he said, "é{i}"\nand left' for i in range(n)],
        }
    )


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_BLOCK", 1 << 14)
    monkeypatch.setattr(scanning, "_ROWS", 500)


def test_batches_hold_what_the_file_holds(tmp_path: Path, frame: pd.DataFrame) -> None:
    text = frame.to_csv(index=False)
    records = "\n".join(json.dumps(r) for r in frame.to_dict("records"))
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=700)
    for path in (
        put(tmp_path / "a.csv", text),
        put(tmp_path / "b.csv.gz", gzip.compress(text.encode())),
        put(tmp_path / "c.csv", text.encode("utf-16")),
        put(tmp_path / "d.csv", text.encode("cp1252")),
        put(tmp_path / "e.tsv", frame.to_csv(index=False, sep="\t")),
        put(tmp_path / "f.jsonl", records),
        tmp_path / "a.parquet",
    ):
        batches = list(scan(path))
        assert len(batches) > 5
        table = pa.Table.from_batches(batches)
        assert table["x"].to_pylist() == frame["x"].tolist()
        assert table["n"].to_pylist() == frame["n"].tolist()
        assert table["words"].to_pylist() == frame["words"].tolist()
        assert [str(t)[:19] for t in table["t"].to_pylist()] == frame["t"].tolist()
        some = pa.Table.from_batches(scan(path, columns=["words", "n"]))
        assert some.column_names == ["words", "n"]
        assert len(some) == len(frame)


def test_missing_numbers_are_null_and_missing_words_are_words(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "x,w\n1,a\nNA,NA\n,\n 2 ,b\n")
    table = pa.Table.from_batches(scan(path))
    assert table["x"].to_pylist() == [1, None, None, 2]
    assert table["w"].to_pylist() == ["a", "NA", "", "b"]
    assert pa.Table.from_batches(scan(path, types={"x": "text"}))["x"].to_pylist()[1] == "NA"


def test_several_files_are_one_stream(tmp_path: Path) -> None:
    for name, value in (("a.csv", "1"), ("b.csv", "2.5")):
        put(tmp_path / name, f"x\n{value}\n")
    assert pa.Table.from_batches(scan(tmp_path))["x"].to_pylist() == [1, 2.5]


def test_a_row_longer_than_a_block(tmp_path: Path) -> None:
    texts = ["short"] * 2000 + ["long, " * 20_000, "short", "words\n" * 30_000, ""]
    frame = pd.DataFrame({"i": range(len(texts)), "text": texts})
    path = put(tmp_path / "a.csv", frame.to_csv(index=False))
    table = pa.Table.from_batches(scan(path))
    assert table["i"].to_pylist() == list(range(len(texts)))
    assert table["text"].to_pylist() == texts
    path = put(tmp_path / "b.csv", "i,text\n1,a\n" + '2,"open\n' + "3,b\n" * 30_000)
    with pytest.raises(InputError, match="row 3"):
        list(scan(path))


def test_what_does_not_fit_later_names_its_row(tmp_path: Path) -> None:
    many = "".join(f'{i},"a\nb"\n' for i in range(3000))
    cases = {
        "oops,c\n": r"row 6002, column 'x': 'oops' is not a number\. The column held numbers",
        "1,2,3\n": r"row 6002: The row has 3 fields; the header has 2",
        "1\n": r"row 6002: The row has 1 field; the header has 2",
    }
    for line, expected in cases.items():
        path = put(tmp_path / "a.csv", "x,w\n" + many + line + many)
        with pytest.raises(InputError, match=expected):
            list(scan(path))
    path = put(tmp_path / "a.csv", ("x,w\n" + many).encode() + b"1,\xe9\n")
    with pytest.raises(InputError, match=r"row 6002: Byte \d+ is not utf-8"):
        list(scan(path, encoding="utf-8"))
    lines = "".join(f'{{"x": {i}}}\n' for i in range(900))
    path = put(tmp_path / "a.jsonl", lines + '{"x": "one"}\n')
    with pytest.raises(InputError, match="row 901, column 'x': The value is no double"):
        list(scan(path))
    path = put(tmp_path / "a.jsonl", lines + '{"x": \n')
    with pytest.raises(InputError, match="row 901: The line is not JSON"):
        list(scan(path))


def test_what_cannot_be_scanned_is_explained(tmp_path: Path, frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="header and no rows"):
        list(scan(put(tmp_path / "a.csv", "a,b\n")))
    with pytest.raises(InputError, match="Did you mean 'price'"):
        list(scan(put(tmp_path / "a.csv", "price\n1\n"), columns=["prize"]))
    with pytest.raises(InputError, match="Only CSV, TSV, JSON lines and Parquet"):
        list(scan(put(tmp_path / "a.txt", "hello\n")))
    frame.to_parquet(tmp_path / "b.parquet")
    packed = gzip.compress((tmp_path / "b.parquet").read_bytes())
    with pytest.raises(InputError, match="Unpack it"):
        list(scan(put(tmp_path / "b.parquet.gz", packed)))
    with pytest.raises(InputError, match="not Parquet"):
        list(scan(put(tmp_path / "c.parquet", "PAR1junkPAR1")))
    with pytest.raises(InputError, match="Did you mean 'words'"):
        list(scan(tmp_path / "b.parquet", columns=["word"]))


def test_scan_and_read_agree_on_real_data(data_dir: Path) -> None:
    path = data_dir / "etth1" / "ETTh1.csv.gz"
    table = read(path)
    scanned = pa.Table.from_batches(scan(path))
    for name in ("HUFL", "OT"):
        assert scanned[name].to_pylist() == table.numbers(name).tolist()
    assert [t.timestamp() for t in scanned["date"].to_pylist()[:3]] == [
        t.timestamp() for t in table.column("date").dt.to_pydatetime()[:3]
    ]


def test_a_broken_name_in_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"aaaaaaaa": range(9), "b": ["x"] * 9}).to_parquet(path)
    broken = path.read_bytes().replace(b"aaaaaaaa", b"aaaaaaa\xd4")
    with pytest.raises(InputError, match="not Parquet, or damaged"):
        list(scan(put(path, broken)))
