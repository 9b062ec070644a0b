"""Columns of a forecast: never taken for something else in silence, read or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import extend, read_panel
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.settings import ForecastSettings

DAYS = pd.date_range("2023-01-02", periods=60)
WAVE = np.arange(60) % 7.0


def columns(**given: Any) -> ForecastSettings:
    return ForecastSettings(**given)


@pytest.fixture
def panel(tmp_path: Path) -> Callable[..., Panel]:
    """Return the panel of a file with this header and these rows."""

    def made(header: str, rows: Sequence[object], **given: Any) -> Panel:
        path = tmp_path / "data.csv"
        path.write_text("\n".join([header, *map(str, rows)]) + "\n")
        return read_panel(path, columns(**given))

    return made


def beside(cells: Sequence[object], values: Sequence[object] = tuple(WAVE)) -> list[str]:
    """Rows of two cells."""
    return [f"{cell},{value}" for cell, value in zip(cells, values, strict=False)]


def days(cells: Panel) -> list[str]:
    times = cells.series[0].times
    assert times is not None
    return [str(t.date()) for t in times]


def dated(cells: Any) -> list[str]:
    return [str(day.date()) for day in cells]


def test_one_word_among_numbers_is_refused_and_not_dropped(panel: Callable[..., Panel]) -> None:
    rows = [f"{d},{'n.a.' if i == 9 else i % 7},{3 + i % 2}" for i, d in enumerate(dated(DAYS))]
    with pytest.raises(
        InputError, match=r"row 11, column 'sales': 'n.a.' is not a number.*missing"
    ):
        panel("date,sales,shops", rows)
    # Declared, it is a missing value, which has a row of its own.
    with pytest.raises(InputError, match=r"row 11, column 'sales': A value is missing"):
        panel("date,sales,shops", rows, missing=["n.a."])
    # Nothing is refused for a column that nobody asked for.
    found = panel("date,sales,shops", rows, target="shops")
    assert found.targets == ["shops"]
    assert "sales (category): not used." in found.notes
    # With a future known ahead, the target may end in missing values.
    with_end = [*rows[:9], *(f"{d},n.a.,3" for d in dated(DAYS[9:12]))]
    given = {"target": "sales", "covariates": ["shops"], "missing": ["n.a."]}
    assert len(panel("date,sales,shops", with_end, **given).series[0]) == 9


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("{},5", lambda i: i + 0.5),
        ("1.23{},25", lambda i: 1230 + i + 0.25),
        ("${}.50", lambda i: i + 0.5),
        ("{} %", lambda i: i),
        ("€ 1 20{}", lambda i: 1200 + i),
    ],
)
def test_written_numbers_are_forecast(
    panel: Callable[..., Panel], cell: str, value: Callable[[int], float]
) -> None:
    rows = [f"{d};{cell.format(i % 7)};{i % 3}" for i, d in enumerate(dated(DAYS))]
    found = panel("date;y;z", rows)
    assert found.targets == ["y", "z"]
    assert found.series[0].values[:9, 0].tolist() == [value(i % 7) for i in range(9)]
    assert any(note.startswith("Column 'y': numbers, read with") for note in found.notes)


def test_a_mark_with_two_readings_is_asked_for(panel: Callable[..., Panel]) -> None:
    rows = [f"{d};1,20{i % 7}" for i, d in enumerate(dated(DAYS))]
    with pytest.raises(InputError, match=r"row 2, column 'y': The mark in '1,200'.*decimal="):
        panel("date;y", rows)
    assert panel("date;y", rows, decimal=",").series[0].values[1, 0] == 1.201
    assert panel("date;y", rows, decimal=".").series[0].values[1, 0] == 1201


def test_a_mark_that_was_found_is_kept_for_later_data(panel: Callable[..., Panel]) -> None:
    first = panel("date;y", [f"{d};{i},5" for i, d in enumerate(dated(DAYS))])
    assert first.found["decimal"] == ","
    later = panel("date;y", [f"{d};1,234" for d in dated(DAYS)], **first.found)
    assert later.series[0].values[0, 0] == 1.234


def test_a_row_of_totals_is_named(panel: Callable[..., Panel]) -> None:
    rows = [*beside(dated(DAYS)), "Total,180"]
    with pytest.raises(InputError, match=r"row 62, column 'date': 'Total' is not a date.*Take the"):
        panel("date,y", rows)


@pytest.mark.parametrize(
    ("footer", "column"),
    [
        ("Summe,180", "date"),
        ("International airline passengers in thousands,", "date"),
        ("Source: the office,of statistics", "date"),
        (",180", "date"),
        ("2023-03-03,see note 1", "y"),
    ],
)
def test_a_footer_is_named_as_one(panel: Callable[..., Panel], footer: str, column: str) -> None:
    rows = [*beside(dated(DAYS)), footer]
    with pytest.raises(InputError, match=rf"row 62, column '{column}'.*looks like a footer or a tot"
                       "al. Take the row out"):  # fmt: skip
        panel("date,y", rows)
    # The same in the midst of the file is none.
    with pytest.raises(InputError, match=rf"row 32, column '{column}'") as raised:
        panel("date,y", [*rows[:30], footer, *rows[30:60]])
    assert "looks like a footer" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "column", "what"),
    [
        ("date,y", "date", "'Total' is not a date"),
        ("Date,y", "Date", "the time is missing"),
        ("year,y", "year", "'Total' is not a number"),
    ],
)
def test_a_total_in_the_first_row_is_named_as_one(
    panel: Callable[..., Panel], header: str, column: str, what: str
) -> None:
    cells = range(1960, 2020) if column == "year" else dated(DAYS)
    total = ",180" if "missing" in what else "Total,180"
    said = "looks like a total. Take the row out of the file"
    with pytest.raises(InputError, match=rf"row 2, column '{column}': {what}.*first row, .*{said}"):
        panel(header, [total, *beside(cells)])
    with pytest.raises(InputError, match=r"last row, .*Take the row out of the file"):
        panel(header, [*beside(cells), total])


def test_a_word_in_the_first_row_is_no_total(panel: Callable[..., Panel]) -> None:
    with pytest.raises(InputError, match=r"row 2, column 'y': 'n.a.' is not a number.*missing="):
        panel("date,y", beside(dated(DAYS), ["n.a.", *WAVE[1:]]))


def test_a_footer_of_one_cell_is_named_as_one(panel: Callable[..., Panel]) -> None:
    rows = [*beside(dated(DAYS)), "", "International airline passengers in thousands"]
    with pytest.raises(InputError, match=r"row 63: The row has 1 field.*which looks like a"):
        panel("date,y", rows)
    with pytest.raises(InputError, match=r"row 5: The row has 1 field.*Fill or remove fields"):
        panel("date,y", [*rows[:3], "x"])


def test_one_bad_date_is_named_and_not_forecast_around(panel: Callable[..., Panel]) -> None:
    cells = dated(DAYS[::-1])
    cells[30] = "2023-02-31"
    with pytest.raises(InputError, match=r"row 32, column 'Date': '2023-02-31' is not a date"):
        panel("Date,Close", beside(cells))


def test_the_newest_row_first_is_turned_round_and_said(panel: Callable[..., Panel]) -> None:
    found = panel("date,y", beside(dated(DAYS[::-1]), range(60)))
    assert days(found) == dated(DAYS)
    assert found.series[0].values[:, 0].tolist() == list(range(59, -1, -1))
    assert found.frequency == "D"
    assert any("newest rows came first" in note for note in found.notes)


def test_dates_written_day_first_are_no_names_of_series(panel: Callable[..., Panel]) -> None:
    months = pd.date_range("2020-01-01", periods=40, freq="MS")
    rows = [f"{m:%d/%m/%Y}," + ",".join(str(i + k) for k in range(8)) for i, m in enumerate(months)]
    found = panel("date,a,b,c,d,e,f,g,h", rows)
    assert found.targets == list("abcdefgh")
    assert days(found) == dated(months)
    assert (found.frequency, found.found["date_order"]) == ("MS", "day")
    said = "the day first, as the order and the steps of the rows suggest (date_order=month reads"
    assert any(said in note for note in found.notes)
    plain = panel("date,y", beside([f"{day:%d/%m/%Y}" for day in DAYS]))
    assert any("read with the day first." in note for note in plain.notes)
    # A few rows alone have two readings: the order is kept for them.
    assert days(panel("date,a,b,c,d,e,f,g,h", rows[:3], **found.found)) == dated(months[:3])


def test_two_orders_of_a_date_are_asked_for(panel: Callable[..., Panel]) -> None:
    months = pd.date_range("2020-01-01", periods=12, freq="MS")
    rows = [f"{m:%m/%d/%Y}," + ",".join("12345678") for m in months]
    with pytest.raises(InputError, match=r"row 2, column 'date': '01/01/2020' can be read with the "
                       "day or the month first.*date_order=day or date_order=month"):  # fmt: skip
        panel("date,a,b,c,d,e,f,g,h", rows)
    assert days(panel("date,a,b,c,d,e,f,g,h", rows, date_order="month")) == dated(months)
    with pytest.raises(InputError, match="'02-Jan' has no year"):
        panel("date,y", beside([f"{d:%d-%b}" for d in DAYS]))


def test_the_first_date_that_is_written_in_another_way_is_named(
    panel: Callable[..., Panel],
) -> None:
    cells = [f"{day:%Y-%m-%d}" if k < 30 else f"{day:%d/%m/%Y}" for k, day in enumerate(DAYS)]
    message = r"row 32, column 'date': '01/02/2023' is written in another way .*'2023-01-02' in row"
    with pytest.raises(InputError, match=message):
        panel("date,y", beside(cells))


@pytest.mark.parametrize("name", ["date", "time"])
def test_words_named_like_times_are_no_names_of_series(
    panel: Callable[..., Panel], name: str
) -> None:
    rows = [f"Mittwoch {i}," + ",".join("12345678") for i in range(20)]
    with pytest.raises(InputError, match=r"'Mittwoch 0' could not be read as a date"):
        panel(f"{name},a,b,c,d,e,f,g,h", rows)
    assert len(panel(f"{name},a,b,c,d,e,f,g,h", rows, layout="wide").series) == 20
    # Fewer columns are no rows of series. Their order says nothing: the newest may be the first.
    with pytest.raises(InputError, match=r"row 2, column '.*': '0-01' could not be read as a date"):
        panel(f"{name},y", beside([f"{i}-01" for i in range(60)]))


@pytest.mark.parametrize(
    ("name", "cells", "freq"),
    [
        ("date", [f"{d:%Y%m%d}" for d in DAYS], "D"),
        ("y2", [f"{d:%Y%m%d}" for d in DAYS], "D"),
        ("timestamp", [int(d.timestamp()) for d in DAYS], "D"),
        ("open_time", [int(d.timestamp()) * 1000 for d in DAYS], "D"),
        ("day", range(44928, 44988), "D"),
        ("Month", [f"{2000 + i // 12}{i % 12 + 1:02}" for i in range(60)], "MS"),
    ],
)
def test_numbers_that_are_dates_are_not_forecast(
    panel: Callable[..., Panel], name: str, cells: Sequence[object], freq: str
) -> None:
    found = panel(f"{name},y", beside(cells))
    assert (found.targets, found.frequency, found.found["time"]) == (["y"], freq, name)
    begin = "2000-01-01" if name == "Month" else "2023-01-02"
    assert days(found)[0] == begin


def test_years_and_parts_of_dates(panel: Callable[..., Panel]) -> None:
    years = panel("year,y", beside(range(1960, 2020)))
    assert (years.targets, days(years)[0]) == (["y"], "1960-01-01")
    rows = [f"{2015 + i // 12},{i % 12 + 1},{i}" for i in range(60)]
    parts = panel("year,month,y", rows)
    assert (parts.targets, parts.frequency, days(parts)[13]) == (["y"], "MS", "2016-02-01")


def test_columns_that_count_the_rows_are_left_out(panel: Callable[..., Panel]) -> None:
    rows = [f"{i},{d},{i % 7}" for i, d in enumerate(dated(DAYS))]
    assert panel(",date,y", rows).targets == ["y"]
    assert panel("t,y", beside(range(60))).targets == ["y"]
    assert panel("id,y", beside(range(1, 61))).targets == ["y"]
    empty = [f"{d},,{i % 7}" for i, d in enumerate(dated(DAYS))]
    assert panel("date,note,y", empty).targets == ["y"]
    # A ramp that is called otherwise is a series.
    assert panel("level,y", beside(range(60))).targets == ["level", "y"]
    assert panel("id,y", beside(range(60)), target="id").targets == ["id"]


def test_whole_numbers_that_tell_series_apart_are_proposed(panel: Callable[..., Panel]) -> None:
    rows = [f"{d},{s},{i}" for i, d in enumerate(dated(DAYS)) for s in (1, 2)]
    with pytest.raises(InputError, match=r"row 3, column 'date'.*'store' looks like.*group=store"):
        panel("date,store,y", rows)
    found = panel("date,store,y", rows, group="store")
    assert ([s.name for s in found.series], found.targets) == (["1", "2"], ["y"])


def test_two_columns_together_name_a_series(panel: Callable[..., Panel]) -> None:
    rows = [f"{d},{s},{k},{i}" for i, d in enumerate(dated(DAYS)) for s in (1, 2) for k in "ab"]
    with pytest.raises(InputError, match=r"'item' and 'store' together.*group='\[item, store\]'"):
        panel("date,store,item,y", rows)
    found = panel("date,store,item,y", rows, group=["store", "item"])
    assert [s.name for s in found.series] == ["1 / a", "1 / b", "2 / a", "2 / b"]
    assert found.found["group"] == ["store", "item"]


def test_a_frame_s_index_is_used() -> None:
    found = read_panel(pd.DataFrame({"y": WAVE}, index=DAYS), columns())
    assert (found.targets, found.frequency, days(found)) == (["y"], "D", dated(DAYS))
    assert read_panel(pd.Series(WAVE, DAYS, name="y"), columns()).frequency == "D"
    months = pd.period_range("2020-01", periods=60, freq="M")
    assert read_panel(pd.DataFrame({"y": WAVE}, index=months), columns()).frequency == "MS"
    both = pd.MultiIndex.from_product([["a", "b"], DAYS], names=["store", "date"])
    stacked = pd.DataFrame({"y": np.r_[WAVE, WAVE + 10]}, index=both)
    found = read_panel(stacked, columns())
    assert [s.name for s in found.series] == ["a", "b"]
    assert found.series[1].values[0, 0] == 10
    assert found.found["group"] == "store"
    written = stacked.set_index(
        pd.MultiIndex.from_product([["a", "b"], dated(DAYS)], names=["store", "date"])
    )
    assert [len(s) for s in read_panel(written, columns()).series] == [60, 60]
    years = pd.DataFrame({"y": WAVE}, index=pd.RangeIndex(1960, 2020, name="year"))
    assert days(read_panel(years, columns()))[0] == "1960-01-01"
    written_alone = pd.Series(WAVE, index=[int(f"{day:%Y%m%d}") for day in DAYS])
    assert days(read_panel(written_alone, columns())) == dated(DAYS)
    # An index that only numbers the rows is none.
    assert read_panel(pd.DataFrame({"y": WAVE}).iloc[::-1], columns()).series[0].times is None


def test_years_in_an_index_without_a_name_are_read_and_doubted() -> None:
    for index in (range(1960, 2020), [*range(1960, 2020)]):
        found = read_panel(pd.Series(WAVE, index=index), columns())
        assert days(found)[:1] + days(found)[-1:] == ["1960-01-01", "2019-01-01"]
        assert found.frequency is not None
        assert "it is read as years. If it only numbers the rows" in " ".join(found.doubts)
    backwards = read_panel(pd.DataFrame({"y": WAVE}, index=range(2019, 1959, -1)), columns())
    assert days(backwards)[0] == "1960-01-01"
    assert backwards.series[0].values[0, 0] == WAVE[-1]
    for index in (range(60), range(1400, 1460), range(2060, 2120)):
        assert not read_panel(pd.Series(WAVE, index=index), columns()).doubts
    dated_beside = pd.DataFrame({"date": DAYS, "y": WAVE}, index=range(1960, 2020))
    assert not read_panel(dated_beside, columns()).doubts


@pytest.mark.parametrize("name", [None, "elapsed"])
def test_an_index_of_elapsed_time_orders_the_rows(name: str | None) -> None:
    index = pd.TimedeltaIndex(pd.to_timedelta(np.arange(60) * 10, unit="s"), name=name)
    found = read_panel(pd.Series(WAVE, index=index), columns())
    assert found.targets == ["value"]
    assert "Column 't' counts steps" in " ".join(found.notes)


def test_rows_of_one_moment_are_not_to_be_thrown_away(panel: Callable[..., Panel]) -> None:
    shops = [f"{100 + i},C{i * i % 7},{d},{i % 7}" for i, d in enumerate(np.repeat(dated(DAYS), 3))]
    with pytest.raises(InputError, match=r"row 3.*there twice.*make one row of each moment first"):
        panel("order_id,customer,date,amount", shops)
    again = beside(dated(DAYS))
    with pytest.raises(InputError, match="take out the rows that are there twice: they are alike"):
        panel("date,sales", [*again[:40], *again[30:]])


@pytest.mark.parametrize("wrong", ["2022-02-10", "2032-02-10"])
def test_one_date_that_is_out_of_order_is_named(panel: Callable[..., Panel], wrong: str) -> None:
    rows = [row.replace("2023-02-10", wrong) for row in beside(dated(DAYS))]
    with pytest.raises(InputError, match=rf"row 41.*{wrong}.*Correct it, or put the row"):
        panel("date,sales", rows)


def test_a_clock_of_twelve_hours_without_its_half_is_named(panel: Callable[..., Panel]) -> None:
    hours = pd.date_range("2023-01-02", periods=60, freq="h").strftime("%Y-%m-%d %I:%M")
    with pytest.raises(InputError, match=r"row 14.*a clock without AM and PM.*00 to 23"):
        panel("time,sales", beside(hours))


def test_rows_at_the_end_without_any_cell_are_left_out(panel: Callable[..., Panel]) -> None:
    hours = pd.date_range("2023-01-02", periods=60, freq="h").strftime("%Y-%m-%d,%H:%M")
    found = panel("day,clock,sales", [*beside(hours), ",,", ",,"])
    assert found.frequency == "h"
    assert "2 rows at the end without any cell." in " ".join(found.notes)


def test_merged_cells_that_name_series_are_filled_in(panel: Callable[..., Panel]) -> None:
    rows = [f"{'AB'[i // 60] if i % 60 == 0 else ''},{d},{i % 7}"
            for i, d in enumerate(dated(DAYS) * 2)]  # fmt: skip
    found = panel("store,date,sales", rows, group="store")
    assert [(one.name, len(one)) for one in found.series] == [("A", 60), ("B", 60)]
    assert "was filled in below it" in " ".join(found.notes)


def test_a_column_of_names_that_is_not_there_is_named(panel: Callable[..., Panel]) -> None:
    with pytest.raises(
        InputError, match=r"There is no column 'store'. Choose from 'date', 'sales'"
    ):
        panel("date,sales", beside(dated(DAYS)), group="store")


def test_dates_as_names_of_columns_are_times(panel: Callable[..., Panel]) -> None:
    months = pd.date_range("2020-01-01", periods=12, freq="MS")
    newest_first = [f"{m:%Y-%m}" for m in months[::-1]]
    found = panel(f"id,{','.join(newest_first)}", ["a," + ",".join(map(str, range(12)))])
    assert (found.frequency, days(found)) == ("MS", dated(months))
    assert found.series[0].values[:, 0].tolist() == list(range(11, -1, -1))


def test_times_keep_their_zone(panel: Callable[..., Panel]) -> None:
    zoned = pd.date_range("2023-03-01", periods=60, tz="Europe/Berlin")
    found = panel("date,y", beside([t.isoformat() for t in zoned]))
    times = found.series[0].times
    assert times is not None
    assert list(times) == list(zoned)
    assert found.frequency == "D"
    assert any("clocks were changed on 2023-03-26" in note for note in found.notes)
    frame = pd.DataFrame({"t": zoned, "y": WAVE})
    again = read_panel(frame, columns()).series[0].times
    assert again is not None
    assert again.tz is not None
    naive = read_panel(frame.assign(t=zoned.tz_localize(None)), columns())
    with pytest.raises(InputError, match="unlike those of its training data"):
        extend(naive, found, "test")


def test_an_hour_that_comes_twice_is_a_clock_change(panel: Callable[..., Panel]) -> None:
    hours = pd.date_range("2023-10-28", periods=60, freq="h", tz="Europe/Berlin")
    wall = [str(t) for t in hours.tz_localize(None)]
    with pytest.raises(
        InputError, match=r"2023-10-29 02:00:00 is there twice, because clocks were"
    ):
        panel("t,y", beside(wall))
    found = panel("t,y", beside([t.isoformat() for t in hours]))
    assert found.frequency == "h"


def test_later_data_of_other_steps_are_refused() -> None:
    frame = pd.DataFrame({"t": DAYS, "y": WAVE})
    hours = pd.DataFrame({"t": pd.date_range("2023-04-01", periods=9, freq="h"), "y": 1.0})
    first = read_panel(frame, columns())
    with pytest.raises(InputError, match="1 hour between its rows; the model was trained on days"):
        extend(first, read_panel(hours, columns()), "test")


def test_what_was_understood_is_told(panel: Callable[..., Panel]) -> None:
    rows = [f"{d},{i % 7},x{i % 3},{i % 5}" for i, d in enumerate(dated(DAYS))]
    found = panel("date,y,kind,price", rows, target="y", covariates=["price"])
    told: dict[str, list[str]] = {}
    for about, sentence in found.told:
        told.setdefault(about, []).append(sentence)
    assert "60 rows from data.csv" in " ".join(told["read"])
    assert told["target"] == ["'y' (as was set)."]
    assert told["known ahead"] == ["'price'."]
    assert told["left out"] == ["kind (category): not used."]
    assert told["time"] == [
        "2023-01-02 to 2023-03-02, in column 'date'.",
        "A step: days; a season is 7 steps.",
    ]


def test_numbers_that_stand_for_a_missing_value_are_doubtful(panel: Callable[..., Panel]) -> None:
    values = [-999 if i in (9, 30) else 20 + i % 7 for i in range(60)]
    rows = beside(dated(DAYS), values)
    (doubt,) = panel("date,pm10", rows).doubts
    assert doubt == (
        "2 values of 'pm10' are -999 (the first in row 11), far from all others, which lie from 20 "
        "to 26. If -999 says that a value is missing, set missing='[-999]'."
    )
    # Declared, it is a missing value, which has a row of its own.
    with pytest.raises(InputError, match=r"row 11, column 'pm10': A value is missing"):
        panel("date,pm10", rows, missing=["-999"])
    # In one of several series, among larger ones.
    both = [f"{row},a" for row in rows] + [
        f"{d},{5000 + i * 37 % 901},b" for i, d in enumerate(dated(DAYS))
    ]
    (doubt,) = panel("date,pm10,place", both, group="place").doubts
    assert "2 values of 'pm10' are -999 (the first in row 11)" in doubt


def test_numbers_that_stand_for_a_missing_value_in_rows_and_cells() -> None:
    wide = pd.DataFrame(20 + np.arange(80).reshape(4, 20) % 7, columns=[f"V{i}" for i in range(20)])
    wide.insert(0, "id", list("abcd"))
    wide.loc[2, ["V3", "V4"]] = -9999
    (doubt,) = read_panel(wide, columns()).doubts
    assert "2 values of 'c' are -9999 (the first in row 3)" in doubt
    cells = pd.DataFrame(
        {"id": ["a", "b"], "y": [[1.0, 2, 3, 4, 5, 6] * 3, [1, 2, 3, 4, 5, -9999.0]]}
    )
    (doubt,) = read_panel(cells, columns()).doubts
    assert "1 value of 'b' is -9999 (the first in step 6)" in doubt


def test_a_target_that_is_the_sum_of_the_others_and_months_as_columns_are_doubtful() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(50, 150, (60, 3)), columns=list("abc"))
    frame.insert(0, "date", DAYS)
    assert read_panel(frame, columns()).doubts == []
    summed = frame.assign(all_of_them=frame[["a", "b", "c"]].sum(axis=1))
    found = read_panel(summed, columns())
    assert found.targets == ["a", "b", "c", "all_of_them"]
    assert found.doubts == [
        "column 'all_of_them' is the sum of the other columns. Name those to forecast with --set "
        "target=[A,B,…]."
    ]
    names = [f"{month:%b}" for month in pd.date_range("2020", periods=12, freq="MS")]
    years = pd.DataFrame(random.normal(size=(40, 12)), columns=names)
    years.insert(0, "Year", range(1980, 2020))
    (doubt,) = read_panel(years, columns()).doubts
    assert doubt.startswith("each row is a year, and 12 of its columns are months")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (lambda i: f"{i + 20}.5K" if i % 3 else f"0.{i + 20}M", "'0.20M' in row 1 and '21.5K'"),
        (lambda i: f"{'$' if i < 20 else '€'}{i}.5", "'$0.5' in row 1 and '€20.5' in row 21"),
        (lambda i: f"{i % 12:02}:{(7 * i) % 60:02}", "'00:00' in row 1"),
        (lambda i: f"{i}:{(7 * i) % 60:02}", "'0:00' in row 1"),
    ],
)
def test_numbers_with_marks_are_doubted_where_another_column_is_forecast(
    written: Callable[[int], str], shown: str
) -> None:
    days = pd.date_range("2024-01-01", periods=40)
    cells = [written(i) for i in range(40)]
    frame = pd.DataFrame({"date": days, "sold": cells, "temp": np.arange(40.0) % 7})
    found = read_panel(frame, ForecastSettings())
    assert found.targets == ["temp"]
    [doubt] = [each for each in found.doubts if "'sold'" in each]
    assert shown in doubt
    assert not read_panel(frame, ForecastSettings(target="temp")).doubts
    with pytest.raises(InputError, match="no column of numbers to forecast; column 'sold'"):
        read_panel(frame[["date", "sold"]], ForecastSettings())


def test_words_and_codes_are_no_numbers_with_marks() -> None:
    days = pd.date_range("2024-01-01", periods=40)
    for cells in (["wet", "dry"] * 20, ["12B", "13B"] * 20, [f"A{i}-x" for i in range(40)]):
        frame = pd.DataFrame({"date": days, "kind": cells, "temp": np.arange(40.0) % 7})
        assert not read_panel(frame, ForecastSettings()).doubts


@pytest.mark.parametrize("names", [("Unnamed: 0.1", "Unnamed: 0"), ("level_0", "index")])
def test_every_index_that_counts_the_rows_is_not_forecast(names: tuple[str, str]) -> None:
    frame = pd.DataFrame({name: np.arange(60) for name in names} | {"y": WAVE})
    assert read_panel(frame, columns()).targets == ["y"]


def test_rows_without_a_value_at_the_end_are_left_out(panel: Callable[..., Panel]) -> None:
    rows = beside(dated(DAYS), [*WAVE[:57], "", "", ""])
    for some in (rows, rows[::-1]):
        found = panel("date,y", some)
        assert found.series[0].values[:, 0].tolist() == WAVE[:57].tolist()
        assert days(found) == dated(DAYS[:57])
        assert "3 rows at the end without a value of 'y'." in found.notes
    # One that is missing in between, or before all others, is refused.
    rows = beside(dated(DAYS), ["", *WAVE[1:57], "", "", ""])
    with pytest.raises(InputError, match=r"row 2, column 'y': A value is missing"):
        panel("date,y", rows)
    events = [f"{i},{d},{v}," for i, (d, v) in enumerate(zip(dated(DAYS), WAVE, strict=True), 1)]
    events += [f"{61 + i},2023-03-03 00:0{i}:00,,Logged" for i in range(2)]
    header = '"Plot Title: 10245"\n"#","Date Time, GMT-05:00","Temp, °C","End Of File"'
    logged = panel(header, events)
    assert logged.targets == ["Temp, °C"]
    assert logged.frequency == "D"
    assert len(logged.series[0]) == 60


def test_numbers_in_brackets_are_said_and_one_alone_is_doubted(panel: Callable[..., Panel]) -> None:
    values = [10 + i % 7 for i in range(60)]

    def read(*cells: tuple[int, str], **given: Any) -> Panel:
        told = dict(cells)
        found = panel(
            "date,y", beside(dated(DAYS), [told.get(i, v) for i, v in enumerate(values)]), **given
        )
        assert "Column 'y': numbers, read with brackets as a minus sign." in " ".join(found.notes)
        return found

    for given in ({}, {"decimal": "."}):
        [doubt] = read((20, "(1)"), **given).doubts
        assert doubt.startswith("the number in brackets in row 22 of column 'y' is read as -1, as")
    assert not read((20, "(11)"), (30, "(12)")).doubts
    assert not read((20, "(11)"), (30, "-12")).doubts
    money = panel("date,y", beside(dated(DAYS), [f"€{v}.5" for v in values[:-1]] + ["(€9.5)"]))
    assert "read with € left off, brackets as a minus sign" in " ".join(money.notes)
    assert not money.doubts
