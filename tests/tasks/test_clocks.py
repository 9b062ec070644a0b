"""The clock of a sequence in rows: uneven, read as a channel, or beginning with another name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.tasks.settings import settings_of
from elman.tasks.tag.task import Tag

COUNT = 200


def doubts(table: pd.DataFrame, **told: Any) -> str:
    made = Tag.from_data(table, settings_of(Tag, {"max_steps": 2} | told))
    return " ".join(made.understood().doubts)


def table_of(seconds: Any) -> pd.DataFrame:
    x = np.sin(np.arange(COUNT) / 9).round(3)
    return pd.DataFrame({"time": seconds, "x": x, "label": np.where(x > 0, "up", "down")})


def as_times(seconds: Any) -> pd.DatetimeIndex:
    return pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")


EVEN = np.arange(COUNT) * 0.02
UNEVEN = np.cumsum(np.random.default_rng(0).choice([1.0, 1.0, 5.0], COUNT))
GAP = np.where(np.arange(COUNT) < 90, np.arange(COUNT), np.arange(COUNT) + 3600)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (UNEVEN, "are far from 1 s, the usual one, and the longest is 5 s"),
        (GAP, "1 of 199 are far from 1 s, the usual one, and the longest is 3,601 s"),
    ],
)
def test_uneven_steps_of_times_are_doubted(seconds: Any, said: str) -> None:
    found = doubts(table_of(as_times(seconds)))
    assert "the steps of 'time' are uneven" in found
    assert said in found
    alone = doubts(table_of(seconds).rename(columns={"time": "t"}), time="t")
    assert said.replace(" s", "") in alone


def test_an_even_clock_is_not_doubted() -> None:
    jitter = EVEN + np.random.default_rng(0).uniform(-0.002, 0.002, COUNT)
    for seconds in (EVEN, jitter):
        assert "uneven" not in doubts(table_of(as_times(seconds)))
    names = np.repeat(["a", "b"], COUNT // 2)
    anew = np.tile(np.arange(COUNT // 2), 2)
    table = table_of(anew).assign(who=names)
    assert "uneven" not in doubts(table, group="who", time="time")


def test_a_clock_that_is_read_as_a_channel_is_doubted() -> None:
    table = table_of(UNEVEN).rename(columns={"time": "t"})
    assert "'t' rises in each row of a sequence" in doubts(table)
    assert "Set time=t" in doubts(table)
    assert "rises in each row" not in doubts(table, time="t")
    assert "rises in each row" not in doubts(table.assign(t=UNEVEN[::-1]))


def test_names_one_after_another_may_be_sequences() -> None:
    table = table_of(as_times(EVEN)).assign(who=np.repeat(["a", "b", "c", "d"], COUNT // 4))
    assert "'who' holds 4 names one after another" in doubts(table)
    assert "one after another" not in doubts(table, group="who")
    mixed = table.assign(who=np.tile(["a", "b", "c", "d"], COUNT // 4))
    assert "one after another" not in doubts(mixed)
