"""Series from files of every shape, and messages that name row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks.forecast.data import extend, read_panel
from elman.tasks.forecast.finding import frequency_of
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.times import (
    calendar,
    cycles_of,
    season_of,
    times_after,
)


def columns(**given: object) -> ForecastSettings:
    return ForecastSettings(**given)  # type: ignore[arg-type]


def written(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_long_with_groups_and_several_targets(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "day,shop,sold,left\n2024-01-01,a,1,9\n2024-01-01,b,5,8\n2024-01-02,a,2,7\n2024-01-02,b,6,6\n"
        "2024-01-03,a,3,5\n",
    )
    panel = read_panel(path, columns(group="shop"))
    assert [s.name for s in panel.series] == ["a", "b"]
    assert panel.targets == ["sold", "left"]
    assert panel.frequency == "D"
    assert panel.series[0].values.tolist() == [[1, 9], [2, 7], [3, 5]]
    assert panel.series[1].values.tolist() == [[5, 8], [6, 6]]
    assert panel.series[1].times is not None
    assert [str(t.date()) for t in panel.series[1].times] == ["2024-01-01", "2024-01-02"]


def test_long_without_time_keeps_the_order_of_the_rows() -> None:
    panel = read_panel(pd.DataFrame({"y": [3.0, 1.0, 2.0]}), columns())
    assert panel.series[0].values.ravel().tolist() == [3, 1, 2]
    assert panel.series[0].times is None
    assert panel.frequency is None


def test_wide_is_found_and_short_rows_end_early(tmp_path: Path) -> None:
    header = ",".join(f"V{i}" for i in range(1, 11))
    rows = ["H1,1,2,3,4,5,6,7,8,9", "H2,10,20,30,40,50,60,70,,"]
    panel = read_panel(written(tmp_path, "\n".join([header, *rows]) + "\n"), columns())
    assert [s.name for s in panel.series] == ["H1", "H2"]
    assert panel.targets == ["value"]
    assert [len(s) for s in panel.series] == [9, 7]
    assert panel.series[1].values.ravel().tolist() == [10, 20, 30, 40, 50, 60, 70]


def test_a_hole_inside_a_wide_row_is_named(tmp_path: Path) -> None:
    header = ",".join(f"V{i}" for i in range(1, 11))
    path = written(tmp_path, f"{header}\nH1,1,2,3,4,5,6,7,8,9\nH2,1,2,,4,5,6,7,8,9\n")
    with pytest.raises(InputError, match=r"row 3, column 'V4': .*'H2' misses a value"):
        read_panel(path, columns())


def test_tsf_gives_names_times_and_frequency(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "@relation demo\n@attribute series_name string\n@attribute start_timestamp date\n"
        "@frequency hourly\n@horizon 2\n@missing false\n@equallength false\n@data\n"
        "T1:2024-01-01 22-00-00:1,2,3,4\nT2:2024-01-01 00-00-00:5,6\n",
        "demo.tsf",
    )
    panel = read_panel(path, columns())
    assert [s.name for s in panel.series] == ["T1", "T2"]
    assert panel.frequency == "h"
    assert panel.horizon == 2
    assert panel.series[0].values.ravel().tolist() == [1, 2, 3, 4]
    assert panel.series[0].times is not None
    assert str(panel.series[0].times[-1]) == "2024-01-02 01:00:00"


def test_rows_beyond_the_target_are_the_known_future() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, np.nan, np.nan], "price": [5.0, 6.0, 7.0, 8.0]})
    series = read_panel(frame, columns(target="y", covariates=["price"])).series[0]
    assert series.values.ravel().tolist() == [1, 2]
    assert series.known.ravel().tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("y\n1\n2\nlots\n", {"target": "y"}, r"row 4, column 'y': .*lots.* is not a number"),
        ("t,y\n2024-01-01,1\n2024-01-02,\n2024-01-03,3\n", {}, r"row 3, column 'y': .*missing"),
        (
            "t,y\n2024-01-02,1\n2024-01-01,2\n2024-01-03,2\n",
            {},
            r"row 3, column 't': the time 2024-01-01 00:00:00 comes after 2024-01-02",
        ),
        (
            "t,shop,y\n2024-01-01,a,1\n2024-01-01,b,2\n2024-01-02,a,1\n2024-01-02,b,1\n",
            {},
            r"row 3, column 't': .* is there twice.* group=shop",
        ),
        (
            "t,shop,y\n2024-01-01,a,1\n2024-01-02,a,1\n2024-01-02,a,1\n2024-01-03,a,1\n",
            {"group": "shop"},
            r"row 4, column 't': .*twice in series 'a'",
        ),
        ("t,y\n2024-01-01,1\n,2\n", {"time": "t"}, r"row 3, column 't': the time is missing"),
        ("name,label\na,b\nc,d\n", {}, "no column of numbers"),
        ("y,z\n1,2\n3,4\n", {"target": "yy"}, r"no column 'yy'.*Did you mean 'y'"),
        ("y,z\n1,2\n3,4\n", {"target": "y", "covariates": ["y"]}, "both a target and a covariate"),
        ("y,z\n1,2\n,4\n3,5\n", {"target": "y", "covariates": ["z"]}, r"row 3, column 'y'"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, text: str, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_panel(written(tmp_path, text), columns(**given))


def test_later_values_are_appended_by_name() -> None:
    first = pd.DataFrame({"id": ["a", "a", "b", "b"], "y": [1.0, 2, 3, 4]})
    later = pd.DataFrame({"id": ["b", "a"], "y": [9.0, 8]})
    panel = read_panel(first, columns(group="id", target="y"))
    joined = extend(panel, read_panel(later, columns(group="id", target="y")), "test")
    assert [s.values.ravel().tolist() for s in joined.series] == [[1, 2, 8], [3, 4, 9]]
    unknown = pd.DataFrame({"id": ["c"], "y": [1.0]})
    with pytest.raises(InputError, match="'c' is not in the training data"):
        extend(panel, read_panel(unknown, columns(group="id", target="y")), "test")


def test_later_values_may_not_begin_before_the_end() -> None:
    def days(begin: str, n: int) -> pd.DataFrame:
        return pd.DataFrame({"t": pd.date_range(begin, periods=n), "y": np.arange(float(n))})

    panel = read_panel(days("2024-01-01", 5), columns())
    with pytest.raises(InputError, match="goes on to 2024-01-05"):
        extend(panel, read_panel(days("2024-01-05", 3), columns()), "test")
    assert len(extend(panel, read_panel(days("2024-01-06", 3), columns()), "test").series[0]) == 8


@pytest.mark.parametrize(
    ("alias", "season"),
    [
        *[("h", 24), ("30min", 48), ("15min", 96), ("10min", 144), ("min", 60), ("s", 60)],
        *[("D", 7), ("B", 5), ("W-MON", 52), ("MS", 12), ("ME", 12), ("QE-DEC", 4)],
        *[("YS-JAN", 1), ("2h", 12)],
    ],
)
def test_season_and_next_times_of_a_frequency(alias: str, season: int) -> None:
    times = pd.date_range("2024-01-01", periods=40, freq=alias)
    found = frequency_of(times[:30])
    assert season_of(found) == season
    assert found is not None
    assert list(times_after(times[29], 10, found)) == list(times[30:])


def test_a_holiday_does_not_hide_business_days() -> None:
    times = pd.date_range("2024-01-01", periods=100, freq="B").delete([5, 40])
    assert frequency_of(times) == "B"
    hours = pd.date_range("2024-01-01", periods=100, freq="h").delete([5, 40])
    assert frequency_of(hours) == "h"
    days = pd.date_range("2024-01-01", periods=100, freq="D").delete([5, 40])
    assert season_of(frequency_of(days)) == 7
    weeks = pd.date_range("2024-01-01", periods=100, freq="7D").delete([5, 40])
    assert season_of(frequency_of(weeks)) == 52


def test_calendar_says_where_a_moment_lies_in_its_cycles() -> None:
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-04 12:00"])
    day = calendar(times, ["day", "week"])
    np.testing.assert_allclose(day[:, :2], [[0, 1], [1, 0], [0, -1]], atol=1e-9)
    # Thursday noon is the middle of the week, which begins on Monday.
    np.testing.assert_allclose(day[2, 2:], [0, -1], atol=1e-9)
    assert calendar(times, []).shape == (3, 0)


def test_cycles_that_were_not_seen_twice_are_left_out() -> None:
    assert cycles_of("h", 24 * 7, 10) == ["day"]
    assert cycles_of("D", 800, 10) == ["week", "year"]
    assert cycles_of("D", 700, 10) == ["week"]
    assert cycles_of("YS", 100, 10) == []
    # Nor those a window sees for itself.
    assert cycles_of("D", 800, 14) == ["year"]
