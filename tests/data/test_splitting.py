"""Splits: every row once, nothing across a boundary that must not be, what is repeated."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elman.data import Split, duplicates, read, split
from elman.errors import InputError

FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.7, 0.3, 0.0), (0.5, 0.0, 0.5), (6, 2, 2)])


def check(parts: Split, n: int, fractions: tuple[float, ...]) -> None:
    assert sorted(np.concatenate(list(parts)).tolist()) == list(range(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert (len(part) > 0) == (fraction > 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(3, 300), FRACTIONS, st.sampled_from(["random", "time"]), st.integers(0, 9))
def test_each_row_is_in_one_part(n: int, fractions: tuple[float, ...], by: str, seed: int) -> None:
    parts = split(n, fractions=fractions, by=by, seed=seed)  # type: ignore[arg-type]
    check(parts, n, fractions)
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - n * fraction / sum(fractions)) <= 1.5
    if by == "time":
        assert np.concatenate(list(parts)).tolist() == list(range(n))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=12, max_size=80), FRACTIONS)
def test_by_time_nothing_is_later_than_what_follows(
    times: list[int], fractions: tuple[float, ...]
) -> None:
    assume(len(set(times)) >= 8)
    values = np.array(times)
    try:
        parts = split(len(times), fractions=fractions, by="time", column=values)
    except InputError:
        # Refused, and only, where one moment holds so many rows that a part would be empty.
        assert max(np.bincount(values)) > 1
        return
    check(parts, len(times), fractions)
    moments = [values[p] for p in parts if len(p)]
    for before, after in itertools.pairwise(moments):
        assert before.max() < after.min()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 15), min_size=5, max_size=80), FRACTIONS, st.integers(0, 5))
def test_a_group_is_in_one_part(groups: list[int], fractions: tuple[float, ...], seed: int) -> None:
    assume(len(set(groups)) >= 3)
    values = np.array(groups)
    parts = split(len(groups), fractions=fractions, by="group", column=values, seed=seed)
    check(parts, len(groups), fractions)
    held = [set(values[p].tolist()) for p in parts]
    assert sum(map(len, held)) == len(set(groups))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=3, max_size=120), FRACTIONS, st.integers(0, 5))
def test_classes_are_in_every_part_in_proportion(
    labels: list[int], fractions: tuple[float, ...], seed: int
) -> None:
    values = np.array(labels)
    parts = split(len(labels), fractions=fractions, by="class", column=values, seed=seed)
    assert sorted(np.concatenate(list(parts)).tolist()) == list(range(len(labels)))
    shares = np.array(fractions) / sum(fractions)
    for label in set(labels):
        n = (values == label).sum()
        counts = np.array([(values[p] == label).sum() for p in parts])
        assert counts[0] >= 1
        assert not counts[shares == 0].any()
        if n == 1:
            assert counts.tolist() == [1, 0, 0]
        elif n == 2:
            assert counts.tolist() == ([1, 0, 1] if shares[2] else [1, 1, 0])
        else:
            assert (np.abs(counts - shares * n) <= 2).all()


def test_small_classes_do_not_spoil_the_sizes_of_parts() -> None:
    labels = np.repeat(np.arange(100), 5)
    parts = split(500, by="class", column=labels, seed=0)
    assert [len(p) for p in parts] == [400, 50, 50]


def test_seeds_decide() -> None:
    same = [split(50, seed=1).test.tolist() for _ in range(2)]
    assert same[0] == same[1] != split(50, seed=2).test.tolist()


def test_columns_of_a_table(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=10)[::-1],
            "who": list("aabbccddee"),
            "label": [*"xyxyxyxyx", None],
        }
    )
    table = read(frame)
    by_time = split(table, by="time", column="day", fractions=(0.6, 0.2, 0.2))
    assert by_time.train.tolist() == [9, 8, 7, 6, 5, 4]
    assert by_time.test.tolist() == [1, 0]
    by_group = split(table, by="group", column="who", fractions=(0.6, 0.2, 0.2))
    assert [len(p) for p in by_group] == [6, 2, 2]
    with pytest.raises(InputError, match="row 1, column 'who': 'a' is not a date or a time"):
        split(table, by="time", column="who")
    with pytest.raises(InputError, match="row 10, column 'label': This cell is empty"):
        split(table, by="class", column="label")
    with pytest.raises(InputError, match="Did you mean 'label'"):
        split(table, by="class", column="labels")


def test_what_cannot_be_split_is_explained() -> None:
    with pytest.raises(InputError, match="2 rows cannot be split into 3 parts"):
        split(2)
    with pytest.raises(InputError, match="2 groups cannot be split into 3"):
        split(6, by="group", column=list("aaabbb"))
    with pytest.raises(InputError, match="needs a column"):
        split(6, by="group")
    with pytest.raises(InputError, match="Did you mean 'group'"):
        split(6, by="groups")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="three fractions"):
        split(6, fractions=(0.5, 0.5))
    with pytest.raises(InputError, match="5 values of column="):
        split(6, by="class", column=list("aabbb"))
    with pytest.raises(InputError, match="too few different times"):
        split(6, by="time", column=[1] * 6)


def test_duplicates_are_counted_and_shown() -> None:
    found = duplicates(
        {"train": ["One", "two", "three"], "valid": ["four"], "test": ["one ", "ONE", "five"]}
    )
    assert found.counts == {("train", "valid"): 0, ("train", "test"): 2, ("valid", "test"): 0}
    assert found.examples == {("train", "test"): ["'one'"]}
    assert str(found) == "2 rows of test are also in train, such as 'one'"
    assert found
    assert "1 row of b is also in a" in str(duplicates({"a": ["x"], "b": ["x"]}))
    assert not duplicates({"train": ["a"], "test": ["b"]})


def test_duplicates_of_tables_by_some_columns() -> None:
    train = read(pd.DataFrame({"t": ["a", "b"], "y": ["x", "y"]}))
    test = read(pd.DataFrame({"t": ["A", "c"], "y": ["z", "y"]}))
    assert duplicates({"train": train, "test": test}, ["t"]).counts == {("train", "test"): 1}
    assert duplicates({"train": train, "test": test}).counts == {("train", "test"): 0}
    series = read(pd.DataFrame({"s": [[1.0, 2.0], [3.0]]}))
    found = duplicates({"train": series, "test": series.take([1])})
    assert found.counts == {("train", "test"): 1}
    assert found.examples["train", "test"] == ["an array of shape (1, 1)"]


def test_equal_numbers_of_unlike_type_are_duplicates() -> None:
    whole = read(pd.DataFrame({"n": [1, 2], "y": ["x", "y"]}))
    points = read(pd.DataFrame({"n": [1.0, 2.5], "y": ["x", "y"]}))
    assert duplicates({"train": whole, "test": points}).counts == {("train", "test"): 1}


def test_groups_and_classes_of_long_names_are_split_by_their_values() -> None:
    names = ["b" * 500, "a", "b" * 500, "c", "a", "c"] * 5
    parts = split(30, by="group", column=np.array(names, dtype=object), fractions=(1, 1, 1))
    owners = [{names[row] for row in rows} for rows in parts]
    assert sorted(map(len, owners)) == [1, 1, 1]
    assert set.union(*owners) == set(names)
