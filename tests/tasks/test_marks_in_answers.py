"""A number that says that the answer is missing is doubted."""

from __future__ import annotations

import pytest

from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def doubts(folder, task, column, marks):
    rows = [f"word{i % 7} thing {i},{marks.get(i, 1 + i % 5)}" for i in range(100)]
    path = folder / "a.csv"
    path.write_text("\n".join([f"text,{column}", *rows]) + "\n")
    made = TASKS[task].from_data(path, settings_of(TASKS[task], {"target": column}))
    return " ".join(made.understood().doubts)


@pytest.mark.parametrize("task", ["regress", "classify"])
@pytest.mark.parametrize("mark", [99, -9])
def test_a_code_for_no_answer_is_doubted_with_its_first_row(tmp_path, task, mark):
    said = doubts(tmp_path, task, "rating", dict.fromkeys(range(3, 100, 6), mark))
    assert f"17 values of 'rating' are {mark} (the first in row 5)" in said
    assert "which lie from 1 to 5" in said
    assert "take out its rows" in said


@pytest.mark.parametrize("task", ["regress", "classify"])
def test_plain_ratings_are_not_doubted(tmp_path, task):
    assert "far from all others" not in doubts(tmp_path, task, "rating", {})
