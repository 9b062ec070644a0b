"""Rows above a table: titles, comments, a line for Excel; units below its names; odd quotes."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbooks import xlsx

from elman.data import read, scan
from elman.data.formats import delimited
from elman.errors import InputError

DAYS = "".join(f"2022-01-0{n},{90 + n}.5,{n}.25\n" for n in range(1, 8))


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("above", "skipped"),
    [
        ("Report 2022\n", "row 1, 'Report 2022'"),
        ("Report 2022\nmade by,us\n\n", "rows 1 to 2, 'Report 2022'"),
        ("Report 2022,,\nmade by: us,,\n,,\n", "rows 1 to 3, 'Report 2022,,'"),
        ("# made by us\n\n# station: 44, Berlin\n", "rows 1 to 3, '# made by us'"),
        ("sep=,\n", "row 1, 'sep=,'"),
        ("\ufeffsep=,\n# so\n", "rows 1 to 2, 'sep=,'"),
    ],
)
def test_rows_above_the_names_are_skipped_and_told(
    tmp_path: Path, above: str, skipped: str
) -> None:
    path = put(tmp_path / "a.csv", above + "day,kWh,temp\n" + DAYS)
    table = read(path)
    assert table.kinds == {"day": "time", "kWh": "number", "temp": "number"}
    assert table.numbers("kWh").tolist() == [91.5, 92.5, 93.5, 94.5, 95.5, 96.5, 97.5]
    assert table.where(0) == (path, above.count("\n") + 2)
    assert f"Skipped above the table: {skipped}." in table.notes()
    assert sum(batch.num_rows for batch in scan(path)) == 7


NUMBERS = "".join(f" {n:6.1f}  {90 + n}.5   {n}e-1\n" for n in range(1, 8))


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("# run 1 of 3\n# t kWh temp\n", ["t", "kWh", "temp"]),
        ("#  day    kWh    temp\n# [d] [kWh] [°C]\n", ["day", "kWh", "temp"]),
        ("# made by us in May\n\n# day,kWh,temp\n", ["day", "kWh", "temp"]),
        ("# Station 4\n# lat 3.2\nday kWh temp\n", ["day", "kWh", "temp"]),  # names below them
        ("# lat 3.2 N\n", ["column 1", "column 2", "column 3"]),
        ("# t t t\n", ["column 1", "column 2", "column 3"]),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.dat", "a.csv"])
def test_comments_stand_above_columns_that_blanks_keep_apart(
    tmp_path: Path, above: str, names: list[str], name: str
) -> None:
    path = put(tmp_path / name, above + NUMBERS)
    table = read(path)
    assert table.kinds == dict.fromkeys(names, "number")
    assert table.numbers(names[1]).tolist() == [91.5, 92.5, 93.5, 94.5, 95.5, 96.5, 97.5]
    assert table.where(0) == (path, above.count("\n") + 1)


def test_a_comment_may_name_columns_of_dates(tmp_path: Path) -> None:
    text = "# day kWh\n" + "".join(f"2022-01-0{n} {n}.5\n" for n in range(1, 8))
    assert read(put(tmp_path / "a.txt", text)).kinds == {"day": "time", "kWh": "number"}


def test_comments_above_and_among_rows_of_numbers_are_left_out(tmp_path: Path) -> None:
    rows = [f"{n % 2} {n}.5 {n}.25 1.5\n" for n in range(8)]
    table = read(put(tmp_path / "a.txt", "# UCR\n" + "".join([*rows[:4], "# on\n", *rows[4:]])))
    assert table.labels("label") == ["0", "1"] * 4
    assert table.where(4)[1] == 7
    assert "Lines that begin with # left out: 2, the first is row 1, '# UCR'." in table.notes()


def test_a_comment_with_as_many_commas_as_the_names_is_no_header(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.csv", "# ours, of May, new\nday,kWh,temp\n" + DAYS))
    assert table.kinds == {"day": "time", "kWh": "number", "temp": "number"}


@pytest.mark.parametrize("end", ["", ","])
def test_names_that_are_years_stand_below_notes(tmp_path: Path, end: str) -> None:
    years = range(1960, 1980)
    cells = ["Country", "Code", *map(str, years)]
    rows = [["Aruba", "ABW", *("1" * 20)], ["Chile", "CHL", *("2" * 20)]]
    text = f'"Data Source","Indicators"{end}\n\n"Last Updated","2024-05-30"{end}\n\n'
    text += "".join(",".join(f'"{cell}"' for cell in row) + f"{end}\n" for row in [cells, *rows])
    table = read(put(tmp_path / "a.csv", text))
    assert [name for name in table.kinds if name in cells] == cells
    assert table.numbers("1979").tolist() == [1, 2]


def test_a_name_over_dates_is_a_header_beside_names_that_are_numbers(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.csv", "date,1.1,1.2\n" + DAYS))
    assert table.kinds == {"date": "time", "1.1": "number", "1.2": "number"}


def test_the_mark_of_excel_is_honoured_and_names_of_text_are_found(tmp_path: Path) -> None:
    lines = "".join(f"mies, {n};{'np'[n % 2]}\n" for n in range(6))
    table = read(put(tmp_path / "a.csv", "sep=;\ntext;label\n" + lines))
    assert table.texts("text")[1] == "mies, 1"
    assert table.labels("label") == ["n", "p"] * 3
    table = read(put(tmp_path / "b.csv", "Bericht, 2022\nTag;Wert\n1;3,5\n2;4,5\n3;4,75\n"))
    assert table.numbers("Wert").tolist() == [3.5, 4.5, 4.75]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n5,6\n",
        "#id,label\n1,a\n2,b\n3,a\n",  # a comment with as many cells as the rows is the header
        "V1,V2,V3\nx,1,2\ny,1,\nz,1,\n",  # rows may end early
        "text,label,note\nso,a,\nno,b,\nyes,b,\n",
        "name,n\nso it is,1\nno,2\n",
    ],
)
def test_a_header_in_the_first_row_stays_there(tmp_path: Path, text: str) -> None:
    table = read(put(tmp_path / "a.csv", text))
    assert list(table.kinds) == text.split("\n")[0].split(",")
    assert len(table) == text.count("\n") - 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # One column of sentences.
        ("text\nhello, there\nhow are you, hi\nso, yes\n", "row 2: The row has 2 fields"),
        # Names of rows without a name, as R writes them.
        ("a,b\nr1,5.1,x\nr2,4.9,y\nr3,5,x\n", "row 1: Each row has one field more"),
    ],
)
def test_no_row_of_values_is_skipped(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(put(tmp_path / "a.csv", text))


def test_a_comment_between_rows_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "a,b\n1,2\n# end of part 1\n3,4\n")
    with pytest.raises(InputError, match=r"row 3: The row looks like a comment.*Take it out"):
        read(path)


@pytest.mark.parametrize("units", ["[d],[kWh],[°C]", "d,kWh,°C", "(date),(kWh),(C)", "-,kWh,°C"])
def test_a_row_of_units_is_named(tmp_path: Path, units: str) -> None:
    path = put(tmp_path / "a.csv", f"day,kWh,temp\n{units}\n{DAYS}")
    with pytest.raises(InputError, match=r"row 2: The row looks like the units .*Take it out"):
        read(path)


def test_a_header_of_several_levels_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "Price,Close,Volume\nTicker,A,A\nDate,,\n2024-01-02,5,1000\n")
    with pytest.raises(
        InputError, match=r"row 2: The header has three rows.*write 'Date' in place"
    ):
        read(path)


def test_a_row_of_words_is_no_row_of_units(tmp_path: Path) -> None:
    for cells in ("n.a.,n.a.,n.a.", "2022-01-01,none,?", "Total,abc,def"):
        table = read(put(tmp_path / "a.csv", f"day,kWh,temp\n{cells}\n{DAYS}"))
        assert len(table) == 8


def test_a_title_of_a_sheet_is_skipped_and_its_units_are_named(tmp_path: Path) -> None:
    rows = [[100 + n, n / 2] for n in range(5)]
    sheet = [["Report 2022"], [None], ["made by us"], ["time", "level"], *rows]
    path = xlsx(tmp_path / "a.xlsx", {"One": sheet})
    table = read(path)
    assert table.numbers("level").tolist() == [0, 0.5, 1, 1.5, 2]
    assert table.where(0) == (path, 5)
    assert "Skipped above the table: rows 1 to 3, 'Report 2022'." in table.notes()
    path = xlsx(tmp_path / "b.xlsx", {"One": [["time", "level"], ["[h]", "[m]"], *rows]})
    with pytest.raises(InputError, match=r"row 2: The row looks like the units .*\[h\], \[m\]"):
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        '"";"a";"b"\n' + "".join(f'"2011-01-0{n} 00:15:00";{n},5;1{n},25\n' for n in range(1, 8)),
        "day         a     b\n" + "".join(f"2011-01-0{n}  {n}.5  1{n}.25\n" for n in range(1, 8)),
        "Report;;\nday;a;b\n" + "".join(f"2011-01-0{n};{n}.5;1{n}.25\n" for n in range(1, 8)),
        "# so\nday\ta\tb\n" + "".join(f"2011-01-0{n}\t{n}.5\t1{n}.25\n" for n in range(1, 8)),
        "sep=;\nday;a;b\n" + "".join(f"2011-01-0{n};{n},5;1{n},25\n" for n in range(1, 8)),
    ],
)
def test_a_table_in_a_file_of_text(tmp_path: Path, text: str) -> None:
    table = read(put(tmp_path / "a.txt", text))
    assert list(table.kinds.values()) == ["time", "number", "number"]
    assert table.numbers("a").tolist() == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert table.numbers("b").tolist() == [11.25, 12.25, 13.25, 14.25, 15.25, 16.25, 17.25]


def test_two_columns_in_a_file_of_text(tmp_path: Path) -> None:
    table = read(put(tmp_path / "a.txt", "date;value\n2011-01-01;3,5\n2011-01-02;4,5\n"))
    assert table.kinds == {"date": "time", "value": "number"}
    table = read(put(tmp_path / "b.txt", "text,label\n" + '"so, so",bad\nfine,good\n' * 3))
    assert table.texts("text")[0] == "so, so"
    table = read(put(tmp_path / "c.txt", "1,5;2,25\n2,5;3,25\n7,5;9,25\n"))
    assert table.numbers("column 2").tolist() == [2.25, 3.25, 9.25]
    with pytest.raises(InputError, match="row 1: Both commas and blanks stand between digits"):
        read(put(tmp_path / "d.txt", "1,5 2,25\n2,5 3,25\n7,5 9,25\n"))


@pytest.mark.parametrize(
    "text",
    [
        "Well, hello there\nYes, I know\nSo, what now\n",
        "one two three\nfour five six\nseven eight nine\n",
        "in 1999 we met\nin 2001 we left\nin 2002 it ended\n",
    ],
)
def test_sentences_are_no_table(tmp_path: Path, text: str) -> None:
    assert list(read(put(tmp_path / "a.txt", text)).kinds) == ["text"]


@pytest.mark.parametrize(
    "text",
    [
        "[01.01.23, 08:00] Anna: see you\n[02.01.23, 09:01] Ben: at noon, then\n" * 3,
        "1.1.23, 08:00 - Anna: see you\n2.1.23, 09:01 - Ben: at noon\n" * 3,
    ],
)
def test_chats_are_no_table(tmp_path: Path, text: str) -> None:
    assert list(read(put(tmp_path / "a.txt", text)).kinds) == ["turns"]


def test_quotes_that_enclose_no_whole_cell_are_read_as_written(tmp_path: Path) -> None:
    rows = ['neg\t"So bad, 5" too short', 'pos\tHe said "no" and left', 'neg\t"open', 'pos\t"a" b']
    table = read(put(tmp_path / "a.tsv", "label\ttext\n" + "\n".join(rows) + "\n"))
    assert table.texts("text") == [row.split("\t")[1] for row in rows]
    assert "Quote marks are read as written: in row 2 they enclose no whole cell." in table.notes()
    table = read(put(tmp_path / "b.tsv", 'label\ttext\na\t"x ""y"" z"\nb\t"two\nlines"\n'))
    assert table.texts("text") == ['x "y" z', "two\nlines"]


def test_a_quote_that_cannot_be_read_as_written_is_a_doubt(tmp_path: Path) -> None:
    text = 'label,text\na,"So bad, 5" too short\nb,fine\n'
    (doubt,) = read(put(tmp_path / "a.csv", text)).doubts()
    assert doubt.startswith("a quote mark in row 2 of a.csv encloses no whole cell")
    assert read(put(tmp_path / "b.csv", 'label,text\na,"So, 5"""\nb,fine\n')).doubts() == []


