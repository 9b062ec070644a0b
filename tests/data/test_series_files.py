"""`.ts`, `.tsf` and wide CSV: shapes, missing values, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elman.data import read, series_from_wide
from elman.errors import InputError

TS = """# a comment
% another
@problemName Waves
@timestamps false
@dimensions 2
@equalLength false
@classLabel true up down
@data
1,2,3:4,5,6:up

# inside
7,?:8,9.5:down
"""
TSF = """# Monash
@relation sales
@attribute series_name string
@attribute state string
@attribute start_timestamp date
@frequency monthly
@horizon 8
@missing true
@data
T1:NSW:1979-01-01 00-00-00:1.5,?,3
T2:VIC:1979-02-01 00-00-00:4
"""


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_ts(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.ts", TS))
    assert table.kinds == {"series": "series", "label": "category"}
    assert table.labels("label") == ["up", "down"]
    first, second = table.series("series", allow_missing=True)
    assert first.tolist() == [[1, 4], [2, 5], [3, 6]]
    np.testing.assert_array_equal(second, [[7, 8], [np.nan, 9.5]])
    assert [table.where(i)[1] for i in range(2)] == [9, 12]
    assert table.meta["problemname"] == "Waves"
    with pytest.raises(InputError, match="row 12, column 'series': Value 2 of the series is miss"):
        table.series("series")


def test_a_train_and_a_test_file_are_one_table(tmp_path: Path) -> None:
    a, b = put(tmp_path / "a.ts", TS), put(tmp_path / "b.ts", TS)
    table = read([a, b])
    assert len(table) == 4
    assert table.where(3) == (b, 12)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("7,?:8,9.5:down", "7,?:8,9.5:dwn", "row 12: The label 'dwn' is not among"),
        ("7,?:8,9.5:down", "7,?:8,9.5,3:down", "row 12: Dimension 2 has 3 values; dimension 1"),
        ("7,?:8,9.5:down", "7,x:8,9.5:down", "row 12: 'x' is not a number (dimension 1)."),
        ("7,?:8,9.5:down", "7,1:down", "row 12: The case has 1 dimensions; the first one has 2"),
        ("7,?:8,9.5:down", ":8:down", "row 12: The series has no values"),
        ("7,?:8,9.5:down", "down", "row 12: The case has no class label"),
        ("@data\n", "", "row 8: Data come before @data"),
        (TS[TS.index("1,2,3") :], "", "There is no case after @data"),
        ("@timestamps false", "@timestamps true", "row 4: Series with time stamps are not read"),
    ],
)
def test_a_broken_ts_is_explained(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = put(tmp_path / "a.ts", TS.replace(old, new))
    with pytest.raises(InputError) as caught:
        read(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_tsf(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.tsf", TSF))
    assert table.kinds == {
        "series_name": "category", "state": "category", "start_timestamp": "time",
        "series": "series",
    }  # fmt: skip
    assert [str(t) for t in table.column("start_timestamp")][1] == "1979-02-01 00:00:00"
    first, second = table.series("series", allow_missing=True)
    np.testing.assert_array_equal(first, [[1.5], [np.nan], [3]])
    assert second.tolist() == [[4]]
    assert (table.meta["frequency"], table.meta["horizon"]) == ("monthly", "8")
    with pytest.raises(InputError, match="row 11: The row has 2 attributes; the header names 3"):
        read(put(tmp_path / "b.tsf", TSF.replace("T2:VIC:", "T2:VIC-")))


def test_one_series_a_row(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.csv", '"V1","V2","V3","V4"\n"H1","1","2","3"\n"H2","4",,\n"H3",,"5",\n'
    )
    table = series_from_wide(read(path))
    assert table.kinds == {"V1": "category", "series": "series"}
    assert table.labels("V1") == ["H1", "H2", "H3"]
    cells = table.series("series", allow_missing=True)
    assert [c[:, 0].tolist() for c in cells[:2]] == [[1, 2, 3], [4]]
    np.testing.assert_array_equal(cells[2][:, 0], [np.nan, 5])
    with pytest.raises(InputError, match="row 4, column 'series': Value 1"):
        table.series("series")
    nameless = series_from_wide(read(put(tmp_path / "b.csv", "a,b\n1,2\n3,\n")))
    assert nameless.labels("name") == ["1", "2"]
    with pytest.raises(InputError, match="row 3: The series has no values"):
        series_from_wide(read(put(tmp_path / "c.csv", "n,a,b\nx,1,2\ny,,\n")))
    with pytest.raises(InputError, match="2 columns that are not of numbers: n, m"):
        series_from_wide(read(put(tmp_path / "d.csv", "n,m,b\nx,y,2\n")))


def test_real_series(data_dir: Path) -> None:
    for name, cases, channels, lengths in (
        ("tsc_japanesevowels/JapaneseVowels", (270, 370), 12, (7, 29)),
        ("tsc_basicmotions/BasicMotions", (40, 40), 6, (100, 100)),
        ("tsc_arrowhead/ArrowHead", (36, 175), 1, (251, 251)),
    ):
        for part, count in zip(("TRAIN", "TEST"), cases, strict=True):
            table = read(data_dir / f"{name}_{part}.ts")
            series = table.series("series")
            assert len(series) == len(table.labels("label")) == count
            assert {s.shape[1] for s in series} == {channels}
            assert min(map(len, series)) >= lengths[0]
            assert max(map(len, series)) <= lengths[1]
    table = series_from_wide(read(data_dir / "m4_hourly" / "Hourly-train.csv.gz"))
    sizes = [len(s) for s in table.series("series")]
    assert (len(sizes), min(sizes), max(sizes)) == (414, 700, 960)
