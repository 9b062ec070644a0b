"""Sheets of a workbook are named as people name them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from workbooks import xlsx

from elman.tasks import TASKS
from elman.tasks.settings import settings_of


@pytest.mark.parametrize("sheet", [2023, "2023"])
def test_a_sheet_called_by_a_year_is_read(tmp_path, sheet):
    sheets = {
        year: [["text", "label"], *([f"word{i} thing", labels[i % 2]] for i in range(20))]
        for year, labels in (("2022", "ab"), ("2023", "cd"))
    }
    path = xlsx(tmp_path / "a.xlsx", sheets)
    task = TASKS["classify"]
    made = task.from_data(path, settings_of(task, {"sheet": sheet}))
    assert {label for part in made._parts.values() for label in part.answers} == {"c", "d"}


def test_a_truth_value_names_no_sheet():
    with pytest.raises(ValidationError, match="valid string"):
        TASKS["classify"].Settings(sheet=True)