@settings(deadline=None, max_examples=300)
@given(st.text('ab,"\n', max_size=14), st.integers(1, 5))
def test_quotes_that_enclose_cells_are_what_a_strict_reader_takes(text: str, size: int) -> None:
    data = text.encode()
    blocks = [data[k : k + size] for k in range(0, len(data), size)]
    if delimited._quotes_enclose(iter(blocks), ","):
        list(csv.reader(io.StringIO(text, newline=""), strict=True))  # raises if it does not
    elif text.count('"') % 2 == 0:
        # Only what stands against a mark can be the reason.
        assert re.search('[^,\n"]"|"[^,\n"]', text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("t,n\nx y z,1\nb c d,2\n", [2, 3]),
        ("t,n\r\nx y z,1\r\nb c d,2", [2, 3]),
        ("# note\nt,n\nx y z,1\nb c d,2\n", [3, 4]),
        ("t,n\nx y z,1\n\nb c d,2\n", [2, 4]),
        ('t,n\n"x\ny z",1\nb c d,2\n', [2, 4]),
        ("t,n\nx y z,1\nb c d,2\n\n", [2, 3]),
    ],
)
def test_a_row_knows_its_line(tmp_path: Path, text: str, lines: list[int]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    table = read(path)
    assert [table.where(row)[1] for row in range(2)] == lines


@pytest.mark.parametrize("rule", ["|---|---|", "| :--- | ---: |", "|--|:-:|"])
def test_the_rule_of_a_markdown_table_is_no_row(tmp_path, rule):
    path = tmp_path / "a.csv"
    rows = [f"| thing {i} | {'ab'[i % 2]} |" for i in range(20)]
    path.write_text("\n".join(["| subject | category |", rule, *rows]) + "\n")
    with pytest.raises(InputError, match="row 2: The row is the rule of a table in Markdown"):
        read(path)
    path.write_text("\n".join(["| subject | category |", *rows]) + "\n")
    assert read(path).labels("category") == ["a", "b"] * 10
    path.write_text("subject,category\n-,-\na,b\n")
    assert len(read(path)) == 2


@pytest.mark.parametrize("mark", [" ", ",", "\t"])
def test_a_header_that_lacks_the_name_of_row_names_is_named(tmp_path: Path, mark: str) -> None:
    rows = [["x1", "x2", "y"], *([str(n), "0.1", f"{n}.5", "3"] for n in range(1, 9))]
    path = put(tmp_path / "r.txt", "".join(mark.join(row) + "\n" for row in rows))
    path = path.rename(path.with_suffix({" ": ".txt", ",": ".csv", "\t": ".tsv"}[mark]))
    with pytest.raises(InputError, match="one field more than the 3 names") as raised:
        read(path)
    assert "row.names=FALSE" in str(raised.value)
