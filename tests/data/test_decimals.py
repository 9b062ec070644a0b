"""The mark before decimals of a whole file, found, asked for, kept."""

import numpy as np
import pandas as pd
import pytest

import elman
from elman import data
from elman.errors import InputError


def put(tmp_path, text, name="a.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Another column has a comma before decimals.
        ("a;b\n1.489;0,5\n1.734;2,25\n", [1489, 1734]),
        # Whole numbers under a thousand stand beside 1.620, whose last digit is written.
        ("a;b\n986;x y\n1.620;z y\n1.253;k l\n", [986, 1620, 1253]),
        ("a\n986\n1.620\n1.253\n", [986, 1620, 1253]),
        ("a;b\n-1.489;0,5\n1.734;2,25\n;1,5\n", [-1489, 1734, np.nan]),
        # A point before other than three digits, in this column or in another.
        ("a;b\n1.489;7\n1.7;8\n", [1.489, 1.7]),
        ("a;b\n1.489;0.5\n1.734;0.25\n", [1.489, 1.734]),
        ("a;b\n1.489;0.123\n1.734;0.250\n", [1.489, 1.734]),
        # Commas between cells: the mark before decimals is a point.
        ("a,b\n1.489,7\n1.734,8\n", [1.489, 1.734]),
        ("a\tb\n1.489\t7\n1.734\t8\n", [1.489, 1.734]),
        # What drops trailing zeros writes 986 and 1.253 too.
        ("a,b\n986,7\n1.253,8\n1.62,9\n", [986, 1.253, 1.62]),
    ],
)
def test_the_file_tells_the_mark(tmp_path, text, expected):
    found = data.read(put(tmp_path, text)).frame["a"].to_numpy(float)
    np.testing.assert_array_equal(found, expected)


def test_where_nothing_tells_it_is_asked_for(tmp_path):
    file = put(tmp_path, "day;a\n2024-01-01;7\n2024-01-02;1.489\n2024-01-03;1.734\n")
    with pytest.raises(InputError, match=r"'1\.489' may stand.*decimal=") as caught:
        data.read(file)
    assert (caught.value.row, caught.value.column) == (3, "a")
    assert data.read(file, decimal=",").frame["a"].tolist() == [7, 1489, 1734]
    assert data.read(file, decimal=".").frame["a"].tolist() == [7, 1.489, 1.734]


def test_commas_of_both_readings_are_read_as_told(tmp_path):
    file = put(tmp_path, 'a,b\n"1,489",7\n"144,007",8\n')
    assert data.read(file, decimal=".").frame["a"].tolist() == [1489, 144007]
    assert data.read(file, decimal=",").frame["a"].tolist() == [1.489, 144.007]


@pytest.mark.parametrize(
    ("text", "mark", "cell"),
    [("a;b\n0.5;7\n1.734;8\n", ",", "0.5"), ("a;b\n0,5;7\n1,25;8\n", ".", "0,5")],
)
def test_a_mark_that_does_not_fit_is_refused(tmp_path, text, mark, cell):
    with pytest.raises(InputError, match=f"'{cell}' is no number with '{mark}'"):
        data.read(put(tmp_path, text), decimal=mark)


def test_thousands_are_said(tmp_path):
    table = data.read(put(tmp_path, "a;b\n1.489;0,5\n1.734;2,25\n"))
    assert "A point stands between thousands in 'a'." in table.notes()[0] + table.notes()[1]
    assert table.meta["decimal"] == ","


def test_a_mark_for_what_is_no_csv_is_refused():
    frame = pd.DataFrame({"a": [1.0, 2.0] * 10, "b": [3.0, 4.0] * 10})
    with pytest.raises(InputError, match="is for CSV"):
        elman.train("regress", frame, target="b", columns=["a"], decimal=",", max_steps=1)


def days(values):
    dates = pd.date_range("2024-01-01", periods=len(values))
    rows = [f"{d:%Y-%m-%d};{v}" for d, v in zip(dates, values, strict=True)]
    return "day;sold\n" + "\n".join(rows) + "\n"


def test_a_later_file_is_read_as_training_was(tmp_path):
    rng = np.random.default_rng(0)
    values = [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in rng.normal(3500, 50, 80)]
    file = put(tmp_path, days(values))
    elman.train("forecast", file, tmp_path / "run", max_steps=2, horizon=3, resamples=10)
    run = elman.load(tmp_path / "run")
    later = days(["3.500", "3.510"] * 40)
    ahead = run.predict(put(tmp_path, later, "b.csv"))
    assert ahead["forecast"].between(1000, 9000).all()
    with pytest.raises(InputError, match=r"'0\.5' is no number with ','"):
        run.predict(put(tmp_path, days(["0.5", "3.25"] * 40), "c.csv"))


def test_a_task_of_examples_reads_later_files_alike(tmp_path):
    rows = [f"{1000 + 9 * i},5;{2000 - i},25;{i}" for i in range(60)]
    file = put(tmp_path, "a;b;y\n" + "\n".join(rows) + "\n")
    elman.train("regress", file, tmp_path / "run", target="y", max_steps=2, resamples=10)
    run = elman.load(tmp_path / "run")
    dotted = run.predict(put(tmp_path, "a;b\n1.100;1.900\n1.250;1.950\n", "b.csv"))
    plain = run.predict(put(tmp_path, "a;b\n1100,0;1900,0\n1250,0;1950,0\n", "c.csv"))
    assert dotted["prediction"].tolist() == plain["prediction"].tolist()
