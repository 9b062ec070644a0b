"""Months and weekdays in other languages than English."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import dates, months
from elman.data.kinds import infer, written
from elman.data.months import LANGUAGES, folded, versions


def read(*cells: str) -> list[str]:
    found = written(pd.Series(cells))
    assert found is not None
    assert found.unfit is None, found.unfit
    assert found.cells is not None
    return [str(moment) for moment in found.cells]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["Jan 2005", "Feb 2005", "Mrz 2005", "Apr 2005", "Mai 2005"], "2005-05-01 00:00:00"),
        (["2-ene-23", "3-feb-23", "4-abr-23"], "2023-04-04 00:00:00"),
        (["2-ene-23 9:00 a. m.", "2-ene-23 3:30 p. m."], "2023-01-02 15:30:00"),
        (["févr. 2020", "mars 2020", "avr. 2020"], "2020-04-01 00:00:00"),
        (["maj 2021", "juni 2021"], "2021-06-01 00:00:00"),
        (["5. März 2021", "6. März 2021"], "2021-03-06 00:00:00"),
        (["1 июня 2020", "1 июля 2020 г."], "2020-07-01 00:00:00"),
        (["2020年3月5日", "2020年3月6日"], "2020-03-06 00:00:00"),
        (["2020년 3월", "2020년 4월"], "2020-04-01 00:00:00"),
        (["lundi 5 janvier 2020", "mardi 6 janvier 2020"], "2020-01-06 00:00:00"),
        (
            ["segunda-feira, 5 de janeiro de 2020", "terça-feira, 6 de janeiro de 2020"],
            "2020-01-06",
        ),
        (["2020. január 5.", "2020. január 6."], "2020-01-06 00:00:00"),
        (["2020 m. sausio 5 d.", "2020 m. sausio 6 d."], "2020-01-06 00:00:00"),
        (["Dez/20", "Jan/21"], "2021-01-01 00:00:00"),
        (["2021-Mär-05", "2021-Mär-06"], "2021-03-06 00:00:00"),
        (["Ağustos 2020", "Eylül 2020", "Ekim 2020"], "2020-10-01 00:00:00"),
        (["červen 2020", "červenec 2020", "srpen 2020"], "2020-08-01 00:00:00"),
        (["Mi 13.01.2021", "Do 14.01.2021"], "2021-01-14 00:00:00"),
    ],
)
def test_months_are_read_in_the_language_of_the_column(cells: list[str], expected: str) -> None:
    assert read(*cells)[-1].startswith(expected)
    # Wide tables and headers ask whether cells are like dates.
    assert dates.like_dates(cells)


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "English"])
def test_every_month_of_every_language(language: str) -> None:
    names = [each.split()[-1] for each in LANGUAGES[language][0].split(", ")]
    found = read(*[f"3 {name} 2021" for name in names])
    assert [moment[5:7] for moment in found] == [f"{month:02}" for month in range(1, 13)]
    assert [moment[8:10] for moment in found] == ["03"] * 12


def test_mar_is_a_month_or_a_tuesday() -> None:
    assert read("mar 2 mar 2021", "mié 3 mar 2021") == [
        "2021-03-02 00:00:00",
        "2021-03-03 00:00:00",
    ]
    assert read("mar. 2 mars 2021", "mer. 3 mars 2021")[0] == "2021-03-02 00:00:00"
    assert read("mar 16/02/2021", "mié 17/02/2021")[0] == "2021-02-16 00:00:00"


def test_english_comes_first() -> None:
    for cells in (["Mar 2020", "Apr 2020"], ["May-20", "Sept-20"], ["Mon, 02 Jan 2023"]):
        assert versions(cells) == [("", cells)]
    made, kind = infer(pd.Series(["Jan 2020", "Feb 2020"]))
    assert kind == "time"
    assert "months" not in made.attrs


def test_two_languages_are_asked_about() -> None:
    """November in Polish and Czech, October in Croatian; with another month they differ."""
    found = written(pd.Series(["listopad 2020"]))
    assert found is not None
    assert "can be read in Polish or Czech or in Croatian" in str(found.unfit)
    assert read("listopad 2020", "prosinec 2020")[0] == "2020-11-01 00:00:00"
    assert read("listopad 2020", "studeni 2020")[0] == "2020-10-01 00:00:00"


def test_a_month_of_another_language_is_no_row_to_take_out() -> None:
    found = written(pd.Series(["mars 2020", "avril 2020", "mayo 2020", "juin 2020"]))
    assert found is not None
    assert found.unfit is not None
    assert "'mayo 2020' is not a date with its month in French" in str(found.unfit)
    assert "take the row out" not in str(found.unfit.fix)
    english = written(pd.Series(["Jan 2020", "Feb 2020", "Tishri 2020", "Apr 2020"]))
    assert english is not None
    assert "month in English" in str(english.unfit)
    total = written(pd.Series(["ene 2020", "feb 2020", "Total", "abr 2020"]))
    assert total is not None
    assert "'Total' is not a date" in str(total.unfit)


def test_the_language_is_said() -> None:
    found = written(pd.Series(["févr. 2020", "mars 2020"]))
    assert found is not None
    assert found.words == "months in French"
    made, kind = infer(pd.Series(["févr. 2020", "mars 2020"]))
    assert (kind, made.attrs["months"]) == ("time", "French")
    assert "Russian" in months.looked_for()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_any_words_are_taken(cells: list[str]) -> None:
    """No text makes an error, and what is no date stays as it is."""
    for name, whole in versions(cells):
        assert len(whole) == len(cells)
        assert name or whole == cells


def test_names_are_compared_without_accents() -> None:
    assert folded("MÄRZ") == folded("März") == "marz"
    assert folded("Mayıs") == "mayis"


def test_many_words_and_numbers_are_no_dates() -> None:
    """A line of a log has numbers and more words than a date."""
    line = "version 3.11.4 of a program in a folder of mine at home"
    assert versions([line, "home is 1 here", "a b c d e f g 1"])[0][0] == ""


@pytest.mark.parametrize("form", ["FY{}/{:02}", "{}-{:02}", "FY {}", "{0}/{2}", "FY{0}-{2}"])
def test_fiscal_years_are_dated_by_the_first(form: str) -> None:
    cells = [form.format(year, (year + 1) % 100, year + 1) for year in range(1995, 2015)]
    assert read(*cells) == [f"{year}-01-01 00:00:00" for year in range(1995, 2015)]
    # Twelve months after another are no years.
    assert read("2011-11", "2011-12", "2012-01")[1] == "2011-12-01 00:00:00"


def test_a_long_column_is_read_by_the_language_of_a_part_of_it() -> None:
    days = pd.date_range("2019-01-01", periods=600)
    names = LANGUAGES["French"][0].split(", ")
    cells = [f"{day.day} {names[day.month - 1]} {day.year}" for day in days]
    found = dates.read(pd.Series([*cells[:450], "31 Octobro 2020", *cells[450:]]))
    assert found is not None
    assert found.languages == ("French",)
    assert found.wrong.tolist() == [450]
    assert found.moments is not None
    assert list(found.moments.drop(450)) == list(days)
